/* shutdown: its errors, and what can and cannot be done afterwards, through whichever descriptor. */
#include "sockets.h"

static const struct { const char *name; int how; } ways[] = {
    { "SD_RECEIVE", SD_RECEIVE }, { "SD_SEND", SD_SEND }, { "SD_BOTH", SD_BOTH },
};

static int send_code(SOCKET s) { return outcome(send(s, "test", 4, 0)); }
static int recv_code(SOCKET s) { char bytes[8]; return outcome(recv(s, bytes, sizeof bytes, 0)); }
static int shut(SOCKET s, int how) { return outcome(shutdown(s, how)); }

/* How many bytes are received: 0 at the end. */
static int received(SOCKET s)
{
    char bytes[8];
    readable(s);
    return recv(s, bytes, sizeof bytes, 0);
}

static int peer_code(SOCKET s)
{
    struct sockaddr_in address;
    int length = sizeof address;
    return outcome(getpeername(s, (struct sockaddr *)&address, &length));
}

static void not_connected(void)
{
    struct sockaddr_in address;
    SOCKET fresh = tcp(), named = tcp(), listener = listening(&address);
    bound(named);
    for (int i = 0; i < 3; i++) {
        check(title("shutdown: %s of a socket not connected", ways[i].name), WSAENOTCONN, shut(fresh, ways[i].how));
        check(title("shutdown: %s of a bound socket", ways[i].name), WSAENOTCONN, shut(named, ways[i].how));
        check(title("shutdown: %s of a listener", ways[i].name), WSAENOTCONN, shut(listener, ways[i].how));
    }
    closesocket(fresh);
    close_pair(named, listener);
    check("shutdown: a closed socket", WSAENOTSOCK, shut(fresh, SD_BOTH));
    check("shutdown: INVALID_SOCKET", WSAENOTSOCK, shut(INVALID_SOCKET, SD_BOTH));
}

static void invalid(void)
{
    SOCKET client, server;
    pair(&client, &server);
    check("shutdown: 3 is no direction", WSAEINVAL, shut(client, 3));
    check("shutdown: -1 is no direction", WSAEINVAL, shut(client, -1));
    check("shutdown: 0xdeadbeef is no direction", WSAEINVAL, shut(client, (int)0xdeadbeef));
    check("shutdown: a refused call ends nothing", 0, send_code(client));
    shut(client, SD_BOTH);
    check("shutdown: 3 is no direction after SD_BOTH", WSAEINVAL, shut(client, 3));
    close_pair(client, server);
}

static void sending(void)
{
    SOCKET client, server;
    pair(&client, &server);
    check("shutdown: SD_SEND", 0, shut(client, SD_SEND));
    check("shutdown: SD_SEND twice", 0, shut(client, SD_SEND));
    check("shutdown: send after SD_SEND", WSAESHUTDOWN, send_code(client));
    check_number("shutdown: the peer of SD_SEND reads the end", 0, received(server));
    check_number("shutdown: the peer of SD_SEND reads the end again", 0, received(server));
    check("shutdown: the peer of SD_SEND sends", 0, send_code(server));
    check_number("shutdown: recv after SD_SEND", 4, received(client));
    check("shutdown: SD_RECEIVE after SD_SEND", 0, shut(client, SD_RECEIVE));
    check("shutdown: recv after both in turn", WSAESHUTDOWN, recv_code(client));
    check("shutdown: recv after both in turn again", WSAESHUTDOWN, recv_code(client));
    check("shutdown: getpeername after SD_SEND and SD_RECEIVE", 0, peer_code(client));
    close_pair(client, server);
}

static void receiving(void)
{
    SOCKET client, server;
    pair(&client, &server);
    check("shutdown: SD_RECEIVE", 0, shut(client, SD_RECEIVE));
    check("shutdown: SD_RECEIVE twice", 0, shut(client, SD_RECEIVE));
    check("shutdown: recv after SD_RECEIVE", WSAESHUTDOWN, recv_code(client));
    check("shutdown: send after SD_RECEIVE", 0, send_code(client));
    check_number("shutdown: the peer of SD_RECEIVE receives", 4, received(server));
    check("shutdown: getpeername after SD_RECEIVE", 0, peer_code(client));
    check("shutdown: SD_BOTH after SD_RECEIVE", 0, shut(client, SD_BOTH));
    check("shutdown: send after SD_RECEIVE and SD_BOTH", WSAESHUTDOWN, send_code(client));
    close_pair(client, server);
}

