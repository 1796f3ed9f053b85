/* Commands of ioctlsocket whose names Linux has with other numbers. Private; include winsock2.h. Read again after
 * <sys/ioctl.h>: there is no guard. */
#undef FIONREAD
#undef FIONBIO
#undef FIOASYNC
#undef SIOCATMARK
#undef IOC_IN
#undef IOC_OUT
#undef IOC_INOUT
#define FIONREAD 0x4004667f   /* how many bytes can be received */
#define FIONBIO 0x8004667e    /* non-blocking if not 0 */
#define FIOASYNC 0x8004667d   /* WSAEOPNOTSUPP: there are no asynchronous notices of this kind */
#define SIOCATMARK 0x40047307 /* 0 if the next byte follows urgent data */
#define IOC_OUT 0x40000000
#define IOC_IN 0x80000000
#define IOC_INOUT (IOC_IN | IOC_OUT)
