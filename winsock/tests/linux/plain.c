/* The plain interface: what it refuses, what is pending, what is taken and what is not, and one endpoint beside Winsock's. */
#define _GNU_SOURCE
#include <sharesock.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPECT(found, wanted) expect((found), (wanted), #found, __LINE__)

static void expect(long long found, long long wanted, const char *what, int line)
{
    if (found != wanted) {
        char text[512] = "";
        sharesock_error_text((int)found, text, sizeof text);
        printf("line %d: %s is %lld (%s: %s), not %lld\n", line, what, found, sharesock_error_name((int)found), text, wanted);
        exit(1);
    }
}

static int is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int same(int one, int two)
{
    struct stat first, second;
    return fstat(one, &first) == 0 && fstat(two, &second) == 0 && first.st_ino == second.st_ino;
}

static unsigned char info[SHARESOCK_INFO_SIZE];

static void refusals(int socket_fd, const char *process)
{
    char text[8], long_text[SHARESOCK_INFO_TEXT_SIZE];
    EXPECT(sharesock_share(-1, (uint32_t)getpid(), SHARESOCK_NEVER, info), -EBADF);
    EXPECT(sharesock_share(socket_fd, 0, SHARESOCK_NEVER, info), -ESRCH);
    EXPECT(sharesock_share(socket_fd, (uint32_t)getpid(), SHARESOCK_NEVER, NULL), -EFAULT);
    EXPECT(sharesock_share_to(socket_fd, "nobody", SHARESOCK_NEVER, info), SHARESOCK_E_NOT_A_PROCESS);
    EXPECT(sharesock_share_to(socket_fd, NULL, SHARESOCK_NEVER, info), -EFAULT);
    EXPECT(sharesock_redeem(info, 3, 0), SHARESOCK_E_BAD_INFO);
    EXPECT(sharesock_redeem(NULL, SHARESOCK_INFO_SIZE, 0), -EFAULT);
    EXPECT(sharesock_process(text, sizeof text), -ERANGE);
    EXPECT(sharesock_open("/proc/no such folder"), -ENOENT);
    EXPECT(sharesock_receiver_open("a/b", NULL), SHARESOCK_E_BAD_NAME);
    EXPECT(sharesock_receiver_fd(NULL), -EFAULT);
    EXPECT(sharesock_sender_close(NULL), 0);
    int file = open("/dev/null", O_RDONLY);
    EXPECT(sharesock_share(file, (uint32_t)getpid(), SHARESOCK_NEVER, info), -ENOTSOCK);
    close(file);

    /* The text has the details of the last failure, and else the meaning. */
    char details[512], meaning[512];
    EXPECT(sharesock_redeem(info, 3, 0), SHARESOCK_E_BAD_INFO);
    size_t length = sharesock_error_text(SHARESOCK_E_BAD_INFO, details, sizeof details);
    EXPECT(length == strlen(details) && strstr(details, "3 bytes") != NULL, 1);
    sharesock_error_text(SHARESOCK_E_EXPIRED, meaning, sizeof meaning);
    EXPECT(strcmp(meaning, "the protocol info has expired"), 0);
    EXPECT(sharesock_error_text(SHARESOCK_E_EXPIRED, text, sizeof text), (long long)strlen(meaning));
    EXPECT(strcmp(text, "the pro"), 0);
    EXPECT(strcmp(sharesock_error_name(-EPIPE), "EPIPE"), 0);
    EXPECT(sharesock_error_name(3) == NULL, 1);

    /* Names, and texts that come back. */
    EXPECT(sharesock_share_to(socket_fd, process, SHARESOCK_NEVER, info), 0);
    unsigned char again[SHARESOCK_INFO_SIZE];
    int text_length = sharesock_info_text(info, sizeof info, long_text, sizeof long_text);
    EXPECT(text_length, (long long)strlen(long_text));
    EXPECT(sharesock_info_parse(long_text, again), 0);
    EXPECT(memcmp(info, again, sizeof info), 0);
    EXPECT(sharesock_discard(again, sizeof again), 0);
    EXPECT(sharesock_redeem(info, sizeof info, 0), SHARESOCK_E_ALREADY_REDEEMED);
}

