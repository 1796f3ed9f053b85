/* Event objects and waiting for them. */
#include "sockets.h"

#define MOST WSA_MAXIMUM_WAIT_EVENTS

static HANDLE many[MOST + 1];
/* Made before any was closed, so that it has no number that was another's. */
static HANDLE good;

static DWORD any(DWORD count, const HANDLE *events, DWORD limit)
{
    return WSAWaitForMultipleEvents(count, events, FALSE, limit, FALSE);
}

static DWORD all(DWORD count, const HANDLE *events, DWORD limit)
{
    return WSAWaitForMultipleEvents(count, events, TRUE, limit, FALSE);
}

static int code(DWORD result)
{
    return outcome_bool(result != WSA_WAIT_FAILED);
}

/* Each call for an event object, with what is none. */
static void refused(const char *what, HANDLE event)
{
    HANDLE two[2];
    check(title("WSASetEvent: %s", what), WSA_INVALID_HANDLE, outcome_bool(WSASetEvent(event)));
    check(title("WSAResetEvent: %s", what), WSA_INVALID_HANDLE, outcome_bool(WSAResetEvent(event)));
    check(title("WSACloseEvent: %s", what), WSA_INVALID_HANDLE, outcome_bool(WSACloseEvent(event)));
    check(title("wait: %s", what), WSA_INVALID_HANDLE, code(any(1, &event, 0)));
    WSAResetEvent(good);
    two[0] = good;
    two[1] = event;
    check(title("wait: %s among others", what), WSA_INVALID_HANDLE, code(any(2, two, 0)));
    WSASetEvent(two[0]);
    check(title("wait: %s behind one that is set", what), WSA_INVALID_HANDLE, code(any(2, two, 0)));
    check(title("wait: for all with %s", what), WSA_INVALID_HANDLE, code(all(2, two, 0)));
    check(title("WaitForSingleObject: %s", what), WSA_INVALID_HANDLE,
          WaitForSingleObject(event, 0) == WAIT_FAILED ? (int)GetLastError() : 0);
    check(title("SetEvent: %s", what), WSA_INVALID_HANDLE, SetEvent(event) ? 0 : (int)GetLastError());
    check(title("ResetEvent: %s", what), WSA_INVALID_HANDLE, ResetEvent(event) ? 0 : (int)GetLastError());
    check(title("CloseHandle: %s", what), WSA_INVALID_HANDLE, CloseHandle(event) ? 0 : (int)GetLastError());
}

static void counts(void)
{
    HANDLE one = new_event();
    for (int i = 0; i <= MOST; i++)
        many[i] = new_event();
    check_number("wait: the most event objects", 64, MOST);
    check("wait: no event objects", WSA_INVALID_PARAMETER, code(any(0, &one, 0)));
    check("wait: for all of no event objects", WSA_INVALID_PARAMETER, code(all(0, &one, 0)));
    check("wait: no event objects and NULL", WSA_INVALID_PARAMETER, code(any(0, NULL, 0)));
    check("wait: 65 event objects", WSA_INVALID_PARAMETER, code(any(MOST + 1, many, 0)));
    check("wait: for all of 65 event objects", WSA_INVALID_PARAMETER, code(all(MOST + 1, many, 0)));
    check_number("wait: 64 event objects", WSA_WAIT_TIMEOUT, any(MOST, many, 0));
    WSASetEvent(many[MOST - 1]);
    check_number("wait: the last of 64", WSA_WAIT_EVENT_0 + MOST - 1, any(MOST, many, SOON));
    check_number("wait: for all of 64 when one is set", WSA_WAIT_TIMEOUT, all(MOST, many, 0));
    for (int i = 0; i < MOST; i++)
        WSASetEvent(many[i]);
    check_number("wait: the first of 64", WSA_WAIT_EVENT_0, any(MOST, many, SOON));
    check("wait: for all of 64 when all are set", 0, code(all(MOST, many, SOON)));
    WSACloseEvent(one);
}

