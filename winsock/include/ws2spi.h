/* The interface of service providers: WSPStartup, and the table of procedures that it fills. There is one provider,
 * which is the library itself. Its procedures take and give what the functions of winsock2.h do, and leave their code
 * in the last argument, not in WSAGetLastError. */
#ifndef SHARESOCK_WS2SPI_H
#define SHARESOCK_WS2SPI_H

#include "winsock2.h"

#define WSPAPI
#define WSPDESCRIPTION_LEN 255

/* What WSPStartup tells. */
typedef struct WSPData {
    WORD wVersion;
    WORD wHighVersion;
    WCHAR szDescription[WSPDESCRIPTION_LEN + 1];
} WSPDATA, *LPWSPDATA;

/* A thread for completion routines, which are not called here: NULL will do. */
typedef struct _WSATHREADID {
    HANDLE ThreadHandle;
    DWORD_PTR Reserved;
} WSATHREADID, *LPWSATHREADID;

/* Functions that a program gives a provider: a blocking hook, and one that a thread runs when it waits. Neither is
 * called. */
typedef BOOL(CALLBACK *LPBLOCKINGCALLBACK)(DWORD_PTR context);
typedef VOID(CALLBACK *LPWSAUSERAPC)(DWORD_PTR context);

/* What a provider may call back. This one calls none of them: its sockets are its own handles. */
typedef BOOL(WSPAPI *LPWPUCLOSEEVENT)(WSAEVENT event, LPINT code);
typedef int(WSPAPI *LPWPUCLOSESOCKETHANDLE)(SOCKET s, LPINT code);
typedef WSAEVENT(WSPAPI *LPWPUCREATEEVENT)(LPINT code);
typedef SOCKET(WSPAPI *LPWPUCREATESOCKETHANDLE)(DWORD entry, DWORD_PTR context, LPINT code);
typedef int(WSPAPI *LPWPUFDISSET)(SOCKET s, fd_set *set);
typedef int(WSPAPI *LPWPUGETPROVIDERPATH)(LPGUID provider, WCHAR *path, LPINT length, LPINT code);
typedef SOCKET(WSPAPI *LPWPUMODIFYIFSHANDLE)(DWORD entry, SOCKET proposed, LPINT code);
typedef BOOL(WSPAPI *LPWPUPOSTMESSAGE)(HWND window, UINT message, WPARAM w, LPARAM l);
typedef int(WSPAPI *LPWPUQUERYBLOCKINGCALLBACK)(DWORD entry, LPBLOCKINGCALLBACK *callback, PDWORD_PTR context,
                                                LPINT code);
typedef int(WSPAPI *LPWPUQUERYSOCKETHANDLECONTEXT)(SOCKET s, PDWORD_PTR context, LPINT code);
typedef int(WSPAPI *LPWPUQUEUEAPC)(LPWSATHREADID thread, LPWSAUSERAPC routine, DWORD_PTR context, LPINT code);
typedef BOOL(WSPAPI *LPWPURESETEVENT)(WSAEVENT event, LPINT code);
typedef BOOL(WSPAPI *LPWPUSETEVENT)(WSAEVENT event, LPINT code);
typedef int(WSPAPI *LPWPUOPENCURRENTTHREAD)(LPWSATHREADID thread, LPINT code);
typedef int(WSPAPI *LPWPUCLOSETHREAD)(LPWSATHREADID thread, LPINT code);

