"""Leat beside its peers, in turns within one run: fresh processes, the order reversed every other turn, medians of the turns with their ranges.

    ./dev bench [--turns N] [--threads N] [--only TEXT] [--peers NAMES] [--growth] [--save]
    ./dev bench --kernels [--turns N] [--only TEXT] [--save]     single kernels on 1 and 2 threads, no peers

Machines are shared and noisy; only ratios of one run mean something, and ranges that overlap are no ranking. Every figure of Leat comes with the
ceilings that the same process measured. --save writes the table to bench/results/ with the date and the machine.
"""
import argparse
import datetime
import functools
import json
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cases import CASES, KERNELS  # noqa: E402
from workloads import MODELS, ROOT  # noqa: E402

PEERS = ("onnxruntime", "openvino", "llama.cpp")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="the build whose leat is measured (build)")
    parser.add_argument("--turns", type=int, default=5, help="turns of each case (5)")
    parser.add_argument("--threads", type=int, default=2, help="threads of every engine (2)")
    parser.add_argument("--only", metavar="TEXT", default="", help="only cases whose name contains TEXT; several texts are separated by |")
    parser.add_argument("--peers", metavar="NAMES", default=",".join(PEERS), help=f"separated by commas, out of {', '.join(PEERS)}; empty for none")
    parser.add_argument("--kernels", action="store_true", help="single kernels against the ceilings of their processes, instead of models beside peers")
    parser.add_argument("--growth", action="store_true", help="also time prefill at 128, 256, ... 8192 tokens")
    parser.add_argument("--save", action="store_true", help="write the table to bench/results/")
    args = parser.parse_args()
    unknown = {p for p in args.peers.split(",") if p} - set(PEERS)
    if unknown or args.turns < 1 or args.threads < 1:
        parser.error(f"unknown peer {', '.join(unknown)}" if unknown else "turns and threads start at 1")
    return args


