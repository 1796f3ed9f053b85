"""Requests of half a second each, over three reloads: with the server's stop signal, and with SIGTERM."""

import itertools
import socket
import threading
import time

from .machine import Failed
from .supervised import Supervised

LANES = 6
RELOADS = 3
# Seconds.
PATIENCE = 10
BETWEEN = 1
# Pages that a server takes half a second over; those that know no such pages take a second, for each is a 200th.
FIRST, STEP = 1_000_000, 200
LEAST = 0.4


class Slow:
    """Lanes that always have a request under way, each on a connection of its own."""

    def __init__(self, port):
        self.port, self.stop = port, threading.Event()
        self.numbers = itertools.count(FIRST, STEP)
        self.answered, self.failures = [], []
        self.threads = [threading.Thread(target=self._lane, daemon=True) for _ in range(LANES)]
        for thread in self.threads:
            thread.start()

    def _lane(self):
        while not self.stop.is_set():
            number, began = next(self.numbers), time.monotonic()
            try:
                ask(self.port, number)
                self.answered.append(time.monotonic() - began)
            except (OSError, ValueError) as error:
                self.failures.append(f"after {time.monotonic() - began:.3f} s: {error}")
                # A server that turns everybody away is not to be asked a thousand times.
                self.stop.wait(0.1)

    def finish(self):
        """Waits for the last answers, and says what was lost."""
        self.stop.set()
        for thread in self.threads:
            thread.join()
        if self.answered and min(self.answered) < LEAST:
            raise Failed(f"a slow page came after {min(self.answered):.3f} s: nothing was proved")
        return {
            "requests": len(self.answered) + len(self.failures),
            "lost": len(self.failures),
            "failures": self.failures,
        }


def ask(port, number):
    """One request, and its answer, of which every byte is compared."""
    text = b"%d\n" % number * 1024
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        connection.sendall(b"GET /%d HTTP/1.1\r\nHost: proof\r\nConnection: close\r\n\r\n" % number)
        answer = bytearray()
        while b"\r\n\r\n" not in answer or len(answer.partition(b"\r\n\r\n")[2]) < len(text):
            if not (part := connection.recv(65536)):
                raise ValueError(f"the connection ended after {len(answer)} bytes")
            answer += part
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    if b" 200 " not in head.splitlines()[0] + b" " or body != text:
        raise ValueError(f"wrong answer: {head.splitlines()[0].decode(errors='replace')}")


def prove(machine, name):
    """By the stop signal, and by SIGTERM without anything that makes the server drain."""
    subject = Supervised(machine, name, "-slow")
    report = {"signal": subject.spec.stop_signal, **reloads(subject)}
    same = subject.spec.stop_signal == "TERM" and not subject.spec.plain
    return report | {"plain": report if same else reloads(Supervised(machine, name, "-plain", plain=True))}


def reloads(subject):
    """Three reloads of the server, with slow requests under way all the time."""
    subject.start()
    lanes = Slow(subject.port)
    try:
        for _ in range(RELOADS):
            time.sleep(BETWEEN)
            subject.reload()
            subject.settle()
        time.sleep(BETWEEN)
        report = lanes.finish()
    finally:
        lanes.stop.set()
    subject.stop()
    return report
