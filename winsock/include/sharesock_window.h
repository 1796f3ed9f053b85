/* Windows that nobody sees, for the messages of WSAAsyncSelect and a program's own. Private; include windows.h. */
#ifndef SHARESOCK_WINDOW_H
#define SHARESOCK_WINDOW_H

#include "sharesock_wintypes.h"

SHARESOCK_BEGIN

/* What is called with each message that is dispatched or sent to a window. */
typedef LRESULT(CALLBACK *WNDPROC)(HWND window, UINT message, WPARAM w, LPARAM l);

/* A place on the screen; in messages it is 0, 0. */
typedef struct tagPOINT {
    LONG x;
    LONG y;
} POINT, *PPOINT, *LPPOINT;

/* A message. */
typedef struct tagMSG {
    HWND hwnd; /* NULL when it was posted to the thread */
    UINT message;
    WPARAM wParam;
    LPARAM lParam;
    DWORD time;
    POINT pt;
} MSG, *PMSG, *LPMSG;

/* A class of windows; of its members the procedure, cbWndExtra and the name count. */
typedef struct tagWNDCLASSA {
    UINT style;
    WNDPROC lpfnWndProc;
    int cbClsExtra;
    int cbWndExtra;
    HINSTANCE hInstance;
    HICON hIcon;
    HCURSOR hCursor;
    HBRUSH hbrBackground;
    LPCSTR lpszMenuName;
    LPCSTR lpszClassName;
} WNDCLASSA, *PWNDCLASSA, *LPWNDCLASSA;

typedef struct tagWNDCLASSW {
    UINT style;
    WNDPROC lpfnWndProc;
    int cbClsExtra;
    int cbWndExtra;
    HINSTANCE hInstance;
    HICON hIcon;
    HCURSOR hCursor;
    HBRUSH hbrBackground;
    LPCWSTR lpszMenuName;
    LPCWSTR lpszClassName;
} WNDCLASSW, *PWNDCLASSW, *LPWNDCLASSW;

/* The same with a size and a small icon, which do not count. */
typedef struct tagWNDCLASSEXA {
    UINT cbSize;
    UINT style;
    WNDPROC lpfnWndProc;
    int cbClsExtra;
    int cbWndExtra;
    HINSTANCE hInstance;
    HICON hIcon;
    HCURSOR hCursor;
    HBRUSH hbrBackground;
    LPCSTR lpszMenuName;
    LPCSTR lpszClassName;
    HICON hIconSm;
} WNDCLASSEXA, *PWNDCLASSEXA, *LPWNDCLASSEXA;

typedef struct tagWNDCLASSEXW {
    UINT cbSize;
    UINT style;
    WNDPROC lpfnWndProc;
    int cbClsExtra;
    int cbWndExtra;
    HINSTANCE hInstance;
    HICON hIcon;
    HCURSOR hCursor;
    HBRUSH hbrBackground;
    LPCWSTR lpszMenuName;
    LPCWSTR lpszClassName;
    HICON hIconSm;
} WNDCLASSEXW, *PWNDCLASSEXW, *LPWNDCLASSEXW;

/* What lParam of WM_NCCREATE and WM_CREATE points to: the arguments of CreateWindowEx. */
typedef struct tagCREATESTRUCTA {
    LPVOID lpCreateParams;
    HINSTANCE hInstance;
    HMENU hMenu;
    HWND hwndParent;
    int cy;
    int cx;
    int y;
    int x;
    LONG style;
    LPCSTR lpszName;
    LPCSTR lpszClass;
    DWORD dwExStyle;
} CREATESTRUCTA, *LPCREATESTRUCTA;

typedef struct tagCREATESTRUCTW {
    LPVOID lpCreateParams;
    HINSTANCE hInstance;
    HMENU hMenu;
    HWND hwndParent;
    int cy;
    int cx;
    int y;
    int x;
    LONG style;
    LPCWSTR lpszName;
    LPCWSTR lpszClass;
    DWORD dwExStyle;
} CREATESTRUCTW, *LPCREATESTRUCTW;

/* The parent of a window that is for messages alone, as all are here. */
#define HWND_MESSAGE ((HWND)(LONG_PTR)-3)

