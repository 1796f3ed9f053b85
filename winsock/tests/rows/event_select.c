/* WSAEventSelect: its parameters and errors, blocking mode, and the one registration of a socket. */
#include "sockets.h"

static int chosen(SOCKET s, HANDLE event, long events)
{
    return outcome(WSAEventSelect(s, event, events));
}

/* WSAEWOULDBLOCK when there is nothing, for the socket is non-blocking. */
static int recv_code(SOCKET s)
{
    char byte;
    return outcome(recv(s, &byte, 1, 0));
}

static void parameters(void)
{
    HANDLE event = new_event();
    SOCKET s = tcp();
    check("event_select: an event object and events", 0, chosen(s, event, FD_READ | FD_CLOSE));
    check("event_select: every event", 0, chosen(s, event, FD_ALL_EVENTS));
    check("event_select: NULL with events", WSAEINVAL, chosen(s, NULL, FD_READ));
    check("event_select: NULL without events", 0, chosen(s, NULL, 0));
    check("event_select: NULL without events twice", 0, chosen(s, NULL, 0));
    check("event_select: an event object without events", 0, chosen(s, event, 0));
    check("event_select: NULL without events on a new socket", 0, chosen(tcp(), NULL, 0));
    check("event_select: a closed event object", WSAEINVAL, chosen(s, closed_event(), FD_READ));
    check("event_select: a handle never given out", WSAEINVAL, chosen(s, NO_HANDLE, FD_READ));
    check("event_select: a socket as event object", WSAEINVAL, chosen(s, (HANDLE)tcp(), FD_READ));
    check("event_select: a closed event object without events", 0, chosen(s, closed_event(), 0));
    check("event_select: a handle never given out without events", 0, chosen(s, NO_HANDLE, 0));
    closesocket(s);
    check("event_select: a closed socket", WSAENOTSOCK, chosen(s, event, FD_READ));
    check("event_select: a closed socket without events", WSAENOTSOCK, chosen(s, NULL, 0));
    check("event_select: INVALID_SOCKET", WSAENOTSOCK, chosen(INVALID_SOCKET, event, FD_READ));
    check("event_select: the socket is checked before the event object", WSAENOTSOCK, chosen(s, NULL, FD_READ));
    WSACloseEvent(event);
}

/* A refused call leaves the registration as it was. */
static void refused(void)
{
    HANDLE event = new_event();
    SOCKET client, server;
    pair(&client, &server);
    chosen(client, event, FD_READ);
    chosen(client, NULL, FD_READ);
    chosen(client, closed_event(), FD_READ);
    send(server, "x", 1, 0);
    check_true("event_select: a refused call leaves the registration", signalled(event, SOON));
    close_pair(client, server);
    WSACloseEvent(event);
}

static void fionbio(void)
{
    HANDLE event = new_event();
    SOCKET client, server;
    pair(&client, &server);
    check("event_select: makes the socket non-blocking", 0, chosen(client, event, FD_READ));
    check("event_select: recv on a registered socket", WSAEWOULDBLOCK, recv_code(client));
    check("event_select: FIONBIO 0 while registered", WSAEINVAL, blocking(client, 1));
    check("event_select: FIONBIO 1 while registered", 0, blocking(client, 0));
    check("event_select: recv after a refused FIONBIO 0", WSAEWOULDBLOCK, recv_code(client));
    check("event_select: cancelled", 0, chosen(client, NULL, 0));
    check("event_select: recv after cancelling", WSAEWOULDBLOCK, recv_code(client));
    check("event_select: FIONBIO 0 after cancelling", 0, blocking(client, 1));
    send(server, "x", 1, 0);
    check("event_select: recv on a blocking socket again", 0, recv_code(client));
    check("event_select: cancelling on a blocking socket makes it non-blocking", 0, chosen(client, NULL, 0));
    check("event_select: recv after cancelling what was not registered", WSAEWOULDBLOCK, recv_code(client));
    check("event_select: FIONBIO of a bad pointer", WSAEFAULT, outcome(ioctlsocket(client, FIONBIO, BAD_POINTER)));
    check("event_select: FIONBIO of NULL", WSAEFAULT, outcome(ioctlsocket(client, FIONBIO, NULL)));
    close_pair(client, server);
    WSACloseEvent(event);
}

/* The mode and the registration belong to the socket, not to a descriptor. */
static void shared_mode(void)
{
    HANDLE event = new_event();
    SOCKET client, server, other;
    pair(&client, &server);
    other = another(client);
    chosen(client, event, FD_READ);
    check("event_select: recv through a duplicate of a registered socket", WSAEWOULDBLOCK, recv_code(other));
    check("event_select: FIONBIO 0 through a duplicate while registered", WSAEINVAL, blocking(other, 1));
    check("event_select: cancelled through a duplicate", 0, chosen(other, NULL, 0));
    check("event_select: FIONBIO 0 after cancelling through a duplicate", 0, blocking(client, 1));
    send(server, "x", 1, 0);
    check_true("event_select: what was cancelled through a duplicate is silent", !signalled(event, QUIET));
    closesocket(other);
    close_pair(client, server);
    WSACloseEvent(event);
}

