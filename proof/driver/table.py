"""The table at the end, and the one of the servers in docs/supervisor.md."""

import json

from . import tools
from .servers import SERVERS

# What the last whole run lost of slow requests by plain SIGTERM: [lost, of so many].
LOST = tools.SERVERS / "lost.json"
DOCUMENT = tools.ROOT / "docs" / "supervisor.md"
# In the order of the document, with what is not run here.
ORDER = ["gunicorn", "uvicorn", "hypercorn", "uwsgi", "puma", "unicorn", "php-fpm", "haproxy", "nginx"]
UNCHANGED_NODE = (
    "| Node, unchanged | `node -r ./sharesock.cjs server.js` with [contrib/node](../contrib/node) | TERM | | |"
)
HEAD = ["| server | command behind `--` | stop signal | environment | lost with TERM |", "| --- | --- | --- | --- | --- |"]

COLUMNS = [
    ("requests", 9, "requests"),
    ("refused", 8, "refused"),
    ("reset", 6, "reset"),
    ("short", 6, "short"),
    ("wrong", 6, "wrong"),
    ("late", 5, "timed_out"),
    ("in killed", 10, "killed"),
    ("LOST", 5, "lost"),
    ("reused", 7, "reused"),
]
TIMES = [("p50 ms", 7, "p50_us"), ("p99 ms", 8, "p99_us"), ("max ms", 8, "max_us")]
WAITING = [("reload", 8), ("upgrade", 8)]
SLOW = [("signal", 7), ("slow", 6), ("LOST", 5), ("by TERM", 8), ("lost", 5)]
SHOWN = 5


def title():
    """Its first line."""
    words = [f"{'server':<16}"] + [f"{name:>{width}}" for name, width, _ in COLUMNS + TIMES]
    return " ".join(words + [f"{'w.' + name:>{width + 2}}" for name, width in WAITING])


def line(result):
    """A server's line."""
    if "load" not in result:
        return f"{result['name']:<16}  {_short(result['verdict'])}"
    load = result["load"]
    words = [f"{result['name']:<16}"] + [f"{load[key]:>{width}}" for _, width, key in COLUMNS]
    words += [f"{_ms(load[key]):>{width}}" for _, width, key in TIMES]
    words += [f"{_waiting(result['waiting'].get(name)):>{width + 2}}" for name, width in WAITING]
    return " ".join(words) + ("" if result["verdict"] == "ok" else f"  {_short(result['verdict'])}")


def slow_title():
    """The first line of the table of slow requests."""
    return " ".join([f"{'server':<16}"] + [f"{name:>{width}}" for name, width in SLOW])


def slow_line(result):
    """A server's line there."""
    slow = result["slow"]
    values = [slow["signal"], slow["requests"], slow["lost"], slow["plain"]["requests"], slow["plain"]["lost"]]
    return " ".join([f"{result['name']:<16}"] + [f"{value:>{width}}" for value, (_, width) in zip(values, SLOW)])


def details(result):
    """What has no place in its line: the end of a log, and the requests that were lost."""
    first, *rest = result["verdict"].splitlines()
    if rest:
        yield f"{result['name']}: {first}"
        yield from (f"    {text}" for text in rest)
    reports = {
        "under load": result.get("load"),
        **{f"waiting, {deed}": waited["report"] for deed, waited in result.get("waiting", {}).items()},
    }
    for when, report in reports.items():
        lost = [failure for failure in (report or {}).get("failures", []) if not failure["killed"]]
        for failure in lost[:SHOWN]:
            took = failure["ended"] - failure["began"]
            place = f"lost after {took:.3f} s and {failure['received']} bytes"
            yield f"{result['name']}, {when}: {place}: {failure['error']}"
        if len(lost) > SHOWN:
            yield f"{result['name']}, {when}: and {len(lost) - SHOWN} more"
    for text in result.get("slow", {}).get("failures", [])[:SHOWN]:
        yield f"{result['name']}, slow: lost {text}"


def _short(verdict):
    return verdict.splitlines()[0]


def _ms(microseconds):
    return "-" if microseconds is None else f"{microseconds / 1000:.2f}"


def _waiting(waited):
    return "-" if waited is None else f"{waited['answered']}/{waited['sent']}"


def servers(machine):
    """The table of servers: the commands that are run here, and what they lost last by plain SIGTERM."""
    tools.names_only()
    lost = json.loads(LOST.read_text())
    return "\n".join(
        [*HEAD, *(_server(machine, name, lost) for name in ORDER), UNCHANGED_NODE]
        + [_server(machine, name, lost) for name in ("node", "go", "rust")]
    )


def _server(machine, name, lost):
    folder = machine.folder / name
    folder.mkdir()
    spec = SERVERS[name](folder, 8000)
    figure = "{} of {}".format(*lost[name]) if name in lost else "not run"
    if spec.note:
        figure += spec.note if spec.note.startswith(" ") else f" {spec.note}"
    environment = f" {spec.shown_environment} " if spec.shown_environment else " "
    return f"| {spec.title} | {spec.shown} | {spec.stop_signal} |{environment}| {figure} |"


def record(results):
    """Keeps what was lost by plain SIGTERM for the table of servers."""
    lost = json.loads(LOST.read_text())
    for result in results:
        if plain := result.get("slow", {}).get("plain"):
            lost[result["name"]] = [plain["lost"], plain["requests"]]
    LOST.write_text("{\n" + ",\n".join(f'  "{name}": {json.dumps(lost[name])}' for name in sorted(lost)) + "\n}\n")


def differs(text):
    """Whether the document has another table."""
    return text not in DOCUMENT.read_text()
