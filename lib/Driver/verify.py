# Run by `leat verify` with a Python that has onnxruntime and numpy: feeds the same inputs to ONNX Runtime and to the artifact, compares the outputs.
# argv: leat, model.onnx, artifact, tolerance, seed, then NAME=VALUE for symbolic dimensions.
import os, subprocess, sys, tempfile, urllib.parse
import numpy as np
import onnxruntime

leat, model, artifact, tolerance, seed, *sizes = sys.argv[1:]
sizes = {k: int(v) for k, v in (s.rsplit("=", 1) for s in sizes)}
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
rng = np.random.default_rng(int(seed))
kinds = {"float": np.float32, "float16": np.float16, "double": np.float64, "int64": np.int64, "int32": np.int32, "int16": np.int16, "int8": np.int8,
         "uint8": np.uint8, "uint16": np.uint16, "uint32": np.uint32, "uint64": np.uint64, "bool": np.bool_}
feeds = {}
for i in session.get_inputs():
    kind = i.type[7:-1]
    if kind not in kinds:
        sys.exit(f"error: input '{i.name}' has type {i.type}, for which no values are made")
    shape = [d if isinstance(d, int) else sizes.get(d, 0 if str(d).startswith("past") else 2 if n == 0 else 8) for n, d in enumerate(i.shape)]
    dtype = kinds[kind]
    if "mask" in i.name:
        feeds[i.name] = np.ones(shape, dtype)
    elif np.issubdtype(dtype, np.floating):
        feeds[i.name] = rng.standard_normal(shape).astype(dtype)
    elif dtype is np.bool_:
        feeds[i.name] = np.ones(shape, dtype)
    else:
        feeds[i.name] = (rng.integers(0, 2, shape) if len(shape) else np.array(0)).astype(dtype)
expected = session.run(None, feeds)
worst = 0
with tempfile.TemporaryDirectory() as folder:
    args = []
    for n, (name, array) in enumerate(feeds.items()):
        np.save(f"{folder}/in{n}.npy", array)
        args += ["--input", f"{name}=@{folder}/in{n}.npy"]
    done = subprocess.run([leat, "run", artifact, *args, "--output-dir", f"{folder}/out"])
    if done.returncode:
        sys.exit(done.returncode)
    for output, e in zip(session.get_outputs(), expected):
        g = np.load(f"{folder}/out/{urllib.parse.quote(output.name, safe='')}.npy")
        if g.shape != e.shape or g.dtype != e.dtype:
            print(f"FAILED {output.name}: {g.dtype}{list(g.shape)}, ONNX Runtime has {e.dtype}{list(e.shape)}")
            worst = np.inf
            continue
        g, e = g.astype(np.float64), e.astype(np.float64)
        same = (g == e) | (np.isnan(g) & np.isnan(e))
        with np.errstate(invalid="ignore"):
            error = np.where(same, 0, np.abs(g - e) / np.maximum(1, np.abs(e)))
        error = np.where(np.isnan(error), np.inf, error).max(initial=0)
        worst = max(worst, error)
        print(f"{'ok' if error <= float(tolerance) else 'FAILED'} {output.name}: {list(e.shape)}, largest difference {error:.2e} (relative where values exceed 1)")
sys.exit(0 if worst <= float(tolerance) else 1)
