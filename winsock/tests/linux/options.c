/* Each socket option of the headers that is served does what it is called, by the kernel's word; others are refused. */
#include <winsock2.h>
#include <ws2tcpip.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In a file of its own, which sees the system's headers alone. */
int kernel_says(const char *name);
int kernel_waits(int sends);
int kernel_lingers(void);
int kernel_has_ip_options(void);
int kernel_filters(unsigned group, unsigned interface, unsigned *count, unsigned *first);

static int wrong;

static void expect(const char *what, long expected, long found)
{
    if (expected == found)
        return;
    fprintf(stderr, "%s: %ld instead of %ld\n", what, found, expected);
    wrong = 1;
}

static SOCKET make(int family, int type)
{
    SOCKET s = socket(family, type, 0);

    if (s == INVALID_SOCKET) {
        fprintf(stderr, "socket: error %d\n", (int)WSAGetLastError());
        exit(EXIT_FAILURE);
    }
    return s;
}

static int set(SOCKET s, int level, int name, const void *value, int length)
{
    return setsockopt(s, level, name, value, length) ? WSAGetLastError() : 0;
}

static int get(SOCKET s, int level, int name)
{
    int value = -1, length = sizeof value;

    return getsockopt(s, level, name, (char *)&value, &length) ? -WSAGetLastError() : value;
}

/* An option, what it is set to, and what the kernel and Winsock say then. */
struct row { const char *name, *system; int family, type, level, number, given, kernel, told; };

