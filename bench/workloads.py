"""The models that benchmarks run: real ones, one of a published shape with random weights, and single operators."""
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "test"))

from models import decoder, minilm, smollm2  # noqa: E402  (the folder test/ is on the path now)
from models.graph import FLOAT, Graph  # noqa: E402

FOLDER = ROOT / "models"
# Twelve layers of Llama's shape; 413 MB of weights are read for a token.
LLAMA = decoder.Config(layers=12, hidden=768, ffn=2048, heads=12, kv_heads=4, vocab=32000, context=4096, tied=False)


def once(write):
    """Runs `write(path)` unless its model is there; a file that is written only in part does not count."""
    def cached():
        path = FOLDER / write.__name__ / "model.onnx"
        done = path.parent / "complete"
        if not done.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path)
            done.touch()
        return path
    return cached


@once
def llama(path):
    decoder.export(path, "decomposed", LLAMA, decoder.RandomWeights(LLAMA))


@once
def cached_layer(path):
    """A layer of SmolLM2's attention and little else, for streams with a long past."""
    config = decoder.Config(layers=1, hidden=576, ffn=64, heads=9, kv_heads=3, vocab=64, context=1 << 17)
    decoder.export(path, "decomposed", config, decoder.RandomWeights(config))


def product(name, rows, columns):
    """A model of one product with a weight of `rows` x `columns`."""
    def write(path):
        g = Graph(path)
        x = g.input("x", FLOAT, ["m", rows])
        g.output("y", FLOAT, ["m", columns])
        g("MatMul", x, g.weight("w", np.random.default_rng(0).standard_normal((rows, columns), np.float32) / rows**0.5), out="y")
        g.save(21)
    write.__name__ = name
    return once(write)


def attend(name, keys, **attributes):
    """Grouped heads of SmolLM2's shape; `keys` is the symbol of their number."""
    def write(path):
        g = Graph(path)
        heads, kv_heads, size = 9, 3, 64
        q = g.input("q", FLOAT, [1, heads, "s", size])
        k, v = (g.input(name, FLOAT, [1, kv_heads, keys, size]) for name in "kv")
        g.output("y", FLOAT, [1, heads, "s", size])
        g("Attention", q, k, v, **attributes, out="y")
        g.save(23)
    write.__name__ = name
    return once(write)


def smollm2_q4_0():
    """The weights as llama.cpp's Q4_0, which has its fastest kernels; the embedding keeps its 8 bits."""
    path = FOLDER / "smollm2-q4_0.gguf"
    if not path.exists():
        import llama_cpp as llama

        silent = llama.llama_log_callback(lambda level, text, data: None)
        llama.llama_log_set(silent, None)
        params = llama.llama_model_quantize_default_params()
        params.ftype, params.allow_requantize = llama.LLAMA_FTYPE_MOSTLY_Q4_0, True
        params.token_embedding_type = params.output_tensor_type = llama.GGML_TYPE_Q8_0
        FOLDER.mkdir(exist_ok=True)
        part = path.with_suffix(".part")
        if llama.llama_model_quantize(str(smollm2.gguf_file()).encode(), str(part).encode(), params):
            raise SystemExit("llama.cpp could not quantise the model")
        part.rename(path)
    return path


MODELS = {
    "minilm": lambda: minilm.write(FOLDER / "minilm"),
    "smollm2": lambda: smollm2.write(FOLDER / "smollm2-decomposed", "decomposed"),
    # Level 4 lets both engines multiply in 8 bits; logits of the last token only, as llama.cpp computes them.
    "smollm2-4bit": lambda: smollm2.write(FOLDER / "smollm2-gqa-level4-last", "gqa", accuracy_level=4, last_logits=True),
    "smollm2-q4_0": smollm2_q4_0,
    "llama": llama,
    "cached_layer": cached_layer,
    **{name: product(name, *shape) for name, shape in {"gemm_1024": (1024, 1024), "smollm2_up": (576, 1536), "smollm2_down": (1536, 576),
                                                        "minilm_up": (384, 1536), "gemv_4096": (4096, 4096), "gemv_large": (4096, 32768)}.items()},
    "attention": attend("attention", "s", is_causal=1),
    "attention_decode": attend("attention_decode", "t"),
}