typedef struct _WSPUPCALLTABLE {
    LPWPUCLOSEEVENT lpWPUCloseEvent;
    LPWPUCLOSESOCKETHANDLE lpWPUCloseSocketHandle;
    LPWPUCREATEEVENT lpWPUCreateEvent;
    LPWPUCREATESOCKETHANDLE lpWPUCreateSocketHandle;
    LPWPUFDISSET lpWPUFDIsSet;
    LPWPUGETPROVIDERPATH lpWPUGetProviderPath;
    LPWPUMODIFYIFSHANDLE lpWPUModifyIFSHandle;
    LPWPUPOSTMESSAGE lpWPUPostMessage;
    LPWPUQUERYBLOCKINGCALLBACK lpWPUQueryBlockingCallback;
    LPWPUQUERYSOCKETHANDLECONTEXT lpWPUQuerySocketHandleContext;
    LPWPUQUEUEAPC lpWPUQueueApc;
    LPWPURESETEVENT lpWPUResetEvent;
    LPWPUSETEVENT lpWPUSetEvent;
    LPWPUOPENCURRENTTHREAD lpWPUOpenCurrentThread;
    LPWPUCLOSETHREAD lpWPUCloseThread;
} WSPUPCALLTABLE, *LPWSPUPCALLTABLE;

/* The procedures of a provider. */

/* WSPAccept: the next connection, if the condition wants it. */
typedef SOCKET(WSPAPI *LPWSPACCEPT)(SOCKET s, struct sockaddr *name, LPINT name_length, LPCONDITIONPROC condition,
                                    DWORD_PTR data, LPINT code);

/* WSPAddressToString: the text of an address. */
typedef INT(WSPAPI *LPWSPADDRESSTOSTRING)(LPSOCKADDR address, DWORD address_length, LPWSAPROTOCOL_INFOW info,
                                          LPWSTR text, LPDWORD length, LPINT code);

/* WSPAsyncSelect: events by messages. */
typedef int(WSPAPI *LPWSPASYNCSELECT)(SOCKET s, HWND window, unsigned int message, LONG events, LPINT code);

/* WSPBind: an address. */
typedef int(WSPAPI *LPWSPBIND)(SOCKET s, const struct sockaddr *name, int name_length, LPINT code);

/* WSPCancelBlockingCall: WSAEINVAL: there are no blocking hooks. */
typedef int(WSPAPI *LPWSPCANCELBLOCKINGCALL)(LPINT code);

/* WSPCleanup: the end of the provider's use; also of WSAStartup's, with which it is counted. */
typedef int(WSPAPI *LPWSPCLEANUP)(LPINT code);

/* WSPCloseSocket: the end of a descriptor. */
typedef int(WSPAPI *LPWSPCLOSESOCKET)(SOCKET s, LPINT code);

/* WSPConnect: a connection; data and quality of service are not sent. */
typedef int(WSPAPI *LPWSPCONNECT)(SOCKET s, const struct sockaddr *name, int name_length, LPWSABUF caller_data,
                                  LPWSABUF callee_data, LPQOS quality, LPQOS group_quality, LPINT code);

/* WSPDuplicateSocket: a protocol info by which another process has the socket. */
typedef int(WSPAPI *LPWSPDUPLICATESOCKET)(SOCKET s, DWORD process_id, LPWSAPROTOCOL_INFOW info, LPINT code);

/* WSPEnumNetworkEvents: what has occurred. */
typedef int(WSPAPI *LPWSPENUMNETWORKEVENTS)(SOCKET s, WSAEVENT event, LPWSANETWORKEVENTS occurred, LPINT code);

/* WSPEventSelect: events by an event object. */
typedef int(WSPAPI *LPWSPEVENTSELECT)(SOCKET s, WSAEVENT event, LONG events, LPINT code);

/* WSPGetOverlappedResult: WSAEOPNOTSUPP: no operation is overlapped. */
typedef BOOL(WSPAPI *LPWSPGETOVERLAPPEDRESULT)(SOCKET s, LPWSAOVERLAPPED overlapped, LPDWORD transferred, BOOL wait,
                                               LPDWORD flags, LPINT code);

/* WSPGetPeerName: the peer's address. */
typedef int(WSPAPI *LPWSPGETPEERNAME)(SOCKET s, struct sockaddr *name, LPINT name_length, LPINT code);

