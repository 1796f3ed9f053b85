/* The half of options that asks the kernel, with the system's names. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

struct option { const char *name; int level, number; };

#define OPTION(level, name) { #name, level, name }
static const struct option OPTIONS[] = {
    OPTION(SOL_SOCKET, SO_DEBUG), OPTION(SOL_SOCKET, SO_ACCEPTCONN), OPTION(SOL_SOCKET, SO_KEEPALIVE),
    OPTION(SOL_SOCKET, SO_DONTROUTE), OPTION(SOL_SOCKET, SO_BROADCAST), OPTION(SOL_SOCKET, SO_OOBINLINE),
    OPTION(SOL_SOCKET, SO_SNDBUF), OPTION(SOL_SOCKET, SO_RCVBUF), OPTION(SOL_SOCKET, SO_RCVLOWAT),
    OPTION(SOL_SOCKET, SO_REUSEADDR), OPTION(SOL_SOCKET, SO_REUSEPORT),
    OPTION(IPPROTO_TCP, TCP_NODELAY), OPTION(IPPROTO_TCP, TCP_KEEPIDLE), OPTION(IPPROTO_TCP, TCP_MAXSEG),
    OPTION(IPPROTO_TCP, TCP_FASTOPEN), OPTION(IPPROTO_TCP, TCP_KEEPCNT), OPTION(IPPROTO_TCP, TCP_KEEPINTVL),
    OPTION(IPPROTO_IP, IP_HDRINCL), OPTION(IPPROTO_IP, IP_TOS), OPTION(IPPROTO_IP, IP_TTL),
    OPTION(IPPROTO_IP, IP_MULTICAST_TTL), OPTION(IPPROTO_IP, IP_MULTICAST_LOOP), OPTION(IPPROTO_IP, IP_MULTICAST_IF),
    OPTION(IPPROTO_IP, IP_MTU_DISCOVER),
    OPTION(IPPROTO_IPV6, IPV6_UNICAST_HOPS), OPTION(IPPROTO_IPV6, IPV6_MULTICAST_IF),
    OPTION(IPPROTO_IPV6, IPV6_MULTICAST_HOPS), OPTION(IPPROTO_IPV6, IPV6_MULTICAST_LOOP),
    OPTION(IPPROTO_IPV6, IPV6_MTU_DISCOVER), OPTION(IPPROTO_IPV6, IPV6_V6ONLY),
};

/* The only socket of the process: whose descriptor it is, a program of Winsock does not learn. */
static int the_socket(void)
{
    int found = -1;

    for (int descriptor = 3; descriptor < 256; descriptor++) {
        int domain;
        socklen_t length = sizeof domain;
        if (getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0
            && (domain == AF_INET || domain == AF_INET6))
            found = found == -1 ? descriptor : -2;
    }
    return found;
}

/* What the kernel says of an option; -1000 when it says nothing. */
int kernel_says(const char *name)
{
    for (size_t i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; i++) {
        int value = 0;
        socklen_t length = sizeof value;
        if (strcmp(OPTIONS[i].name, name) == 0
            && getsockopt(the_socket(), OPTIONS[i].level, OPTIONS[i].number, &value, &length) == 0)
            return value;
    }
    return -1000;
}

/* A timeout in milliseconds. */
int kernel_waits(int sends)
{
    struct timeval time;
    socklen_t length = sizeof time;

    if (getsockopt(the_socket(), SOL_SOCKET, sends ? SO_SNDTIMEO : SO_RCVTIMEO, &time, &length) != 0)
        return -1000;
    return (int)(time.tv_sec * 1000 + time.tv_usec / 1000);
}

/* Seconds of SO_LINGER, or -1 when it is off. */
int kernel_lingers(void)
{
    struct linger linger;
    socklen_t length = sizeof linger;

    if (getsockopt(the_socket(), SOL_SOCKET, SO_LINGER, &linger, &length) != 0)
        return -1000;
    return linger.l_onoff ? linger.l_linger : -1;
}

/* Options of IP: how many bytes. */
int kernel_has_ip_options(void)
{
    unsigned char bytes[40];
    socklen_t length = sizeof bytes;

    return getsockopt(the_socket(), IPPROTO_IP, IP_OPTIONS, bytes, &length) ? -1000 : (int)length;
}

/* The sources of a group on an interface: 'i' for those that are heard, 'e' for those that are not; and the first. */
int kernel_filters(unsigned group, unsigned interface, unsigned *count, unsigned *first)
{
    struct { struct ip_msfilter filter; struct in_addr more[7]; } asked;
    socklen_t length = sizeof asked;

    memset(&asked, 0, sizeof asked);
    asked.filter.imsf_multiaddr.s_addr = group;
    asked.filter.imsf_interface.s_addr = interface;
    asked.filter.imsf_numsrc = 8;
    if (getsockopt(the_socket(), IPPROTO_IP, IP_MSFILTER, &asked, &length) != 0)
        return '-';
    *count = asked.filter.imsf_numsrc;
    *first = asked.filter.imsf_slist[0].s_addr;
    return asked.filter.imsf_fmode == MCAST_INCLUDE ? 'i' : 'e';
}
