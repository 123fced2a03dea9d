"""Runs functions of leat ops in two ways that share nothing: decomposed and compiled by upstream MLIR, and as kernels of an artifact.

A function is a few lines of IR over tensors whose sizes are dynamic, so that one compilation serves all sizes. The first way
(`decomposition`) is leat-opt --leat-decompose, then upstream's passes to LLVM and clang; it is called through memref descriptors. The
second (`kernel`) is `leat compile` and the runtime. State slots are operands and results of a function in the first way and live in a
session in the second; `restart` gives either a fresh state.
"""
import ctypes as c
import hashlib
import os
import subprocess
from pathlib import Path

import ml_dtypes
import numpy as np

from leat_runtime import Library

SOURCE = Path(os.environ.get("LEAT_SOURCE", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("LEAT_BUILD", SOURCE / "build"))
LLVM = Path("/usr/lib/llvm-22/bin")

DTYPES = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64, "i1": np.bool_, "i8": np.int8,
          "i16": np.int16, "i32": np.int32, "i64": np.int64}

UPSTREAM = ["--canonicalize", "--one-shot-bufferize=bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map",
            "--convert-linalg-to-loops", "--expand-strided-metadata", "--lower-affine", "--convert-scf-to-cf",
            "--arith-expand=include-bf16=true", "--convert-math-to-llvm", "--convert-math-to-libm", "--llvm-request-c-wrappers",
            "--convert-to-llvm", "--reconcile-unrealized-casts"]


def split(type_text):
    """'?x4xf32' -> (rank, NumPy dtype)"""
    *dims, element = type_text.split("x")
    return len(dims), np.dtype(DTYPES[element])


class Slot:
    """A leat.slot; `words` are what follows its type, sizes[i] is a number, "batch", "context", or another name for what the test decides."""

    def __init__(self, name, type_text, words, sizes):
        self.name, (_, self.dtype), self.sizes = name, split(type_text), sizes
        self.text = f"leat.slot @{name} : tensor<{type_text}> growth {words}\n"

    def empty(self, **sizes):
        return np.zeros([sizes.get(n, n if isinstance(n, int) else 0) for n in self.sizes], self.dtype)


class Function:
    """`body` computes %r0, %r1, ... from %0, %1, ...; `{0}` and `{r0}` stand for the types of operands and results. It gets the state of
    `slots` and puts that of `puts`, both in the order of the module's slots."""

    def __init__(self, name, operands, results, body, slots=(), puts=()):
        self.name, self.operands, self.results, self.slots, self.puts = name, operands, results, slots, puts
        tensors = [f"tensor<{t}>" for t in operands]
        outs = [f"tensor<{t}>" for t in results]
        body = body.format(*tensors, **{f"r{i}": t for i, t in enumerate(outs)})
        arguments = ", ".join(f"%{i}: {t}" for i, t in enumerate(tensors))
        returned = ", ".join(f"%r{i}" for i in range(len(outs)))
        self.text = f"func.func @{name}({arguments}) -> ({', '.join(outs)}) {{\n{body}\nreturn {returned} : {', '.join(outs)}\n}}\n"


class OpModule:
    """Functions of one test file, compiled together."""

    def __init__(self):
        self.functions, self.slots = {}, {}

    def add(self, name, operands, results, body, **state):
        assert name not in self.functions, name
        self.functions[name] = Function(name, operands, results, body, **state)
        return name

    def add_slot(self, name, *args):
        self.slots[name] = Slot(name, *args)
        return name

    def text(self):
        return "".join(x.text for x in [*self.slots.values(), *self.functions.values()])


def index_operand(number, name="%index"):
    """Lines that read operand `number`, a tensor<i64>, as the index `name`."""
    return f"{name}_i64 = tensor.extract %{number}[] : tensor<i64>\n{name} = arith.index_cast {name}_i64 : i64 to index\n"


def cached(text, tool, suffix, make):
    """A file made from `text` by `tool`, kept in the build folder until either changes."""
    folder = BUILD / "test" / "oracles"
    folder.mkdir(parents=True, exist_ok=True)
    stamp = os.stat(tool)
    key = hashlib.sha256(f"{stamp.st_mtime_ns} {stamp.st_size}\n{Path(__file__).read_text()}\n{text}".encode()).hexdigest()[:20]
    path = folder / f"{key}{suffix}"
    if not path.exists():
        source, temporary = path.with_suffix(f".{os.getpid()}.mlir"), path.with_suffix(f".{os.getpid()}{suffix}")
        source.write_text(text)
        make(source, temporary)
        source.unlink()
        temporary.rename(path)
    return path


def tool(*command, **kwargs):
    result = subprocess.run([str(x) for x in command], capture_output=True, **kwargs)
    assert result.returncode == 0, f"{' '.join(map(str, command))}\n{result.stderr.decode()}"
    return result.stdout


def descriptor(rank):
    class Descriptor(c.Structure):
        _fields_ = [("allocated", c.c_void_p), ("aligned", c.c_void_p), ("offset", c.c_int64)] + (
            [("sizes", c.c_int64 * rank), ("strides", c.c_int64 * rank)] if rank else [])

    return Descriptor


