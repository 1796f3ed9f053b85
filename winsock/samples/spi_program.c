/*
 * A program that skips the Winsock library and calls a service provider.
 *
 * WSPStartup fills a table with the provider's procedures.  None of them
 * touches WSAGetLastError: each has a last argument for the error code.  The
 * program makes a connection to itself, duplicates one end for its own
 * process and goes on with the redeemed descriptor.
 */
#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>
#include <ws2spi.h>
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static WSPPROC_TABLE provider;
static int error;               /* where the provider puts its codes */

static void check(int succeeded, const char *what)
{
    if (succeeded)
        return;
    fprintf(stderr, "%s failed: error %d\n", what, error);
    exit(EXIT_FAILURE);
}

/* Finds the provider's entry point; NULL if there is none. */
static LPWSPSTARTUP find_provider(void)
{
#ifdef _WIN32
    HMODULE library = LoadLibraryA("mswsock.dll");

    /* Wine has the name, but nothing behind it. */
    if (library == NULL
        || GetProcAddress(GetModuleHandleA("ntdll.dll"), "wine_get_version") != NULL)
        return NULL;
    return (LPWSPSTARTUP)(void (*)(void))GetProcAddress(library, "WSPStartup");
#else
    return WSPStartup;
#endif
}

/* The procedures which a provider calls in turn.  This one gives out kernel
 * handles as sockets, and leaves it to the caller to change them. */
static SOCKET WSPAPI keep_handle(DWORD entry, SOCKET proposed, LPINT result)
{
    (void)entry;
    *result = 0;
    return proposed;
}

static int WSPAPI no_blocking_callback(DWORD entry, LPBLOCKINGCALLBACK *callback,
                                       PDWORD_PTR context, LPINT result)
{
    (void)entry;
    *callback = NULL;
    *context = 0;
    *result = 0;
    return 0;
}

/* The catalog entry which serves TCP: every socket knows its own. */
static void find_entry(WSAPROTOCOL_INFOW *entry)
{
    int size = sizeof *entry, result;
    SOCKET s = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);

    error = WSAGetLastError();
    check(s != INVALID_SOCKET, "socket");
    result = getsockopt(s, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)entry, &size);
    error = WSAGetLastError();
    check(result == 0, "getsockopt");
    result = closesocket(s);
    error = WSAGetLastError();
    check(result == 0, "closesocket");
}

static SOCKET new_socket(WSAPROTOCOL_INFOW *entry)
{
    SOCKET s = provider.lpWSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, entry, 0,
                                    WSA_FLAG_OVERLAPPED, &error);
    check(s != INVALID_SOCKET, "WSPSocket");
    return s;
}

static void connect_pair(WSAPROTOCOL_INFOW *entry, SOCKET *one, SOCKET *other)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    struct sockaddr *name = (struct sockaddr *)&address;
    int size = sizeof address;
    SOCKET listener = new_socket(entry);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(provider.lpWSPBind(listener, name, size, &error) == 0, "WSPBind");
    check(provider.lpWSPListen(listener, 1, &error) == 0, "WSPListen");
    check(provider.lpWSPGetSockName(listener, name, &size, &error) == 0, "WSPGetSockName");
    *one = new_socket(entry);
    check(provider.lpWSPConnect(*one, name, size, NULL, NULL, NULL, NULL, &error) == 0, "WSPConnect");
    *other = provider.lpWSPAccept(listener, NULL, NULL, NULL, 0, &error);
    check(*other != INVALID_SOCKET, "WSPAccept");
    check(provider.lpWSPCloseSocket(listener, &error) == 0, "WSPCloseSocket");
    printf("connected\n");
}

static void send_text(SOCKET s, char *text)
{
    WSABUF buffer = { .len = (u_long)strlen(text), .buf = text };
    DWORD sent;

    check(provider.lpWSPSend(s, &buffer, 1, &sent, 0, NULL, NULL, NULL, &error) == 0, "WSPSend");
    check(sent == buffer.len, "sending all");
}

