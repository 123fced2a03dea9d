"""The bundle that checks and measures kernels on another machine's GPU: made here, and run as it would be there, on the simulator and with a stand-in
for NVIDIA's driver."""
import importlib.util
import json
import os
import shutil
import subprocess
import sys

import pytest

from conftest import BUILD, SANITIZED, SOURCE
from models import zoo
from test_devices import gpu

# One case of each kind, and one kernel of each family.
CASES = ("matmul_bf16,matmul_int4,attend_bf16_64,attend_i4_bf16,softmax_f32,rotary,small_f32,small_bf16,prefill 8K causal,decode 1 x 64K,decode 32 x 4K i8,"
         "product 16 x 8192 x 8192 bf16,product 1 x 8192 x 8192 int4,product 8192 x 8192 x 8192 int8 x int8,"
         "arg_max 1 x 49152,sample 1 x 49152,smollm2_bf16")
pytestmark = pytest.mark.skipif(SANITIZED, reason="a bundle's Python loads the runtime library, which needs the sanitizer's there and in no program")
TOOL = """#!/bin/sh
# Stands in for compute-sanitizer: runs the command, and finds what the test says.
tool=$2 log=$4
while [ "${1%python*}" = "$1" ]; do shift; done
"$@"
case $tool in
memcheck) echo "========= ERROR SUMMARY: 0 errors" >"$log" ;;
racecheck) echo "========= RACECHECK SUMMARY: $HAZARDS hazards displayed ($HAZARDS errors, 0 warnings)" >"$log" ;;
esac
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu") / "bundle"
    model = folder.parent / "encoder" / "model.onnx"
    zoo.MODELS["bert-opset17"](model)
    command = [sys.executable, SOURCE / "bench/gpu/bundle.py", folder, f"--model={model}", "--build", BUILD, "--tiny", "--codes=sm_80", f"--only={CASES}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def run(folder, output, *options, **environment):
    """As a stranger runs it: from elsewhere, with next to nothing in the environment. Returns the exit code, the results by name, the table and what it said."""
    done = subprocess.run([sys.executable, folder / "run.py", "--tiny", "--output", output, *options], cwd="/", capture_output=True, text=True, timeout=120,
                          env={"PATH": "/usr/bin:/bin", **environment})
    files = {f.suffix: f.read_text() for f in output.glob("*-gpu.*")} if output.exists() else {}
    results = {r["name"]: r for r in json.loads(files[".json"])["results"]} if files else {}
    return done.returncode, results, files.get(".md", ""), done.stdout + done.stderr


def test_on_the_simulator(bundle, tmp_path):
    code, results, table, said = run(bundle, tmp_path, "--device=sim")
    assert code == 0, said
    assert len(results) == 22 and results["matmul_bf16"]["error"] < results["matmul_bf16"]["tolerance"]
    skipped = {name for name, r in results.items() if r["status"] != "passed"}
    assert skipped == {"copy in the GPU's memory", "memcheck", "racecheck", "matmul_bf16 by cuBLASLt"}
    assert "has no library of products" in results["matmul_bf16 by cuBLASLt"]["why"]
    # Two batches of 300 entries: codes and f16 scales of keys and values, and queries and results in 16 bits.
    assert results["decode 32 x 4K i8"]["bytes"] == 2 * 2 * 8 * 300 * (128 + 2 * 4) + 2 * 2 * 32 * 128 * 2
    assert results["small_f32"]["tokens"] and results["decode 1 x 64K"]["times"]["Leat"]["ns"] > 0
    for text in ("Tiny sizes", "| attend_bf16_64 | sm_80 |", "| prefill 8K causal |", "| model-encoder | sm_80 |", "| smollm2_bf16 |", "PyTorch is not there: no peers"):
        assert text in table


@pytest.fixture
def stand_in(fake_gpu, tmp_path):
    """Variables of an environment in which there is a GPU, and compute-sanitizer."""
    (tmp_path / "compute-sanitizer").write_text(TOOL)
    (tmp_path / "compute-sanitizer").chmod(0o755)
    return fake_gpu | {"PATH": f"{tmp_path}:/usr/bin:/bin", "HAZARDS": "0"}


def test_with_a_stand_in_for_the_driver(bundle, tmp_path, stand_in):
    code, results, table, said = run(bundle, tmp_path / "out", **stand_in)
    assert code == 0, said
    assert all(r["status"] == "passed" for r in results.values()), said
    assert results["copy in the GPU's memory"]["bytes_per_second"] > 0
    assert 0 < results["matmul_bf16 by cuBLASLt"]["error"] < 1e-2 and results["product 16 x 8192 x 8192 bf16"]["times"].keys() == {"Leat", "Leat by cuBLASLt"}
    assert results["matmul_bf16"]["simulator"] < 1e-2 and results["racecheck"]["kernels"] == "6 of 6"
    assert table.startswith("# Fake GPU") and "A copy in the GPU's memory reads and writes" in table
    stand_in["HAZARDS"] = "2"
    code, results, table, said = run(bundle, tmp_path / "races", "--only=racecheck", **stand_in)
    assert code == 1 and "2 findings, in racecheck-sm_80.txt" in results["racecheck"]["why"] and "2 findings" in table


def test_beside_peers(bundle, tmp_path, stand_in):
    code, results, table, said = run(bundle, tmp_path / "out", "--only=bench", **stand_in, PYTHONPATH=str(SOURCE / "test/e2e/stand_in"))
    assert code == 0, said
    prefill, coded, product = (results[name] for name in ("prefill 8K causal", "decode 32 x 4K i8", "product 1 x 8192 x 8192 int4"))
    assert prefill["times"].keys() == {"Leat", "flash", "cuDNN on repeated KV heads"} and prefill["absent"] == {"flex": "no compiler here"}
    assert coded["times"].keys() == {"Leat", "flash", "cuDNN on repeated KV heads"}
    assert results["product 16 x 8192 x 8192 bf16"]["times"].keys() == {"Leat", "Leat by cuBLASLt", "cuBLAS"}
    assert product["times"].keys() == {"Leat", "cuBLAS"} and all(t["ns"] > 0 for t in product["times"].values())
    assert "torch 0.0 (stand-in)" in table and "flex: no compiler here" in table
    ratio = [line.split(" | ")[7] for line in table.splitlines() if line.startswith("| prefill")][0]
    ours, theirs = prefill["times"].pop("Leat"), min(t["ns"] for t in prefill["times"].values())
    assert ratio == f"{ours['ns'] / theirs:.2f}"


def copy(bundle, tmp_path):
    return shutil.copytree(bundle, tmp_path / "bundle")


def test_a_wrong_result_is_reported(bundle, tmp_path):
    folder = copy(bundle, tmp_path)
    with open(folder / "leat_ops.py", "a") as file:
        file.write("\n\ndef softmax(x, axis):\n    return np.exp(f64(x)) / np.exp(f64(x)).sum(axis, keepdims=True) * 1.001\n")
    code, results, table, said = run(folder, tmp_path / "out", "--device=sim", "--only=kernel")
    assert code == 1 and "differs from float64 by" in results["softmax_f32"]["why"] and "failed: differs from float64" in table
    assert results["matmul_bf16"]["status"] == results["rotary"]["status"] == "passed"


def test_a_damaged_artifact_is_one_failed_case(bundle, tmp_path):
    folder = copy(bundle, tmp_path)
    artifact = folder / "sm_80" / "benchmarks.leat"
    data = bytearray(artifact.read_bytes())
    data[len(data) // 2] ^= 0xFF
    artifact.write_bytes(data)
    (folder / "sm_80" / "small_f32.leat").unlink()
    code, results, _, said = run(folder, tmp_path / "out", "--device=sim")
    assert code == 1 and "checksum" in results["prefill 8K causal"]["why"], said
    assert "small_f32.leat" in results["small_f32"]["why"]
    assert results["softmax_f32"]["status"] == results["smollm2_bf16"]["status"] == "passed"


def test_what_the_budget_leaves_no_room_for(bundle, tmp_path):
    code, results, _, _ = run(bundle, tmp_path, "--device=sim", "--budget=0.001")
    assert code == 1 and {r["status"] for r in results.values()} == {"skipped"}
    assert "the budget of 0 s was used up" in results["rotary"]["why"]


def test_says_what_is_missing(bundle, tmp_path, stand_in):
    if gpu():
        code, results, _, said = run(bundle, tmp_path / "out")
        assert code == 3 and not results and f"error: {gpu()}" in said
    told = json.loads((bundle / "bundle.json").read_text())
    folder = copy(bundle, tmp_path)
    (folder / "bundle.json").write_text(json.dumps(told | {"codes": ["sm_90a"]}))
    code, _, _, said = run(folder, tmp_path / "out", **stand_in)
    assert code == 3 and "error: the bundle has code for sm_90a, none of which Fake GPU (sm_80) runs" in said


def test_workers_that_end_or_hang(bundle):
    spec = importlib.util.spec_from_file_location("gpu_bundle_run", bundle / "run.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for command, why in (("exit 3", "its process ended with code 3"), ("kill -9 $$", "its process was ended by signal 9"), ("exec sleep 60", "it took longer than 1 s")):
        with pytest.raises(script.Stopped, match=why.replace("$", r"\$")):
            script.Worker({}, ["sh", "-c", command]).ask(["copy"], 1)


def test_bundles_into_empty_folders_only(tmp_path):
    (tmp_path / "file").touch()
    done = subprocess.run([sys.executable, SOURCE / "bench/gpu/bundle.py", tmp_path, "--build", BUILD], capture_output=True, text=True)
    assert done.returncode == 2 and "is not empty" in done.stderr
