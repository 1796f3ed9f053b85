/*
 * An underlying socket has one event registration, whoever made it.
 *
 *   takeover first      and      takeover second
 *
 * The standard output of each is the standard input of the other; traces go
 * to the standard error.  The first process registers an event for a socket
 * and gives the second a descriptor of it.  Once the second has registered an
 * event there, it alone is told, even of what the first one does.
 */
#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONG_WAIT 10000         /* for an event that must come */
#define SHORT_WAIT 200          /* to be sure that none comes */

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
    static char line[2 * sizeof(WSAPROTOCOL_INFOW) + 32];
    size_t length = strlen(keyword);

    if (fgets(line, sizeof line, stdin) == NULL || strncmp(line, keyword, length) != 0)
        stop("the other process has gone, or is confused");
    line[strcspn(line, "\r\n")] = '\0';
    return line + length + 1;
}

static WSAEVENT register_event(SOCKET s)
{
    WSAEVENT event = WSACreateEvent();
    check(event != WSA_INVALID_EVENT, "WSACreateEvent");
    check(WSAEventSelect(s, event, FD_READ) == 0, "WSAEventSelect");
    return event;
}

/* The event must be set, and FD_READ be what has occurred. */
static void expect_read(SOCKET s, WSAEVENT event)
{
    WSANETWORKEVENTS occurred;

    check(WSAWaitForMultipleEvents(1, &event, TRUE, LONG_WAIT, FALSE) == WSA_WAIT_EVENT_0,
          "the wait for the event");
    check(WSAEnumNetworkEvents(s, event, &occurred) == 0, "WSAEnumNetworkEvents");
    if (occurred.lNetworkEvents != FD_READ || occurred.iErrorCode[FD_READ_BIT] != 0)
        stop("something else than FD_READ has occurred");
    trace("my event is set: FD_READ");
}

static void expect_silence(WSAEVENT event)
{
    check(WaitForSingleObject(event, SHORT_WAIT) == WAIT_TIMEOUT, "the wait for no event");
    trace("my event is not set");
}

static void receive(SOCKET s, const char *expected)
{
    char text[32];
    int got = recv(s, text, sizeof text, 0);

    check(got == (int)strlen(expected) && memcmp(text, expected, got) == 0, "recv");
    fprintf(stderr, "received \"%s\"\n", expected);
}

static void run_first(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    int size = sizeof address;
    SOCKET s = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    SOCKET sender = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    WSAPROTOCOL_INFOW info;
    char hex[2 * sizeof info + 1];
    WSAEVENT event;
    DWORD pid;

    check(s != INVALID_SOCKET && sender != INVALID_SOCKET, "socket");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(bind(s, (struct sockaddr *)&address, size) == 0, "bind");
    check(getsockname(s, (struct sockaddr *)&address, &size) == 0, "getsockname");
    check(connect(sender, (struct sockaddr *)&address, size) == 0, "connect");
    event = register_event(s);
    check(send(sender, "one", 3, 0) == 3, "send");
    expect_read(s, event);
    receive(s, "one");

    say("pid", "please");
    pid = (DWORD)strtoul(await("pid"), NULL, 10);
    check(WSADuplicateSocketW(s, pid, &info) == 0, "WSADuplicateSocket");
    for (size_t i = 0; i < sizeof info; i++)
        sprintf(hex + 2 * i, "%02x", ((unsigned char *)&info)[i]);
    say("info", hex);
    await("registered");
    trace("the other process has registered its event");

    check(send(sender, "two", 3, 0) == 3, "send");
    check(send(sender, "three", 5, 0) == 5, "send");
    expect_silence(event);
    say("look", "there are two datagrams");

    /* Each recv lets FD_READ be recorded again if there is more to read. */
    await("seen");
    receive(s, "two");
    say("look", "there is one left");
    await("seen");
    receive(s, "three");
    say("look", "there is none left");
    await("done");
    expect_silence(event);

    check(closesocket(s) == 0 && closesocket(sender) == 0 && WSACloseEvent(event), "closing");
}

static void run_second(void)
{
    WSAPROTOCOL_INFOW info;
    WSAEVENT event;
    const char *hex;
    char number[16];
    SOCKET s;

    await("pid");
    sprintf(number, "%u", (unsigned)GetCurrentProcessId());
    say("pid", number);
    hex = await("info");
    for (size_t i = 0; i < sizeof info; i++, hex += 2) {
        unsigned value;
        check(sscanf(hex, "%2x", &value) == 1, "reading the protocol info");
        ((unsigned char *)&info)[i] = (unsigned char)value;
    }
    s = WSASocketW(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO,
                   &info, 0, WSA_FLAG_OVERLAPPED);
    check(s != INVALID_SOCKET, "WSASocket");
    event = register_event(s);
    trace("registered my event");
    say("registered", "mine");

    await("look");
    expect_read(s, event);
    expect_silence(event);
    say("seen", "it");
    await("look");
    trace("the other process received one of two datagrams");
    expect_read(s, event);
    say("seen", "it");
    await("look");
    trace("the other process received the last datagram");
    expect_silence(event);
    check(closesocket(s) == 0 && WSACloseEvent(event), "closing");
    say("done", "here");
}

int main(int argc, char **argv)
{
    WSADATA data;
    int error = WSAStartup(MAKEWORD(2, 2), &data);

    if (error != 0) {
        fprintf(stderr, "WSAStartup failed: error %d\n", error);
        return EXIT_FAILURE;
    }
    if (argc == 2 && strcmp(argv[1], "first") == 0)
        run_first();
    else if (argc == 2 && strcmp(argv[1], "second") == 0)
        run_second();
    else
        stop("usage: takeover first | second");
    check(WSACleanup() == 0, "WSACleanup");
    return EXIT_SUCCESS;
}
