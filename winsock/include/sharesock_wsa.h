/* Winsock's own functions. Private; include winsock2.h. */
#ifndef SHARESOCK_WSA_H
#define SHARESOCK_WSA_H

#include "sharesock_sockets.h"

SHARESOCK_BEGIN

/* Starts the use of Winsock in this process, of version 1.0 to 2.2. Returns its code. */
int WSAStartup(WORD version, LPWSADATA data);

/* Ends it, when it has been called as often as WSAStartup: all sockets of this process are closed. */
int WSACleanup(void);

/* The code of the last failure in this thread. It is GetLastError's, too. */
int WSAGetLastError(void);

/* Sets that code. */
void WSASetLastError(int code);

/* FALSE: there are no blocking hooks. */
BOOL WSAIsBlocking(void);

/* WSAEINVAL, for the same reason. Closing a socket's handle ends what waits for it in this process. */
int WSACancelBlockingCall(void);

/* Makes a socket, or redeems a protocol info from WSADuplicateSocket, once and only in the process it is for. */
SOCKET WSASocketA(int family, int type, int protocol, LPWSAPROTOCOL_INFOA info, GROUP group, DWORD flags);
SOCKET WSASocketW(int family, int type, int protocol, LPWSAPROTOCOL_INFOW info, GROUP group, DWORD flags);

/* Makes a protocol info by which another process (or this one) gets one more descriptor of a socket. The socket may be
 * closed at once. Processes of one user, or of those who share a domain, can do this. */
int WSADuplicateSocketA(SOCKET s, DWORD process_id, LPWSAPROTOCOL_INFOA info);
int WSADuplicateSocketW(SOCKET s, DWORD process_id, LPWSAPROTOCOL_INFOW info);

/* Takes the next connection if the condition wants it. Linux has answered the peer before: one that is rejected is
 * reset, and one that is deferred waits in this process alone. */
SOCKET WSAAccept(SOCKET s, struct sockaddr *name, LPINT name_length, LPCONDITIONPROC condition, DWORD_PTR data);

/* Connects. Data and quality of service are not sent. */
int WSAConnect(SOCKET s, const struct sockaddr *name, int name_length, LPWSABUF caller_data, LPWSABUF callee_data,
               LPQOS quality, LPQOS group_quality);

/* Sends the bytes of up to 1024 buffers. */
int WSASend(SOCKET s, LPWSABUF buffers, DWORD count, LPDWORD sent, DWORD flags, LPWSAOVERLAPPED overlapped,
            LPWSAOVERLAPPED_COMPLETION_ROUTINE completion);

/* The same, to an address. */
int WSASendTo(SOCKET s, LPWSABUF buffers, DWORD count, LPDWORD sent, DWORD flags, const struct sockaddr *to,
              int to_length, LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE completion);

/* Receives into up to 1024 buffers. */
int WSARecv(SOCKET s, LPWSABUF buffers, DWORD count, LPDWORD received, LPDWORD flags, LPWSAOVERLAPPED overlapped,
            LPWSAOVERLAPPED_COMPLETION_ROUTINE completion);

/* The same, and tells from where. */
int WSARecvFrom(SOCKET s, LPWSABUF buffers, DWORD count, LPDWORD received, LPDWORD flags, struct sockaddr *from,
                LPINT from_length, LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE completion);

/* Ends sending. No protocol here sends data with it. */
int WSASendDisconnect(SOCKET s, LPWSABUF data);

/* Ends receiving. */
int WSARecvDisconnect(SOCKET s, LPWSABUF data);

/* WSAEOPNOTSUPP: no operation is overlapped. */
BOOL WSAGetOverlappedResult(SOCKET s, LPWSAOVERLAPPED overlapped, LPDWORD transferred, BOOL wait, LPDWORD flags);

