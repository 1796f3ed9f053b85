/* WSADuplicateSocket: its errors, the order in which they are found, and what it leaves behind. */
#include "sockets.h"

#define MANY 64

static int wide;

#define NAME(text) title("duplicate %s: " text, wide ? "W" : "A")

static int code(SOCKET s, DWORD process, Info *info)
{
    return outcome(duplicate(wide, s, process, info));
}

/* The socket is checked first, then the process, then the buffer. */
static void order(void)
{
    static const struct { const char *name; DWORD id; } bad[] = {
        { "0", 0 }, { "0xFFFFFFFF", 0xFFFFFFFF }, { "of nobody", NO_PROCESS },
    };
    DWORD own = GetCurrentProcessId();
    SOCKET s = tcp();
    Info info;
    check(NAME("the socket is checked before the process and the buffer"), WSAENOTSOCK, code(0, 0, NULL));
    check(NAME("the socket is checked before the process"), WSAENOTSOCK, code(INVALID_SOCKET, 0, &info));
    check(NAME("the socket is checked before the buffer"), WSAENOTSOCK, code(closed(), own, NULL));
    check(NAME("no socket"), WSAENOTSOCK, code(0, own, &info));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        check(title("duplicate %s: process id %s", wide ? "W" : "A", bad[i].name), WSAEINVAL,
              code(s, bad[i].id, &info));
        check(title("duplicate %s: process id %s is found before the buffer", wide ? "W" : "A", bad[i].name), WSAEINVAL,
              code(s, bad[i].id, NULL));
    }
    check(NAME("NULL for the info"), WSAEFAULT, code(s, own, NULL));
    check(NAME("a bad pointer for the info"), WSAEFAULT, code(s, own, BAD_POINTER));
    check(NAME("to the process itself"), 0, code(s, own, &info));
    closesocket(s);
    check(NAME("a closed socket"), WSAENOTSOCK, code(s, own, &info));
}

/* Exactly the structure is written. */
static void size(void)
{
    unsigned char room[sizeof(Info) + 64];
    size_t length = wide ? 628 : 372, beyond = 0;
    SOCKET s = tcp();
    SOCKET redeemed;
    memset(room, 0xAB, sizeof room);
    check_number(NAME("size of the structure"), length, wide ? sizeof(WSAPROTOCOL_INFOW) : sizeof(WSAPROTOCOL_INFOA));
    check(NAME("into a buffer"), 0, code(s, GetCurrentProcessId(), (Info *)room));
    for (size_t i = length; i < sizeof room; i++)
        beyond += room[i] != 0xAB;
    check_number(NAME("nothing is written behind the structure"), 0, beyond);
    redeemed = redeem(wide, (Info *)room);
    check_true(NAME("the bytes are an info"), redeemed != INVALID_SOCKET);
    close_pair(redeemed, s);
}

/* What the info says of the protocol is what the socket says. */
static void contents(const char *what, SOCKET s)
{
    Info info = duplicated(wide, s), own;
    int length = wide ? sizeof own.wide : sizeof own.narrow;
    SOCKET redeemed;
    const WSAPROTOCOL_INFOA *given = &info.narrow, *known = &own.narrow; /* alike in both forms, but for the name */
    need(!getsockopt(s, SOL_SOCKET, wide ? SO_PROTOCOL_INFOW : SO_PROTOCOL_INFOA, (char *)&own, &length),
         "SO_PROTOCOL_INFO");
#define MEMBER(member) \
    check_number(title("duplicate %s: %s: " #member, wide ? "W" : "A", what), known->member, given->member)
    MEMBER(dwServiceFlags1);
    MEMBER(dwProviderFlags);
    MEMBER(dwCatalogEntryId);
    MEMBER(ProtocolChain.ChainLen);
    MEMBER(iVersion);
    MEMBER(iAddressFamily);
    MEMBER(iMaxSockAddr);
    MEMBER(iMinSockAddr);
    MEMBER(iSocketType);
    MEMBER(iProtocol);
#undef MEMBER
    check_true(title("duplicate %s: %s: ProviderId", wide ? "W" : "A", what),
               !memcmp(&known->ProviderId, &given->ProviderId, sizeof given->ProviderId));
    redeemed = redeem(wide, &info);
    check_true(title("duplicate %s: %s: is redeemed", wide ? "W" : "A", what), redeemed != INVALID_SOCKET);
    close_pair(redeemed, s);
}

static void kinds(void)
{
    struct sockaddr_in address;
    SOCKET client, server, six;
    contents("TCP", tcp());
    contents("UDP", udp());
    contents("a listener", listening(&address));
    pair(&client, &server);
    contents("a connection", client);
    closesocket(server);
    six = socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP);
    if (six != INVALID_SOCKET)
        contents("TCP over IPv6", six);
    else
        skip(NAME("TCP over IPv6"), "this machine has no IPv6");
}

/* The source stays as it was, and has its own life. */
static void source(void)
{
    SOCKET client, server, redeemed;
    char byte = 0;
    Info info;
    pair(&client, &server);
    info = duplicated(wide, client);
    check(NAME("the source is still usable"), 0, outcome(send(client, "a", 1, 0)));
    closesocket(client);
    redeemed = redeem(wide, &info);
    check_true(NAME("the source may be closed before the info is redeemed"), redeemed != INVALID_SOCKET);
    check(NAME("the duplicate is the connection"), 0, outcome(send(redeemed, "b", 1, 0)));
    recv(server, &byte, 1, 0);
    check_number(NAME("what the source sent arrives"), 'a', byte);
    recv(server, &byte, 1, 0);
    check_number(NAME("what the duplicate sends arrives"), 'b', byte);
    closesocket(redeemed);
    check_number(NAME("the last close ends the connection"), 0, recv(server, &byte, 1, 0));
    closesocket(server);
}

/* One call for each redemption. */
static void many(void)
{
    SOCKET first = udp(), s[MANY];
    Info info[MANY], again;
    int redeemed = 0, distinct = 1;
    for (int i = 0; i < MANY; i++)
        info[i] = duplicated(wide, first);
    check_true(NAME("two infos of one socket differ"),
               memcmp(&info[0], &info[1], wide ? sizeof info[0].wide : sizeof info[0].narrow));
    for (int i = MANY; i--;) {
        s[i] = redeem(wide, &info[i]);
        redeemed += s[i] != INVALID_SOCKET;
        for (int j = i + 1; j < MANY; j++)
            distinct = distinct && s[i] != s[j] && s[i] != first;
    }
    check_number(NAME("64 infos of one socket are redeemed"), MANY, redeemed);
    check_true(NAME("each is a descriptor of its own"), distinct);
    closesocket(first);
    again = duplicated(wide, s[0]);
    check(NAME("a duplicate is duplicated"), 0, outcome_socket(redeem(wide, &again)));
    for (int i = 0; i < MANY; i++)
        closesocket(s[i]);
}

int main(void)
{
    start();
    for (wide = 0; wide < 2; wide++) {
        order();
        size();
        kinds();
        source();
        many();
    }
    WSACleanup();
    return finish();
}
