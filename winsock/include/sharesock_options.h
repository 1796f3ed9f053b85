/* Options of sockets, flags of calls, and ioctls, by Winsock's numbers. Private; include winsock2.h.
 *
 * An option that is not known here, or that Linux has nothing for, is refused with WSAENOPROTOOPT, an ioctl with
 * WSAEOPNOTSUPP: of IP and IPV6 those of packet information, of the path's MTU, of unicast interfaces and MCAST_*. */
#ifndef SHARESOCK_OPTIONS_H
#define SHARESOCK_OPTIONS_H

#define SOL_SOCKET 0xffff

/* Options of SOL_SOCKET. */
#define SO_DEBUG 0x0001
#define SO_ACCEPTCONN 0x0002
#define SO_REUSEADDR 0x0004 /* Several sockets may have one address, if all of them have this set, under one user. */
#define SO_KEEPALIVE 0x0008
#define SO_DONTROUTE 0x0010
#define SO_BROADCAST 0x0020
#define SO_USELOOPBACK 0x0040
#define SO_LINGER 0x0080
#define SO_OOBINLINE 0x0100
#define SO_DONTLINGER ((int)~SO_LINGER)
#define SO_EXCLUSIVEADDRUSE ((int)~SO_REUSEADDR) /* also against connections that have just ended */
#define SO_SNDBUF 0x1001
#define SO_RCVBUF 0x1002
#define SO_SNDLOWAT 0x1003
#define SO_RCVLOWAT 0x1004
#define SO_SNDTIMEO 0x1005 /* milliseconds in a DWORD */
#define SO_RCVTIMEO 0x1006
#define SO_ERROR 0x1007
#define SO_TYPE 0x1008
#define SO_BSP_STATE 0x1009
#define SO_GROUP_ID 0x2001
#define SO_GROUP_PRIORITY 0x2002
#define SO_MAX_MSG_SIZE 0x2003
#define SO_PROTOCOL_INFOA 0x2004
#define SO_PROTOCOL_INFOW 0x2005
#ifdef UNICODE
#define SO_PROTOCOL_INFO SO_PROTOCOL_INFOW
#else
#define SO_PROTOCOL_INFO SO_PROTOCOL_INFOA
#endif
#define PVD_CONFIG 0x3001
#define SO_CONDITIONAL_ACCEPT 0x3002 /* kept, and of no effect: Linux accepts before the program is asked */
#define SO_PAUSE_ACCEPT 0x3003
#define SO_RANDOMIZE_PORT 0x3005
#define SO_PORT_SCALABILITY 0x3006
#define SO_REUSE_UNICASTPORT 0x3007
#define SO_REUSE_MULTICASTPORT 0x3008
#define SO_UPDATE_ACCEPT_CONTEXT 0x700b
#define SO_CONNECT_TIME 0x700c /* 0 while connected, else 0xffffffff */
#define SO_UPDATE_CONNECT_CONTEXT 0x7010

/* Options of IPPROTO_TCP. */
#define TCP_NODELAY 1
#define TCP_EXPEDITED_1122 2
#define TCP_KEEPALIVE 3 /* seconds, as all times here */
#define TCP_KEEPIDLE TCP_KEEPALIVE
#define TCP_MAXSEG 4
#define TCP_MAXRT 5
#define TCP_STDURG 6
#define TCP_NOURG 7
#define TCP_ATMARK 8
#define TCP_NOSYNRETRIES 9
#define TCP_TIMESTAMPS 10
#define TCP_OFFLOAD_PREFERENCE 11
#define TCP_CONGESTION_ALGORITHM 12
#define TCP_DELAY_FIN_ACK 13
#define TCP_MAXRTMS 14
#define TCP_FASTOPEN 15
#define TCP_KEEPCNT 16
#define TCP_KEEPINTVL 17
#define TCP_BSDURGENT 0x7000

/* Options of IPPROTO_UDP. */
#define UDP_NOCHECKSUM 1
#define UDP_CHECKSUM_COVERAGE 20

