/* `early_exit source PID` duplicates an end of a connection for a process that has not started Winsock yet, prints the
 * info in hexadecimal, and ends. `early_exit target` says its id, reads that, starts Winsock and redeems. */
#include <winsock2.h>
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <string.h>

static void check(int succeeded, const char *what)
{
    if (succeeded)
        return;
    fprintf(stderr, "%s failed: error %d\n", what, (int)WSAGetLastError());
    exit(EXIT_FAILURE);
}

static int source(DWORD pid)
{
    WSADATA data;
    WSAPROTOCOL_INFOW info;

    check(WSAStartup(MAKEWORD(2, 2), &data) == 0, "WSAStartup");
    SOCKET s = socket(AF_INET, SOCK_DGRAM, 0);
    check(WSADuplicateSocketW(s, pid, &info) == 0, "WSADuplicateSocket");
    for (size_t i = 0; i < sizeof info; i++)
        printf("%02x", ((unsigned char *)&info)[i]);
    printf("\n");
    fflush(stdout);
    /* It neither closes the socket nor cleans up: ending is enough. */
    return EXIT_SUCCESS;
}

static int target(void)
{
    WSADATA data;
    WSAPROTOCOL_INFOW info;
    unsigned byte;

    printf("%u\n", (unsigned)GetCurrentProcessId());
    fflush(stdout);
    for (size_t i = 0; i < sizeof info; i++) {
        check(scanf("%2x", &byte) == 1, "reading the info");
        ((unsigned char *)&info)[i] = (unsigned char)byte;
    }
    check(WSAStartup(MAKEWORD(2, 2), &data) == 0, "WSAStartup");
    SOCKET s = WSASocketW(-1, -1, -1, &info, 0, 0);
    check(s != INVALID_SOCKET, "WSASocket");
    check(WSASocketW(-1, -1, -1, &info, 0, 0) == INVALID_SOCKET && WSAGetLastError() == WSAEINVAL, "a second time");
    check(closesocket(s) == 0 && WSACleanup() == 0, "closing");
    puts("redeemed");
    return EXIT_SUCCESS;
}

int main(int count, char **arguments)
{
    alarm(120); /* what hangs fails */
    if (count == 3 && !strcmp(arguments[1], "source"))
        return source((DWORD)strtoul(arguments[2], NULL, 10));
    return target();
}
