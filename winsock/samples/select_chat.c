/*
 * A chat server built on select().
 *
 * The first line from a member is the name; every later line goes to all the
 * others.  The members live in the same program and speak in turn.  Last
 * comes a connect that must fail, which select() tells by exceptfds.
 */
#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMBERS 3
#define LINE_SIZE 80

struct member {
    SOCKET s;                   /* INVALID_SOCKET once the member has left */
    char name[16];
    char line[LINE_SIZE];       /* what has come of a line so far */
    int length;
};

static SOCKET listener;
static struct sockaddr_in address;
static struct member members[MEMBERS];
static int count, broadcasts;

static void check(int succeeded, const char *what)
{
    if (succeeded)
        return;
    fprintf(stderr, "%s failed: error %d\n", what, WSAGetLastError());
    exit(EXIT_FAILURE);
}

static SOCKET new_socket(void)
{
    SOCKET s = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    check(s != INVALID_SOCKET, "socket");
    return s;
}

/* Binds to any free port of the loopback address, and leaves it in `address`. */
static void bind_to_loopback(SOCKET s)
{
    int size = sizeof address;

    address = (struct sockaddr_in){ .sin_family = AF_INET };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(bind(s, (struct sockaddr *)&address, size) == 0, "bind");
    check(getsockname(s, (struct sockaddr *)&address, &size) == 0, "getsockname");
}

static void broadcast(const struct member *speaker, const char *what, const char *text)
{
    char line[LINE_SIZE + 32];
    int length = sprintf(line, "%s %s%s\n", speaker->name, what, text);

    printf("server: %s", line);
    broadcasts++;
    for (int i = 0; i < count; i++)
        if (members[i].s != INVALID_SOCKET && &members[i] != speaker)
            check(send(members[i].s, line, length, 0) == length, "send");
}

static void on_readable(struct member *m)
{
    int got = recv(m->s, m->line + m->length, 1, 0);
    check(got != SOCKET_ERROR, "recv");
    if (got == 0) {
        broadcast(m, "leaves", "");
        check(closesocket(m->s) == 0, "closesocket");
        m->s = INVALID_SOCKET;
    } else if (m->line[m->length] == '\n' || m->length == LINE_SIZE - 1) {
        m->line[m->length] = '\0';
        m->length = 0;
        if (m->name[0] != '\0')
            broadcast(m, "says: ", m->line);
        else {
            sprintf(m->name, "%.15s", m->line);
            broadcast(m, "comes in", "");
        }
    } else
        m->length++;
}

/* Serves until something is broadcast. */
static void serve(void)
{
    for (int before = broadcasts; broadcasts == before; ) {
        fd_set readable;

        FD_ZERO(&readable);
        FD_SET(listener, &readable);
        for (int i = 0; i < count; i++)
            if (members[i].s != INVALID_SOCKET)
                FD_SET(members[i].s, &readable);
        /* The first argument means nothing: an fd_set is a list of sockets. */
        check(select(0, &readable, NULL, NULL, NULL) > 0, "select");
        for (int i = 0; i < count; i++)
            if (members[i].s != INVALID_SOCKET && FD_ISSET(members[i].s, &readable))
                on_readable(&members[i]);
        if (FD_ISSET(listener, &readable)) {
            SOCKET s = accept(listener, NULL, NULL);
            check(s != INVALID_SOCKET && count < MEMBERS, "accept");
            members[count++].s = s;
        }
    }
}

static void say(SOCKET s, const char *line)
{
    int length = (int)strlen(line);
    check(send(s, line, length, 0) == length, "send");
    serve();
}

static SOCKET enter(const char *name)
{
    SOCKET s = new_socket();
    check(connect(s, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    say(s, name);
    return s;
}

static void leave(SOCKET s)
{
    check(closesocket(s) == 0, "closesocket");
    serve();
}

/* Prints the next lines that a member has heard. */
static void hear(SOCKET s, const char *name, int lines)
{
    for (char letter; lines-- > 0; ) {
        printf("%s hears: ", name);
        do {
            check(recv(s, &letter, 1, 0) == 1, "recv");
            putchar(letter);
        } while (letter != '\n');
    }
}

/* Connects, without waiting, to an address where nobody listens. */
static void connect_in_vain(void)
{
    struct timeval patience = { .tv_sec = 30 };
    fd_set writable, excepted;
    u_long nonblocking = 1;
    int error = 0, size = sizeof error;
    SOCKET s = new_socket(), silent = new_socket();

    bind_to_loopback(silent);
    check(ioctlsocket(s, FIONBIO, &nonblocking) == 0, "ioctlsocket");
    check(connect(s, (struct sockaddr *)&address, sizeof address) == SOCKET_ERROR
          && WSAGetLastError() == WSAEWOULDBLOCK, "the non-blocking connect");
    FD_ZERO(&writable);
    FD_SET(s, &writable);
    excepted = writable;
    check(select(0, NULL, &writable, &excepted, &patience) == 1, "select");
    check(getsockopt(s, SOL_SOCKET, SO_ERROR, (char *)&error, &size) == 0, "getsockopt");
    printf("connect in vain: writable %d, excepted %d, %s\n", FD_ISSET(s, &writable) != 0,
           FD_ISSET(s, &excepted) != 0, error == WSAECONNREFUSED ? "WSAECONNREFUSED" : "?");
    check(closesocket(s) == 0 && closesocket(silent) == 0, "closesocket");
}

int main(void)
{
    SOCKET ann, bob, eve;
    WSADATA data;
    int error = WSAStartup(MAKEWORD(2, 2), &data);

    if (error != 0) {
        fprintf(stderr, "WSAStartup failed: error %d\n", error);
        return EXIT_FAILURE;
    }
    listener = new_socket();
    bind_to_loopback(listener);
    check(listen(listener, MEMBERS) == 0, "listen");

    ann = enter("ann\n");
    bob = enter("bob\n");
    eve = enter("eve\n");
    say(ann, "hello\n");
    say(eve, "good morning\n");
    hear(bob, "bob", 3);        /* leaving with lines unread would be an abort */
    leave(bob);
    say(ann, "where is bob?\n");
    hear(ann, "ann", 4);
    hear(eve, "eve", 3);
    leave(eve);
    hear(ann, "ann", 1);
    leave(ann);
    check(closesocket(listener) == 0, "closesocket");
    connect_in_vain();
    check(WSACleanup() == 0, "WSACleanup");
    return EXIT_SUCCESS;
}
