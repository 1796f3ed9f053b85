"""Offers, for a target that is not known; and sockets that are pickled."""

from __future__ import annotations

import ctypes
import os
import socket
from typing import Any, Optional, Tuple

from ._library import INFO_SIZE, LIBRARY, call, milliseconds
from ._process import open
from ._share import fromshare, share
from ._sockets import descriptor

_ANYONE = -1
# So long, in seconds, a pickled socket can be unpickled.
_PICKLED = 300.0


def offer(
    sock: Any, *, expires: float = 60.0, anyone: bool = False, kept: bool = False, keeper: Optional[str] = None
) -> bytes:
    """Offers a duplicate to whoever redeems it first, once, within `expires` seconds, with ``fromshare``.

    The 628 bytes are a BEARER TOKEN, unlike those of ``share``: who reads them first has the socket. Treat them as a secret.
    Only processes of this user may have it, unless `anyone` in the domain may.

    The offer ends with this process, unless it is `kept` by ``sharesock keep`` (`keeper` is the text of such a process; else
    one is found). Raises ``FileNotFoundError`` when there is none.
    """
    fd, life, uid = descriptor(sock), milliseconds(expires, "expires"), _ANYONE if anyone else os.geteuid()
    if life < 0:
        raise ValueError("an offer must expire: give it a number of seconds")
    if keeper is not None and "\0" in keeper:
        raise ValueError("a process's text has no null byte")
    open()
    info = ctypes.create_string_buffer(INFO_SIZE)
    if kept or keeper is not None:
        call(LIBRARY.sharesock_offer_kept, fd, None if keeper is None else keeper.encode(), life, uid, info)
    else:
        call(LIBRARY.sharesock_offer, fd, life, uid, info)
    return info.raw


def _share(self: socket.socket, process_id: int) -> bytes:
    """share(process_id) -> bytes: as on Windows, for ``socket.fromshare`` in that process."""
    return share(self, process_id)


def _fromshare(info: bytes) -> socket.socket:
    """fromshare(info) -> socket: as on Windows, from the bytes of ``socket.share``."""
    return fromshare(info)


def _unpickled(info: bytes, timeout: Optional[float]) -> socket.socket:
    sock = fromshare(info)
    if timeout != sock.gettimeout():
        sock.settimeout(timeout)
    return sock


def _pickled(sock: socket.socket) -> Tuple[Any, Tuple[bytes, Optional[float]]]:
    try:
        info = offer(sock, expires=_PICKLED, kept=True)
    except FileNotFoundError:
        info = offer(sock, expires=_PICKLED)
    return _unpickled, (info, sock.gettimeout())


def install() -> None:
    """Gives ``socket.socket`` the method ``share`` and ``socket`` the function ``fromshare``, as on Windows; and has
    ``multiprocessing`` pickle sockets as offers.

    A pickled socket can be unpickled once, by a process of this user that has imported this package, within 300 seconds. With
    ``sharesock keep`` in the domain it survives the process that pickled it; else that one must live until then.
    """
    from multiprocessing import reduction

    if not hasattr(socket.socket, "share"):
        setattr(socket.socket, "share", _share)
        setattr(socket, "fromshare", _fromshare)
    reduction.register(socket.socket, _pickled)
