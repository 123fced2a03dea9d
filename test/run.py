"""Runs every suite (lit, GoogleTest, pytest) and ends with one line: N passed, N failed, N skipped."""
import argparse
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FUZZ_SECONDS = 60


class Totals:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []

    def add_junit(self, path, suite):
        """Adds the cases of a JUnit file; a missing file is one failure of the suite."""
        if not path.exists():
            self.fail(f"{suite}: wrote no results")
            return
        for case in ElementTree.parse(path).iter("testcase"):
            name = f"{suite}: {case.get('classname', '')}.{case.get('name', '')}"
            if case.find("failure") is not None or case.find("error") is not None:
                self.fail(name)
            elif case.find("skipped") is not None or case.get("status") == "notrun" or case.get("result") in ("skipped", "suppressed"):
                self.skipped += 1
            else:
                self.passed += 1

    def fail(self, name):
        self.failed += 1
        self.failures.append(name)


def run(command, **kwargs):
    print("$", " ".join(str(c) for c in command), flush=True)
    return subprocess.run([str(c) for c in command], **kwargs).returncode


def sanitize(build):
    """Settings of the sanitizers for a build that has them; returns the environment of a Python that loads such libraries."""
    if "LEAT_SANITIZE:BOOL=ON" not in (build / "CMakeCache.txt").read_text():
        return {}
    # LLVM's headers mark memory of their allocators where they are compiled with a sanitizer; the packaged LLVM, which uses the same allocators, does not.
    os.environ["ASAN_OPTIONS"] = "allow_user_poisoning=0"
    os.environ["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
    library = subprocess.run(["clang-22", "-print-file-name=libclang_rt.asan-x86_64.so"], capture_output=True, text=True, check=True).stdout.strip()
    return {"LD_PRELOAD": library, "ASAN_OPTIONS": "allow_user_poisoning=0:detect_leaks=0"}


def lit(build, results, totals, args):
    out = results / "lit.xml"
    tool = Path("/usr/lib/llvm-22/bin/lit")
    code = run([tool, "-s", f"-j{args.jobs}", "--xunit-xml-output", out, build / "test"])
    before = totals.failed
    totals.add_junit(out, "lit")
    if code and totals.failed == before:
        totals.fail("lit: stopped with an error")


def unit(build, results, totals, args):
    def execute(binary):
        command = [str(binary), f"--gtest_output=xml:{results / binary.name}.xml", "--gtest_brief=1"]
        done = subprocess.run(command, cwd=build, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        print("$", *command, "\n" + done.stdout.rstrip(), flush=True)
        return done.returncode

    binaries = sorted((build / "bin").glob("*_test"))
    with ThreadPoolExecutor(args.jobs) as pool:
        codes = list(pool.map(execute, binaries))
    for binary, code in zip(binaries, codes):
        out = results / f"{binary.name}.xml"
        before = totals.failed
        totals.add_junit(out, binary.name)
        if code and totals.failed == before:
            totals.fail(f"{binary.name}: stopped with exit code {code}")


def e2e(build, results, totals, args):
    out = results / "pytest.xml"
    env = dict(os.environ, LEAT_BUILD=str(build), LEAT_SOURCE=str(ROOT), PYTHONPATH=str(ROOT / "test"), **args.python_environment)
    if args.device:
        env |= {"LEAT_TARGET": "cuda", "LEAT_DEVICE": args.device}
    # A file's cases stay together: they share compiled models.
    command = [sys.executable, "-m", "pytest", "-q", "-n", args.jobs, "--dist=loadfile", "-p", "no:cacheprovider", f"--junitxml={out}", ROOT / "test/oracles", ROOT / "test/e2e"]
    if args.k:
        command += ["-k", args.k]
    code = run(command, env=env, cwd=ROOT)
    before = totals.failed
    totals.add_junit(out, "pytest")
    if code not in (0, 5) and totals.failed == before:
        totals.fail(f"pytest: stopped with exit code {code}")


def fuzz(build, results, totals, args):
    """Every libFuzzer target for a minute; targets are in build-fuzz/bin."""
    folder = ROOT / "build-fuzz"
    onnx_root = [line.split("=", 1)[1].strip() for line in (build / "CMakeCache.txt").read_text().splitlines() if line.startswith("LEAT_ONNX_ROOT")][0]
    env = dict(os.environ, CC="clang-22", CXX="clang++-22")
    if run(["cmake", "-G", "Ninja", "-S", ROOT, "-B", folder, "-DLEAT_FUZZ=ON", "-DLEAT_SANITIZE=ON", f"-DLEAT_ONNX_ROOT={onnx_root}",
            f"-DLEAT_PYTHON={sys.executable}"], env=env, stdout=subprocess.DEVNULL) or run(["ninja", "-C", folder, "leat_fuzzers"]):
        totals.fail("fuzz: did not build")
        return
    for binary in sorted((folder / "bin").glob("*_fuzz")):
        corpus = ROOT / "test/fuzz/corpus" / binary.name.removesuffix("_fuzz")
        work = folder / "corpus" / binary.name
        work.mkdir(parents=True, exist_ok=True)
        folders = [work] + ([corpus] if corpus.exists() else [])
        if run([binary, f"-max_total_time={FUZZ_SECONDS}", "-rss_limit_mb=2048", "-timeout=10", "-verbosity=0", f"-artifact_prefix={folder}/", *folders]):
            totals.fail(f"fuzz: {binary.name} found something (input in build-fuzz/)")
        else:
            totals.passed += 1


SUITES = {"lit": lit, "unit": unit, "e2e": e2e}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="build folder")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", choices=sorted(SUITES), action="append", help="run only this suite")
    parser.add_argument("--long", action="store_true", help=f"also fuzz every reader for {FUZZ_SECONDS} seconds")
    parser.add_argument("--device", help="run the e2e suite's models on this device: cuda, sim, sim:checked (they are compiled for cuda)")
    parser.add_argument("-k", help="only pytest cases that match this expression")
    args = parser.parse_args()
    args.build = args.build.resolve()
    args.python_environment = sanitize(args.build)
    results = args.build / "test-results"
    results.mkdir(parents=True, exist_ok=True)
    for old in results.glob("*.xml"):
        old.unlink()
    totals = Totals()
    for name, suite in SUITES.items():
        if args.only and name not in args.only:
            continue
        start = time.monotonic()
        print(f"==> {name}", flush=True)
        suite(args.build, results, totals, args)
        print(f"    {name}: {time.monotonic() - start:.0f} s", flush=True)
    if args.long:
        fuzz(args.build, results, totals, args)
    for name in totals.failures:
        print("FAILED", name)
    print(f"{totals.passed} passed, {totals.failed} failed, {totals.skipped} skipped")
    return 1 if totals.failed or not totals.passed else 0


if __name__ == "__main__":
    sys.exit(main())