/* WSPGetSockName: the socket's own address. */
typedef int(WSPAPI *LPWSPGETSOCKNAME)(SOCKET s, struct sockaddr *name, LPINT name_length, LPINT code);

/* WSPGetSockOpt: an option. */
typedef int(WSPAPI *LPWSPGETSOCKOPT)(SOCKET s, int level, int name, char *value, LPINT length, LPINT code);

/* WSPGetQOSByName: WSAEOPNOTSUPP: there is no quality of service. */
typedef BOOL(WSPAPI *LPWSPGETQOSBYNAME)(SOCKET s, LPWSABUF name, LPQOS quality, LPINT code);

/* WSPIoctl: what WSAIoctl does. */
typedef int(WSPAPI *LPWSPIOCTL)(SOCKET s, DWORD command, LPVOID in, DWORD in_length, LPVOID out, DWORD out_length,
                                LPDWORD returned, LPWSAOVERLAPPED overlapped,
                                LPWSAOVERLAPPED_COMPLETION_ROUTINE completion, LPWSATHREADID thread, LPINT code);

/* WSPJoinLeaf: WSAEOPNOTSUPP: there is no multipoint. */
typedef SOCKET(WSPAPI *LPWSPJOINLEAF)(SOCKET s, const struct sockaddr *name, int name_length, LPWSABUF caller_data,
                                      LPWSABUF callee_data, LPQOS quality, LPQOS group_quality, DWORD flags,
                                      LPINT code);

/* WSPListen: waiting for connections. */
typedef int(WSPAPI *LPWSPLISTEN)(SOCKET s, int backlog, LPINT code);

/* WSPRecv: receiving. */
typedef int(WSPAPI *LPWSPRECV)(SOCKET s, LPWSABUF buffers, DWORD count, LPDWORD received, LPDWORD flags,
                               LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE completion,
                               LPWSATHREADID thread, LPINT code);

/* WSPRecvDisconnect: the end of receiving. */
typedef int(WSPAPI *LPWSPRECVDISCONNECT)(SOCKET s, LPWSABUF data, LPINT code);

/* WSPRecvFrom: receiving, and from where. */
typedef int(WSPAPI *LPWSPRECVFROM)(SOCKET s, LPWSABUF buffers, DWORD count, LPDWORD received, LPDWORD flags,
                                   struct sockaddr *from, LPINT from_length, LPWSAOVERLAPPED overlapped,
                                   LPWSAOVERLAPPED_COMPLETION_ROUTINE completion, LPWSATHREADID thread, LPINT code);

/* WSPSelect: waiting until sockets are ready. */
typedef int(WSPAPI *LPWSPSELECT)(int ignored, fd_set *read, fd_set *write, fd_set *except,
                                 const struct timeval *timeout, LPINT code);

/* WSPSend: sending. */
typedef int(WSPAPI *LPWSPSEND)(SOCKET s, LPWSABUF buffers, DWORD count, LPDWORD sent, DWORD flags,
                               LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE completion,
                               LPWSATHREADID thread, LPINT code);

/* WSPSendDisconnect: the end of sending. */
typedef int(WSPAPI *LPWSPSENDDISCONNECT)(SOCKET s, LPWSABUF data, LPINT code);

/* WSPSendTo: sending to an address. */
typedef int(WSPAPI *LPWSPSENDTO)(SOCKET s, LPWSABUF buffers, DWORD count, LPDWORD sent, DWORD flags,
                                 const struct sockaddr *to, int to_length, LPWSAOVERLAPPED overlapped,
                                 LPWSAOVERLAPPED_COMPLETION_ROUTINE completion, LPWSATHREADID thread, LPINT code);

/* WSPSetSockOpt: an option. */
typedef int(WSPAPI *LPWSPSETSOCKOPT)(SOCKET s, int level, int name, const char *value, int length, LPINT code);

/* WSPShutdown: the end of one or both directions. */
typedef int(WSPAPI *LPWSPSHUTDOWN)(SOCKET s, int how, LPINT code);

