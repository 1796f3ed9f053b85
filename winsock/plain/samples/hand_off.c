/* A front process accepts a connection, reads a line and hands both to a worker, which waits for them with poll. */
#define _GNU_SOURCE
#include <sharesock.h>

#include <netinet/in.h>
#include <poll.h>
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

static int worker(int ready)
{
    sharesock_receiver *receiver;
    check(sharesock_receiver_open("lines", &receiver), "opening a receiver");
    if (write(ready, "", 1) != 1)
        return 1;
    for (;;) {
        struct pollfd input = {.fd = check(sharesock_receiver_fd(receiver), "asking"), .events = POLLIN};
        if (poll(&input, 1, 60000) != 1)
            return 1;
        char line[256], source[SHARESOCK_PROCESS_SIZE];
        size_t length;
        int connection = sharesock_receive(receiver, line, sizeof line, &length, source, sizeof source, 0);
        if (connection < 0 && strcmp(sharesock_error_name(connection), "EAGAIN") == 0)
            continue; /* there was less than it seemed */
        check(connection, "receiving");
        dprintf(connection, "the worker got: %.*s", (int)length, line);
        close(connection);
        sharesock_receiver_close(receiver);
        sharesock_close();
        return atoi(source) != getppid();
    }
}

int main(void)
{
    int ready[2];
    if (pipe(ready) != 0)
        return 1;
    pid_t pid = fork();
    if (pid == 0)
        return worker(ready[1]);

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 8)
        || getsockname(listener, (void *)&address, &length) || connect(client, (void *)&address, length)
        || write(client, "a line\n", 7) != 7)
        return 1;
    int connection = accept(listener, NULL, NULL);
    char line[256], byte;
    ssize_t got = recv(connection, line, 7, MSG_WAITALL);
    if (got != 7 || read(ready[0], &byte, 1) != 1)
        return 1;

    sharesock_sender *sender;
    check(sharesock_sender_open((uint32_t)pid, "lines", &sender), "opening a sender");
    int result = sharesock_hand_off(sender, connection, line, (size_t)got, 5000);
    if (result < 0) {
        close(connection); /* it is ours still */
        check(result, "handing off");
    }
    check(sharesock_sender_flush(sender, 60000), "waiting for the worker");
    check(sharesock_sender_close(sender), "closing");

    char answer[256] = "";
    size_t read_so_far = 0;
    ssize_t some;
    while ((some = read(client, answer + read_so_far, sizeof answer - 1 - read_so_far)) > 0)
        read_so_far += (size_t)some;
    printf("%s", answer);
    int status;
    return waitpid(pid, &status, 0) != pid || status != 0;
}
