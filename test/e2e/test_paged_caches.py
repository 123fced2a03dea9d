"""Caches in pages: the stream of the same model without them, to the bit, in memory that grows with the stream."""
import functools

import numpy as np
import pytest

from leat_runtime import LeatError
from models.decoder import Config, RandomWeights, export

CONFIG = Config(layers=2, hidden=128, ffn=96, heads=4, kv_heads=2, vocab=160, context=512)
PAGE = 16
TOKENS = np.random.default_rng(3).integers(0, CONFIG.vocab, 120)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return export(tmp_path_factory.mktemp("paged") / "model.onnx", "decomposed", CONFIG, RandomWeights(CONFIG))


@pytest.fixture(scope="module")
def load(model, compile_model, library):
    return functools.cache(lambda policy: library.load(compile_model(model, f"--kv={policy}")))


def stream(session, tokens, cuts=()):
    pieces = np.split(np.atleast_2d(tokens), list(cuts), axis=1)
    return np.concatenate([session("step", input_ids=piece)["logits"] for piece in pieces if piece.size], axis=1)


@pytest.mark.parametrize("policy", ["retain=all", "sink(4)+recent(28)", "retain=all,prec=i8", "sink(4)+recent(28),prec=i4"])
def test_pages_change_no_bit(policy, load):
    plain, paged = load(policy), load(f"{policy},layout=paged({PAGE})")
    # Lengths of steps around a page and around what attention of few rows takes.
    for cuts in ([], range(1, len(TOKENS)), [PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 53]):
        got, expected = stream(paged.session(context=128), TOKENS, cuts), stream(plain.session(context=128), TOKENS, cuts)
        if "i4" in policy:  # minima are added page by page
            np.testing.assert_allclose(got, expected, atol=2e-5, rtol=2e-5)
        else:
            np.testing.assert_array_equal(got, expected)
    # The control: pages of another stream are other pages.
    assert np.abs(stream(paged.session(context=128), TOKENS[::-1]) - expected).max() > 1e-2


def test_memory_grows_by_pages_and_nothing_else(load):
    session, plain = load(f"retain=all,layout=paged({PAGE})").session(context=512), load("retain=all").session(context=512)
    stream(session, TOKENS[:3], [1, 2])
    empty, before = session.counters(), session.bytes()
    page = CONFIG.layers * 2 * CONFIG.kv_heads * PAGE * CONFIG.head_dim * 4
    held = {}
    for n, token in enumerate(TOKENS[3:], start=4):
        stream(session, [token])
        held[n] = session.counters().state_bytes
    assert held[PAGE] == empty.state_bytes and all(held[n] - empty.state_bytes == (-(-n // PAGE) - 1) * page for n in held)
    after = session.counters()
    assert after.allocations == empty.allocations and after.buffer_bytes == empty.buffer_bytes
    assert after.pages_taken == -(-len(TOKENS) // PAGE) and session.bytes() - before == (after.pages_taken - 1) * page
    assert after.state_bytes < 0.3 * plain.counters().state_bytes
    session.reset()
    assert session.counters().state_bytes == empty.state_bytes - page


def test_rows_of_a_batch_are_rows_alone(load):
    paged = load(f"retain=all,layout=paged({PAGE})")
    rows = np.stack([TOKENS[:50], TOKENS[50:100], TOKENS[20:70]])
    together = stream(paged.session(batch=3, context=64), rows, [20, 21, 37])
    for row in range(3):
        np.testing.assert_array_equal(stream(paged.session(context=64), rows[row], [20, 21, 37])[0], together[row])


@pytest.mark.parametrize("policy", ["retain=all", "sink(4)+recent(28)"])
def test_states_are_saved_loaded_and_forked(policy, load, tmp_path):
    paged = load(f"{policy},layout=paged({PAGE})")
    session = paged.session(context=128)
    stream(session, TOKENS[:60])
    session.save(tmp_path / "stream.state")
    fork = session.fork()
    expected = stream(session, TOKENS[60:90], range(1, 30))
    np.testing.assert_array_equal(stream(fork, TOKENS[60:90], range(1, 30)), expected)
    other = paged.session(context=96)
    stream(other, TOKENS[:90])  # its pages are in use
    other.load(tmp_path / "stream.state")
    np.testing.assert_array_equal(stream(other, TOKENS[60:90], range(1, 30)), expected)
    if policy == "retain=all":
        with pytest.raises(LeatError, match="the stream has 129 tokens, the session has room for 96"):
            stream(other, np.resize(TOKENS, 39))
        stream(other, TOKENS[:6])  # and nothing has changed: there is room for six more
        with pytest.raises(LeatError, match="the state holds 60 tokens, the session has room for 48"):
            paged.session(context=48).load(tmp_path / "stream.state")


def test_what_is_no_page_is_refused(model, leat, tmp_path):
    result = leat("compile", model, "-o", tmp_path / "m.leat", "--kv=layout=paged(20)", check=False)
    assert result.returncode != 0 and "paged(P) with P entries to a page, a power of two from 8 to 256" in result.stderr
