"""Handing off: a socket is given away for good, with bytes."""

from __future__ import annotations

import ctypes
import errno
import select
import socket
import time
from typing import Any, AsyncIterator, Iterator, List, NamedTuple, Optional

from ._errors import ShareError, not_in_time
from ._library import LIBRARY, MOST_BYTES, call, error, record, wait
from ._process import Handle, open
from ._share import Process, close_result, named, readable
from ._sockets import adopted, refuse_tls


class Parcel(NamedTuple):
    """What was handed off: the socket, the bytes that came along, and the process that it is from, if that is known."""

    socket: socket.socket
    data: bytes
    source: Optional[str]


def _name(name: Optional[str]) -> Optional[bytes]:
    if name is not None and "\0" in name:
        raise ValueError("a receiver's name has no null byte")
    return None if name is None else name.encode()


class Sender:
    """Hands sockets off to a receiver of one process. Keep one for each process."""

    def __init__(self, process_id: Process, name: Optional[str] = None) -> None:
        (pid, text), receiver = named(process_id), _name(name)
        open()
        made = ctypes.c_void_p()
        if pid is not None:
            call(LIBRARY.sharesock_sender_open, pid, receiver, ctypes.byref(made))
        else:
            call(LIBRARY.sharesock_sender_open_to, text, receiver, ctypes.byref(made))
        self._handle = Handle(made, LIBRARY.sharesock_sender_close, "sender")
        self._reclaimed: List[Parcel] = []

    def hand_off(self, sock: socket.socket, data: Any = b"", timeout: Optional[float] = 5.0) -> None:
        """Gives the socket away, with up to 65,536 bytes, such as unread input. It is detached here only if this succeeds.

        Raises ``TimeoutError`` when the target had no room in time (``BlockingIOError`` for a timeout of 0) and
        ``BrokenPipeError`` when it has ended: the socket is the caller's still, and ``reclaim`` has the others.
        """
        refuse_tls(sock)
        if not isinstance(sock, socket.socket):
            raise TypeError(f"a socket is needed, not {type(sock).__name__}")
        content = data if isinstance(data, bytes) else bytes(memoryview(data))
        if sock.fileno() < 0:
            raise ValueError("the socket is closed")
        done: List[int] = []
        with self._handle as pointer:
            try:
                function = LIBRARY.sharesock_hand_off
                wait(done, function, pointer, sock.fileno(), content, len(content), timeout=timeout)
            finally:
                # Whatever is raised: from here on the number may be another's.
                if done and done[-1] == 0:
                    sock.detach()

    def fileno(self) -> int:
        """A descriptor that is readable when the target has ended or closed its receiver."""
        with self._handle as pointer:
            return call(LIBRARY.sharesock_sender_fd, pointer)

    def outstanding(self) -> int:
        """How many sockets the target has not taken yet."""
        with self._handle as pointer:
            return call(LIBRARY.sharesock_sender_outstanding, pointer)

    def flush(self, timeout: Optional[float] = None) -> None:
        """Waits until the target has taken everything. Raises ``ShareTimeout`` (``NOT_TAKEN``) when the time is over."""
        with self._handle as pointer:
            wait([], LIBRARY.sharesock_sender_flush, pointer, timeout=timeout)

    def reclaim(self) -> List[Parcel]:
        """Ends the hand-offs and returns exactly what the target has not taken, in order, with its bytes."""
        with self._handle as pointer:
            while True:
                done: List[int] = []
                room, length = ctypes.create_string_buffer(MOST_BYTES), ctypes.c_size_t()
                try:
                    record(done, LIBRARY.sharesock_sender_reclaim, pointer, room, MOST_BYTES, ctypes.byref(length))
                    if done[-1] == -errno.ENODATA:
                        break
                    if done[-1] == -errno.EINTR:
                        continue
                    if done[-1] < 0:
                        raise error(done[-1])
                    # Kept here, so that a failure of the next one loses none.
                    self._reclaimed.append(Parcel(adopted(done.pop(), None), room.raw[: length.value], None))
                except BaseException:
                    close_result(done)
                    raise
        parcels, self._reclaimed = self._reclaimed, []
        return parcels

    def close(self) -> None:
        """Closes it. What is on its way stays on its way."""
        self._handle.close()

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class Receiver:
    """Receives what other processes hand off to this one: one at a time, by iteration, or by ``async for``.

    An iteration ends when the receiver is closed, be it by another thread. What was not taken by then is its senders' again.
    """

    def __init__(self, name: Optional[str] = None) -> None:
        receiver = _name(name)
        open()
        made = ctypes.c_void_p()
        call(LIBRARY.sharesock_receiver_open, receiver, ctypes.byref(made))
        # What ends the waits of other threads when this is closed.
        self._waker, self._woken = _, woken = socket.socketpair()

        def close(pointer: ctypes.c_void_p) -> int:
            woken.close()
            return LIBRARY.sharesock_receiver_close(pointer)

        self._handle = Handle(made, close, "receiver")
        self._awaited = False

    def fileno(self) -> int:
        """A descriptor that is readable when there may be something to receive, for ``select`` and event loops."""
        with self._handle as pointer:
            return call(LIBRARY.sharesock_receiver_fd, pointer)

    def _try_receive(self) -> Optional[Parcel]:
        done: List[int] = []
        room, length = ctypes.create_string_buffer(MOST_BYTES), ctypes.c_size_t()
        source = ctypes.create_string_buffer(64)
        out = room, MOST_BYTES, ctypes.byref(length), source, len(source), 0
        with self._handle as pointer:
            try:
                while record(done, LIBRARY.sharesock_receive, pointer, *out) == -errno.EINTR:
                    pass
                if done[-1] == -errno.EAGAIN:
                    return None
                if done[-1] < 0:
                    raise error(done[-1])
                return Parcel(adopted(done.pop(), None), room.raw[: length.value], source.value.decode() or None)
            except BaseException:
                close_result(done)
                raise

    def receive(self, timeout: Optional[float] = None) -> Parcel:
        """Takes one socket. Raises ``TimeoutError`` when nothing came in time (``BlockingIOError`` for a timeout of 0)."""
        if timeout is not None and not timeout >= 0:
            raise ValueError(f"timeout must be a number of seconds that is not negative, or None, not {timeout!r}")
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            self._check()
            parcel = self._try_receive()
            if parcel is not None:
                return parcel
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise not_in_time(BlockingIOError(errno.EAGAIN, "nothing was handed off in time"), timeout)
            # In pieces, for poll() takes no more milliseconds than an int has room for.
            self._poll(None if left is None else min(left, 3600.0))

    def _check(self) -> None:
        self._handle.check()
        if not self._handle.is_of_this_process():
            raise ShareError("this receiver belongs to the process that forked this one: open another", "FORKED", -1025)

    def _poll(self, seconds: Optional[float]) -> None:
        poll = select.poll()
        # Held meanwhile, so that both numbers stay what they are.
        with self._handle as pointer:
            poll.register(call(LIBRARY.sharesock_receiver_fd, pointer), select.POLLIN)
            poll.register(self._woken, select.POLLIN)
            poll.poll(None if seconds is None else seconds * 1000)

    def __iter__(self) -> Iterator[Parcel]:
        while not self._handle.is_closed():
            try:
                parcel = self.receive()
            except ValueError:
                if self._handle.is_closed():
                    return
                raise
            yield parcel

    async def areceive(self) -> Parcel:
        """Takes one socket, in an event loop, without a thread. One task at a time may wait."""
        if self._awaited:
            raise RuntimeError("another task waits at this receiver already")
        self._awaited = True
        try:
            while True:
                self._check()
                parcel = self._try_receive()
                if parcel is not None:
                    return parcel
                # Held meanwhile, so that both numbers stay what they are.
                with self._handle as pointer:
                    await readable(call(LIBRARY.sharesock_receiver_fd, pointer), self._woken.fileno())
        finally:
            self._awaited = False

    async def __aiter__(self) -> AsyncIterator[Parcel]:
        while not self._handle.is_closed():
            try:
                parcel = await self.areceive()
            except ValueError:
                if self._handle.is_closed():
                    return
                raise
            yield parcel

    def close(self) -> None:
        """Closes it. What was not taken is its senders' again."""
        if not self._handle.is_closed():
            self._handle.close()
            try:
                self._waker.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self._waker.close()

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            self.close()
