/* Shares a connection with a child: the bytes of an info go through a pipe, and the child answers on the same connection. */
#define _GNU_SOURCE
#include <sharesock.h>

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int check(int result, const char *what)
{
    if (result < 0) {
        char text[256];
        sharesock_error_text(result, text, sizeof text);
        fprintf(stderr, "%s: %s: %s\n", what, sharesock_error_name(result), text);
        exit(1);
    }
    return result;
}

static int child(int channel)
{
    unsigned char info[SHARESOCK_INFO_SIZE];
    check(sharesock_open(NULL), "opening the endpoint");
    if (write(channel, "", 1) != 1) /* ready */
        return 1;
    if (recv(channel, info, sizeof info, MSG_WAITALL) != sizeof info)
        return 1;
    int connection = check(sharesock_redeem(info, sizeof info, 5000), "redeeming");
    if (write(connection, "from the child\n", 15) != 15)
        return 1;
    close(connection);
    check(sharesock_close(), "closing the endpoint");
    return 0;
}

int main(void)
{
    int channel[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, channel) != 0)
        return 1;
    pid_t pid = fork();
    if (pid == 0)
        return child(channel[1]);
    close(channel[1]);

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 8)
        || getsockname(listener, (void *)&address, &length) || connect(client, (void *)&address, length))
        return 1;
    int connection = accept(listener, NULL, NULL);

    char ready;
    if (read(channel[0], &ready, 1) != 1)
        return 1;
    unsigned char info[SHARESOCK_INFO_SIZE];
    int held = check(sharesock_share(connection, (uint32_t)pid, 30000, info), "sharing");
    close(connection); /* it lies with the child */
    if (send(channel[0], info, sizeof info, 0) != sizeof info)
        return 1;
    char answer[64] = "";
    if (recv(client, answer, 15, MSG_WAITALL) != 15)
        return 1;
    printf("%s%s", held ? "held: " : "", answer);
    int status;
    return waitpid(pid, &status, 0) != pid || status != 0;
}