static void both(void)
{
    struct sockaddr_in address;
    SOCKET listener = listening(&address), client = connected_to(&address), server = accept(listener, NULL, NULL);
    check("shutdown: SD_BOTH", 0, shut(client, SD_BOTH));
    check("shutdown: SD_BOTH twice", 0, shut(client, SD_BOTH));
    check("shutdown: SD_SEND after SD_BOTH", 0, shut(client, SD_SEND));
    check("shutdown: SD_RECEIVE after SD_BOTH", 0, shut(client, SD_RECEIVE));
    check("shutdown: recv after SD_BOTH", WSAESHUTDOWN, recv_code(client));
    check("shutdown: send after SD_BOTH", WSAESHUTDOWN, send_code(client));
    check_number("shutdown: the peer of SD_BOTH reads the end", 0, received(server));
    check("shutdown: SD_BOTH on both sides", 0, shut(server, SD_BOTH));
    check("shutdown: recv after SD_BOTH on both sides", WSAESHUTDOWN, recv_code(server));
    check("shutdown: send after SD_BOTH on both sides", WSAESHUTDOWN, send_code(server));
    check("shutdown: getpeername after SD_BOTH on both sides", 0, peer_code(client));
    check("shutdown: a socket shut down stays connected", WSAEISCONN,
          outcome(connect(client, (struct sockaddr *)&address, sizeof address)));
    close_pair(client, server);
    closesocket(listener);
}

/* A direction is ended for every descriptor. */
static void through_duplicate(void)
{
    SOCKET client, server, other;
    pair(&client, &server);
    other = another(client);
    check("shutdown: SD_SEND through a duplicate", 0, shut(other, SD_SEND));
    check("shutdown: send through the source after SD_SEND through a duplicate", WSAESHUTDOWN, send_code(client));
    check_number("shutdown: the peer of a duplicate reads the end", 0, received(server));
    check("shutdown: SD_RECEIVE through the source", 0, shut(client, SD_RECEIVE));
    check("shutdown: recv through a duplicate after SD_RECEIVE through the source", WSAESHUTDOWN, recv_code(other));
    closesocket(client);
    check("shutdown: a duplicate made before is still shut down when the source is closed", WSAESHUTDOWN,
          send_code(other));
    close_pair(other, server);

    pair(&client, &server);
    shut(client, SD_SEND);
    other = another(client);
    check("shutdown: send through a duplicate made after SD_SEND", WSAESHUTDOWN, send_code(other));
    check("shutdown: SD_SEND through a duplicate made after it", 0, shut(other, SD_SEND));
    closesocket(other);
    close_pair(client, server);
}

/* Data for a socket that was shut down and closed. */
static void aborted(void)
{
    SOCKET client, server;
    pair(&client, &server);
    shut(client, SD_SEND);
    closesocket(client);
    check("shutdown: send to a socket shut down and closed", 0, send_code(server));
    Sleep(QUIET);
    check("shutdown: recv after sending to a socket shut down and closed", WSAECONNABORTED, recv_code(server));
    closesocket(server);
}

static void datagrams(void)
{
    SOCKET sender = udp(), receiver = udp();
    struct sockaddr_in address = bound(receiver);
    char bytes[8];
    blocking(receiver, 0);
    check("shutdown: SD_RECEIVE of a datagram socket not connected", 0, shut(receiver, SD_RECEIVE));
    check("shutdown: recvfrom after SD_RECEIVE", WSAESHUTDOWN,
          outcome(recvfrom(receiver, bytes, sizeof bytes, 0, NULL, NULL)));
    check("shutdown: sendto to a socket after its SD_RECEIVE", 0,
          outcome(sendto(sender, "test", 4, 0, (struct sockaddr *)&address, sizeof address)));
    check("shutdown: SD_SEND of a datagram socket not connected", 0, shut(sender, SD_SEND));
    check("shutdown: SD_SEND of a datagram socket twice", 0, shut(sender, SD_SEND));
    check("shutdown: sendto after SD_SEND", WSAESHUTDOWN,
          outcome(sendto(sender, "test", 4, 0, (struct sockaddr *)&address, sizeof address)));
    close_pair(sender, receiver);
}

int main(void)
{
    start();
    not_connected();
    invalid();
    sending();
    receiving();
    both();
    through_duplicate();
    aborted();
    datagrams();
    WSACleanup();
    return finish();
}
