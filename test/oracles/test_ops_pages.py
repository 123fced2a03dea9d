"""leat.cache_append and cache_view of caches in pages against NumPy, and against the same cache in one block, at the edges of pages."""
import numpy as np
import pytest

from oracles import leat_ops as oracle
from oracles.reference import DTYPES, Data, Decomposition, OpModule, check, index_operand, refuses
from oracles.test_ops_cache import ADVANCE, SEEN

PAGE, CONTEXT, MODULE = 8, 40, OpModule()
KINDS = {"append": ("append", {}), "ring": ("ring", {"sink": 3, "ring": 14})}
DTYPES_OF_POOLS = ["f32", "bf16", "i8"]

MODULE.add_slot("seen", "i64", "counter", [])
MODULE.add_slot("table", "?x?xi32", f"table {{axis = 1 : i64, batch_axis = 0 : i64, page = {PAGE} : i64}}", ["batch", "table"])
TABLE = "%table = leat.state_get @table : !leat.state<tensor<?x?xi32>>\n"

for dtype in DTYPES_OF_POOLS:
    for kind, (words, facts) in KINDS.items():
        slot, content = f"{kind}_{dtype}", f"tensor<?x2x{PAGE}x3x{dtype}>"
        attributes = ", ".join(["axis = 2 : i64", f"page = {PAGE} : i64"] + [f"{k} = {v} : i64" for k, v in facts.items()])
        MODULE.add_slot(slot, content[7:-1], f"{words} {{{attributes}}}", ["pages", 2, PAGE, 3])
        get = TABLE + f"%s0 = leat.state_get @{slot} : !leat.state<{content}>\n"
        for layout in ("bhsd", "bshd"):
            update = f"?x2x?x3x{dtype}" if layout == "bhsd" else f"?x?x2x3x{dtype}"
            append = (f"%s1 = leat.cache_append %s0, %0 at %seen table(%table) {{{{layout = \"{layout}\"}}}} : !leat.state<{content}>, {{0}}, !leat.state<tensor<?x?xi32>>\n"
                      f"leat.state_put @{slot}, %s1 : !leat.state<{content}>\n")
            where = f"%axis = arith.constant {2 if layout == 'bhsd' else 1} : index\n"
            MODULE.add(f"append_{layout}_{slot}", [update], ["i64"], SEEN + get + append + where + ADVANCE, slots=["seen", "table", slot], puts=["seen", slot])
        view = f"%r0 = leat.cache_view %s0[%offset, %length] table(%table) : !leat.state<{content}>, !leat.state<tensor<?x?xi32>> -> {{r0}}"
        MODULE.add(f"view_{slot}", ["i64", "i64"], [f"?x2x?x3x{dtype}"], index_operand(0, "%offset") + index_operand(1, "%length") + get + view,
                   slots=["table", slot])

CUTS = [[1] * 10, [PAGE - 1, 1, 1], [PAGE, 1, PAGE - 1], [PAGE + 1, 0, 2 * PAGE], [CONTEXT]]


def restart(run, batch, seed):
    """A decomposition has the table that it is given, here one in random order; a session makes its own."""
    run.restart(batch, CONTEXT)
    if not isinstance(run, Decomposition):
        return
    per_row = CONTEXT // PAGE
    numbers = np.random.default_rng(seed).permutation(batch * per_row + 2).astype(np.int32)
    run.state["table"] = numbers[:batch * per_row].reshape(batch, per_row)
    for slot in run.state:
        if slot.startswith(("append", "ring")):
            run.state[slot] = np.zeros((batch * per_row + 2, 2, PAGE, 3), run.state[slot].dtype)


def values(data, dtype, *shape):
    return data.integers(dtype, -99, 100, *shape) if dtype == "i8" else data.normal(dtype, *shape)


@pytest.mark.parametrize("dtype", DTYPES_OF_POOLS)
@pytest.mark.parametrize("kind", KINDS)
def test_pages_hold_what_one_block_holds(run, kind, dtype):
    facts, slot = KINDS[kind][1], f"{kind}_{dtype}"
    limit = facts["sink"] + facts["ring"] if facts else CONTEXT
    for seed, cuts in enumerate(CUTS):
        batch, layout, seen, data = 1 + seed % 3, ("bhsd", "bshd")[seed % 2], 0, Data(seed)
        restart(run, batch, seed)
        plain = np.zeros((batch, 2, limit, 3), DTYPES[dtype])
        if isinstance(run, Decomposition):
            pool, table = run.state[slot], run.state["table"]
        for cut in cuts:
            update = values(data, dtype, batch, 2, cut, 3)
            update = update if layout == "bhsd" else np.ascontiguousarray(update.swapaxes(1, 2))
            total, = run(f"append_{layout}_{slot}", update)
            plain = oracle.cache_append(plain, update, seen, axis=2, layout=layout, **facts)
            if isinstance(run, Decomposition):
                pool = oracle.paged_append(pool, table, update, seen, page=PAGE, layout=layout, **facts)
                assert np.array_equal(run.state[slot], pool)
            seen += cut
            assert total == seen
            live = min(seen, limit)
            for offset, length in {(0, live), (0, 0), (live // 2, live - live // 2), (max(0, live - 1), min(1, live)), (min(PAGE - 1, live), min(2, max(0, live - PAGE + 1)))}:
                view, = run(f"view_{slot}", np.int64(offset), np.int64(length))
                check(view, oracle.cache_view(plain, offset, length, axis=2), 1e-30)
                if isinstance(run, Decomposition):
                    check(view, oracle.paged_view(pool, table, offset, length, page=PAGE), 1e-30)


def test_another_table_is_another_cache(run):
    """Control: where an entry is, only the table says."""
    if not isinstance(run, Decomposition):
        pytest.skip("a session's table is its own")
    restart(run, 1, 5)
    update = Data(5).normal("f32", 1, 2, 2 * PAGE, 3)
    run("append_bhsd_append_f32", update)
    run.state["table"] = run.state["table"][:, [1, 0, *range(2, CONTEXT // PAGE)]]
    view, = run("view_append_f32", np.int64(0), np.int64(2 * PAGE))
    refuses(view, update, 1e-30)
    check(view, np.roll(update, PAGE, axis=2), 1e-30)