/* One event object for each socket: a new call replaces the one before, whichever descriptor made it. */
static void replaced(int through_duplicate)
{
    const char *how = through_duplicate ? "through a duplicate" : "through the same descriptor";
    HANDLE first = new_event(), second = new_event();
    SOCKET client, server, other;
    pair(&client, &server);
    other = through_duplicate ? another(client) : client;
    chosen(client, first, FD_READ);
    check(title("event_select: registered again %s", how), 0, chosen(other, second, FD_READ));
    send(server, "x", 1, 0);
    check_true(title("event_select: registered again %s: the last is signalled", how), signalled(second, SOON));
    check_true(title("event_select: registered again %s: the first is not", how), !signalled(first, QUIET));
    chosen(client, first, FD_CLOSE);
    WSAResetEvent(second);
    recv_code(client);
    send(server, "x", 1, 0);
    check_true(title("event_select: registered again %s: the events are replaced too", how),
               !signalled(first, QUIET) && !signalled(second, 0));
    if (through_duplicate)
        closesocket(other);
    close_pair(client, server);
    WSACloseEvent(first);
    WSACloseEvent(second);
}

static void cancelled(void)
{
    HANDLE event = new_event();
    SOCKET client, server;
    pair(&client, &server);
    chosen(client, event, FD_READ);
    chosen(client, event, 0);
    send(server, "x", 1, 0);
    check_true("event_select: no events with an event object cancel", !signalled(event, QUIET));
    chosen(client, event, FD_READ);
    check_true("event_select: what came meanwhile is told at once", signalled(event, SOON));
    chosen(client, event, FD_CLOSE);
    check_true("event_select: the call does not reset the event object", signalled(event, 0));
    WSAResetEvent(event);
    chosen(client, event, FD_WRITE);
    check_true("event_select: what was not enumerated is told to a new registration", signalled(event, SOON));
    close_pair(client, server);
    check_true("event_select: the event object outlives the socket", WSACloseEvent(event));
}

static void without_events(void)
{
    struct sockaddr_in address;
    HANDLE event = new_event();
    SOCKET fresh = tcp(), listener, client, server;
    check("event_select: a socket not connected", 0, chosen(fresh, event, FD_READ | FD_WRITE | FD_CONNECT | FD_CLOSE));
    check_true("event_select: a socket not connected has no events", !signalled(event, QUIET));
    closesocket(fresh);
    check_true("event_select: closing it is no event", !signalled(event, QUIET));

    listener = listening(&address);
    check("event_select: a listener", 0, chosen(listener, event, FD_ACCEPT));
    check_true("event_select: a listener without connections has no events", !signalled(event, QUIET));
    client = connected_to(&address);
    check_true("event_select: a connection signals", signalled(event, SOON));
    server = accept(listener, NULL, NULL);
    check("event_select: an accepted socket is non-blocking", WSAEWOULDBLOCK, recv_code(server));
    check("event_select: an accepted socket is registered", WSAEINVAL, blocking(server, 1));
    close_pair(client, server);
    closesocket(listener);
    WSACloseEvent(event);
}

/* What is registered keeps its event object, as far as sockets can tell. */
static void closed_while_registered(void)
{
    HANDLE event = new_event();
    SOCKET client, server;
    pair(&client, &server);
    chosen(client, event, FD_READ);
    WSACloseEvent(event);
    check("event_select: send to a socket whose event object was closed", 0, outcome(send(server, "x", 1, 0)));
    readable(client);
    check("event_select: recv on a socket whose event object was closed", 0, recv_code(client));
    check("event_select: cancelling when the event object was closed", 0, chosen(client, NULL, 0));
    close_pair(client, server);
}

static void one_for_many(void)
{
    HANDLE event = CreateEventA(NULL, FALSE, FALSE, NULL);
    SOCKET a, b, c, d;
    pair(&a, &b);
    pair(&c, &d);
    check("event_select: an auto-reset event object", 0, chosen(a, event, FD_READ));
    check("event_select: one event object for two sockets", 0, chosen(c, event, FD_READ));
    send(b, "x", 1, 0);
    check_true("event_select: the first of two sockets signals", signalled(event, SOON));
    check_true("event_select: waiting resets an auto-reset event object", !signalled(event, QUIET));
    send(d, "x", 1, 0);
    check_true("event_select: the second of two sockets signals", signalled(event, SOON));
    close_pair(a, b);
    close_pair(c, d);
    CloseHandle(event);
}

/* Programs ask for FD_WRITE by an empty send. */
static void empty_send(void)
{
    static char bytes[1000], taken[1 << 16];
    HANDLE event = new_event();
    SOCKET client, server;
    WSAPOLLFD room = { 0 };
    WSANETWORKEVENTS found;
    long left = 0, count;
    pair(&client, &server);
    chosen(client, event, FD_WRITE);
    WSAEnumNetworkEvents(client, event, &found);
    room.fd = client;
    room.events = POLLOUT;
    /* What was sent may still be on its way out of the socket. */
    while (WSAPoll(&room, 1, 100) == 1 && (count = send(client, bytes, sizeof bytes, 0)) > 0)
        left += count;
    send(client, NULL, 0, 0);
    check_true("event_select: a full socket has no FD_WRITE", !signalled(event, QUIET));
    while (left > 0 && (count = recv(server, taken, sizeof taken, 0)) > 0)
        left -= count;
    check_true("event_select: after an empty send to a full socket, room is FD_WRITE", signalled(event, SOON));
    close_pair(client, server);
    WSACloseEvent(event);
}

int main(void)
{
    start();
    parameters();
    refused();
    fionbio();
    shared_mode();
    replaced(0);
    replaced(1);
    cancelled();
    without_events();
    closed_while_registered();
    one_for_many();
    empty_send();
    WSACleanup();
    return finish();
}
