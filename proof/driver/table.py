"""The table at the end."""

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


def title():
    """Its first line."""
    words = [f"{'server':<16}"] + [f"{name:>{width}}" for name, width, _ in COLUMNS + TIMES]
    return " ".join(words + [f"{'w.' + name:>{width + 2}}" for name, width in WAITING])


def line(result):
    """A server's line."""
    if "load" not in result:
        return f"{result['name']:<16}  {result['verdict']}"
    load = result["load"]
    words = [f"{result['name']:<16}"] + [f"{load[key]:>{width}}" for _, width, key in COLUMNS]
    words += [f"{_ms(load[key]):>{width}}" for _, width, key in TIMES]
    words += [f"{_waiting(result['waiting'].get(name)):>{width + 2}}" for name, width in WAITING]
    return " ".join(words) + ("" if result["verdict"] == "ok" else f"  {result['verdict']}")


def _ms(microseconds):
    return "-" if microseconds is None else f"{microseconds / 1000:.2f}"


def _waiting(waited):
    return "-" if waited is None else f"{waited['answered']}/{waited['sent']}"