def to_descriptor(array):
    d = descriptor(array.ndim)(array.ctypes.data, array.ctypes.data, 0)
    if array.ndim:
        d.sizes[:] = array.shape
        d.strides[:] = [s // array.itemsize for s in array.strides]
    return d


def from_descriptor(d, dtype, rank):
    shape = tuple(d.sizes) if rank else ()
    count = int(np.prod(shape, dtype=np.int64))
    if not count:
        return np.zeros(shape, dtype)
    assert d.offset == 0
    return np.frombuffer(c.string_at(d.aligned, count * dtype.itemsize), dtype).reshape(shape).copy()


class Decomposition:
    """The functions of a module by their decompositions, through upstream MLIR."""

    def __init__(self, module):
        self.module = module
        opt = BUILD / "bin" / "leat-opt"

        def make(source, target):
            plain = tool(opt, source, "--leat-decompose", "--leat-state-to-values")
            llvm = tool(LLVM / "mlir-opt", "-", *UPSTREAM, input=plain)
            ir = tool(LLVM / "mlir-translate", "--mlir-to-llvmir", "-", input=llvm)
            tool(LLVM / "clang", "-O1", "-shared", "-fPIC", "-Wno-override-module", "-x", "ir", "-", "-o", target, "-lm",
                 f"-L{LLVM.parent}/lib", f"-Wl,-rpath,{LLVM.parent}/lib", "-lmlir_c_runner_utils", input=ir)

        self.lib = c.CDLL(str(cached(module.text(), opt, ".so", make)))
        self.free = c.CDLL(None).free
        self.restart()

    def restart(self, batch=1, context=1):
        self.state = {slot.name: slot.empty(batch=batch, context=context) for slot in self.module.slots.values()}

    def __call__(self, name, *operands):
        function = self.module.functions[name]
        arrays = [np.array(a, order="C") for a in (*operands, *[self.state[s] for s in function.slots])]  # copies: bufferization may write to arguments
        inputs = [to_descriptor(a) for a in arrays]
        kinds = [split(t) for t in function.results] + [(self.state[s].ndim, self.state[s].dtype) for s in function.puts]

        class Results(c.Structure):
            _fields_ = [(f"r{i}", descriptor(rank)) for i, (rank, _) in enumerate(kinds)]

        results = Results()
        getattr(self.lib, f"_mlir_ciface_{name}")(c.byref(results), *[c.byref(d) for d in inputs])
        descriptors = [getattr(results, f"r{i}") for i in range(len(kinds))]
        values = [from_descriptor(d, dtype, rank) for d, (rank, dtype) in zip(descriptors, kinds)]
        for pointer in {d.allocated for d in descriptors} - {a.ctypes.data for a in arrays}:
            self.free(c.c_void_p(pointer))
        count = len(function.results)
        self.state.update(zip(function.puts, values[count:]))
        return values[:count]


class Kernel:
    """The functions of a module as an artifact's."""

    def __init__(self, module):
        self.module = module
        leat = BUILD / "bin" / "leat"
        artifact = cached(module.text(), leat, ".leat", lambda source, target: tool(leat, "compile", source, "-o", target, "--quiet"))
        self.model = Library(BUILD).load(artifact)
        self.restart()

    def restart(self, batch=1, context=1):
        self.session = self.model.session(batch, context)

    def __call__(self, name, *operands):
        results = self.session.run(name, {f"input{i}": a for i, a in enumerate(operands)})
        return [results[f"output{i}"] for i in range(len(results))]


WAYS = {"decomposition": Decomposition, "kernel": Kernel}

# What an element may be off: its own rounding, and that of f32 arithmetic behind it.
TOLERANCE = {"float16": 6e-4, "bfloat16": 4.2e-3, "float32": 1e-5, "float64": 1e-12}


def check(actual, expected, tolerance=None):
    """`actual` is the float64 `expected` up to its format's rounding; integers are equal. Infinities and NaN are where they should be."""
    expected = np.asarray(expected)
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    if actual.dtype.name not in TOLERANCE:
        assert np.array_equal(actual, expected), f"{actual} is not {expected}"
        return
    tolerance = tolerance or TOLERANCE[actual.dtype.name]
    a, e = actual.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(e)
    assert np.array_equal(a[~finite], e[~finite], equal_nan=True), "infinities or NaN are at other places"
    size = np.sqrt((e[finite]**2).mean()) if finite.any() else 0.0
    error = np.abs(a - e)[finite]
    allowed = tolerance * (np.abs(e[finite]) + size)
    worst = np.argmax(error - allowed) if error.size else 0
    assert (error <= allowed).all(), f"{a[finite][worst]} is not {e[finite][worst]} (largest error {error.max():.3g}, typical value {size:.3g})"


def refuses(actual, wrong, tolerance=None):
    """A negative control: a result must not pass for what it should not be."""
    try:
        check(actual, wrong, tolerance)
    except AssertionError:
        return
    raise AssertionError("the comparison accepts a wrong result")


class Data:
    """Random arrays of a dtype, the same in every run."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)

    def normal(self, dtype, *shape, scale=1.0):
        return (self.rng.standard_normal(shape) * scale).astype(DTYPES[dtype])

    def integers(self, dtype, low, high, *shape):
        return self.rng.integers(low, high, shape).astype(DTYPES[dtype])
