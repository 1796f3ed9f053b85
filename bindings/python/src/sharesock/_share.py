"""Sharing: an info for one process, and its redemption there."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import socket
from typing import Any, List, NamedTuple, Optional, Tuple, Union

from ._library import INFO_SIZE, LIBRARY, call, error, milliseconds, record, wait
from ._process import Handle, open
from ._sockets import adopted, descriptor

Process = Union[int, str]


def named(process: Process) -> Tuple[Optional[int], bytes]:
    """The process id, if it was given as one, and the text."""
    if isinstance(process, int) and not isinstance(process, bool):
        if not 0 < process < 2**32:
            raise ValueError(f"{process} is no process id")
        return process, b"%d" % process
    if isinstance(process, str):
        if "\0" in process:
            raise ValueError("a process's text has no null byte")
        return None, process.encode()
    raise TypeError(f"a process is an id or the text of sharesock.process(), not {type(process).__name__}")


def _lifetime(expires: Optional[float]) -> int:
    return milliseconds(expires, "expires")


def share(sock: Any, process_id: Process, *, expires: Optional[float] = None) -> bytes:
    """Duplicates a socket for one process and returns 628 bytes, the info, that it redeems with ``fromshare``.

    The bytes are no secret: only that process can redeem them, once, and not later than `expires` seconds from now. If the
    process has its endpoint, the duplicate lies with it when this returns, and the socket may be closed here; else this
    process holds it (see ``flush``). On Windows this is ``WSADuplicateSocket``.

    Raises ``ProcessLookupError`` when there is no such process, ``TypeError`` for TLS sockets, ``ShareError`` otherwise.
    """
    fd, (pid, text), life = descriptor(sock), named(process_id), _lifetime(expires)
    open()
    info = ctypes.create_string_buffer(INFO_SIZE)
    if pid is not None:
        call(LIBRARY.sharesock_share, fd, pid, life, info)
    else:
        call(LIBRARY.sharesock_share_to, fd, text, life, info)
    return info.raw


class Revocation:
    """The means to take a duplicate back."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def revoke(self) -> None:
        """Takes it back. Raises ``ShareError`` ``ALREADY_REDEEMED`` when it is too late."""
        with self._handle as pointer:
            call(LIBRARY.sharesock_revoke, pointer)

    def close(self) -> None:
        """Gives up the means to revoke. Nothing else changes."""
        self._handle.close()


def revocable(sock: Any, process_id: Process, *, expires: Optional[float] = None) -> Tuple[bytes, Revocation]:
    """The same as ``share``, with the means to revoke it."""
    fd, (_, text), life = descriptor(sock), named(process_id), _lifetime(expires)
    open()
    info, made = ctypes.create_string_buffer(INFO_SIZE), ctypes.c_void_p()
    call(LIBRARY.sharesock_share_revocable, fd, text, life, info, ctypes.byref(made))
    return info.raw, Revocation(Handle(made, LIBRARY.sharesock_revocation_close, "revocation"))


def _bytes_of(info: Any) -> bytes:
    return info if isinstance(info, bytes) else bytes(memoryview(info))


def close_result(done: List[int]) -> None:
    """Closes the descriptor that a call returned and nobody has."""
    if done and done[-1] >= 0:
        os.close(done.pop())


def fromshare(info: Any, *, blocking: Optional[bool] = None, timeout: Optional[float] = 5.0) -> socket.socket:
    """Redeems an info: one more descriptor of the socket that it names.

    The socket's state is common to all who hold it, and that includes whether it blocks (``O_NONBLOCK``). It stays as it is,
    unless `blocking` says otherwise: then it changes for all. A source that holds the duplicate is waited for `timeout` seconds.

    Raises ``ValueError`` for bytes that are no info, ``ShareTimeout`` (``SOURCE_SILENT``; the info stays good), and ``ShareError``,
    whose ``name`` tells why: ``ALREADY_REDEEMED``, ``EXPIRED``, ``REVOKED``, ``WRONG_PROCESS`` and others.
    """
    data = _bytes_of(info)
    open()
    done: List[int] = []
    try:
        wait(done, LIBRARY.sharesock_redeem, data, len(data), timeout=timeout)
        return adopted(done.pop(), blocking)
    except BaseException:
        close_result(done)
        raise


async def readable(*fds: int) -> None:
    """Waits in the running event loop until one of the descriptors is readable."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    try:
        for fd in fds:
            loop.add_reader(fd, lambda: ready.done() or ready.set_result(None))
        await ready
    finally:
        for fd in fds:
            loop.remove_reader(fd)


async def afromshare(info: Any, *, blocking: Optional[bool] = None) -> socket.socket:
    """The same as ``fromshare`` in an event loop, without a thread. To limit the time, use ``asyncio.wait_for``."""
    data = _bytes_of(info)
    open()
    done: List[int] = []
    made = ctypes.c_void_p()
    try:
        record(done, LIBRARY.sharesock_try_redeem, data, len(data), ctypes.byref(made))
        if done[-1] == -errno.EAGAIN and made:
            pending = Handle(made, LIBRARY.sharesock_pending_close, "redemption")
            try:
                with pending as pointer:
                    while done[-1] == -errno.EAGAIN:
                        await readable(call(LIBRARY.sharesock_pending_fd, pointer))
                        record(done, LIBRARY.sharesock_pending_finish, pointer)
            finally:
                pending.close()
        if done[-1] < 0:
            raise error(done[-1])
        return adopted(done.pop(), blocking)
    except BaseException:
        close_result(done)
        raise


def discard(info: Any) -> None:
    """Closes the duplicate that an info names, for a target that does not want it."""
    data = _bytes_of(info)
    open()
    call(LIBRARY.sharesock_discard, data, len(data))


def info_text(info: Any) -> str:
    """An info as one line of text, as the program ``sharesock`` prints and reads it."""
    data, room = _bytes_of(info), ctypes.create_string_buffer(256)
    call(LIBRARY.sharesock_info_text, data, len(data), room, len(room))
    return room.value.decode()


def info_parse(text: str) -> bytes:
    """The bytes of an info from its text."""
    if "\0" in text:
        raise ValueError("an info's text has no null byte")
    info = ctypes.create_string_buffer(INFO_SIZE)
    call(LIBRARY.sharesock_info_parse, text.strip().encode(), info)
    return info.raw


class Holder(NamedTuple):
    """A descriptor of a socket in a process."""

    pid: int
    descriptor: int
    command: str


class _Holder(ctypes.Structure):
    _fields_ = [("pid", ctypes.c_uint32), ("descriptor", ctypes.c_uint32), ("command", ctypes.c_char * 32)]


def holders(sock: Any) -> List[Holder]:
    """Every descriptor of the socket in every process that this one may look at."""
    fd, room = descriptor(sock), 16
    open()
    while True:
        found = (_Holder * room)()
        count = call(LIBRARY.sharesock_holders, fd, found, room)
        if count <= room:
            return [Holder(one.pid, one.descriptor, one.command.decode(errors="replace")) for one in found[:count]]
        room = count * 2
