/* WSASocket with the info of a duplicate: what redeems it, and what does not. */
#include "sockets.h"

static int wide;

#define NAME(text) title("redeem %s: " text, wide ? "W" : "A")

/* The three arguments are ignored, whatever they are; so are the flags. */
static void arguments(void)
{
    static const struct { const char *name; int af, type, protocol; DWORD flags; } ways[] = {
        { "with 0 0 0", 0, 0, 0, 0 },
        { "with -1 -1 -1", -1, -1, -1, 0 },
        { "with 0 0 -1", 0, 0, -1, 0 },
        { "with AF_INET SOCK_STREAM 0", AF_INET, SOCK_STREAM, 0, 0 },
        { "with AF_INET SOCK_STREAM IPPROTO_TCP", AF_INET, SOCK_STREAM, IPPROTO_TCP, 0 },
        { "with the triple of another protocol", AF_INET, SOCK_DGRAM, IPPROTO_UDP, 0 },
        { "with the triple of another family", AF_INET6, SOCK_STREAM, IPPROTO_TCP, 0 },
        { "with WSA_FLAG_OVERLAPPED", -1, -1, -1, WSA_FLAG_OVERLAPPED },
        { "with WSA_FLAG_NO_HANDLE_INHERIT", -1, -1, -1, 0x80 },
        { "with both flags", -1, -1, -1, WSA_FLAG_OVERLAPPED | 0x80 },
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        SOCKET source = tcp();
        Info info = duplicated(wide, source);
        SOCKET s = create(wide, ways[i].af, ways[i].type, ways[i].protocol, &info, ways[i].flags);
        check(title("redeem %s: %s", wide ? "W" : "A", ways[i].name), 0, s == INVALID_SOCKET ? WSAGetLastError() : 0);
        check_number(title("redeem %s: %s: it is the same socket", wide ? "W" : "A", ways[i].name), SOCK_STREAM,
                     option(s, SOL_SOCKET, SO_TYPE));
        close_pair(s, source);
    }
}

/* A group is none of Winsock's two, nor one that exists. */
static void group(void)
{
    SOCKET source = tcp();
    Info info = duplicated(wide, source);
    SOCKET s = wide ? WSASocketW(-1, -1, -1, &info.wide, 0x12345, 0) : WSASocketA(-1, -1, -1, &info.narrow, 0x12345, 0);
    check(NAME("an unknown group"), WSAEINVAL, outcome_socket(s));
    closesocket(source);
}

static void descriptor(void)
{
    SOCKET source = udp(), s = INVALID_SOCKET;
    struct sockaddr_in address = bound(source), seen;
    int length = sizeof seen;
    Info info = duplicated(wide, source);
    s = redeem(wide, &info);
    check_true(NAME("the descriptor is another number"), s != source);
    check(NAME("it has a name"), 0, outcome(getsockname(s, (struct sockaddr *)&seen, &length)));
    check_number(NAME("it is the source's name"), address.sin_port, seen.sin_port);
    check(NAME("closing the source leaves it open"), 0, outcome(closesocket(source)));
    check(NAME("it sends"), 0, outcome(sendto(s, "x", 1, 0, (struct sockaddr *)&address, sizeof address)));
    check(NAME("it is closed"), 0, outcome(closesocket(s)));
    check(NAME("it is closed once"), WSAENOTSOCK, outcome(closesocket(s)));
}

/* One info is one descriptor. */
static void once(void)
{
    SOCKET source = tcp(), first, second;
    Info info = duplicated(wide, source), copy = info;
    int code;
    first = redeem(wide, &info);
    second = redeem(wide, &info);
    code = second == INVALID_SOCKET ? WSAGetLastError() : 0;
    check(NAME("a second time"), WSAEINVAL, code);
    second = redeem(wide, &copy);
    code = second == INVALID_SOCKET ? WSAGetLastError() : 0;
    check(NAME("a copy of one that was redeemed"), WSAEINVAL, code);
    check_number(NAME("the first descriptor is not touched by that"), SOCK_STREAM, option(first, SOL_SOCKET, SO_TYPE));
    closesocket(first);
    second = redeem(wide, &info);
    code = second == INVALID_SOCKET ? WSAGetLastError() : 0;
    check(NAME("a second time after the first was closed"), WSAEINVAL, code);
    closesocket(source);
}

/* The members that are a provider's own, and in which an altered bit must be found. */
static void altered(void)
{
    static const struct { const char *name; size_t offset; } members[] = {
        { "dwServiceFlags2", 4 }, { "dwServiceFlags3", 8 }, { "dwServiceFlags4", 12 }, { "dwProviderReserved", 112 },
    };
    SOCKET source = tcp();
    Info genuine = duplicated(wide, source), info;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        info = genuine;
        for (int j = 0; j < 4; j++)
            ((unsigned char *)&info)[members[i].offset + j] ^= 0xFF;
        check(title("redeem %s: %s altered", wide ? "W" : "A", members[i].name), WSAEINVAL,
              outcome_socket(redeem(wide, &info)));
    }
    info = genuine;
    info.wide.dwCatalogEntryId = 999999;
    check(NAME("dwCatalogEntryId altered"), WSAEINVAL, outcome_socket(redeem(wide, &info)));
    info = genuine;
    info.wide.ProtocolChain.ChainEntries[0] ^= 1;
    info.wide.dwServiceFlags3 ^= 1;
    info.wide.dwServiceFlags4 ^= 1;
    info.wide.dwProviderReserved ^= 1;
    check(NAME("one bit altered in every private member"), WSAEINVAL, outcome_socket(redeem(wide, &info)));
    check(NAME("an altered copy does not use up the genuine one"), 0, outcome_socket(redeem(wide, &genuine)));
    closesocket(source);
}

static void none(void)
{
    Info info;
    memset(&info, 0, sizeof info);
    check(NAME("an info of zeros with -1 -1 -1"), WSAEINVAL, outcome_socket(redeem(wide, &info)));
    check(NAME("an info of zeros with 0 0 0"), WSAEINVAL, outcome_socket(create(wide, 0, 0, 0, &info, 0)));
    check(NAME("a bad pointer for the info"), WSAEFAULT, outcome_socket(redeem(wide, BAD_POINTER)));
}

/* The name is all in which the two forms differ, and both are redeemed. */
static void conversion(void)
{
    SOCKET source = tcp();
    Info from = duplicated(wide, source), to;
    size_t head = (size_t)((char *)from.wide.szProtocol - (char *)&from);
    memset(&to, 0, sizeof to);
    memcpy(&to, &from, head);
    for (int i = 0; i < WSAPROTOCOL_LEN; i++)
        if (wide)
            to.narrow.szProtocol[i] = (char)from.wide.szProtocol[i];
        else
            to.wide.szProtocol[i] = (unsigned char)from.narrow.szProtocol[i];
    check_number(NAME("the name begins behind the same members"), 116, head);
    check(NAME("converted to the other form"), 0, outcome_socket(redeem(!wide, &to)));
    from = duplicated(wide, source);
    memset((char *)&from + head, 0, wide ? 512 : 256);
    check(NAME("without the protocol's name"), 0, outcome_socket(redeem(wide, &from)));
    closesocket(source);
}

int main(void)
{
    start();
    for (wide = 0; wide < 2; wide++) {
        arguments();
        descriptor();
        conversion();
    }
    for (wide = 0; wide < 2; wide++) {
        group();
        once();
        altered();
        none();
    }
    WSACleanup();
    return finish();
}
