/* WSAStartup and WSACleanup: versions, counting, what is refused outside of them, and what becomes of sockets. */
#include "calls.h"

#define PAIRS 8

static void events_before(void)
{
    HANDLE event = NULL;
    check("WSACreateEvent: before WSAStartup", WSANOTINITIALISED, outcome_bool(WSACreateEvent() != WSA_INVALID_EVENT));
    check("WSASetEvent: before WSAStartup", WSANOTINITIALISED, outcome_bool(WSASetEvent(event)));
    check("WSAResetEvent: before WSAStartup", WSANOTINITIALISED, outcome_bool(WSAResetEvent(event)));
    check("WSACloseEvent: before WSAStartup", WSANOTINITIALISED, outcome_bool(WSACloseEvent(event)));
    check("WSAWaitForMultipleEvents: before WSAStartup", WSANOTINITIALISED,
          outcome_bool(WSAWaitForMultipleEvents(1, &event, FALSE, 0, FALSE) != WSA_WAIT_FAILED));
}

static void before(const char *when)
{
    Info info;
    DWORD size = 0;
    memset(&info, 0, sizeof info);
    check(title("WSACleanup: %s", when), WSANOTINITIALISED, outcome(WSACleanup()));
    check(title("socket: %s", when), WSANOTINITIALISED, outcome_socket(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)));
    for (int wide = 0; wide < 2; wide++) {
        const char *form = wide ? "W" : "A";
        check(title("WSASocket%s: %s", form, when), WSANOTINITIALISED, outcome_socket(create(wide, 0, 0, 0, NULL, 0)));
        check(title("WSASocket%s: an info %s", form, when), WSANOTINITIALISED, outcome_socket(redeem(wide, &info)));
    }
    check(title("WSAEnumProtocolsA: %s", when), WSANOTINITIALISED, outcome(WSAEnumProtocolsA(NULL, NULL, &size)));
    check(title("WSAEnumProtocolsW: %s", when), WSANOTINITIALISED, outcome(WSAEnumProtocolsW(NULL, NULL, &size)));
    for (size_t i = 0; i < CALLS; i++)
        check(title("%s: %s", calls[i].name, when), WSANOTINITIALISED, calls[i].make(INVALID_SOCKET));
}

static void last_error(void)
{
    WSASetLastError(WSAEMFILE);
    check("WSAGetLastError: before WSAStartup", WSAEMFILE, WSAGetLastError());
}

static void version(int major, int minor, int given_major, int given_minor)
{
    WSADATA data;
    int code;
    memset(&data, 0, sizeof data);
    code = WSAStartup((WORD)MAKEWORD(major, minor), &data);
    check(title("WSAStartup: version %d.%d is accepted", major, minor), 0, code);
    check_number(title("WSAStartup: version %d.%d gives %d.%d", major, minor, given_major, given_minor),
                 MAKEWORD(given_major, given_minor), data.wVersion);
    check_number(title("WSAStartup: version %d.%d tells of 2.2", major, minor), MAKEWORD(2, 2), data.wHighVersion);
    if (!code)
        check(title("WSACleanup: after version %d.%d", major, minor), 0, outcome(WSACleanup()));
}

static void no_version(int minor)
{
    WSADATA data;
    memset(&data, 0, sizeof data);
    check(title("WSAStartup: version 0.%d", minor), WSAVERNOTSUPPORTED, WSAStartup((WORD)MAKEWORD(0, minor), &data));
    check_number(title("WSAStartup: version 0.%d tells of 2.2", minor), MAKEWORD(2, 2), data.wHighVersion);
    check(title("WSAStartup: version 0.%d does not count", minor), WSANOTINITIALISED, outcome(WSACleanup()));
}

static void versions(void)
{
    version(1, 0, 1, 0);
    version(1, 1, 1, 1);
    version(1, 2, 1, 1);
    version(2, 0, 2, 0);
    version(2, 1, 2, 1);
    version(2, 2, 2, 2);
    version(2, 3, 2, 2);
    version(3, 0, 2, 2);
    version(255, 255, 2, 2);
    no_version(0);
    no_version(1);
    check("WSAStartup: NULL", WSAEFAULT, WSAStartup(MAKEWORD(2, 2), NULL));
    check("WSAStartup: NULL does not count", WSANOTINITIALISED, outcome(WSACleanup()));
    check("WSAStartup: the version is checked before the buffer", WSAVERNOTSUPPORTED, WSAStartup(0, NULL));
    check("WSAStartup: a bad pointer", WSAEFAULT, WSAStartup(MAKEWORD(2, 2), BAD_POINTER));
}

static void counting(void)
{
    SOCKET s;
    start();
    start();
    start();
    s = tcp();
    check("WSACleanup: the first of three", 0, outcome(WSACleanup()));
    check("WSACleanup: the second of three", 0, outcome(WSACleanup()));
    check_number("WSACleanup: before the last a socket is usable", SOCK_STREAM, option(s, SOL_SOCKET, SO_TYPE));
    check("WSACleanup: before the last a socket can be made", 0, call_close(tcp()));
    check("WSACleanup: the third of three", 0, outcome(WSACleanup()));
    check("WSACleanup: one too many", WSANOTINITIALISED, outcome(WSACleanup()));
    check("WSACleanup: after the last no socket can be made", WSANOTINITIALISED,
          outcome_socket(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)));
}

/* The last WSACleanup closes every descriptor, duplicates among them. */
static void closing(void)
{
    SOCKET s[PAIRS][4];
    Info unredeemed;
    int refused = 0;
    start();
    for (int i = 0; i < PAIRS; i++) {
        pair(&s[i][0], &s[i][1]);
        s[i][2] = another(s[i][0]);
        s[i][3] = another(s[i][1]);
    }
    unredeemed = duplicated(1, s[0][0]);
    check("WSACleanup: with open sockets", 0, outcome(WSACleanup()));
    start();
    for (int i = 0; i < PAIRS * 4; i++)
        refused += call_name(s[i / 4][i % 4]) == WSAENOTSOCK;
    check_number("WSACleanup: closes every descriptor", PAIRS * 4, refused);
    check("WSACleanup: a connection is closed too", WSAENOTSOCK, call_send(s[0][0]));
    check_true("WSACleanup: an info not redeemed makes no trouble",
               (outcome_socket(redeem(1, &unredeemed)), WSACleanup() == 0));
}

/* What was made before the last WSACleanup is no event source afterwards; the event object is the program's own. */
static void events_after(void)
{
    HANDLE event;
    start();
    event = new_event();
    WSACleanup();
    start();
    check("WSACleanup: leaves event objects open", 0, outcome_bool(WSACloseEvent(event)));
    WSACleanup();
}

int main(void)
{
    last_error();
    before("before WSAStartup");
    events_before();
    versions();
    counting();
    closing();
    events_after();
    before("after the last WSACleanup");
    return finish();
}