static void revoking(int socket_fd, const char *process)
{
    sharesock_revocation *revocation;
    EXPECT(sharesock_share_revocable(socket_fd, process, SHARESOCK_NEVER, info, &revocation), 0);
    EXPECT(sharesock_revoke(revocation), 0);
    EXPECT(sharesock_revoke(revocation), -EALREADY);
    EXPECT(sharesock_revocation_close(revocation), 0);
    EXPECT(sharesock_redeem(info, sizeof info, 0), SHARESOCK_E_REVOKED);
    EXPECT(sharesock_share(socket_fd, (uint32_t)getpid(), 0, info), 0);
    EXPECT(sharesock_redeem(info, sizeof info, 0), SHARESOCK_E_EXPIRED);
}

static void handing_off(void)
{
    sharesock_receiver *receiver, *named;
    sharesock_sender *sender;
    EXPECT(sharesock_sender_open((uint32_t)getpid(), NULL, &sender), SHARESOCK_E_NO_ENDPOINT);
    EXPECT(sharesock_receiver_open(NULL, &receiver), 0);
    EXPECT(sharesock_receiver_open("named", &named), 0);
    EXPECT(sharesock_receiver_open("named", &named), SHARESOCK_E_RECEIVER_OPEN);
    EXPECT(sharesock_sender_open((uint32_t)getpid(), NULL, &sender), 0);
    char bytes[16], source[SHARESOCK_PROCESS_SIZE];
    size_t length = 99;
    EXPECT(sharesock_receive(receiver, bytes, sizeof bytes, &length, NULL, 0, 0), -EAGAIN);

    int pair[2];
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    int kept = dup(pair[0]), given = dup(pair[0]);
    static char too_many[SHARESOCK_MOST_BYTES + 1];
    EXPECT(sharesock_hand_off(sender, given, too_many, sizeof too_many, 0), -EMSGSIZE);
    EXPECT(is_open(given), 1);
    EXPECT(sharesock_hand_off(sender, given, "twelve bytes", 12, 5000), 0);
    EXPECT(is_open(given), 0);
    EXPECT(sharesock_sender_outstanding(sender), 1);
    EXPECT(sharesock_sender_flush(sender, 1), SHARESOCK_E_NOT_TAKEN);
    /* What has no room is there still. */
    EXPECT(sharesock_receive(receiver, bytes, 3, &length, NULL, 0, 5000), -EMSGSIZE);
    EXPECT((long long)length, 12);
    int received = sharesock_receive(receiver, bytes, sizeof bytes, &length, source, sizeof source, 5000);
    EXPECT(received >= 0 && same(received, kept), 1);
    EXPECT(memcmp(bytes, "twelve bytes", length), 0);
    EXPECT(atoi(source), getpid());
    close(received);
    EXPECT(sharesock_sender_flush(sender, 5000), 0);

    /* Progress is told, also to those who ask too late. */
    struct pollfd progress = {.fd = sharesock_sender_progress_fd(sender), .events = POLLIN};
    EXPECT(sharesock_hand_off(sender, dup(kept), "one", 3, 0), 0);
    EXPECT(sharesock_sender_progress_fd(sender), progress.fd);
    received = sharesock_receive(receiver, bytes, sizeof bytes, NULL, NULL, 0, 5000);
    close(received);
    EXPECT(poll(&progress, 1, 60000), 1);

    EXPECT(sharesock_hand_off(sender, dup(kept), "back", 4, 0), 0);
    received = sharesock_sender_reclaim(sender, bytes, sizeof bytes, &length);
    EXPECT(received >= 0 && same(received, kept) && length == 4, 1);
    close(received);
    EXPECT(sharesock_sender_reclaim(sender, bytes, sizeof bytes, &length), -ENODATA);
    given = dup(kept);
    EXPECT(sharesock_hand_off(sender, given, "", 0, 0), -EPIPE);
    EXPECT(is_open(given), 1);
    close(given);
    close(kept);
    close(pair[0]);
    close(pair[1]);
    EXPECT(sharesock_sender_close(sender), 0);
    EXPECT(sharesock_receiver_close(receiver), 0);
    EXPECT(sharesock_receiver_close(named), 0);
}

