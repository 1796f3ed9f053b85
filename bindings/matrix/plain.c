/* The program of C, by the plain interface, in bindings/matrix/run. */
#include <sharesock.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int check(int result)
{
    char text[256];
    if (result >= 0)
        return result;
    sharesock_error_text(result, text, sizeof text);
    fprintf(stderr, "%s\n", text);
    exit(1);
}

int main(int count, char **arguments)
{
    unsigned char info[SHARESOCK_INFO_SIZE];
    sharesock_sender *sender;
    sharesock_receiver *receiver;
    static const char text[] = "from the target\n";

    if (count != 4)
        return 2;
    check(sharesock_open(NULL));
    if (strcmp(arguments[1], "source") == 0) {
        unsigned pid = (unsigned)atol(arguments[3]);
        if (strcmp(arguments[2], "info") == 0) {
            check(sharesock_share(0, pid, SHARESOCK_NEVER, info));
            for (size_t at = 0; at < sizeof info; at++)
                printf("%02x", info[at]);
            return 0;
        }
        check(sharesock_sender_open(pid, NULL, &sender));
        return check(sharesock_hand_off(sender, dup(0), NULL, 0, SHARESOCK_FOREVER));
    }
    check(sharesock_receiver_open(NULL, &receiver));
    printf("%d\n", (int)getpid());
    fflush(stdout);
    int fd;
    if (strcmp(arguments[3], "info") == 0) {
        for (size_t at = 0; at < sizeof info; at++)
            if (scanf("%2hhx", &info[at]) != 1)
                return 2;
        fd = check(sharesock_redeem(info, sizeof info, SHARESOCK_FOREVER));
    } else {
        getchar();
        fd = check(sharesock_receive(receiver, NULL, 0, NULL, NULL, 0, SHARESOCK_FOREVER));
    }
    if (strcmp(arguments[2], "listener") == 0)
        fd = accept(fd, NULL, NULL);
    return write(fd, text, sizeof text - 1) == (ssize_t)sizeof text - 1 ? 0 : 1;
}
