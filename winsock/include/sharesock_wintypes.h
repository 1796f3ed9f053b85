/* Windows' basic types. long has 32 bits there and 64 here: LONG, ULONG and DWORD are int and unsigned int. Private;
 * include windows.h. */
#ifndef SHARESOCK_WINTYPES_H
#define SHARESOCK_WINTYPES_H

#include "sharesock_base.h"

/* Calling conventions: there is one. */
#define WINAPI
#define APIENTRY
#define CALLBACK
#define PASCAL
#define FAR
#define NEAR
#define WINAPIV
#define CONST const

#ifndef VOID
#define VOID void
#endif
#ifndef FALSE
#define FALSE 0
#endif
#ifndef TRUE
#define TRUE 1
#endif

typedef char CHAR, *PCHAR, *LPCH, *PCH, *PSTR, *LPSTR, *NPSTR;
typedef const char *LPCCH, *PCCH, *PCSTR, *LPCSTR;
typedef signed char INT8;
typedef unsigned char UCHAR, *PUCHAR, BYTE, *PBYTE, *LPBYTE, BOOLEAN, *PBOOLEAN, UINT8;
typedef short SHORT, *PSHORT, INT16;
typedef unsigned short USHORT, *PUSHORT, WORD, *PWORD, *LPWORD, UINT16, ATOM;
typedef int INT, *PINT, *LPINT, BOOL, *PBOOL, *LPBOOL, LONG, *PLONG, *LPLONG, INT32, LONG32, HRESULT;
typedef unsigned int UINT, *PUINT, ULONG, *PULONG, DWORD, *PDWORD, *LPDWORD, UINT32, ULONG32, DWORD32, LCID;
typedef long long LONGLONG, *PLONGLONG, INT64, LONG64;
typedef unsigned long long ULONGLONG, *PULONGLONG, DWORDLONG, UINT64, ULONG64, DWORD64;
typedef float FLOAT;
typedef double DOUBLE;

/* As wide as a pointer. */
typedef long INT_PTR, *PINT_PTR, LONG_PTR, *PLONG_PTR, SSIZE_T, LPARAM, LRESULT;
typedef unsigned long UINT_PTR, *PUINT_PTR, ULONG_PTR, *PULONG_PTR, DWORD_PTR, *PDWORD_PTR, SIZE_T, *PSIZE_T, WPARAM;

typedef void *PVOID, *LPVOID;
typedef const void *LPCVOID;

/* 16 bits. Without the compiler's -fshort-wchar, wchar_t has 32 here: L"..." is then no text for a W function, and
 * programs that define UNICODE need that option. */
#if defined __SIZEOF_WCHAR_T__ && __SIZEOF_WCHAR_T__ == 2
typedef wchar_t WCHAR;
#else
typedef unsigned short WCHAR;
#endif
typedef WCHAR *PWCHAR, *LPWCH, *PWCH, *PWSTR, *LPWSTR, *NWPSTR;
typedef const WCHAR *LPCWCH, *PCWCH, *PCWSTR, *LPCWSTR;

#ifdef UNICODE
typedef WCHAR TCHAR, *PTCHAR;
typedef LPWSTR LPTSTR, PTSTR;
typedef LPCWSTR LPCTSTR, PCTSTR;
#define TEXT(quote) L##quote
#else
typedef char TCHAR, *PTCHAR;
typedef LPSTR LPTSTR, PTSTR;
typedef LPCSTR LPCTSTR, PCTSTR;
#define TEXT(quote) quote
#endif

/* Handles: numbers in the guise of pointers. They are good in the process that made them. */
typedef void *HANDLE, **PHANDLE, **LPHANDLE;
typedef void *HGLOBAL, *HLOCAL, *HGDIOBJ;
#define DECLARE_HANDLE(name) typedef struct name##__ *name
DECLARE_HANDLE(HWND);
DECLARE_HANDLE(HINSTANCE);
DECLARE_HANDLE(HICON);
DECLARE_HANDLE(HBRUSH);
DECLARE_HANDLE(HMENU);
typedef HICON HCURSOR;
typedef HINSTANCE HMODULE;
#define INVALID_HANDLE_VALUE ((HANDLE)(LONG_PTR)-1)

