"""Checks and measures Leat's GPU kernels on this machine: one call, from the folder that `./dev bench --gpu-bundle` made.

    python3 run.py [--device cuda|sim] [--budget SECONDS] [--output FOLDER] [--only TEXT]

Needs Python 3.9 or later, NumPy and NVIDIA's driver. What else is there is used: PyTorch for peers, compute-sanitizer for its findings, NVML for
clocks; what is missing is named. First comes what is most telling; what a time budget leaves no room for is listed as left out. After each case
the results are written to FOLDER/DATE-gpu.json and .md. The exit code is 1 if anything failed, 3 if there is no such device.
"""
import argparse
import datetime
import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
CASE_SECONDS = 120  # a case that takes longer hangs
START_SECONDS = 120  # PyTorch and the driver's compiler may take their time
SANITIZER_SECONDS = 60


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "sim"), default="cuda", help="sim: interpret the kernels on the CPU; with --tiny, to try the script (cuda)")
    parser.add_argument("--budget", type=float, default=480, metavar="SECONDS", help="no case begins later (480)")
    parser.add_argument("--output", type=Path, default=HERE / "results", metavar="FOLDER", help="where the results go (results/ beside this script)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases that contain TEXT, as they are printed")
    parser.add_argument("--turns", type=int, default=3, help="turns of the engines of a benchmark (3)")
    parser.add_argument("--largest", type=float, default=10, metavar="GB", help="inputs larger than this are left out (10)")
    parser.add_argument("--tiny", action="store_true", help="the smallest sizes: whether everything runs, not how fast")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.turns < 1 or args.budget <= 0:
        parser.error("turns and the budget start above 0")
    return args


class Stopped(Exception):
    """A worker that ended or hung, in words."""