/* Options of IPPROTO_IP. */
#define IP_OPTIONS 1
#define IP_HDRINCL 2
#define IP_TOS 3
#define IP_TTL 4
#define IP_MULTICAST_IF 9
#define IP_MULTICAST_TTL 10
#define IP_MULTICAST_LOOP 11
#define IP_ADD_MEMBERSHIP 12
#define IP_DROP_MEMBERSHIP 13
#define IP_DONTFRAGMENT 14
#define IP_ADD_SOURCE_MEMBERSHIP 15
#define IP_DROP_SOURCE_MEMBERSHIP 16
#define IP_BLOCK_SOURCE 17
#define IP_UNBLOCK_SOURCE 18
#define IP_PKTINFO 19
#define IP_HOPLIMIT 21
#define IP_RECVTTL 21
#define IP_RECEIVE_BROADCAST 22
#define IP_RECVIF 24
#define IP_RECVDSTADDR 25
#define IP_IFLIST 28
#define IP_ADD_IFLIST 29
#define IP_DEL_IFLIST 30
#define IP_UNICAST_IF 31
#define IP_RTHDR 32
#define IP_GET_IFLIST 33
#define IP_RECVRTHDR 38
#define IP_TCLASS 39
#define IP_RECVTCLASS 40
#define IP_RECVTOS 40
#define IP_ORIGINAL_ARRIVAL_IF 47
#define IP_ECN 50
#define IP_MTU_DISCOVER 71
#define IP_MTU 73
#define IP_DEFAULT_MULTICAST_TTL 1
#define IP_DEFAULT_MULTICAST_LOOP 1
#define IP_MAX_MEMBERSHIPS 20

/* Options of IPPROTO_IPV6. A socket takes version 6 alone unless IPV6_V6ONLY is cleared, as on Windows. */
#define IPV6_HOPOPTS 1
#define IPV6_HDRINCL 2
#define IPV6_UNICAST_HOPS 4
#define IPV6_MULTICAST_IF 9
#define IPV6_MULTICAST_HOPS 10
#define IPV6_MULTICAST_LOOP 11
#define IPV6_ADD_MEMBERSHIP 12
#define IPV6_JOIN_GROUP IPV6_ADD_MEMBERSHIP
#define IPV6_DROP_MEMBERSHIP 13
#define IPV6_LEAVE_GROUP IPV6_DROP_MEMBERSHIP
#define IPV6_DONTFRAG 14
#define IPV6_PKTINFO 19
#define IPV6_HOPLIMIT 21
#define IPV6_PROTECTION_LEVEL 23
#define IPV6_RECVIF 24
#define IPV6_RECVDSTADDR 25
#define IPV6_CHECKSUM 26
#define IPV6_V6ONLY 27
#define IPV6_IFLIST 28
#define IPV6_ADD_IFLIST 29
#define IPV6_DEL_IFLIST 30
#define IPV6_UNICAST_IF 31
#define IPV6_RTHDR 32
#define IPV6_GET_IFLIST 33
#define IPV6_RECVRTHDR 38
#define IPV6_TCLASS 39
#define IPV6_RECVTCLASS 40
#define IPV6_ECN 50
#define IPV6_MTU_DISCOVER 71
#define IPV6_MTU 72

/* Options for groups of either version. */
#define MCAST_JOIN_GROUP 41
#define MCAST_LEAVE_GROUP 42
#define MCAST_BLOCK_SOURCE 43
#define MCAST_UNBLOCK_SOURCE 44
#define MCAST_JOIN_SOURCE_GROUP 45
#define MCAST_LEAVE_SOURCE_GROUP 46

/* Flags of sending and receiving; any other is WSAEOPNOTSUPP. */
#define MSG_OOB 0x1
#define MSG_PEEK 0x2
#define MSG_DONTROUTE 0x4
#define MSG_WAITALL 0x8
#define MSG_INTERRUPT 0x10
#define MSG_PUSH_IMMEDIATE 0x20
#define MSG_PARTIAL 0x8000
#define MSG_MAXIOVLEN 16

/* How shutdown ends a socket. */
#define SD_RECEIVE 0
#define SD_SEND 1
#define SD_BOTH 2

/* What WSAAccept's condition answers. A connection that is deferred waits in this process, first in line for the next
 * WSAAccept or accept here. */
#define CF_ACCEPT 0
#define CF_REJECT 1
#define CF_DEFER 2

