/* Winsock's error codes. Private; include winsock2.h. */
#ifndef SHARESOCK_CODES_H
#define SHARESOCK_CODES_H

#define WSABASEERR 10000

#define WSAEINTR 10004             /* a call was ended from outside */
#define WSAEBADF 10009             /* not used */
#define WSAEACCES 10013            /* not permitted */
#define WSAEFAULT 10014            /* a pointer or a length is bad */
#define WSAEINVAL 10022            /* an argument or the socket's state is not valid */
#define WSAEMFILE 10024            /* no descriptor is left */
#define WSAEWOULDBLOCK 10035       /* a socket that does not block would have to */
#define WSAEINPROGRESS 10036       /* another call is under way */
#define WSAEALREADY 10037          /* the same is under way */
#define WSAENOTSOCK 10038          /* no socket */
#define WSAEDESTADDRREQ 10039      /* an address is needed */
#define WSAEMSGSIZE 10040          /* the datagram is longer than the buffer, or than can be sent */
#define WSAEPROTOTYPE 10041        /* type and protocol do not fit */
#define WSAENOPROTOOPT 10042       /* no such option */
#define WSAEPROTONOSUPPORT 10043   /* no such protocol */
#define WSAESOCKTNOSUPPORT 10044   /* no such type */
#define WSAEOPNOTSUPP 10045        /* not to be had for this socket, or not here */
#define WSAEPFNOSUPPORT 10046      /* no such family of protocols */
#define WSAEAFNOSUPPORT 10047      /* no such family of addresses */
#define WSAEADDRINUSE 10048        /* the address is in use */
#define WSAEADDRNOTAVAIL 10049     /* the address is not this host's, or nobody's */
#define WSAENETDOWN 10050          /* the network is down */
#define WSAENETUNREACH 10051       /* no way to the network */
#define WSAENETRESET 10052         /* the connection was given up by keep-alive */
#define WSAECONNABORTED 10053      /* the connection was given up by this host */
#define WSAECONNRESET 10054        /* the connection was reset by the peer */
#define WSAENOBUFS 10055           /* no room */
#define WSAEISCONN 10056           /* connected already */
#define WSAENOTCONN 10057          /* not connected */
#define WSAESHUTDOWN 10058         /* shut down in this direction */
#define WSAETOOMANYREFS 10059      /* not used */
#define WSAETIMEDOUT 10060         /* the time is over */
#define WSAECONNREFUSED 10061      /* nobody listens there, or the condition rejected */
#define WSAELOOP 10062             /* too many symbolic links */
#define WSAENAMETOOLONG 10063      /* the name is too long */
#define WSAEHOSTDOWN 10064         /* the host is down */
#define WSAEHOSTUNREACH 10065      /* no way to the host */
#define WSAENOTEMPTY 10066         /* not used */
#define WSAEPROCLIM 10067          /* not used */
#define WSAEUSERS 10068            /* not used */
#define WSAEDQUOT 10069            /* not used */
#define WSAESTALE 10070            /* not used */
#define WSAEREMOTE 10071           /* not used */
#define WSASYSNOTREADY 10091       /* the library cannot be used */
#define WSAVERNOTSUPPORTED 10092   /* no such version */
#define WSANOTINITIALISED 10093    /* WSAStartup was not called, or WSACleanup was */
#define WSAEDISCON 10101           /* the peer has ended the connection */
#define WSAENOMORE 10102           /* nothing more */
#define WSAECANCELLED 10103        /* cancelled */
#define WSAEINVALIDPROCTABLE 10104 /* a provider's table is not valid */
#define WSAEINVALIDPROVIDER 10105  /* a provider is not valid */
#define WSAEPROVIDERFAILEDINIT 10106 /* a provider could not be started */
#define WSASYSCALLFAILURE 10107    /* a call of the system failed in a way that has no other code */
#define WSASERVICE_NOT_FOUND 10108 /* no such service */
#define WSATYPE_NOT_FOUND 10109    /* no such service for this type */
#define WSA_E_NO_MORE 10110        /* nothing more */
#define WSA_E_CANCELLED 10111      /* cancelled */
#define WSAEREFUSED 10112          /* refused */
#define WSAHOST_NOT_FOUND 11001    /* no such host */
#define WSATRY_AGAIN 11002         /* the name server did not answer */
#define WSANO_RECOVERY 11003       /* the name cannot be resolved */
#define WSANO_DATA 11004           /* the name has no such address */

/* Those of the system under Winsock's names. */
#define WSA_INVALID_HANDLE 6
#define WSA_NOT_ENOUGH_MEMORY 8
#define WSA_INVALID_PARAMETER 87
#define WSA_OPERATION_ABORTED 995
#define WSA_IO_INCOMPLETE 996
#define WSA_IO_PENDING 997

/* Of gethostbyname and its kin, under their old names. */
#define h_errno WSAGetLastError()
#define HOST_NOT_FOUND WSAHOST_NOT_FOUND
#define TRY_AGAIN WSATRY_AGAIN
#define NO_RECOVERY WSANO_RECOVERY
#define NO_DATA WSANO_DATA
#define NO_ADDRESS WSANO_DATA
#define WSANO_ADDRESS WSANO_DATA

/* Of quality of service, which no socket has here. */
#define WSA_QOS_RECEIVERS 11005
#define WSA_QOS_SENDERS 11006
#define WSA_QOS_NO_SENDERS 11007
#define WSA_QOS_NO_RECEIVERS 11008
#define WSA_QOS_REQUEST_CONFIRMED 11009
#define WSA_QOS_ADMISSION_FAILURE 11010
#define WSA_QOS_POLICY_FAILURE 11011
#define WSA_QOS_BAD_STYLE 11012
#define WSA_QOS_BAD_OBJECT 11013
#define WSA_QOS_TRAFFIC_CTRL_ERROR 11014
#define WSA_QOS_GENERIC_ERROR 11015
#define WSA_QOS_ESERVICETYPE 11016
#define WSA_QOS_EFLOWSPEC 11017
#define WSA_QOS_EPROVSPECBUF 11018
#define WSA_QOS_EFILTERSTYLE 11019
#define WSA_QOS_EFILTERTYPE 11020
#define WSA_QOS_EFILTERCOUNT 11021
#define WSA_QOS_EOBJLENGTH 11022
#define WSA_QOS_EFLOWCOUNT 11023
#define WSA_QOS_EUNKNOWNPSOBJ 11024
#define WSA_QOS_EPOLICYOBJ 11025
#define WSA_QOS_EFLOWDESC 11026
#define WSA_QOS_EPSFLOWSPEC 11027
#define WSA_QOS_EPSFILTERSPEC 11028
#define WSA_QOS_ESDMODEOBJ 11029
#define WSA_QOS_ESHAPERATEOBJ 11030
#define WSA_QOS_RESERVED_PETYPE 11031

/* What getaddrinfo and getnameinfo return. */
#define EAI_AGAIN WSATRY_AGAIN
#define EAI_BADFLAGS WSAEINVAL
#define EAI_FAIL WSANO_RECOVERY
#define EAI_FAMILY WSAEAFNOSUPPORT
#define EAI_MEMORY WSA_NOT_ENOUGH_MEMORY
#define EAI_NODATA WSANO_DATA
#define EAI_NONAME WSAHOST_NOT_FOUND
#define EAI_SERVICE WSATYPE_NOT_FOUND
#define EAI_SOCKTYPE WSAESOCKTNOSUPPORT

#endif