/* Registers a class for this process; its atom, or 0. */
ATOM RegisterClassA(const WNDCLASSA *window_class) SHARESOCK_NAME(RegisterClassA);
ATOM RegisterClassW(const WNDCLASSW *window_class) SHARESOCK_NAME(RegisterClassW);
ATOM RegisterClassExA(const WNDCLASSEXA *window_class) SHARESOCK_NAME(RegisterClassExA);
ATOM RegisterClassExW(const WNDCLASSEXW *window_class) SHARESOCK_NAME(RegisterClassExW);

/* Forgets a class that has no window. */
BOOL UnregisterClassA(LPCSTR name, HINSTANCE instance) SHARESOCK_NAME(UnregisterClassA);
BOOL UnregisterClassW(LPCWSTR name, HINSTANCE instance) SHARESOCK_NAME(UnregisterClassW);

/* Makes a window of this thread. Style, place, parent and menu are told to its procedure, and have no effect. */
HWND CreateWindowExA(DWORD extended_style, LPCSTR class_name, LPCSTR name, DWORD style, int x, int y, int width,
                     int height, HWND parent, HMENU menu, HINSTANCE instance, LPVOID parameter)
    SHARESOCK_NAME(CreateWindowExA);
HWND CreateWindowExW(DWORD extended_style, LPCWSTR class_name, LPCWSTR name, DWORD style, int x, int y, int width,
                     int height, HWND parent, HMENU menu, HINSTANCE instance, LPVOID parameter)
    SHARESOCK_NAME(CreateWindowExW);
#define CreateWindowA(class_name, name, style, x, y, width, height, parent, menu, instance, parameter) \
    CreateWindowExA(0, class_name, name, style, x, y, width, height, parent, menu, instance, parameter)
#define CreateWindowW(class_name, name, style, x, y, width, height, parent, menu, instance, parameter) \
    CreateWindowExW(0, class_name, name, style, x, y, width, height, parent, menu, instance, parameter)

/* Ends a window of this thread. */
BOOL DestroyWindow(HWND window) SHARESOCK_NAME(DestroyWindow);

/* Whether there is such a window in this process. */
BOOL IsWindow(HWND window) SHARESOCK_NAME(IsWindow);

/* Does what is to be done with a message that a procedure does not know: WM_CLOSE ends the window. */
LRESULT DefWindowProcA(HWND window, UINT message, WPARAM w, LPARAM l) SHARESOCK_NAME(DefWindowProcA);
LRESULT DefWindowProcW(HWND window, UINT message, WPARAM w, LPARAM l) SHARESOCK_NAME(DefWindowProcW);

/* Takes the next message of this thread, waiting for it: 0 for WM_QUIT, -1 when it fails. */
BOOL GetMessageA(LPMSG message, HWND window, UINT first, UINT last) SHARESOCK_NAME(GetMessageA);
BOOL GetMessageW(LPMSG message, HWND window, UINT first, UINT last) SHARESOCK_NAME(GetMessageW);

/* Takes the next message or looks at it, if there is one now. */
BOOL PeekMessageA(LPMSG message, HWND window, UINT first, UINT last, UINT how) SHARESOCK_NAME(PeekMessageA);
BOOL PeekMessageW(LPMSG message, HWND window, UINT first, UINT last, UINT how) SHARESOCK_NAME(PeekMessageW);

/* Does nothing: there is no keyboard. */
BOOL TranslateMessage(const MSG *message) SHARESOCK_NAME(TranslateMessage);

/* Calls the procedure of the window that a message is for. */
LRESULT DispatchMessageA(const MSG *message) SHARESOCK_NAME(DispatchMessageA);
LRESULT DispatchMessageW(const MSG *message) SHARESOCK_NAME(DispatchMessageW);

/* Posts a message to a window of this process, or to this thread with NULL. Numbers go up to 0xffff. */
BOOL PostMessageA(HWND window, UINT message, WPARAM w, LPARAM l) SHARESOCK_NAME(PostMessageA);
BOOL PostMessageW(HWND window, UINT message, WPARAM w, LPARAM l) SHARESOCK_NAME(PostMessageW);

/* Calls the procedure of a window of this thread. One of another thread cannot be sent to (ERROR_NOT_SUPPORTED). */
LRESULT SendMessageA(HWND window, UINT message, WPARAM w, LPARAM l) SHARESOCK_NAME(SendMessageA);
LRESULT SendMessageW(HWND window, UINT message, WPARAM w, LPARAM l) SHARESOCK_NAME(SendMessageW);

