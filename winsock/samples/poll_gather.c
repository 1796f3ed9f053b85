/*
 * The smaller conveniences of Winsock, used on one loopback connection:
 * WSAPoll, gathering and scattering buffers, ioctls, the protocol info of a
 * socket, and addresses as text.
 */
#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(int succeeded, const char *what)
{
    if (succeeded)
        return;
    fprintf(stderr, "%s failed: error %d\n", what, WSAGetLastError());
    exit(EXIT_FAILURE);
}

static void connect_pair(SOCKET *one, SOCKET *other)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    struct sockaddr *name = (struct sockaddr *)&address;
    int size = sizeof address;
    SOCKET listener = WSASocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0, WSA_FLAG_OVERLAPPED);

    check(listener != INVALID_SOCKET, "WSASocket");
    check(inet_pton(AF_INET, "127.0.0.1", &address.sin_addr) == 1, "inet_pton");
    check(bind(listener, name, size) == 0, "bind");
    check(listen(listener, 1) == 0, "listen");
    check(getsockname(listener, name, &size) == 0, "getsockname");
    *one = WSASocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0, WSA_FLAG_OVERLAPPED);
    check(*one != INVALID_SOCKET, "WSASocket");
    check(WSAConnect(*one, name, size, NULL, NULL, NULL, NULL) == 0, "WSAConnect");
    check((*other = WSAAccept(listener, NULL, NULL, NULL, 0)) != INVALID_SOCKET, "WSAAccept");
    check(closesocket(listener) == 0, "closesocket");
}

/* Polls and prints what each of the ends is ready for. */
static void poll_ends(WSAPOLLFD *ends, ULONG count)
{
    int ready = WSAPoll(ends, count, 5000);

    check(ready != SOCKET_ERROR, "WSAPoll");
    printf("WSAPoll: %d ready", ready);
    for (ULONG i = 0; i < count; i++)
        printf("; end %u%s%s%s", (unsigned)i + 1, ends[i].revents & POLLRDNORM ? " read" : "",
               ends[i].revents & POLLWRNORM ? " write" : "",
               ends[i].revents & POLLHUP ? " hangup" : "");
    printf("\n");
}

static void gather_and_scatter(SOCKET one, SOCKET other)
{
    char first[] = "gathered ", second[] = "from ", third[] = "three";
    WSABUF out[3] = {
        { .len = sizeof first - 1, .buf = first },
        { .len = sizeof second - 1, .buf = second },
        { .len = sizeof third - 1, .buf = third },
    };
    char head[4], tail[40];
    WSABUF in[2] = { { .len = sizeof head, .buf = head }, { .len = sizeof tail, .buf = tail } };
    DWORD count, flags = 0, returned;
    u_long waiting = 0;
    WSAPOLLFD ends[2] = {
        { .fd = one, .events = POLLRDNORM | POLLWRNORM },
        { .fd = other, .events = POLLRDNORM },
    };

    poll_ends(ends, 2);
    check(WSASend(one, out, 3, &count, 0, NULL, NULL) == 0, "WSASend");
    printf("WSASend: %u bytes from three buffers\n", (unsigned)count);
    /* The bytes may be on their way still: wait for the reading end alone. */
    poll_ends(&ends[1], 1);
    poll_ends(ends, 2);

    check(ioctlsocket(other, FIONREAD, &waiting) == 0, "ioctlsocket");
    printf("ioctlsocket FIONREAD: %u\n", (unsigned)waiting);
    check(WSAIoctl(other, FIONREAD, NULL, 0, &waiting, sizeof waiting, &returned, NULL, NULL) == 0,
          "WSAIoctl");
    printf("WSAIoctl FIONREAD: %u\n", (unsigned)waiting);

    check(WSARecv(other, in, 2, &count, &flags, NULL, NULL) == 0, "WSARecv");
    printf("WSARecv: %u bytes, \"%.4s\" and \"%.*s\"\n", (unsigned)count, head, (int)count - 4, tail);
}

