/* What the headers say that is not served is refused, and what they say that is accepted is. */
#include <winsock2.h>
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>

static int wrong;

static void expect(const char *what, long expected, long found)
{
    if (expected == found)
        return;
    fprintf(stderr, "%s: %ld instead of %ld\n", what, found, expected);
    wrong = 1;
}

static void CALLBACK never_called(DWORD error, DWORD length, LPWSAOVERLAPPED overlapped, DWORD flags)
{
    (void)error, (void)length, (void)overlapped, (void)flags;
    abort();
}

int main(void)
{
    WSADATA data;
    WSAOVERLAPPED overlapped = { 0 };
    char byte;
    WSABUF buffer = { 1, &byte };
    DWORD length = 0, flags = 0;

    if (WSAStartup(MAKEWORD(2, 2), &data) != 0)
        return EXIT_FAILURE;
    SOCKET s = socket(AF_INET, SOCK_DGRAM, 0);
    expect("CreateEvent with a name", ERROR_NOT_SUPPORTED,
           CreateEventA(NULL, TRUE, FALSE, "a name") ? 0 : (long)GetLastError());
    WSAEVENT event = WSACreateEvent();
    expect("all events in a mask", 0, WSAEventSelect(s, event, FD_ALL_EVENTS) ? WSAGetLastError() : 0);
    expect("cancelling", 0, WSAEventSelect(s, event, 0) ? WSAGetLastError() : 0);
    overlapped.hEvent = event;
    expect("an overlapped receive", WSAEOPNOTSUPP,
           WSARecv(s, &buffer, 1, &length, &flags, &overlapped, NULL) ? WSAGetLastError() : 0);
    expect("a receive with a routine", WSAEOPNOTSUPP,
           WSARecv(s, &buffer, 1, &length, &flags, NULL, never_called) ? WSAGetLastError() : 0);
    expect("a group", WSAEINVAL,
           WSASocketW(AF_INET, SOCK_STREAM, 0, NULL, 7, 0) == INVALID_SOCKET ? WSAGetLastError() : 0);
    closesocket(s);
    WSACloseEvent(event);
    WSACleanup();
    if (wrong)
        return EXIT_FAILURE;
    puts("each as the headers say");
    return EXIT_SUCCESS;
}
