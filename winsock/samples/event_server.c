/*
 * A server driven by WSAEventSelect.
 *
 * A client's line is sent back, but "bulk" asks for four million bytes: more
 * than a socket takes at once, so that send fails with WSAEWOULDBLOCK and
 * FD_WRITE tells when to go on.  The three clients live in the same thread
 * and act between the server's steps.
 */
#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS 3
#define BULK 4000000
#define CHUNK 65536
#define PERIOD 251              /* the bulk is the bytes 0 to 250, repeated */

/* Place 0 is the listener's, place N that of connection N. */
static SOCKET sockets[CLIENTS + 1];
static WSAEVENT events[CLIENTS + 1];
static int accepted, writable, answered, closed, bulk_left, would_block, resumed;
static char pattern[CHUNK + PERIOD];

static void check(int succeeded, const char *what)
{
    if (succeeded)
        return;
    fprintf(stderr, "%s failed: error %d\n", what, WSAGetLastError());
    exit(EXIT_FAILURE);
}

/* Gives the socket an event object of its own. */
static void watch(int place, SOCKET s, LONG mask)
{
    check(s != INVALID_SOCKET, "socket or accept");
    sockets[place] = s;
    events[place] = WSACreateEvent();
    check(events[place] != WSA_INVALID_EVENT, "WSACreateEvent");
    check(WSAEventSelect(s, events[place], mask) == 0, "WSAEventSelect");
}

/* Sends as much of the bulk as the socket takes. */
static void send_bulk(SOCKET s)
{
    while (bulk_left > 0) {
        const char *from = pattern + (BULK - bulk_left) % PERIOD;
        int sent = send(s, from, bulk_left < CHUNK ? bulk_left : CHUNK, 0);

        if (sent == SOCKET_ERROR) {
            check(WSAGetLastError() == WSAEWOULDBLOCK, "send");
            if (!would_block++)
                printf("server: send would block\n");
            return;
        }
        bulk_left -= sent;
    }
}

static void on_read(int place)
{
    char line[64];
    int got = recv(sockets[place], line, sizeof line, 0);

    if (got == SOCKET_ERROR && WSAGetLastError() == WSAEWOULDBLOCK)
        return;                 /* told twice of the same bytes */
    check(got > 0, "recv");
    printf("server: FD_READ, connection %d: %.*s\n", place, got - 1, line);
    if (got == 5 && memcmp(line, "bulk\n", 5) == 0) {
        bulk_left = BULK;
        send_bulk(sockets[place]);
    } else
        check(send(sockets[place], line, got, 0) == got, "send");
    answered++;
}

/* Waits for an event and handles all that has occurred. */
static void serve(DWORD milliseconds)
{
    DWORD first = WSAWaitForMultipleEvents(accepted + 1, events, FALSE, milliseconds, FALSE);

    check(first != WSA_WAIT_FAILED, "WSAWaitForMultipleEvents");
    if (first == WSA_WAIT_TIMEOUT)
        return;
    /* The wait names the lowest event that is set; later ones may be, too. */
    for (int i = (int)(first - WSA_WAIT_EVENT_0); i <= accepted; i++) {
        WSANETWORKEVENTS occurred;

        if (sockets[i] == INVALID_SOCKET)
            continue;
        check(WSAEnumNetworkEvents(sockets[i], events[i], &occurred) == 0, "WSAEnumNetworkEvents");
        if (occurred.lNetworkEvents & FD_ACCEPT) {
            /* The new socket has the listener's event until it gets its own. */
            watch(++accepted, accept(sockets[0], NULL, NULL), FD_READ | FD_WRITE | FD_CLOSE);
            printf("server: FD_ACCEPT, connection %d\n", accepted);
        }
        if (occurred.lNetworkEvents & FD_WRITE) {
            if (bulk_left == 0)
                writable++;     /* the first one, due to the accept */
            else if (!resumed++)
                printf("server: FD_WRITE, goes on\n");
            send_bulk(sockets[i]);
        }
        if (occurred.lNetworkEvents & FD_READ)
            on_read(i);
        if (occurred.lNetworkEvents & FD_CLOSE) {
            printf("server: FD_CLOSE, error %d, connection %d\n", occurred.iErrorCode[FD_CLOSE_BIT], i);
            check(closesocket(sockets[i]) == 0, "closesocket");
            sockets[i] = INVALID_SOCKET;    /* its event is not set any more */
            closed++;
        }
    }
}

