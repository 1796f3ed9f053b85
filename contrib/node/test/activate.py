"""Starts a command the way of socket activation: activate.py NAME=ADDRESS... -- COMMAND...

An address is HOST:PORT (0 picks one) or a path. Prints a line of JSON, addresses by name, and becomes the command.
"""

import json
import os
import socket
import sys

FIRST = 3


def listen(address):
    if address.startswith("/"):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address)
    else:
        host, port = address.rsplit(":", 1)
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
    listener.listen(128)
    return listener


def main():
    end = sys.argv.index("--")
    pairs = [argument.split("=", 1) for argument in sys.argv[1:end]]
    listeners = [(name, listen(address)) for name, address in pairs]
    print(json.dumps({name: listener.getsockname() for name, listener in listeners}), flush=True)
    # First out of the way of the numbers at which they belong.
    beyond = FIRST + len(listeners)
    high = [os.dup2(listener.fileno(), beyond + 100 + index) for index, (_, listener) in enumerate(listeners)]
    for number, fd in enumerate(high, FIRST):
        os.dup2(fd, number, inheritable=True)
        os.close(fd)
    for _, listener in listeners:
        if listener.fileno() >= beyond:
            listener.close()
        else:
            listener.detach()
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ["LISTEN_FDS"] = str(len(listeners))
    os.environ["LISTEN_FDNAMES"] = ":".join(name for name, _ in listeners)
    os.execvp(sys.argv[end + 1], sys.argv[end + 1:])


main()
