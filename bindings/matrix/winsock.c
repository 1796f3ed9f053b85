/* The program of C by Winsock's names in bindings/matrix/run. Winsock has no hand-offs. */
#include <winsock2.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int failed(const char *what)
{
    fprintf(stderr, "%s: %d\n", what, WSAGetLastError());
    return 1;
}

int main(int count, char **arguments)
{
    WSAPROTOCOL_INFOW info;
    unsigned char *bytes = (unsigned char *)&info;
    WSADATA data;
    static const char text[] = "from the target\n";

    if (count != 4 || WSAStartup(MAKEWORD(2, 2), &data) != 0)
        return 2;
    if (strcmp(arguments[1], "source") == 0) {
        SOCKET shared = sharesock_adopt(dup(0));
        if (WSADuplicateSocketW(shared, (DWORD)atol(arguments[3]), &info) != 0)
            return failed("WSADuplicateSocket");
        for (size_t at = 0; at < sizeof info; at++)
            printf("%02x", bytes[at]);
        return 0;
    }
    printf("%d\n", (int)getpid());
    fflush(stdout);
    for (size_t at = 0; at < sizeof info; at++)
        if (scanf("%2hhx", &bytes[at]) != 1)
            return 2;
    SOCKET s = WSASocketW(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &info, 0, WSA_FLAG_OVERLAPPED);
    if (s == INVALID_SOCKET)
        return failed("WSASocket");
    if (strcmp(arguments[2], "listener") == 0)
        s = accept(s, NULL, NULL);
    return send(s, text, sizeof text - 1, 0) == (int)sizeof text - 1 ? 0 : failed("send");
}
