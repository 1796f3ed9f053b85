/* Winsock's functions and structures for TCP/IP: names of hosts, and addresses of version 6. */
#ifndef SHARESOCK_WS2TCPIP_H
#define SHARESOCK_WS2TCPIP_H

#include "winsock2.h"

/* What getaddrinfo takes and gives. The name comes before the address, and the length is a size_t, as on Windows. */
typedef struct addrinfo {
    int ai_flags;
    int ai_family;
    int ai_socktype;
    int ai_protocol;
    size_t ai_addrlen;
    char *ai_canonname;
    struct sockaddr *ai_addr;
    struct addrinfo *ai_next;
} ADDRINFOA, *PADDRINFOA, *LPADDRINFOA;

typedef struct addrinfoW {
    int ai_flags;
    int ai_family;
    int ai_socktype;
    int ai_protocol;
    size_t ai_addrlen;
    PWSTR ai_canonname;
    struct sockaddr *ai_addr;
    struct addrinfoW *ai_next;
} ADDRINFOW, *PADDRINFOW, *LPADDRINFOW;

/* ai_flags. Those from AI_NON_AUTHORITATIVE on have no effect. */
#define AI_PASSIVE 0x00000001
#define AI_CANONNAME 0x00000002
#define AI_NUMERICHOST 0x00000004
#define AI_NUMERICSERV 0x00000008
#define AI_ALL 0x00000100
#define AI_ADDRCONFIG 0x00000400
#define AI_V4MAPPED 0x00000800
#define AI_NON_AUTHORITATIVE 0x00004000
#define AI_SECURE 0x00008000
#define AI_RETURN_PREFERRED_NAMES 0x00010000
#define AI_FQDN 0x00020000
#define AI_FILESERVER 0x00040000
#define AI_DISABLE_IDN_ENCODING 0x00080000

/* Of getnameinfo. */
#define NI_NOFQDN 0x01
#define NI_NUMERICHOST 0x02
#define NI_NAMEREQD 0x04
#define NI_NUMERICSERV 0x08
#define NI_DGRAM 0x10
#define NI_MAXHOST 1025
#define NI_MAXSERV 32

/* Room for the text of an address. */
#define INET_ADDRSTRLEN 22
#define INET6_ADDRSTRLEN 65

/* Two addresses of version 6. */
#define IN6ADDR_ANY_INIT { { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 } } }
#define IN6ADDR_LOOPBACK_INIT { { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 } } }
static const struct in6_addr in6addr_any __attribute__((unused)) = IN6ADDR_ANY_INIT;
static const struct in6_addr in6addr_loopback __attribute__((unused)) = IN6ADDR_LOOPBACK_INIT;

SHARESOCK_BEGIN

/* Finds the addresses of a host and a service. Returns its code, an EAI_ number, which WSAGetLastError has, too. */
INT getaddrinfo(PCSTR host, PCSTR service, const ADDRINFOA *hints, PADDRINFOA *found) SHARESOCK_NAME(getaddrinfo);
INT GetAddrInfoW(PCWSTR host, PCWSTR service, const ADDRINFOW *hints, PADDRINFOW *found) SHARESOCK_NAME(GetAddrInfoW);

/* Frees what was found. */
void freeaddrinfo(PADDRINFOA found) SHARESOCK_NAME(freeaddrinfo);
void FreeAddrInfoW(PADDRINFOW found) SHARESOCK_NAME(FreeAddrInfoW);

/* The names of an address' host and service. */
INT getnameinfo(const SOCKADDR *address, socklen_t length, PCHAR host, DWORD host_room, PCHAR service,
                DWORD service_room, INT flags) SHARESOCK_NAME(getnameinfo);
INT GetNameInfoW(const SOCKADDR *address, socklen_t length, PWCHAR host, DWORD host_room, PWCHAR service,
                 DWORD service_room, INT flags) SHARESOCK_NAME(GetNameInfoW);

/* An address from text: 1, or 0 when it is none, or -1. */
INT inet_pton(INT family, PCSTR text, PVOID address) SHARESOCK_NAME(inet_pton);
INT InetPtonW(INT family, PCWSTR text, PVOID address) SHARESOCK_NAME(InetPtonW);

/* The text of an address; NULL when there is not enough room. */
PCSTR inet_ntop(INT family, const VOID *address, PSTR text, size_t room) SHARESOCK_NAME(inet_ntop);
PCWSTR InetNtopW(INT family, const VOID *address, PWSTR text, size_t room) SHARESOCK_NAME(InetNtopW);

/* What an EAI_ number means; the text lasts until the thread's next call. */
char *gai_strerrorA(int code) SHARESOCK_NAME(gai_strerrorA);
WCHAR *gai_strerrorW(int code) SHARESOCK_NAME(gai_strerrorW);

