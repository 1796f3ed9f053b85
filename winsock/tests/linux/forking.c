/* fork: a child goes on with the sockets it has, and is a process of its own to others. */
#include <winsock2.h>
#include <windows.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int succeeded, const char *what)
{
    if (succeeded)
        return;
    fprintf(stderr, "%s failed in process %d: error %d\n", what, (int)getpid(), (int)WSAGetLastError());
    exit(EXIT_FAILURE);
}

/* Threads that receive all the time, while others fork. */
static void *receives(void *given)
{
    char byte;
    while (recv(*(SOCKET *)given, &byte, 1, 0) == SOCKET_ERROR && WSAGetLastError() == WSAETIMEDOUT)
        ;
    return NULL;
}

static void fork_among_threads(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    DWORD soon = 1;
    pthread_t threads[4];
    SOCKET s = socket(AF_INET, SOCK_DGRAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(bind(s, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    check(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (char *)&soon, sizeof soon) == 0, "SO_RCVTIMEO");
    for (int i = 0; i < 4; i++)
        check(pthread_create(&threads[i], NULL, receives, &s) == 0, "pthread_create");
    for (int i = 0; i < 300; i++) {
        char byte;
        int status;
        pid_t child = fork();
        check(child >= 0, "fork");
        if (child == 0) {
            alarm(10);
            _exit(!(recv(s, &byte, 1, 0) == SOCKET_ERROR && WSAGetLastError() == WSAETIMEDOUT && closesocket(s) == 0));
        }
        check(waitpid(child, &status, 0) == child && status == 0, "a child among threads");
    }
    check(closesocket(s) == 0, "closesocket");
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    alarm(120); /* what hangs fails */
    WSADATA data;
    WSAPROTOCOL_INFOW info;
    struct sockaddr_in address = { .sin_family = AF_INET };
    int length = sizeof address, told[2], status;
    char byte;

    check(WSAStartup(MAKEWORD(2, 2), &data) == 0, "WSAStartup");
    SOCKET s = socket(AF_INET, SOCK_DGRAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(bind(s, (struct sockaddr *)&address, length) == 0, "bind");
    check(getsockname(s, (struct sockaddr *)&address, &length) == 0, "getsockname");
    WSAEVENT event = WSACreateEvent();
    check(WSAEventSelect(s, event, FD_READ) == 0, "WSAEventSelect");
    check(pipe(told) == 0, "pipe");

    pid_t child = fork();
    check(child >= 0, "fork");
    if (child == 0) {
        /* The event object is the parent's; the socket is common. */
        check(!WSASetEvent(event), "keeping the parent's event object alone");
        check(read(told[0], &info, sizeof info) == sizeof info, "read");
        SOCKET redeemed = WSASocketW(-1, -1, -1, &info, 0, 0);
        check(redeemed != INVALID_SOCKET, "WSASocket");
        check(sendto(redeemed, "x", 1, 0, (struct sockaddr *)&address, length) == 1, "sendto");
        check(closesocket(s) == 0 && closesocket(redeemed) == 0 && WSACleanup() == 0, "closing");
        return EXIT_SUCCESS;
    }
    check(WSADuplicateSocketW(s, (DWORD)child, &info) == 0, "WSADuplicateSocket");
    /* It is for the child alone. */
    check(WSASocketW(-1, -1, -1, &info, 0, 0) == INVALID_SOCKET && WSAGetLastError() == WSAEINVAL, "the wrong process");
    check(write(told[1], &info, sizeof info) == sizeof info, "write");
    check(waitpid(child, &status, 0) == child && status == 0, "the child");
    check(WSAWaitForMultipleEvents(1, &event, FALSE, 10000, FALSE) == WSA_WAIT_EVENT_0, "the parent's event object");
    check(recv(s, &byte, 1, 0) == 1, "recv");
    fork_among_threads();
    check(WSACloseEvent(event) && closesocket(s) == 0 && WSACleanup() == 0, "closing");
    puts("parent and child are two processes");
    return EXIT_SUCCESS;
}
