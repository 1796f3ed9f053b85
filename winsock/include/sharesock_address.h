/* Addresses, hosts and services. Private; include winsock2.h. */
#ifndef SHARESOCK_ADDRESS_H
#define SHARESOCK_ADDRESS_H

#include "sharesock_wintypes.h"

typedef USHORT ADDRESS_FAMILY;

/* An address of version 4, in the network's order of bytes. */
typedef struct in_addr {
    union {
        struct {
            UCHAR s_b1, s_b2, s_b3, s_b4;
        } S_un_b;
        struct {
            USHORT s_w1, s_w2;
        } S_un_w;
        ULONG S_addr;
    } S_un;
} IN_ADDR, *PIN_ADDR, *LPIN_ADDR;
#define s_addr S_un.S_addr
#define s_net S_un.S_un_b.s_b1
#define s_host S_un.S_un_b.s_b2
#define s_lh S_un.S_un_b.s_b3
#define s_impno S_un.S_un_b.s_b4
#define s_imp S_un.S_un_w.s_w2

/* An address of version 6. */
typedef struct in6_addr {
    union {
        UCHAR Byte[16];
        USHORT Word[8];
    } u;
} IN6_ADDR, *PIN6_ADDR, *LPIN6_ADDR;
#define in_addr6 in6_addr
#define s6_addr u.Byte
#define s6_bytes u.Byte
#define s6_words u.Word

/* The address of a socket, of whichever family. */
typedef struct sockaddr {
    u_short sa_family;
    CHAR sa_data[14];
} SOCKADDR, *PSOCKADDR, *LPSOCKADDR;

/* Of AF_INET: 16 bytes. */
typedef struct sockaddr_in {
    ADDRESS_FAMILY sin_family;
    USHORT sin_port;
    struct in_addr sin_addr;
    CHAR sin_zero[8];
} SOCKADDR_IN, *PSOCKADDR_IN, *LPSOCKADDR_IN;

/* Of AF_INET6: 28 bytes. */
typedef struct sockaddr_in6 {
    ADDRESS_FAMILY sin6_family;
    USHORT sin6_port;
    ULONG sin6_flowinfo;
    struct in6_addr sin6_addr;
    ULONG sin6_scope_id;
} SOCKADDR_IN6, *PSOCKADDR_IN6, *LPSOCKADDR_IN6;

/* Of AF_INET or AF_INET6. */
typedef union _SOCKADDR_INET {
    SOCKADDR_IN Ipv4;
    SOCKADDR_IN6 Ipv6;
    ADDRESS_FAMILY si_family;
} SOCKADDR_INET, *PSOCKADDR_INET;

/* Room for an address of any family. */
typedef struct sockaddr_storage {
    ADDRESS_FAMILY ss_family;
    CHAR __ss_pad1[6];
    LONGLONG __ss_align;
    CHAR __ss_pad2[112];
} SOCKADDR_STORAGE, *PSOCKADDR_STORAGE, *LPSOCKADDR_STORAGE;

/* Groups that IP_ADD_MEMBERSHIP and its kin take. */
typedef struct ip_mreq {
    struct in_addr imr_multiaddr;
    struct in_addr imr_interface;
} IP_MREQ, *PIP_MREQ;

typedef struct ip_mreq_source {
    struct in_addr imr_multiaddr;
    struct in_addr imr_sourceaddr; /* before the interface, as on Windows */
    struct in_addr imr_interface;
} IP_MREQ_SOURCE, *PIP_MREQ_SOURCE;

typedef struct ipv6_mreq {
    struct in6_addr ipv6mr_multiaddr;
    ULONG ipv6mr_interface;
} IPV6_MREQ, *PIPV6_MREQ;

/* What SO_LINGER takes: shorter than Linux's. */
typedef struct linger {
    u_short l_onoff;
    u_short l_linger;
} LINGER, *PLINGER, *LPLINGER;

/* A family and a protocol. */
struct sockproto {
    u_short sp_family;
    u_short sp_protocol;
};

/* A host by name or address. It lasts until the thread's next call of this kind. */
typedef struct hostent {
    char *h_name;
    char **h_aliases;
    short h_addrtype;
    short h_length;
    char **h_addr_list;
#define h_addr h_addr_list[0]
} HOSTENT, *PHOSTENT, *LPHOSTENT;

/* A network. */
struct netent {
    char *n_name;
    char **n_aliases;
    short n_addrtype;
    u_long n_net;
};

/* A service; its port is in the network's order, and comes last, as on 64-bit Windows. */
typedef struct servent {
    char *s_name;
    char **s_aliases;
    char *s_proto;
    short s_port;
} SERVENT, *PSERVENT, *LPSERVENT;

/* A protocol. */
typedef struct protoent {
    char *p_name;
    char **p_aliases;
    short p_proto;
} PROTOENT, *PPROTOENT, *LPPROTOENT;

/* An address with its length, and several, as ioctls tell them. */
typedef struct _SOCKET_ADDRESS {
    LPSOCKADDR lpSockaddr;
    INT iSockaddrLength;
} SOCKET_ADDRESS, *PSOCKET_ADDRESS, *LPSOCKET_ADDRESS;

typedef struct _SOCKET_ADDRESS_LIST {
    INT iAddressCount;
    SOCKET_ADDRESS Address[1];
} SOCKET_ADDRESS_LIST, *PSOCKET_ADDRESS_LIST, *LPSOCKET_ADDRESS_LIST;

typedef struct timeval TIMEVAL, *PTIMEVAL, *LPTIMEVAL; /* Linux's, with 64 bits each */

typedef struct in_addr sharesock_in_addr;
typedef struct in6_addr sharesock_in6_addr;
SHARESOCK_SIZE(sharesock_in_addr, 4);
SHARESOCK_SIZE(sharesock_in6_addr, 16);
SHARESOCK_SIZE(SOCKADDR, 16);
SHARESOCK_SIZE(SOCKADDR_IN, 16);
SHARESOCK_OFFSET(SOCKADDR_IN, sin_addr, 4);
SHARESOCK_SIZE(SOCKADDR_IN6, 28);
SHARESOCK_OFFSET(SOCKADDR_IN6, sin6_addr, 8);
SHARESOCK_OFFSET(SOCKADDR_IN6, sin6_scope_id, 24);
SHARESOCK_SIZE(SOCKADDR_STORAGE, 128);
SHARESOCK_SIZE(IP_MREQ, 8);
SHARESOCK_SIZE(IP_MREQ_SOURCE, 12);
SHARESOCK_OFFSET(IP_MREQ_SOURCE, imr_interface, 8);
SHARESOCK_SIZE(IPV6_MREQ, 20);
SHARESOCK_SIZE(LINGER, 4);
SHARESOCK_SIZE(HOSTENT, 32);
SHARESOCK_OFFSET(HOSTENT, h_length, 18);
SHARESOCK_SIZE(SERVENT, 32);
SHARESOCK_OFFSET(SERVENT, s_port, 24);
SHARESOCK_SIZE(PROTOENT, 24);
SHARESOCK_SIZE(SOCKET_ADDRESS, 16);
SHARESOCK_SIZE(TIMEVAL, 16);

#endif
