/* WSASocket with an info that describes a protocol: each of the three arguments wins over the info unless it is 0 or
 * -1. And what a socket says of its own protocol. */
#include "sockets.h"

static int wide;

#define NAME(text) title("info %s: " text, wide ? "W" : "A")

/* The entry of the catalog for a protocol. */
static Info entry(int af, int type, int protocol)
{
    static union { WSAPROTOCOL_INFOA narrow[200]; WSAPROTOCOL_INFOW wide[200]; } list;
    DWORD size = sizeof list;
    int count = wide ? WSAEnumProtocolsW(NULL, list.wide, &size) : WSAEnumProtocolsA(NULL, list.narrow, &size);
    Info found;
    for (int i = 0; i < count; i++) {
        memset(&found, 0, sizeof found);
        memcpy(&found, wide ? (void *)&list.wide[i] : (void *)&list.narrow[i],
               wide ? sizeof found.wide : sizeof found.narrow);
        if (found.wide.iAddressFamily == af && found.wide.iSocketType == type && found.wide.iProtocol == protocol)
            return found;
    }
    need(0, "an entry of the catalog");
    return found;
}

static void triple(Info *info, int af, int type, int protocol)
{
    info->wide.iAddressFamily = af;
    info->wide.iSocketType = type;
    info->wide.iProtocol = protocol;
}

static void made(const char *name, int type, int af, SOCKET s)
{
    Info info;
    int length = sizeof info.wide;
    check(name, 0, s == INVALID_SOCKET ? WSAGetLastError() : 0);
    check_number(title("%s: its type", name), type, option(s, SOL_SOCKET, SO_TYPE));
    memset(&info, 0, sizeof info);
    getsockopt(s, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&info, &length);
    check_number(title("%s: its family", name), af, info.wide.iAddressFamily);
    closesocket(s);
}

