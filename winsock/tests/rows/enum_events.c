/* WSAEnumNetworkEvents: what it copies, clears and resets, and what it leaves alone. */
#include "sockets.h"

static WSANETWORKEVENTS events;

/* Asks with the structure filled with 0xAB. */
static int asked(SOCKET s, HANDLE event)
{
    memset(&events, 0xAB, sizeof events);
    return outcome(WSAEnumNetworkEvents(s, event, &events));
}

/* How many of the entries for events that did not occur still have what the caller had there. */
static int untouched(void)
{
    int filled, count = 0;
    memset(&filled, 0xAB, sizeof filled);
    for (int bit = 0; bit < FD_MAX_EVENTS; bit++)
        count += events.lNetworkEvents & 1 << bit ? 1 : events.iErrorCode[bit] == filled;
    return count;
}

/* A connection of which the client is registered and has told of its beginning. */
static HANDLE connection(SOCKET *client, SOCKET *server, long mask)
{
    HANDLE event = new_event();
    pair(client, server);
    need(!WSAEventSelect(*client, event, FD_ALL_EVENTS) && !asked(*client, event), "the first events");
    need(!WSAEventSelect(*client, event, mask), "WSAEventSelect");
    return event;
}

static void done(SOCKET client, SOCKET server, HANDLE event)
{
    close_pair(client, server);
    WSACloseEvent(event);
}

static void nothing(void)
{
    HANDLE event = new_event();
    SOCKET s = tcp();
    check_number("enum: the size of WSANETWORKEVENTS", 44, sizeof(WSANETWORKEVENTS));
    check("enum: a socket never registered", 0, asked(s, NULL));
    check_number("enum: a socket never registered has no events", 0, events.lNetworkEvents);
    check_number("enum: a socket never registered leaves every code alone", FD_MAX_EVENTS, untouched());
    WSASetEvent(event);
    check("enum: a socket never registered with an event object", 0, asked(s, event));
    check_true("enum: the event object is reset though nothing is registered", !signalled(event, 0));
    need(!WSAEventSelect(s, event, FD_READ | FD_CLOSE), "WSAEventSelect");
    WSASetEvent(event);
    check("enum: nothing recorded", 0, asked(s, event));
    check_number("enum: nothing recorded is no events", 0, events.lNetworkEvents);
    check_number("enum: nothing recorded leaves every code alone", FD_MAX_EVENTS, untouched());
    check_true("enum: the event object is reset though nothing was recorded", !signalled(event, 0));
    closesocket(s);
    WSACloseEvent(event);
}

static void arrival(void)
{
    SOCKET client, server;
    HANDLE event = connection(&client, &server, FD_READ | FD_CLOSE), other = new_event();
    char byte;
    send(server, "x", 1, 0);
    check_true("enum: data signals", signalled(event, SOON));
    check("enum: without an event object", 0, asked(client, NULL));
    check_number("enum: data is FD_READ", FD_READ, events.lNetworkEvents);
    check_number("enum: FD_READ has the code 0", 0, events.iErrorCode[FD_READ_BIT]);
    check_number("enum: the codes of other events are left alone", FD_MAX_EVENTS, untouched());
    check_true("enum: without an event object none is reset", signalled(event, 0));
    check("enum: again", 0, asked(client, event));
    check_number("enum: what was reported is cleared", 0, events.lNetworkEvents);
    check_number("enum: again every code is left alone", FD_MAX_EVENTS, untouched());
    check_true("enum: with the event object it is reset", !signalled(event, 0));

    recv(client, &byte, 1, 0);
    send(server, "y", 1, 0);
    need(signalled(event, SOON), "the second arrival");
    WSASetEvent(other);
    check("enum: with another event object", 0, asked(client, other));
    check_number("enum: with another event object the events are reported", FD_READ, events.lNetworkEvents);
    check_true("enum: that other event object is reset", !signalled(other, 0));
    check_true("enum: the registered one is not", signalled(event, 0));
    WSACloseEvent(other);
    done(client, server, event);
}

/* Only what is asked for is reported and cleared. */
static void masked(void)
{
    SOCKET client, server;
    HANDLE event = connection(&client, &server, FD_CLOSE);
    send(server, "x", 1, 0);
    check_true("enum: what is not asked for does not signal", !signalled(event, QUIET));
    check("enum: what is not asked for", 0, asked(client, event));
    check_number("enum: what is not asked for is not reported", 0, events.lNetworkEvents);
    WSAEventSelect(client, event, FD_READ | FD_CLOSE);
    check_true("enum: it signals when it is asked for", signalled(event, SOON));
    check("enum: what is asked for later", 0, asked(client, event));
    check_number("enum: what is asked for later is reported", FD_READ, events.lNetworkEvents);
    WSAEventSelect(client, NULL, 0);
    send(server, "x", 1, 0);
    Sleep(QUIET);
    check("enum: after cancelling", 0, asked(client, NULL));
    check_number("enum: after cancelling nothing is reported", 0, events.lNetworkEvents);
    done(client, server, event);
}

