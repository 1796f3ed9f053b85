"""A server that says who it is to each connection that it has accepted, before anything else; then a line for a line.

It takes its listeners as systemd passes them. Asked to end by SIGTERM it accepts nothing more, and answers what it has accepted.
"""

import os
import selectors
import signal
import socket
import threading
import time

ENDING, ENDING_IN = socket.socketpair()
TIMEOUT = 20


def serve(connection):
    """One request. The greeting is the promise to answer."""
    try:
        connection.settimeout(TIMEOUT)
        connection.sendall(f"{os.getpid()}\n".encode())
        line = connection.makefile("rb").readline()
        time.sleep(float(line or 0))
        connection.sendall(b"done\n" if line else b"")
    except OSError:
        pass
    finally:
        connection.close()


def main():
    """Serves until it is asked to end."""
    signal.signal(signal.SIGTERM, lambda *_: ENDING_IN.send(b"!"))
    wanted = selectors.DefaultSelector()
    wanted.register(ENDING, selectors.EVENT_READ)
    for number in range(3, 3 + int(os.environ["LISTEN_FDS"])):
        listener = socket.socket(fileno=number)
        listener.setblocking(False)
        wanted.register(listener, selectors.EVENT_READ)
    while True:
        ready = [key.fileobj for key, _ in wanted.select()]
        if ENDING in ready:
            break
        for listener in ready:
            try:
                connection, _ = listener.accept()
            except OSError:
                continue
            threading.Thread(target=serve, args=(connection,)).start()
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join()
    os._exit(0)


main()
