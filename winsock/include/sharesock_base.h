/* What all headers of this Winsock rest on: names that the C library has as well, and how functions are called by the
 * linker. Private; include winsock2.h. */
#ifndef SHARESOCK_BASE_H
#define SHARESOCK_BASE_H

#if !defined __linux__ || !defined __LP64__
#error "This Winsock is for 64-bit Linux."
#endif

/* These headers declare socket(), struct sockaddr and the like in Linux's way. Two ways cannot be had in one file. */
#if defined _SYS_SOCKET_H || defined _NETINET_IN_H || defined _ARPA_INET_H || defined _NETDB_H || defined _SYS_POLL_H \
    || defined _SYS_UN_H || defined _NETINET_TCP_H
#error "Linux's own socket headers (<sys/socket.h>, <netinet/in.h>, <netinet/tcp.h>, <arpa/inet.h>, <netdb.h>, \
<poll.h>, <sys/un.h>) were included before <winsock2.h>, and declare the same names differently. Include <winsock2.h> \
first, before every header that may include them, or use it in a source file of its own."
#endif

/* From here on they count as included, so that headers of other libraries that need a struct sockaddr take ours. */
#define _SYS_SOCKET_H 1
#define _NETINET_IN_H 1
#define _NETINET_TCP_H 1
#define _ARPA_INET_H 1
#define _NETDB_H 1
#define _SYS_POLL_H 1
#define _SYS_UN_H 1

/* A program's own FD_SETSIZE outlives that of <sys/select.h>; what it says is looked at below. */
#if defined FD_SETSIZE && !defined _SYS_SELECT_H && !defined SHARESOCK_FD_SETSIZE_ASKED
#define SHARESOCK_FD_SETSIZE_ASKED
#pragma push_macro("FD_SETSIZE")
#endif

#include <stddef.h>
#include <sys/types.h>
#include <sys/select.h> /* struct timeval, too */

/* Whose FD_SETSIZE is it? That of the C library is spelled __FD_SETSIZE. */
#pragma push_macro("__FD_SETSIZE")
#undef __FD_SETSIZE
#define __FD_SETSIZE 0x7fabcdef
#if FD_SETSIZE == 0x7fabcdef
#define SHARESOCK_FD_SETSIZE_FOREIGN
#endif
#pragma pop_macro("__FD_SETSIZE")

/* winsock2.h gives it a value if the program does not. */
#ifdef SHARESOCK_FD_SETSIZE_FOREIGN
#ifdef SHARESOCK_FD_SETSIZE_ASKED
#pragma pop_macro("FD_SETSIZE")
#else
#undef FD_SETSIZE
#endif
#endif

/* Names that the C library declares in headers which every program includes. It keeps what it has declared; what this
 * file says from here on means Winsock's. */
#undef select
#undef fd_set
#undef u_long
#undef socklen_t
#undef gethostname
#undef FD_ZERO
#undef FD_SET
#undef FD_CLR
#undef FD_ISSET
#define select sharesock_select
#define fd_set sharesock_fd_set
#define u_long sharesock_u_long
#define socklen_t sharesock_socklen_t
#define gethostname sharesock_gethostname /* see our unistd.h */

#ifndef __u_char_defined
#define __u_char_defined
typedef unsigned char u_char;
typedef unsigned short u_short;
typedef unsigned int u_int;
#endif

/* 32 bits, as on Windows. */
typedef unsigned int u_long;

/* Lengths are signed, as on Windows. */
typedef int socklen_t;
#ifndef __socklen_t_defined
#define __socklen_t_defined
#endif

/* Names that do not begin with WSA or WSP have a prefix in the library, so that those of the C library stay its own for
 * all other parts of the process. */
#define SHARESOCK_NAME(name) __asm__("sharesock_" #name)

#ifdef __cplusplus
#define SHARESOCK_BEGIN extern "C" {
#define SHARESOCK_END }
#else
#define SHARESOCK_BEGIN
#define SHARESOCK_END
#endif

/* What has to hold when a program is compiled. */
#ifdef __cplusplus
#define SHARESOCK_ASSERT(name, condition) static_assert(condition, #name)
#else
#define SHARESOCK_ASSERT(name, condition) typedef char sharesock_assert_##name[(condition) ? 1 : -1]
#endif
#define SHARESOCK_SIZE(type, bytes) SHARESOCK_ASSERT(size_of_##type, sizeof(type) == (bytes))
#define SHARESOCK_OFFSET(type, member, bytes) \
    SHARESOCK_ASSERT(offset_of_##type##_##member, offsetof(type, member) == (bytes))

#endif
