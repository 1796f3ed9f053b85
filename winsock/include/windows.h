/* The part of Windows that Winsock programs use: event objects, waiting, windows for messages, and small things. As on
 * Windows this brings Winsock along, unless WIN32_LEAN_AND_MEAN is defined. */
#ifndef SHARESOCK_WINDOWS_H
#define SHARESOCK_WINDOWS_H

#include "sharesock_base.h"
#include "sharesock_wintypes.h"
#include "sharesock_wincodes.h"
#include "sharesock_window.h"

SHARESOCK_BEGIN

/* The code of the last failure in this thread. It is WSAGetLastError's, too; a call that succeeds may leave it. */
DWORD GetLastError(void) SHARESOCK_NAME(GetLastError);

/* Sets that code. */
void SetLastError(DWORD code) SHARESOCK_NAME(SetLastError);

/* Makes an event object, without a name: those with one are refused (ERROR_NOT_SUPPORTED). */
HANDLE CreateEventA(LPSECURITY_ATTRIBUTES security, BOOL manual_reset, BOOL set, LPCSTR name)
    SHARESOCK_NAME(CreateEventA);
HANDLE CreateEventW(LPSECURITY_ATTRIBUTES security, BOOL manual_reset, BOOL set, LPCWSTR name)
    SHARESOCK_NAME(CreateEventW);

/* Sets an event object. */
BOOL SetEvent(HANDLE event) SHARESOCK_NAME(SetEvent);

/* Resets an event object. */
BOOL ResetEvent(HANDLE event) SHARESOCK_NAME(ResetEvent);

/* Closes an event object; also a socket, as on Windows. */
BOOL CloseHandle(HANDLE handle) SHARESOCK_NAME(CloseHandle);

/* Waits for an event object. There are no other objects. */
DWORD WaitForSingleObject(HANDLE handle, DWORD milliseconds) SHARESOCK_NAME(WaitForSingleObject);

/* Waits for one of up to MAXIMUM_WAIT_OBJECTS event objects, or for all of them. */
DWORD WaitForMultipleObjects(DWORD count, const HANDLE *handles, BOOL all, DWORD milliseconds)
    SHARESOCK_NAME(WaitForMultipleObjects);

/* Waits for event objects or a message of this thread. A message that is there already counts, new or not. */
DWORD MsgWaitForMultipleObjects(DWORD count, const HANDLE *handles, BOOL all, DWORD milliseconds, DWORD wake_mask)
    SHARESOCK_NAME(MsgWaitForMultipleObjects);

/* The process id, which is Linux's. */
DWORD GetCurrentProcessId(void) SHARESOCK_NAME(GetCurrentProcessId);

/* The thread id, which is Linux's. */
DWORD GetCurrentThreadId(void) SHARESOCK_NAME(GetCurrentThreadId);

/* Milliseconds, from some moment on; these come round after 49 days. */
DWORD GetTickCount(void) SHARESOCK_NAME(GetTickCount);

/* Milliseconds that do not come round. */
ULONGLONG GetTickCount64(void) SHARESOCK_NAME(GetTickCount64);

/* Sleeps; for ever with INFINITE. */
void Sleep(DWORD milliseconds) SHARESOCK_NAME(Sleep);

/* A value for WNDCLASS.hInstance, which is the same for all names and stands for nothing. */
HMODULE GetModuleHandleA(LPCSTR name) SHARESOCK_NAME(GetModuleHandleA);
HMODULE GetModuleHandleW(LPCWSTR name) SHARESOCK_NAME(GetModuleHandleW);

SHARESOCK_END

#ifdef UNICODE
#define CreateEvent CreateEventW
#define GetModuleHandle GetModuleHandleW
#else
#define CreateEvent CreateEventA
#define GetModuleHandle GetModuleHandleA
#endif

#ifndef WIN32_LEAN_AND_MEAN
#include "winsock2.h"
#endif

#endif
