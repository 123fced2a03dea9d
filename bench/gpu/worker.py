"""Runs cases on a device in a process of its own: it says what the device is, then cases come in on standard input and results go out on standard
output, a line of JSON each.

A GPU that faulted is of no use to its process, and a kernel that hangs cannot be stopped: whoever asks starts another worker then.
"""
import functools
import gc
import json
import os
import statistics
import sys
import traceback
import zlib
from pathlib import Path

import numpy as np
from benchmarks import BENCHMARKS, SMALL_DECODERS, decoder_for
from driver import Clocks, Gpu, Missing
from kernels import KERNELS, difference
from leat_runtime import LeatError, Library
from peers import Torch
from tensors import Tensor, large

CUBLASLT = 2  # of leat_gemm
UNSUPPORTED = 5  # of leat_code
CONTEXT = 512  # tokens in the caches of decoders whose speed is measured
ROUND = 50e6  # nanoseconds that a round of one engine should take
MARGIN = 1 << 30  # bytes of memory that stay free


class Worker:
    """A case is the name of a method and its arguments. `spec`: folder, device, tiny, turns, largest (GB), simulate (compare with the simulator)."""

    def __init__(self, spec):
        self.spec, self.folder, self.tiny = spec, Path(spec["folder"]), spec["tiny"]
        self.libraries, self.models, self.torch_, self.clocks = {}, {}, None, Clocks()
        self.gpu = Gpu() if spec["device"] == "cuda" else None

    def session(self, code, name, device=None, gemm=0, **options):
        device = device or self.spec["device"]
        key = code, name, device, gemm
        if key not in self.models:
            if device not in self.libraries:
                self.libraries[device] = Library(self.folder, device)
            try:
                self.models[key] = self.libraries[device].load(self.folder / code / f"{name}.leat", gemm=gemm)
            except LeatError as error:
                if gemm and error.code == UNSUPPORTED:
                    raise Missing(str(error)) from None
                raise
        return self.models[key].session(**options)

    @property
    def torch(self):
        if self.torch_ is None:
            self.torch_ = Torch(self.gpu.facts.get("cache_bytes", 1 << 26)) if self.gpu else None
        return self.torch_

    def attending(self, code, name, cache, device=None):
        """A session of an artifact with caches (Coding.module) that hold `cache`."""
        batch, _, entries = cache[0].shape[:3]
        session = self.session(code, name, device, batch=batch, context=entries)
        self.call(session, "store", cache, ["i64"])
        return session

    @staticmethod
    def call(session, function, inputs, kinds):
        """Runs a function whose operands are numbered; its results have the element types `kinds`."""
        return Worker.tensors(session.run(function, {f"input{i}": t.typed for i, t in enumerate(inputs)}), kinds)

    @staticmethod
    def tensors(results, kinds):
        return [Tensor.result(kind, results[f"output{i}"]) for i, kind in enumerate(kinds)]

    # --- correctness

    def cublaslt(self, code, name):
        """A kernel in whose place cuBLASLt multiplies, as far as it has more than a few rows."""
        return self.kernel(code, name.split()[0], CUBLASLT)

    def kernel(self, code, name, gemm=0):
        """Against float64 at all sizes, and against the simulator at small ones."""
        kernel, rng = KERNELS[name], np.random.default_rng(zlib.crc32(name.encode()))
        worst, apart, why = 0.0, None, ""

        def run(inputs, device=None):
            """The session, and the results."""
            if kernel.cached:
                session = self.attending(code, name, inputs[1:], device)
                return session, self.call(session, "attend", inputs[:1], kernel.kinds())
            session = self.session(code, "kernels", device, 0 if device else gemm)
            return session, self.call(session, name, inputs, kernel.kinds())

        for size in kernel.tiny if self.tiny else kernel.sizes:
            inputs = kernel.make(rng, size)
            session, results = run(inputs)
            worst = max(worst, *map(difference, results, kernel.oracle(*(t.f64() for t in inputs))))
            session.repeat(1)
            if any(a.bits.tobytes() != b.bits.tobytes() for a, b in zip(results, self.tensors(session.results(), kernel.kinds()))):
                why = f"two runs at size {size} gave different bits"
        if self.spec["simulate"]:
            apart = 0.0
            for size in kernel.tiny:
                inputs = kernel.make(rng, size)
                (_, ours), (_, theirs) = run(inputs), run(inputs, "sim:checked")
                apart = max(apart, *(difference(a, b.f64()) for a, b in zip(ours, theirs)))
        for error, of in ((worst, "float64"), (apart or 0.0, "the simulator")):
            if not error <= kernel.tolerance:
                why = f"differs from {of} by {error:.2g} of a typical value"
        return dict(status="failed" if why else "passed", why=why, error=worst, simulator=apart, tolerance=kernel.tolerance)

    def decoder(self, code, name):
        """A text in pieces, then greedy tokens, each step's logits against the whole text in float64."""
        decoder, rng = SMALL_DECODERS[name], np.random.default_rng(7)
        weights, prompt = decoder.random(rng), [int(t) for t in rng.integers(0, decoder.vocab, 9)]
        ends = [5, 9, *range(10, 11 if self.tiny else 18)]
        tolerance, worst, chosen = 1e-4 if decoder.cache == "f32" else 1e-2, 0.0, {}
        for device in [self.spec["device"]] + (["sim:checked"] if self.spec["simulate"] else []):
            session, text, read = self.session(code, name, device, context=32), list(prompt), 0
            for end in ends:
                logits = session.run("step", self.step(weights, text[read:end]))["logits"][0, -1]
                worst = max(worst, difference(Tensor("f32", logits), decoder.logits(weights, text[:end])[-1]))
                read = end
                if end == len(text):
                    text.append(int(np.argmax(logits)))
            chosen[device] = text[len(prompt):]
        why = f"logits differ from float64 by {worst:.2g} of a typical value" if worst > tolerance else ""
        if len({tuple(tokens) for tokens in chosen.values()}) > 1:
            why = f"devices chose different tokens: {chosen}"
        return dict(status="failed" if why else "passed", why=why, error=worst, tolerance=tolerance, tokens=chosen[self.spec["device"]])

    def model(self, code, name):
        """A model as exported, against what the CPU made of the same inputs; and how long it takes."""
        with np.load(self.folder / f"{name}.npz") as file:
            of = lambda kind: {key.split(":", 1)[1]: file[key] for key in file.files if key.startswith(kind + ":")}
            inputs, expected = of("input"), of("output")
        session, tolerance = self.session(code, name), 1e-3
        results = session.run("main", inputs)
        worst = max(difference(Tensor("f32", results[key]), value) for key, value in expected.items())
        why = "" if worst <= tolerance else f"differs from the CPU by {worst:.2g} of a typical value"
        times = None if why else self.turns({"Leat": session.repeat})["Leat"]
        return dict(status="failed" if why else "passed", why=why, error=worst, tolerance=tolerance, time=times, clocks=self.clocks.now())

    @staticmethod
    def step(weights, tokens):
        return {"ids": np.array([tokens], np.int64), **{name: t.typed for name, t in weights.items()}}

    # --- speed

    def copy(self):
        if not self.gpu:
            raise Missing("only a GPU has memory of its own")
        rates = self.gpu.copy_rate((1 << 20) if self.tiny else min(1 << 30, self.gpu.memory()[0] // 4), 5 if self.tiny else 20)
        return dict(status="passed", bytes_per_second=statistics.median(rates), low=min(rates), high=max(rates), clocks=self.clocks.now())

    def room(self, bytes_needed, copies):
        """Refuses what would not fit, here or on the GPU."""
        if bytes_needed > self.spec["largest"] * 1e9:
            raise Missing(f"its inputs of {bytes_needed / 1e9:.1f} GB are larger than --largest={self.spec['largest']:g}")
        free = self.gpu.memory()[0] if self.gpu else None
        if free is not None and copies * bytes_needed + MARGIN > free and not self.tiny:
            raise Missing(f"it needs {copies * bytes_needed / 1e9:.1f} GB on the GPU, {free / 1e9:.1f} are free")
        with open("/proc/meminfo") as file:
            available = next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
        if 2 * bytes_needed > available:
            raise Missing(f"it needs {2 * bytes_needed / 1e9:.1f} GB of memory, {available / 1e9:.1f} are free")

    def turns(self, engines):
        """{name: {"ns", "low", "high", "runs"}}: the median of all runs and the range of the turns' medians. engines: name -> measure(count)."""
        times, counts = {name: [] for name in engines}, {}
        for name, measure in engines.items():
            counts[name] = 1 if self.tiny else int(min(max(ROUND / max(statistics.median(measure(3)), 1), 3), 30))
        for turn in range(1 if self.tiny else self.spec["turns"]):
            for name in list(engines)[::-1 if turn % 2 else 1]:
                times[name].append(engines[name](counts[name]))
        medians = {name: [statistics.median(t) for t in of] for name, of in times.items()}
        return {name: dict(ns=statistics.median([x for t in of for x in t]), low=min(medians[name]), high=max(medians[name]), runs=sum(map(len, of)))
                for name, of in times.items()}

    def bench(self, code, name):
        row = BENCHMARKS[name]
        size, rng = row.tiny if self.tiny else row.size, np.random.default_rng(zlib.crc32(name.encode()))
        self.room(row.needed(size), 4 if row.plain else 3)
        inputs = row.inputs(rng, size)
        session, given = (self.attending(code, row.cached, inputs[1:]), inputs[:1]) if row.cached else (self.session(code, "benchmarks"), inputs)
        result, = self.call(session, row.function(size), given, [row.RESULT])
        wrong = row.difference(inputs, lambda index: result[index].f64(), rng)
        moved = sum(t.nbytes for t in inputs) + result.nbytes
        found = dict(operations=row.operations(size), bytes=moved, error=wrong, tolerance=row.TOLERANCE)
        if not wrong <= row.TOLERANCE:
            return dict(status="failed", why=f"differs from float64 by {wrong:.2g} of a typical value", **found)
        engines, absent = {"Leat": session.repeat}, {}
        if row.plain:
            try:
                engines["Leat by cuBLASLt"] = self.by_library(code, row, size, inputs, rng)
            except Missing as missing:
                absent["Leat by cuBLASLt"] = str(missing)
        if self.torch is None or self.torch.why:
            absent["PyTorch"] = self.torch.why if self.torch else "it is measured on GPUs only"
        else:
            peers, theirs = row.peers(self.torch, inputs)
            for peer, call in peers.items():
                try:  # whatever a peer dies of is its own matter
                    wrong = row.difference(theirs, self.torch.take(call()), rng)
                    if not wrong <= row.TOLERANCE:
                        raise RuntimeError(f"its result differs from float64 by {wrong:.2g} of a typical value")
                    engines[peer] = functools.partial(self.torch.measure, call)
                except Exception as error:
                    absent[peer] = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        times = self.turns(engines)
        return dict(status="passed", **found, times=times, absent=absent, clocks=self.clocks.now())

    def by_library(self, code, row, size, inputs, rng):
        """repeat() of a row's session in which cuBLASLt multiplies."""
        session = self.session(code, "benchmarks", gemm=CUBLASLT)
        result, = self.call(session, row.function(size), inputs, ["bf16"])
        wrong = row.difference(inputs, lambda index: result[index].f64(), rng)
        if not wrong <= row.TOLERANCE:
            raise RuntimeError(f"by cuBLASLt it differs from float64 by {wrong:.2g} of a typical value")
        return session.repeat

    def tokens(self, code, name):
        """Steps of one token, one stream, after CONTEXT tokens."""
        decoder, rng = decoder_for(name, self.tiny), np.random.default_rng(5)
        self.room(sum(decoder.sizes().values()), 2)
        weights, context = decoder.random(rng, large), 8 if self.tiny else CONTEXT
        session = self.session(code, decoder.name, context=context + 256)
        text = [int(t) for t in rng.integers(0, decoder.vocab, context)]
        session.run("step", self.step(weights, text))
        logits = session.run("step", self.step(weights, text[:1]))["logits"]
        if not np.isfinite(logits).all():
            return dict(status="failed", why="its logits are not finite")
        return dict(status="passed", weight_bytes=decoder.bytes_per_token(), context=context, times=self.turns({"Leat": session.repeat}), clocks=self.clocks.now())

    # --- the protocol

    def run(self, case):
        part, *rest = case
        try:
            return getattr(self, part)(*rest)
        except Missing as missing:
            return dict(status="skipped", why=str(missing))
        except LeatError as error:
            return dict(status="failed", why=str(error), broken=True)
        except Exception as error:
            traceback.print_exc()
            return dict(status="failed", why=f"{type(error).__name__}: {error}", broken=True)
        finally:
            gc.collect()
            if self.torch_:
                self.torch_.forget()


def main(spec):
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries that print do it elsewhere

    def answer(**fields):
        print(json.dumps(fields), file=answers, flush=True)

    try:
        worker = Worker(spec)
    except Missing as missing:
        return answer(missing=str(missing))
    gpu, driver = worker.gpu, worker.clocks.driver()
    answer(name=gpu.name if gpu else "simulator", architecture=gpu.architecture if gpu else None, facts=gpu.facts if gpu else {},
           memory=gpu.memory()[1] if gpu else 0, cuda=gpu.version if gpu else None, driver=driver, clocks=worker.clocks.now())
    for line in sys.stdin:
        result = worker.run(json.loads(line))
        answer(**result, versions=worker.torch_.versions() if worker.torch_ else {})
