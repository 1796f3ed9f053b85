/* closesocket in one thread ends calls that wait in others; WSACleanup ends them all. */
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

static int in_accept(SOCKET s) { return accept(s, NULL, NULL) == INVALID_SOCKET ? WSAGetLastError() : 0; }
static int in_recv(SOCKET s) { char byte; return recv(s, &byte, 1, 0) == SOCKET_ERROR ? WSAGetLastError() : 0; }

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
    WSADATA data;
    SOCKET listener;

    check(WSAStartup(MAKEWORD(2, 2), &data) == 0, "WSAStartup");
    for (int i = 0; i < 5; i++) {
        listener = bound(SOCK_STREAM);
        check(listen(listener, 1) == 0, "listen");
        run(in_accept, listener, 0, "an accept that was ended");
        run(in_recv, bound(SOCK_DGRAM), 0, "a receive that was ended");
    }
    run(in_recv, bound(SOCK_DGRAM), 1, "a receive that WSACleanup ended");
    puts("every call that waited was ended");
    return EXIT_SUCCESS;
}
