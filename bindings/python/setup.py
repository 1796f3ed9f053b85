"""Puts the C library that $SHARESOCK_LIBRARY names into the wheel; without it, the wheel needs an installed one."""

import os
import platform
import re
import shutil

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

LIBRARY = os.environ.get("SHARESOCK_LIBRARY")


class BuildPackage(build_py):
    def run(self):
        super().run()
        if LIBRARY:
            folder = os.path.join(self.build_lib, "sharesock", "lib")
            os.makedirs(folder, exist_ok=True)
            shutil.copyfile(LIBRARY, os.path.join(folder, "libsharesock.so.0"))


class BuildWheel(bdist_wheel):
    def finalize_options(self):
        super().finalize_options()
        self.root_is_pure = not LIBRARY

    def get_tag(self):
        if not LIBRARY:
            return "py3", "none", "any"
        # It runs on every Python, wherever the C library's newest symbol is.
        with open(LIBRARY, "rb") as file:
            needed = max(int(minor) for minor in re.findall(rb"\0GLIBC_2\.(\d+)", file.read()))
        return "py3", "none", f"manylinux_2_{needed}_{platform.machine()}"


setup(cmdclass={"build_py": BuildPackage, "bdist_wheel": BuildWheel})
