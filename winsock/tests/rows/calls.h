/* Every function that takes a socket, called with arguments that are good but for the socket. */
#ifndef CALLS_H
#define CALLS_H

#include "sockets.h"

static char call_bytes[1000];

#define ADDRESS struct sockaddr_in address = loopback()
#define LENGTH int length = sizeof call_bytes
#define BUFFER DWORD count = 0, flags = 0; WSABUF buffer = { 1, call_bytes }

static int call_accept(SOCKET s) { return outcome_socket(accept(s, NULL, NULL)); }
static int call_wsa_accept(SOCKET s) { return outcome_socket(WSAAccept(s, NULL, NULL, NULL, 0)); }
static int call_bind(SOCKET s) { ADDRESS; return outcome(bind(s, (struct sockaddr *)&address, sizeof address)); }
static int call_close(SOCKET s) { return outcome(closesocket(s)); }

static int call_connect(SOCKET s)
{
    ADDRESS;
    return outcome(connect(s, (struct sockaddr *)&address, sizeof address));
}

static int call_wsa_connect(SOCKET s)
{
    ADDRESS;
    return outcome(WSAConnect(s, (struct sockaddr *)&address, sizeof address, NULL, NULL, NULL, NULL));
}

static int call_peer(SOCKET s) { LENGTH; return outcome(getpeername(s, (struct sockaddr *)call_bytes, &length)); }
static int call_name(SOCKET s) { LENGTH; return outcome(getsockname(s, (struct sockaddr *)call_bytes, &length)); }
static int call_get(SOCKET s) { LENGTH; return outcome(getsockopt(s, SOL_SOCKET, SO_TYPE, call_bytes, &length)); }
static int call_set(SOCKET s) { int on = 1; return outcome(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, (char *)&on, 4)); }
static int call_ioctl(SOCKET s) { return blocking(s, 0); }

static int call_wsa_ioctl(SOCKET s)
{
    u_long on = 1;
    DWORD count = 0;
    return outcome(WSAIoctl(s, FIONBIO, &on, sizeof on, NULL, 0, &count, NULL, NULL));
}

static int call_listen(SOCKET s) { return outcome(listen(s, 1)); }
static int call_recv(SOCKET s) { return outcome(recv(s, call_bytes, 1, 0)); }
static int call_recvfrom(SOCKET s) { return outcome(recvfrom(s, call_bytes, 1, 0, NULL, NULL)); }
static int call_wsa_recv(SOCKET s) { BUFFER; return outcome(WSARecv(s, &buffer, 1, &count, &flags, NULL, NULL)); }

static int call_wsa_recvfrom(SOCKET s)
{
    BUFFER;
    return outcome(WSARecvFrom(s, &buffer, 1, &count, &flags, NULL, NULL, NULL, NULL));
}

static int call_send(SOCKET s) { return outcome(send(s, call_bytes, 1, 0)); }

static int call_sendto(SOCKET s)
{
    ADDRESS;
    address.sin_port = htons(9);
    return outcome(sendto(s, call_bytes, 1, 0, (struct sockaddr *)&address, sizeof address));
}

static int call_wsa_send(SOCKET s) { BUFFER; return outcome(WSASend(s, &buffer, 1, &count, flags, NULL, NULL)); }

static int call_wsa_sendto(SOCKET s)
{
    ADDRESS;
    BUFFER;
    address.sin_port = htons(9);
    return outcome(WSASendTo(s, &buffer, 1, &count, flags, (struct sockaddr *)&address, sizeof address, NULL, NULL));
}

static int call_select(SOCKET s)
{
    struct timeval now = { 0, 0 };
    fd_set set;
    FD_ZERO(&set);
    FD_SET(s, &set);
    return outcome(select(0, &set, NULL, NULL, &now));
}

static int call_shutdown(SOCKET s) { return outcome(shutdown(s, SD_BOTH)); }

static int call_duplicate_a(SOCKET s)
{
    WSAPROTOCOL_INFOA info;
    return outcome(WSADuplicateSocketA(s, GetCurrentProcessId(), &info));
}

static int call_duplicate_w(SOCKET s)
{
    WSAPROTOCOL_INFOW info;
    return outcome(WSADuplicateSocketW(s, GetCurrentProcessId(), &info));
}

static int call_event_select(SOCKET s) { return outcome(WSAEventSelect(s, NULL, 0)); }
static int call_async_select(SOCKET s) { return outcome(WSAAsyncSelect(s, NULL, 0, 0)); }
static int call_enum(SOCKET s) { WSANETWORKEVENTS events; return outcome(WSAEnumNetworkEvents(s, NULL, &events)); }

static const struct call {
    const char *name;
    int (*make)(SOCKET s);
} calls[] = {
    { "accept", call_accept }, { "WSAAccept", call_wsa_accept }, { "bind", call_bind }, { "closesocket", call_close },
    { "connect", call_connect }, { "WSAConnect", call_wsa_connect }, { "getpeername", call_peer },
    { "getsockname", call_name }, { "getsockopt", call_get }, { "setsockopt", call_set },
    { "ioctlsocket", call_ioctl }, { "WSAIoctl", call_wsa_ioctl }, { "listen", call_listen }, { "recv", call_recv },
    { "recvfrom", call_recvfrom }, { "WSARecv", call_wsa_recv }, { "WSARecvFrom", call_wsa_recvfrom },
    { "send", call_send }, { "sendto", call_sendto }, { "WSASend", call_wsa_send }, { "WSASendTo", call_wsa_sendto },
    { "select", call_select }, { "shutdown", call_shutdown }, { "WSADuplicateSocketA", call_duplicate_a },
    { "WSADuplicateSocketW", call_duplicate_w }, { "WSAEventSelect", call_event_select },
    { "WSAAsyncSelect", call_async_select }, { "WSAEnumNetworkEvents", call_enum },
};

#define CALLS (sizeof calls / sizeof *calls)

#endif
