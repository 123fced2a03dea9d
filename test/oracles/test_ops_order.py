"""leat.scatter_elements, scatter_nd, topk, cumsum, arg_reduce and nonzero against NumPy: integers exactly, floats up to rounding."""
import numpy as np
import pytest

from oracles import leat_ops as oracle
from oracles.reference import DTYPES, Data, OpModule, check, index_operand, refuses

MODULE = OpModule()
FLOATS = ["f16", "bf16", "f32", "f64"]
ALL = FLOATS + ["i8", "i16", "i32", "i64"]
LENGTHS = [0, 1, 2, 7, 15, 16, 17, 33, 65, 130]
REDUCTIONS = ["none", "add", "mul", "max", "min"]


def values(data, dtype, *shape):
    """Few different values, so that there are ties."""
    return data.integers(dtype, -9, 10, *shape)


# Scatters.

for dtype in ALL:
    for number, reduction in enumerate(REDUCTIONS):
        for index in ("i64", "i32") if dtype == "f32" else ("i64",):
            for axis in (0, 1):
                MODULE.add(f"elements_{dtype}_{reduction}_{index}_{axis}", [f"?x?x{dtype}", f"?x?x{index}", f"?x?x{dtype}"], [f"?x?x{dtype}"],
                           f"%r0 = leat.scatter_elements %0, %1, %2 {{{{axis = {axis} : i64, reduction = {number} : i32}}}} : ({{0}}, {{1}}, {{2}}) -> {{r0}}")
            for depth in (1, 2, 3):
                updates = "?x" + "?x" * (3 - depth) + dtype
                MODULE.add(f"nd_{dtype}_{reduction}_{index}_{depth}", [f"?x?x?x{dtype}", f"?x{depth}x{index}", updates], [f"?x?x?x{dtype}"],
                           f"%r0 = leat.scatter_nd %0, %1, %2 {{{{reduction = {number} : i32}}}} : ({{0}}, {{1}}, {{2}}) -> {{r0}}")
MODULE.add("nd_batch", ["?x?xf32", "?x?x1xi64", "?x?x?xf32"], ["?x?xf32"], "%r0 = leat.scatter_nd %0, %1, %2 {{reduction = 1 : i32}} : ({0}, {1}, {2}) -> {r0}")


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_scatter_elements(run, dtype, reduction):
    data = Data(1)
    for index in ("i64", "i32") if dtype == "f32" else ("i64",):
        for axis in (0, 1):
            for rows, columns, updated in ((3, 5, (2, 4)), (1, 1, (1, 1)), (17, 33, (9, 30)), (4, 4, (0, 3)), (2, 65, (2, 65))):
                x, updates = values(data, dtype, rows, columns), values(data, dtype, *updated)
                indices = data.integers(index, -x.shape[axis], x.shape[axis], *updated)  # some twice, some from the end
                result = run(f"elements_{dtype}_{reduction}_{index}_{axis}", x, indices, updates)[0]
                check(result, oracle.scatter_elements(x, indices, updates, axis=axis, reduction=reduction))
    x, updates, indices = values(data, dtype, 4, 4), DTYPES[dtype](11) + values(data, dtype, 4, 4), np.zeros((4, 4), np.int64)
    result = run(f"elements_{dtype}_{reduction}_i64_1", x, indices, updates)[0]
    if reduction == "none":  # the first wins
        refuses(result, oracle.scatter_elements(x, indices[:, ::-1], updates[:, ::-1], axis=1))
    else:
        refuses(result, oracle.scatter_elements(x, indices, updates, axis=1))
    refuses(result, oracle.scatter_elements(x, indices, updates, axis=0, reduction=reduction))


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_scatter_nd(run, dtype, reduction):
    data = Data(2)
    for index in ("i64", "i32") if dtype == "f32" else ("i64",):
        for depth in (1, 2, 3):
            for shape, count in (((3, 4, 5), 6), ((1, 1, 1), 1), ((2, 3, 65), 3), ((2, 2, 2), 0)):
                x, updates = values(data, dtype, *shape), values(data, dtype, count, *shape[depth:])
                indices = np.stack([data.integers(index, -n, n, count) for n in shape[:depth]], -1)
                result = run(f"nd_{dtype}_{reduction}_{index}_{depth}", x, indices, updates)[0]
                check(result, oracle.scatter_nd(x, indices, updates, reduction=reduction))


def test_scatter_nd_of_batches(run):
    data = Data(3)
    x, indices, updates = data.normal("f32", 5, 19), data.integers("i64", 0, 5, 2, 3, 1), data.normal("f32", 2, 3, 19)
    result = run("nd_batch", x, indices, updates)[0]
    check(result, oracle.scatter_nd(x, indices, updates, reduction="add"))
    refuses(result, oracle.scatter_nd(x, indices, updates))


# Sorting.

for dtype in ALL:
    for axis in (0, 1):
        for largest in ("true", "false"):
            MODULE.add(f"topk_{dtype}_{axis}_{largest}", [f"?x?x{dtype}", "i64"], [f"?x?x{dtype}", "?x?xi64"],
                       index_operand(1) + f"%r0, %r1 = leat.topk %0, %index {{{{axis = {axis} : i64, largest = {largest}}}}} : ({{0}}, index) -> ({{r0}}, {{r1}})")
