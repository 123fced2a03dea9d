"""Stands in for PyTorch in tests of bench/gpu: as much of it as peers.py calls, in NumPy. cuDNN refuses shared KV heads, flex does not compile."""
import contextlib
import sys
import time
import types

import numpy as np

__version__, uint8, bfloat16, float64 = "0.0 (stand-in)", "uint8", "bfloat16", "float64"


class Tensor:
    def __init__(self, values):
        self.values, self.shape = values, values.shape

    def cuda(self):
        return self

    cpu = double = zero_ = cuda

    def view(self, dtype):
        assert dtype == bfloat16 and self.values.dtype == np.int16
        return Tensor((self.values.view(np.uint16).astype(np.uint32) << 16).view(np.float32).astype(np.float64))

    def repeat_interleave(self, count, axis):
        return Tensor(np.repeat(self.values, count, axis))

    def __getitem__(self, at):
        return Tensor(np.asarray(self.values[at]))

    def numpy(self):
        return self.values


class Event:
    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        self.at = time.perf_counter()

    def synchronize(self):
        pass

    def elapsed_time(self, end):
        return (end.at - self.at) * 1e3


def attention(q, k, v, is_causal, enable_gqa):
    if chosen == ["cuDNN"] and enable_gqa:
        raise RuntimeError("No available kernel. Aborting execution.")
    q, k, v = q.values, *(np.repeat(x.values, q.shape[1] // x.shape[1], 1) for x in (k, v))
    x = np.einsum("bhsd,bhtd->bhst", q, k) * q.shape[-1]**-0.5
    if is_causal:
        x = np.where(np.tri(*x.shape[2:], dtype=bool), x, -np.inf)
    w = np.exp(x - x.max(-1, keepdims=True))
    return Tensor(np.einsum("bhst,bhtd->bhsd", w / w.sum(-1, keepdims=True), v))


def sdpa_kernel(backends):
    global chosen
    chosen = backends
    return contextlib.nullcontext()


def compile(function, dynamic):
    raise RuntimeError("no compiler here\nand more lines")


from_numpy, empty = Tensor, lambda size, dtype, device: Tensor(np.zeros(size, np.uint8))
matmul = lambda a, b: Tensor(a.values @ b.values)
version = types.SimpleNamespace(cuda="0")
cuda = types.SimpleNamespace(is_available=lambda: True, Event=Event, empty_cache=lambda: None)
backends = types.SimpleNamespace(cudnn=types.SimpleNamespace(version=lambda: 0))
nn = types.ModuleType("torch.nn")
nn.functional = types.SimpleNamespace(scaled_dot_product_attention=attention)
nn.attention = types.ModuleType("torch.nn.attention")
nn.attention.SDPBackend = types.SimpleNamespace(CUDNN_ATTENTION="cuDNN", FLASH_ATTENTION="flash")
nn.attention.sdpa_kernel = sdpa_kernel
flex = types.ModuleType("torch.nn.attention.flex_attention")
flex.create_block_mask = lambda *arguments: None
flex.flex_attention = None
sys.modules |= {"torch.nn": nn, "torch.nn.attention": nn.attention, "torch.nn.attention.flex_attention": flex}