static void duplicates(void)
{
    HANDLE twice[2] = { new_event(), NULL };
    twice[1] = twice[0];
    check("wait: for all with one event object twice", WSA_INVALID_PARAMETER, code(all(2, twice, 0)));
    check_number("wait: one event object twice", WSA_WAIT_TIMEOUT, any(2, twice, 0));
    WSASetEvent(twice[0]);
    check_number("wait: one event object twice is the first", WSA_WAIT_EVENT_0, any(2, twice, SOON));
    check("wait: for all with one event object twice when it is set", WSA_INVALID_PARAMETER, code(all(2, twice, 0)));
    WSACloseEvent(twice[0]);
}

/* A new event object is unsignalled and stays set when waited for. */
static void manual(void)
{
    HANDLE event = new_event();
    check_number("wait: a new event object", WSA_WAIT_TIMEOUT, any(1, &event, 0));
    check_number("wait: a new event object for a while", WSA_WAIT_TIMEOUT, any(1, &event, 20));
    check_number("WaitForSingleObject: a new event object", WAIT_TIMEOUT, WaitForSingleObject(event, 0));
    check("WSAResetEvent: a new event object", 0, outcome_bool(WSAResetEvent(event)));
    check("WSASetEvent: an event object", 0, outcome_bool(WSASetEvent(event)));
    check("WSASetEvent: twice", 0, outcome_bool(WSASetEvent(event)));
    check_number("wait: a set event object", WSA_WAIT_EVENT_0, any(1, &event, 0));
    check_number("wait: a set event object without end", WSA_WAIT_EVENT_0, any(1, &event, WSA_INFINITE));
    check_number("wait: for all of one", WSA_WAIT_EVENT_0, all(1, &event, 0));
    check_number("wait: alertable", WSA_WAIT_EVENT_0, WSAWaitForMultipleEvents(1, &event, FALSE, 0, TRUE));
    check_number("WaitForSingleObject: a set event object", WAIT_OBJECT_0, WaitForSingleObject(event, 0));
    check_number("WaitForSingleObject: a set event object again", WAIT_OBJECT_0, WaitForSingleObject(event, INFINITE));
    check("WSAResetEvent: an event object", 0, outcome_bool(WSAResetEvent(event)));
    check_number("wait: after resetting", WSA_WAIT_TIMEOUT, any(1, &event, 0));
    check_number("wait: after resetting; alertable", WSA_WAIT_TIMEOUT,
                 WSAWaitForMultipleEvents(1, &event, FALSE, 20, TRUE));
    check("WSACloseEvent: an event object", 0, outcome_bool(WSACloseEvent(event)));
    check("WSACloseEvent: twice", WSA_INVALID_HANDLE, outcome_bool(WSACloseEvent(event)));
}

/* An auto-reset event object is reset by the wait that it ends, and by that one only. */
static void automatic(void)
{
    HANDLE a = CreateEventA(NULL, FALSE, FALSE, NULL), b = CreateEventA(NULL, FALSE, TRUE, NULL), both[2];
    need(a && b, "CreateEvent");
    check_number("CreateEvent: auto-reset and unset", WAIT_TIMEOUT, WaitForSingleObject(a, 0));
    check_number("CreateEvent: auto-reset and set", WAIT_OBJECT_0, WaitForSingleObject(b, 0));
    check_number("CreateEvent: auto-reset and set; waited for twice", WAIT_TIMEOUT, WaitForSingleObject(b, 0));
    check("SetEvent: an auto-reset event object", 0, SetEvent(a) ? 0 : (int)GetLastError());
    SetEvent(a);
    check_number("wait: an auto-reset event object set twice", WSA_WAIT_EVENT_0, any(1, &a, 0));
    check_number("wait: an auto-reset event object set twice ends one wait", WSA_WAIT_TIMEOUT, any(1, &a, 0));
    both[0] = a;
    both[1] = b;
    SetEvent(a);
    check_number("wait: for all of two when one is set", WSA_WAIT_TIMEOUT, all(2, both, 0));
    check_number("wait: for all leaves what is set while it waits", WAIT_OBJECT_0, WaitForSingleObject(a, 0));
    SetEvent(a);
    SetEvent(b);
    check("wait: for all of two when both are set", 0, code(all(2, both, 0)));
    check_number("wait: for all resets both", WSA_WAIT_TIMEOUT, any(2, both, 0));
    SetEvent(a);
    SetEvent(b);
    check_number("wait: the lowest of two that are set", WSA_WAIT_EVENT_0, any(2, both, 0));
    check_number("wait: the lowest was reset and the other not", WSA_WAIT_EVENT_0 + 1, any(2, both, 0));
    check_number("wait: then both are reset", WSA_WAIT_TIMEOUT, any(2, both, 0));
    check("ResetEvent: an auto-reset event object", 0, SetEvent(a) && ResetEvent(a) ? 0 : (int)GetLastError());
    check_number("wait: an auto-reset event object set and reset", WSA_WAIT_TIMEOUT, any(1, &a, 0));
    CloseHandle(a);
    check("CloseHandle: an event object", 0, CloseHandle(b) ? 0 : (int)GetLastError());
}