MODULE.add("topk_static", ["?x?xf32"], ["?x3xf32", "?x3xi64"], "%r0, %r1 = leat.topk %0 {{axis = 1 : i64, largest = true}} : ({0}) -> ({r0}, {r1})")


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize("largest", ["true", "false"])
def test_topk(run, dtype, largest):
    data = Data(4)
    for axis in (0, 1):
        for length in LENGTHS:
            x = values(data, dtype, *((length, 5) if axis == 0 else (3, length)))
            for k in sorted({0, 1, length // 2, length} & set(range(length + 1))):
                results = run(f"topk_{dtype}_{axis}_{largest}", x, np.int64(k))
                expected = oracle.topk(x, k, axis=axis, largest=largest == "true")
                check(results[0], expected[0])
                assert np.array_equal(results[1], expected[1])
        refuses(results[1], oracle.topk(x, k, axis=axis, largest=largest != "true")[1])
        last = x.shape[axis] - 1 - oracle.topk(np.flip(x, axis), k, axis=axis, largest=largest == "true")[1]
        refuses(results[1], last)  # ties to the higher index


def test_topk_static_and_special(run):
    x = np.array([[1, np.nan, -np.inf, np.inf, np.nan, 0.0], [-0.0, 0.0, -0.0, -1, -2, -3]], np.float32)
    results = run("topk_static", x)
    assert results[1].tolist() == [[1, 4, 3], [0, 1, 2]]
    for largest in ("true", "false"):
        results = run(f"topk_f32_1_{largest}", x, np.int64(6))
        assert np.array_equal(results[1], oracle.topk(x, 6, axis=1, largest=largest == "true")[1])


# Running sums.

for dtype in ALL:
    for axis in (0, 1, 2):
        for flags, words in {"": "", "_e": ", exclusive", "_r": ", reverse", "_er": ", exclusive, reverse"}.items():
            MODULE.add(f"cumsum_{dtype}_{axis}{flags}", [f"?x?x?x{dtype}"], [f"?x?x?x{dtype}"], f"%r0 = leat.cumsum %0 {{{{axis = {axis} : i64{words}}}}} : {{0}}")


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize("axis", range(3))
def test_cumsum(run, dtype, axis):
    data = Data(5)
    for length in LENGTHS:
        shape = [2, 3, 5]
        shape[axis] = length
        x = data.normal(dtype, *shape) if dtype in FLOATS else values(data, dtype, *shape)
        for flags in ("", "_e", "_r", "_er"):
            check(run(f"cumsum_{dtype}_{axis}{flags}", x)[0], oracle.cumsum(x, axis=axis, exclusive="e" in flags, reverse="r" in flags))
    result = run(f"cumsum_{dtype}_{axis}_e", x)[0]
    refuses(result, oracle.cumsum(x, axis=axis))
    refuses(result, oracle.cumsum(x, axis=axis, exclusive=True, reverse=True))


# Extrema and non-zeros.

for dtype in ALL:
    for axis in (0, 1, 2):
        for flags, words in {"max": "max = true", "min": "max = false", "max_last": "max = true, select_last", "min_last": "max = false, select_last"}.items():
            result = ["?", "?", "?"]
            result[axis] = "1"
            MODULE.add(f"arg_{dtype}_{axis}_{flags}", [f"?x?x?x{dtype}"], ["x".join(result) + "xi64"], f"%r0 = leat.arg_reduce %0 {{{{axis = {axis} : i64, {words}}}}} : ({{0}}) -> {{r0}}")


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize("axis", range(3))
def test_arg_reduce(run, dtype, axis):
    data = Data(6)
    for length in LENGTHS[1:]:
        shape = [2, 3, 17]
        shape[axis] = length
        x = values(data, dtype, *shape)
        for flags in ("max", "min", "max_last", "min_last"):
            check(run(f"arg_{dtype}_{axis}_{flags}", x)[0], oracle.arg_reduce(x, axis=axis, max="max" in flags, select_last="last" in flags))
    refuses(run(f"arg_{dtype}_{axis}_max", x)[0], oracle.arg_reduce(x, axis=axis, select_last=True))


def test_arg_reduce_of_infinities(run):
    x = np.array([[[-np.inf, -np.inf, -np.inf], [np.inf, 0, np.inf]]], np.float32)
    for flags in ("max", "min", "max_last", "min_last"):
        check(run(f"arg_f32_2_{flags}", x)[0], oracle.arg_reduce(x, axis=2, max="max" in flags, select_last="last" in flags))


for dtype in ALL + ["i1"]:
    MODULE.add(f"nonzero_{dtype}", [f"?x?x?x{dtype}"], ["3x?xi64", "1xi64"], "%r0, %r1 = leat.nonzero %0 : ({0}) -> ({r0}, {r1})")
MODULE.add("nonzero_vector", ["?xf32"], ["1x?xi64", "i64"], "%r0, %r1 = leat.nonzero %0 : ({0}) -> ({r0}, {r1})")


@pytest.mark.parametrize("dtype", ALL + ["i1"])
def test_nonzero(run, dtype):
    data = Data(7)
    for shape in ((0, 2, 3), (1, 1, 1), (2, 3, 4), (3, 1, 65), (5, 4, 17)):
        for density in (0, 0.4, 1):
            x = (data.rng.uniform(size=shape) < density).astype(DTYPES[dtype])
            coords, count = run(f"nonzero_{dtype}", x)
            expected = oracle.nonzero(x)
            assert coords.shape == (3, x.size) and count.tolist() == [expected.shape[1]]
            check(coords[:, :expected.shape[1]], expected)
    refuses(coords[:, :expected.shape[1]], oracle.nonzero(x.T))


def test_nonzero_vector(run):
    x = np.array([0.0, -0.0, np.nan, np.inf, -1e-30, 0], np.float32)
    coords, count = run("nonzero_vector", x)
    assert coords[0, :3].tolist() == [2, 3, 4] and count == 3
