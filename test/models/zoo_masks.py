"""Decoders for the zoo whose masks are arithmetic on positions, and no function of the distance alone.

Like zoo.py, which has the blocks: each function of MODELS writes one graph and returns its Sample.
"""
from models.zoo import D, H, LOWEST, STEPS, Builder, Sample, cache
from models.zoo_idioms import frame, grown, heads, output


def blocks(g, q, k):
    """Of blocks of 6 tokens, keys of the query's own."""
    return g("And", g("Equal", g("Div", k, g.const(6)), g("Div", q, g.const(6))), g("LessOrEqual", k, q))


def strided(g, q, k):
    """Every third token back from the query's."""
    return g("And", g("Equal", g("Mod", q, g.const(3)), g("Mod", k, g.const(3))), g("LessOrEqual", k, q))


def sinks(g, q, k):
    """The first 3 tokens and the last 2."""
    recent = g("Less", g("Sub", q, k), g.const(2))
    return g("And", g("Or", g("Less", k, g.const(3)), recent), g("Not", g("Greater", k, q)))


def chunks(g, q, k):
    """Blocks of 4 tokens that see themselves, what comes in them included, and what lies before."""
    return g("LessOrEqual", g("Div", k, g.const(4)), g("Div", q, g.const(4)))


def prefix(g, q, k):
    return g("Or", g("Less", k, g.const(3)), g("LessOrEqual", k, q))


def masked(path, seen, low=LOWEST, causal=True, regions=1):
    g = Builder(path)
    ids = g.ids()
    past = cache(g, 1, H)
    before = g.dim(past[0][0], 2)
    total = g("Add", before, g.dim(ids, 1))
    scalar = lambda n: g("Squeeze", n, g.const([0]))
    rows = g.unsqueeze(g("Range", scalar(before), scalar(total), g.const(1)), 1)
    columns = g.unsqueeze(g("Range", g.const(0), scalar(total), g.const(1)), 0)
    bias = g.unsqueeze(g("Where", seen(g, rows, columns), g.real(0), g.real(low)), 0, 1)

    def attend(i, y):
        q, k, v = (heads(g, y) for _ in range(3))
        k, v = grown(g, past, i, k, v)
        s = g("Add", g.scores(q, g("Transpose", k, perm=[0, 1, 3, 2]), D**-0.5), bias)
        return output(g, g("MatMul", g("Softmax", s, axis=-1), v))

    frame(g, 1, attend, ids)
    g.save(18)
    return Sample(18, STEPS, raised={"kv_attend": 1}, causal_step=causal, regions=regions)


CAUSAL = {
    "mask-blocks": lambda p: masked(p, blocks),
    "mask-strided": lambda p: masked(p, strided),
    "mask-sinks": lambda p: masked(p, sinks),
}
MODELS = CAUSAL | {
    "mask-chunks": lambda p: masked(p, chunks, causal=False),
    "mask-prefix": lambda p: masked(p, prefix, causal=False),
    "mask-weak": lambda p: masked(p, blocks, low=-1.0, causal=False, regions=0),
}