static void arguments(void)
{
    Info tcp_info = entry(AF_INET, SOCK_STREAM, IPPROTO_TCP), udp_info = entry(AF_INET, SOCK_DGRAM, IPPROTO_UDP), info;
    made(NAME("TCP with -1 -1 -1"), SOCK_STREAM, AF_INET, create(wide, -1, -1, -1, &tcp_info, 0));
    made(NAME("TCP with 0 0 0"), SOCK_STREAM, AF_INET, create(wide, 0, 0, 0, &tcp_info, 0));
    made(NAME("UDP with 0 0 0"), SOCK_DGRAM, AF_INET, create(wide, 0, 0, 0, &udp_info, 0));
    made(NAME("UDP with -1 0 -1"), SOCK_DGRAM, AF_INET, create(wide, -1, 0, -1, &udp_info, 0));
    made(NAME("UDP with the triple of TCP"), SOCK_STREAM, AF_INET,
         create(wide, AF_INET, SOCK_STREAM, IPPROTO_TCP, &udp_info, 0));
    made(NAME("TCP twice"), SOCK_STREAM, AF_INET, create(wide, -1, -1, -1, &tcp_info, 0));
    info = tcp_info;
    triple(&info, -1, -1, -1);
    check(NAME("-1 -1 -1 with 0 0 UDP"), WSAEAFNOSUPPORT,
          outcome_socket(create(wide, 0, 0, IPPROTO_UDP, &info, 0)));
    triple(&info, 0, 0, 0);
    check(NAME("0 0 0 with 0 0 UDP"), WSAEAFNOSUPPORT, outcome_socket(create(wide, 0, 0, IPPROTO_UDP, &info, 0)));
    triple(&info, AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    made(NAME("TCP rewritten as UDP with 0 0 0"), SOCK_DGRAM, AF_INET, create(wide, 0, 0, 0, &info, 0));
    made(NAME("TCP rewritten as UDP with the triple of TCP"), SOCK_STREAM, AF_INET,
         create(wide, AF_INET, SOCK_STREAM, IPPROTO_TCP, &info, 0));
}

static void set_type(const char *name, int code, SOCKET s)
{
    int value = SOCK_STREAM;
    check(title("%s to SOCK_STREAM", name), code,
          outcome(setsockopt(s, SOL_SOCKET, SO_TYPE, (char *)&value, sizeof value)));
    value = SOCK_DGRAM;
    check(title("%s to SOCK_DGRAM", name), code,
          outcome(setsockopt(s, SOL_SOCKET, SO_TYPE, (char *)&value, sizeof value)));
    closesocket(s);
}

static void types(void)
{
    Info info = entry(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    set_type(NAME("SO_TYPE of a UDP socket cannot be set"), WSAEINVAL, create(wide, 0, 0, 0, &info, 0));
    set_type(NAME("SO_TYPE of a TCP socket cannot be set"), WSAENOPROTOOPT,
             create(wide, AF_INET, SOCK_STREAM, IPPROTO_TCP, &info, 0));
}

/* SO_PROTOCOL_INFO */
static void own(int af, int type, int protocol, const char *name)
{
    SOCKET s = socket(af, type, protocol);
    int exact = wide ? 628 : 372, length = exact, which = wide ? SO_PROTOCOL_INFOW : SO_PROTOCOL_INFOA;
    char room[sizeof(Info) + 100];
    Info info, known;
    if (s == INVALID_SOCKET) {
        skip(title("info %s: of a %s socket", wide ? "W" : "A", name), "this machine has none");
        return;
    }
    known = entry(af, type, protocol);
    memset(&info, 0, sizeof info);
    check(title("info %s: of a %s socket", wide ? "W" : "A", name), 0,
          outcome(getsockopt(s, SOL_SOCKET, which, (char *)&info, &length)));
    check_number(title("info %s: of a %s socket: its size", wide ? "W" : "A", name), exact, length);
    length = exact + 100;
    getsockopt(s, SOL_SOCKET, which, (char *)room, &length);
    check_number(title("info %s: of a %s socket: its size in a long buffer", wide ? "W" : "A", name), exact, length);
    check_true(title("info %s: of a %s socket: it is the entry of the catalog", wide ? "W" : "A", name),
               !memcmp(&info, &known, 116));
    length = exact - 1;
    check(title("info %s: of a %s socket: a short buffer", wide ? "W" : "A", name), WSAEFAULT,
          outcome(getsockopt(s, SOL_SOCKET, which, (char *)&info, &length)));
    closesocket(s);
}

/* A redeemed descriptor says of itself what the source says. */
static void redeemed(void)
{
    SOCKET source = udp(), s = another(source);
    int length = wide ? 628 : 372;
    Info info, known = entry(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    check(NAME("of a redeemed descriptor"), 0,
          outcome(getsockopt(s, SOL_SOCKET, wide ? SO_PROTOCOL_INFOW : SO_PROTOCOL_INFOA, (char *)&info, &length)));
    check_number(NAME("of a redeemed descriptor: the catalog's id"), known.wide.dwCatalogEntryId,
                 info.wide.dwCatalogEntryId);
    check(NAME("SO_PROTOCOL_INFO makes a new socket"), 0, outcome_socket(create(wide, -1, -1, -1, &info, 0)));
    close_pair(source, s);
}

/* The catalog: asked with too little room it says how much it needs. */
static void catalog(void)
{
    int protocols[] = { IPPROTO_TCP, 0 };
    DWORD size = 0;
    check(NAME("the catalog without a buffer"), WSAENOBUFS,
          outcome(wide ? WSAEnumProtocolsW(NULL, NULL, &size) : WSAEnumProtocolsA(NULL, NULL, &size)));
    check_true(NAME("the catalog says how much it needs"), size >= 2 * (wide ? 628u : 372u));
    size = 0;
    check(NAME("the catalog for TCP without a buffer"), WSAENOBUFS,
          outcome(wide ? WSAEnumProtocolsW(protocols, NULL, &size) : WSAEnumProtocolsA(protocols, NULL, &size)));
    check_number(NAME("the catalog for TCP is whole entries"), 0, size % (wide ? 628 : 372));
}

int main(void)
{
    start();
    for (wide = 0; wide < 2; wide++) {
        arguments();
        types();
        own(AF_INET, SOCK_STREAM, IPPROTO_TCP, "TCP");
        own(AF_INET, SOCK_DGRAM, IPPROTO_UDP, "UDP");
        own(AF_INET6, SOCK_STREAM, IPPROTO_TCP, "TCP over IPv6");
        own(AF_INET6, SOCK_DGRAM, IPPROTO_UDP, "UDP over IPv6");
        redeemed();
        catalog();
    }
    WSACleanup();
    return finish();
}
