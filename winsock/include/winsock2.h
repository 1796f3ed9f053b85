/* Winsock 2 for Linux: programs written for it compile and run as they are. As on Windows this brings windows.h along.
 *
 *     cc prog.c $(pkg-config --cflags --libs sharesock)
 *
 * or, where the library lies where the linker looks: cc -I$PREFIX/include/sharesock prog.c -lsharesock
 *
 * Numbers, structures and error codes are Winsock's. Include this before headers of other libraries that include
 * <sys/socket.h> and the like: they then use the types that are declared here. Functions of such a library that have an
 * fd_set, a struct addrinfo, a u_long or numbers such as AF_INET6 in their interface must not be called from the same
 * file: the library was compiled with Linux's.
 *
 * Where this Winsock is not Windows': there are no overlapped operations (lpOverlapped and the completion routine must
 * be NULL, else WSAEOPNOTSUPP), no groups, no multipoint, no quality of service and no layered providers. Descriptors
 * are never inherited by a program that is started. Each declaration says what else is different. */
#ifndef SHARESOCK_WINSOCK2_H
#define SHARESOCK_WINSOCK2_H

#include "sharesock_base.h"
#include "windows.h"
#include "sharesock_codes.h"
#include "sharesock_families.h"
#include "sharesock_options.h"
#include "sharesock_address.h"
#include "sharesock_protocol.h"
#include "sharesock_sockets.h"
#include "sharesock_wsa.h"

#endif