static void offering(int socket_fd)
{
    sharesock_revocation *revocation;
    char text[SHARESOCK_PROCESS_SIZE];
    EXPECT(sharesock_offer(socket_fd, SHARESOCK_NEVER, -1, info), -EINVAL);
    EXPECT(sharesock_offer(socket_fd, 60000, -1, info), 0);
    int pipes[2], status;
    EXPECT(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        int got = sharesock_redeem(info, sizeof info, 5000);
        EXPECT(got >= 0 && same(got, socket_fd), 1);
        EXPECT(sharesock_close() + sharesock_close(), 0);
        exit(0);
    }
    EXPECT(waitpid(child, &status, 0), child);
    EXPECT(status, 0);
    EXPECT(sharesock_redeem(info, sizeof info, 5000), SHARESOCK_E_ALREADY_REDEEMED);
    EXPECT(sharesock_offer_revocable(socket_fd, 60000, getuid(), info, &revocation), 0);
    EXPECT(sharesock_revoke(revocation), 0);
    EXPECT(sharesock_revocation_close(revocation), 0);
    EXPECT(sharesock_redeem(info, sizeof info, 5000), SHARESOCK_E_REVOKED);
    EXPECT(sharesock_keeper(text, sizeof text), -ENOENT);
    EXPECT(sharesock_offer_kept(socket_fd, NULL, 60000, -1, info), -ENOENT);
}

/* A child that is another program, and opens its endpoint late. */
static void seating(const char *program, int socket_fd)
{
    sharesock_seat *seat;
    int inherited = sharesock_seat_open(&seat), number = 40, status;
    EXPECT(inherited >= 0, 1);
    char variable[160], text[SHARESOCK_INFO_TEXT_SIZE];
    EXPECT(sharesock_seat_variable(seat, number, variable, sizeof variable) > 0, 1);
    int start[2];
    EXPECT(pipe(start), 0);
    pid_t child = fork();
    if (child == 0) {
        putenv(variable);
        dup2(inherited, number);
        dup2(start[0], 0);
        close(start[1]);
        execl(program, program, "child", (char *)NULL);
        _exit(1);
    }
    EXPECT(sharesock_seat_tell(seat, (uint32_t)child), 0);
    EXPECT(sharesock_seat_tell(seat, (uint32_t)child), -EALREADY);
    EXPECT(sharesock_share(socket_fd, (uint32_t)child, SHARESOCK_NEVER, info), 0); /* it lies with the child already */
    int text_length = sharesock_info_text(info, sizeof info, text, sizeof text);
    EXPECT(write(start[1], text, (size_t)text_length), text_length);
    close(start[1]);
    EXPECT(waitpid(child, &status, 0), child);
    EXPECT(status, 0);
    EXPECT(sharesock_seat_close(seat), 0);
}

static int seated(void)
{
    char text[SHARESOCK_INFO_TEXT_SIZE] = "";
    EXPECT(read(0, text, sizeof text - 1) > 0, 1);
    EXPECT(sharesock_info_parse(text, info), 0);
    EXPECT(sharesock_redeem(info, sizeof info, 0) >= 0, 1);
    EXPECT(sharesock_close(), 0);
    return 0;
}

