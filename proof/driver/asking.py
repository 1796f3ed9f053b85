"""Clients of `servers/holder.py`, which know of every request what became of it."""

import collections
import os
import pathlib
import random
import signal
import socket
import threading
import time

from .machine import Failed, send, stat, wait_for

LANES = 12
PAUSE = 0.02
TIMEOUT = 30  # Seconds for one request: workers that failed in a row start anew after ten.
Lost = collections.namedtuple("Lost", "port begun ended greeted why")


def ask(port, seconds=0.0, note=None):
    """One request; gives back the process that answered."""
    with socket.socket() as connection:
        connection.settimeout(TIMEOUT)
        connection.connect(("127.0.0.1", port))
        if note is not None:
            note["port"] = connection.getsockname()[1]
        lines = connection.makefile("rb")
        greeting = lines.readline()
        if not greeting.endswith(b"\n"):
            raise ConnectionError("it ended before somebody accepted it")
        if note is not None:
            note["greeted"] = True
        connection.sendall(f"{seconds}\n".encode())
        if lines.readline() != b"done\n":
            raise ConnectionError(f"process {greeting.decode().strip()} did not answer")
        return int(greeting)


class Clients:
    """Lanes that ask until they are ended, and excuse what had to fail."""

    def __init__(self, port, seed):
        self.port, self.ending, self.count, self.failed = port, threading.Event(), [0] * LANES, []
        # When which connections were held by a process that was killed; and when nobody was there.
        self.held, self.outages = [], []
        self.lanes = [threading.Thread(target=self._lane, args=(lane, seed + lane), daemon=True) for lane in range(LANES)]
        for lane in self.lanes:
            lane.start()

    def _lane(self, lane, seed):
        choice = random.Random(seed)
        while not self.ending.is_set():
            note, begun = {"port": 0, "greeted": False}, time.monotonic()
            try:
                ask(self.port, choice.choice([0, 0, 0, 0.005, 0.05]), note)
                self.count[lane] += 1
            except OSError as why:
                self.failed.append(Lost(note["port"], begun, time.monotonic(), note["greeted"], str(why)))
            self.ending.wait(PAUSE)

    def kill(self, pid):
        """Kills the process, and notes which connections it had at that moment: it is stopped before."""
        send(pid, signal.SIGSTOP)
        wait_for("a process to stand still", lambda: (stat(pid) or ("", "Z"))[1] in "TZ")
        self.held.append((time.monotonic(), connections(pid, self.port)))
        send(pid, signal.SIGKILL)

    def end(self):
        """Lets them finish."""
        self.ending.set()
        for lane in self.lanes:
            lane.join(2 * TIMEOUT)
            if lane.is_alive():
                raise Failed("a client does not end")

    def sorted(self):
        """The failures: in killed processes, while nobody was there, and those without an excuse."""
        kinds = {"held": [], "outage": [], "lost": []}
        for one in self.failed:
            at = [begun for begun, ports in self.held if one.port in ports and one.begun <= begun <= one.ended]
            # What was accepted is answered also when everything ends.
            out = not one.greeted and any(one.begun <= end and one.ended >= begun for begun, end in self.outages)
            kinds["held" if at else "outage" if out else "lost"].append(one)
        return kinds


def connections(pid, port):
    """The clients' ports of the connections that the process has."""
    links = set()
    try:
        for entry in os.listdir(f"/proc/{pid}/fd"):
            links.add(os.readlink(f"/proc/{pid}/fd/{entry}"))
    except OSError:
        pass
    found = set()
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and f"socket:[{fields[9]}]" in links:
            found.add(int(fields[2].partition(":")[2], 16))
    return found
