"""Makes a folder that checks and measures Leat's GPU kernels on a machine with a GPU, in one call and without Leat's build: ./dev bench --gpu-bundle FOLDER.

Kernels and decoders are compiled here, for every NVIDIA GPU since Ampere and for Hopper; weights are made there. The folder holds the runtime, the
artifacts and the scripts, a few megabytes in all.
"""
import argparse
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [ROOT / "bench/gpu" / f"{name}.py" for name in ("run", "worker", "report", "driver", "peers", "benchmarks", "caches", "kernels", "decoder", "tensors")]
SCRIPTS += [ROOT / "test/leat_runtime.py", ROOT / "test/oracles/leat_ops.py"]
sys.path[:0] = [str(ROOT / "bench/gpu"), str(ROOT / "test"), str(ROOT / "test/oracles")]

from benchmarks import BENCHMARKS, CACHED, DECODERS, FUNCTIONS, SMALL_DECODERS, decoder_for  # noqa: E402  (its folder is on the path now)
from decoder_ir import module  # noqa: E402
from kernels import KERNELS  # noqa: E402

CODES = ("sm_80", "sm_90a")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to put it; must be empty or new")
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="the build that compiles and whose runtime travels (build)")
    parser.add_argument("--only", default="", metavar="NAMES", help="only these kernels, decoders and benchmarks, separated by commas; * at the end for all that begin so")
    parser.add_argument("--codes", default=",".join(CODES), help=f"GPUs to compile for ({','.join(CODES)})")
    parser.add_argument("--model", type=Path, action="append", default=[], metavar="MODEL.onnx",
                        help="also carry this model, without state, and what the CPU makes of it; may be repeated")
    parser.add_argument("--weights", default="bf16", metavar="KIND", help="how to store their weights, as leat compile says (bf16)")
    parser.add_argument("--tiny", action="store_true", help="only what run.py --tiny needs there")
    args = parser.parse_args()
    if args.folder.exists() and any(args.folder.iterdir()):
        parser.error(f"'{args.folder}' is not empty")
    return args


def chosen(names, only):
    patterns = [p for p in only.split(",") if p]
    return [n for n in names if not patterns or any(n == p or (p.endswith("*") and n.startswith(p[:-1])) for p in patterns)]


def reference(build, path, weights, target):
    """Writes inputs and what the model makes of them on the CPU, with the same weights, to `target` (.npz)."""
    from leat_runtime import DTYPES, Library

    with tempfile.TemporaryDirectory() as folder:
        artifact = Path(folder) / "model.leat"
        subprocess.run([build / "bin" / "leat", "compile", path, "-o", artifact, "--quiet", f"--weights={weights}"], check=True)
        model, rng, values = Library(build, "cpu").load(artifact), np.random.default_rng(0), {}
        for info in model.infos(model.function("main"), "input"):
            name, dtype = info.name.decode(), np.dtype(DTYPES[info.dtype])
            shape = [d if d >= 0 else 2 if "batch" in info.symbols[i].decode() else 12 for i, d in enumerate(info.dims[:info.rank])]
            values[name] = (rng.standard_normal(shape).astype(dtype) if dtype.kind == "f" else np.ones(shape, dtype) if "mask" in name else
                            rng.integers(0, 2 if "type" in name else 100, shape).astype(dtype))
        results = model.session().run("main", values)
    np.savez(target, **{f"input:{k}": v for k, v in values.items()}, **{f"output:{k}": v for k, v in results.items()})


def version():
    found = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


def main():
    args = arguments()
    kernels, decoders, rows, tokens = (chosen(names, args.only) for names in (KERNELS, SMALL_DECODERS, BENCHMARKS, DECODERS))
    sources = {n: KERNELS[n].ir() for n in kernels if KERNELS[n].cached} | {row.cached: CACHED[row.cached] for row in map(BENCHMARKS.get, rows) if row.cached}
    alone = [n for n in kernels if not KERNELS[n].cached]
    sources |= {"kernels": "".join(KERNELS[n].ir() for n in alone)} if alone else {}
    used = {row.function(size) for row in map(BENCHMARKS.get, rows) if not row.cached for size in ([row.tiny] if args.tiny else [row.size, row.tiny])}
    sources |= {"benchmarks": "".join(FUNCTIONS[f] for f in sorted(used))} if used else {}
    carried = [SMALL_DECODERS[n] for n in decoders] + [decoder_for(n, tiny) for n in tokens for tiny in ([True] if args.tiny else [True, False])]
    sources |= {decoder.name: module(decoder) for decoder in carried}
    codes = args.codes.split(",")
    leat = args.build / "bin" / "leat"
    for code in codes:
        (args.folder / code).mkdir(parents=True)

    models = {f"model-{path.resolve().parent.name if path.stem == 'model' else path.stem}": path for path in args.model}
    for name, path in models.items():
        reference(args.build, path, args.weights, args.folder / f"{name}.npz")

    def build(code, name):
        with tempfile.NamedTemporaryFile("w", suffix=f"-{name}.mlir") as source:
            source.write(sources.get(name, ""))
            source.flush()
            # Which products may code their activations, kernels say themselves.
            given = [models[name], f"--weights={args.weights}"] if name in models else [source.name, "--int8-activations"]
            command = [leat, "compile", *given, "-o", args.folder / code / f"{name}.leat", "--target=cuda", f"--gpu={code}", "--target-cpu=generic"]
            done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"error: {name} for {code} does not compile:\n{done.stderr}")
            # What the compiler warns of (registers that spill) belongs to the results.
            warned = [line.removeprefix("warning: ") for line in done.stderr.splitlines() if line.startswith("warning: ")]
            return [f"{name}, {code}: {line}" for line in warned]

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings = [line for lines in pool.map(lambda job: build(*job), [(c, n) for c in codes for n in [*sources, *models]]) for line in lines]
    (args.folder / "lib").mkdir()
    for name in ("libleat_runtime.so", "libleat_runtime_sim.so"):
        shutil.copy(args.build / "lib" / name, args.folder / "lib" / name)  # what links point to
    for script in SCRIPTS:
        shutil.copy(script, args.folder)
    cases = dict(kernel=kernels, cublaslt=[n for n in kernels if KERNELS[n].plain], decoder=decoders, model=list(models), bench=rows, tokens=tokens)
    (args.folder / "bundle.json").write_text(json.dumps(dict(leat=version(), codes=codes, tiny=args.tiny, cases=cases, warnings=warnings), indent=1))
    size = sum(f.stat().st_size for f in args.folder.rglob("*") if f.is_file())
    print(f"{args.folder}: {sum(map(len, cases.values()))} cases, {size / 1e6:.1f} MB. There: python3 run.py")
    for line in warnings:
        print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
