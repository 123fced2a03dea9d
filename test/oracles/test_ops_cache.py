"""leat.cache_append, cache_view, state_read and state_write against NumPy: what a slot holds after any cut of a stream, bit by bit."""
import numpy as np
import pytest

from oracles import leat_ops as oracle
from oracles.reference import DTYPES, Data, OpModule, check, index_operand, refuses

MODULE = OpModule()
DTYPES_OF_SLOTS = ["f16", "bf16", "f32", "f64", "i8", "i64"]
# How a slot grows: words of its declaration and what the oracle has to know.
GROWTHS = {"append": ("append", {}), "ring": ("ring", {"sink": 0, "ring": 5}), "sink_ring": ("ring", {"sink": 3, "ring": 4})}
SHAPES = {"heads": ("?x2x?x3x{}", 2, ["batch", 2, "context", 3]), "states": ("?x?x5x{}", 1, ["batch", "context", 5])}

SEEN = """%seen0 = leat.state_get @seen : !leat.state<tensor<i64>>
%seen_value = leat.state_read %seen0 : !leat.state<tensor<i64>> -> tensor<i64>
%seen_i64 = tensor.extract %seen_value[] : tensor<i64>
%seen = arith.index_cast %seen_i64 : i64 to index
"""
ADVANCE = """%more = tensor.dim %0, %axis : {0}
%total = arith.addi %seen, %more : index
%total_i64 = arith.index_cast %total : index to i64
%r0 = tensor.from_elements %total_i64 : {r0}
%seen1 = leat.state_write %seen0, %r0 : !leat.state<tensor<i64>>, tensor<i64>
leat.state_put @seen, %seen1 : !leat.state<tensor<i64>>
"""
MODULE.add_slot("seen", "i64", "counter", [])


def names():
    for dtype in DTYPES_OF_SLOTS:
        for growth in GROWTHS:
            for shape in SHAPES:
                if dtype == "f32" or shape == "heads":
                    yield dtype, growth, shape


for dtype, growth, shape in names():
    (words, facts), (text, axis, sizes) = GROWTHS[growth], SHAPES[shape]
    capacity = facts["sink"] + facts["ring"] if facts else "context"
    slot, type_text = f"{shape}_{growth}_{dtype}", text.format(dtype)
    content = f"tensor<{type_text}>"
    attributes = ", ".join([f"axis = {axis} : i64", "batch_axis = 0 : i64"] + [f"{k} = {v} : i64" for k, v in facts.items()])
    MODULE.add_slot(slot, type_text, f"{words} {{{attributes}}}", [capacity if n == "context" else n for n in sizes])
    get = f"%s0 = leat.state_get @{slot} : !leat.state<{content}>\n"
    for layout in ("bhsd", "bshd") if shape == "heads" else ("bhsd",):
        update = "?x?x2x3x" + dtype if layout == "bshd" else type_text
        append = f"%s1 = leat.cache_append %s0, %0 at %seen {{{{layout = \"{layout}\"}}}} : !leat.state<{content}>, {{0}}\nleat.state_put @{slot}, %s1 : !leat.state<{content}>\n"
        where = f"%axis = arith.constant {axis if layout == 'bhsd' else 1} : index\n"
        MODULE.add(f"append_{layout}_{slot}", [update], ["i64"], SEEN + get + append + where + ADVANCE, slots=["seen", slot], puts=["seen", slot])
        if facts:  # what is read before the append stays, though entries are overwritten
            old = f"%zero = arith.constant 0 : index\n%r1 = leat.cache_view %s0[%zero, %length] : !leat.state<{content}> -> {{r1}}\n"
            body = SEEN + index_operand(1, "%length") + get + old + append + where + ADVANCE
            MODULE.add(f"swap_{layout}_{slot}", [update, "i64"], ["i64", type_text], body, slots=["seen", slot], puts=["seen", slot])
    view = f"%r0 = leat.cache_view %s0[%offset, %length] : !leat.state<{content}> -> {{r0}}"
    MODULE.add(f"view_{slot}", ["i64", "i64"], [type_text], index_operand(0, "%offset") + index_operand(1, "%length") + get + view, slots=[slot])