/* FIONBIO, FIONREAD, SIOCATMARK, SIO_ADDRESS_LIST_CHANGE, SIO_KEEPALIVE_VALS and SIO_UDP_CONNRESET. */
int WSAIoctl(SOCKET s, DWORD command, LPVOID in, DWORD in_length, LPVOID out, DWORD out_length, LPDWORD returned,
             LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE completion);

/* Waits until a socket is ready for what is asked, for so many milliseconds, or for ever when negative. */
int WSAPoll(LPWSAPOLLFD sockets, ULONG count, INT timeout);

/* The catalog of protocols: TCP, UDP and raw, of versions 4 and 6. */
int WSAEnumProtocolsA(LPINT protocols, LPWSAPROTOCOL_INFOA infos, LPDWORD length);
int WSAEnumProtocolsW(LPINT protocols, LPWSAPROTOCOL_INFOW infos, LPDWORD length);

/* Makes an event object that is reset by hand, and not set. */
WSAEVENT WSACreateEvent(void);

/* Closes an event object. */
BOOL WSACloseEvent(WSAEVENT event);

/* Sets an event object. */
BOOL WSASetEvent(WSAEVENT event);

/* Resets an event object. */
BOOL WSAResetEvent(WSAEVENT event);

/* Waits for one of up to WSA_MAXIMUM_WAIT_EVENTS event objects, or for all. Nothing makes an alertable wait end. */
DWORD WSAWaitForMultipleEvents(DWORD count, const WSAEVENT *events, BOOL all, DWORD milliseconds, BOOL alertable);

/* Registers a socket, which no longer blocks, for events: the object is set when one occurs. Of all processes that
 * share a socket, the last to register is told. FD_ROUTING_INTERFACE_CHANGE, FD_ADDRESS_LIST_CHANGE and the QoS events
 * may be in the mask, and never occur. */
int WSAEventSelect(SOCKET s, WSAEVENT event, LONG events);

/* Tells what has occurred since it was last asked, and resets the event object. */
int WSAEnumNetworkEvents(SOCKET s, WSAEVENT event, LPWSANETWORKEVENTS occurred);

/* Registers a socket for events, of which a window of this process is told by messages with numbers up to 0xffff. */
int WSAAsyncSelect(SOCKET s, HWND window, u_int message, LONG events);

/* Turns numbers to the network's order of bytes, and back. */
int WSAHtonl(SOCKET s, u_long number, u_long *turned);
int WSAHtons(SOCKET s, u_short number, u_short *turned);
int WSANtohl(SOCKET s, u_long number, u_long *turned);
int WSANtohs(SOCKET s, u_short number, u_short *turned);

/* Addresses, with a port or without, from text. The info is not looked at. */
INT WSAStringToAddressA(LPSTR text, INT family, LPWSAPROTOCOL_INFOA info, LPSOCKADDR address, LPINT length);
INT WSAStringToAddressW(LPWSTR text, INT family, LPWSAPROTOCOL_INFOW info, LPSOCKADDR address, LPINT length);

/* And the text of addresses. */
INT WSAAddressToStringA(LPSOCKADDR address, DWORD address_length, LPWSAPROTOCOL_INFOA info, LPSTR text, LPDWORD length);
INT WSAAddressToStringW(LPSOCKADDR address, DWORD address_length, LPWSAPROTOCOL_INFOW info, LPWSTR text,
                        LPDWORD length);

SHARESOCK_END

#ifdef UNICODE
#define WSASocket WSASocketW
#define WSADuplicateSocket WSADuplicateSocketW
#define WSAEnumProtocols WSAEnumProtocolsW
#define WSAStringToAddress WSAStringToAddressW
#define WSAAddressToString WSAAddressToStringW
#else
#define WSASocket WSASocketA
#define WSADuplicateSocket WSADuplicateSocketA
#define WSAEnumProtocols WSAEnumProtocolsA
#define WSAStringToAddress WSAStringToAddressA
#define WSAAddressToString WSAAddressToStringA
#endif

#endif
