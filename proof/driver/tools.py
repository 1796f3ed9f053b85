"""The programs that are needed: built, or looked for."""

import glob
import json
import os
import pathlib
import shutil
import subprocess

PROOF = pathlib.Path(__file__).resolve().parent.parent
ROOT = PROOF.parent
SERVERS = PROOF / "servers"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
OWN = TARGET / "proof"
PYTHON_PACKAGES = ["gunicorn==27.0.1", "uvicorn==0.54.0", "hypercorn==0.18.0"]
GO_PATH = "/usr/share/gocode"


class Missing(Exception):
    """Something is not installed; the text says what to do."""


def _run(command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise Missing(f"`{' '.join(map(str, command))}` failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def names_only():
    """Nothing is built or looked for from now on: programs are only to be named."""
    for name in ("cargo", "_found", "go_server", "python", "php_fpm", "uwsgi"):
        globals()[name] = lambda *words: pathlib.Path(words[-1] if words else "program")


def _found(name, advice):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if not path:
        raise Missing(f"{name} is not installed: {advice}")
    return pathlib.Path(path)


def cargo(package, program):
    """Builds the package, and gives back its program."""
    built = TARGET / "release" / program
    if not os.environ.get("SHARESOCK_PROOF_BUILT"):
        _run(["cargo", "build", "-q", "--release", "--locked", "-p", package], cwd=ROOT)
    return built


def test(package, name):
    """Builds a test program of the package, and gives back its path."""
    built = _run(
        ["cargo", "test", "--release", "--locked", "--no-run", "--message-format", "json", "-p", package, "--test", name],
        cwd=ROOT,
    )
    programs = [json.loads(line).get("executable") for line in built.splitlines() if line.startswith("{")]
    return pathlib.Path([program for program in programs if program][-1])


def sharesock():
    """The program under proof."""
    given = os.environ.get("SHARESOCK_PROOF_PROGRAM")
    return pathlib.Path(given) if given else cargo("sharesock-cli", "sharesock")


def generator():
    """The load generator."""
    return cargo("sharesock-proof", "sharesock-proof")


def rust_server():
    """The server of hyper and listenfd."""
    return cargo("sharesock-proof", "proof-server")


def python(program):
    """A program of the Python packages, which are installed once into a folder of the build's."""
    folder, wanted = OWN / "venv", "\n".join(PYTHON_PACKAGES)
    stamp = folder / "packages"
    if not stamp.exists() or stamp.read_text() != wanted:
        system = (
            "/usr/bin/python3"
            if os.path.exists("/usr/bin/python3")
            else _found("python3", "apt-get install python3-venv")
        )
        _run([system, "-m", "venv", folder])
        _run([folder / "bin/pip", "install", "-q", *PYTHON_PACKAGES])
        stamp.write_text(wanted)
    return folder / "bin" / program


def node():
    """Node."""
    return _found("node", "apt-get install nodejs")


def nginx():
    """nginx."""
    return _found("nginx", "apt-get install nginx-light")


def puma():
    """puma."""
    return _found("puma", "apt-get install puma")


def unicorn():
    """unicorn."""
    return _found("unicorn", "apt-get install unicorn")


def haproxy():
    """HAProxy."""
    return _found("haproxy", "apt-get install haproxy")


def uwsgi():
    """uWSGI, whose Python is a package of its own."""
    advice = "apt-get install uwsgi uwsgi-plugin-python3"
    if not glob.glob("/usr/lib/uwsgi/plugins/python3*_plugin.so"):
        raise Missing(f"uWSGI's plugin for Python is not installed: {advice}")
    return _found("uwsgi", advice)


def php_fpm():
    """php-fpm, whose name has the version in it."""
    found = sorted(glob.glob("/usr/sbin/php-fpm*"))
    return pathlib.Path(found[-1]) if found else _found("php-fpm", "apt-get install php-fpm")


def go_server():
    """The Go server, built with the library as Debian ships it: no module is fetched."""
    advice = "apt-get install golang-go golang-github-coreos-go-systemd-dev"
    compiler, source = _found("go", advice), SERVERS / "server.go"
    if not os.path.isdir(f"{GO_PATH}/src/github.com/coreos/go-systemd"):
        raise Missing(f"the library coreos/go-systemd is not installed: {advice}")
    built = OWN / "go-server"
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        OWN.mkdir(parents=True, exist_ok=True)
        setting = {"GO111MODULE": "off", "GOPATH": GO_PATH, "GOCACHE": str(OWN / "go-cache"), "GOFLAGS": ""}
        _run([compiler, "build", "-o", built, source], env={**os.environ, **setting})
    return built


def fill_in(template, into, **values):
    """Writes a file from its template."""
    text = (SERVERS / template).read_text()
    for name, value in values.items():
        text = text.replace(f"@{name.upper()}@", str(value))
    into.write_text(text)
    return into
