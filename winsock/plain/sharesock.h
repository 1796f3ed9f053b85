/* Live sockets that processes share by 628 bytes: the plain C interface of libsharesock.
 *
 *   cc program.c $(pkg-config --cflags --libs libsharesock)
 *
 * Results are 0 or more, or negative: the negative of an errno, or one of SHARESOCK_E_... below; sharesock_error_name() and
 * sharesock_error_text() tell what it is. Descriptors that are given to a call stay the caller's, unless it says otherwise;
 * descriptors that a call returns are the caller's, close-on-exec. Times are in milliseconds; a negative one is for ever.
 * A call that waits returns -EINTR when a signal handler has run, and can be made again.
 *
 * All functions may be called from any thread. An object (sharesock_sender and so on) may be used by several threads, but must
 * not be used after it was closed. A process has one endpoint, which all of its parts share: bindings of other languages, this
 * interface and Winsock's names, if all of them load this one library (libsharesock.so.0). The first call that needs it opens
 * it. After fork() the child gets its own at its first call; objects of its parent fail with SHARESOCK_E_FORKED there and are
 * only to be closed. At exit, what is held for others is flushed for up to 5 seconds.
 *
 * Beside <winsock2.h>, include this header after that one. Manual: sharesock(3), and a page for each function. */
#ifndef SHARESOCK_H
#define SHARESOCK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SHARESOCK_VERSION 0x000100      /* major, minor and patch, a byte each */
#define SHARESOCK_INFO_SIZE 628         /* bytes of an info */
#define SHARESOCK_INFO_TEXT_SIZE 256    /* room for an info as text, with its null */
#define SHARESOCK_PROCESS_SIZE 64       /* room for a process as text, with its null */
#define SHARESOCK_MOST_BYTES 65536      /* the most bytes that go with a socket */
#define SHARESOCK_FOREVER (-1)
#define SHARESOCK_NEVER (-1)

typedef struct sharesock_pending sharesock_pending;       /* a redemption or a flush that goes on */
typedef struct sharesock_revocation sharesock_revocation; /* the means to take a duplicate back */
typedef struct sharesock_seat sharesock_seat;             /* where a child receives from its birth */
typedef struct sharesock_turn sharesock_turn;             /* a turn that is held */
typedef struct sharesock_event sharesock_event;           /* an event object */
typedef struct sharesock_sender sharesock_sender;         /* hands sockets off to one process */
typedef struct sharesock_receiver sharesock_receiver;     /* receives what is handed off */

/* The process. */

/* The version that the library has, as SHARESOCK_VERSION. */
int sharesock_version(void);
/* Opens the endpoint of this process in a domain (a directory; NULL is the default one), or counts one more user of it. Call it
 * early: what is shared with this process then reaches it at once. SHARESOCK_E_ENDPOINT_OPEN: it is open in another domain. */
int sharesock_open(const char *domain);
/* One user less; the last closes the endpoint, and with it what nobody redeemed. */
int sharesock_close(void);
/* In a forked child: closes what it inherited of the endpoint. For a child that shares nothing; does nothing elsewhere. */
int sharesock_after_fork(void);
/* The directory in which this process meets others; its length. -ERANGE when it has no room. */
int sharesock_domain(char *text, size_t size);
/* The text that names this process to others, in other PID namespaces, too; its length. */
int sharesock_process(char *text, size_t size);

/* Sharing. An info is no secret and no key: only the process that it names can redeem it, once. */

/* Duplicates the socket fd for the process with this id and writes the info. Returns 0 when the duplicate lies with its target:
 * then this process may close fd, or end. Returns 1 when this process holds it until the target redeems it: flush before it
 * ends. After expires_ms redeeming fails (SHARESOCK_NEVER: it does not expire). */
int sharesock_share(int fd, uint32_t pid, int64_t expires_ms, void *info);
/* The same for a process that is named by a text: of sharesock_process(), or a process id. */
int sharesock_share_to(int fd, const char *process, int64_t expires_ms, void *info);
/* The same, with the means to revoke it. */
int sharesock_share_revocable(int fd, const char *process, int64_t expires_ms, void *info, sharesock_revocation **revocation);
/* Takes a duplicate back. SHARESOCK_E_ALREADY_REDEEMED: it was too late. -EALREADY: it was revoked before. */
int sharesock_revoke(sharesock_revocation *revocation);
/* Gives up the means to revoke; nothing else changes. NULL is allowed, as in every ..._close. */
int sharesock_revocation_close(sharesock_revocation *revocation);
/* Waits until nothing that this process holds is left. SHARESOCK_E_STILL_HELD when the time is over. */
int sharesock_flush(int64_t timeout_ms);
/* Begins such a flush without waiting; sharesock_pending_finish() returns 0 when nothing is left. */
int sharesock_start_flush(sharesock_pending **pending);

