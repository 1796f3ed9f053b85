/* The functions that Winsock has in common with other systems. They fail with SOCKET_ERROR, INVALID_SOCKET or NULL, and
 * WSAGetLastError tells why; errno has no meaning. Private; include winsock2.h. */
#ifndef SHARESOCK_SOCKETS_H
#define SHARESOCK_SOCKETS_H

#include "sharesock_address.h"
#include "sharesock_protocol.h"

#define WSAAPI

SHARESOCK_BEGIN

/* Makes a socket. */
SOCKET socket(int family, int type, int protocol) SHARESOCK_NAME(socket);

/* Closes a socket. If other processes share it, it lives on there. */
int closesocket(SOCKET s) SHARESOCK_NAME(closesocket);

/* Gives a socket an address. A TCP port whose last connections are in TIME_WAIT can be had, as on Windows. */
int bind(SOCKET s, const struct sockaddr *name, int name_length) SHARESOCK_NAME(bind);

/* Has a socket wait for connections. */
int listen(SOCKET s, int backlog) SHARESOCK_NAME(listen);

/* Takes the next connection. The new socket has the listener's event registration, as on Windows. */
SOCKET accept(SOCKET s, struct sockaddr *name, int *name_length) SHARESOCK_NAME(accept);

/* Connects a socket, or gives a datagram socket the address of its peer. */
int connect(SOCKET s, const struct sockaddr *name, int name_length) SHARESOCK_NAME(connect);

/* Sends bytes. On a socket that blocks all of them are sent. */
int send(SOCKET s, const char *bytes, int length, int flags) SHARESOCK_NAME(send);

/* Sends a datagram to an address. */
int sendto(SOCKET s, const char *bytes, int length, int flags, const struct sockaddr *to, int to_length)
    SHARESOCK_NAME(sendto);

/* Receives bytes; 0 is the end. A datagram that is too long fills the buffer, and is WSAEMSGSIZE. */
int recv(SOCKET s, char *bytes, int length, int flags) SHARESOCK_NAME(recv);

/* Receives, and tells from where. */
int recvfrom(SOCKET s, char *bytes, int length, int flags, struct sockaddr *from, int *from_length)
    SHARESOCK_NAME(recvfrom);

/* Ends one or both directions, for all who share the socket. */
int shutdown(SOCKET s, int how) SHARESOCK_NAME(shutdown);

/* Asks for an option. */
int getsockopt(SOCKET s, int level, int name, char *value, int *length) SHARESOCK_NAME(getsockopt);

/* Sets an option. */
int setsockopt(SOCKET s, int level, int name, const char *value, int length) SHARESOCK_NAME(setsockopt);

/* Tells a socket's own address: WSAEINVAL before it has one. */
int getsockname(SOCKET s, struct sockaddr *name, int *name_length) SHARESOCK_NAME(getsockname);

/* Tells the peer's address. */
int getpeername(SOCKET s, struct sockaddr *name, int *name_length) SHARESOCK_NAME(getpeername);

/* FIONBIO, FIONREAD and SIOCATMARK. Who shares a socket shares whether it blocks. */
int ioctlsocket(SOCKET s, LONG command, u_long *argument) SHARESOCK_NAME(ioctlsocket);

/* Waits until one of the sockets is ready; those that are not leave their sets. The count is not looked at, as on
 * Windows, and the sets hold up to FD_SETSIZE sockets, whatever their numbers. */
int select(int ignored, fd_set *read, fd_set *write, fd_set *except, const struct timeval *timeout);

/* Whether a set has a socket; behind FD_ISSET. */
int __WSAFDIsSet(SOCKET s, fd_set *set) SHARESOCK_NAME(__WSAFDIsSet);

/* Turns numbers to the network's order of bytes, and back. */
u_long htonl(u_long number) SHARESOCK_NAME(htonl);
u_short htons(u_short number) SHARESOCK_NAME(htons);
u_long ntohl(u_long number) SHARESOCK_NAME(ntohl);
u_short ntohs(u_short number) SHARESOCK_NAME(ntohs);

/* An address of version 4 from text, in any of its old forms; or INADDR_NONE. */
u_long inet_addr(const char *text) SHARESOCK_NAME(inet_addr);

/* The text of an address of version 4; it lasts until the thread's next call. */
char *inet_ntoa(struct in_addr address) SHARESOCK_NAME(inet_ntoa);

/* The name of this host. */
int gethostname(char *name, int length);

/* A host's addresses of version 4. */
struct hostent *gethostbyname(const char *name) SHARESOCK_NAME(gethostbyname);

/* A host's name. */
struct hostent *gethostbyaddr(const char *address, int length, int family) SHARESOCK_NAME(gethostbyaddr);

/* A service by name, from /etc/services and the like. */
struct servent *getservbyname(const char *name, const char *protocol) SHARESOCK_NAME(getservbyname);

/* A service by port, in the network's order of bytes. */
struct servent *getservbyport(int port, const char *protocol) SHARESOCK_NAME(getservbyport);

/* A protocol by name, from /etc/protocols and the like. */
struct protoent *getprotobyname(const char *name) SHARESOCK_NAME(getprotobyname);

/* A protocol by number. */
struct protoent *getprotobynumber(int number) SHARESOCK_NAME(getprotobynumber);

/* Not of Winsock: makes a POSIX descriptor of a socket a SOCKET, which owns it from now on. */
SOCKET sharesock_adopt(int descriptor);

/* Not of Winsock: the POSIX descriptor behind a SOCKET, which still owns it; -1 if there is none. */
int sharesock_descriptor(SOCKET s);

/* Behind FD_SET: adds a socket, if it is not there and there is room. */
static __inline__ void sharesock_set_add(SOCKET s, fd_set *set)
{
    u_int i = 0;
    while (i < set->fd_count && set->fd_array[i] != s)
        i++;
    if (i == set->fd_count && i < (u_int)FD_SETSIZE) {
        set->fd_array[i] = s;
        set->fd_count++;
    }
}

/* Behind FD_CLR: takes a socket out; the others keep their order. */
static __inline__ void sharesock_set_remove(SOCKET s, fd_set *set)
{
    u_int i = 0;
    while (i < set->fd_count && set->fd_array[i] != s)
        i++;
    if (i == set->fd_count)
        return;
    for (set->fd_count--; i < set->fd_count; i++)
        set->fd_array[i] = set->fd_array[i + 1];
}

SHARESOCK_END

#define FD_ZERO(set) ((void)(((fd_set *)(set))->fd_count = 0))
#define FD_SET(s, set) sharesock_set_add((SOCKET)(s), (fd_set *)(set))
#define FD_CLR(s, set) sharesock_set_remove((SOCKET)(s), (fd_set *)(set))
#define FD_ISSET(s, set) __WSAFDIsSet((SOCKET)(s), (fd_set *)(set))

/* As <sys/time.h> has them. */
#ifndef timerisset
#define timerisset(time) ((time)->tv_sec || (time)->tv_usec)
#endif
#ifndef timerclear
#define timerclear(time) ((time)->tv_sec = (time)->tv_usec = 0)
#endif
#ifndef timercmp
#define timercmp(a, b, is) ((a)->tv_sec == (b)->tv_sec ? (a)->tv_usec is(b)->tv_usec : (a)->tv_sec is(b)->tv_sec)
#endif

#endif
