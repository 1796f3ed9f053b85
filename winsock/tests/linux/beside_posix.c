/* Winsock and the C library's own sockets in one process: neither takes the other's names. */
#define _GNU_SOURCE /* dladdr */
#include <winsock2.h>
#include <ws2tcpip.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In a file of its own, which sees the system's headers alone. */
int posix_listen(unsigned short *port);
int posix_echo_once(int listener);
int posix_is_socket(int descriptor);
int posix_pair(int descriptors[2]);
long posix_read(int descriptor, void *bytes, unsigned long length);

static void check(int succeeded, const char *what)
{
    if (succeeded)
        return;
    fprintf(stderr, "%s failed: error %d\n", what, (int)WSAGetLastError());
    exit(EXIT_FAILURE);
}

/* The names of the C library still are the C library's. */
static void check_names(void)
{
    static const char *const names[] = { "socket", "recv", "send", "select", "bind", "accept", "connect", "listen",
                                         "gethostname", "getaddrinfo", "shutdown", "setsockopt" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        Dl_info found;
        void *symbol = dlsym(RTLD_DEFAULT, names[i]);
        check(symbol && dladdr(symbol, &found), names[i]);
        check(strstr(found.dli_fname, "libc.so") != NULL, names[i]);
    }
    check(dlsym(RTLD_DEFAULT, "sharesock_socket") != NULL, "sharesock_socket");
}

int main(void)
{
    WSADATA data;
    struct sockaddr_in address = { .sin_family = AF_INET };
    char answer[8];
    unsigned short port;
    int pair[2], listener = posix_listen(&port);

    check_names();
    check(WSAStartup(MAKEWORD(2, 2), &data) == 0, "WSAStartup");
    SOCKET s = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    check(connect(s, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    check(send(s, "hello", 5, 0) == 5, "send");
    check(posix_echo_once(listener) == 5, "the C library's echo");
    check(recv(s, answer, sizeof answer, 0) == 5 && !memcmp(answer, "hello", 5), "recv");

    /* A handle is no descriptor; what is behind it is one, and stays the handle's. */
    check(posix_is_socket(sharesock_descriptor(s)), "sharesock_descriptor");
    check(sharesock_descriptor((SOCKET)12345) == -1 && WSAGetLastError() == WSAENOTSOCK, "no handle");
    check(posix_pair(pair) == 0, "socketpair");
    SOCKET adopted = sharesock_adopt(pair[0]);
    check(adopted != INVALID_SOCKET && sharesock_descriptor(adopted) == pair[0], "sharesock_adopt");
    check(send(adopted, "x", 1, 0) == 1, "send");
    check(posix_read(pair[1], answer, 8) == 1, "read");
    check(closesocket(adopted) == 0, "closesocket");
    check(posix_read(pair[1], answer, 8) == 0, "the end");
    check(sharesock_adopt(0x7fff) == INVALID_SOCKET && WSAGetLastError() == WSAENOTSOCK, "no descriptor");
    check(sharesock_adopt(-1) == INVALID_SOCKET, "no descriptor");
    check(closesocket(s) == 0 && WSACleanup() == 0, "the end");
    puts("both work in one process");
    return EXIT_SUCCESS;
}