/* Offers: for those who do not know their target. An info of an offer is a BEARER TOKEN: whoever in the domain has it first has the
 * socket. Treat it as a secret. It names no target; all calls that redeem take it. */

/* Offers a duplicate of fd to whoever redeems it first, once, for expires_ms, which is not negative. Only processes of the user
 * uid may have it; -1 is every member of the domain. It ends with this process, and no flush waits for it. */
int sharesock_offer(int fd, int64_t expires_ms, int64_t uid, void *info);
/* The same, with the means to revoke it. */
int sharesock_offer_revocable(int fd, int64_t expires_ms, int64_t uid, void *info, sharesock_revocation **revocation);
/* The same, held by a process that keeps offers (`sharesock keep`), so that it survives the end of this one. keeper is its text,
 * or NULL for one that is found in the domain; -ENOENT when there is none. */
int sharesock_offer_kept(int fd, const char *keeper, int64_t expires_ms, int64_t uid, void *info);
/* The text of a process of this domain that keeps offers; its length. -ENOENT when there is none. */
int sharesock_keeper(char *text, size_t size);

/* Redeeming. */

/* One more descriptor of the socket that the info names: of 628 bytes, or of the 372 of the narrow form. Waits for a source that
 * holds the duplicate; SHARESOCK_E_SOURCE_SILENT when the time is over: the info stays good. */
int sharesock_redeem(const void *info, size_t size, int64_t timeout_ms);
/* The same without waiting. -EAGAIN: the source was asked, and *pending tells when to go on; *pending is NULL otherwise. */
int sharesock_try_redeem(const void *info, size_t size, sharesock_pending **pending);
/* Closes the duplicate that the info names without redeeming it. */
int sharesock_discard(const void *info, size_t size);
/* The descriptor of something pending, to poll for input: when it is readable, finish. It stays the object's. */
int sharesock_pending_fd(sharesock_pending *pending);
/* The result of what is pending: the descriptor of the socket, or 0 of a flush. -EAGAIN: not yet. */
int sharesock_pending_finish(sharesock_pending *pending);
/* Frees it. What was not finished is given up; the info stays good. */
int sharesock_pending_close(sharesock_pending *pending);
/* An info as text (a line without spaces); its length. */
int sharesock_info_text(const void *info, size_t size, char *text, size_t text_size);
/* The 628 bytes of an info from its text. */
int sharesock_info_parse(const char *text, void *info);

/* Handing off: a socket is given away for good, with up to 65,536 bytes. */

/* Opens a sender to a receiver of the process with this id; name is that of the receiver, NULL for the unnamed one. */
int sharesock_sender_open(uint32_t pid, const char *name, sharesock_sender **sender);
/* The same for a process that is named by a text. */
int sharesock_sender_open_to(const char *process, const char *name, sharesock_sender **sender);
/* Hands fd off with these bytes. The descriptor is taken, and closed here, only if this returns 0; otherwise it is the caller's
 * still. -EAGAIN: there was no room in time. -EPIPE: the target does not receive any more. */
int sharesock_hand_off(sharesock_sender *sender, int fd, const void *bytes, size_t size, int64_t timeout_ms);
/* A descriptor that is readable when the target has ended or closed its receiver. It stays the object's. */
int sharesock_sender_fd(sharesock_sender *sender);
/* A descriptor that becomes readable when the target has taken something, or is gone. Each call takes note of what it told:
 * call it again before trying again. It stays the object's. */
int sharesock_sender_progress_fd(sharesock_sender *sender);
/* How many sockets the target has not taken yet. */
int sharesock_sender_outstanding(sharesock_sender *sender);
/* Waits until the target has taken everything. SHARESOCK_E_NOT_TAKEN when the time is over. */
int sharesock_sender_flush(sharesock_sender *sender, int64_t timeout_ms);
/* Ends the hand-offs and gives back one socket that was not taken, with its bytes and their number (length may be NULL). Call it
 * until -ENODATA: nothing is left. -EMSGSIZE: the bytes have no room; *length says how much they need. */
int sharesock_sender_reclaim(sharesock_sender *sender, void *bytes, size_t size, size_t *length);
/* Closes it. What is on its way stays on its way. */
int sharesock_sender_close(sharesock_sender *sender);

