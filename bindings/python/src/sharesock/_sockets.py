"""Between sockets of Python and descriptors."""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from typing import Any, Optional

_libc = ctypes.CDLL(None, use_errno=True)
_SO_TYPE, _SO_PROTOCOL, _SO_DOMAIN = 3, 38, 39


def refuse_tls(sock: Any) -> None:
    """Refuses what has state that a descriptor does not carry."""
    ssl = sys.modules.get("ssl")
    if ssl is not None and isinstance(sock, ssl.SSLSocket):
        raise TypeError("a TLS connection has state that does not travel: share the socket below, before the handshake")


def descriptor(sock: Any) -> int:
    """The descriptor of a socket, or of anything that has ``fileno()``, or is a number."""
    refuse_tls(sock)
    if isinstance(sock, int) and not isinstance(sock, bool):
        number = sock
    elif hasattr(sock, "fileno"):
        number = sock.fileno()
    else:
        raise TypeError(f"a socket is needed, not {type(sock).__name__}")
    if number < 0:
        raise ValueError("the socket is closed")
    return number


def _option(fd: int, option: int) -> int:
    value, size = ctypes.c_int(), ctypes.c_uint32(ctypes.sizeof(ctypes.c_int))
    if _libc.getsockopt(fd, socket.SOL_SOCKET, option, ctypes.byref(value), ctypes.byref(size)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return value.value


def adopted(fd: int, blocking: Optional[bool]) -> socket.socket:
    """A socket that owns this descriptor; closes it on failure.

    The mode is common state. Without `blocking` the socket gets the mode that the common state has: so nothing that
    another process sees is changed.
    """
    sock = socket.socket.__new__(socket.socket)
    try:
        is_blocking = os.get_blocking(fd)
        family, kind, proto = _option(fd, _SO_DOMAIN), _option(fd, _SO_TYPE), _option(fd, _SO_PROTOCOL)
        if not is_blocking or socket.getdefaulttimeout() is not None:
            # Said so, Python does not touch the descriptor, not even for socket.setdefaulttimeout().
            kind |= socket.SOCK_NONBLOCK
        sock.__init__(family, kind, proto, fd)  # type: ignore[misc]
        wanted = is_blocking if blocking is None else blocking
        if wanted != (sock.gettimeout() is None):
            sock.setblocking(wanted)
        elif wanted != is_blocking:
            os.set_blocking(fd, wanted)
        return sock
    except BaseException:
        os.close(sock.detach() if sock.fileno() >= 0 else fd)
        raise
