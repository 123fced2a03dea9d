"""Models that must be refused: one line that says what and where, exit code 4, within bounds of time and memory."""
import random
import resource
import subprocess
import sys

import pytest
from conftest import BUILD, SOURCE

REFUSED = {
    "empty": "has no graph",
    "text": "not an ONNX model",
    "truncated": "truncated or damaged",
    "no-graph": "not an ONNX model",
    "escape": 'initializer "w": external data file "../secret.bin" is not a path inside the model\'s folder',
    "escape-inside": "is not a path inside the model's folder",
    "absolute": "is not a path inside the model's folder",
    "symlink": '"link.bin" is reached through a symbolic link; put a copy',
    "symlink-folder": "is reached through a symbolic link",
    "hardlink": "has 2 hard links; put a copy",
    "fifo": "is not a regular file",
    "folder": "is not a regular file",
    "missing-data": '"nowhere.bin" is missing; it belongs beside the model',
    "short-data": '"short.bin" has only 100',
    "offset-beyond": "external data ends at byte",
    "offset-negative": 'has the offset "-1"',
    "offset-text": 'has the offset "0x10"',
    "length-wrong": "has 4 bytes but its type and dimensions need 8192",
    "length-huge": "has the length",
    "location-twice": 'gives "location" twice',
    "no-location": "has no location",
    "cycle": 'the graph has a cycle: Add node "one" depends on its own result',
    "self-cycle": 'Add node "loop" depends on its own result',
    "undefined": 'Add node "add" uses "ghost", which nothing defines',
    "twice": 'the name "y" is defined twice: by Neg node "one" and by Exp node "two"',
    "no-output": 'output "y" of graph "g" is not made by any node',
    "absurd-dims": 'initializer "w" has absurd dimensions',
    "absurd-input": 'value "x" has absurd dimensions',
    "negative-dim": "has the negative dimension -4",
    "many-dims": "has 100 dimensions",
    "wrong-size": "has 16 bytes of data but its type and dimensions need 20",
    "wrong-type": "has the unknown element type 99",
    "sparse-outside": 'sparse initializer "s" has the index 99',
    "deep": "nested more than 16 deep",
    "deeper": "nested too deeply",
    "doubling": "expands to more than the load budget of 1000000 nodes",
    "recursive": 'function "f" calls itself',
    "new-opset": "opset 99 is newer than 28",
    "new-ir": "IR version 99 is newer than 14",
    "no-opset": "imports no opset",
    "arity": 'Add node "add" is malformed',
    "attribute": 'Softmax node "soft" is malformed',
    "no-operator": 'node "nothing" has no operator',
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "m"
    subprocess.run([sys.executable, SOURCE / "test/models/frontend.py", path], check=True)
    return path


def bounded(path):
    """Imports under a limit of 4 GiB of address space and 10 seconds. A sanitizer build cannot live in so little."""
    sanitized = "LEAT_SANITIZE:BOOL=ON" in (BUILD / "CMakeCache.txt").read_text()
    limit = None if sanitized else lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    return subprocess.run([BUILD / "bin/leat-import", path], capture_output=True, text=True, timeout=10, preexec_fn=limit, errors="replace")


def assert_refused(result):
    assert result.returncode == 4, result.stderr
    assert result.stdout == ""
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1 and len(result.stderr) < 600


def test_every_bad_model_is_listed(folder):
    assert {path.stem.removeprefix("bad-") for path in folder.glob("bad-*.onnx")} == set(REFUSED)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(folder, name):
    result = bounded(folder / f"bad-{name}.onnx")
    assert_refused(result)
    assert REFUSED[name] in result.stderr


def test_missing_file(folder):
    assert_refused(bounded(folder / "no-such-model.onnx"))


def test_folder_as_model(folder):
    assert_refused(bounded(folder))


@pytest.mark.parametrize("seed", range(20))
def test_damaged(folder, tmp_path, seed):
    """A flipped bit or a cut may leave a model that means something else, but never a crash."""
    rng = random.Random(seed)
    data = bytearray((folder / rng.choice(["basic.onnx", "control.onnx", "functions.onnx", "contrib.onnx", "dtypes.onnx"])).read_bytes())
    if seed % 2:
        data = data[:rng.randrange(len(data))]
    else:
        for _ in range(rng.randrange(1, 8)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path = tmp_path / "damaged.onnx"
    path.write_bytes(data)
    result = bounded(path)
    if result.returncode:
        assert_refused(result)
