/* WSAAsyncSelect: its parameters and errors, its messages, and the one registration of a socket. */
#include "messages.h"

static HWND window;

static void parameters(void)
{
    HWND destroyed = new_window();
    SOCKET s = tcp();
    DestroyWindow(destroyed);
    check("async_select: a window and events", 0, ask(s, window, FD_READ | FD_CLOSE));
    check("async_select: every event", 0, ask(s, window, FD_ALL_EVENTS));
    check("async_select: no events", 0, ask(s, window, 0));
    check("async_select: NULL for the window", WSAEINVAL, ask(s, NULL, FD_READ));
    check("async_select: a window never made", WSAEINVAL, ask(s, (HWND)NO_HANDLE, FD_READ));
    check("async_select: a destroyed window", WSAEINVAL, ask(s, destroyed, FD_READ));
    check("async_select: NULL for the window without events", 0, ask(s, NULL, 0));
    check("async_select: a window never made without events", 0, ask(s, (HWND)NO_HANDLE, 0));
    check("async_select: neither window nor message nor events", 0, outcome(WSAAsyncSelect(s, NULL, 0, 0)));
    closesocket(s);
    check("async_select: a closed socket", WSAENOTSOCK, ask(s, window, FD_READ));
    check("async_select: INVALID_SOCKET", WSAENOTSOCK, ask(INVALID_SOCKET, window, FD_READ));
    check("async_select: no socket without events", WSAENOTSOCK, ask(INVALID_SOCKET, NULL, 0));
    check("async_select: the socket is checked before the window", WSAENOTSOCK, ask(INVALID_SOCKET, NULL, FD_READ));
    drop(window);
}

static void macros(void)
{
    LPARAM reply = (LPARAM)WSAMAKESELECTREPLY(FD_CLOSE, WSAECONNABORTED);
    check_number("async_select: WSAMAKESELECTREPLY", (WSAECONNABORTED << 16) | FD_CLOSE, reply);
    check_number("async_select: WSAGETSELECTEVENT", FD_CLOSE, WSAGETSELECTEVENT(reply));
    check("async_select: WSAGETSELECTERROR", WSAECONNABORTED, WSAGETSELECTERROR(reply));
    check("async_select: WSAGETASYNCERROR", WSAECONNABORTED, WSAGETASYNCERROR(reply));
}

static void fionbio(void)
{
    SOCKET client, server, other;
    pair(&client, &server);
    check("async_select: FIONBIO 0 before", 0, blocking(client, 1));
    check("async_select: registered", 0, ask(client, window, FD_READ));
    check("async_select: recv on a registered socket", WSAEWOULDBLOCK, received_code(client, 1));
    check("async_select: FIONBIO 0 while registered", WSAEINVAL, blocking(client, 1));
    check("async_select: FIONBIO 1 while registered", 0, blocking(client, 0));
    other = another(client);
    check("async_select: FIONBIO 0 through a duplicate while registered", WSAEINVAL, blocking(other, 1));
    check("async_select: cancelled through a duplicate", 0, ask(other, window, 0));
    check("async_select: recv after cancelling", WSAEWOULDBLOCK, received_code(client, 1));
    check("async_select: FIONBIO 0 after cancelling", 0, blocking(client, 1));
    send(server, "x", 1, 0);
    check_true("async_select: what was cancelled through a duplicate is silent", silent(window));
    check("async_select: recv on a blocking socket again", 0, received_code(client, 1));
    closesocket(other);
    close_pair(client, server);
}

static void message(void)
{
    SOCKET client, server;
    watched(window, FD_READ | FD_CLOSE, &client, &server);
    send(server, "x", 1, 0);
    check_number("async_select: data is FD_READ", FD_READ, next(window));
    check_true("async_select: wParam is the descriptor", told == client);
    check("async_select: the code of FD_READ", 0, told_code);
    received_code(client, 1);
    check_true("async_select: one message for each event", silent(window));
    WSAAsyncSelect(client, window, OTHER_MESSAGE, FD_READ);
    send(server, "x", 1, 0);
    check_number("async_select: another number of message", FD_READ, next_message(window, OTHER_MESSAGE, SOON));
    check_true("async_select: the number before is not used", silent(window));
    close_pair(client, server);
}

