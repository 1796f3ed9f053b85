/* Prints what lies where: sizes and signs of types, sizes and offsets of structures, and all constants. `compare` lets
 * it do so on Linux and on Windows.
 *
 * struct timeval is Linux's, and left out. The size of fd_set goes with FD_SETSIZE. constants.inc is made by `compare`
 * from the headers. */
#include <winsock2.h>
#include <ws2tcpip.h>
#include <ws2spi.h>
#include <windows.h>
#include <afunix.h>
#include <mstcpip.h>
#ifdef _WIN32
#include <mswsock.h> /* has some numbers that our winsock2.h has */
#endif
#include <stddef.h>
#include <stdio.h>

static void number(const char *name, unsigned long long value)
{
    printf("%s = %08x%08x\n", name, (unsigned)(value >> 32), (unsigned)value);
}

static void size(const char *name, size_t bytes)
{
    printf("%s: %u bytes\n", name, (unsigned)bytes);
}

static void place(const char *type, const char *member, size_t offset, size_t bytes)
{
    printf("%s.%s: %u bytes at %u\n", type, member, (unsigned)bytes, (unsigned)offset);
}

#define TYPE(type) size(#type, sizeof(type))
#define SIGNED(type) printf("%s is %ssigned\n", #type, (type)-1 < (type)0 ? "" : "un")
#define AT(type, member) place(#type, #member, offsetof(type, member), sizeof ((type *)0)->member)
#define CONSTANT(name) number(#name, (unsigned long long)(name))

static void types(void)
{
    TYPE(CHAR); TYPE(UCHAR); TYPE(BYTE); TYPE(BOOLEAN); TYPE(SHORT); TYPE(USHORT); TYPE(WORD); TYPE(ATOM); TYPE(INT);
    TYPE(BOOL); TYPE(LONG); TYPE(UINT); TYPE(ULONG); TYPE(DWORD); TYPE(LONGLONG); TYPE(ULONGLONG); TYPE(INT_PTR);
    TYPE(LONG_PTR); TYPE(UINT_PTR); TYPE(ULONG_PTR); TYPE(DWORD_PTR); TYPE(SIZE_T); TYPE(WPARAM); TYPE(LPARAM);
    TYPE(LRESULT); TYPE(WCHAR); TYPE(HANDLE); TYPE(HWND); TYPE(HINSTANCE); TYPE(HMODULE); TYPE(HICON); TYPE(HCURSOR);
    TYPE(HBRUSH); TYPE(HMENU); TYPE(SOCKET); TYPE(GROUP); TYPE(WSAEVENT); TYPE(WSAOVERLAPPED); TYPE(u_char);
    TYPE(u_short); TYPE(u_int); TYPE(u_long); TYPE(socklen_t); TYPE(ADDRESS_FAMILY); TYPE(SERVICETYPE);
    TYPE(LPCONDITIONPROC); TYPE(WNDPROC);
    SIGNED(SHORT); SIGNED(USHORT); SIGNED(INT); SIGNED(BOOL); SIGNED(LONG); SIGNED(UINT); SIGNED(ULONG);
    SIGNED(DWORD); SIGNED(LONG_PTR); SIGNED(ULONG_PTR); SIGNED(WCHAR); SIGNED(SOCKET); SIGNED(GROUP);
    SIGNED(socklen_t); SIGNED(u_long); SIGNED(ADDRESS_FAMILY);
}