class Worker:
    """A process that runs cases (worker.py); `prefix` is a command that runs it."""

    def __init__(self, spec, prefix=()):
        command = [*prefix, sys.executable, str(Path(__file__).resolve()), "--worker", json.dumps(spec)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ, PYTHONUNBUFFERED="1"))
        self.buffer = b""

    def read(self, seconds):
        """The next line, as an object."""
        end = time.monotonic() + seconds
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                self.stop()
                raise Stopped(f"it took longer than {seconds:.0f} s and was stopped")
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            if not data:
                code = self.process.wait()
                raise Stopped(f"its process ended with code {code}" if code >= 0 else f"its process was ended by signal {-code}")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def ask(self, case, seconds):
        try:
            self.process.stdin.write((json.dumps(case) + "\n").encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # read() says how it ended
        return self.read(seconds)

    def stop(self, patience=0):
        self.process.stdin.close()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Run:
    def __init__(self, args):
        self.args, self.start = args, time.monotonic()
        self.bundle = json.loads((HERE / "bundle.json").read_text())
        self.spec = dict(folder=str(HERE), device=args.device, tiny=args.tiny, turns=args.turns, largest=args.largest, simulate=args.device == "cuda")
        self.results, self.worker, self.machine = [], None, None
        args.output.mkdir(parents=True, exist_ok=True)
        self.file = args.output / f"{datetime.date.today()}-gpu"

    def elapsed(self):
        return time.monotonic() - self.start

    def open(self):
        """A worker that has said what it runs on; the first one's words are the machine's."""
        self.worker = Worker(self.spec)
        found = self.worker.read(START_SECONDS)
        if "missing" in found:
            raise NothingRuns(found["missing"])
        if not self.machine:
            self.machine = found

    def plan(self):
        """Cases in the order of what they tell: [part, code, name]."""
        codes = [code for code in self.bundle["codes"] if self.args.device == "sim" or code in ("sm_80", f"{self.machine['architecture']}a")]
        if not codes:
            raise NothingRuns(f"the bundle has code for {', '.join(self.bundle['codes'])}, none of which {self.machine['name']} ({self.machine['architecture']}) runs")
        codes.sort(key=lambda code: code.endswith("a"))  # what is written for this GPU alone comes last
        best, names = codes[-1], self.bundle["cases"]
        cases = [["copy", "", "copy in the GPU's memory"]]
        cases += [["kernel", best, n] for n in names["kernel"]] + [["cublaslt", best, f"{n} by cuBLASLt"] for n in names["cublaslt"]]
        cases += [["decoder", best, n] for n in names["decoder"]]
        cases += [["model", best, n] for n in names["model"]]
        cases += [["bench", best, n] for n in names["bench"][:6]] + [["tokens", best, n] for n in names["tokens"]]
        cases += [["bench", best, n] for n in names["bench"][6:]]
        sanitizers = lambda code: [["sanitizer", code, tool] for tool in ("memcheck", "racecheck")]
        cases += sanitizers(best)
        for code in codes[:-1]:
            cases += [[part, code, n] for part in ("kernel", "decoder", "model") for n in names[part]] + sanitizers(code)
        return [case for case in cases if self.args.only in " ".join(case)]

    def one(self, part, code, name):
        if part == "sanitizer":
            return self.sanitize(code, name)
        if not self.worker:
            self.open()
        patience = min(CASE_SECONDS, max(self.args.budget - self.elapsed(), 0) + 60)
        result = self.worker.ask([part] if part == "copy" else [part, code, name], patience)
        self.machine["versions"] = result.pop("versions", None) or self.machine.get("versions", {})
        if result.pop("broken", False):  # a GPU that faulted stays so for the process
            self.close()
        return result

    def sanitize(self, code, tool):
        path = shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path="/usr/local/cuda/bin")
        if not path or self.args.device != "cuda":
            return dict(status="skipped", why="compute-sanitizer is not installed" if not path else "it looks at GPUs only")
        self.close()
        log, end, count = self.args.output / f"{tool}-{code}.txt", time.monotonic() + SANITIZER_SECONDS, 0
        log.unlink(missing_ok=True)
        options = ["--report-api-errors", "no"] if tool == "memcheck" else []  # the runtime reports its own, and asks the driver what it may refuse
        worker = Worker(dict(self.spec, tiny=True, simulate=False), [path, "--tool", tool, "--log-file", str(log), *options])
        failed = []
        try:
            worker.read(START_SECONDS)
            for name in self.bundle["cases"]["kernel"]:
                if time.monotonic() > end:
                    break
                result = worker.ask(["kernel", code, name], CASE_SECONDS)
                failed += [f"{name}: {result['why']}"] if result["status"] == "failed" else []
                count += 1
        except Stopped as stopped:
            failed.append(str(stopped))
        worker.stop(60)
        text = log.read_text(errors="replace") if log.exists() else ""
        summary = re.search(r"(?:ERROR SUMMARY: (\d+) error|RACECHECK SUMMARY: (\d+) hazard)", text)
        found = int(summary[1] or summary[2]) if summary else None
        if found is None:
            failed.append(f"{tool} left no summary: {text.strip().splitlines()[-1][:200] if text.strip() else 'it wrote nothing'}")
        elif found:
            failed.append(f"{found} findings, in {log.name}")
        total = len(self.bundle["cases"]["kernel"])
        return dict(status="failed" if failed else "passed", why="; ".join(failed[:3]), findings="" if found is None else found, kernels=f"{count} of {total}")

    def close(self):
        if self.worker:
            self.worker.stop(5)
            self.worker = None

    def save(self):
        from report import Report

        for suffix, text in ((".json", json.dumps(dict(machine=self.machine, bundle=self.bundle, options=self.spec, results=self.results), indent=1)),
                             (".md", Report(self.machine, self.bundle, self.results, self.spec).text())):
            part = self.file.with_suffix(suffix + ".part")
            part.write_text(text)
            part.rename(self.file.with_suffix(suffix))

    def run(self):
        if self.bundle["tiny"] and not self.args.tiny:
            raise NothingRuns("the bundle holds what --tiny needs and no more")
        self.open()
        cases = self.plan()
        print(f"{self.machine['name']}: {len(cases)} cases in {self.args.budget:.0f} s; results in {self.file}.md", flush=True)
        for number, (part, code, name) in enumerate(cases, 1):
            begin = time.monotonic()
            if self.elapsed() > self.args.budget:
                result = dict(status="skipped", why=f"the budget of {self.args.budget:.0f} s was used up")
            else:
                try:
                    result = self.one(part, code, name)
                except Stopped as stopped:
                    self.worker = None
                    result = dict(status="failed", why=str(stopped))
            self.results.append(dict(result, part=part, code=code, name=name, seconds=round(time.monotonic() - begin, 2)))
            why = f": {result['why']}" if result.get("why") else ""
            print(f"[{number}/{len(cases)} {self.elapsed():.0f} s] {part} {code} {name}: {result['status']}{why}", flush=True)
            self.save()
        self.close()
        print(self.file.with_suffix(".md").read_text() if cases else "nothing matches --only")
        ended = [r["status"] for r in self.results]
        return 1 if any(s == "failed" for s in ended) or "passed" not in ended else 0


class NothingRuns(Exception):
    """Why nothing can run."""


def main():
    args = arguments()
    if args.worker:
        from worker import main as work

        return work(json.loads(args.worker))
    run = Run(args)
    try:
        return run.run()
    except (NothingRuns, Stopped) as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    finally:
        run.close()


if __name__ == "__main__":
    sys.exit(main())
