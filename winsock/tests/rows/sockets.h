/* Sockets and event objects for the rows to be about. */
#ifndef SOCKETS_H
#define SOCKETS_H

#include "rows.h"

/* Something happens within this time, or it will not. */
#define SOON 5000
/* Nothing happens within this time. */
#define QUIET 150
/* Handles that were never given out, a process id that is not in use, and an address that nobody may read. */
#define NO_SOCKET ((SOCKET)0x7ffffff0)
#define NO_HANDLE ((HANDLE)(ULONG_PTR)0x7ffffff0)
#define NO_PROCESS 0x3ffffffc
#define BAD_POINTER ((void *)16)

static inline struct sockaddr_in loopback(void)
{
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static inline SOCKET tcp(void)
{
    SOCKET s = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    need(s != INVALID_SOCKET, "a TCP socket");
    return s;
}

static inline SOCKET udp(void)
{
    SOCKET s = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    need(s != INVALID_SOCKET, "a UDP socket");
    return s;
}

/* Binds to a free port. */
static inline struct sockaddr_in bound(SOCKET s)
{
    struct sockaddr_in address = loopback();
    int length = sizeof address;
    need(bind(s, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    need(getsockname(s, (struct sockaddr *)&address, &length) == 0, "getsockname");
    return address;
}

static inline SOCKET listening(struct sockaddr_in *address)
{
    SOCKET s = tcp();
    *address = bound(s);
    need(listen(s, 5) == 0, "listen");
    return s;
}

static inline SOCKET connected_to(const struct sockaddr_in *address)
{
    SOCKET s = tcp();
    need(connect(s, (const struct sockaddr *)address, sizeof *address) == 0, "connect");
    return s;
}

/* A receive that would wait forever ends, so that its row fails. */
static inline void patient(SOCKET s)
{
    DWORD limit = SOON;
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (const char *)&limit, sizeof limit);
}

/* The two ends of a connection, both blocking. */
static inline void pair(SOCKET *client, SOCKET *server)
{
    struct sockaddr_in address;
    SOCKET listener = listening(&address);
    *client = connected_to(&address);
    *server = accept(listener, NULL, NULL);
    need(*server != INVALID_SOCKET, "accept");
    patient(*client);
    patient(*server);
    closesocket(listener);
}

static inline void close_pair(SOCKET one, SOCKET other)
{
    closesocket(one);
    closesocket(other);
}

/* A descriptor that was one until just now. */
static inline SOCKET closed(void)
{
    SOCKET s = tcp();
    need(closesocket(s) == 0, "closesocket");
    return s;
}

static inline HANDLE new_event(void)
{
    HANDLE event = WSACreateEvent();
    need(event != WSA_INVALID_EVENT, "WSACreateEvent");
    return event;
}

static inline HANDLE closed_event(void)
{
    HANDLE event = new_event();
    need(WSACloseEvent(event), "WSACloseEvent");
    return event;
}

static inline int signalled(HANDLE event, DWORD within)
{
    return WSAWaitForMultipleEvents(1, &event, FALSE, within, FALSE) == WSA_WAIT_EVENT_0;
}

static inline int blocking(SOCKET s, int on)
{
    u_long value = !on;
    return outcome(ioctlsocket(s, FIONBIO, &value));
}

/* Waits until something can be received, a connection be accepted, or the end be read. */
static inline void readable(SOCKET s)
{
    struct timeval limit = { SOON / 1000, 0 };
    fd_set set;
    FD_ZERO(&set);
    FD_SET(s, &set);
    need(select((int)s + 1, &set, NULL, NULL, &limit) == 1, "nothing arrived");
}

/* Hard close: the peer is reset. */
static inline void reset(SOCKET s)
{
    struct linger linger = { 1, 0 };
    need(setsockopt(s, SOL_SOCKET, SO_LINGER, (const char *)&linger, sizeof linger) == 0, "SO_LINGER");
    closesocket(s);
}

/* Either form of a protocol info, and of the calls that take one. */
typedef union {
    WSAPROTOCOL_INFOA narrow;
    WSAPROTOCOL_INFOW wide;
} Info;

static inline int duplicate(int wide, SOCKET s, DWORD process, Info *info)
{
    return wide ? WSADuplicateSocketW(s, process, info ? &info->wide : NULL)
                : WSADuplicateSocketA(s, process, info ? &info->narrow : NULL);
}

static inline SOCKET create(int wide, int af, int type, int protocol, Info *info, DWORD flags)
{
    return wide ? WSASocketW(af, type, protocol, info ? &info->wide : NULL, 0, flags)
                : WSASocketA(af, type, protocol, info ? &info->narrow : NULL, 0, flags);
}

static inline SOCKET redeem(int wide, Info *info)
{
    return create(wide, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, info, WSA_FLAG_OVERLAPPED);
}

/* Fresh protocol info, for this process. */
static inline Info duplicated(int wide, SOCKET s)
{
    Info info;
    memset(&info, 0xAB, sizeof info);
    need(duplicate(wide, s, GetCurrentProcessId(), &info) == 0, "WSADuplicateSocket");
    return info;
}

/* One more descriptor of the same socket. */
static inline SOCKET another(SOCKET s)
{
    Info info = duplicated(1, s);
    SOCKET descriptor = redeem(1, &info);
    need(descriptor != INVALID_SOCKET, "WSASocketW");
    return descriptor;
}

/* An option that is an int, or -1. */
static inline int option(SOCKET s, int level, int name)
{
    int value = 0, length = sizeof value;
    return getsockopt(s, level, name, (char *)&value, &length) ? -1 : value;
}

#endif
