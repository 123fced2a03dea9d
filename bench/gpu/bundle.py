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

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [ROOT / "bench/gpu" / f"{name}.py" for name in ("run", "worker", "report", "driver", "peers", "benchmarks", "kernels", "decoder", "tensors")]
SCRIPTS += [ROOT / "test/leat_runtime.py", ROOT / "test/oracles/leat_ops.py"]
sys.path[:0] = [str(ROOT / "bench/gpu"), str(ROOT / "test/oracles")]

from benchmarks import BENCHMARKS, DECODERS, FUNCTIONS, SMALL_DECODERS, decoder_for  # noqa: E402  (its folder is on the path now)
from decoder_ir import module  # noqa: E402
from kernels import KERNELS  # noqa: E402

CODES = ("sm_80", "sm_90a")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to put it; must be empty or new")
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="the build that compiles and whose runtime travels (build)")
    parser.add_argument("--only", default="", metavar="NAMES", help="only these kernels, decoders and benchmarks, separated by commas; * at the end for all that begin so")
    parser.add_argument("--codes", default=",".join(CODES), help=f"GPUs to compile for ({','.join(CODES)})")
    parser.add_argument("--tiny", action="store_true", help="only what run.py --tiny needs there")
    args = parser.parse_args()
    if args.folder.exists() and any(args.folder.iterdir()):
        parser.error(f"'{args.folder}' is not empty")
    return args


def chosen(names, only):
    patterns = [p for p in only.split(",") if p]
    return [n for n in names if not patterns or any(n == p or (p.endswith("*") and n.startswith(p[:-1])) for p in patterns)]


def version():
    found = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


def main():
    args = arguments()
    kernels, decoders, rows, tokens = (chosen(names, args.only) for names in (KERNELS, SMALL_DECODERS, BENCHMARKS, DECODERS))
    sources = {"kernels": "".join(KERNELS[n].ir() for n in kernels)} if kernels else {}
    used = {row.function(size) for row in map(BENCHMARKS.get, rows) for size in ([row.tiny] if args.tiny else [row.size, row.tiny])}
    sources |= {"benchmarks": "".join(FUNCTIONS[f] for f in sorted(used))} if used else {}
    carried = [SMALL_DECODERS[n] for n in decoders] + [decoder_for(n, tiny) for n in tokens for tiny in ([True] if args.tiny else [True, False])]
    sources |= {decoder.name: module(decoder) for decoder in carried}
    codes = args.codes.split(",")
    leat = args.build / "bin" / "leat"
    for code in codes:
        (args.folder / code).mkdir(parents=True)

    def build(code, name):
        with tempfile.NamedTemporaryFile("w", suffix=f"-{name}.mlir") as source:
            source.write(sources[name])
            source.flush()
            command = [leat, "compile", source.name, "-o", args.folder / code / f"{name}.leat", "--target=cuda", f"--gpu={code}", "--target-cpu=generic"]
            done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"error: {name} for {code} does not compile:\n{done.stderr}")
            # What the compiler warns of (registers that spill) belongs to the results.
            warned = [line.removeprefix("warning: ") for line in done.stderr.splitlines() if line.startswith("warning: ")]
            return [f"{name}, {code}: {line}" for line in warned]

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings = [line for lines in pool.map(lambda job: build(*job), [(c, n) for c in codes for n in sources]) for line in lines]
    (args.folder / "lib").mkdir()
    for name in ("libleat_runtime.so", "libleat_runtime_sim.so"):
        shutil.copy(args.build / "lib" / name, args.folder / "lib" / name)  # what links point to
    for script in SCRIPTS:
        shutil.copy(script, args.folder)
    cases = dict(kernel=kernels, decoder=decoders, bench=rows, tokens=tokens)
    (args.folder / "bundle.json").write_text(json.dumps(dict(leat=version(), codes=codes, tiny=args.tiny, cases=cases, warnings=warnings), indent=1))
    size = sum(f.stat().st_size for f in args.folder.rglob("*") if f.is_file())
    print(f"{args.folder}: {sum(map(len, cases.values()))} cases, {size / 1e6:.1f} MB. There: python3 run.py")
    for line in warnings:
        print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