#define ROW(family, type, level, name, system, given, kernel, told) \
    { #name, #system, family, type, level, name, given, kernel, told }
static const struct row ROWS[] = {
    ROW(AF_INET, SOCK_STREAM, SOL_SOCKET, SO_KEEPALIVE, SO_KEEPALIVE, 7, 1, 1),
    ROW(AF_INET, SOCK_STREAM, SOL_SOCKET, SO_DONTROUTE, SO_DONTROUTE, 7, 1, 1),
    ROW(AF_INET, SOCK_DGRAM, SOL_SOCKET, SO_BROADCAST, SO_BROADCAST, 7, 1, 1),
    ROW(AF_INET, SOCK_STREAM, SOL_SOCKET, SO_OOBINLINE, SO_OOBINLINE, 7, 1, 1),
    ROW(AF_INET, SOCK_STREAM, SOL_SOCKET, SO_SNDBUF, SO_SNDBUF, 20000, 40000, 20000),
    ROW(AF_INET, SOCK_STREAM, SOL_SOCKET, SO_RCVBUF, SO_RCVBUF, 20000, 40000, 20000),
    ROW(AF_INET, SOCK_STREAM, SOL_SOCKET, SO_RCVLOWAT, SO_RCVLOWAT, 17, 17, 17),
    ROW(AF_INET, SOCK_STREAM, SOL_SOCKET, SO_REUSEADDR, SO_REUSEPORT, 1, 1, 1),
    ROW(AF_INET, SOCK_DGRAM, SOL_SOCKET, SO_REUSEADDR, SO_REUSEPORT, 1, 1, 1),
    ROW(AF_INET, SOCK_DGRAM, SOL_SOCKET, SO_REUSEADDR, SO_REUSEADDR, 1, 1, 1),
    ROW(AF_INET, SOCK_STREAM, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, SO_REUSEADDR, 1, 0, 1),
    ROW(AF_INET, SOCK_STREAM, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, SO_REUSEADDR, 0, 1, 0),
    ROW(AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_NODELAY, TCP_NODELAY, 7, 1, 1),
    ROW(AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_KEEPIDLE, TCP_KEEPIDLE, 33, 33, 33),
    ROW(AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_MAXSEG, TCP_MAXSEG, 1000, 1000, 1000),
    ROW(AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_FASTOPEN, TCP_FASTOPEN, 5, 5, 5),
    ROW(AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_KEEPCNT, TCP_KEEPCNT, 4, 4, 4),
    ROW(AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_KEEPINTVL, TCP_KEEPINTVL, 11, 11, 11),
    ROW(AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_TOS, IP_TOS, 0x10, 0x10, 0x10),
    ROW(AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_TTL, IP_TTL, 33, 33, 33),
    ROW(AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_MULTICAST_TTL, IP_MULTICAST_TTL, 7, 7, 7),
    ROW(AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_MULTICAST_LOOP, IP_MULTICAST_LOOP, 0, 0, 0),
    ROW(AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_MULTICAST_IF, IP_MULTICAST_IF, 0x0100007f, 0x0100007f, 0x0100007f),
    ROW(AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_DONTFRAGMENT, IP_MTU_DISCOVER, 1, 2, 1),
    ROW(AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_DONTFRAGMENT, IP_MTU_DISCOVER, 0, 0, 0),
    ROW(AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_UNICAST_HOPS, IPV6_UNICAST_HOPS, 33, 33, 33),
    ROW(AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_MULTICAST_IF, IPV6_MULTICAST_IF, 1, 1, 1),
    ROW(AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, IPV6_MULTICAST_HOPS, 9, 9, 9),
    ROW(AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, IPV6_MULTICAST_LOOP, 0, 0, 0),
    ROW(AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_DONTFRAG, IPV6_MTU_DISCOVER, 1, 2, 1),
    ROW(AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_DONTFRAG, IPV6_MTU_DISCOVER, 0, 0, 0),
    ROW(AF_INET6, SOCK_STREAM, IPPROTO_IPV6, IPV6_V6ONLY, IPV6_V6ONLY, 1, 1, 1),
    ROW(AF_INET6, SOCK_STREAM, IPPROTO_IPV6, IPV6_V6ONLY, IPV6_V6ONLY, 0, 0, 0),
    /* Only of root. */
    ROW(AF_INET, SOCK_STREAM, SOL_SOCKET, SO_DEBUG, SO_DEBUG, 7, 1, 1),
    ROW(AF_INET, SOCK_RAW, IPPROTO_IP, IP_HDRINCL, IP_HDRINCL, 7, 1, 1),
};

static void check_row(const struct row *row)
{
    SOCKET s = socket(row->family, row->type, row->type == SOCK_RAW ? IPPROTO_UDP : 0);

    if (s == INVALID_SOCKET && row->type == SOCK_RAW)
        return;
    int refused = set(s, row->level, row->number, &row->given, sizeof row->given);
    if (!(refused == WSAEACCES && row->number == SO_DEBUG)) {
        expect(row->name, 0, refused);
        expect(row->name, row->kernel, kernel_says(row->system));
        expect(row->name, row->told, get(s, row->level, row->number));
    }
    closesocket(s);
}

static void check_times(void)
{
    struct linger on = { 1, 9 }, off = { 0, 9 };
    int yes = 1, no = 0, short_time = 1500, long_time = 2500;
    SOCKET s = make(AF_INET, SOCK_STREAM);

    expect("SO_SNDTIMEO", 0, set(s, SOL_SOCKET, SO_SNDTIMEO, &short_time, 4));
    expect("SO_RCVTIMEO", 0, set(s, SOL_SOCKET, SO_RCVTIMEO, &long_time, 4));
    expect("the send timeout", 1500, kernel_waits(1));
    expect("the receive timeout", 2500, kernel_waits(0));
    expect("SO_SNDTIMEO", 1500, get(s, SOL_SOCKET, SO_SNDTIMEO));
    expect("SO_RCVTIMEO", 2500, get(s, SOL_SOCKET, SO_RCVTIMEO));
    expect("SO_LINGER", 0, set(s, SOL_SOCKET, SO_LINGER, &on, sizeof on));
    expect("lingering", 9, kernel_lingers());
    expect("SO_DONTLINGER while lingering", 0, get(s, SOL_SOCKET, SO_DONTLINGER));
    expect("SO_DONTLINGER", 0, set(s, SOL_SOCKET, SO_DONTLINGER, &yes, 4));
    expect("lingering", -1, kernel_lingers());
    expect("SO_DONTLINGER off", 0, set(s, SOL_SOCKET, SO_DONTLINGER, &no, 4));
    expect("lingering", 0, kernel_lingers());
    expect("SO_LINGER off", 0, set(s, SOL_SOCKET, SO_LINGER, &off, sizeof off));
    expect("lingering", -1, kernel_lingers());
    closesocket(s);
}

static void check_groups(void)
{
    struct in_addr loopback = { .s_addr = htonl(INADDR_LOOPBACK) };
    struct in_addr group = { .s_addr = htonl(0xefff0001) }, source = { .s_addr = htonl(0x7f000002) };
    struct ip_mreq joined = { .imr_multiaddr = group, .imr_interface = loopback };
    struct ip_mreq_source from = { .imr_multiaddr = group, .imr_sourceaddr = source, .imr_interface = loopback };
    struct ipv6_mreq joined6 = { .ipv6mr_interface = 1 };
    unsigned count = 0, first = 0, g = group.s_addr, i = loopback.s_addr;
    SOCKET s = make(AF_INET, SOCK_DGRAM);

    expect("IP_ADD_SOURCE_MEMBERSHIP", 0, set(s, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &from, sizeof from));
    expect("what is heard", 'i', kernel_filters(g, i, &count, &first));
    expect("sources", 1, count);
    expect("the source", source.s_addr, first);
    expect("IP_DROP_SOURCE_MEMBERSHIP", 0, set(s, IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, &from, sizeof from));
    expect("once more", 1, set(s, IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, &from, sizeof from) != 0);
    expect("IP_ADD_MEMBERSHIP", 0, set(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &joined, sizeof joined));
    expect("what is not heard", 'e', kernel_filters(g, i, &count, &first));
    expect("sources", 0, count);
    expect("IP_BLOCK_SOURCE", 0, set(s, IPPROTO_IP, IP_BLOCK_SOURCE, &from, sizeof from));
    kernel_filters(g, i, &count, &first);
    expect("sources", 1, count);
    expect("the source", source.s_addr, first);
    expect("IP_UNBLOCK_SOURCE", 0, set(s, IPPROTO_IP, IP_UNBLOCK_SOURCE, &from, sizeof from));
    kernel_filters(g, i, &count, &first);
    expect("sources", 0, count);
    expect("IP_DROP_MEMBERSHIP", 0, set(s, IPPROTO_IP, IP_DROP_MEMBERSHIP, &joined, sizeof joined));
    expect("once more", 1, set(s, IPPROTO_IP, IP_DROP_MEMBERSHIP, &joined, sizeof joined) != 0);
    closesocket(s);

    s = make(AF_INET6, SOCK_DGRAM);
    inet_pton(AF_INET6, "ff15::1", &joined6.ipv6mr_multiaddr);
    expect("IPV6_LEAVE_GROUP before", 1, set(s, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &joined6, sizeof joined6) != 0);
    expect("IPV6_JOIN_GROUP", 0, set(s, IPPROTO_IPV6, IPV6_JOIN_GROUP, &joined6, sizeof joined6));
    expect("IPV6_LEAVE_GROUP", 0, set(s, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &joined6, sizeof joined6));
    expect("once more", 1, set(s, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &joined6, sizeof joined6) != 0);
    closesocket(s);
}

static void check_what_is_told(void)
{
    char info[628], nothing[4] = { 1, 1, 1, 0 };
    int one = 1, length = sizeof info;
    SOCKET s = make(AF_INET, SOCK_STREAM);

    expect("SO_ACCEPTCONN", 0, get(s, SOL_SOCKET, SO_ACCEPTCONN));
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr = { .s_addr = htonl(INADDR_LOOPBACK) } };
    expect("bind", 0, bind(s, (struct sockaddr *)&here, sizeof here));
    expect("listen", 0, listen(s, 1));
    expect("SO_ACCEPTCONN of a listener", 1, get(s, SOL_SOCKET, SO_ACCEPTCONN));
    expect("SO_ACCEPTCONN cannot be set", WSAENOPROTOOPT, set(s, SOL_SOCKET, SO_ACCEPTCONN, &one, 4));
    expect("SO_ERROR", 0, get(s, SOL_SOCKET, SO_ERROR));
    expect("SO_TYPE", SOCK_STREAM, get(s, SOL_SOCKET, SO_TYPE));
    expect("SO_CONNECT_TIME", -1, get(s, SOL_SOCKET, SO_CONNECT_TIME));
    expect("SO_CONDITIONAL_ACCEPT", 0, get(s, SOL_SOCKET, SO_CONDITIONAL_ACCEPT));
    expect("SO_CONDITIONAL_ACCEPT is kept", 0, set(s, SOL_SOCKET, SO_CONDITIONAL_ACCEPT, &one, 4));
    expect("SO_CONDITIONAL_ACCEPT", 1, get(s, SOL_SOCKET, SO_CONDITIONAL_ACCEPT));
    expect("SO_PROTOCOL_INFOW", 0, getsockopt(s, SOL_SOCKET, SO_PROTOCOL_INFOW, info, &length));
    expect("its length", 628, length);
    expect("SO_PROTOCOL_INFOA", 0, getsockopt(s, SOL_SOCKET, SO_PROTOCOL_INFOA, info, &length));
    expect("its length", 372, length);
    expect("SO_EXCLUSIVEADDRUSE after SO_REUSEADDR", 0, set(s, SOL_SOCKET, SO_REUSEADDR, &one, 4));
    expect("both", WSAEINVAL, set(s, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, &one, 4));
    closesocket(s);

    s = make(AF_INET, SOCK_DGRAM);
    expect("SO_MAX_MSG_SIZE", 65467, get(s, SOL_SOCKET, SO_MAX_MSG_SIZE));
    expect("IP_OPTIONS", 0, set(s, IPPROTO_IP, IP_OPTIONS, nothing, sizeof nothing));
    expect("options of IP", 4, kernel_has_ip_options());
    expect("a level of another protocol", WSAENOPROTOOPT, set(s, IPPROTO_TCP, TCP_NODELAY, &one, 4));
    expect("a level of another family", WSAENOPROTOOPT, set(s, IPPROTO_IPV6, IPV6_V6ONLY, &one, 4));
    expect("a level of nobody", WSAEINVAL, set(s, 4711, 1, &one, 4));
    expect("an option of nobody", WSAENOPROTOOPT, set(s, SOL_SOCKET, 0x4711, &one, 4));
    expect("an option that is not served", WSAENOPROTOOPT, set(s, SOL_SOCKET, SO_RANDOMIZE_PORT, &one, 4));
    closesocket(s);
}

int main(void)
{
    WSADATA data;

    if (WSAStartup(MAKEWORD(2, 2), &data) != 0)
        return EXIT_FAILURE;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++)
        check_row(&ROWS[i]);
    check_times();
    check_groups();
    check_what_is_told();
    if (wrong)
        return EXIT_FAILURE;
    printf("%d rows, by the kernel's word\n", (int)(sizeof ROWS / sizeof *ROWS));
    return EXIT_SUCCESS;
}
