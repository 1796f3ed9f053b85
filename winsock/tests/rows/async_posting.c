/* When messages are posted: once until re-enabled, and again at each WSAAsyncSelect if the condition holds. */
#include "messages.h"

static HWND window;

static void reading(void)
{
    SOCKET client, server;
    watched(window, FD_READ, &client, &server);
    send(server, "abc", 3, 0);
    check_number("posting: data", FD_READ, next(window));
    send(server, "def", 3, 0);
    check_true("posting: more data is not told before a receive", silent(window));
    received_code(client, 1);
    check_number("posting: a receive that leaves data", FD_READ, next(window));
    check_true("posting: a receive that leaves data posts once", silent(window));
    received_code(client, 8);
    check_true("posting: a receive that takes everything", silent(window));
    check("posting: a receive from the empty queue", WSAEWOULDBLOCK, received_code(client, 1));
    send(server, "x", 1, 0);
    check_number("posting: data after the queue was empty", FD_READ, next(window));
    check("posting: registered again with data", 0, ask(client, window, FD_READ));
    check_number("posting: registered again with data tells again", FD_READ, next(window));
    check("posting: a receive into a bad pointer", WSAEFAULT, outcome(recv(client, BAD_POINTER, 1, 0)));
    check_number("posting: a receive that fails re-enables", FD_READ, next(window));
    close_pair(client, server);
}

static void read_before(void)
{
    SOCKET client, server;
    pair(&client, &server);
    send(server, "x", 1, 0);
    readable(client);
    ask(client, window, FD_READ);
    check_number("posting: data that was there before", FD_READ, next(window));
    ask(client, window, FD_CLOSE);
    ask(client, window, FD_READ | FD_CLOSE);
    check_number("posting: asked for again", FD_READ, next(window));
    drop(window);
    received_code(client, 1);
    ask(client, window, FD_READ);
    check_true("posting: registered without data", silent(window));
    close_pair(client, server);
}

static void connecting(void)
{
    struct sockaddr_in address;
    SOCKET listener = listening(&address), client = tcp(), server;
    ask(client, window, FD_CONNECT | FD_WRITE);
    check_true("posting: a socket not connected", silent(window));
    check("posting: connect", WSAEWOULDBLOCK, outcome(connect(client, (struct sockaddr *)&address, sizeof address)));
    check_number("posting: a connection made is FD_CONNECT first", FD_CONNECT, next(window));
    check("posting: the code of FD_CONNECT", 0, told_code);
    check_number("posting: then FD_WRITE", FD_WRITE, next(window));
    check_true("posting: then nothing", silent(window));
    ask(client, window, FD_CONNECT | FD_WRITE);
    check_number("posting: registered again when connected is FD_WRITE", FD_WRITE, next(window));
    check_true("posting: and not FD_CONNECT", silent(window));
    send(client, "x", 1, 0);
    check_true("posting: a send that succeeds re-enables nothing", silent(window));
    server = accept(listener, NULL, NULL);
    close_pair(client, server);

    client = connected_to(&address);
    ask(client, window, FD_CONNECT | FD_WRITE);
    check_number("posting: registered after the connection is FD_WRITE", FD_WRITE, next(window));
    check_true("posting: and no FD_CONNECT", silent(window));
    close_pair(client, listener);

    client = tcp();
    ask(client, window, FD_CONNECT | FD_WRITE);
    connect(client, (struct sockaddr *)&address, sizeof address);
    check_number("posting: a refused connection is FD_CONNECT", FD_CONNECT, next(window));
    check("posting: the code of a refused connection", WSAECONNREFUSED, told_code);
    check_true("posting: a refused connection is no FD_WRITE", silent(window));
    closesocket(client);
}

static void accepting(void)
{
    struct sockaddr_in address;
    SOCKET listener = listening(&address), client[2], server[2];
    ask(listener, window, FD_ACCEPT);
    client[0] = connected_to(&address);
    check_number("posting: a connection", FD_ACCEPT, next(window));
    client[1] = connected_to(&address);
    check_true("posting: a second connection is not told before accept", silent(window));
    ask(listener, window, FD_ACCEPT);
    check_number("posting: registered again with connections", FD_ACCEPT, next(window));
    check_true("posting: registered again with two connections posts once", silent(window));
    server[0] = accept(listener, NULL, NULL);
    check_number("posting: an accept that leaves a connection", FD_ACCEPT, next(window));
    server[1] = accept(listener, NULL, NULL);
    check_true("posting: an accept that takes the last", silent(window));
    check("posting: an accept from the empty queue", WSAEWOULDBLOCK, outcome_socket(accept(listener, NULL, NULL)));
    for (int i = 0; i < 2; i++)
        close_pair(client[i], server[i]);
    closesocket(listener);
}