/* Lets the server work until `count` has reached `wanted`. */
static void serve_until(const int *count, int wanted)
{
    while (*count < wanted)
        serve(WSA_INFINITE);
}

static void receive_bulk(SOCKET client)
{
    static char bytes[CHUNK];
    u_long nonblocking = 1;
    int have = 0, wrong = 0;

    check(ioctlsocket(client, FIONBIO, &nonblocking) == 0, "ioctlsocket");
    while (have < BULK) {
        int got = recv(client, bytes, sizeof bytes, 0);

        if (got == SOCKET_ERROR) {
            check(WSAGetLastError() == WSAEWOULDBLOCK, "recv");
            serve(10);
            continue;
        }
        check(got > 0, "the bulk");
        for (int i = 0; i < got; i++)
            wrong += bytes[i] != pattern[(have + i) % PERIOD];
        have += got;
    }
    printf("client: got %d bytes, %d of them wrong\n", have, wrong);
}

int main(void)
{
    static const char *const lines[CLIENTS] = { "one\n", "another\n", "bulk\n" };
    struct sockaddr_in address = { .sin_family = AF_INET };
    int size = sizeof address, buffer = CHUNK, error;
    SOCKET clients[CLIENTS];
    WSADATA data;

    if ((error = WSAStartup(MAKEWORD(2, 2), &data)) != 0) {
        fprintf(stderr, "WSAStartup failed: error %d\n", error);
        return EXIT_FAILURE;
    }
    for (int i = 0; i < (int)sizeof pattern; i++)
        pattern[i] = (char)(i % PERIOD);
    watch(0, socket(AF_INET, SOCK_STREAM, IPPROTO_TCP), FD_ACCEPT);
    /* Accepted sockets take this over, so that no system swallows the bulk. */
    check(!setsockopt(sockets[0], SOL_SOCKET, SO_SNDBUF, (char *)&buffer, sizeof buffer), "setsockopt");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(bind(sockets[0], (struct sockaddr *)&address, size) == 0, "bind");
    check(getsockname(sockets[0], (struct sockaddr *)&address, &size) == 0, "getsockname");
    check(listen(sockets[0], CLIENTS) == 0, "listen");

    /* All are connected before the server accepts the first. */
    for (int i = 0; i < CLIENTS; i++) {
        check((clients[i] = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)) != INVALID_SOCKET, "socket");
        check(connect(clients[i], (struct sockaddr *)&address, size) == 0, "connect");
    }
    serve_until(&accepted, CLIENTS);
    serve_until(&writable, CLIENTS);
    printf("server: FD_WRITE for every connection\n");

    for (int i = 0; i < CLIENTS; i++) {
        int length = (int)strlen(lines[i]);
        char line[16];

        check(send(clients[i], lines[i], length, 0) == length, "send");
        serve_until(&answered, i + 1);
        if (i == CLIENTS - 1)
            break;
        check(recv(clients[i], line, length, MSG_WAITALL) == length, "recv");
        printf("client: got %.*s\n", length - 1, line);
    }
    receive_bulk(clients[CLIENTS - 1]);
    for (int i = 0; i < CLIENTS; i++) {
        check(closesocket(clients[i]) == 0, "closesocket");
        serve_until(&closed, i + 1);
    }
    for (int i = 0; i <= CLIENTS; i++)
        check(WSACloseEvent(events[i]), "WSACloseEvent");
    check(closesocket(sockets[0]) == 0, "closesocket");
    check(WSACleanup() == 0, "WSACleanup");
    return EXIT_SUCCESS;
}
