/* A row is one line of a table of Winsock's behaviour: a name, what is expected, and what is found.
 *
 * check() evaluates its last argument only when the row is wanted, so that the environment variable ROWS_SKIP, a
 * comma-separated list of names, keeps a row from being run at all. */
#ifndef ROWS_H
#define ROWS_H

#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int rows_passed, rows_failed;

#define NAMED(code) { code, #code }

/* The name of an error code; of 0 it is "0". */
static inline const char *code_name(int code)
{
    static const struct { int code; const char *name; } names[] = {
        { 0, "0" },
        NAMED(WSA_INVALID_HANDLE), NAMED(WSA_INVALID_PARAMETER), NAMED(WSA_NOT_ENOUGH_MEMORY), NAMED(WSA_IO_PENDING),
        NAMED(WSAEINTR), NAMED(WSAEBADF), NAMED(WSAEACCES), NAMED(WSAEFAULT), NAMED(WSAEINVAL), NAMED(WSAEMFILE),
        NAMED(WSAEWOULDBLOCK), NAMED(WSAEINPROGRESS), NAMED(WSAEALREADY), NAMED(WSAENOTSOCK), NAMED(WSAEDESTADDRREQ),
        NAMED(WSAEMSGSIZE), NAMED(WSAEPROTOTYPE), NAMED(WSAENOPROTOOPT), NAMED(WSAEPROTONOSUPPORT),
        NAMED(WSAESOCKTNOSUPPORT), NAMED(WSAEOPNOTSUPP), NAMED(WSAEPFNOSUPPORT), NAMED(WSAEAFNOSUPPORT),
        NAMED(WSAEADDRINUSE), NAMED(WSAEADDRNOTAVAIL), NAMED(WSAENETDOWN), NAMED(WSAENETUNREACH), NAMED(WSAENETRESET),
        NAMED(WSAECONNABORTED), NAMED(WSAECONNRESET), NAMED(WSAENOBUFS), NAMED(WSAEISCONN), NAMED(WSAENOTCONN),
        NAMED(WSAESHUTDOWN), NAMED(WSAETIMEDOUT), NAMED(WSAECONNREFUSED), NAMED(WSASYSNOTREADY),
        NAMED(WSAVERNOTSUPPORTED), NAMED(WSANOTINITIALISED), NAMED(WSAEINVALIDPROCTABLE), NAMED(WSAEINVALIDPROVIDER),
        NAMED(WSAEPROVIDERFAILEDINIT), NAMED(WSASYSCALLFAILURE),
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == code)
            return names[i].name;
    return code == -1 ? "failure without a code" : "?";
}

static inline void skip(const char *name, const char *reason)
{
    printf("skip %s: %s\n", name, reason);
    fflush(stdout);
}

/* Whether the row is to be run; says so when it is not. */
static inline int wanted(const char *name)
{
    const char *list = getenv("ROWS_SKIP");
    size_t length = strlen(name);
    for (; list && *list; list = strchr(list, ',') ? strchr(list, ',') + 1 : NULL)
        if (!strncmp(list, name, length) && (list[length] == ',' || !list[length])) {
            skip(name, "listed in ROWS_SKIP");
            return 0;
        }
    return 1;
}

static inline int row(const char *name, int passed)
{
    *(passed ? &rows_passed : &rows_failed) += 1;
    printf(passed ? "ok   %s" : "FAIL %s", name);
    return passed;
}

static inline void row_code(const char *name, int expected, int got)
{
    if (!row(name, expected == got))
        printf(": expected %s (%d), got %s (%d)", code_name(expected), expected, code_name(got), got);
    printf("\n");
    fflush(stdout);
}

static inline void row_number(const char *name, int expected, int got)
{
    if (!row(name, expected == got))
        printf(": expected %d, got %d", expected, got);
    printf("\n");
    fflush(stdout);
}

/* A row about an error code, one about a number, and one about a condition. */
#define ROW(kind, name, expected, got) \
    do { const char *row_name = (name); if (wanted(row_name)) kind(row_name, (int)(expected), (int)(got)); } while (0)
#define check(name, expected, got) ROW(row_code, name, expected, got)
#define check_number(name, expected, got) ROW(row_number, name, expected, got)
#define check_true(name, condition) ROW(row_number, name, 1, (condition) ? 1 : 0)

/* The name of a row that is one of several alike; it lasts until the fourth call after this one. */
static inline const char *title(const char *format, ...)
{
    static char names[4][200];
    static unsigned turn;
    char *name = names[turn++ % 4];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof names[0], format, arguments);
    va_end(arguments);
    return name;
}

/* The code with which a call failed, or 0. */
static inline int outcome(int result)
{
    int code = WSAGetLastError();
    return result != SOCKET_ERROR ? 0 : code ? code : -1;
}

static inline int outcome_bool(BOOL result)
{
    return outcome(result ? 0 : SOCKET_ERROR);
}

/* The same for a call that makes a socket, which is closed. */
static inline int outcome_socket(SOCKET s)
{
    int code = outcome(s == INVALID_SOCKET ? SOCKET_ERROR : 0);
    if (s != INVALID_SOCKET)
        closesocket(s);
    return code;
}

/* What a row needs could not be had: that is no row's failure. */
static inline void need(int condition, const char *what)
{
    if (condition)
        return;
    printf("cannot go on: %s (%d)\n", what, (int)WSAGetLastError());
    exit(2);
}

static inline void start(void)
{
    WSADATA data;
    need(WSAStartup(MAKEWORD(2, 2), &data) == 0, "WSAStartup");
}

/* The last line, and the exit status. */
static inline int finish(void)
{
    printf("%d passed, %d failed\n", rows_passed, rows_failed);
    return rows_failed ? 1 : 0;
}

#endif
