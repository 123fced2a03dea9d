"""Leat beside ONNX Runtime, in turns within one run: fresh processes, the order reversed every other turn, medians of the turns.

    ./dev bench [--turns N] [--threads N] [--save]

Machines are shared and noisy; only ratios of one run mean something. --save writes the table to bench/results/ with the date and the machine.
"""
import argparse
import datetime
import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "test"))

from models import minilm, smollm2  # noqa: E402  (the folder test/ is on the path now)

# Name, model, function, tokens per run, tokens seen before, batch.
CASES = [
    ("MiniLM f32, 1 x 16", "minilm", "main", 16, 0, 1),
    ("MiniLM f32, 1 x 128", "minilm", "main", 128, 0, 1),
    ("MiniLM f32, 8 x 128", "minilm", "main", 128, 0, 8),
    ("SmolLM2 f32, prefill 512", "smollm2-decomposed", "step", 512, 0, 1),
    ("SmolLM2 f32, decode at 512", "smollm2-decomposed", "step", 1, 512, 1),
    ("SmolLM2 4-bit, decode at 512", "smollm2-gqa", "step", 1, 512, 1),
]

PEER = """
import sys, time, json, statistics
import numpy as np, onnxruntime as ort
path, tokens, before, batch, threads, runs = sys.argv[1], *map(int, sys.argv[2:])
options = ort.SessionOptions(); options.intra_op_num_threads = threads
session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
def value(i):
    shape = [d if isinstance(d, int) else {"batch": batch, "batch_size": batch, "past_sequence_length": before, "total_sequence_length": before + tokens}.get(d, tokens) for d in i.shape]
    if i.name == "attention_mask": return np.ones(shape, np.int64)
    if i.name == "position_ids": return np.arange(before, before + tokens)[None]
    return np.zeros(shape, np.float32 if "float" in i.type else np.int64)
feeds = {i.name: value(i) for i in session.get_inputs()}
times = []
for n in range(runs + 2):
    start = time.perf_counter(); session.run(None, feeds); times.append(time.perf_counter() - start)
print(statistics.median(times[2:]))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save", action="store_true")
    args = parser.parse_args()
    leat = args.build / "bin" / "leat"
    folder = args.build / "bench"
    folder.mkdir(exist_ok=True)
    paths, artifacts = {"minilm": minilm.write(ROOT / "models" / "minilm")}, {}
    paths["smollm2-decomposed"] = smollm2.write(ROOT / "models" / "smollm2-decomposed", "decomposed")
    # Level 4 lets ONNX Runtime multiply in 8 bits, its fast path; Leat keeps f32 activations unless told otherwise.
    paths["smollm2-gqa"] = smollm2.write(ROOT / "models" / "smollm2-gqa-level4", "gqa", accuracy_level=4)
    for name, path in paths.items():
        artifacts[name] = folder / f"{name}.leat"
        subprocess.run([leat, "compile", path, "-o", artifacts[name], "--quiet"], check=True)

    def ours(case):
        _, model, function, tokens, before, batch = case
        runs = 5 if tokens > 1 else 20
        command = [leat, "bench", artifacts[model], "--function", function, "--tokens", tokens, "--context", before, "--threads", args.threads,
                   "--repetitions", runs, "--warmup", 2, "--format", "json"]
        command += ["--size", f"batch={batch}"] if model == "minilm" else []
        result = json.loads(subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True).stdout)
        return result["median_seconds"]

    def peer(case):
        _, model, _, tokens, before, batch = case
        words = [paths[model], tokens, before, batch, args.threads, 5 if tokens > 1 else 20]
        done = subprocess.run([sys.executable, "-c", PEER, *map(str, words)], capture_output=True, text=True, check=True)
        return float(done.stdout)

    lines = [f"{'case':30} {'Leat ms':>9} {'ORT ms':>9} {'ratio':>6}  range of ratios over {args.turns} turns"]
    print(lines[0], flush=True)
    for case in CASES:
        pairs = []
        for turn in range(args.turns):
            order = [ours, peer] if turn % 2 == 0 else [peer, ours]
            times = {f: f(case) for f in order}
            pairs.append((times[ours], times[peer]))
        mine, theirs = (statistics.median(p[i] for p in pairs) for i in (0, 1))
        ratios = [a / b for a, b in pairs]
        lines.append(f"{case[0]:30} {mine * 1e3:9.2f} {theirs * 1e3:9.2f} {mine / theirs:6.2f}  {min(ratios):.2f} to {max(ratios):.2f}")
        print(lines[-1], flush=True)
    if args.save:
        results = ROOT / "bench" / "results"
        results.mkdir(exist_ok=True)
        cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown CPU")
        import onnxruntime

        head = f"{datetime.date.today()}, {cpu}, {args.threads} threads, onnxruntime {onnxruntime.__version__}; times are medians, lower is better"
        path = results / f"{datetime.date.today()}-onnxruntime.txt"
        path.write_text("\n".join([head, *lines]) + "\n")
        print(f"written to {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
