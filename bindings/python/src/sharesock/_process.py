"""What this process has: its endpoint, which is opened once, dropped by forked children and flushed at exit."""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
from typing import Any, Callable, Optional, Union

from ._library import LIBRARY, call, wait

# So long, in seconds, a process that ends waits for targets to redeem what it holds for them.
_FLUSH_AT_EXIT = 5.0


class _State:
    opened = False
    # How often this process has been forked, from its first ancestor that had loaded this.
    forks = 0
    # Reentrant: a signal handler or a finaliser may run in the middle of what it guards.
    lock = threading.RLock()


def open(domain: Union[str, "os.PathLike[str]", None] = None) -> None:
    """Opens the endpoint of this process in a domain, a directory in which processes meet.

    Without a directory it is ``$SHARESOCK_DOMAIN``, else the default of the user. The first call of this package that needs
    the endpoint opens it so; a target that opens it early, when it starts, has what is shared with it at once.

    Raises ``ShareError`` ``ENDPOINT_OPEN`` when this process has it open in another domain.
    """
    path = None if domain is None else os.fsencode(domain)
    if path is not None and b"\0" in path:
        raise ValueError("a directory's name has no null byte")
    if _State.opened and path is None:
        return
    call(LIBRARY.sharesock_open, path)
    if _State.opened:
        LIBRARY.sharesock_close()
    _State.opened = True


def process() -> str:
    """The text that names this process to others, in other PID namespaces as well: give it to ``share`` or ``Sender``."""
    open()
    room = ctypes.create_string_buffer(64)
    call(LIBRARY.sharesock_process, room, len(room))
    return room.value.decode()


def flush(timeout: Optional[float] = None) -> None:
    """Waits until targets have redeemed everything that this process holds for them.

    It holds duplicates for targets that had no endpoint yet. At exit this is called for up to 5 seconds. Raises ``ShareTimeout``
    (``STILL_HELD``) when the time is over.
    """
    open()
    wait([], LIBRARY.sharesock_flush, timeout=timeout)


class Handle:
    """An object of the library, closed when nobody uses it any more."""

    def __init__(self, pointer: ctypes.c_void_p, close: Callable[[ctypes.c_void_p], int], what: str) -> None:
        self._pointer: Optional[ctypes.c_void_p] = pointer
        self._close = close
        self._what = what
        self._forks = _State.forks
        self._uses = 0
        self._closing = False

    def check(self) -> None:
        """Raises if it cannot be used any more."""
        if self._closing:
            raise ValueError(f"this {self._what} is closed")

    def is_closed(self) -> bool:
        return self._closing

    def is_of_this_process(self) -> bool:
        return self._forks == _State.forks

    def __enter__(self) -> ctypes.c_void_p:
        with _State.lock:
            # First counted, then looked at: a signal handler may close it in between.
            self._uses += 1
            pointer = self._pointer
        if pointer is None or self._closing:
            self._leave()
            self.check()
        assert pointer is not None
        return pointer

    def __exit__(self, *_: Any) -> None:
        self._leave()

    def _leave(self) -> None:
        with _State.lock:
            self._uses -= 1
        if self._closing:
            self.close()

    def close(self) -> None:
        """Closes it: at once, or when the last call that uses it returns."""
        with _State.lock:
            self._closing = True
            # Those that used it when this process was forked are threads of the parent.
            if self._uses > 0 and self.is_of_this_process():
                return
            pointer, self._pointer = self._pointer, None
        if pointer is not None:
            self._close(pointer)

    def __del__(self) -> None:
        if not self._closing:
            self.close()


def _after_fork_in_child() -> None:
    # Another thread of the parent may have held it.
    _State.lock = threading.RLock()
    _State.forks += 1
    LIBRARY.sharesock_after_fork()


def at_exit() -> None:
    """Flushes, where signals are still heard, and closes the endpoint, so that the library does not wait again."""
    if not _State.opened:
        return
    try:
        flush(_FLUSH_AT_EXIT)
    except OSError:
        pass
    finally:
        _State.opened = False
        LIBRARY.sharesock_close()


os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(at_exit)