/* From now on others can hand sockets off to this process; name is NULL, or 1 to 32 of A-Z a-z 0-9 . _ and -. */
int sharesock_receiver_open(const char *name, sharesock_receiver **receiver);
/* A descriptor that is readable when there may be something to receive. It stays the object's. */
int sharesock_receiver_fd(sharesock_receiver *receiver);
/* Takes one socket; its bytes, their number (length may be NULL), and the text of the process that handed it off (source may be
 * NULL; it is empty when that is not known). -EAGAIN: nothing came in time. -EMSGSIZE: the bytes have no room; the next call
 * gets the same socket. */
int sharesock_receive(sharesock_receiver *receiver, void *bytes, size_t size, size_t *length, char *source, size_t source_size,
                      int64_t timeout_ms);
/* Closes it. What was not taken is its senders' again. */
int sharesock_receiver_close(sharesock_receiver *receiver);

/* Children that receive from their birth, started by whatever means. `sharesock exec COMMAND` is the other way, which also has
 * what others share, and what is handed off, reach the child from its birth. */

/* Makes a seat and returns the descriptor that the child is to inherit, under whatever number; it stays the object's. */
int sharesock_seat_open(sharesock_seat **seat);
/* The variable that the child needs in its environment, as NAME=VALUE, if it has the descriptor under this number (3 or more);
 * its length. 160 bytes are enough. */
int sharesock_seat_variable(sharesock_seat *seat, int number, char *text, size_t size);
/* Says which process the child is, once it was started. What this process shares with it from then on lies with the child. */
int sharesock_seat_tell(sharesock_seat *seat, uint32_t pid);
/* Frees it. A seat that was not told is given up. */
int sharesock_seat_close(sharesock_seat *seat);

/* Who holds a socket, and turns. */

struct sharesock_holder {
    uint32_t pid;
    uint32_t descriptor;
    char command[32];
};

/* Every descriptor of the socket in every process that may be looked at: how many there are; as many as there is room for are
 * written to the list. */
int sharesock_holders(int fd, struct sharesock_holder *list, size_t room);

#define SHARESOCK_RECEIVE 0
#define SHARESOCK_SEND 1

/* Takes the turn on one direction of a socket among all who take turns; nobody is forced to. -EAGAIN: somebody else had it all the
 * while. It is given up when it is closed, or this process ends. */
int sharesock_turn_take(int fd, int direction, int64_t timeout_ms, sharesock_turn **turn);
/* Gives the turn up. */
int sharesock_turn_close(sharesock_turn *turn);

/* Network events, as Winsock has them: a socket has one registration, and a new one, in whichever process, cancels the one
 * before. The socket becomes non-blocking. */

#define SHARESOCK_EVENT_READ 1
#define SHARESOCK_EVENT_WRITE 2
#define SHARESOCK_EVENT_OOB 4
#define SHARESOCK_EVENT_ACCEPT 8
#define SHARESOCK_EVENT_CONNECT 16
#define SHARESOCK_EVENT_CLOSE 32

struct sharesock_occurred {
    int events;
    int connect_error; /* Winsock's code, 0 for none */
    int close_error;
};

/* An event object, not set. An automatic one is reset by the wait that it ends. */
int sharesock_event_open(int automatic, sharesock_event **event);
/* A descriptor that is readable when the object may be set: ask by waiting for 0 milliseconds. It stays the object's. */
int sharesock_event_fd(sharesock_event *event);
/* Registers the object for these events of a socket; 0 cancels. The object keeps a descriptor of the socket until then. */
int sharesock_event_select(sharesock_event *event, int fd, int events);
/* Waits until the object is set. -EAGAIN: it was not in time. */
int sharesock_event_wait(sharesock_event *event, int64_t timeout_ms);
/* What has occurred since, each once, and resets the object; the events. */
int sharesock_event_enumerate(sharesock_event *event, int fd, struct sharesock_occurred *occurred);
/* Has these events told again if they hold still: call it after recv() (READ) or accept() (ACCEPT), which the library does not see. */
int sharesock_event_enable(sharesock_event *event, int fd, int events);
/* Sets the object. */
int sharesock_event_set(sharesock_event *event);
/* Resets it. */
int sharesock_event_reset(sharesock_event *event);
/* Closes it, which ends its registrations. */
int sharesock_event_close(sharesock_event *event);

/* Errors. */

/* The name of a negative result, such as "ESRCH" or "ALREADY_REDEEMED"; NULL for what is no failure. It never changes. */
const char *sharesock_error_name(int error);
/* What went wrong and what to do about it: with details if it is what the last call of this thread that failed returned. Writes as
 * much as there is room for, with a null; returns the whole length. */
size_t sharesock_error_text(int error, char *text, size_t size);