static void made(const char *name, HANDLE event, DWORD first, DWORD second)
{
    need(event != NULL, name);
    check_number(title("%s: first wait", name), first, WaitForSingleObject(event, 0));
    check_number(title("%s: second wait", name), second, WaitForSingleObject(event, 0));
    check(title("%s: WSASetEvent", name), 0, outcome_bool(WSASetEvent(event)));
    check(title("%s: WSACloseEvent", name), 0, outcome_bool(WSACloseEvent(event)));
}

static void lowest(void)
{
    HANDLE three[3] = { new_event(), new_event(), new_event() };
    WSASetEvent(three[2]);
    check_number("wait: the third of three", WSA_WAIT_EVENT_0 + 2, any(3, three, SOON));
    WSASetEvent(three[1]);
    check_number("wait: the second of three when the third is set too", WSA_WAIT_EVENT_0 + 1, any(3, three, SOON));
    check_number("wait: for all of three when two are set", WSA_WAIT_TIMEOUT, all(3, three, 20));
    WSASetEvent(three[0]);
    check_number("wait: the first of three when all are set", WSA_WAIT_EVENT_0, any(3, three, SOON));
    check("wait: for all of three when all are set", 0, code(all(3, three, SOON)));
    for (int i = 0; i < 3; i++)
        WSACloseEvent(three[i]);
}

/* A wait consults event objects, not sockets. */
static void plain(void)
{
    SOCKET client, server;
    HANDLE event = new_event();
    pair(&client, &server);
    need(!WSAEventSelect(client, event, FD_READ), "WSAEventSelect");
    WSASetEvent(event);
    check_number("wait: an event object that the program sets", WSA_WAIT_EVENT_0, any(1, &event, 0));
    WSAResetEvent(event);
    send(server, "x", 1, 0);
    check_number("wait: an event object that a socket sets", WSA_WAIT_EVENT_0, any(1, &event, SOON));
    WSAResetEvent(event);
    check_number("wait: an event object that was reset though data is there", WSA_WAIT_TIMEOUT, any(1, &event, QUIET));
    close_pair(client, server);
    WSACloseEvent(event);
}

int main(void)
{
    start();
    good = new_event();
    refused("NULL", NULL);
    refused("a handle never given out", NO_HANDLE);
    refused("a closed event object", closed_event());
    counts();
    duplicates();
    manual();
    automatic();
    made("CreateEventA: manual-reset and unset", CreateEventA(NULL, TRUE, FALSE, NULL), WAIT_TIMEOUT, WAIT_TIMEOUT);
    made("CreateEventA: manual-reset and set", CreateEventA(NULL, TRUE, TRUE, NULL), WAIT_OBJECT_0, WAIT_OBJECT_0);
    made("CreateEventW: manual-reset and set", CreateEventW(NULL, TRUE, TRUE, NULL), WAIT_OBJECT_0, WAIT_OBJECT_0);
    made("CreateEventW: auto-reset and set", CreateEventW(NULL, FALSE, TRUE, NULL), WAIT_OBJECT_0, WAIT_TIMEOUT);
    lowest();
    plain();
    WSACleanup();
    return finish();
}
