/* Sockets made from family, type and protocol alone. */
#include "sockets.h"

#define ODD 0xdead
#define ANY_FAMILY 0xA11

static const struct {
    const char *name;
    int af, type, protocol, code;
    int af_made, type_made, protocol_made;
} triples[] = {
    { "unknown family", ODD, SOCK_STREAM, IPPROTO_TCP, WSAEAFNOSUPPORT, 0, 0, 0 },
    { "family -1", -1, SOCK_STREAM, IPPROTO_TCP, WSAEAFNOSUPPORT, 0, 0, 0 },
    { "unknown family and protocol", ODD, SOCK_STREAM, ODD, WSAEAFNOSUPPORT, 0, 0, 0 },
    { "unknown family; protocol of another type", ODD, SOCK_STREAM, IPPROTO_UDP, WSAEAFNOSUPPORT, 0, 0, 0 },
    { "unknown type", AF_INET, ODD, IPPROTO_TCP, WSAESOCKTNOSUPPORT, 0, 0, 0 },
    { "type -1", AF_INET, -1, IPPROTO_TCP, WSAESOCKTNOSUPPORT, 0, 0, 0 },
    { "unknown family and type", ODD, ODD, IPPROTO_TCP, WSAESOCKTNOSUPPORT, 0, 0, 0 },
    { "unknown type and protocol", AF_INET, ODD, ODD, WSAESOCKTNOSUPPORT, 0, 0, 0 },
    { "unknown type and no protocol", AF_INET, ODD, 0, WSAESOCKTNOSUPPORT, 0, 0, 0 },
    { "unknown protocol", AF_INET, SOCK_STREAM, ODD, WSAEPROTONOSUPPORT, 0, 0, 0 },
    { "protocol -1", AF_INET, SOCK_STREAM, -1, WSAEPROTONOSUPPORT, 0, 0, 0 },
    { "UDP as a stream", AF_INET, SOCK_STREAM, IPPROTO_UDP, WSAEPROTONOSUPPORT, 0, 0, 0 },
    { "TCP as datagrams", AF_INET, SOCK_DGRAM, IPPROTO_TCP, WSAEPROTONOSUPPORT, 0, 0, 0 },
    { "no type and unknown protocol", AF_INET, 0, ODD, WSAEPROTONOSUPPORT, 0, 0, 0 },
    { "no family and no type and unknown protocol", AF_UNSPEC, 0, ODD, WSAEPROTONOSUPPORT, 0, 0, 0 },
    { "no family and unknown protocol", AF_UNSPEC, SOCK_STREAM, ODD, WSAEPROTONOSUPPORT, 0, 0, 0 },
    { "no family and unknown type", AF_UNSPEC, ODD, IPPROTO_UDP, WSAESOCKTNOSUPPORT, 0, 0, 0 },
    { "no family and no protocol; stream", AF_UNSPEC, SOCK_STREAM, 0, WSAEINVAL, 0, 0, 0 },
    { "no family and no protocol; datagrams", AF_UNSPEC, SOCK_DGRAM, 0, WSAEINVAL, 0, 0, 0 },
    { "no family and no protocol; unknown type", AF_UNSPEC, ODD, 0, WSAEINVAL, 0, 0, 0 },
    { "nothing", AF_UNSPEC, 0, 0, WSAEINVAL, 0, 0, 0 },
    { "TCP", AF_INET, SOCK_STREAM, IPPROTO_TCP, 0, AF_INET, SOCK_STREAM, IPPROTO_TCP },
    { "UDP", AF_INET, SOCK_DGRAM, IPPROTO_UDP, 0, AF_INET, SOCK_DGRAM, IPPROTO_UDP },
    { "stream without a protocol", AF_INET, SOCK_STREAM, 0, 0, AF_INET, SOCK_STREAM, IPPROTO_TCP },
    { "datagrams without a protocol", AF_INET, SOCK_DGRAM, 0, 0, AF_INET, SOCK_DGRAM, IPPROTO_UDP },
    { "TCP without a type", AF_INET, 0, IPPROTO_TCP, 0, AF_INET, SOCK_STREAM, IPPROTO_TCP },
    { "UDP without a type", AF_INET, 0, IPPROTO_UDP, 0, AF_INET, SOCK_DGRAM, IPPROTO_UDP },
    { "family alone", AF_INET, 0, 0, 0, AF_INET, SOCK_STREAM, IPPROTO_TCP },
    { "TCP without a family", AF_UNSPEC, SOCK_STREAM, IPPROTO_TCP, 0, ANY_FAMILY, SOCK_STREAM, IPPROTO_TCP },
    { "TCP alone", AF_UNSPEC, 0, IPPROTO_TCP, 0, ANY_FAMILY, SOCK_STREAM, IPPROTO_TCP },
    { "UDP alone", AF_UNSPEC, 0, IPPROTO_UDP, 0, ANY_FAMILY, SOCK_DGRAM, IPPROTO_UDP },
};