static void looking(void)
{
    int pair[2];
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct sharesock_holder list[4];
    EXPECT(sharesock_holders(pair[0], list, 4), 1);
    EXPECT(list[0].pid, getpid());
    EXPECT(list[0].descriptor, pair[0]);
    EXPECT(strlen(list[0].command) > 0, 1);
    int second = dup(pair[0]);
    EXPECT(sharesock_holders(pair[0], NULL, 0), 2);
    sharesock_turn *turn, *other;
    EXPECT(sharesock_turn_take(pair[0], SHARESOCK_SEND, SHARESOCK_FOREVER, &turn), 0);
    EXPECT(sharesock_turn_take(second, SHARESOCK_SEND, 0, &other), -EAGAIN);
    EXPECT(sharesock_turn_take(second, SHARESOCK_RECEIVE, 0, &other), 0);
    EXPECT(sharesock_turn_close(turn), 0);
    EXPECT(sharesock_turn_take(second, SHARESOCK_SEND, 0, &turn), 0);
    EXPECT(sharesock_turn_close(turn) + sharesock_turn_close(other), 0);
    EXPECT(sharesock_turn_take(pair[0], 2, 0, &turn), -EINVAL);

    sharesock_event *event;
    struct sharesock_occurred occurred;
    EXPECT(sharesock_event_open(0, &event), 0);
    EXPECT(sharesock_event_select(event, pair[0], 1 << 20), -EINVAL);
    EXPECT(sharesock_event_select(event, pair[0], SHARESOCK_EVENT_READ | SHARESOCK_EVENT_CLOSE), 0);
    EXPECT(sharesock_event_wait(event, 0), -EAGAIN);
    EXPECT(write(pair[1], "two", 3), 3);
    struct pollfd input = {.fd = sharesock_event_fd(event), .events = POLLIN};
    EXPECT(poll(&input, 1, 60000), 1);
    EXPECT(sharesock_event_wait(event, 60000), 0);
    EXPECT(sharesock_event_enumerate(event, pair[0], &occurred), SHARESOCK_EVENT_READ);
    EXPECT(occurred.events == SHARESOCK_EVENT_READ && occurred.close_error == 0, 1);
    EXPECT(sharesock_event_wait(event, 0), -EAGAIN);
    /* Something is left after a receive of the program's own. */
    char byte;
    EXPECT(read(pair[0], &byte, 1), 1);
    EXPECT(sharesock_event_enable(event, pair[0], SHARESOCK_EVENT_READ), 0);
    EXPECT(sharesock_event_wait(event, 60000), 0);
    EXPECT(sharesock_event_enumerate(event, pair[0], &occurred), SHARESOCK_EVENT_READ);
    EXPECT(sharesock_event_set(event) + sharesock_event_wait(event, 0) + sharesock_event_reset(event), 0);
    EXPECT(sharesock_event_wait(event, 0), -EAGAIN);
    close(pair[1]);
    EXPECT(sharesock_event_wait(event, 60000), 0);
    EXPECT(sharesock_event_enumerate(event, pair[0], &occurred) & SHARESOCK_EVENT_CLOSE, SHARESOCK_EVENT_CLOSE);
    EXPECT(sharesock_event_select(event, pair[0], 0), 0);
    EXPECT(sharesock_holders(pair[0], NULL, 0), 2); /* it keeps no descriptor of it */
    EXPECT(sharesock_event_close(event), 0);
    close(pair[0]);
    close(second);
}

static void nothing(int signal)
{
    (void)signal;
}

