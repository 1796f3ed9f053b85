/* WSAAccept and its condition. */
#include "sockets.h"

static int answer, asked, told_address;
static unsigned short expected_port;

static int CALLBACK condition(LPWSABUF caller, LPWSABUF caller_data, LPQOS quality, LPQOS group_quality, LPWSABUF callee,
                              LPWSABUF callee_data, GROUP *group, DWORD_PTR data)
{
    struct sockaddr_in *address = (struct sockaddr_in *)(void *)caller->buf;

    (void)caller_data, (void)quality, (void)group_quality, (void)callee, (void)callee_data, (void)group;
    asked++;
    told_address = caller->len >= sizeof *address && address->sin_family == AF_INET && address->sin_port == expected_port
        && data == 4711;
    return answer;
}

static SOCKET connecting(const struct sockaddr_in *address)
{
    struct sockaddr_in own;
    int length = sizeof own;
    SOCKET s = connected_to(address);
    need(getsockname(s, (struct sockaddr *)&own, &length) == 0, "getsockname");
    expected_port = own.sin_port;
    return s;
}

static int accept_code(SOCKET listener, SOCKET *accepted)
{
    *accepted = WSAAccept(listener, NULL, NULL, condition, 4711);
    return outcome(*accepted == INVALID_SOCKET ? SOCKET_ERROR : 0);
}

int main(void)
{
    struct sockaddr_in address, from;
    int length = sizeof from;
    SOCKET listener, client, accepted;
    char byte;

    start();
    listener = listening(&address);

    client = connecting(&address);
    answer = CF_ACCEPT;
    check("accept: a condition that accepts", 0, accept_code(listener, &accepted));
    check_number("accept: the condition is asked once", 1, asked);
    check_true("accept: the condition is shown who calls, and its own data", told_address);
    close_pair(client, accepted);

    client = connecting(&address);
    answer = CF_REJECT;
    check("accept: a condition that rejects", WSAECONNREFUSED, accept_code(listener, &accepted));
    patient(client);
    check_true("accept: a connection that is rejected ends", recv(client, &byte, 1, 0) <= 0);
    closesocket(client);

    client = connecting(&address);
    answer = CF_DEFER;
    check("accept: a condition that defers", WSATRY_AGAIN, accept_code(listener, &accepted));
    answer = CF_ACCEPT;
    asked = 0;
    check("accept: what was deferred comes again", 0, accept_code(listener, &accepted));
    check_number("accept: and the condition is asked again", 1, asked);
    check_number("accept: it is the same connection", 1, send(accepted, "x", 1, 0) == 1 && recv(client, &byte, 1, 0) == 1);
    close_pair(client, accepted);

    client = connecting(&address);
    accepted = accept(listener, (struct sockaddr *)&from, &length);
    check("accept: the address of the caller", 0, accepted == INVALID_SOCKET ? WSAGetLastError() : 0);
    check_true("accept: is that of the other side", from.sin_port == expected_port && length == sizeof from);
    close_pair(client, accepted);

    client = connecting(&address);
    check("accept: a length without an address", 0, outcome_socket(accept(listener, NULL, &length)));
    closesocket(client);

    client = connecting(&address);
    length = 4;
    check("accept: no room for the address", WSAEFAULT, outcome_socket(accept(listener, (struct sockaddr *)&from, &length)));
    closesocket(client);
    closesocket(listener);

    listener = udp();
    check("accept: a socket for datagrams", WSAEOPNOTSUPP, outcome_socket(accept(listener, NULL, NULL)));
    closesocket(listener);
    listener = tcp();
    check("accept: a socket that does not listen", WSAEINVAL, outcome_socket(accept(listener, NULL, NULL)));
    closesocket(listener);
    WSACleanup();
    return finish();
}
