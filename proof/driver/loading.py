"""Load on a server, connections that wait, and a process that is killed: all by the generator."""

import json
import subprocess
import time

from . import tools
from .machine import BOUND, Failed


class Load:
    """Requests that go on until `finish`."""

    def __init__(self, machine, name, port, settings):
        self.notes = machine.folder / f"{name}.killed"
        self.began = time.monotonic()
        command = [tools.generator(), "load", f"127.0.0.1:{port}", "--name", name, "--json", "--killed", self.notes]
        self.process = subprocess.Popen(
            [*map(str, command), *settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def until(self, second):
        """Lets it go on until so many seconds have passed."""
        time.sleep(max(0, self.began + second - time.monotonic()))
        if self.process.poll() is not None:
            raise Failed(f"the load generator ended by itself, with {self.process.returncode}")

    def finish(self):
        """Ends it; gives back its report."""
        try:
            output, _ = self.process.communicate("", timeout=BOUND)
        except subprocess.TimeoutExpired as error:
            raise Failed("the load generator does not end") from error
        return _report(output, self.process)


class Fill:
    """Connections whose requests have been sent and whose answers are awaited."""

    def __init__(self, port, count, patience):
        command = [tools.generator(), "fill", f"127.0.0.1:{port}", "--json"]
        command += ["--connections", count, "--patience", patience]
        self.process = subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.sent = int(self.process.stdout.readline().partition(" ")[2] or 0)

    def wait(self, seconds):
        """Whether all have been answered, or have failed, by then."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def finish(self):
        """Waits for the answers; gives back the report."""
        output, _ = self.process.communicate(timeout=BOUND * 2)
        return _report(output, self.process)


def _report(output, process):
    try:
        report = json.loads(output)
    except ValueError as error:
        raise Failed(f"the load generator gave no report; it ended with {process.returncode}") from error
    if report["own"]:
        first = next(failure["error"] for failure in report["failures"] if failure["kind"] == "own")
        raise Failed(f"the load generator itself failed {report['own']} times: {first}")
    return report


def kill(pid, port, notes, group=False):
    """Kills the process, or its group, and notes which connections it had."""
    command = [tools.generator(), "kill", pid, "--port", port, "--note", notes, *(["--group"] if group else [])]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=BOUND * 2)
    if done.returncode != 0:
        raise Failed(f"cannot kill {pid}: {done.stderr.strip()}")