for dtype in DTYPES_OF_SLOTS:
    content = f"?x3x{dtype}"
    slot = MODULE.add_slot(f"fixed_{dtype}", content, "fixed {batch_axis = 0 : i64}", ["batch", 3])
    body = (f"%s0 = leat.state_get @{slot} : !leat.state<tensor<{content}>>\n%r0 = leat.state_read %s0 : !leat.state<tensor<{content}>> -> {{r0}}\n"
            f"%s1 = leat.state_write %s0, %0 : !leat.state<tensor<{content}>>, {{0}}\nleat.state_put @{slot}, %s1 : !leat.state<tensor<{content}>>")
    MODULE.add(f"exchange_{dtype}", [content], [content], body, slots=[slot], puts=[slot])
    MODULE.add(f"read_{dtype}", [], [content], "\n".join(body.split("\n")[:2]), slots=[slot])

CUTS = [[1] * 15, [4, 1, 6, 3, 2], [0, 7, 0, 8, 1], [15], [2, 13], [12, 1, 1, 1]]


def values(data, dtype, *shape):
    return data.integers(dtype, -99, 100, *shape) if dtype[0] == "i" else data.normal(dtype, *shape)


@pytest.mark.parametrize("dtype,growth,shape", list(names()))
def test_append_and_view(run, dtype, growth, shape):
    facts, (_, axis, sizes), slot = GROWTHS[growth][1], SHAPES[shape], f"{shape}_{growth}_{dtype}"
    limit = facts["sink"] + facts["ring"] if facts else 16
    for layout in ("bhsd", "bshd") if shape == "heads" else ("bhsd",):
        for batch, cuts in [(1 + i % 3, cuts) for i, cuts in enumerate(CUTS)]:
            data = Data(len(cuts))
            run.restart(batch, 16)
            content = np.zeros([{"batch": batch, "context": limit}.get(n, n) for n in sizes], DTYPES[dtype])
            seen = 0
            for cut in cuts:
                shape_of = [{"batch": batch, "context": cut}.get(n, n) for n in sizes]
                update = values(data, dtype, *shape_of)
                update = update if layout == "bhsd" else np.ascontiguousarray(update.swapaxes(1, 2))
                if facts:
                    live = min(seen, limit)
                    total, old = run(f"swap_{layout}_{slot}", update, np.int64(live))
                    check(old, oracle.cache_view(content, 0, live, axis=axis), 1e-30)
                else:
                    total, = run(f"append_{layout}_{slot}", update)
                before, content = content, oracle.cache_append(content, update, seen, axis=axis, layout=layout, **facts)
                seen += cut
                assert total == seen
                live = min(seen, limit)
                for offset, length in ((0, live), (live // 2, live - live // 2), (live // 3, min(1, live)), (live, 0)):
                    view, = run(f"view_{slot}", np.int64(offset), np.int64(length))
                    check(view, oracle.cache_view(content, offset, length, axis=axis), 1e-30)
                if cut:
                    refuses(run(f"view_{slot}", np.int64(0), np.int64(live))[0], oracle.cache_view(before, 0, live, axis=axis), 1e-30)


@pytest.mark.parametrize("growth", ["ring", "sink_ring"])
def test_ring_is_not_a_shifted_window(run, growth):
    """Control: entries stay where they are, and sinks are not part of the ring."""
    facts, slot = GROWTHS[growth][1], f"states_{growth}_f32"
    run.restart(1, 16)
    update = Data(3).normal("f32", 1, 11, 5)
    run(f"append_bhsd_{slot}", update)
    limit = facts["sink"] + facts["ring"]
    result, = run(f"view_{slot}", np.int64(0), np.int64(limit))
    check(result, oracle.cache_append(np.zeros((1, limit, 5)), update, 0, axis=1, **facts), 1e-30)
    refuses(result, update[:, -limit:], 1e-30)
    refuses(result, oracle.cache_append(np.zeros((1, limit, 5)), update, 0, axis=1, sink=facts["sink"] + 1, ring=facts["ring"] - 1), 1e-30)


@pytest.mark.parametrize("dtype", DTYPES_OF_SLOTS)
def test_read_and_write(run, dtype):
    data = Data(4)
    for batch in (1, 4):
        run.restart(batch, 1)
        expected = np.zeros((batch, 3), DTYPES[dtype])
        for _ in range(3):
            check(run(f"read_{dtype}")[0], expected, 1e-30)
            value = values(data, dtype, batch, 3)
            check(run(f"exchange_{dtype}", value)[0], expected, 1e-30)
            expected = value
        refuses(run(f"read_{dtype}")[0], np.zeros((batch, 3)), 1e-30)
