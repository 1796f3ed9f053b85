/*
 * A server driven by window messages (WSAAsyncSelect).
 *
 * The window is message-only: nothing is shown.  WM_SERVER tells what happens
 * to the server's sockets, WM_CLIENT what happens to the client's.  Clients
 * come one after the other, each says three things and leaves; when the
 * server has seen the last one go, the message loop ends.
 */
#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WM_SERVER (WM_USER + 1)
#define WM_CLIENT (WM_USER + 2)
#define CLIENTS 3
#define TURNS 3

static struct sockaddr_in server_address;
static int client_number, turn;

static void fail(const char *what, int error)
{
    fprintf(stderr, "%s failed: error %d\n", what, error);
    exit(EXIT_FAILURE);
}

static void check(int succeeded, const char *what)
{
    if (!succeeded)
        fail(what, WSAGetLastError());
}

/* For the window functions, which keep their errors elsewhere. */
static void check_window(int succeeded, const char *what)
{
    if (!succeeded)
        fail(what, (int)GetLastError());
}

static void client_speaks(SOCKET s)
{
    char text[32];
    int length = sprintf(text, "client %d, turn %d", client_number, ++turn);

    check(send(s, text, length, 0) == length, "send");
}

/* Connects the next client, which then lives on its messages. */
static void start_client(HWND window)
{
    SOCKET s = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);

    check(s != INVALID_SOCKET, "socket");
    check(connect(s, (struct sockaddr *)&server_address, sizeof server_address) == 0, "connect");
    check(WSAAsyncSelect(s, window, WM_CLIENT, FD_READ) == 0, "WSAAsyncSelect");
    client_number++;
    turn = 0;
    client_speaks(s);
}

static void on_client(SOCKET s)
{
    char text[64];
    int got = recv(s, text, sizeof text, 0);

    if (got == SOCKET_ERROR && WSAGetLastError() == WSAEWOULDBLOCK)
        return;                 /* a message left over from an earlier recv */
    check(got > 0, "recv");
    printf("client: FD_READ, \"%.*s\"\n", got, text);
    if (turn < TURNS)
        client_speaks(s);
    else
        check(closesocket(s) == 0, "closesocket");
}

static void on_server(HWND window, SOCKET s, int event)
{
    char text[64] = "answer to ";
    int length = (int)strlen(text), got;
    SOCKET accepted;

    switch (event) {
    case FD_ACCEPT:
        /* The new socket takes over the listener's window, message and events,
         * so that no WSAAsyncSelect is needed for it. */
        accepted = accept(s, NULL, NULL);
        check(accepted != INVALID_SOCKET, "accept");
        printf("server: FD_ACCEPT, client %d\n", client_number);
        break;
    case FD_READ:
        got = recv(s, text + length, (int)sizeof text - length, 0);
        if (got == SOCKET_ERROR && WSAGetLastError() == WSAEWOULDBLOCK)
            break;
        check(got > 0, "recv");
        printf("server: FD_READ, \"%.*s\"\n", got, text + length);
        check(send(s, text, length + got, 0) == length + got, "send");
        break;
    case FD_CLOSE:
        check(closesocket(s) == 0, "closesocket");
        printf("server: FD_CLOSE, client %d\n", client_number);
        if (client_number < CLIENTS)
            start_client(window);
        else
            PostQuitMessage(EXIT_SUCCESS);
        break;
    }
}

static LRESULT CALLBACK window_procedure(HWND window, UINT message, WPARAM wparam, LPARAM lparam)
{
    if (message != WM_SERVER && message != WM_CLIENT)
        return DefWindowProc(window, message, wparam, lparam);

    /* wParam is the socket; lParam holds one event and its error code. */
    if (WSAGETSELECTERROR(lparam) != 0)
        fail("a connection", WSAGETSELECTERROR(lparam));
    if (message == WM_SERVER)
        on_server(window, (SOCKET)wparam, WSAGETSELECTEVENT(lparam));
    else
        on_client((SOCKET)wparam);
    return 0;
}

static HWND create_window(void)
{
    WNDCLASS window_class = {
        .lpfnWndProc = window_procedure,
        .hInstance = GetModuleHandle(NULL),
        .lpszClassName = TEXT("async_server"),
    };
    HWND window;

    check_window(RegisterClass(&window_class) != 0, "RegisterClass");
    window = CreateWindowEx(0, window_class.lpszClassName, TEXT(""), 0, 0, 0, 0, 0,
                            HWND_MESSAGE, NULL, window_class.hInstance, NULL);
    check_window(window != NULL, "CreateWindowEx");
    return window;
}

static SOCKET create_listener(HWND window)
{
    int size = sizeof server_address;
    struct sockaddr *address = (struct sockaddr *)&server_address;
    SOCKET s = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);

    check(s != INVALID_SOCKET, "socket");
    server_address.sin_family = AF_INET;
    server_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(bind(s, address, size) == 0, "bind");
    check(getsockname(s, address, &size) == 0, "getsockname");
    check(WSAAsyncSelect(s, window, WM_SERVER, FD_ACCEPT | FD_READ | FD_CLOSE) == 0,
          "WSAAsyncSelect");
    check(listen(s, CLIENTS) == 0, "listen");
    return s;
}

int main(void)
{
    WSADATA data;
    HWND window;
    SOCKET listener;
    MSG message;
    BOOL more;
    int error = WSAStartup(MAKEWORD(2, 2), &data);

    if (error != 0)
        fail("WSAStartup", error);
    window = create_window();
    listener = create_listener(window);
    start_client(window);

    while ((more = GetMessage(&message, NULL, 0, 0)) != 0) {
        check_window(more != -1, "GetMessage");
        DispatchMessage(&message);
    }
    printf("the message loop has ended with %d\n", (int)message.wParam);

    check(closesocket(listener) == 0, "closesocket");
    check_window(DestroyWindow(window), "DestroyWindow");
    check(WSACleanup() == 0, "WSACleanup");
    return EXIT_SUCCESS;
}
