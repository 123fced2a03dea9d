"""The runtime's C interface through ctypes: what tests and benchmarks need of it, with NumPy arrays in and out."""
import ctypes as c
from pathlib import Path

import numpy as np

try:
    from ml_dtypes import bfloat16
except ImportError:
    bfloat16 = None  # such results are their bits, as uint16

RANK = 8
DTYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float16, 11: np.float64,
          12: np.uint32, 13: np.uint64, 16: bfloat16 or np.uint16}
NUMBERS = {np.dtype(v): k for k, v in DTYPES.items() if bfloat16 or k != 16}


class Struct(c.Structure):
    """A struct that begins with its own size."""

    def __init__(self, **fields):
        super().__init__(struct_size=c.sizeof(type(self)), **fields)


class TensorStruct(Struct):
    _fields_ = [("struct_size", c.c_size_t), ("dtype", c.c_int32), ("rank", c.c_int32), ("dims", c.c_int64 * RANK), ("data", c.c_void_p)]


class InfoStruct(Struct):
    _fields_ = [("struct_size", c.c_size_t), ("name", c.c_char_p), ("dtype", c.c_int32), ("rank", c.c_int32), ("dims", c.c_int64 * RANK),
                ("symbols", c.c_char_p * RANK)]


class ModelOptions(Struct):
    _fields_ = [("struct_size", c.c_size_t), ("threads", c.c_int32), ("skip_weight_checksum", c.c_int32), ("device", c.c_char_p), ("weight_pages", c.c_int32), ("gemm", c.c_int32)]


class SessionOptions(Struct):
    _fields_ = [("struct_size", c.c_size_t), ("batch", c.c_int64), ("context", c.c_int64), ("profile", c.c_int32)]


class Counters(Struct):
    _fields_ = [("struct_size", c.c_size_t)] + [(n, c.c_int64) for n in ("runs", "launches", "allocations", "buffer_bytes", "state_bytes", "pages_taken")]


class KernelProfile(Struct):
    _fields_ = [("struct_size", c.c_size_t), ("name", c.c_char_p), ("description", c.c_char_p)] + [
        (n, c.c_int64) for n in ("calls", "nanoseconds", "bytes", "operations")]


