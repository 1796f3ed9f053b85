"""Processes share live sockets: 628 bytes name a duplicate that one other process redeems.

    info = sharesock.share(sock, pid)       # here: send the bytes over whatever you like
    sock = sharesock.fromshare(info)        # in the process `pid`

A socket is given away for good, with bytes, by ``Sender(pid).hand_off(sock, unread)``, and taken by ``Receiver()``.
"""

from ._errors import InfoError, ShareError, ShareTimeout
from ._hand_off import Parcel, Receiver, Sender
from ._offer import install, offer
from ._process import flush, open, process
from ._share import Holder, Revocation, afromshare, discard, fromshare, holders, info_parse, info_text, revocable, share

__version__ = "0.1.0"
__all__ = [
    "Holder",
    "InfoError",
    "Parcel",
    "Receiver",
    "Revocation",
    "Sender",
    "ShareError",
    "ShareTimeout",
    "afromshare",
    "discard",
    "flush",
    "fromshare",
    "holders",
    "info_parse",
    "info_text",
    "install",
    "offer",
    "open",
    "process",
    "revocable",
    "share",
]