/* Of WSAPoll. POLLPRI cannot be asked for (WSAEINVAL). */
#define POLLERR 0x0001
#define POLLHUP 0x0002
#define POLLNVAL 0x0004
#define POLLWRNORM 0x0010
#define POLLWRBAND 0x0020
#define POLLOUT POLLWRNORM
#define POLLRDNORM 0x0100
#define POLLRDBAND 0x0200
#define POLLIN (POLLRDNORM | POLLRDBAND)
#define POLLPRI 0x0400

/* Of WSASocket. A descriptor never passes to a process that is started with exec: it is WSA_FLAG_NO_HANDLE_INHERIT at
 * all times. Sockets for overlapped operations are like others; those for multipoint are WSAEINVAL. */
#define WSA_FLAG_OVERLAPPED 0x01
#define WSA_FLAG_MULTIPOINT_C_ROOT 0x02
#define WSA_FLAG_MULTIPOINT_C_LEAF 0x04
#define WSA_FLAG_MULTIPOINT_D_ROOT 0x08
#define WSA_FLAG_MULTIPOINT_D_LEAF 0x10
#define WSA_FLAG_ACCESS_SYSTEM_SECURITY 0x40
#define WSA_FLAG_NO_HANDLE_INHERIT 0x80
#define WSA_FLAG_REGISTERED_IO 0x100
#define FROM_PROTOCOL_INFO (-1)

/* Groups of sockets; only 0 is accepted. */
#define SG_UNCONSTRAINED_GROUP 0x01
#define SG_CONSTRAINED_GROUP 0x02

/* Parts of the commands of WSAIoctl. */
#define IOCPARM_MASK 0x7f
#define IOC_VOID 0x20000000
#define IOC_UNIX 0x00000000
#define IOC_WS2 0x08000000
#define IOC_PROTOCOL 0x10000000
#define IOC_VENDOR 0x18000000
#define _WSAIO(group, number) (IOC_VOID | (group) | (number))
#define _WSAIOR(group, number) (0x40000000 | (group) | (number))
#define _WSAIOW(group, number) (0x80000000 | (group) | (number))
#define _WSAIORW(group, number) (0xc0000000 | (group) | (number))

/* Commands of ioctlsocket and WSAIoctl. */
#include "sharesock_ioctl.h"

/* Commands of WSAIoctl alone. Those without a remark are WSAEOPNOTSUPP. */
#define SIO_ASSOCIATE_HANDLE 0x88000001
#define SIO_ENABLE_CIRCULAR_QUEUEING 0x28000002
#define SIO_FIND_ROUTE 0x48000003
#define SIO_FLUSH 0x28000004
#define SIO_GET_BROADCAST_ADDRESS 0x48000005
#define SIO_GET_EXTENSION_FUNCTION_POINTER 0xc8000006
#define SIO_GET_QOS 0xc8000007
#define SIO_GET_GROUP_QOS 0xc8000008
#define SIO_MULTIPOINT_LOOPBACK 0x88000009
#define SIO_MULTICAST_SCOPE 0x8800000a
#define SIO_SET_QOS 0x8800000b
#define SIO_SET_GROUP_QOS 0x8800000c
#define SIO_TRANSLATE_HANDLE 0xc800000d
#define SIO_ROUTING_INTERFACE_QUERY 0xc8000014
#define SIO_ROUTING_INTERFACE_CHANGE 0x88000015
#define SIO_ADDRESS_LIST_QUERY 0x48000016
#define SIO_ADDRESS_LIST_CHANGE 0x28000017 /* waits; WSAEOPNOTSUPP on a socket that does not block */
#define SIO_QUERY_TARGET_PNP_HANDLE 0x48000018
#define SIO_ADDRESS_LIST_SORT 0xc8000019
#define SIO_RCVALL 0x98000001
#define SIO_KEEPALIVE_VALS 0x98000004 /* a struct tcp_keepalive, whose times are rounded up to seconds */
#define SIO_UDP_CONNRESET 0x9800000c  /* accepted: a datagram that reaches nobody is never told to such a socket */

/* Of listen. */
#define SOMAXCONN 0x7fffffff
#define SOMAXCONN_HINT(backlog) (-(backlog))

#endif
