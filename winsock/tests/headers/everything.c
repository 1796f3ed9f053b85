/* All headers in one file, as C and as C++, before others that declare the same names. Only compiled. */
#include <winsock2.h>
#include <ws2tcpip.h>
#include <ws2spi.h>
#include <windows.h>
#include <winsock.h>
#include <afunix.h>
#include <mstcpip.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#if __has_include(<curl/curl.h>)
#include <curl/curl.h>
#endif
#if __has_include(<openssl/ssl.h>)
#include <openssl/ssl.h>
#endif

/* What stands behind a name is Winsock's, whatever was included. */
SHARESOCK_ASSERT(commands, FIONBIO == 0x8004667e && FIONREAD == 0x4004667f && SIOCATMARK == 0x40047307);
SHARESOCK_ASSERT(options, TCP_MAXSEG == 4 && SOL_SOCKET == 0xffff && IPV6_V6ONLY == 27 && MSG_WAITALL == 8);
SHARESOCK_ASSERT(families, AF_INET6 == 23 && POLLIN == 0x300 && AI_NUMERICHOST == 4);
SHARESOCK_ASSERT(types, sizeof(u_long) == 4 && sizeof(fd_set) == 8 + 64 * sizeof(SOCKET) && (socklen_t)-1 < 0);

static LRESULT CALLBACK procedure(HWND window, UINT message, WPARAM w, LPARAM l)
{
    return DefWindowProc(window, message, w, l);
}

int main(void)
{
    struct timeval now = { 0, 0 };
    struct sockaddr_in6 address;
    WNDCLASS window_class;
    MSG message;
    char name[NI_MAXHOST];
    u_long on = 1;
    socklen_t length = sizeof address;
    SOCKET s = WSASocket(AF_INET6, SOCK_STREAM, IPPROTO_TCP, NULL, 0, WSA_FLAG_OVERLAPPED);
    fd_set set;

    ZeroMemory(&window_class, sizeof window_class);
    window_class.lpfnWndProc = procedure;
    window_class.lpszClassName = TEXT("everything");
    RegisterClass(&window_class);
    CreateWindow(window_class.lpszClassName, TEXT(""), 0, 0, 0, 0, 0, HWND_MESSAGE, NULL, NULL, NULL);
    while (GetMessage(&message, NULL, 0, 0) > 0)
        DispatchMessage(&message);
    ioctlsocket(s, FIONBIO, &on);
    setsockopt(s, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (const char *)&on, sizeof on);
    gethostname(name, sizeof name);
    getsockname(s, (struct sockaddr *)&address, &length);
    address.sin6_addr = in6addr_any;
    FD_ZERO(&set);
    FD_SET(s, &set);
    FD_CLR(s, &set);
    return select(0, &set, NULL, NULL, &now) + FD_ISSET(s, &set) + IN6_IS_ADDR_UNSPECIFIED(&address.sin6_addr)
        + (int)sizeof(WSPPROC_TABLE) + MAKEWORD(2, 2);
}
