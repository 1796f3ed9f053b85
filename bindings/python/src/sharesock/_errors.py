"""Errors: what a negative result of the library becomes."""

from __future__ import annotations

import errno
import os
from typing import Tuple

# The library's own numbers lie below this one.
_OWN = -1000
_TIMEOUTS = frozenset({"SOURCE_SILENT", "STILL_HELD", "NOT_TAKEN"})
_INFOS = frozenset({"BAD_INFO"})


class ShareError(OSError):
    """A failure that no ``errno`` describes, such as an info that has expired.

    ``name`` is a stable name, such as ``"EXPIRED"`` or ``"WRONG_PROCESS"``: ``SHARESOCK_E_...`` of ``sharesock.h`` without its
    beginning. ``code`` is the library's number. The text says what happened and what to do.
    """

    name: str
    code: int

    def __init__(self, text: str, name: str = "", code: int = 0) -> None:
        super().__init__(text)
        self.name = name
        self.code = code

    def __reduce__(self) -> Tuple[object, ...]:
        return type(self), (str(self), self.name, self.code)


class InfoError(ShareError, ValueError):
    """The bytes are no info that sharesock made."""


class ShareTimeout(ShareError, TimeoutError):
    """Another process did not do its part in time; the text says which part."""


def made_of(result: int, name: str, text: str) -> OSError:
    """The error for a negative result."""
    if result > _OWN:
        return OSError(-result, text or os.strerror(-result))
    if name in _INFOS:
        return InfoError(text, name, result)
    if name in _TIMEOUTS:
        return ShareTimeout(text, name, result)
    return ShareError(text, name, result)


def not_in_time(error: OSError, timeout: object) -> OSError:
    """What is told when there was time to wait: as for sockets, ``BlockingIOError`` is for those who would not wait."""
    if error.errno == errno.EAGAIN and timeout != 0:
        return TimeoutError(errno.ETIMEDOUT, str(error.strerror))
    return error
