"""Processes, files and ports: all that is started here ends with the program, also when it fails."""

import ctypes
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

BOUND = 60  # Seconds after which something counts as hung.
PR_SET_CHILD_SUBREAPER = 36


class Failed(Exception):
    """Something that was to happen did not."""


class Machine:
    """A temporary folder, and the processes that were started."""

    def __init__(self):
        # Whoever loses its parent becomes this process's child, and so is found at the end.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sharesock-proof-"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill_rest()
        if not os.environ.get("SHARESOCK_PROOF_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, command, log, **options):
        """Starts a process that writes into the log, in a session of its own."""
        with open(log, "ab") as output:
            options = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output, **options}
            return subprocess.Popen([str(word) for word in command], start_new_session=True, **options)

    def rest(self):
        """All processes below this one, as (pid, name)."""
        return [(pid, name) for pid, name, state in below(os.getpid()) if state != "Z"]

    def kill_rest(self):
        """Kills all processes below this one; gives back who they were."""
        found = self.rest()
        while rest := self.rest():
            for pid, _ in rest:
                send(pid, signal.SIGKILL)
            reap()
            time.sleep(0.01)
        reap()
        return found


def send(pid, number):
    """Sends the signal; it is no fault if the process is gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def reap():
    """Collects those that ended after they lost their parent."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def wait_for(what, condition, bound=BOUND):
    """Waits until the condition gives something, and gives that back."""
    end = time.monotonic() + bound
    while not (found := condition()):
        if time.monotonic() > end:
            raise Failed(f"waited {bound} s in vain for {what}")
        time.sleep(0.02)
    return found


def stat(pid):
    """The name, the state, the parent and the group of a process; None if it is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    head, _, rest = text.rpartition(") ")
    state, parent, group = rest.split()[:3]
    return head.partition("(")[2], state, int(parent), int(group)


def every():
    """Every process: its number, and what stat says."""
    numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [(pid, *seen) for pid in numbers if (seen := stat(pid))]


def children(parent):
    """The processes that it has as children and that run."""
    return [pid for pid, _, state, above, _ in every() if above == parent and state != "Z"]


def below(root):
    """All processes below it: (pid, name, state)."""
    processes, known, found = every(), {root}, []
    while more := [seen for seen in processes if seen[3] in known and seen[0] not in known]:
        known.update(seen[0] for seen in more)
        found += [(pid, name, state) for pid, name, state, _, _ in more]
    return found


def group(leader):
    """The processes of the group."""
    return [pid for pid, _, state, _, of in every() if of == leader and state != "Z"]


def free_port():
    """A port of 127.0.0.1 that nobody has, below those that the system gives to clients."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def accepts(port):
    """Whether somebody listens on the port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def queued(port):
    """How many connections wait to be accepted on the port of 127.0.0.1."""
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[3] == "0A":
            return int(fields[4].partition(":")[2], 16)
    return 0


def end_of(file, lines=15):
    """The last lines of a log."""
    try:
        return "\n".join(pathlib.Path(file).read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""