#define SHARESOCK_E_NOT_A_SOCKET (-1001)            /* the descriptor is not a socket */
#define SHARESOCK_E_NO_SUCH_PROCESS (-1002)         /* there is no such process, or it has ended */
#define SHARESOCK_E_NOT_A_PROCESS (-1003)           /* the text does not name a process */
#define SHARESOCK_E_NO_ENDPOINT (-1004)             /* the target has no endpoint, or no such receiver, in this domain */
#define SHARESOCK_E_IMPOSTOR (-1005)                /* another process listens under the name of the target */
#define SHARESOCK_E_QUEUE_FULL (-1006)              /* the queue of the target is full */
#define SHARESOCK_E_TOO_MANY_IN_FLIGHT (-1007)      /* too many descriptors of this user are in flight */
#define SHARESOCK_E_BAD_INFO (-1008)                /* the bytes are no protocol info that this library made */
#define SHARESOCK_E_NOTHING_TO_REDEEM (-1009)       /* the protocol info names no duplicate */
#define SHARESOCK_E_WRONG_PROCESS (-1010)           /* the protocol info was made for another process */
#define SHARESOCK_E_WRONG_DOMAIN (-1011)            /* the protocol info was made in another domain */
#define SHARESOCK_E_ALREADY_REDEEMED (-1012)        /* the protocol info was redeemed before */
#define SHARESOCK_E_UNKNOWN_DELIVERY (-1013)        /* nothing under this protocol info reached this process */
#define SHARESOCK_E_EXPIRED (-1014)                 /* the protocol info has expired */
#define SHARESOCK_E_REVOKED (-1015)                 /* the source revoked the protocol info */
#define SHARESOCK_E_SOURCE_GONE (-1016)             /* the source ended while it held the duplicate */
#define SHARESOCK_E_SOURCE_SILENT (-1017)           /* the source holds the duplicate and did not answer in time */
#define SHARESOCK_E_STILL_HELD (-1018)              /* duplicates are still held for their targets */
#define SHARESOCK_E_HAND_OFF_FULL (-1019)           /* the target has no room for more sockets now */
#define SHARESOCK_E_TARGET_GONE (-1020)             /* the target has ended, or closed its receiver */
#define SHARESOCK_E_TARGET_OUT_OF_DESCRIPTORS (-1021)/* the target has no free descriptor */
#define SHARESOCK_E_TURNED_AWAY (-1022)             /* the target accepts no more senders of this process or user */
#define SHARESOCK_E_NOT_TAKEN (-1023)               /* the target has not taken everything that was handed off to it */
#define SHARESOCK_E_TOO_MANY_BYTES (-1024)          /* too many bytes to go with one socket */
#define SHARESOCK_E_FORKED (-1025)                  /* the object belongs to the process that forked this one */
#define SHARESOCK_E_TOO_MANY_UNREDEEMED (-1026)     /* too many duplicates wait here unredeemed */
#define SHARESOCK_E_TOO_MANY_LINKS (-1027)          /* too many processes have links to this one */
#define SHARESOCK_E_REGISTERED (-1028)              /* the socket has an event registration */
#define SHARESOCK_E_UNSUPPORTED_EVENTS (-1029)      /* this system cannot report these events */
#define SHARESOCK_E_NOT_ON_THIS_SYSTEM (-1030)      /* this system cannot tell or do it */
#define SHARESOCK_E_BOUND_TO_PORT (-1031)           /* the socket is bound to a completion port */
#define SHARESOCK_E_OTHER_DOMAIN (-1032)            /* the socket shares its events in another domain */
#define SHARESOCK_E_BAD_WAIT (-1033)                /* there is nothing to wait for, or one object twice */
#define SHARESOCK_E_TABLE_FULL (-1034)              /* the table of events has no room */
#define SHARESOCK_E_BAD_TABLE (-1035)               /* the table of events cannot be used */
#define SHARESOCK_E_UNTRUSTED_DOMAIN (-1036)        /* the domain's directory cannot be trusted */
#define SHARESOCK_E_NAME_TAKEN (-1037)              /* another user has a name that this process needs */
#define SHARESOCK_E_INTERRUPTED (-1038)             /* a signal interrupted the wait */
#define SHARESOCK_E_ENDPOINT_OPEN (-1039)           /* this process has an endpoint in the domain already */
#define SHARESOCK_E_RECEIVER_OPEN (-1040)           /* this process has a receiver of that name already */
#define SHARESOCK_E_BAD_NAME (-1041)                /* the name of a receiver is not allowed */
#define SHARESOCK_E_DIRECTORY (-1042)               /* the domain's directory cannot be made or used */

#ifdef __cplusplus
}
#endif

#endif