static void closing(void)
{
    SOCKET client, server;
    watched(window, FD_CLOSE, &client, &server);
    shutdown(server, SD_SEND);
    check_number("posting: the peer's end", FD_CLOSE, next(window));
    check("posting: the code of the peer's end", 0, told_code);
    ask(client, window, FD_CLOSE);
    check_number("posting: registered again after the peer's end", FD_CLOSE, next(window));
    closesocket(server);
    check_true("posting: the peer's end and its close are one", silent(window));
    closesocket(client);

    watched(window, FD_READ | FD_CLOSE, &client, &server);
    closesocket(server);
    check_number("posting: a close without data is FD_CLOSE", FD_CLOSE, next(window));
    check_true("posting: a close without data is no FD_READ", silent(window));
    closesocket(client);

    watched(window, FD_CLOSE, &client, &server);
    send(server, "abc", 3, 0);
    closesocket(server);
    check_number("posting: a close with data unread is told at once", FD_CLOSE, next_message(window, MESSAGE, 1000));
    received_code(client, 8);
    check_true("posting: a close with data unread is told once", silent(window));
    closesocket(client);

    watched(window, FD_READ | FD_CLOSE, &client, &server);
    reset(server);
    check_number("posting: a reset", FD_CLOSE, next(window));
    check("posting: the code of a reset", WSAECONNABORTED, told_code);
    ask(client, window, FD_CLOSE);
    check_number("posting: registered again after a reset", FD_CLOSE, next_message(window, MESSAGE, 1000));
    closesocket(client);

    watched(window, FD_CLOSE, &client, &server);
    shutdown(server, SD_RECEIVE);
    check_true("posting: the peer's SD_RECEIVE", silent(window));
    shutdown(client, SD_BOTH);
    check_true("posting: one's own SD_BOTH", silent(window));
    close_pair(client, server);
}

/* The handle closed, and not the socket. */
static void handle_closed(void)
{
    SOCKET client, server;
    watched(window, FD_READ | FD_CLOSE, &client, &server);
    check("posting: CloseHandle of a socket", 0, CloseHandle((HANDLE)client) ? 0 : (int)GetLastError());
    check_number("posting: CloseHandle of a socket is FD_CLOSE", FD_CLOSE, next_message(window, MESSAGE, 1000));
    closesocket(server);
}

static void urgent(void)
{
    SOCKET client, server;
    char byte;
    watched(window, FD_OOB, &client, &server);
    send(server, "!", 1, MSG_OOB);
    check_number("posting: urgent data", FD_OOB, next(window));
    check_true("posting: urgent data is told once", silent(window));
    ask(client, window, FD_OOB);
    check_number("posting: registered again with urgent data", FD_OOB, next(window));
    check_number("posting: urgent data is received", 1, recv(client, &byte, 1, MSG_OOB));
    check_true("posting: a receive that takes urgent data", silent(window));
    send(server, "?", 1, MSG_OOB);
    check_number("posting: urgent data again", FD_OOB, next(window));
    close_pair(client, server);
}

static void datagrams(void)
{
    SOCKET receiver = udp(), sender = udp();
    struct sockaddr_in address;
    ask(receiver, window, FD_WRITE);
    check_number("posting: a datagram socket not bound is FD_WRITE", FD_WRITE, next(window));
    address = bound(receiver);
    ask(receiver, window, FD_READ | FD_WRITE);
    check_number("posting: a bound datagram socket is FD_WRITE", FD_WRITE, next(window));
    sendto(sender, "x", 1, 0, (struct sockaddr *)&address, sizeof address);
    check_number("posting: a datagram", FD_READ, next(window));
    sendto(sender, "y", 1, 0, (struct sockaddr *)&address, sizeof address);
    check_true("posting: a second datagram is not told before a receive", silent(window));
    received_code(receiver, 8);
    check_number("posting: a receive that leaves a datagram", FD_READ, next(window));
    close_pair(receiver, sender);
}

int main(void)
{
    start();
    window = new_window();
    reading();
    drop(window);
    read_before();
    drop(window);
    connecting();
    drop(window);
    accepting();
    drop(window);
    closing();
    drop(window);
    urgent();
    drop(window);
    datagrams();
    drop(window);
    handle_closed();
    DestroyWindow(window);
    WSACleanup();
    return finish();
}
