/* closesocket in one thread ends calls that wait in others; WSACleanup ends them all. */
#include <stdint.h>
#include <winsock2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void check(int succeeded, const char *what)
{
    if (succeeded)
        return;
    fprintf(stderr, "%s failed: error %d\n", what, (int)WSAGetLastError());
    exit(EXIT_FAILURE);
}

struct waiting {
    SOCKET s;
    int (*wait)(SOCKET s);
    int code;
    int started;
};

static void *thread(void *given);
static int in_accept(SOCKET s) { return accept(s, NULL, NULL) == INVALID_SOCKET ? WSAGetLastError() : 0; }
static int in_recv(SOCKET s) { char byte; return recv(s, &byte, 1, 0) == SOCKET_ERROR ? WSAGetLastError() : 0; }

static int in_select(SOCKET s)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(s, &set);
    return select(0, &set, NULL, NULL, NULL) == SOCKET_ERROR && WSAGetLastError() == WSAENOTSOCK ? WSAEINTR : 0;
}

static int in_poll(SOCKET s)
{
    WSAPOLLFD polled = { s, POLLRDNORM, 0 };
    return WSAPoll(&polled, 1, -1) == 1 && polled.revents == POLLNVAL ? WSAEINTR : 0;
}

/* Nobody answers at a listener whose queue is full. */
static struct sockaddr_in nowhere;
static int in_connect(SOCKET s)
{
    return connect(s, (struct sockaddr *)&nowhere, sizeof nowhere) == SOCKET_ERROR ? WSAGetLastError() : 0;
}

static SOCKET fill_a_listener(SOCKET inside[4])
{
    int length = sizeof nowhere;
    u_long nonblocking = 1;
    SOCKET listener = socket(AF_INET, SOCK_STREAM, 0);

    nowhere.sin_family = AF_INET;
    nowhere.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(bind(listener, (struct sockaddr *)&nowhere, length) == 0 && listen(listener, 0) == 0, "listen");
    check(getsockname(listener, (struct sockaddr *)&nowhere, &length) == 0, "getsockname");
    for (int i = 0; i < 4; i++) {
        inside[i] = socket(AF_INET, SOCK_STREAM, 0);
        check(ioctlsocket(inside[i], FIONBIO, &nonblocking) == 0, "ioctlsocket");
        connect(inside[i], (struct sockaddr *)&nowhere, sizeof nowhere);
    }
    return listener;
}

/* Many that accept at one listener: none is left where closing does not reach it. */
static void *accepts(void *listener)
{
    while (accept((SOCKET)(uintptr_t)listener, NULL, NULL) != INVALID_SOCKET)
        ;
    return NULL;
}

static void herd(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    int length = sizeof address;
    pthread_t threads[8];
    SOCKET clients[40], listener = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 50) == 0, "listen");
    check(getsockname(listener, (struct sockaddr *)&address, &length) == 0, "getsockname");
    for (int i = 0; i < 8; i++)
        check(pthread_create(&threads[i], NULL, accepts, (void *)(uintptr_t)listener) == 0, "pthread_create");
    for (int i = 0; i < 40; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM, 0);
        check(connect(clients[i], (struct sockaddr *)&address, length) == 0, "connect");
    }
    check(closesocket(listener) == 0, "closesocket");
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 40; i++)
        closesocket(clients[i]);
}

static int until_readable(SOCKET s)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(s, &set);
    return select(0, &set, NULL, NULL, NULL) == 1 && FD_ISSET(s, &set) ? 77 : WSAGetLastError();
}

/* A thread that selects an unconnected socket is told when another thread has connected it and something comes. */
static void connected_late(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    struct waiting waiting;
    int length = sizeof address;
    pthread_t waits;
    SOCKET accepted, s = socket(AF_INET, SOCK_STREAM, 0), listener = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 1) == 0, "listen");
    check(getsockname(listener, (struct sockaddr *)&address, &length) == 0, "getsockname");
    waiting = (struct waiting){ s, until_readable, -1, 0 };
    check(pthread_create(&waits, NULL, thread, &waiting) == 0, "pthread_create");
    while (!__atomic_load_n(&waiting.started, __ATOMIC_SEQ_CST))
        usleep(1000);
    usleep(50000);
    check(__atomic_load_n(&waiting.code, __ATOMIC_SEQ_CST) == -1, "an unconnected socket that is not readable");
    check(connect(s, (struct sockaddr *)&address, length) == 0, "connect");
    accepted = accept(listener, NULL, NULL);
    check(send(accepted, "x", 1, 0) == 1, "send");
    pthread_join(waits, NULL);
    check(waiting.code == 77, "select");
    closesocket(accepted), closesocket(s), closesocket(listener);
}

static void *thread(void *given)
{
    struct waiting *waiting = given;
    __atomic_store_n(&waiting->started, 1, __ATOMIC_SEQ_CST);
    waiting->code = waiting->wait(waiting->s);
    return NULL;
}

static SOCKET bound(int type)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    SOCKET s = socket(AF_INET, type, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(s != INVALID_SOCKET && bind(s, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    return s;
}

/* The state of a thread's system call cannot be asked portably: a while after its start it waits. */
static void run(int (*wait)(SOCKET s), SOCKET s, int by_cleanup, const char *what)
{
    struct waiting waiting = { s, wait, -1, 0 };
    pthread_t waits;

    check(pthread_create(&waits, NULL, thread, &waiting) == 0, "pthread_create");
    while (!__atomic_load_n(&waiting.started, __ATOMIC_SEQ_CST))
        usleep(1000);
    usleep(50000);
    check((by_cleanup ? WSACleanup() : closesocket(s)) == 0, "closing");
    pthread_join(waits, NULL);
    check(waiting.code == WSAEINTR, what);
}

int main(void)
{
    alarm(120); /* what hangs fails */
    WSADATA data;
    SOCKET listener;

    check(WSAStartup(MAKEWORD(2, 2), &data) == 0, "WSAStartup");
    for (int i = 0; i < 5; i++) {
        listener = bound(SOCK_STREAM);
        check(listen(listener, 1) == 0, "listen");
        run(in_accept, listener, 0, "an accept that was ended");
        run(in_recv, bound(SOCK_DGRAM), 0, "a receive that was ended");
        run(in_select, bound(SOCK_DGRAM), 0, "a select that was ended");
        run(in_poll, bound(SOCK_DGRAM), 0, "a WSAPoll that was ended");
        herd();
    }
    connected_late();
    SOCKET inside[4];
    listener = fill_a_listener(inside);
    run(in_connect, socket(AF_INET, SOCK_STREAM, 0), 0, "a connect that was ended");
    closesocket(listener);
    run(in_recv, bound(SOCK_DGRAM), 1, "a receive that WSACleanup ended");
    puts("every call that waited was ended");
    return EXIT_SUCCESS;
}
