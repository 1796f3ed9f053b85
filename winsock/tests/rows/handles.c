/* Every function that takes a socket refuses what is none with WSAENOTSOCK. */
#include "calls.h"

static void refused(const char *what, SOCKET s)
{
    for (size_t i = 0; i < CALLS; i++)
        check(title("%s: %s is no socket", calls[i].name, what), WSAENOTSOCK, calls[i].make(s));
}

/* The last descriptor of a socket, closed in other ways. */
static void gone(void)
{
    SOCKET first = tcp(), second = another(first);
    closesocket(first);
    refused("a closed descriptor whose socket lives", first);
    check("closesocket: the other descriptor is still one", 0, outcome(closesocket(second)));
}

int main(void)
{
    HANDLE event;
    start();
    refused("INVALID_SOCKET", INVALID_SOCKET);
    refused("0", 0);
    refused("a number never given out", NO_SOCKET);
    refused("a closed socket", closed());
    event = new_event();
    refused("an event object", (SOCKET)event);
    check("closesocket: an event object is left open", 0, outcome_bool(WSACloseEvent(event)));
    gone();
    WSACleanup();
    return finish();
}
