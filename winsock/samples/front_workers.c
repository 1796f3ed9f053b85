/*
 * A front process accepts connections and lets two workers serve them.
 *
 *   front_workers front             prints "control PORT" and waits
 *   front_workers worker PORT       start this one twice
 *
 * Every worker connects to the control port and names its process id.  For
 * each client the front sends a worker one protocol info, in binary, and
 * forgets the connection.  The front plays the clients too, to check what
 * they are told.  Traces go to the standard error.
 */
#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS 2
#define CLIENTS 6

/* Sent for every client; on one machine numbers need no common byte order. */
struct order {
    DWORD client;
    WSAPROTOCOL_INFOW info;
};

static void check(int succeeded, const char *what)
{
    if (succeeded)
        return;
    fprintf(stderr, "%s failed: error %d\n", what, WSAGetLastError());
    exit(EXIT_FAILURE);
}

static void stop(const char *reason)
{
    fprintf(stderr, "%s\n", reason);
    exit(EXIT_FAILURE);
}

static SOCKET new_socket(void)
{
    SOCKET s = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);

    check(s != INVALID_SOCKET, "socket");
    return s;
}

static void close_socket(SOCKET s)
{
    check(closesocket(s) != SOCKET_ERROR, "closesocket");
}

static SOCKET listen_on_loopback(u_short *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    int size = sizeof address;
    SOCKET s = new_socket();

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(bind(s, (struct sockaddr *)&address, size) != SOCKET_ERROR, "bind");
    check(listen(s, SOMAXCONN) != SOCKET_ERROR, "listen");
    check(getsockname(s, (struct sockaddr *)&address, &size) != SOCKET_ERROR, "getsockname");
    *port = ntohs(address.sin_port);
    return s;
}

static SOCKET connect_to_loopback(u_short port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    SOCKET s = new_socket();

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    check(connect(s, (struct sockaddr *)&address, sizeof address) != SOCKET_ERROR, "connect");
    return s;
}

static void send_all(SOCKET s, const void *data, int size)
{
    for (int done = 0; done < size; ) {
        int sent = send(s, (const char *)data + done, size - done, 0);
        check(sent != SOCKET_ERROR, "send");
        done += sent;
    }
}

/* Receives until `size` bytes are there or the peer ends the connection. */
static int receive_all(SOCKET s, void *data, int size)
{
    int have = 0;

    while (have < size) {
        int got = recv(s, (char *)data + have, size - have, 0);
        check(got != SOCKET_ERROR, "recv");
        if (got == 0)
            break;
        have += got;
    }
    return have;
}

static void run_front(void)
{
    SOCKET workers[WORKERS], clients[CLIENTS];
    DWORD pids[WORKERS];
    u_short port;
    SOCKET listener = listen_on_loopback(&port);

    printf("control %u\n", (unsigned)port);
    fflush(stdout);
    for (DWORD i = 0; i < WORKERS; i++) {
        DWORD number = i + 1;

        check((workers[i] = accept(listener, NULL, NULL)) != INVALID_SOCKET, "accept");
        if (receive_all(workers[i], &pids[i], sizeof pids[i]) != (int)sizeof pids[i])
            stop("a worker went away");
        send_all(workers[i], &number, sizeof number);
        fprintf(stderr, "worker %u reported\n", (unsigned)number);
    }
    close_socket(listener);

    listener = listen_on_loopback(&port);
    for (DWORD i = 0; i < CLIENTS; i++) {
        struct order order = { .client = i + 1 };
        DWORD worker = i % WORKERS;
        SOCKET accepted;

        clients[i] = connect_to_loopback(port);
        check((accepted = accept(listener, NULL, NULL)) != INVALID_SOCKET, "accept");
        check(WSADuplicateSocketW(accepted, pids[worker], &order.info) != SOCKET_ERROR,
              "WSADuplicateSocket");
        send_all(workers[worker], &order, sizeof order);
        /* No need to wait: the connection is the worker's from now on. */
        close_socket(accepted);
        fprintf(stderr, "client %u goes to worker %u\n", (unsigned)i + 1, (unsigned)worker + 1);
    }
    close_socket(listener);

    for (DWORD i = 0; i < CLIENTS; i++) {
        char answer[64], expected[64];
        int length = receive_all(clients[i], answer, sizeof answer - 1);
        answer[length] = '\0';         /* shorter than asked for: the end has come */
        sprintf(expected, "worker %u served client %u", (unsigned)i % WORKERS + 1, (unsigned)i + 1);
        fprintf(stderr, "client %u got \"%s\" and the end\n", (unsigned)i + 1, answer);
        if (strcmp(answer, expected) != 0)
            stop("that is not the answer expected");
        close_socket(clients[i]);
    }
    for (DWORD i = 0; i < WORKERS; i++)
        close_socket(workers[i]);       /* tells it that there is no more work */
}

static void run_worker(u_short port)
{
    SOCKET control = connect_to_loopback(port);
    DWORD pid = GetCurrentProcessId(), number;
    struct order order;
    int got;

    send_all(control, &pid, sizeof pid);
    if (receive_all(control, &number, sizeof number) != (int)sizeof number)
        stop("the front went away");
    while ((got = receive_all(control, &order, sizeof order)) == (int)sizeof order) {
        char answer[64];
        SOCKET s = WSASocketW(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO,
                              &order.info, 0, WSA_FLAG_OVERLAPPED);

        check(s != INVALID_SOCKET, "WSASocket");
        sprintf(answer, "worker %u served client %u", (unsigned)number, (unsigned)order.client);
        send_all(s, answer, (int)strlen(answer));
        close_socket(s);
        fprintf(stderr, "%s\n", answer);
    }
    if (got != 0)
        stop("the front sent half an order");
    close_socket(control);
    fprintf(stderr, "worker %u has no more work\n", (unsigned)number);
}

int main(int argc, char **argv)
{
    WSADATA data;
    int error = WSAStartup(MAKEWORD(2, 2), &data);

    if (error != 0) {
        fprintf(stderr, "WSAStartup failed: error %d\n", error);
        return EXIT_FAILURE;
    }
    if (argc == 2 && strcmp(argv[1], "front") == 0)
        run_front();
    else if (argc == 3 && strcmp(argv[1], "worker") == 0)
        run_worker((u_short)atoi(argv[2]));
    else
        stop("usage: front_workers front | worker PORT");
    check(WSACleanup() != SOCKET_ERROR, "WSACleanup");
    return EXIT_SUCCESS;
}