class Bench:
    def __init__(self, args):
        self.args = args
        self.leat = args.build / "bin" / "leat"
        self.folder = args.build / "bench"
        self.folder.mkdir(exist_ok=True)
        self.peers = [p for p in args.peers.split(",") if p]
        self.lines, self.versions = [], {}

    def wanted(self, name):
        return any(text.lower() in name.lower() for text in self.args.only.split("|"))

    def say(self, line=""):
        self.lines.append(line)
        print(line, flush=True)

    @functools.lru_cache(maxsize=None)
    def artifact(self, model, flags):
        path = self.folder / f"{'_'.join([model, *flags]).replace('/', '')}.leat"
        print(f"compiling {model} {' '.join(flags)}", file=sys.stderr, flush=True)
        subprocess.run([self.leat, "compile", MODELS[model](), "-o", path, "--quiet", *flags], check=True)
        return path

    def measure(self, model, flags, *options):
        """What leat bench says of a model."""
        command = [self.leat, "bench", self.artifact(model, flags), "--format", "json", *options]
        return json.loads(subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True, check=True).stdout)

    def ours(self, case):
        size = ["--size", f"batch={case.batch}"] if case.batch > 1 else []
        return self.measure(case.model, case.flags, "--function", case.function, "--tokens", case.tokens, "--context", case.context, "--threads",
                            self.args.threads, "--repetitions", 5 if case.tokens > 1 else 30, "--warmup", 2, *size)

    def theirs(self, peer, case):
        job = {"model": str(MODELS[case.peer_models.get(peer, case.model)]()), "tokens": case.tokens, "context": case.context, "batch": case.batch,
               "threads": self.args.threads, "warmup": 2, "repetitions": 5 if case.tokens > 1 else 30, "shared_cache": case.model == "smollm2-4bit"}
        command = [sys.executable, Path(__file__).with_name("peers.py"), peer, json.dumps(job)]
        # Libraries chat on both streams: the result is the last line of stdout; what they said is shown if they fail.
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"{peer} failed on '{case.name}':\n{done.stderr[-2000:]}")
        result = json.loads(done.stdout.splitlines()[-1])
        self.versions[peer] = result["version"]
        return result["seconds"]

    def compare(self, case):
        """One line: medians and ranges of every engine, and the ratio to the best."""
        results = []
        engines = {"Leat": lambda: results.append(self.ours(case)) or results[-1]["median_seconds"]}
        for peer in case.peers:
            if peer in self.peers:
                engines[peer] = functools.partial(self.theirs, peer, case)
        if case.against:
            engines[case.against.name] = lambda: self.ours(case.against)["median_seconds"]
        if len(engines) == 1:
            return
        times = {name: [] for name in engines}
        for turn in range(self.args.turns):
            for name in list(engines)[::-1 if turn % 2 else 1]:
                times[name].append(engines[name]())
        show = lambda t: f"{statistics.median(t) * 1e3:.2f} [{min(t) * 1e3:.2f}..{max(t) * 1e3:.2f}]"
        medians = {name: statistics.median(t) for name, t in times.items()}
        best = min((name for name in times if name != "Leat"), key=medians.get)
        ratios = [a / b for a, b in zip(times["Leat"], times[best])]
        rate = lambda key, ceiling: statistics.median(sum(k[key] for k in r["kernels"]) / r["median_seconds"] / max(r[ceiling], 1) for r in results)
        limit = max(rate("operations_per_run", "fma_ceiling_operations_per_second"), rate("bytes_per_run", "read_ceiling_bytes_per_second"))
        gaps = statistics.median(r["gap_fraction"] for r in results)
        ratio = medians["Leat"] / medians[best]
        self.say(f"| {case.name} | {show(times['Leat'])} | {'; '.join(f'{n} {show(t)}' for n, t in times.items() if n != 'Leat')} | {ratio:.2f} "
                 f"[{min(ratios):.2f}..{max(ratios):.2f}] | {case.target} {'met' if ratio <= case.target else 'missed'} | {limit * 100:.0f}% | {gaps * 100:.1f}% |")

    def kernels(self):
        """Each kernel once a turn, so that what the machine does to one turn it does to all of them."""
        wanted = [(k, threads) for k in KERNELS if self.wanted(k.name) for threads in (1, 2)]
        rates, fractions, times = ({w: [] for w in wanted} for _ in range(3))
        for turn in range(self.args.turns):
            for kernel, threads in wanted[::-1 if turn % 2 else 1]:
                sizes = [text for name, size in kernel.sizes for text in ("--size", f"{name}={size}")]
                stream = ["--function", "step", "--context", kernel.context] if kernel.context else []
                result = self.measure(kernel.model, kernel.flags, "--threads", threads, "--repetitions", 30, "--warmup", 5, *sizes, *stream)
                counted = [k for k in result["kernels"] if kernel.counted in k["name"]]
                done = sum(k["bytes_per_run" if kernel.ceiling == "read" else "operations_per_run"] for k in counted)
                seconds = sum(k["seconds_per_run"] for k in counted) if kernel.counted else result["median_seconds"]
                times[kernel, threads].append(seconds)
                rates[kernel, threads].append(done / seconds)
                unit = "bytes" if kernel.ceiling == "read" else "operations"
                ceiling = result[f"{kernel.ceiling}_ceiling_{unit}_per_second"]  # 0: the processor has no such arithmetic
                fractions[kernel, threads].append(rates[kernel, threads][-1] / ceiling if ceiling else 0)
        self.say("| kernel | threads | ms | rate | fraction of its ceiling | target |\n|---|---|---|---|---|---|")
        for kernel, threads in wanted:
            each = fractions[kernel, threads]
            fraction = statistics.median(each)
            target = f"{kernel.target * 100:.0f}% {'met' if fraction >= kernel.target else 'missed'}" if kernel.target and fraction else ""
            self.say(f"| {kernel.name} | {threads} | {statistics.median(times[kernel, threads]) * 1e3:.2f} | {statistics.median(rates[kernel, threads]) * 1e-9:.0f} {'GB/s' if kernel.ceiling == 'read' else 'GFLOP/s'} "
                     f"| {f'{fraction * 100:.0f}% [{min(each) * 100:.0f}..{max(each) * 100:.0f}] of {kernel.ceiling}' if fraction else ''} | {target} |")

    def growth(self):
        case = next(c for c in CASES if c.name == "SmolLM2 f32, prefill 512")
        before = None
        self.say("| SmolLM2 f32, prefill of | ms | over half of it |\n|---|---|---|")
        for length in [128 << n for n in range(7)]:
            now = self.measure(case.model, case.flags, "--function", case.function, "--tokens", length, "--threads", self.args.threads, "--repetitions", 3,
                               "--warmup", 1)["median_seconds"]
            self.say(f"| {length} | {now * 1e3:.1f} | {f'{now / before:.2f}' if before else ''} |")
            before = now

    def run(self):
        if self.args.kernels:
            return self.kernels()
        cases = [c for c in CASES if self.wanted(c.name)]
        if cases:
            self.say("| case | Leat, ms | peers, ms | Leat / best peer | target | of the nearer ceiling | outside of kernels |\n|---|---|---|---|---|---|---|")
            for case in cases:
                self.compare(case)
            self.say()
        if self.args.growth:
            self.growth()

    def save(self):
        cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown CPU")
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
        if self.args.kernels:
            kind, what = "kernels", (f"Leat {commit}; {self.args.turns} turns. Rates and fractions are medians of turns with [lowest..highest]. Ceilings (f32 multiply-adds, dots "
                                     f"of bf16 pairs and of int8 quads, reading memory) were measured by the same process; data that fits a cache can exceed that of reading.")
        else:
            versions = ", ".join(f"{name} {version}" for name, version in sorted(self.versions.items())) or "no peers"
            kind, what = "cpu", (f"{self.args.threads} threads; Leat {commit}, {versions}; {self.args.turns} turns. Times are medians of turns "
                                 f"with [lowest..highest], ratios are of medians with the range over turns; lower is better. Ceilings are those of f32 multiply-adds and of reading "
                                 f"memory, measured by the same process: products in 8 bits can exceed the one, data that fits a cache the other.")
        path = ROOT / "bench" / "results" / f"{datetime.date.today()}-{kind}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join([f"# {datetime.date.today()}\n\n{cpu}, {what}\n", *self.lines]) + "\n")
        print(f"written to {path.relative_to(ROOT)}")


if __name__ == "__main__":
    args = arguments()
    bench = Bench(args)
    bench.run()
    if args.save:
        bench.save()
