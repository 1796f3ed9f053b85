/* The system's <sys/ioctl.h>. Included after winsock2.h, it leaves FIONBIO and its kin Winsock's. */
#pragma GCC system_header
#include_next <sys/ioctl.h>
#ifdef SHARESOCK_BASE_H
#include "../sharesock_ioctl.h"
#endif
