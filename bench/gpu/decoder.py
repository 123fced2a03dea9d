"""A Llama-style decoder as a stream, in Leat's IR: the step function of models that are too large to carry.

Weights are inputs of the function, so an artifact is small, and whoever runs it makes them. Layers may share weights in turns (`distinct`):
a set that is several times the size of a GPU's caches is read from memory again by the next layer all the same.
"""
import dataclasses

import leat_ops as oracle
import numpy as np
from tensors import Tensor, large, normal

THETA, EPSILON, BLOCK = 10000.0, 1e-5, 32


@dataclasses.dataclass(frozen=True)
class Decoder:
    """`weights`: bf16, f16, f32 or int4 (blocks of 32, f16 scales; the embedding and the logits stay bf16). `cache`: what keys and values are stored in."""

    name: str
    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    vocab: int
    weights: str = "bf16"
    cache: str = "bf16"
    distinct: int = 0  # sets of weights; 0: one for each layer
    tied: bool = False  # logits by the embedding

    @property
    def head(self):
        return self.hidden // self.heads

    @property
    def sets(self):
        return self.distinct or self.layers

    @property
    def plain(self):
        """Of the embedding and the logits."""
        return "bf16" if self.weights == "int4" else self.weights

    def linear(self):
        """name -> (inputs, outputs)"""
        kv = self.kv_heads * self.head
        return {"q": (self.hidden, self.hidden), "k": (self.hidden, kv), "v": (self.hidden, kv), "o": (self.hidden, self.hidden),
                "gate": (self.hidden, self.ffn), "up": (self.hidden, self.ffn), "down": (self.ffn, self.hidden)}

    def inputs(self):
        """name -> (element type, dims) of every weight."""
        types = {"embedding": (self.plain, (self.vocab, self.hidden))}
        for i in range(self.sets):
            for part, (n, m) in self.linear().items():
                if self.weights == "int4":
                    types |= {f"{part}{i}.codes": ("i8", (m, n // BLOCK, BLOCK // 2)), f"{part}{i}.scales": ("f16", (m, n // BLOCK))}
                else:
                    types[f"{part}{i}"] = (self.weights, (n, m))
            types |= {f"norm{i}": ("f32", (self.hidden,)), f"ffn_norm{i}": ("f32", (self.hidden,))}
        types["last_norm"] = ("f32", (self.hidden,))
        if not self.tied:
            types["logits"] = (self.plain, (self.hidden, self.vocab))
        return types

    def sizes(self):
        """name -> bytes of every weight."""
        return {name: int(np.prod(dims)) * {"f32": 4, "i8": 1}.get(kind, 2) for name, (kind, dims) in self.inputs().items()}

    def bytes_per_token(self):
        """Weights that a step of one token reads: each layer's own, whoever else has the same, and the logits'."""
        of = self.sizes()
        fixed = of["embedding" if self.tied else "logits"] + of["last_norm"]
        shared = sum(size for name, size in of.items() if name not in ("embedding", "logits", "last_norm"))
        return fixed + shared * self.layers // self.sets

    def random(self, rng, make=normal):
        """Weights of a size that keeps activations in range. `make`: `normal`, or `large` where only speed is asked."""
        made = {}
        for name, (kind, dims) in self.inputs().items():
            if "norm" in name:
                made[name] = Tensor.of(kind, 1 + 0.1 * rng.standard_normal(dims))
            elif name.endswith(".codes"):
                made[name] = large(rng, kind, *dims)
            elif name.endswith(".scales"):
                made[name] = Tensor.of(kind, rng.uniform(0.5, 1.5, dims) * 0.25 / np.sqrt(dims[1] * BLOCK))
            else:
                made[name] = make(rng, kind, *dims, scale=1.0 if name == "embedding" else dims[0]**-0.5)
        return made

    def logits(self, weights, tokens):
        """What the last token's logits should be, in float64 and without a cache."""
        w = {name: tensor.f64() for name, tensor in weights.items()}
        n, x = len(tokens), w["embedding"][tokens]
        angles = np.arange(n)[:, None] * THETA**(-np.arange(self.head // 2) * 2 / self.head)
        cos, sin = np.cos(angles)[None], np.sin(angles)[None]
        heads = lambda y, count: y.reshape(1, n, count, self.head).swapaxes(1, 2)
        rms = lambda y, name: oracle.layer_norm(y, w[name], axis=1, epsilon=EPSILON, rms=True)
        rotary = lambda y: oracle.rotary(y, cos, sin, rotary_dim=self.head)
        for layer in range(self.layers):
            i = layer % self.sets

            def times(y, part):
                if self.weights != "int4":
                    return y @ w[f"{part}{i}"]
                inputs, outputs = self.linear()[part]
                codes = weights[f"{part}{i}.codes"].bits
                return oracle.matmul_nbits(y, codes, w[f"{part}{i}.scales"], k=inputs, bits=4, block=BLOCK)

            y = rms(x, f"norm{i}")
            q, k, v = rotary(heads(times(y, "q"), self.heads)), rotary(heads(times(y, "k"), self.kv_heads)), heads(times(y, "v"), self.kv_heads)
            k, v = Tensor.of(self.cache, k).f64(), Tensor.of(self.cache, v).f64()
            mixed = oracle.kv_attend([q], [k], [v], scale=self.head**-0.5, causal=True)[0]
            x = x + times(mixed.swapaxes(1, 2).reshape(n, self.hidden), "o")
            y = rms(x, f"ffn_norm{i}")
            gate = times(y, "gate")
            x = x + times(gate / (1 + np.exp(-gate)) * times(y, "up"), "down")
        return rms(x[-1:], "last_norm") @ (w["embedding"].T if self.tied else w["logits"])