/* A child holds a duplicate for this process, which has no endpoint yet, and is stopped. */
static void pending(void)
{
    int pair[2], pipes[2];
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    EXPECT(pipe(pipes), 0);
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        EXPECT(sharesock_share(pair[0], (uint32_t)parent, SHARESOCK_NEVER, info), 1);
        EXPECT(write(pipes[1], info, sizeof info), sizeof info);
        sharesock_pending *flush;
        EXPECT(sharesock_start_flush(&flush), 0);
        struct pollfd input = {.fd = sharesock_pending_fd(flush), .events = POLLIN};
        int left;
        while ((left = sharesock_pending_finish(flush)) == -EAGAIN)
            EXPECT(poll(&input, 1, 60000), 1);
        EXPECT(left, 0);
        EXPECT(sharesock_pending_close(flush), 0);
        EXPECT(sharesock_flush(0), 0);
        EXPECT(sharesock_close(), 0);
        exit(0);
    }
    EXPECT(read(pipes[0], info, sizeof info), sizeof info);
    int status;
    kill(child, SIGSTOP);
    EXPECT(waitpid(child, &status, WUNTRACED), child);
    EXPECT(sharesock_open(NULL), 0);

    sharesock_pending *redeem;
    EXPECT(sharesock_try_redeem(info, sizeof info, &redeem), -EAGAIN);
    EXPECT(sharesock_pending_finish(redeem), -EAGAIN);
    EXPECT(sharesock_redeem(info, sizeof info, 1), SHARESOCK_E_SOURCE_SILENT);
    struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    alarm(1);
    EXPECT(sharesock_redeem(info, sizeof info, SHARESOCK_FOREVER), -EINTR);
    kill(child, SIGCONT);
    struct pollfd input = {.fd = sharesock_pending_fd(redeem), .events = POLLIN};
    int got;
    while ((got = sharesock_pending_finish(redeem)) == -EAGAIN)
        EXPECT(poll(&input, 1, 60000), 1);
    EXPECT(got >= 0 && same(got, pair[0]), 1);
    EXPECT(sharesock_pending_finish(redeem), -EALREADY);
    EXPECT(sharesock_pending_close(redeem), 0);
    close(got);
    EXPECT(waitpid(child, &status, 0), child);
    EXPECT(status, 0);
}

/* Winsock's names, as another part of the process that loads the library for itself sees them. */
static void beside_winsock(void)
{
    void *library = dlopen("libsharesock.so.0", RTLD_NOW | RTLD_LOCAL);
    EXPECT(library != NULL, 1);
    int (*start)(unsigned short, void *), (*clean_up)(void), (*duplicate)(size_t, unsigned, void *), (*drop)(size_t);
    size_t (*adopt)(int);
    *(void **)&start = dlsym(library, "WSAStartup");
    *(void **)&clean_up = dlsym(library, "WSACleanup");
    *(void **)&duplicate = dlsym(library, "WSADuplicateSocketW");
    *(void **)&adopt = dlsym(library, "sharesock_adopt");
    *(void **)&drop = dlsym(library, "sharesock_closesocket");
    EXPECT(start && clean_up && duplicate && adopt && drop, 1);
    char data[1024];
    EXPECT(start(0x0202, data), 0);
    int pair[2];
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    size_t handle = adopt(dup(pair[0]));
    EXPECT(duplicate(handle, (unsigned)getpid(), info), 0);
    int got = sharesock_redeem(info, sizeof info, 0);
    EXPECT(got >= 0 && same(got, pair[0]), 1);
    close(got);
    EXPECT(drop(handle), 0);
    EXPECT(clean_up(), 0);
    dlclose(library);
}

int main(int count, char **arguments)
{
    if (count > 1)
        return seated();
    char process[SHARESOCK_PROCESS_SIZE], domain[4096];
    int socket_fd = socket(AF_INET, SOCK_DGRAM, 0);
    EXPECT(sharesock_version(), SHARESOCK_VERSION);
    pending();
    EXPECT(sharesock_process(process, sizeof process) > 0, 1);
    int domain_length = sharesock_domain(domain, sizeof domain);
    EXPECT(domain_length, (long long)strlen(domain));
    EXPECT(strcmp(domain, getenv("SHARESOCK_DOMAIN")), 0);
    EXPECT(sharesock_open(domain), 0);
    EXPECT(sharesock_open("/tmp"), SHARESOCK_E_UNTRUSTED_DOMAIN);
    refusals(socket_fd, process);
    revoking(socket_fd, process);
    handing_off();
    offering(socket_fd);
    seating(arguments[0], socket_fd);
    looking();
    beside_winsock();
    EXPECT(sharesock_close(), 0);
    EXPECT(sharesock_share(socket_fd, (uint32_t)getpid(), SHARESOCK_NEVER, info), 0); /* one user is left */
    EXPECT(sharesock_close(), 0);
    printf("the plain interface does what it says\n");
    return 0;
}
