/*
 * What Winsock's calls cost, in one process: each line is a name, a tab and microseconds.
 *
 * Every kind of work is done again and again for about a second.
 */
#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>

#define MEASURED 1000           /* milliseconds */
#define AT_ONCE 64              /* repetitions between two looks at the time */

static SOCKET client, server;
static WSAEVENT event;

static void check(int succeeded, const char *what)
{
    if (succeeded)
        return;
    fprintf(stderr, "%s failed: error %d\n", what, WSAGetLastError());
    exit(EXIT_FAILURE);
}

static void connect_pair(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    int size = sizeof address;
    BOOL now = TRUE;
    SOCKET listener = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);

    check(listener != INVALID_SOCKET, "socket");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(bind(listener, (struct sockaddr *)&address, size) == 0, "bind");
    check(listen(listener, 1) == 0, "listen");
    check(getsockname(listener, (struct sockaddr *)&address, &size) == 0, "getsockname");
    client = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    check(connect(client, (struct sockaddr *)&address, size) == 0, "connect");
    server = accept(listener, NULL, NULL);
    check(server != INVALID_SOCKET, "accept");
    check(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, (char *)&now, sizeof now) == 0, "setsockopt");
    check(closesocket(listener) == 0, "closesocket");
}

static void share(void)
{
    WSAPROTOCOL_INFOW info;
    SOCKET redeemed;

    check(WSADuplicateSocketW(server, GetCurrentProcessId(), &info) == 0, "WSADuplicateSocket");
    redeemed = WSASocketW(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &info, 0,
                          WSA_FLAG_OVERLAPPED);
    check(redeemed != INVALID_SOCKET, "WSASocket");
    check(closesocket(redeemed) == 0, "closesocket");
}

static void select_events(void)
{
    check(WSAEventSelect(server, event, FD_READ | FD_CLOSE) == 0, "WSAEventSelect");
}

static void turn_of_a_loop(void)
{
    WSANETWORKEVENTS occurred;
    char byte = 'x';

    check(send(client, &byte, 1, 0) == 1, "send");
    check(WSAWaitForMultipleEvents(1, &event, FALSE, 10000, FALSE) == WSA_WAIT_EVENT_0, "the wait");
    check(WSAEnumNetworkEvents(server, event, &occurred) == 0, "WSAEnumNetworkEvents");
    check((occurred.lNetworkEvents & FD_READ) != 0, "FD_READ");
    check(recv(server, &byte, 1, 0) == 1, "recv");
}

static void measure(const char *name, void (*work)(void))
{
    ULONGLONG started, took;
    long done = 0;

    work();
    started = GetTickCount64();
    do {
        for (int i = 0; i < AT_ONCE; i++)
            work();
        done += AT_ONCE;
        took = GetTickCount64() - started;
    } while (took < MEASURED);
    printf("%s\t%.3f\n", name, (double)took * 1000 / (double)done);
    fflush(stdout);
}

int main(void)
{
    WSADATA data;

    check(WSAStartup(MAKEWORD(2, 2), &data) == 0, "WSAStartup");
    event = WSACreateEvent();
    check(event != WSA_INVALID_EVENT, "WSACreateEvent");
    connect_pair();
    measure("WSADuplicateSocket, WSASocket, closesocket", share);
    measure("WSAEventSelect", select_events);
    measure("send, wait, WSAEnumNetworkEvents, recv", turn_of_a_loop);
    return WSACleanup() == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
