"""Tests of the package: with peers in Python, in Go and in Rust, each in a process of its own.

`bindings/python/test` builds what they need. All processes of a run meet in a domain that is made here.
"""

import atexit
import os
import shutil
import tempfile

if "SHARESOCK_TEST_PEER_DOMAIN" not in os.environ:
    _domain = tempfile.mkdtemp(prefix="sharesock-python-")
    os.environ["SHARESOCK_TEST_PEER_DOMAIN"] = os.environ["SHARESOCK_DOMAIN"] = _domain
    _owner = os.getpid()

    def _remove() -> None:
        if os.getpid() == _owner:
            shutil.rmtree(_domain, ignore_errors=True)

    # Before the package is loaded: so it runs after the package has closed the endpoint.
    atexit.register(_remove)
