/* A message-only window, and what is posted to it. */
#ifndef MESSAGES_H
#define MESSAGES_H

#include "sockets.h"

#define MESSAGE (WM_USER + 1)
#define OTHER_MESSAGE (WM_USER + 2)

/* What the last message was about. */
static SOCKET told;
static int told_event, told_code;

static inline HWND new_window(void)
{
    static int registered;
    WNDCLASSA class;
    HWND window;
    memset(&class, 0, sizeof class);
    class.lpfnWndProc = DefWindowProcA;
    class.lpszClassName = "rows";
    if (!registered)
        need(RegisterClassA(&class) != 0, "RegisterClass");
    registered = 1;
    window = CreateWindowExA(0, "rows", "", 0, 0, 0, 0, 0, HWND_MESSAGE, NULL, NULL, NULL);
    need(window != NULL, "a message-only window");
    return window;
}

/* The next message of this number: the event that it tells, or 0 when none comes. */
static inline int next_message(HWND window, UINT number, int within)
{
    MSG message;
    told = INVALID_SOCKET;
    told_event = told_code = 0;
    for (;; within -= 10) {
        if (PeekMessageA(&message, window, number, number, PM_REMOVE)) {
            told = (SOCKET)message.wParam;
            told_event = (int)WSAGETSELECTEVENT(message.lParam);
            told_code = (int)WSAGETSELECTERROR(message.lParam);
            return told_event;
        }
        if (within <= 0)
            return 0;
        Sleep(10);
    }
}

static inline int next(HWND window)
{
    return next_message(window, MESSAGE, SOON);
}

/* None comes. */
static inline int silent(HWND window)
{
    return next_message(window, MESSAGE, QUIET) == 0;
}

static inline int ask(SOCKET s, HWND window, long events)
{
    return outcome(WSAAsyncSelect(s, window, MESSAGE, events));
}

/* Forgets what was posted until now. */
static inline void drop(HWND window)
{
    while (next_message(window, MESSAGE, QUIET))
        ;
}

/* A connection whose client is registered, and of which nothing is due. */
static inline void watched(HWND window, long events, SOCKET *client, SOCKET *server)
{
    pair(client, server);
    need(!ask(*client, window, events), "WSAAsyncSelect");
    drop(window);
}

static inline int received_code(SOCKET s, int length)
{
    char bytes[8];
    return outcome(recv(s, bytes, length, 0));
}

#endif
