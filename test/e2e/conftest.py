"""Fixtures of the end-to-end suite: the command line, the runtime library, compiled models."""
import contextlib
import fcntl
import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from leat_runtime import Library

SOURCE = Path(os.environ.get("LEAT_SOURCE", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("LEAT_BUILD", SOURCE / "build"))
MODELS = SOURCE / "models"  # real models, exported once; not in the repository
SANITIZED = "asan" in os.environ.get("LD_PRELOAD", "")


def pytest_configure(config):
    # Python itself may run with a sanitizer preloaded, for the libraries it loads; the programs that tests start bring their own.
    starts_workers = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if not starts_workers:
        os.environ.pop("LD_PRELOAD", None)


class Leat:
    """Runs the leat command line."""

    def __init__(self, path):
        self.path = path

    def __call__(self, *args, input=None, check=True, timeout=300, env=None):
        result = subprocess.run([self.path, *map(str, args)], input=input, capture_output=True, text=True, timeout=timeout, env=env and dict(os.environ, **env))
        if check and result.returncode:
            raise AssertionError(f"leat {' '.join(map(str, args))}: exit code {result.returncode}\n{result.stderr}")
        return result


@pytest.fixture(scope="session")
def leat():
    return Leat(BUILD / "bin" / "leat")


@pytest.fixture(scope="session")
def library():
    # As the command line takes it from the environment: test/run.py --device runs the suite on a device.
    return Library(BUILD, os.environ.get("LEAT_DEVICE", ""))


@pytest.fixture
def fake_gpu(tmp_path):
    """Variables of an environment in which stand-ins for NVIDIA's driver and cuBLASLt have a GPU, of the architecture sm_80."""
    folder = tmp_path / "driver"
    folder.mkdir()
    (folder / "libcuda.so.1").symlink_to(BUILD / "lib" / "libleat_fake_cuda.so")
    (folder / "libcublasLt.so.13").symlink_to(BUILD / "lib" / "libleat_fake_cublaslt.so")
    return {"LD_LIBRARY_PATH": str(folder)}


@pytest.fixture(scope="session")
def compile_model(leat, tmp_path_factory):
    """compile_model(onnx path, *options) -> path of the artifact; the same call gives the same file."""
    folder = tmp_path_factory.mktemp("artifacts")

    def compile_once(path, *options):
        key = hashlib.sha256(repr((str(path), options)).encode()).hexdigest()[:16]
        artifact = folder / f"{key}.leat"
        if not artifact.exists():
            leat("compile", path, "-o", artifact, "--quiet", *options)
        return artifact

    return compile_once


@contextlib.contextmanager
def one_at_a_time(name):
    """Holds off other processes of the suite that want to write models/NAME."""
    MODELS.mkdir(exist_ok=True)
    with open(MODELS / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def smollm2():
    """smollm2(style) -> path of the exported model; tokenizer.json and chat_template.jinja lie beside it."""
    from models import smollm2 as exporter

    def export(style):
        name = f"smollm2-{style}"
        with one_at_a_time(name):
            return exporter.write(MODELS / name, style)

    return export


@pytest.fixture(scope="session")
def minilm():
    from models import minilm as exporter

    with one_at_a_time("minilm"):
        return exporter.write(MODELS / "minilm")