/* A globally unique identifier. */
#ifndef GUID_DEFINED
#define GUID_DEFINED
typedef struct _GUID {
    DWORD Data1;
    WORD Data2;
    WORD Data3;
    BYTE Data4[8];
} GUID, *LPGUID;
#endif

/* A number of 64 bits in two halves. */
typedef union _LARGE_INTEGER {
    __extension__ struct {
        DWORD LowPart;
        LONG HighPart;
    };
    struct {
        DWORD LowPart;
        LONG HighPart;
    } u;
    LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER;

/* Taken by CreateEvent, and not looked at: handles are never inherited, and objects have no access lists. */
typedef struct _SECURITY_ATTRIBUTES {
    DWORD nLength;
    LPVOID lpSecurityDescriptor;
    BOOL bInheritHandle;
} SECURITY_ATTRIBUTES, *PSECURITY_ATTRIBUTES, *LPSECURITY_ATTRIBUTES;

/* Of an overlapped operation. None is to be had here: functions that take one want NULL. */
typedef struct _OVERLAPPED {
    ULONG_PTR Internal;
    ULONG_PTR InternalHigh;
    __extension__ union {
        __extension__ struct {
            DWORD Offset;
            DWORD OffsetHigh;
        };
        PVOID Pointer;
    };
    HANDLE hEvent;
} OVERLAPPED, *LPOVERLAPPED;

/* Parts of numbers, and numbers of parts. */
#define MAKEWORD(low, high) ((WORD)(((DWORD_PTR)(low) & 0xff) | ((DWORD_PTR)(high) & 0xff) << 8))
#define MAKELONG(low, high) ((LONG)(((DWORD_PTR)(low) & 0xffff) | ((DWORD_PTR)(high) & 0xffff) << 16))
#define LOWORD(number) ((WORD)((DWORD_PTR)(number) & 0xffff))
#define HIWORD(number) ((WORD)((DWORD_PTR)(number) >> 16 & 0xffff))
#define LOBYTE(number) ((BYTE)((DWORD_PTR)(number) & 0xff))
#define HIBYTE(number) ((BYTE)((DWORD_PTR)(number) >> 8 & 0xff))
#define MAKEWPARAM(low, high) ((WPARAM)(DWORD)MAKELONG(low, high))
#define MAKELPARAM(low, high) ((LPARAM)(DWORD)MAKELONG(low, high))
#define MAKELRESULT(low, high) ((LRESULT)(DWORD)MAKELONG(low, high))
#define MAKEINTATOM(number) ((LPTSTR)(ULONG_PTR)(WORD)(number))

#define UNREFERENCED_PARAMETER(name) ((void)(name))
#define ZeroMemory(to, length) __builtin_memset((to), 0, (length))
#define FillMemory(to, length, byte) __builtin_memset((to), (byte), (length))
#define CopyMemory(to, from, length) __builtin_memcpy((to), (from), (length))
#define MoveMemory(to, from, length) __builtin_memmove((to), (from), (length))

/* In C++, std::min and std::max do. */
#if !defined NOMINMAX && !defined __cplusplus
#ifndef max
#define max(a, b) ((a) > (b) ? (a) : (b))
#endif
#ifndef min
#define min(a, b) ((a) < (b) ? (a) : (b))
#endif
#endif

SHARESOCK_SIZE(DWORD, 4);
SHARESOCK_SIZE(LONG, 4);
SHARESOCK_SIZE(WCHAR, 2);
SHARESOCK_SIZE(WPARAM, 8);
SHARESOCK_SIZE(GUID, 16);
SHARESOCK_SIZE(LARGE_INTEGER, 8);
SHARESOCK_SIZE(SECURITY_ATTRIBUTES, 24);
SHARESOCK_SIZE(OVERLAPPED, 32);
SHARESOCK_OFFSET(OVERLAPPED, hEvent, 24);

#endif
