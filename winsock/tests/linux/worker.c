/*
 * A worker of `sharesock run --pass connection --via info`: the connections that
 * were accepted for it come as protocol infos on its standard input, whose end
 * says that no more will come.  It answers what it is asked with its process id.
 */
#include <winsock2.h>
#include <stdio.h>
#include <unistd.h>

static int serve(WSAPROTOCOL_INFOW *info)
{
    SOCKET connection = WSASocketW(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, info, 0,
                                   WSA_FLAG_OVERLAPPED);
    char question[64], answer[32];
    int length;

    if (connection == INVALID_SOCKET)
        return WSAGetLastError();
    if (recv(connection, question, sizeof question, 0) > 0) {
        length = snprintf(answer, sizeof answer, "%ld\n", (long)getpid());
        if (send(connection, answer, length, 0) != length)
            return WSAGetLastError();
    }
    return closesocket(connection);
}

int main(void)
{
    WSADATA data;
    WSAPROTOCOL_INFOW info;
    int error = WSAStartup(MAKEWORD(2, 2), &data);

    while (error == 0 && fread(&info, sizeof info, 1, stdin) == 1)
        error = serve(&info);
    if (error != 0)
        fprintf(stderr, "error %d\n", error);
    return error != 0 || WSACleanup() != 0;
}
