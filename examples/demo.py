"""The main job on real models: sentences embedded, a language model that answers, and one that reads on past what it was trained for.

Run it through `./dev demo`, which builds the tools and installs what this needs.
"""
import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "test"))

from models import minilm, smollm2  # noqa: E402  (the folder test/ is on the path now)

SENTENCES = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
QUESTION = "What is a mill race? Answer in two sentences."
TEXT_TOKENS = 14336


class Demo:
    def __init__(self, build):
        self.leat = build / "bin" / "leat"
        self.models = ROOT / "models"
        self.work = build / "demo"
        self.work.mkdir(parents=True, exist_ok=True)

    def run(self, *args, quiet=False):
        args = [str(a) for a in args]
        if not quiet:
            print("$ leat", *(f'"{a}"' if " " in a or "(" in a else a for a in args), flush=True)
        code = subprocess.run([self.leat, *args]).returncode
        if code:
            raise SystemExit(f"leat {args[0]} ended with exit code {code}")

    def compile(self, model, name, *options):
        artifact = model.parent / name
        newer = artifact.exists() and artifact.stat().st_mtime > max(model.stat().st_mtime, self.leat.stat().st_mtime)
        if not newer:
            self.run("compile", model, "-o", artifact, *options)
        return artifact

    def embed(self):
        """Sentence embeddings by MiniLM, their similarities, and the difference from ONNX Runtime."""
        import onnxruntime
        import tokenizers

        title("MiniLM embeds sentences")
        model = minilm.write(self.models / "minilm")
        artifact = self.compile(model, "minilm.leat")
        tokenizer = tokenizers.Tokenizer.from_file(str(model.parent / "tokenizer.json"))
        tokenizer.enable_padding()
        rows = tokenizer.encode_batch(SENTENCES)
        feeds = {"input_ids": [r.ids for r in rows], "attention_mask": [r.attention_mask for r in rows], "token_type_ids": [r.type_ids for r in rows]}
        feeds = {name: np.array(v, np.int64) for name, v in feeds.items()}
        inputs = []
        for name, array in feeds.items():
            np.save(self.work / f"{name}.npy", array)
            inputs += ["--input", f"{name}=@{self.work / name}.npy"]
        self.run("run", artifact, *inputs, "--output-dir", self.work)
        hidden = np.load(self.work / "last_hidden_state.npy")
        session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        expected = session.run(None, feeds)[0]
        mask = feeds["attention_mask"][..., None]
        vectors = (hidden * mask).sum(1) / mask.sum(1)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        for i, a in enumerate(SENTENCES):
            for j, b in enumerate(SENTENCES[:i]):
                print(f"  {vectors[i] @ vectors[j]:6.4f}  {b!r} ~ {a!r}")
        difference = np.abs(hidden - expected).max()
        print(f"  largest difference from ONNX Runtime: {difference:.1e}")
        if not difference <= 1e-4:
            raise SystemExit("the embeddings differ from ONNX Runtime's by more than 1e-4")

    def chat(self):
        title("SmolLM2 answers")
        model = smollm2.write(self.models / "smollm2-decomposed", "decomposed")
        artifact = self.compile(model, "smollm2.leat")
        self.run("generate", artifact, "--chat", "--prompt", QUESTION, "--max-tokens", "96")
        return model

    def endless(self, model):
        """Perplexity per 2048 tokens of a text longer than the model's 8192, under three caches."""
        title(f"SmolLM2 reads {TEXT_TOKENS} tokens; it was trained for 8192")
        from pydoc_data.topics import topics

        text = self.work / "text.txt"
        text.write_text("\n\n".join(topics.values()), encoding="utf-8")
        for policy, what in (("sink(4)+recent(1020)", "4 sinks and 1020 recent tokens: flat, in constant memory"),
                             ("recent(1020)", "1020 recent tokens without sinks: worse from where the first tokens leave"),
                             ("all", "everything, 10 times the memory: collapses past the trained length")):
            print(f"\n{policy}: {what}")
            name = "smollm2.leat" if policy == "all" else f"smollm2-{policy.replace('(', '').replace(')', '').replace('+', '-')}.leat"
            artifact = self.compile(model, name, *([] if policy == "all" else [f"--kv={policy}"]))
            self.run("generate", artifact, "--perplexity", text, "--max-text", TEXT_TOKENS, "--context", TEXT_TOKENS)

    def kernels(self):
        title("What a decode step is made of")
        self.run("bench", self.models / "smollm2-decomposed" / "smollm2.leat", "--function", "step", "--context", "512", "--tokens", "1")


def title(text):
    bold = ("\033[1m", "\033[0m") if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else ("", "")
    print(f"\n{bold[0]}== {text}{bold[1]}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--only", choices=["embed", "chat", "endless", "kernels"], help="one part")
    args = parser.parse_args()
    demo = Demo(args.build)
    start = time.monotonic()
    if args.only in (None, "embed"):
        demo.embed()
    if args.only in (None, "chat", "endless", "kernels"):
        model = smollm2.write(demo.models / "smollm2-decomposed", "decomposed")
        if args.only != "endless" and args.only != "kernels":
            demo.chat()
        if args.only in (None, "kernels"):
            demo.compile(model, "smollm2.leat")
            demo.kernels()
        if args.only in (None, "endless"):
            demo.endless(model)
    print(f"\ndone in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