class LeatError(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Library:
    """`device`: what models run on; empty: what each was compiled for. Only a library for tests holds the simulator."""

    def __init__(self, build, device=""):
        self.device = device
        self.lib = c.CDLL(str(Path(build) / "lib" / ("libleat_runtime_sim.so" if device.startswith("sim") else "libleat_runtime.so")))
        self.lib.leat_status_message.restype = self.lib.leat_model_device.restype = c.c_char_p
        for name in ("leat_model_load", "leat_model_find_function", "leat_model_input_info", "leat_model_output_info", "leat_session_create",
                     "leat_session_run", "leat_session_repeat", "leat_session_kernel_profile", "leat_session_output", "leat_session_save", "leat_session_load", "leat_session_fork", "leat_session_counters"):
            getattr(self.lib, name).restype = c.c_void_p
        for name in ("leat_model_input_count", "leat_model_output_count", "leat_session_kernel_count"):
            getattr(self.lib, name).restype = c.c_size_t
        for name in ("leat_session_tokens", "leat_session_bytes"):
            getattr(self.lib, name).restype = c.c_int64

    def check(self, status):
        if status:
            status = c.c_void_p(status)
            error = LeatError(self.lib.leat_status_code(status), self.lib.leat_status_message(status).decode())
            self.lib.leat_status_free(status)
            raise error

    def load(self, path, threads=0, gemm=0):
        """`gemm`: a number of leat_gemm."""
        return Model(self, path, threads, gemm)


class Model:
    def __init__(self, library, path, threads, gemm):
        self.runtime, self.lib, self.handle = library, library.lib, c.c_void_p()
        options = ModelOptions(threads=threads, device=library.device.encode() or None, gemm=gemm)
        library.check(self.lib.leat_model_load(str(path).encode(), c.byref(options), c.byref(self.handle)))

    def __del__(self):
        if self.handle:
            self.lib.leat_model_release(self.handle)

    def function(self, name):
        index = c.c_size_t()
        self.runtime.check(self.lib.leat_model_find_function(self.handle, name.encode(), c.byref(index)))
        return index

    def infos(self, function, side):
        """What the function's inputs or outputs ("input", "output") are declared as."""
        infos = []
        for i in range(getattr(self.lib, f"leat_model_{side}_count")(self.handle, function)):
            infos.append(InfoStruct())
            self.runtime.check(getattr(self.lib, f"leat_model_{side}_info")(self.handle, function, c.c_size_t(i), c.byref(infos[-1])))
        return infos

    def names(self, function, side):
        return [info.name.decode() for info in self.infos(function, side)]

    def device(self):
        return self.lib.leat_model_device(self.handle).decode()

    def session(self, batch=1, context=2048, profile=False):
        return Session(self, batch, context, profile=profile)


class Session:
    def __init__(self, model, batch=1, context=2048, handle=None, profile=False):
        self.model, self.runtime, self.lib, self.handle = model, model.runtime, model.lib, handle or c.c_void_p()
        if not handle:
            options = SessionOptions(batch=batch, context=context, profile=profile)
            self.runtime.check(self.lib.leat_session_create(model.handle, c.byref(options), c.byref(self.handle)))

    def __del__(self):
        if self.handle:
            self.lib.leat_session_destroy(self.handle)

    def __call__(self, function="main", **inputs):
        """Runs a function; returns {output name: array}. Names with dots are given through `run`."""
        return self.run(function, inputs)

    def run(self, function, inputs):
        """Values are arrays, or (array of the bits, number of the type) for types that NumPy lacks."""
        index = self.model.function(function)
        tensors = []
        values = [v if isinstance(v, tuple) else (v, None) for v in inputs.values()]
        arrays = self.inputs = [np.asarray(a, order="C") for a, _ in values]  # kept for repeat()
        for a, (_, number) in zip(arrays, values):
            t = TensorStruct(dtype=number or NUMBERS[a.dtype], rank=a.ndim, data=a.ctypes.data)
            t.dims[: a.ndim] = a.shape
            tensors.append(t)
        n = len(tensors)
        names = (c.c_char_p * n)(*[k.encode() for k in inputs])
        pointers = (c.POINTER(TensorStruct) * n)(*[c.pointer(t) for t in tensors])
        self.runtime.check(self.lib.leat_session_run(self.handle, index, names, pointers, c.c_size_t(n)))
        self.last = index
        return self.results()

    def repeat(self, count):
        """Runs the last run again; returns nanoseconds of each: on a device its own time, with cold caches and nothing copied."""
        times = (c.c_int64 * count)()
        self.runtime.check(self.lib.leat_session_repeat(self.handle, c.c_size_t(count), times))
        return list(times)

    def results(self):
        """Of the last run or repetition: {output name: array}."""
        results = {}
        for i, name in enumerate(self.model.names(self.last, "output")):
            t = TensorStruct()
            self.runtime.check(self.lib.leat_session_output(self.handle, c.c_size_t(i), c.byref(t)))
            dtype = np.dtype(DTYPES[t.dtype])
            shape = tuple(t.dims[: t.rank])
            size = int(np.prod(shape, dtype=np.int64))
            results[name] = np.frombuffer(c.string_at(t.data, size * dtype.itemsize) if size else b"", dtype).reshape(shape).copy()
        return results

    def counters(self):
        counters = Counters()
        self.runtime.check(self.lib.leat_session_counters(self.handle, c.byref(counters)))
        return counters

    def profile(self):
        """What a session made with `profile` measured: {kernel: its KernelProfile}."""
        found = {}
        for i in range(self.lib.leat_session_kernel_count(self.handle)):
            profile = KernelProfile()
            self.runtime.check(self.lib.leat_session_kernel_profile(self.handle, c.c_size_t(i), c.byref(profile)))
            found[profile.name.decode()] = profile
        return found

    def bytes(self):
        return self.lib.leat_session_bytes(self.handle)

    def tokens(self):
        return self.lib.leat_session_tokens(self.handle)

    def reset(self):
        self.lib.leat_session_reset(self.handle)

    def save(self, path):
        self.runtime.check(self.lib.leat_session_save(self.handle, str(path).encode()))

    def load(self, path):
        self.runtime.check(self.lib.leat_session_load(self.handle, str(path).encode()))

    def fork(self):
        handle = c.c_void_p()
        self.runtime.check(self.lib.leat_session_fork(self.handle, c.byref(handle)))
        return Session(self.model, handle=handle)
