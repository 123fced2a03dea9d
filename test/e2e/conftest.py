"""Fixtures of the end-to-end suite: the tools, and a wrapper that runs them."""
import os
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(os.environ.get("LEAT_SOURCE", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("LEAT_BUILD", SOURCE / "build"))


class Leat:
    """Runs the leat command line."""

    def __init__(self, path):
        self.path = path

    def __call__(self, *args, input=None, check=True, timeout=300):
        result = subprocess.run([self.path, *map(str, args)], input=input, capture_output=True, text=True, timeout=timeout)
        if check and result.returncode:
            raise AssertionError(f"leat {' '.join(map(str, args))}: exit code {result.returncode}\n{result.stderr}")
        return result


@pytest.fixture(scope="session")
def leat():
    return Leat(BUILD / "bin" / "leat")
