"""leat.sample against NumPy: the same token for the same seed, row and step, whatever the filters."""
import numpy as np
import pytest

from oracles import leat_ops as oracle
from oracles.reference import Data, OpModule, check, index_operand, refuses

MODULE = OpModule()
SEED = 2**40 + 12345
OPTIONS = {
    "greedy": dict(temperature=0.0),
    "plain": dict(temperature=1.0),
    "cold": dict(temperature=0.3),
    "top_k": dict(temperature=1.2, top_k=5),
    "top_p": dict(temperature=1.5, top_p=0.7),
    "min_p": dict(temperature=1.5, min_p=0.1),
    "all": dict(temperature=0.8, top_k=40, top_p=0.9, min_p=0.02, repetition_penalty=1.3),
    "greedy_penalty": dict(temperature=0.0, repetition_penalty=1.5),
}
FLOATS = ["f16", "bf16", "f32"]

for name, options in OPTIONS.items():
    for dtype in FLOATS if name in ("plain", "all") else ["f32"]:
        history = "repetition_penalty" in options
        words = ", ".join(f"{key} = {value} : {'i64' if key == 'top_k' else 'f64'}" for key, value in options.items())
        types = [f"?x?x{dtype}"] + (["?x?xi64"] if history else []) + ["i64"]
        MODULE.add(f"{name}_{dtype}", types, ["?xi64"], index_operand(len(types) - 1) + f"%r0 = leat.sample %0 {'history %1 : {1} ' if history else ''}"
                   f"step %index {{{{seed = {SEED} : i64, {words}}}}} : {{0}} -> {{r0}}")


@pytest.mark.parametrize("name", OPTIONS)
def test_sample(run, name):
    options = OPTIONS[name]
    data = Data(1)
    for dtype in FLOATS if name in ("plain", "all") else ["f32"]:
        tokens, others = [], []
        for rows, vocabulary, step in ((1, 1, 0), (3, 2, 1), (40, 17, 2), (64, 64, 3), (7, 1000, 2**33 + 1), (0, 5, 4)):
            logits = data.normal(dtype, rows, vocabulary, scale=2)
            history = data.integers("i64", -1, vocabulary, rows, 6)
            operands = [logits] + ([history] if "repetition_penalty" in options else []) + [np.int64(step)]
            result = run(f"{name}_{dtype}", *operands)[0]
            expect = lambda step=step, seed=SEED: oracle.sample(logits, history if "repetition_penalty" in options else None, step=step, seed=seed, **options)
            check(result, expect())
            if rows > 30:
                tokens.append(result)
                others.append([expect(step=step + 1), expect(seed=SEED + 1)])
        if options["temperature"] > 0:
            for result, wrong in zip(tokens, others):
                refuses(result, wrong[0])
                refuses(result, wrong[1])


def test_rows_do_not_depend_on_their_neighbours(run):
    logits = Data(2).normal("f32", 9, 50)
    whole = run("plain_f32", logits, np.int64(5))[0]
    assert run("plain_f32", logits[:4], np.int64(5))[0].tolist() == whole[:4].tolist()


def test_frequencies_follow_the_distribution(run):
    probabilities = np.array([0.5, 0.25, 0.125, 0.125])
    logits = np.tile(np.log(probabilities).astype(np.float32), (4000, 1))
    counts = np.bincount(run("plain_f32", logits, np.int64(0))[0], minlength=4) / len(logits)
    assert np.abs(counts - probabilities).max() < 0.03


def test_odd_logits(run):
    x = np.array([[np.nan, 1, 3, 3], [-np.inf, -np.inf, 2, -np.inf], [0, np.inf, 1, 2]], np.float32)
    assert run("greedy_f32", x, np.int64(0))[0].tolist() == [2, 2, 1]
    result = run("plain_f32", x, np.int64(0))[0]
    assert result[0] in (1, 2, 3) and result[1:].tolist() == [2, 1]


def test_filters_leave_what_they_should(run):
    """In many draws only tokens that pass the filters appear, and all of them do."""
    x = np.tile(np.array([4, 3, 3, 2, 1, 0, -1, -2], np.float32), (2000, 1))
    seen = lambda name: set(run(f"{name}_f32", x, np.int64(9))[0].tolist())
    assert seen("top_k") == {0, 1, 2, 3, 4}
    weights = np.exp((x[0] - 4) / 1.5)
    assert seen("min_p") == set(np.flatnonzero(weights >= 0.1))
    mass = np.concatenate([[0], np.cumsum(weights)[:-1]]) / weights.sum()
    assert seen("top_p") == set(np.flatnonzero(mass < 0.7))
