/* NULL and short buffers: WSAEFAULT. */
#include "sockets.h"

#define TOO_SHORT 4

static void addresses(void)
{
    struct sockaddr_in address = loopback();
    struct sockaddr *any = (struct sockaddr *)&address;
    int length = sizeof address, few = TOO_SHORT;
    SOCKET s = tcp(), client, server;
    check("bind: NULL", WSAEFAULT, outcome(bind(s, NULL, sizeof address)));
    check("bind: a short address", WSAEFAULT, outcome(bind(s, any, TOO_SHORT)));
    check("bind: after refused calls", 0, outcome(bind(s, any, sizeof address)));
    check("connect: NULL", WSAEFAULT, outcome(connect(s, NULL, sizeof address)));
    check("connect: a short address", WSAEFAULT, outcome(connect(s, any, TOO_SHORT)));
    check("getsockname: NULL for the address", WSAEFAULT, outcome(getsockname(s, NULL, &length)));
    check("getsockname: NULL for the length", WSAEFAULT, outcome(getsockname(s, any, NULL)));
    check("getsockname: a short buffer", WSAEFAULT, outcome(getsockname(s, any, &few)));
    closesocket(s);
    pair(&client, &server);
    few = TOO_SHORT;
    check("getpeername: NULL for the address", WSAEFAULT, outcome(getpeername(client, NULL, &length)));
    check("getpeername: NULL for the length", WSAEFAULT, outcome(getpeername(client, any, NULL)));
    check("getpeername: a short buffer", WSAEFAULT, outcome(getpeername(client, any, &few)));
    close_pair(client, server);
}

static void options(void)
{
    SOCKET s = tcp();
    int value = 0, length = sizeof value, few = 1;
    u_long on = 1;
    check("getsockopt: NULL for the value", WSAEFAULT, outcome(getsockopt(s, SOL_SOCKET, SO_RCVBUF, NULL, &length)));
    check("getsockopt: NULL for the length", WSAEFAULT,
          outcome(getsockopt(s, SOL_SOCKET, SO_RCVBUF, (char *)&value, NULL)));
    check("getsockopt: a short buffer", WSAEFAULT,
          outcome(getsockopt(s, SOL_SOCKET, SO_RCVBUF, (char *)&value, &few)));
    check("setsockopt: NULL", WSAEFAULT, outcome(setsockopt(s, SOL_SOCKET, SO_RCVBUF, NULL, sizeof value)));
    check("setsockopt: a short value", WSAEFAULT, outcome(setsockopt(s, SOL_SOCKET, SO_RCVBUF, (char *)&value, 1)));
    check("ioctlsocket: NULL", WSAEFAULT, outcome(ioctlsocket(s, FIONBIO, NULL)));
    check("ioctlsocket: a bad pointer", WSAEFAULT, outcome(ioctlsocket(s, FIONBIO, BAD_POINTER)));
    check("WSAIoctl: NULL for the count", WSAEFAULT,
          outcome(WSAIoctl(s, FIONBIO, &on, sizeof on, NULL, 0, NULL, NULL, NULL)));
    closesocket(s);
}

static void data(void)
{
    SOCKET client, server;
    pair(&client, &server);
    send(server, "x", 1, 0);
    readable(client);
    check("send: NULL", WSAEFAULT, outcome(send(client, NULL, 1, 0)));
    check("send: a bad pointer", WSAEFAULT, outcome(send(client, BAD_POINTER, 1, 0)));
    check("recv: NULL", WSAEFAULT, outcome(recv(client, NULL, 1, 0)));
    check("recv: a bad pointer", WSAEFAULT, outcome(recv(client, BAD_POINTER, 1, 0)));
    check_number("recv: after refused calls", 1, recv(client, (char[1]){ 0 }, 1, 0));
    close_pair(client, server);
}

static void sets(void)
{
    struct timeval now = { 0, 0 };
    fd_set empty;
    FD_ZERO(&empty);
    check("select: no sets", WSAEINVAL, outcome(select(0, NULL, NULL, NULL, &now)));
    check("select: empty sets", WSAEINVAL, outcome(select(0, &empty, &empty, &empty, &now)));
}

/* Each with a connection that waits, for a call that takes it would leave none to the next. */
static void accepting(void)
{
    struct sockaddr_in address, from;
    SOCKET listener = listening(&address), client[2];
    int few = TOO_SHORT;
    for (int i = 0; i < 2; i++)
        client[i] = connected_to(&address);
    blocking(listener, 0);
    readable(listener);
    check("accept: a short buffer", WSAEFAULT, outcome_socket(accept(listener, (struct sockaddr *)&from, &few)));
    check("accept: an address without a length", 0,
          outcome_socket(accept(listener, (struct sockaddr *)&from, NULL)));
    close_pair(client[0], client[1]);
    closesocket(listener);
}

int main(void)
{
    start();
    addresses();
    options();
    data();
    sets();
    accepting();
    WSACleanup();
    return finish();
}