static void of_windows(void)
{
    TYPE(GUID); AT(GUID, Data1); AT(GUID, Data2); AT(GUID, Data3); AT(GUID, Data4);
    TYPE(LARGE_INTEGER); AT(LARGE_INTEGER, QuadPart);
    TYPE(SECURITY_ATTRIBUTES); AT(SECURITY_ATTRIBUTES, nLength); AT(SECURITY_ATTRIBUTES, lpSecurityDescriptor);
    AT(SECURITY_ATTRIBUTES, bInheritHandle);
    TYPE(OVERLAPPED); AT(OVERLAPPED, Internal); AT(OVERLAPPED, InternalHigh); AT(OVERLAPPED, Offset);
    AT(OVERLAPPED, OffsetHigh); AT(OVERLAPPED, Pointer); AT(OVERLAPPED, hEvent);
    TYPE(POINT); AT(POINT, x); AT(POINT, y);
    TYPE(MSG); AT(MSG, hwnd); AT(MSG, message); AT(MSG, wParam); AT(MSG, lParam); AT(MSG, time); AT(MSG, pt);
    TYPE(WNDCLASSA); AT(WNDCLASSA, style); AT(WNDCLASSA, lpfnWndProc); AT(WNDCLASSA, cbClsExtra);
    AT(WNDCLASSA, cbWndExtra); AT(WNDCLASSA, hInstance); AT(WNDCLASSA, hIcon); AT(WNDCLASSA, hCursor);
    AT(WNDCLASSA, hbrBackground); AT(WNDCLASSA, lpszMenuName); AT(WNDCLASSA, lpszClassName);
    TYPE(WNDCLASSW); AT(WNDCLASSW, style); AT(WNDCLASSW, lpfnWndProc); AT(WNDCLASSW, cbClsExtra);
    AT(WNDCLASSW, cbWndExtra); AT(WNDCLASSW, hInstance); AT(WNDCLASSW, hIcon); AT(WNDCLASSW, hCursor);
    AT(WNDCLASSW, hbrBackground); AT(WNDCLASSW, lpszMenuName); AT(WNDCLASSW, lpszClassName);
    TYPE(WNDCLASSEXA); AT(WNDCLASSEXA, cbSize); AT(WNDCLASSEXA, style); AT(WNDCLASSEXA, lpfnWndProc);
    AT(WNDCLASSEXA, cbClsExtra); AT(WNDCLASSEXA, cbWndExtra); AT(WNDCLASSEXA, hInstance); AT(WNDCLASSEXA, hIcon);
    AT(WNDCLASSEXA, hCursor); AT(WNDCLASSEXA, hbrBackground); AT(WNDCLASSEXA, lpszMenuName);
    AT(WNDCLASSEXA, lpszClassName); AT(WNDCLASSEXA, hIconSm);
    TYPE(WNDCLASSEXW); AT(WNDCLASSEXW, cbSize); AT(WNDCLASSEXW, style); AT(WNDCLASSEXW, lpfnWndProc);
    AT(WNDCLASSEXW, cbClsExtra); AT(WNDCLASSEXW, cbWndExtra); AT(WNDCLASSEXW, hInstance); AT(WNDCLASSEXW, hIcon);
    AT(WNDCLASSEXW, hCursor); AT(WNDCLASSEXW, hbrBackground); AT(WNDCLASSEXW, lpszMenuName);
    AT(WNDCLASSEXW, lpszClassName); AT(WNDCLASSEXW, hIconSm);
    TYPE(CREATESTRUCTA); AT(CREATESTRUCTA, lpCreateParams); AT(CREATESTRUCTA, hInstance); AT(CREATESTRUCTA, hMenu);
    AT(CREATESTRUCTA, hwndParent); AT(CREATESTRUCTA, cy); AT(CREATESTRUCTA, cx); AT(CREATESTRUCTA, y);
    AT(CREATESTRUCTA, x); AT(CREATESTRUCTA, style); AT(CREATESTRUCTA, lpszName); AT(CREATESTRUCTA, lpszClass);
    AT(CREATESTRUCTA, dwExStyle);
    TYPE(CREATESTRUCTW); AT(CREATESTRUCTW, lpCreateParams); AT(CREATESTRUCTW, hInstance); AT(CREATESTRUCTW, hMenu);
    AT(CREATESTRUCTW, hwndParent); AT(CREATESTRUCTW, cy); AT(CREATESTRUCTW, cx); AT(CREATESTRUCTW, y);
    AT(CREATESTRUCTW, x); AT(CREATESTRUCTW, style); AT(CREATESTRUCTW, lpszName); AT(CREATESTRUCTW, lpszClass);
    AT(CREATESTRUCTW, dwExStyle);
}