SHARESOCK_END

#define GetAddrInfoA getaddrinfo
#define FreeAddrInfoA freeaddrinfo
#define GetNameInfoA getnameinfo
#define InetPtonA inet_pton
#define InetNtopA inet_ntop
#ifdef UNICODE
typedef ADDRINFOW ADDRINFOT, *PADDRINFOT;
#define GetAddrInfo GetAddrInfoW
#define FreeAddrInfo FreeAddrInfoW
#define GetNameInfo GetNameInfoW
#define InetPton InetPtonW
#define InetNtop InetNtopW
#define gai_strerror gai_strerrorW
#else
typedef ADDRINFOA ADDRINFOT, *PADDRINFOT;
#define GetAddrInfo getaddrinfo
#define FreeAddrInfo freeaddrinfo
#define GetNameInfo getnameinfo
#define InetPton inet_pton
#define InetNtop inet_ntop
#define gai_strerror gai_strerrorA
#endif
typedef ADDRINFOA ADDRINFO, *LPADDRINFO;

/* Behind the questions below: whether all bytes from one on, up to another, are 0. */
static __inline__ int sharesock_in6_zero(const struct in6_addr *a, int from, int to)
{
    while (from < to && a->s6_addr[from] == 0)
        from++;
    return from == to;
}

/* Whether two addresses of version 6 are the same. */
static __inline__ int IN6_ADDR_EQUAL(const struct in6_addr *a, const struct in6_addr *b)
{
    return __builtin_memcmp(a, b, sizeof *a) == 0;
}
#define IN6_ARE_ADDR_EQUAL IN6_ADDR_EQUAL

/* What kind of address one of version 6 is. */
static __inline__ int IN6_IS_ADDR_UNSPECIFIED(const struct in6_addr *a)
{
    return sharesock_in6_zero(a, 0, 16);
}

static __inline__ int IN6_IS_ADDR_LOOPBACK(const struct in6_addr *a)
{
    return sharesock_in6_zero(a, 0, 15) && a->s6_addr[15] == 1;
}

static __inline__ int IN6_IS_ADDR_MULTICAST(const struct in6_addr *a)
{
    return a->s6_addr[0] == 0xff;
}

static __inline__ int IN6_IS_ADDR_LINKLOCAL(const struct in6_addr *a)
{
    return a->s6_addr[0] == 0xfe && (a->s6_addr[1] & 0xc0) == 0x80;
}

static __inline__ int IN6_IS_ADDR_SITELOCAL(const struct in6_addr *a)
{
    return a->s6_addr[0] == 0xfe && (a->s6_addr[1] & 0xc0) == 0xc0;
}

static __inline__ int IN6_IS_ADDR_V4MAPPED(const struct in6_addr *a)
{
    return sharesock_in6_zero(a, 0, 10) && a->s6_addr[10] == 0xff && a->s6_addr[11] == 0xff;
}

static __inline__ int IN6_IS_ADDR_V4COMPAT(const struct in6_addr *a)
{
    return sharesock_in6_zero(a, 0, 12) && !(sharesock_in6_zero(a, 12, 15) && a->s6_addr[15] <= 1);
}

/* Of a group, how far it reaches. */
static __inline__ int IN6_IS_ADDR_MC_NODELOCAL(const struct in6_addr *a)
{
    return IN6_IS_ADDR_MULTICAST(a) && (a->s6_addr[1] & 0xf) == 0x1;
}

static __inline__ int IN6_IS_ADDR_MC_LINKLOCAL(const struct in6_addr *a)
{
    return IN6_IS_ADDR_MULTICAST(a) && (a->s6_addr[1] & 0xf) == 0x2;
}

static __inline__ int IN6_IS_ADDR_MC_SITELOCAL(const struct in6_addr *a)
{
    return IN6_IS_ADDR_MULTICAST(a) && (a->s6_addr[1] & 0xf) == 0x5;
}

static __inline__ int IN6_IS_ADDR_MC_ORGLOCAL(const struct in6_addr *a)
{
    return IN6_IS_ADDR_MULTICAST(a) && (a->s6_addr[1] & 0xf) == 0x8;
}

static __inline__ int IN6_IS_ADDR_MC_GLOBAL(const struct in6_addr *a)
{
    return IN6_IS_ADDR_MULTICAST(a) && (a->s6_addr[1] & 0xf) == 0xe;
}

SHARESOCK_SIZE(ADDRINFOA, 48);
SHARESOCK_OFFSET(ADDRINFOA, ai_addrlen, 16);
SHARESOCK_OFFSET(ADDRINFOA, ai_canonname, 24);
SHARESOCK_OFFSET(ADDRINFOA, ai_addr, 32);
SHARESOCK_SIZE(ADDRINFOW, 48);

#endif