/* WSPSocket: a new socket, or one more descriptor of one that was duplicated. */
typedef SOCKET(WSPAPI *LPWSPSOCKET)(int family, int type, int protocol, LPWSAPROTOCOL_INFOW info, GROUP group,
                                    DWORD flags, LPINT code);

/* WSPStringToAddress: an address from text. */
typedef INT(WSPAPI *LPWSPSTRINGTOADDRESS)(LPWSTR text, INT family, LPWSAPROTOCOL_INFOW info, LPSOCKADDR address,
                                          LPINT length, LPINT code);

/* The table: 30 procedures, in this order. */
typedef struct _WSPPROC_TABLE {
    LPWSPACCEPT lpWSPAccept;
    LPWSPADDRESSTOSTRING lpWSPAddressToString;
    LPWSPASYNCSELECT lpWSPAsyncSelect;
    LPWSPBIND lpWSPBind;
    LPWSPCANCELBLOCKINGCALL lpWSPCancelBlockingCall;
    LPWSPCLEANUP lpWSPCleanup;
    LPWSPCLOSESOCKET lpWSPCloseSocket;
    LPWSPCONNECT lpWSPConnect;
    LPWSPDUPLICATESOCKET lpWSPDuplicateSocket;
    LPWSPENUMNETWORKEVENTS lpWSPEnumNetworkEvents;
    LPWSPEVENTSELECT lpWSPEventSelect;
    LPWSPGETOVERLAPPEDRESULT lpWSPGetOverlappedResult;
    LPWSPGETPEERNAME lpWSPGetPeerName;
    LPWSPGETSOCKNAME lpWSPGetSockName;
    LPWSPGETSOCKOPT lpWSPGetSockOpt;
    LPWSPGETQOSBYNAME lpWSPGetQOSByName;
    LPWSPIOCTL lpWSPIoctl;
    LPWSPJOINLEAF lpWSPJoinLeaf;
    LPWSPLISTEN lpWSPListen;
    LPWSPRECV lpWSPRecv;
    LPWSPRECVDISCONNECT lpWSPRecvDisconnect;
    LPWSPRECVFROM lpWSPRecvFrom;
    LPWSPSELECT lpWSPSelect;
    LPWSPSEND lpWSPSend;
    LPWSPSENDDISCONNECT lpWSPSendDisconnect;
    LPWSPSENDTO lpWSPSendTo;
    LPWSPSETSOCKOPT lpWSPSetSockOpt;
    LPWSPSHUTDOWN lpWSPShutdown;
    LPWSPSOCKET lpWSPSocket;
    LPWSPSTRINGTOADDRESS lpWSPStringToAddress;
} WSPPROC_TABLE, *LPWSPPROC_TABLE;

/* The type of WSPStartup. */
typedef int(WSPAPI *LPWSPSTARTUP)(WORD version, LPWSPDATA data, LPWSAPROTOCOL_INFOW info, WSPUPCALLTABLE upcalls,
                                  LPWSPPROC_TABLE table);

SHARESOCK_BEGIN

/* Fills the table. Returns its code. The info and the upcalls are not looked at; version 1 is WSAVERNOTSUPPORTED. */
int WSPStartup(WORD version, LPWSPDATA data, LPWSAPROTOCOL_INFOW info, WSPUPCALLTABLE upcalls, LPWSPPROC_TABLE table);

SHARESOCK_END

SHARESOCK_SIZE(WSPDATA, 516);
SHARESOCK_SIZE(WSATHREADID, 16);
SHARESOCK_SIZE(WSPUPCALLTABLE, 120);
SHARESOCK_OFFSET(WSPUPCALLTABLE, lpWPUModifyIFSHandle, 48);
SHARESOCK_SIZE(WSPPROC_TABLE, 240);
SHARESOCK_OFFSET(WSPPROC_TABLE, lpWSPSocket, 224);

#endif