static void of_sockets(void)
{
    TYPE(struct in_addr); AT(struct in_addr, s_addr); AT(struct in_addr, S_un.S_un_b.s_b4);
    AT(struct in_addr, S_un.S_un_w.s_w2);
    TYPE(struct in6_addr); AT(struct in6_addr, s6_addr); AT(struct in6_addr, s6_words);
    TYPE(SOCKADDR); AT(SOCKADDR, sa_family); AT(SOCKADDR, sa_data);
    TYPE(SOCKADDR_IN); AT(SOCKADDR_IN, sin_family); AT(SOCKADDR_IN, sin_port); AT(SOCKADDR_IN, sin_addr);
    AT(SOCKADDR_IN, sin_zero);
    TYPE(SOCKADDR_IN6); AT(SOCKADDR_IN6, sin6_family); AT(SOCKADDR_IN6, sin6_port); AT(SOCKADDR_IN6, sin6_flowinfo);
    AT(SOCKADDR_IN6, sin6_addr); AT(SOCKADDR_IN6, sin6_scope_id);
    TYPE(SOCKADDR_STORAGE); AT(SOCKADDR_STORAGE, ss_family); AT(SOCKADDR_STORAGE, __ss_pad1);
    AT(SOCKADDR_STORAGE, __ss_align); AT(SOCKADDR_STORAGE, __ss_pad2);
    TYPE(IP_MREQ); AT(IP_MREQ, imr_multiaddr); AT(IP_MREQ, imr_interface);
    TYPE(IP_MREQ_SOURCE); AT(IP_MREQ_SOURCE, imr_multiaddr); AT(IP_MREQ_SOURCE, imr_sourceaddr);
    AT(IP_MREQ_SOURCE, imr_interface);
    TYPE(IPV6_MREQ); AT(IPV6_MREQ, ipv6mr_multiaddr); AT(IPV6_MREQ, ipv6mr_interface);
    TYPE(LINGER); AT(LINGER, l_onoff); AT(LINGER, l_linger);
    TYPE(HOSTENT); AT(HOSTENT, h_name); AT(HOSTENT, h_aliases); AT(HOSTENT, h_addrtype); AT(HOSTENT, h_length);
    AT(HOSTENT, h_addr_list);
    TYPE(SERVENT); AT(SERVENT, s_name); AT(SERVENT, s_aliases); AT(SERVENT, s_proto); AT(SERVENT, s_port);
    TYPE(PROTOENT); AT(PROTOENT, p_name); AT(PROTOENT, p_aliases); AT(PROTOENT, p_proto);
    TYPE(SOCKET_ADDRESS); AT(SOCKET_ADDRESS, lpSockaddr); AT(SOCKET_ADDRESS, iSockaddrLength);
    TYPE(SOCKET_ADDRESS_LIST); AT(SOCKET_ADDRESS_LIST, iAddressCount); AT(SOCKET_ADDRESS_LIST, Address);
    TYPE(SOCKADDR_INET); AT(SOCKADDR_INET, Ipv4); AT(SOCKADDR_INET, Ipv6); AT(SOCKADDR_INET, si_family);
    TYPE(struct netent); AT(struct netent, n_name); AT(struct netent, n_aliases); AT(struct netent, n_addrtype);
    AT(struct netent, n_net);
    TYPE(struct sockproto); AT(struct sockproto, sp_family); AT(struct sockproto, sp_protocol);
    TYPE(fd_set); AT(fd_set, fd_count); AT(fd_set, fd_array);
    TYPE(WSADATA); AT(WSADATA, wVersion); AT(WSADATA, wHighVersion); AT(WSADATA, iMaxSockets); AT(WSADATA, iMaxUdpDg);
    AT(WSADATA, lpVendorInfo); AT(WSADATA, szDescription); AT(WSADATA, szSystemStatus);
    TYPE(WSABUF); AT(WSABUF, len); AT(WSABUF, buf);
    TYPE(WSAPOLLFD); AT(WSAPOLLFD, fd); AT(WSAPOLLFD, events); AT(WSAPOLLFD, revents);
    TYPE(WSANETWORKEVENTS); AT(WSANETWORKEVENTS, lNetworkEvents); AT(WSANETWORKEVENTS, iErrorCode);
    TYPE(WSAPROTOCOLCHAIN); AT(WSAPROTOCOLCHAIN, ChainLen); AT(WSAPROTOCOLCHAIN, ChainEntries);
    TYPE(WSAPROTOCOL_INFOA); AT(WSAPROTOCOL_INFOA, dwServiceFlags1); AT(WSAPROTOCOL_INFOA, dwServiceFlags2);
    AT(WSAPROTOCOL_INFOA, dwServiceFlags3); AT(WSAPROTOCOL_INFOA, dwServiceFlags4);
    AT(WSAPROTOCOL_INFOA, dwProviderFlags); AT(WSAPROTOCOL_INFOA, ProviderId);
    AT(WSAPROTOCOL_INFOA, dwCatalogEntryId); AT(WSAPROTOCOL_INFOA, ProtocolChain); AT(WSAPROTOCOL_INFOA, iVersion);
    AT(WSAPROTOCOL_INFOA, iAddressFamily); AT(WSAPROTOCOL_INFOA, iMaxSockAddr); AT(WSAPROTOCOL_INFOA, iMinSockAddr);
    AT(WSAPROTOCOL_INFOA, iSocketType); AT(WSAPROTOCOL_INFOA, iProtocol); AT(WSAPROTOCOL_INFOA, iProtocolMaxOffset);
    AT(WSAPROTOCOL_INFOA, iNetworkByteOrder); AT(WSAPROTOCOL_INFOA, iSecurityScheme);
    AT(WSAPROTOCOL_INFOA, dwMessageSize); AT(WSAPROTOCOL_INFOA, dwProviderReserved);
    AT(WSAPROTOCOL_INFOA, szProtocol);
    TYPE(WSAPROTOCOL_INFOW); AT(WSAPROTOCOL_INFOW, dwServiceFlags1); AT(WSAPROTOCOL_INFOW, dwServiceFlags2);
    AT(WSAPROTOCOL_INFOW, dwServiceFlags3); AT(WSAPROTOCOL_INFOW, dwServiceFlags4);
    AT(WSAPROTOCOL_INFOW, dwProviderFlags); AT(WSAPROTOCOL_INFOW, ProviderId);
    AT(WSAPROTOCOL_INFOW, dwCatalogEntryId); AT(WSAPROTOCOL_INFOW, ProtocolChain); AT(WSAPROTOCOL_INFOW, iVersion);
    AT(WSAPROTOCOL_INFOW, iAddressFamily); AT(WSAPROTOCOL_INFOW, iMaxSockAddr); AT(WSAPROTOCOL_INFOW, iMinSockAddr);
    AT(WSAPROTOCOL_INFOW, iSocketType); AT(WSAPROTOCOL_INFOW, iProtocol); AT(WSAPROTOCOL_INFOW, iProtocolMaxOffset);
    AT(WSAPROTOCOL_INFOW, iNetworkByteOrder); AT(WSAPROTOCOL_INFOW, iSecurityScheme);
    AT(WSAPROTOCOL_INFOW, dwMessageSize); AT(WSAPROTOCOL_INFOW, dwProviderReserved);
    AT(WSAPROTOCOL_INFOW, szProtocol);
    TYPE(FLOWSPEC); AT(FLOWSPEC, TokenRate); AT(FLOWSPEC, TokenBucketSize); AT(FLOWSPEC, PeakBandwidth);
    AT(FLOWSPEC, Latency); AT(FLOWSPEC, DelayVariation); AT(FLOWSPEC, ServiceType); AT(FLOWSPEC, MaxSduSize);
    AT(FLOWSPEC, MinimumPolicedSize);
    TYPE(QOS); AT(QOS, SendingFlowspec); AT(QOS, ReceivingFlowspec); AT(QOS, ProviderSpecific);
    TYPE(ADDRINFOA); AT(ADDRINFOA, ai_flags); AT(ADDRINFOA, ai_family); AT(ADDRINFOA, ai_socktype);
    AT(ADDRINFOA, ai_protocol); AT(ADDRINFOA, ai_addrlen); AT(ADDRINFOA, ai_canonname); AT(ADDRINFOA, ai_addr);
    AT(ADDRINFOA, ai_next);
    TYPE(ADDRINFOW); AT(ADDRINFOW, ai_flags); AT(ADDRINFOW, ai_family); AT(ADDRINFOW, ai_socktype);
    AT(ADDRINFOW, ai_protocol); AT(ADDRINFOW, ai_addrlen); AT(ADDRINFOW, ai_canonname); AT(ADDRINFOW, ai_addr);
    AT(ADDRINFOW, ai_next);
    TYPE(SOCKADDR_UN); AT(SOCKADDR_UN, sun_family); AT(SOCKADDR_UN, sun_path);
    TYPE(struct tcp_keepalive); AT(struct tcp_keepalive, onoff); AT(struct tcp_keepalive, keepalivetime);
    AT(struct tcp_keepalive, keepaliveinterval);
}

