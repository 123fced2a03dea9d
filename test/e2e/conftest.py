"""Fixtures of the end-to-end suite: the command line, the runtime library, compiled models."""
import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from leat_runtime import Library

SOURCE = Path(os.environ.get("LEAT_SOURCE", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("LEAT_BUILD", SOURCE / "build"))
# Python itself may run with a sanitizer preloaded, for the libraries it loads; the programs it starts bring their own.
os.environ.pop("LD_PRELOAD", None)
MODELS = SOURCE / "models"  # real models, exported once; not in the repository


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
    """Variables of an environment in which a stand-in for NVIDIA's driver has a GPU, of the architecture sm_80."""
    folder = tmp_path / "driver"
    folder.mkdir()
    (folder / "libcuda.so.1").symlink_to(BUILD / "lib" / "libleat_fake_cuda.so")
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


@pytest.fixture(scope="session")
def smollm2():
    """smollm2(style) -> path of the exported model; tokenizer.json and chat_template.jinja lie beside it."""
    from models import smollm2 as exporter

    return lambda style: exporter.write(MODELS / f"smollm2-{style}", style)


@pytest.fixture(scope="session")
def minilm():
    from models import minilm as exporter

    return exporter.write(MODELS / "minilm")
