"""Tensors of the element types that kernels have, NumPy's or not, and random ones that cost little to make."""
import numpy as np

# Leat's number and the NumPy type that holds the bits.
KINDS = {"f32": (1, np.float32), "i8": (3, np.int8), "i64": (7, np.int64), "f16": (10, np.float16), "bf16": (16, np.uint16), "f8E4M3FN": (17, np.uint8)}
CHUNK = 1 << 20  # random elements that large tensors repeat
# The numbers of f8E4M3FN from 0 up, by code: 4 bits of exponent, 3 of mantissa; the code behind them and its negative are no numbers.
F8 = np.array([(code % 8 / 8 + (code >= 8)) * 2.0**(max(code // 8, 1) - 7) for code in range(127)])


class Tensor:
    """`bits` as the runtime reads them; f64() as they are meant."""

    def __init__(self, kind, bits):
        self.kind, self.bits = kind, np.ascontiguousarray(bits, KINDS[kind][1])

    @staticmethod
    def of(kind, values):
        """Rounds to the nearest, ties to even."""
        if kind == "f8E4M3FN":
            size, middles = np.abs(values), (F8[1:] + F8[:-1]) / 2
            codes = np.searchsorted(middles, size)  # a tie goes to the lower one
            tie = middles[np.minimum(codes, len(middles) - 1)] == size
            return Tensor(kind, codes + (tie & (codes % 2 == 1)) + 128 * np.signbit(values))
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
        if self.kind == "f8E4M3FN":
            numbers = np.append(F8, np.nan)
            return np.concatenate([numbers, -numbers])[self.bits]
        return self.bits.astype(np.float64)


def normal(rng, kind, *shape, scale=1.0):
    return Tensor.of(kind, scale * rng.standard_normal(shape))


def repeated(make, *shape):
    """A tensor of `shape` that repeats make(count): for tensors of gigabytes, where only speed is asked. The period is odd, so that rows and pages differ."""
    part = make(min(int(np.prod(shape, dtype=np.int64)), CHUNK - 1))
    return Tensor(part.kind, np.resize(part.bits, shape))


def large(rng, kind, *shape, scale=1.0):
    """Random, but repeating."""
    if kind == "i8":
        return repeated(lambda count: Tensor(kind, rng.integers(-128, 128, count, dtype=np.int8)), *shape)
    return repeated(lambda count: Tensor.of(kind, scale * rng.standard_normal(count, dtype=np.float32)), *shape)