static void of_providers(void)
{
    TYPE(WSPDATA); AT(WSPDATA, wVersion); AT(WSPDATA, wHighVersion); AT(WSPDATA, szDescription);
    TYPE(WSATHREADID); AT(WSATHREADID, ThreadHandle); AT(WSATHREADID, Reserved);
    TYPE(WSPUPCALLTABLE); AT(WSPUPCALLTABLE, lpWPUCloseEvent); AT(WSPUPCALLTABLE, lpWPUCloseSocketHandle);
    AT(WSPUPCALLTABLE, lpWPUCreateEvent); AT(WSPUPCALLTABLE, lpWPUCreateSocketHandle);
    AT(WSPUPCALLTABLE, lpWPUFDIsSet); AT(WSPUPCALLTABLE, lpWPUGetProviderPath);
    AT(WSPUPCALLTABLE, lpWPUModifyIFSHandle); AT(WSPUPCALLTABLE, lpWPUPostMessage);
    AT(WSPUPCALLTABLE, lpWPUQueryBlockingCallback); AT(WSPUPCALLTABLE, lpWPUQuerySocketHandleContext);
    AT(WSPUPCALLTABLE, lpWPUQueueApc); AT(WSPUPCALLTABLE, lpWPUResetEvent); AT(WSPUPCALLTABLE, lpWPUSetEvent);
    AT(WSPUPCALLTABLE, lpWPUOpenCurrentThread); AT(WSPUPCALLTABLE, lpWPUCloseThread);
    TYPE(WSPPROC_TABLE); AT(WSPPROC_TABLE, lpWSPAccept); AT(WSPPROC_TABLE, lpWSPAddressToString);
    AT(WSPPROC_TABLE, lpWSPAsyncSelect); AT(WSPPROC_TABLE, lpWSPBind); AT(WSPPROC_TABLE, lpWSPCancelBlockingCall);
    AT(WSPPROC_TABLE, lpWSPCleanup); AT(WSPPROC_TABLE, lpWSPCloseSocket); AT(WSPPROC_TABLE, lpWSPConnect);
    AT(WSPPROC_TABLE, lpWSPDuplicateSocket); AT(WSPPROC_TABLE, lpWSPEnumNetworkEvents);
    AT(WSPPROC_TABLE, lpWSPEventSelect); AT(WSPPROC_TABLE, lpWSPGetOverlappedResult);
    AT(WSPPROC_TABLE, lpWSPGetPeerName); AT(WSPPROC_TABLE, lpWSPGetSockName); AT(WSPPROC_TABLE, lpWSPGetSockOpt);
    AT(WSPPROC_TABLE, lpWSPGetQOSByName); AT(WSPPROC_TABLE, lpWSPIoctl); AT(WSPPROC_TABLE, lpWSPJoinLeaf);
    AT(WSPPROC_TABLE, lpWSPListen); AT(WSPPROC_TABLE, lpWSPRecv); AT(WSPPROC_TABLE, lpWSPRecvDisconnect);
    AT(WSPPROC_TABLE, lpWSPRecvFrom); AT(WSPPROC_TABLE, lpWSPSelect); AT(WSPPROC_TABLE, lpWSPSend);
    AT(WSPPROC_TABLE, lpWSPSendDisconnect); AT(WSPPROC_TABLE, lpWSPSendTo); AT(WSPPROC_TABLE, lpWSPSetSockOpt);
    AT(WSPPROC_TABLE, lpWSPShutdown); AT(WSPPROC_TABLE, lpWSPSocket); AT(WSPPROC_TABLE, lpWSPStringToAddress);
}