/* What fails clears nothing and resets nothing. */
static void failing(void)
{
    SOCKET client, server;
    HANDLE event = connection(&client, &server, FD_READ);
    WSASetEvent(event);
    check("enum: INVALID_SOCKET", WSAENOTSOCK, asked(INVALID_SOCKET, event));
    check("enum: a closed socket", WSAENOTSOCK, asked(closed(), event));
    check_true("enum: no socket resets no event object", signalled(event, 0));
    WSASetEvent(event);
    send(server, "x", 1, 0);
    Sleep(QUIET);
    check("enum: NULL for the events", WSAEFAULT, outcome(WSAEnumNetworkEvents(client, event, NULL)));
    check("enum: a bad pointer for the events", WSAEFAULT, outcome(WSAEnumNetworkEvents(client, event, BAD_POINTER)));
    check("enum: the socket is checked before the events", WSAENOTSOCK,
          outcome(WSAEnumNetworkEvents(INVALID_SOCKET, event, NULL)));
    check("enum: a closed event object", WSAEINVAL, asked(client, closed_event()));
    check("enum: a handle never given out", WSAEINVAL, asked(client, NO_HANDLE));
    check("enum: a socket as event object", WSAEINVAL, asked(client, (HANDLE)server));
    check_true("enum: a refused call resets no event object", signalled(event, 0));
    check("enum: after refused calls", 0, asked(client, event));
    check_number("enum: a refused call clears nothing", FD_READ, events.lNetworkEvents);
    done(client, server, event);
}

/* The codes of what went wrong. */
static void codes(void)
{
    SOCKET client, server, probe;
    HANDLE event = connection(&client, &server, FD_READ | FD_CLOSE);
    struct sockaddr_in address;
    reset(server);
    check_true("enum: a reset signals", signalled(event, SOON));
    check("enum: a reset", 0, asked(client, event));
    check_number("enum: a reset is FD_CLOSE", FD_CLOSE, events.lNetworkEvents & FD_CLOSE);
    check("enum: the code of a reset", WSAECONNABORTED, events.iErrorCode[FD_CLOSE_BIT]);
    done(client, INVALID_SOCKET, event);

    event = connection(&client, &server, FD_READ | FD_CLOSE);
    closesocket(server);
    check_true("enum: the peer's end signals", signalled(event, SOON));
    check("enum: the peer's end", 0, asked(client, event));
    check_number("enum: the peer's end is FD_CLOSE alone", FD_CLOSE, events.lNetworkEvents);
    check("enum: the code of the peer's end", 0, events.iErrorCode[FD_CLOSE_BIT]);
    done(client, INVALID_SOCKET, event);

    probe = listening(&address);
    closesocket(probe);
    event = new_event();
    probe = tcp();
    need(!WSAEventSelect(probe, event, FD_CONNECT | FD_WRITE), "WSAEventSelect");
    check("enum: connect on a registered socket", WSAEWOULDBLOCK,
          outcome(connect(probe, (struct sockaddr *)&address, sizeof address)));
    check_true("enum: a refused connection signals", signalled(event, SOON));
    check("enum: a refused connection", 0, asked(probe, event));
    check_number("enum: a refused connection is FD_CONNECT alone", FD_CONNECT, events.lNetworkEvents);
    check("enum: the code of a refused connection", WSAECONNREFUSED, events.iErrorCode[FD_CONNECT_BIT]);
    done(probe, INVALID_SOCKET, event);
}

/* Several at once, and each once. */
static void several(void)
{
    struct sockaddr_in address;
    HANDLE event = new_event();
    SOCKET listener = listening(&address), client = tcp(), server;
    long all = 0;
    need(!WSAEventSelect(client, event, FD_ALL_EVENTS), "WSAEventSelect");
    connect(client, (struct sockaddr *)&address, sizeof address);
    server = accept(listener, NULL, NULL);
    check_true("enum: a connection made signals", signalled(event, SOON));
    for (int i = 0; i < 20 && all != (FD_CONNECT | FD_WRITE); i++) {
        need(!asked(client, event), "WSAEnumNetworkEvents");
        all |= events.lNetworkEvents;
        Sleep(10);
    }
    check_number("enum: a connection made is FD_CONNECT and FD_WRITE", FD_CONNECT | FD_WRITE, all);
    send(server, "x", 1, 0);
    closesocket(server);
    Sleep(QUIET);
    check("enum: data and the end", 0, asked(client, event));
    check_number("enum: data and the end are FD_READ and FD_CLOSE at once", FD_READ | FD_CLOSE, events.lNetworkEvents);
    check("enum: nothing after data and the end", 0, asked(client, event));
    check_number("enum: data and the end are reported once", 0, events.lNetworkEvents);
    close_pair(client, listener);
    WSACloseEvent(event);
}

/* The record belongs to the socket: what one descriptor takes another does not find. */
static void shared(void)
{
    SOCKET client, server, other;
    HANDLE event = connection(&client, &server, FD_READ);
    other = another(client);
    send(server, "x", 1, 0);
    need(signalled(event, SOON), "data");
    check("enum: through a duplicate", 0, asked(other, event));
    check_number("enum: through a duplicate the events are reported", FD_READ, events.lNetworkEvents);
    check_true("enum: through a duplicate the event object is reset", !signalled(event, 0));
    check("enum: through the source after a duplicate", 0, asked(client, event));
    check_number("enum: what a duplicate took the source does not find", 0, events.lNetworkEvents);
    closesocket(other);
    done(client, server, event);
}

int main(void)
{
    start();
    nothing();
    arrival();
    masked();
    failing();
    codes();
    several();
    shared();
    WSACleanup();
    return finish();
}
