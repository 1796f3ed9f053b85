"""What it costs to move a socket to another process, beside sockets that `multiprocessing` pickles by itself.

    python bench.py [COUNT]
"""

import multiprocessing
import os
import socket
import sys
import time
from multiprocessing import reduction

import sharesock

WAYS = "pickled by multiprocessing", "pickled after install()", "share, fromshare", "Sender, Receiver"


def _take(pipe, way):
    sharesock.open()
    if way == WAYS[1]:
        sharesock.install()
    receiver = sharesock.Receiver() if way == WAYS[3] else None
    pipe.send(None)
    for _ in range(pipe.recv()):
        if receiver:
            receiver.receive().socket.close()
        elif way == WAYS[2]:
            sharesock.fromshare(pipe.recv_bytes()).close()
        else:
            pipe.recv().close()
        pipe.send_bytes(b"")


def _time(way, count):
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    child = context.Process(target=_take, args=(theirs, way))
    child.start()
    # Afterwards, for the arguments are pickled, too.
    reduction.register(socket.socket, _PLAIN)
    if way == WAYS[1]:
        sharesock.install()
    pipe.recv()
    sender = sharesock.Sender(child.pid) if way == WAYS[3] else None
    sockets = [socket.socket() for _ in range(count)]
    pipe.send(count)
    began = time.perf_counter()
    for sock in sockets:
        if sender:
            sender.hand_off(sock)
        elif way == WAYS[2]:
            pipe.send_bytes(sharesock.share(sock, child.pid))
        else:
            pipe.send(sock)
        pipe.recv_bytes()
    took = time.perf_counter() - began
    for sock in sockets:
        sock.close()
    child.join()
    return took / count * 1e6


if __name__ == "__main__":
    _PLAIN = reduction.ForkingPickler._extra_reducers[socket.socket]
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    first = None
    print(f"microseconds for each of {count} sockets, with its acknowledgement, on {os.cpu_count()} cores")
    for way in WAYS:
        took = _time(way, count)
        first = first or took
        print(f"{way:28} {took:8.1f}   {first / took:5.1f} times as fast")