/* Macros that make numbers of numbers. */
static void macros(void)
{
    static const unsigned samples[] = { 0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x12345678, 0xffffffff };

    for (unsigned i = 0; i < sizeof samples / sizeof *samples; i++)
        for (unsigned j = 0; j < sizeof samples / sizeof *samples; j++) {
            unsigned low = samples[i], high = samples[j];

            printf("%x, %x: %x %x %x %x\n", low, high, MAKEWORD(low, high), (unsigned)MAKELONG(low, high),
                   (unsigned)WSAMAKESELECTREPLY(low, high), (unsigned)WSAMAKEASYNCREPLY(low, high));
            printf("%x: %x %x %x %x %x %x %x %x\n", low, LOWORD(low), HIWORD(low), LOBYTE(low), HIBYTE(low),
                   WSAGETSELECTEVENT(low), WSAGETSELECTERROR(low), WSAGETASYNCBUFLEN(low), WSAGETASYNCERROR(low));
            number("MAKEWPARAM", MAKEWPARAM(low, high));
            number("MAKELPARAM", (unsigned long long)MAKELPARAM(low, high));
            printf("%d %d %d %d\n", !!IN_CLASSA(low), !!IN_CLASSB(low), !!IN_CLASSC(low), !!IN_CLASSD(low));
        }
    number("HWND_MESSAGE", (ULONG_PTR)HWND_MESSAGE);
    number("INVALID_HANDLE_VALUE", (ULONG_PTR)INVALID_HANDLE_VALUE);
    number("INVALID_SOCKET", INVALID_SOCKET);
    number("WSA_INVALID_EVENT", (ULONG_PTR)WSA_INVALID_EVENT);
}