/* Posts a message to a thread of this process that has used messages before. */
BOOL PostThreadMessageA(DWORD thread, UINT message, WPARAM w, LPARAM l) SHARESOCK_NAME(PostThreadMessageA);
BOOL PostThreadMessageW(DWORD thread, UINT message, WPARAM w, LPARAM l) SHARESOCK_NAME(PostThreadMessageW);

/* Gives this thread WM_QUIT, once there is no other message. */
void PostQuitMessage(int code) SHARESOCK_NAME(PostQuitMessage);

/* The number of a message by its name. It is the same for the same name in this process, and in no other. */
UINT RegisterWindowMessageA(LPCSTR name) SHARESOCK_NAME(RegisterWindowMessageA);
UINT RegisterWindowMessageW(LPCWSTR name) SHARESOCK_NAME(RegisterWindowMessageW);

/* A value kept with a window: GWLP_USERDATA, GWLP_WNDPROC, or an offset into its cbWndExtra bytes. */
LONG_PTR GetWindowLongPtrA(HWND window, int index) SHARESOCK_NAME(GetWindowLongPtrA);
LONG_PTR GetWindowLongPtrW(HWND window, int index) SHARESOCK_NAME(GetWindowLongPtrW);

/* Changes such a value; what it was before. */
LONG_PTR SetWindowLongPtrA(HWND window, int index, LONG_PTR value) SHARESOCK_NAME(SetWindowLongPtrA);
LONG_PTR SetWindowLongPtrW(HWND window, int index, LONG_PTR value) SHARESOCK_NAME(SetWindowLongPtrW);

SHARESOCK_END

#ifdef UNICODE
typedef WNDCLASSW WNDCLASS, *PWNDCLASS, *LPWNDCLASS;
typedef WNDCLASSEXW WNDCLASSEX, *PWNDCLASSEX, *LPWNDCLASSEX;
typedef CREATESTRUCTW CREATESTRUCT, *LPCREATESTRUCT;
#define RegisterClass RegisterClassW
#define RegisterClassEx RegisterClassExW
#define UnregisterClass UnregisterClassW
#define CreateWindow CreateWindowW
#define CreateWindowEx CreateWindowExW
#define DefWindowProc DefWindowProcW
#define GetMessage GetMessageW
#define PeekMessage PeekMessageW
#define DispatchMessage DispatchMessageW
#define PostMessage PostMessageW
#define SendMessage SendMessageW
#define PostThreadMessage PostThreadMessageW
#define RegisterWindowMessage RegisterWindowMessageW
#define GetWindowLongPtr GetWindowLongPtrW
#define SetWindowLongPtr SetWindowLongPtrW
#else
typedef WNDCLASSA WNDCLASS, *PWNDCLASS, *LPWNDCLASS;
typedef WNDCLASSEXA WNDCLASSEX, *PWNDCLASSEX, *LPWNDCLASSEX;
typedef CREATESTRUCTA CREATESTRUCT, *LPCREATESTRUCT;
#define RegisterClass RegisterClassA
#define RegisterClassEx RegisterClassExA
#define UnregisterClass UnregisterClassA
#define CreateWindow CreateWindowA
#define CreateWindowEx CreateWindowExA
#define DefWindowProc DefWindowProcA
#define GetMessage GetMessageA
#define PeekMessage PeekMessageA
#define DispatchMessage DispatchMessageA
#define PostMessage PostMessageA
#define SendMessage SendMessageA
#define PostThreadMessage PostThreadMessageA
#define RegisterWindowMessage RegisterWindowMessageA
#define GetWindowLongPtr GetWindowLongPtrA
#define SetWindowLongPtr SetWindowLongPtrA
#endif

SHARESOCK_SIZE(MSG, 48);
SHARESOCK_OFFSET(MSG, wParam, 16);
SHARESOCK_OFFSET(MSG, time, 32);
SHARESOCK_OFFSET(MSG, pt, 36);
SHARESOCK_SIZE(WNDCLASSA, 72);
SHARESOCK_SIZE(WNDCLASSW, 72);
SHARESOCK_OFFSET(WNDCLASSA, lpszClassName, 64);
SHARESOCK_SIZE(WNDCLASSEXA, 80);
SHARESOCK_SIZE(WNDCLASSEXW, 80);
SHARESOCK_OFFSET(WNDCLASSEXA, lpszClassName, 64);
SHARESOCK_SIZE(CREATESTRUCTA, 80);
SHARESOCK_SIZE(CREATESTRUCTW, 80);
SHARESOCK_OFFSET(CREATESTRUCTA, lpszName, 56);

#endif
