"""MiniLM and SmolLM2 with their real weights: against ONNX Runtime, from ONNX to text."""
import subprocess

import numpy as np
import onnxruntime
import pytest
import tokenizers

from models.decoder import STYLES

CHAT = "Tell me a story about a river."


def test_minilm_equals_onnxruntime_at_every_size(minilm, compile_model, library):
    session = library.load(compile_model(minilm)).session()
    reference = onnxruntime.InferenceSession(str(minilm), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    for batch, length in ((1, 1), (1, 16), (8, 128), (3, 77), (1, 512)):
        mask = np.ones((batch, length), np.int64)
        mask[batch // 2:, length // 2 + 1:] = 0
        feeds = {"input_ids": rng.integers(0, 30000, (batch, length)), "attention_mask": mask, "token_type_ids": np.zeros((batch, length), np.int64)}
        got = session.run("main", feeds)["last_hidden_state"]
        np.testing.assert_allclose(got, reference.run(None, feeds)[0], atol=1e-4, rtol=1e-4)
        row = session.run("main", {name: a[-1:] for name, a in feeds.items()})["last_hidden_state"]
        np.testing.assert_array_equal(row[0], got[-1])


def onnxruntime_feeds(style, config, ids, seen, past):
    n = len(ids)
    feeds = {"input_ids": np.array([ids], np.int64), **past}
    if style == "attention24":
        feeds["write_indices"] = np.array([seen])
    else:
        feeds["attention_mask"] = np.ones((1, seen + n), np.int64)
    if style != "gqa":
        feeds["position_ids"] = np.arange(seen, seen + n)[None]
    return feeds


def empty_past(session, length):
    return {i.name: np.zeros([1 if d == "batch_size" else length if isinstance(d, str) else d for d in i.shape], np.float32)
            for i in session.get_inputs() if i.name.startswith("past")}


@pytest.fixture(scope="module")
def reference(smollm2):
    """Per f32 style: the chat prompt's ids, 64 greedy tokens, and logits of 512 tokens of text, all by ONNX Runtime."""
    cache = {}

    def get(style):
        if style not in cache:
            path = smollm2(style)
            session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            tokenizer = tokenizers.Tokenizer.from_file(str(path.parent / "tokenizer.json"))
            system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
            prompt = f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{CHAT}<|im_end|>\n<|im_start|>assistant\n"
            ids = tokenizer.encode(prompt).ids
            outputs = [o.name for o in session.get_outputs()]
            past, seen, current, greedy = empty_past(session, 512 if style == "attention24" else 0), 0, ids, []
            for _ in range(64):
                result = dict(zip(outputs, session.run(None, onnxruntime_feeds(style, None, current, seen, past))))
                seen += len(current)
                past = {n.replace("present", "past_key_values"): v for n, v in result.items() if n != "logits"}
                current = [int(result["logits"][0, -1].argmax())]
                greedy += current
            from pydoc_data.topics import topics

            text = tokenizer.encode(topics["assert"] + topics["lambda"] + topics["while"] + topics["import"]).ids[:512]
            assert len(text) == 512
            logits = session.run(["logits"], onnxruntime_feeds(style, None, text, 0, empty_past(session, 512 if style == "attention24" else 0)))[0][0]
            cache[style] = ids, greedy, text, logits
        return cache[style]

    return get


@pytest.mark.parametrize("style", STYLES)
def test_smollm2_chats_like_onnxruntime(style, smollm2, compile_model, leat, reference):
    # ONNX Runtime multiplies the 4-bit weights with 8-bit activations; that model is held against the f32 one, whose weights it has exactly.
    _, greedy, _, _ = reference("decomposed" if style == "gqa" else style)
    path = smollm2(style)
    for options in ((), ("--kv=sink(4)+recent(1020)",)):
        done = leat("generate", compile_model(path, *options), "--tokenizer", path.parent / "tokenizer.json", "--chat", "--prompt", CHAT,
                    "--max-tokens", 64, "--ids", "--ignore-eos", "--quiet")
        assert [int(t) for t in done.stdout.split()] == greedy


@pytest.mark.parametrize("style", STYLES)
def test_smollm2_logits_of_512_tokens(style, smollm2, compile_model, library, reference):
    _, _, text, expected = reference("decomposed" if style == "gqa" else style)
    session = library.load(compile_model(smollm2(style))).session(context=512)
    got = session("step", input_ids=np.array([text]))["logits"][0]
    assert (got.argmax(-1) == expected.argmax(-1)).all()
    np.testing.assert_allclose(got, expected, atol=1e-3, rtol=1e-3)
    held = session.counters().allocations
    session.reset()
    session("step", input_ids=np.array([text[:-1]]))
    last = session("step", input_ids=np.array([text[-1:]]))["logits"][0, -1]
    np.testing.assert_allclose(last, expected[-1], atol=1e-3, rtol=1e-3)
    assert session.counters().allocations == held


def test_smollm2_tokenizer_equals_tokenizers(smollm2, leat):
    path = smollm2("decomposed").parent / "tokenizer.json"
    reference = tokenizers.Tokenizer.from_file(str(path))
    rng = np.random.default_rng(1)
    parts = ["a", "The", " ", "  ", "\n", "\t", "1", "23", "é", "中", "文", "😀", "👨‍👩‍👧", "'s", "don't", "...", "<|im_start|>", "<|im_end|>", "\u00a0", "Ⅷ", "٣", "e\u0301",
             "\r\n", "x=1;", "def f(x):", "    return"]
    samples = ["".join(rng.choice(parts, rng.integers(1, 30))) for _ in range(300)]
    done = subprocess.run([leat.path, "tokenize", path, "--null"], input="\0".join(samples).encode(), capture_output=True, check=True)
    got = [[int(t) for t in line.split()] for line in done.stdout.decode().split("\0")[: len(samples)]]
    assert got == [reference.encode(s).ids for s in samples]
    back = subprocess.run([leat.path, "tokenize", path, "--null", "--decode"], input="\0".join(" ".join(map(str, ids)) for ids in got).encode(),
                          capture_output=True, check=True)
    assert back.stdout.decode().split("\0")[: len(samples)] == [reference.decode(ids) for ids in got]