static const char *const functions[] = { "WSASocketA", "WSASocketW", "socket" };

static SOCKET call(int function, int af, int type, int protocol)
{
    return function < 2 ? create(function, af, type, protocol, NULL, WSA_FLAG_OVERLAPPED) : socket(af, type, protocol);
}

static void try_triple(int function, size_t i)
{
    WSAPROTOCOL_INFOW info;
    int length = sizeof info, code;
    char name[100];
    SOCKET s;
    snprintf(name, sizeof name, "%s: %s", functions[function], triples[i].name);
    WSASetLastError(ODD);
    s = call(function, triples[i].af, triples[i].type, triples[i].protocol);
    code = (int)WSAGetLastError();
    check(name, triples[i].code, s == INVALID_SOCKET ? code : 0);
    if (triples[i].code)
        return;
    check(title("%s: the last error", name), 0, code);
    memset(&info, 0, sizeof info);
    getsockopt(s, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&info, &length);
    if (triples[i].af_made == ANY_FAMILY)
        check_true(title("%s: the family", name), info.iAddressFamily == AF_INET || info.iAddressFamily == AF_INET6);
    else
        check_number(title("%s: the family", name), triples[i].af_made, info.iAddressFamily);
    check_number(title("%s: the type", name), triples[i].type_made, info.iSocketType);
    check_number(title("%s: the protocol", name), triples[i].protocol_made, info.iProtocol);
    closesocket(s);
}

/* Raw sockets are for those who may. */
static void raw(int function)
{
    WSAPROTOCOL_INFOW info;
    int length = sizeof info, code;
    char name[100];
    SOCKET s = call(function, AF_INET, SOCK_RAW, IPPROTO_ICMP);
    code = s == INVALID_SOCKET ? (int)WSAGetLastError() : 0;
    snprintf(name, sizeof name, "%s: a raw socket", functions[function]);
    check_true(title("%s is made or refused with WSAEACCES", name), code == 0 || code == WSAEACCES);
    if (s == INVALID_SOCKET) {
        skip(title("%s: its protocol in SO_PROTOCOL_INFO", name), "this user may not make one");
        return;
    }
    check_number(title("%s: its type", name), SOCK_RAW, option(s, SOL_SOCKET, SO_TYPE));
    memset(&info, 0xFF, sizeof info);
    check(title("%s: SO_PROTOCOL_INFO", name), 0,
          outcome(getsockopt(s, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&info, &length)));
    check_number(title("%s: its protocol in SO_PROTOCOL_INFO", name), 0, info.iProtocol);
    check_number(title("%s: its type in SO_PROTOCOL_INFO", name), SOCK_RAW, info.iSocketType);
    check_number(title("%s: its protocols in SO_PROTOCOL_INFO", name), 255, info.iProtocolMaxOffset);
    closesocket(s);
}

/* A group that does not exist, and flags that mean nothing. */
static void others(void)
{
    check("WSASocketA: an unknown group", WSAEINVAL,
          outcome_socket(WSASocketA(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0x12345, 0)));
    check("WSASocketW: an unknown group", WSAEINVAL,
          outcome_socket(WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0x12345, 0)));
    check("WSASocketA: an unknown flag", WSAEPROTOTYPE,
          outcome_socket(WSASocketA(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0, 0x20000)));
    check("WSASocketW: an unknown flag", WSAEPROTOTYPE,
          outcome_socket(WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0, 0x20000)));
    check("WSASocketW: every ordinary flag", 0,
          outcome_socket(WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0, WSA_FLAG_OVERLAPPED | 0x80)));
}

int main(void)
{
    start();
    for (int function = 0; function < 3; function++) {
        for (size_t i = 0; i < sizeof triples / sizeof *triples; i++)
            try_triple(function, i);
        raw(function);
    }
    others();
    WSACleanup();
    return finish();
}