/* Receives what is there; a negative result means that `error` tells why. */
static int receive(SOCKET s)
{
    char text[64];
    WSABUF buffer = { .len = sizeof text, .buf = text };
    DWORD got = 0, flags = 0;

    if (provider.lpWSPRecv(s, &buffer, 1, &got, &flags, NULL, NULL, NULL, &error) != 0)
        return -1;
    if (got > 0)
        printf("received \"%.*s\"\n", (int)got, text);
    return (int)got;
}

/* Waits for the event and tells what has occurred. */
static int await(SOCKET s, WSAEVENT event)
{
    WSANETWORKEVENTS occurred;

    error = 0;
    check(WSAWaitForMultipleEvents(1, &event, TRUE, 10000, FALSE) == WSA_WAIT_EVENT_0, "the wait");
    check(provider.lpWSPEnumNetworkEvents(s, event, &occurred, &error) == 0, "WSPEnumNetworkEvents");
    return (int)occurred.lNetworkEvents;
}

static void use_provider(WSAPROTOCOL_INFOW *entry)
{
    WSAPROTOCOL_INFOW info;
    SOCKET original, redeemed, peer;
    WSAEVENT event = WSACreateEvent();

    check(event != WSA_INVALID_EVENT, "WSACreateEvent");
    connect_pair(entry, &peer, &original);
    /* The info goes to this very process; the call is the same for another. */
    check(provider.lpWSPDuplicateSocket(original, GetCurrentProcessId(), &info, &error) == 0,
          "WSPDuplicateSocket");
    redeemed = provider.lpWSPSocket(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO,
                                    &info, 0, WSA_FLAG_OVERLAPPED, &error);
    check(redeemed != INVALID_SOCKET, "WSPSocket");
    printf("redeemed %s descriptor\n", redeemed != original ? "another" : "the same");
    check(provider.lpWSPCloseSocket(original, &error) == 0, "WSPCloseSocket");
    printf("closed the original descriptor\n");
    check(provider.lpWSPCloseSocket(original, &error) == SOCKET_ERROR, "the refusal");
    printf("closed again: error %d\n", error);
    check(provider.lpWSPEventSelect(redeemed, event, FD_READ | FD_CLOSE, &error) == 0,
          "WSPEventSelect");
    send_text(peer, "through the table");
    printf("FD_READ %s\n", await(redeemed, event) == FD_READ ? "alone" : "and others");
    receive(redeemed);
    check(receive(redeemed) < 0, "the refusal");
    printf("nothing more: error %d\n", error);
    send_text(redeemed, "and back");
    receive(peer);

    check(provider.lpWSPCloseSocket(peer, &error) == 0, "WSPCloseSocket");
    printf("FD_CLOSE %s\n", await(redeemed, event) == FD_CLOSE ? "alone" : "and others");
    printf("received %d bytes: the end\n", receive(redeemed));
    check(provider.lpWSPCloseSocket(redeemed, &error) == 0, "WSPCloseSocket");
    check(WSACloseEvent(event), "WSACloseEvent");
}

int main(void)
{
    WSADATA data;
    WSPDATA provider_data;
    WSPUPCALLTABLE upcalls = {
        .lpWPUModifyIFSHandle = keep_handle,
        .lpWPUQueryBlockingCallback = no_blocking_callback,
    };
    WSAPROTOCOL_INFOW entry;
    LPWSPSTARTUP startup = find_provider();

    if (startup == NULL) {
        printf("no provider table here\n");
        return EXIT_SUCCESS;
    }
    check((error = WSAStartup(MAKEWORD(2, 2), &data)) == 0, "WSAStartup");
    find_entry(&entry);
    check((error = startup(MAKEWORD(2, 2), &provider_data, &entry, upcalls, &provider)) == 0,
          "WSPStartup");
    use_provider(&entry);
    check(provider.lpWSPCleanup(&error) == 0, "WSPCleanup");
    return WSACleanup() == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
