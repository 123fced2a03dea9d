"""Entries of a cache as they are stored in fewer bits, in NumPy. What is read back from storage, not how it lies there."""
import ml_dtypes
import numpy as np


def half(x):
    return x.astype(np.float16).astype(np.float32)


def stored(x, precision, group=0):
    """`x` [..., head size] after a stay in the cache, as float32. `group` values have a scale; 0: 32, or the largest power of two below that divides the head size."""
    x = np.asarray(x, np.float32)
    if precision in ("f16", "bf16"):
        return x.astype(np.float16 if precision == "f16" else ml_dtypes.bfloat16).astype(np.float32)
    if precision == "f8":
        return np.clip(x, -448, 448).astype(ml_dtypes.float8_e4m3fn).astype(np.float32)
    size = x.shape[-1]
    group = group or min(32, size & -size)
    g = x.reshape(*x.shape[:-1], size // group, group)
    if precision == "i8":
        scale = half(np.abs(g).max(-1, keepdims=True) / np.float32(127))
        back = np.clip(np.rint(g / np.where(scale == 0, 1, scale)), -127, 127) * scale
    else:
        least = g.min(-1, keepdims=True)
        step = (g.max(-1, keepdims=True) - least) / np.float32(15) + np.float32(1e-8)
        back = np.clip(np.floor((g - least) / step + np.float32(0.5)), 0, 15) * half(step) + half(least)
    return back.reshape(x.shape)
