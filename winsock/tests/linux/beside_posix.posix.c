/* The half of beside_posix that sees the system's headers alone. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

int posix_listen(unsigned short *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 1)
        || getsockname(listener, (struct sockaddr *)&address, &length))
        return -1;
    *port = ntohs(address.sin_port);
    return listener;
}

int posix_echo_once(int listener)
{
    char bytes[64];
    fd_set set;
    int connection = accept(listener, NULL, NULL);

    FD_ZERO(&set);
    FD_SET(connection, &set);
    if (select(connection + 1, &set, NULL, NULL, NULL) != 1)
        return -1;
    long length = recv(connection, bytes, sizeof bytes, 0);
    return (int)send(connection, bytes, (size_t)length, 0);
}

int posix_is_socket(int descriptor)
{
    int type = 0;
    socklen_t length = sizeof type;
    return getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
}

int posix_pair(int descriptors[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM, 0, descriptors);
}

long posix_read(int descriptor, void *bytes, unsigned long length)
{
    return read(descriptor, bytes, length);
}