static void change_mode(SOCKET s)
{
    u_long nonblocking = 1;
    char byte;

    check(ioctlsocket(s, FIONBIO, &nonblocking) == 0, "ioctlsocket");
    check(recv(s, &byte, 1, 0) == SOCKET_ERROR, "recv in vain");
    printf("non-blocking recv: %s\n", WSAGetLastError() == WSAEWOULDBLOCK ? "WSAEWOULDBLOCK" : "?");
    nonblocking = 0;
    check(ioctlsocket(s, FIONBIO, &nonblocking) == 0, "ioctlsocket");
}

static void show_protocol_info(SOCKET s)
{
    WSAPROTOCOL_INFOA narrow;
    WSAPROTOCOL_INFOW wide;
    int size = sizeof narrow;

    check(getsockopt(s, SOL_SOCKET, SO_PROTOCOL_INFOA, (char *)&narrow, &size) == 0, "getsockopt");
    printf("protocol info A: %d bytes, family %d, type %d, protocol %d\n", size,
           narrow.iAddressFamily, narrow.iSocketType, narrow.iProtocol);
    size = sizeof wide;
    check(getsockopt(s, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&wide, &size) == 0, "getsockopt");
    printf("protocol info W: %d bytes, family %d, type %d, protocol %d\n", size,
           wide.iAddressFamily, wide.iSocketType, wide.iProtocol);
    printf("the same catalog entry: %s\n",
           narrow.dwCatalogEntryId == wide.dwCatalogEntryId ? "yes" : "no");
}

/* From text to an address and back, in all the ways there are. */
static void show_address(int family, const char *host, const char *with_port)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *found;
    char text[64], port[8];
    struct sockaddr_storage address;
    int size = sizeof address, error;
    unsigned char binary[16];
    DWORD length = sizeof text;

    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    if ((error = getaddrinfo(host, "80", &hints, &found)) != 0) {
        fprintf(stderr, "getaddrinfo failed: error %d\n", error);
        exit(EXIT_FAILURE);
    }
    error = getnameinfo(found->ai_addr, (socklen_t)found->ai_addrlen, text, sizeof text,
                        port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    check(error == 0, "getnameinfo");
    printf("getaddrinfo and getnameinfo: %s port %s, family %s, %d bytes\n", text, port,
           found->ai_family == family ? "right" : "wrong", (int)found->ai_addrlen);
    freeaddrinfo(found);

    check(inet_pton(family, host, binary) == 1, "inet_pton");
    check(InetNtop(family, binary, text, sizeof text) != NULL, "InetNtop");
    printf("inet_pton and InetNtop: %s\n", text);

    strcpy(text, with_port);
    check(WSAStringToAddressA(text, family, NULL, (struct sockaddr *)&address, &size) == 0,
          "WSAStringToAddress");
    check(WSAAddressToStringA((struct sockaddr *)&address, (DWORD)size, NULL, text, &length) == 0,
          "WSAAddressToString");
    printf("WSAStringToAddress and WSAAddressToString: %s\n", text);
}

int main(void)
{
    SOCKET one, other;
    WSAPOLLFD end;
    struct in_addr address;
    char byte;
    WSADATA data;
    int error = WSAStartup(MAKEWORD(2, 2), &data);

    if (error != 0) {
        fprintf(stderr, "WSAStartup failed: error %d\n", error);
        return EXIT_FAILURE;
    }
    connect_pair(&one, &other);
    gather_and_scatter(one, other);
    change_mode(other);
    show_protocol_info(one);

    check(shutdown(one, SD_SEND) == 0, "shutdown");
    end = (WSAPOLLFD){ .fd = other, .events = POLLRDNORM };
    poll_ends(&end, 1);
    check(recv(other, &byte, 1, 0) == 0, "recv of the end");
    check(closesocket(one) == 0 && closesocket(other) == 0, "closesocket");

    show_address(AF_INET, "127.0.0.1", "127.0.0.1:80");
    show_address(AF_INET6, "::1", "[::1]:80");
    check(inet_pton(AF_INET, "127.0.0", &address) == 0, "inet_pton");
    printf("inet_pton: 127.0.0 is not an address\n");
    check(WSACleanup() == 0, "WSACleanup");
    return EXIT_SUCCESS;
}
