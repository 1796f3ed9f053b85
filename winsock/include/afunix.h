/* Addresses of AF_UNIX. Beside the streams that Windows has there are datagrams and packets in sequence. */
#ifndef SHARESOCK_AFUNIX_H
#define SHARESOCK_AFUNIX_H

#include "winsock2.h"

#define UNIX_PATH_MAX 108

/* A path, or a name of no file if it begins with a null, as on Linux. */
typedef struct sockaddr_un {
    ADDRESS_FAMILY sun_family;
    char sun_path[UNIX_PATH_MAX];
} SOCKADDR_UN, *PSOCKADDR_UN;

#define SIO_AF_UNIX_GETPEERPID 0x58000100 /* WSAEOPNOTSUPP */

SHARESOCK_SIZE(SOCKADDR_UN, 110);

#endif
