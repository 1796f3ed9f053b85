"""The shared library: found, loaded once, and called.

A process has one endpoint, so all of its parts use one library: the one that is loaded already, else the one that
``$SHARESOCK_LIBRARY`` names, else an installed one, else the one in this package.
"""

from __future__ import annotations

import ctypes
import errno
import math
import os
import sys
import time
from typing import Any, Callable, List, Optional

from . import _errors

SONAME = "libsharesock.so.0"
INFO_SIZE = 628
MOST_BYTES = 65536
NEVER = -1
_MOST_MILLISECONDS = 2**53
# The interface that this package calls.
_NEEDED_VERSION = 0x000100
_BUNDLED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib", SONAME)

_int, _size, _ms = ctypes.c_int, ctypes.c_size_t, ctypes.c_int64
_pointer, _bytes = ctypes.c_void_p, ctypes.c_char_p
# Arguments of each function; every one returns an int, unless it is in _RESULTS.
_ARGUMENTS = {
    "version": [],
    "open": [_bytes],
    "close": [],
    "after_fork": [],
    "domain": [_bytes, _size],
    "process": [_bytes, _size],
    "share": [_int, ctypes.c_uint32, _ms, _pointer],
    "share_to": [_int, _bytes, _ms, _pointer],
    "share_revocable": [_int, _bytes, _ms, _pointer, _pointer],
    "revoke": [_pointer],
    "revocation_close": [_pointer],
    "flush": [_ms],
    "offer": [_int, _ms, _ms, _pointer],
    "offer_kept": [_int, _bytes, _ms, _ms, _pointer],
    "redeem": [_bytes, _size, _ms],
    "try_redeem": [_bytes, _size, _pointer],
    "discard": [_bytes, _size],
    "pending_fd": [_pointer],
    "pending_finish": [_pointer],
    "pending_close": [_pointer],
    "info_text": [_bytes, _size, _pointer, _size],
    "info_parse": [_bytes, _pointer],
    "sender_open": [ctypes.c_uint32, _bytes, _pointer],
    "sender_open_to": [_bytes, _bytes, _pointer],
    "hand_off": [_pointer, _int, _bytes, _size, _ms],
    "sender_fd": [_pointer],
    "sender_outstanding": [_pointer],
    "sender_flush": [_pointer, _ms],
    "sender_reclaim": [_pointer, _pointer, _size, _pointer],
    "sender_close": [_pointer],
    "receiver_open": [_bytes, _pointer],
    "receiver_fd": [_pointer],
    "receive": [_pointer, _pointer, _size, _pointer, _pointer, _size, _ms],
    "receiver_close": [_pointer],
    "holders": [_int, _pointer, _size],
    "error_name": [_int],
    "error_text": [_int, _pointer, _size],
}
_RESULTS = {"error_name": _bytes, "error_text": _size}


def _find() -> ctypes.CDLL:
    """Loads the library."""
    if not sys.platform.startswith("linux"):
        raise ImportError(f"sharesock runs on Linux, not on {sys.platform}; on Windows, sockets have share() by themselves")
    try:
        return ctypes.CDLL(SONAME, mode=os.RTLD_NOW | os.RTLD_NOLOAD)
    except OSError:
        pass
    named = os.environ.get("SHARESOCK_LIBRARY")
    tried = []
    for path in [named] if named else [SONAME, _BUNDLED]:
        try:
            return ctypes.CDLL(path, mode=os.RTLD_NOW)
        except OSError as error:
            tried.append(str(error))
    raise ImportError(
        f"cannot load {SONAME}: {'; '.join(tried)}. Install it (cargo xtask install), or a wheel that has it"
    )


def _load() -> Any:
    library = _find()
    try:
        for name, arguments in _ARGUMENTS.items():
            function = getattr(library, "sharesock_" + name)
            function.argtypes = arguments
            function.restype = _RESULTS.get(name, _int)
    except AttributeError as error:
        raise ImportError(f"{library._name} is too old for this package: {error}. Install a newer one") from None
    version = library.sharesock_version()
    if version < _NEEDED_VERSION:
        raise ImportError(f"{library._name} has version {version:#08x}, and {_NEEDED_VERSION:#08x} is needed")
    return library


LIBRARY = _load()


def error(result: int) -> OSError:
    """The error for the negative result of this thread's last call."""
    room = ctypes.create_string_buffer(1024)
    LIBRARY.sharesock_error_text(result, room, len(room))
    name = LIBRARY.sharesock_error_name(result) or b""
    return _errors.made_of(result, name.decode(), room.value.decode(errors="replace"))


def record(done: List[int], function: Callable[..., int], *arguments: object) -> int:
    """Calls a function and appends its result to `done`.

    The interpreter runs signal handlers between its own steps, and what they raise would lose a result that lies
    between two of them. Here the result is in the list before the interpreter takes its next step.
    """
    done.extend(map(function, *[(argument,) for argument in arguments]))
    return done[-1]


def call(function: Callable[..., int], *arguments: object) -> int:
    """Calls a function that does not wait; raises what it tells."""
    result = function(*arguments)
    if result < 0:
        raise error(result)
    return result


def milliseconds(seconds: Optional[float], what: str = "timeout") -> int:
    """Milliseconds, rounded up, as the library takes them; None is for ever."""
    if seconds is None:
        return -1
    if math.isnan(seconds) or seconds < 0:
        raise ValueError(f"{what} must be a number of seconds that is not negative, or None, not {seconds!r}")
    return math.ceil(min(seconds * 1000, _MOST_MILLISECONDS))


def wait(done: List[int], function: Callable[..., int], *arguments: object, timeout: Optional[float]) -> int:
    """Calls a function that waits; its last argument is the time.

    Signal handlers run when a signal comes, and may raise; else it waits on for the rest of the time (PEP 475).
    """
    left = milliseconds(timeout)
    end = None if timeout is None else time.monotonic() + timeout
    while record(done, function, *arguments, left) == -errno.EINTR:
        if end is not None:
            left = milliseconds(max(0.0, end - time.monotonic()))
    if done[-1] < 0:
        raise _errors.not_in_time(error(done[-1]), timeout)
    return done[-1]
