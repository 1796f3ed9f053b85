/*
 * One process makes a connection, another one goes on with it.
 *
 *   shared_pipe source      and      shared_pipe target
 *
 * The standard output of each is the standard input of the other: over this
 * channel go the process id and the protocol info.  Traces go to the standard
 * error.  The source process plays both ends of a loopback connection: one is
 * handed over, the other is kept to see what the target does.
 */
#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A line holds a keyword and, at most, a protocol info in hexadecimal. */
#define LINE_SIZE (2 * sizeof(WSAPROTOCOL_INFO) + 32)

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

static void trace(const char *text)
{
    fprintf(stderr, "%s\n", text);
}

/* Sends one line to the other process, at once. */
static void say(const char *keyword, const char *rest)
{
    if (printf("%s %s\n", keyword, rest) < 0 || fflush(stdout) != 0)
        stop("the other process does not listen any more");
}

/* Waits for the line that begins with `keyword` and returns what follows. */
static const char *await(const char *keyword)
{
    static char line[LINE_SIZE];
    size_t length = strlen(keyword);

    if (fgets(line, sizeof line, stdin) == NULL || strncmp(line, keyword, length) != 0)
        stop("the other process has gone, or is confused");
    line[strcspn(line, "\r\n")] = '\0';
    return line + length + 1;
}

static void send_text(SOCKET s, const char *text)
{
    int length = (int)strlen(text);

    check(send(s, text, length, 0) == length, "send");
}

/* Receives a text of known length; a stream may deliver it in pieces. */
static void receive_text(SOCKET s, const char *who, const char *expected)
{
    char text[64];
    int length = (int)strlen(expected), have = 0;

    while (have < length) {
        int got = recv(s, text + have, length - have, 0);
        check(got != SOCKET_ERROR, "recv");
        if (got == 0)
            stop("the connection ended too early");
        have += got;
    }
    text[have] = '\0';
    fprintf(stderr, "%s received \"%s\"\n", who, text);
    if (strcmp(text, expected) != 0)
        stop("that is not what was sent");
}

/* Makes a loopback connection of which this process holds both ends. */
static void connect_pair(SOCKET *one, SOCKET *other)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    int size = sizeof address;
    SOCKET listener = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);

    check(listener != INVALID_SOCKET, "socket");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(bind(listener, (struct sockaddr *)&address, size) != SOCKET_ERROR, "bind");
    check(listen(listener, 1) != SOCKET_ERROR, "listen");
    check(getsockname(listener, (struct sockaddr *)&address, &size) != SOCKET_ERROR, "getsockname");
    check((*one = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)) != INVALID_SOCKET, "socket");
    check(connect(*one, (struct sockaddr *)&address, size) != SOCKET_ERROR, "connect");
    check((*other = accept(listener, NULL, NULL)) != INVALID_SOCKET, "accept");
    check(closesocket(listener) != SOCKET_ERROR, "closesocket");
}

static void run_source(void)
{
    SOCKET shared, peer;
    WSAPROTOCOL_INFO info;
    unsigned char *bytes = (unsigned char *)&info;
    char hex[2 * sizeof info + 1], byte;
    DWORD target;

    connect_pair(&shared, &peer);
    trace("made a connection");

    /* An info is made for one process only, whose id must be known first. */
    say("pid", "please");
    target = (DWORD)strtoul(await("pid"), NULL, 10);
    trace("the target told its process id");

    check(WSADuplicateSocket(shared, target, &info) != SOCKET_ERROR, "WSADuplicateSocket");
    for (size_t i = 0; i < sizeof info; i++)
        sprintf(hex + 2 * i, "%02x", bytes[i]);
    say("info", hex);
    trace("sent the protocol info");

    receive_text(peer, "the peer", "hello from the target");
    send_text(peer, "hello to the target");

    /* The connection belongs to the target's descriptor as much as to ours. */
    await("redeemed");
    check(closesocket(shared) != SOCKET_ERROR, "closesocket");
    trace("closed the descriptor");
    say("closed", "here");

    receive_text(peer, "the peer", "still connected");
    send_text(peer, "so it is");

    check(recv(peer, &byte, 1, 0) == 0, "recv of the end");
    trace("the peer sees the end");
    check(closesocket(peer) != SOCKET_ERROR, "closesocket");
}

static void run_target(void)
{
    WSAPROTOCOL_INFO info;
    unsigned char *bytes = (unsigned char *)&info;
    char number[16];
    const char *hex;
    SOCKET s;

    await("pid");
    sprintf(number, "%u", (unsigned)GetCurrentProcessId());
    say("pid", number);
    trace("told the process id");

    hex = await("info");
    for (size_t i = 0; i < sizeof info; i++) {
        unsigned value;
        if (sscanf(hex + 2 * i, "%2x", &value) != 1)
            stop("the protocol info is cut short");
        bytes[i] = (unsigned char)value;
    }
    s = WSASocket(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO,
                  &info, 0, WSA_FLAG_OVERLAPPED);
    check(s != INVALID_SOCKET, "WSASocket");
    trace("redeemed the protocol info");

    send_text(s, "hello from the target");
    receive_text(s, "the target", "hello to the target");
    say("redeemed", "here");

    await("closed");
    trace("the source closed its descriptor");
    send_text(s, "still connected");
    receive_text(s, "the target", "so it is");
    check(closesocket(s) != SOCKET_ERROR, "closesocket");
    trace("closed the last descriptor");
}

int main(int argc, char **argv)
{
    WSADATA data;
    int error = WSAStartup(MAKEWORD(2, 2), &data);

    if (error != 0) {
        fprintf(stderr, "WSAStartup failed: error %d\n", error);
        return EXIT_FAILURE;
    }
    if (argc == 2 && strcmp(argv[1], "source") == 0)
        run_source();
    else if (argc == 2 && strcmp(argv[1], "target") == 0)
        run_target();
    else
        stop("usage: shared_pipe source | target");
    check(WSACleanup() != SOCKET_ERROR, "WSACleanup");
    return EXIT_SUCCESS;
}
