"""leat generate on a small decoder and a tokenizer trained here: prompts, streams, saved state, perplexity, sampling, and what it refuses."""
import numpy as np
import onnxruntime
import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from models.decoder import Config, RandomWeights, export

TEXT = "A mill turns as long as the leat brings water to it.\nThe channel keeps its level; what it holds never grows.\n"
CONFIG = Config(layers=2, hidden=64, ffn=96, heads=4, kv_heads=2, vocab=320, context=512)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    bpe = tokenizers.Tokenizer(models.BPE())
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    bpe.train_from_iterator([TEXT], trainers.BpeTrainer(vocab_size=CONFIG.vocab, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    assert bpe.get_vocab_size() <= CONFIG.vocab
    bpe.save(str(path))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return export(tmp_path_factory.mktemp("decoder") / "model.onnx", "decomposed", CONFIG, RandomWeights(CONFIG))


@pytest.fixture(scope="module")
def generate(leat, compile_model, model, tokenizer):
    def run(*args, options=(), **kwargs):
        words = ("--tokenizer", tokenizer, "--ids", "--ignore-eos", "--quiet", "--max-tokens", 24)
        done = leat("generate", compile_model(model, *options), *words, *args, **kwargs)
        return done if kwargs.get("check") is False else [int(word) for word in done.stdout.split()]

    return run


def logits_of(model, ids):
    """Logits of every position, by ONNX Runtime."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    past = {i.name: np.zeros((1, CONFIG.kv_heads, 0, CONFIG.head_dim), np.float32) for i in session.get_inputs() if i.name.startswith("past")}
    n = len(ids)
    feeds = {"input_ids": np.array([ids]), "attention_mask": np.ones((1, n), np.int64), "position_ids": np.arange(n)[None]}
    return session.run(["logits"], feeds | past)[0][0].astype(np.float64)


def test_greedy_tokens_are_those_of_onnxruntime(generate, model, tokenizer):
    ids = tokenizers.Tokenizer.from_file(str(tokenizer)).encode(TEXT).ids
    expected = []
    for _ in range(24):
        expected.append(int(logits_of(model, ids + expected)[-1].argmax()))
    assert generate("--prompt", TEXT) == expected
    assert generate("--prompt", TEXT, "--chunk", 5) == expected  # however the prompt is cut


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_stream_is_its_text(generate, tmp_path, end):
    text = TEXT.rstrip("\n") + end
    (tmp_path / "text").write_text(text)
    assert generate("--stream", input=text) == generate("--prompt-file", tmp_path / "text")


def test_saved_state_continues(generate, tmp_path):
    first, second = TEXT.splitlines(keepends=True)
    whole = generate("--prompt", first + second)
    generate("--prompt", first, "--max-tokens", 0, "--state-save", tmp_path / "state")
    assert generate("--state-load", tmp_path / "state", "--prompt", second) == whole
    # And with no more text: two halves of an answer are the answer.
    half = generate("--prompt", TEXT, "--max-tokens", 12, "--state-save", tmp_path / "half")
    assert half + generate("--state-load", tmp_path / "half", "--max-tokens", 12) == generate("--prompt", TEXT)


def test_state_of_another_model_is_refused(generate, tmp_path):
    generate("--prompt", TEXT, "--state-save", tmp_path / "state")
    options = ["--kv=sink(2)+recent(30)"]
    done = generate("--prompt", TEXT, "--state-load", tmp_path / "state", options=options, check=False)
    assert done.returncode == 4 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    (tmp_path / "cut").write_bytes((tmp_path / "state").read_bytes()[:-7])
    done = generate("--prompt", TEXT, "--state-load", tmp_path / "cut", check=False)
    assert done.returncode == 4 and done.stderr.count("\n") == 1, done.stderr


def test_perplexity(leat, compile_model, model, tokenizer, tmp_path):
    text = tmp_path / "text"
    text.write_text(TEXT * 3)
    ids = tokenizers.Tokenizer.from_file(str(tokenizer)).encode(TEXT * 3).ids
    logits = logits_of(model, ids)[:-1]
    top = logits.max(-1, keepdims=True)
    nll = np.log(np.exp(logits - top).sum(-1)) + top[:, 0] - logits[np.arange(len(ids) - 1), ids[1:]]
    done = leat("generate", compile_model(model), "--tokenizer", tokenizer, "--perplexity", text, "--block", 32, "--quiet")
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    edges = [*range(0, len(ids), 32), len(ids)]
    for (seen, block, so_far), begin, end in zip(rows, edges[:-1], edges[1:], strict=True):
        part = nll[max(begin - 1, 0):end - 1]
        assert int(seen) == end
        np.testing.assert_allclose([float(block), float(so_far)], np.exp([part.mean(), nll[:end - 1].mean()]), rtol=1e-4)


def test_sampling(generate):
    warm = ("--prompt", TEXT, "--temperature", 0.8)
    greedy = generate("--prompt", TEXT)
    assert generate(*warm, "--top-k", 1) == greedy
    assert generate(*warm, "--seed", 3) == generate(*warm, "--seed", 3, "--threads", 1)
    assert len({tuple(generate(*warm, "--seed", seed)) for seed in range(4)}) > 1


def test_full_cache_says_what_keeps_the_stream_alive(generate):
    done = generate("--prompt", TEXT * 4, "--context", 40, check=False)
    assert done.returncode == 1 and "--kv" in done.stderr and "40" in done.stderr, done.stderr
    assert len(generate("--prompt", TEXT * 4, "--context", 40, options=["--kv=sink(4)+recent(28)"])) == 24