/* One registration, of whichever kind, through whichever descriptor. */
static void replaced(int through_duplicate)
{
    const char *how = through_duplicate ? "through a duplicate" : "through the same descriptor";
    HWND second = new_window();
    HANDLE event = new_event();
    SOCKET client, server, other;
    watched(window, FD_READ, &client, &server);
    other = through_duplicate ? another(client) : client;

    check(title("async_select: another window %s", how), 0, ask(other, second, FD_READ));
    send(server, "x", 1, 0);
    check_number(title("async_select: another window %s is told", how), FD_READ, next(second));
    check_true(title("async_select: another window %s: wParam is that descriptor", how), told == other);
    check_true(title("async_select: another window %s: the first is not told", how), silent(window));
    received_code(client, 1);

    check(title("async_select: WSAEventSelect %s", how), 0, outcome(WSAEventSelect(other, event, FD_READ)));
    send(server, "x", 1, 0);
    check_true(title("async_select: WSAEventSelect %s signals", how), signalled(event, SOON));
    check_true(title("async_select: WSAEventSelect %s cancels messages", how), silent(second) && silent(window));
    received_code(client, 1);
    WSAResetEvent(event);

    check(title("async_select: after WSAEventSelect %s", how), 0, ask(client, window, FD_READ));
    WSAResetEvent(event);
    send(server, "x", 1, 0);
    check_number(title("async_select: after WSAEventSelect %s: messages come", how), FD_READ, next(window));
    check_true(title("async_select: after WSAEventSelect %s: the event object is silent", how),
               !signalled(event, QUIET));
    received_code(client, 1);

    check(title("async_select: WSAEventSelect without events %s", how), 0, outcome(WSAEventSelect(other, NULL, 0)));
    send(server, "x", 1, 0);
    check_true(title("async_select: WSAEventSelect without events %s cancels messages", how), silent(window));
    if (through_duplicate)
        closesocket(other);
    close_pair(client, server);
    WSACloseEvent(event);
    DestroyWindow(second);
}

static void cancelled(void)
{
    SOCKET client, server;
    watched(window, FD_READ | FD_CLOSE, &client, &server);
    check("async_select: cancelled", 0, ask(client, window, 0));
    send(server, "x", 1, 0);
    closesocket(server);
    check_true("async_select: cancelled is silent", silent(window));
    closesocket(client);
    check_true("async_select: closesocket is silent", silent(window));

    watched(window, FD_READ | FD_CLOSE, &client, &server);
    closesocket(client);
    check_true("async_select: closesocket of a registered socket is silent", silent(window));
    closesocket(server);
}

/* A refused call leaves the registration as it was. */
static void refused(void)
{
    SOCKET client, server;
    watched(window, FD_READ, &client, &server);
    ask(client, NULL, FD_READ);
    WSAEventSelect(client, NULL, FD_READ);
    send(server, "x", 1, 0);
    check_number("async_select: a refused call leaves the registration", FD_READ, next(window));
    close_pair(client, server);
}

static void accepted(void)
{
    struct sockaddr_in address;
    SOCKET listener = listening(&address), client, server;
    check("async_select: a listener", 0, ask(listener, window, FD_ACCEPT | FD_READ));
    check_true("async_select: a listener without connections is silent", silent(window));
    client = connected_to(&address);
    check_number("async_select: a connection is FD_ACCEPT", FD_ACCEPT, next(window));
    check_true("async_select: of the listener", told == listener);
    server = accept(listener, NULL, NULL);
    check("async_select: an accepted socket is non-blocking", WSAEWOULDBLOCK, received_code(server, 1));
    check("async_select: an accepted socket is registered", WSAEINVAL, blocking(server, 1));
    send(client, "x", 1, 0);
    check_number("async_select: an accepted socket has the listener's window", FD_READ, next(window));
    check_true("async_select: wParam is the accepted descriptor", told == server);
    close_pair(client, server);
    closesocket(listener);
    drop(window);
}

int main(void)
{
    start();
    window = new_window();
    parameters();
    macros();
    fionbio();
    message();
    replaced(0);
    replaced(1);
    cancelled();
    refused();
    accepted();
    DestroyWindow(window);
    WSACleanup();
    return finish();
}
