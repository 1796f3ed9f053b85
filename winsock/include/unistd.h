/* The system's <unistd.h>. Included after winsock2.h, it declares its own gethostname(), not Winsock's. */
#pragma GCC system_header
#undef gethostname
#include_next <unistd.h>
#ifdef SHARESOCK_BASE_H
#define gethostname sharesock_gethostname
#endif
