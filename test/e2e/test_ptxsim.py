"""leat-ptxsim: kernels that nvcc compiled run from the command line; findings, files, exit codes."""
import json
import subprocess

import numpy as np
import pytest

from conftest import BUILD, SOURCE

KERNELS = SOURCE / "test/unit/sim/kernels"
BROKEN = """.version 8.0
.target sm_80
.address_size 64
.file 1 "model.mlir"
.visible .entry broken(.param .u64 out)
{
.reg .b32 %r<4>; .reg .b64 %rd<4>;
.shared .align 4 .b8 memory[256];
ld.param.u64 %rd1, [out];
mov.u32 %r1, %tid.x;
mov.u32 %r2, memory;
mad.lo.u32 %r2, %r1, 4, %r2;
st.shared.u32 [%r2], %r1;
.loc 1 12 5
ld.shared.u32 %r3, [%r2+4];
ret;
}
"""


def ptxsim(*args, code=0):
    done = subprocess.run([BUILD / "bin/leat-ptxsim", *map(str, args)], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code == 2 else done.stdout


def test_softmax(tmp_path):
    x = np.random.default_rng(1).normal(size=(5, 300)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    out = ptxsim(KERNELS / "sm80.ptx", "--kernel=softmaxRows", "--grid=5", "--block=128", f"--arg={tmp_path}/x.npy",
                 f"--arg=f32:5x300:nan > {tmp_path}/y.npy", "--arg=u32=300", "--counters", "--landing=random:3", "--schedule=4", "--threads=2")
    e = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), e / e.sum(1, keepdims=True), atol=1e-6)
    assert "global load sectors" in out


def test_tensor_map(tmp_path):
    ptxsim(KERNELS / "sm90.ptx", "--kernel=dumpTile", "--block=32", "--shared=2048", "--buffer=x=f16:32x64:iota", "--arg=map(x, 16x64, 128)",
           f"--arg=f16:16x64:zero > {tmp_path}/y.npy", "--arg=i32=0", "--arg=i32=8", "--arg=i32=2048")
    x = np.arange(32 * 64).astype(np.float16).reshape(32, 8, 8)[8:24]
    expected = np.stack([x[r, np.arange(8) ^ (r % 8)] for r in range(16)])  # 16-byte chunks, swizzled
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy").reshape(16, 8, 8), expected)


def test_findings(tmp_path):
    (tmp_path / "broken.ptx").write_text(BROKEN)
    arguments = [tmp_path / "broken.ptx", "--block=64", "--arg=u32:64"]
    out = ptxsim(*arguments, code=1)
    assert "model.mlir:12:5: error: shared-read-after-write: broken cta (0,0,0) warp 0 lane 0, PTX line 15" in out, out
    report = json.loads(ptxsim(*arguments, "--json", code=1))
    assert not report["clean"]
    kinds = {r["kind"] for r in report["reports"]}
    assert "shared-read-after-write" in kinds and "shared-out-of-bounds" in kinds
    assert report["reports"][0]["location"] == {"file": "model.mlir", "line": 12, "column": 5}
    assert report["counters"]["shared_requests"] > 0
    assert "error" in ptxsim(*arguments, "--no-checks", code=1)  # bounds are checked all the same


def test_list():
    out = ptxsim(KERNELS / "sm90.ptx", "--list")
    assert "attention" in out and "cluster 2,1,1" in out and "cannot be run" not in out
    assert "usage:" in ptxsim("--help")


@pytest.mark.parametrize("args, words", [
    ([], "which PTX file"),
    (["nothing.ptx"], "nothing.ptx"),
    ([KERNELS / "sm80.ptx"], "choose one by --kernel"),
    ([KERNELS / "sm80.ptx", "--kernel=none"], "has no kernel 'none'"),
    ([KERNELS / "sm80.ptx", "--kernel=handOver"], "has 2 parameters; 0 --arg were given"),
    ([KERNELS / "sm80.ptx", "--kernel=handOver", "--arg=f32:4", "--arg=u32=1"], "has 4 bytes, parameter 1"),
    ([KERNELS / "sm80.ptx", "--kernel=handOver", "--arg=f33:4"], "is no argument"),
    ([KERNELS / "sm80.ptx", "--kernel=handOver", "--arg=f32:4:seven"], "is no contents"),
    ([KERNELS / "sm80.ptx", "--kernel=handOver", "--arg=@x"], "there is no --buffer 'x'"),
    ([KERNELS / "scalar.h"], "PTX line"),
    (["--grid=0", "x.ptx"], "positive sizes"),
    (["--landing=never", "x.ptx"], "late, early or random:SEED"),
    (["--frob", "x.ptx"], "there is no option"),
])
def test_mistakes(args, words):
    error = ptxsim(*args, code=2)
    assert error.startswith("error: ") and error.count("\n") == 1 and words in error, error
