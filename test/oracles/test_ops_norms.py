"""leat.softmax and leat.layer_norm against NumPy in float64."""
import numpy as np
import pytest

from oracles import leat_ops as oracle
from oracles.reference import DTYPES, Data, OpModule, check, refuses

MODULE = OpModule()
FLOATS = ["f16", "bf16", "f32", "f64"]
LENGTHS = [0, 1, 2, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 257]

for dtype in FLOATS:
    for axis in range(3):
        for flags, words in {"": "", "_log": ", log", "_empty": ", zero_empty_rows"}.items():
            MODULE.add(f"softmax_{dtype}_{axis}{flags}", [f"?x?x?x{dtype}"], [f"?x?x?x{dtype}"],
                       f"%r0 = leat.softmax %0 {{{{axis = {axis} : i64{words}}}}} : {{0}}")
MODULE.add("softmax_static", ["4x3xf32"], ["4x3xf32"], "%r0 = leat.softmax %0 {{axis = 1 : i64}} : {0}")
MODULE.add("softmax_vector", ["?xf32"], ["?xf32"], "%r0 = leat.softmax %0 {{axis = 0 : i64}} : {0}")


def shapes(axis):
    for length in LENGTHS:
        shape = [2, 3, 5]
        shape[axis] = length
        yield shape
    yield from ([0, 3, 5], [2, 0, 5], [2, 3, 0], [1, 1, 1])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("axis", range(3))
def test_softmax(run, dtype, axis):
    data = Data(1)
    for shape in shapes(axis):
        x = data.normal(dtype, *shape, scale=4)
        check(run(f"softmax_{dtype}_{axis}", x)[0], oracle.softmax(x, axis))
        check(run(f"softmax_{dtype}_{axis}_log", x)[0], oracle.softmax(x, axis, log=True))


@pytest.mark.parametrize("dtype", FLOATS)
def test_softmax_of_infinities(run, dtype):
    x = Data(2).normal(dtype, 2, 4, 19)
    x[0, 0] = -np.inf
    x[0, 1, 3:] = -np.inf
    x[1, 2, 4] = np.nan
    x[1, 3, 18] = np.inf
    with np.errstate(invalid="ignore"):
        check(run(f"softmax_{dtype}_2", x)[0], oracle.softmax(x, 2))
        check(run(f"softmax_{dtype}_2_empty", x)[0], oracle.softmax(x, 2, zero_empty_rows=True))
    result = run(f"softmax_{dtype}_2_empty", x)[0]
    assert (result[0, 0] == 0).all()
    refuses(result, oracle.softmax(x, 2))  # NaN where the rows are empty


def test_softmax_static_and_vector(run):
    data = Data(3)
    x = data.normal("f32", 4, 3)
    check(run("softmax_static", x)[0], oracle.softmax(x, 1))
    refuses(run("softmax_static", x)[0], oracle.softmax(x, 0))
    x = data.normal("f32", 100, scale=3)
    check(run("softmax_vector", x)[0], oracle.softmax(x, 0))
    refuses(run("softmax_vector", x)[0], oracle.softmax(x * 1.001, 0))


for dtype in FLOATS:
    for axis in (1, 2):
        for form, (operands, words) in {"": ("", ""), "_scale": (" scale %1 : {1}", ""), "_both": (" scale %1 : {1} bias %2 : {2}", ""),
                                        "_rms": (" scale %1 : {1}", ", rms"), "_bare_rms": ("", ", rms")}.items():
            types = [f"?x?x?x{dtype}"] + [f"{'?x' * (3 - axis)}{dtype}"] * operands.count("%")
            MODULE.add(f"norm_{dtype}_{axis}{form}", types, types[:1],
                       f"%r0 = leat.layer_norm %0{operands} {{{{axis = {axis} : i64, epsilon = 1.0e-5 : f64{words}}}}} : {{0}} -> {{r0}}")
MODULE.add("norm_broadcast", ["?x?x6xf32", "1x6xf32", "?x1xf32"], ["?x?x6xf32"],
           "%r0 = leat.layer_norm %0 scale %1 : {1} bias %2 : {2} {{axis = 1 : i64, epsilon = 0.1 : f64}} : {0} -> {r0}")
MODULE.add("norm_mixed", ["?x?xf16", "?xf32"], ["?x?xf16"],
           "%r0 = leat.layer_norm %0 scale %1 : {1} {{axis = 1 : i64, epsilon = 1.0e-5 : f64, rms}} : {0} -> {r0}")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("axis", [1, 2])
def test_layer_norm(run, dtype, axis):
    data = Data(4)
    for length in LENGTHS:
        x = data.normal(dtype, 2, 3, length, scale=3) + DTYPES[dtype](0.5)
        scale, bias = data.normal(dtype, *x.shape[axis:]), data.normal(dtype, *x.shape[axis:])
        norm = lambda *operands, **flags: oracle.layer_norm(*operands, axis=axis, epsilon=1e-5, **flags)
        if length > 1 or axis == 1:  # of a single element only rounding is left
            check(run(f"norm_{dtype}_{axis}", x)[0], norm(x))
            check(run(f"norm_{dtype}_{axis}_scale", x, scale)[0], norm(x, scale))
            check(run(f"norm_{dtype}_{axis}_both", x, scale, bias)[0], norm(x, scale, bias))
        check(run(f"norm_{dtype}_{axis}_rms", x, scale)[0], norm(x, scale, rms=True))
        check(run(f"norm_{dtype}_{axis}_bare_rms", x)[0], norm(x, rms=True))
    x = data.normal(dtype, 2, 3, 33) + DTYPES[dtype](0.5)
    result = run(f"norm_{dtype}_{axis}", x)[0]
    refuses(result, oracle.layer_norm(x, axis=axis, epsilon=1e-5, rms=True))
    refuses(result, oracle.layer_norm(x, axis=axis, epsilon=0.1))
    refuses(result, oracle.layer_norm(x, axis=3 - axis, epsilon=1e-5))
    refuses(result, oracle.f64(x - x.astype(np.float64).mean(-1, keepdims=True)) / oracle.f64(x).std(-1, keepdims=True, ddof=1))


def test_layer_norm_broadcast_and_mixed(run):
    data = Data(5)
    for rows in (0, 1, 5):
        x, scale, bias = data.normal("f32", 2, rows, 6), data.normal("f32", 1, 6), data.normal("f32", rows, 1)
        check(run("norm_broadcast", x, scale, bias)[0], oracle.layer_norm(x, scale, bias, axis=1, epsilon=0.1))
    x, scale = data.normal("f16", 3, 65), data.normal("f32", 65)
    check(run("norm_mixed", x, scale)[0], oracle.layer_norm(x, scale, axis=1, epsilon=1e-5, rms=True))
