/* WSAIoctl with SIO_ADDRESS_LIST_CHANGE waits until an address comes. Run in a network namespace of its own. */
#include <winsock2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int code = -1;

static void *wait_for_change(void *given)
{
    DWORD count = 1;
    code = WSAIoctl(*(SOCKET *)given, SIO_ADDRESS_LIST_CHANGE, NULL, 0, NULL, 0, &count, NULL, NULL) ? WSAGetLastError()
                                                                                                    : 0;
    return NULL;
}

int main(void)
{
    alarm(120); /* what hangs fails */
    WSADATA data;
    u_long nonblocking = 1;
    pthread_t waits;

    if (WSAStartup(MAKEWORD(2, 2), &data) != 0)
        return EXIT_FAILURE;
    SOCKET s = socket(AF_INET, SOCK_DGRAM, 0);
    pthread_create(&waits, NULL, wait_for_change, &s);
    usleep(200000);
    if (system("ip link set lo up") != 0)
        return EXIT_FAILURE;
    pthread_join(waits, NULL);
    printf("an address came: %d\n", code);

    pthread_create(&waits, NULL, wait_for_change, &s);
    usleep(200000);
    closesocket(s);
    pthread_join(waits, NULL);
    printf("closed: %d\n", code);

    s = socket(AF_INET, SOCK_DGRAM, 0);
    ioctlsocket(s, FIONBIO, &nonblocking);
    wait_for_change(&s);
    printf("without blocking: %d\n", code);
    return WSACleanup();
}