/* Kinds of addresses of version 6: each byte of one of zeroes, and of some others. */
static void addresses(void)
{
    static const unsigned char bytes[] = { 0, 1, 2, 0x0e, 0x12, 0x80, 0xbf, 0xc0, 0xfe, 0xff };
    static const unsigned char heads[6][2] = { { 0 }, { 0xfe }, { 0xff }, { 0xff, 1 }, { 0xff, 8 }, { 0xff, 14 } };

    for (unsigned at = 0; at < 16; at++)
        for (unsigned i = 0; i < sizeof bytes; i++)
            for (unsigned first = 0; first < 6; first++) {
                struct in6_addr a = IN6ADDR_ANY_INIT;

                a.s6_addr[0] = heads[first][0];
                a.s6_addr[1] = heads[first][1];
                a.s6_addr[at] = bytes[i];
                if (first == 0 && at >= 12)
                    a.s6_addr[10] = a.s6_addr[11] = (unsigned char)(i % 2 ? 0xff : 0);
                printf("%u %u %u: %d%d%d%d%d%d%d%d%d%d%d%d\n", at, i, first, !!IN6_IS_ADDR_UNSPECIFIED(&a),
                       !!IN6_IS_ADDR_LOOPBACK(&a), !!IN6_IS_ADDR_MULTICAST(&a), !!IN6_IS_ADDR_LINKLOCAL(&a),
                       !!IN6_IS_ADDR_SITELOCAL(&a), !!IN6_IS_ADDR_V4MAPPED(&a), !!IN6_IS_ADDR_V4COMPAT(&a),
                       !!IN6_IS_ADDR_MC_NODELOCAL(&a), !!IN6_IS_ADDR_MC_LINKLOCAL(&a), !!IN6_IS_ADDR_MC_SITELOCAL(&a),
                       !!IN6_IS_ADDR_MC_ORGLOCAL(&a), !!IN6_IS_ADDR_MC_GLOBAL(&a));
            }
}

static void constants(void)
{
#include "constants.inc"
}

int main(void)
{
    types();
    of_windows();
    of_sockets();
    of_providers();
    macros();
    addresses();
    constants();
    return 0;
}
