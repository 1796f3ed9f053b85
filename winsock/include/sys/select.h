/* The system's <sys/select.h>. It would forget the FD_SETSIZE that a program defines for winsock2.h; this keeps it. */
#pragma GCC system_header
#if defined FD_SETSIZE && !defined _SYS_SELECT_H && !defined SHARESOCK_FD_SETSIZE_ASKED
#define SHARESOCK_FD_SETSIZE_ASKED
#pragma push_macro("FD_SETSIZE")
#endif
#include_next <sys/select.h>
