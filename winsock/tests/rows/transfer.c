/* Sending and receiving: flags, buffers and states that are told apart. */
#include "sockets.h"

static void wait_for_all(void)
{
    SOCKET client, server;
    char bytes[400], part[100];
    int same = 1, got;

    pair(&client, &server);
    memset(part, 'a', sizeof part);
    for (int i = 0; i < 3; i++) {
        memset(part, 'a' + i, sizeof part);
        need(send(client, part, sizeof part, 0) == sizeof part, "send");
        Sleep(20);
    }
    shutdown(client, SD_SEND);
    memset(bytes, 0, sizeof bytes);
    got = recv(server, bytes, sizeof bytes, MSG_WAITALL);
    check_number("transfer: MSG_WAITALL receives up to the end", 300, got);
    for (int i = 0; i < 300; i++)
        same &= bytes[i] == 'a' + i / 100;
    check_true("transfer: every part is in its place", same);
    close_pair(client, server);
}

static void datagrams(void)
{
    SOCKET one = udp(), two = udp();
    struct sockaddr_in address = bound(one), other = bound(two), found;
    int length = 4;
    char bytes[16];

    patient(one);
    check("transfer: MSG_WAITALL of datagrams", WSAEOPNOTSUPP, outcome(recv(one, bytes, sizeof bytes, MSG_WAITALL)));
    need(sendto(two, "datagram", 8, 0, (struct sockaddr *)&address, sizeof address) == 8, "sendto");
    check("transfer: a datagram that is larger than its buffer", WSAEMSGSIZE, outcome(recv(one, bytes, 4, 0)));
    check_true("transfer: what fits is there", !memcmp(bytes, "data", 4));
    need(sendto(two, "datagram", 8, 0, (struct sockaddr *)&address, sizeof address) == 8, "sendto");
    check("transfer: no room for the sender's address", WSAEFAULT,
          outcome(recvfrom(one, bytes, sizeof bytes, 0, (struct sockaddr *)&found, &length)));
    need(sendto(two, "", 0, 0, (struct sockaddr *)&address, sizeof address) == 0, "sendto");
    length = sizeof found;
    need(connect(one, (struct sockaddr *)&other, sizeof other) == 0, "connect");
    other.sin_port = htons(9);
    need(connect(one, (struct sockaddr *)&other, sizeof other) == 0, "connect");
    need(getpeername(one, (struct sockaddr *)&found, &length) == 0, "getpeername");
    check_number("transfer: the other side of a socket that was connected twice", 9, ntohs(found.sin_port));
    close_pair(one, two);
}

static void unconnected(void)
{
    SOCKET s = tcp();
    char byte = 0;
    check("transfer: send on an unconnected stream", WSAENOTCONN, outcome(send(s, &byte, 1, 0)));
    check("transfer: recv on an unconnected stream", WSAENOTCONN, outcome(recv(s, &byte, 1, 0)));
    closesocket(s);
    s = udp();
    check("transfer: send on unconnected datagrams", WSAENOTCONN, outcome(send(s, &byte, 1, 0)));
    closesocket(s);
    s = udp();
    patient(s);
    check("transfer: recv on unbound datagrams", WSAEINVAL, outcome(recv(s, &byte, 1, 0)));
    closesocket(s);
}

static void times(void)
{
    SOCKET s = udp();
    DWORD limit = 50;
    char byte;
    bound(s);
    need(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (char *)&limit, sizeof limit) == 0, "SO_RCVTIMEO");
    check("transfer: a receive whose time is over", WSAETIMEDOUT, outcome(recv(s, &byte, 1, 0)));
    blocking(s, 0);
    check("transfer: a receive that does not block", WSAEWOULDBLOCK, outcome(recv(s, &byte, 1, 0)));
    closesocket(s);
}

static void options(void)
{
    SOCKET s = udp();
    int on = 1;
    unsigned char ttl = 7;
    check("transfer: IP_TTL in a char", 0, outcome(setsockopt(s, IPPROTO_IP, IP_TTL, (char *)&ttl, 1)));
    check_number("transfer: the IP_TTL that was set", 7, option(s, IPPROTO_IP, IP_TTL));
    check("transfer: exclusive use", 0, outcome(setsockopt(s, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (char *)&on, sizeof on)));
    check("transfer: reuse of what is exclusive", WSAEINVAL,
          outcome(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, (char *)&on, sizeof on)));
    closesocket(s);
}

int main(void)
{
    start();
    wait_for_all();
    datagrams();
    unconnected();
    times();
    options();
    WSACleanup();
    return finish();
}
