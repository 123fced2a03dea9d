"""Tensors of the element types that kernels have, NumPy's or not, and random ones that cost little to make."""
import numpy as np

# Leat's number and the NumPy type that holds the bits.
KINDS = {"f32": (1, np.float32), "i8": (3, np.int8), "i64": (7, np.int64), "f16": (10, np.float16), "bf16": (16, np.uint16)}
CHUNK = 1 << 20  # random elements that large tensors repeat


class Tensor:
    """`bits` as the runtime reads them; f64() as they are meant."""

    def __init__(self, kind, bits):
        self.kind, self.bits = kind, np.ascontiguousarray(bits, KINDS[kind][1])

    @staticmethod
    def of(kind, values):
        """Rounds to the nearest, ties to even."""
        if kind != "bf16":
            return Tensor(kind, values)
        words = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
        return Tensor(kind, (words + 0x7FFF + ((words >> 16) & 1)) >> 16)

    @staticmethod
    def result(kind, array):
        """What the runtime gave back; a type that NumPy lacks may come as its bits."""
        return Tensor(kind, array.view(np.uint16) if kind == "bf16" else array)

    def __getitem__(self, at):
        return Tensor(self.kind, self.bits[at])

    @property
    def shape(self):
        return self.bits.shape

    @property
    def nbytes(self):
        return self.bits.nbytes

    @property
    def typed(self):
        """As leat_runtime takes it."""
        return self.bits, KINDS[self.kind][0]

    def f64(self):
        if self.kind == "bf16":
            return (self.bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
        return self.bits.astype(np.float64)


def normal(rng, kind, *shape, scale=1.0):
    return Tensor.of(kind, scale * rng.standard_normal(shape))


def large(rng, kind, *shape, scale=1.0):
    """Random, but repeating: for tensors of gigabytes, where only speed is asked. The period is odd, so that rows and pages differ."""
    count = int(np.prod(shape, dtype=np.int64))
    if kind == "i8":
        part = rng.integers(-128, 128, min(count, CHUNK - 1), dtype=np.int8)
    else:
        part = Tensor.of(kind, scale * rng.standard_normal(min(count, CHUNK - 1), dtype=np.float32)).bits
    return Tensor(kind, np.resize(part, shape))
