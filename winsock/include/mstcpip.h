/* What SIO_KEEPALIVE_VALS takes. */
#ifndef SHARESOCK_MSTCPIP_H
#define SHARESOCK_MSTCPIP_H

#include "winsock2.h"

/* Whether keep-alives are sent; after how many milliseconds, and how far apart. Rounded up to seconds. */
struct tcp_keepalive {
    u_long onoff;
    u_long keepalivetime;
    u_long keepaliveinterval;
};

typedef struct tcp_keepalive sharesock_tcp_keepalive;
SHARESOCK_SIZE(sharesock_tcp_keepalive, 12);

#endif
