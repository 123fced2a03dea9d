"""A Llama-style decoder in float64 NumPy: the whole text at once, or token by token under a cache policy.

What a query sees is decided per pair of positions, as the specification of streaming attention with sinks puts it; nothing here has a cache, a ring or a
kernel, so agreement means that those are right.
"""
import numpy as np


class DecoderOracle:
    """`weights` as in models.decoder; every product in float64."""

    def __init__(self, config, weights):
        self.config = config
        self.norm = {n: weights.norm(n).astype(np.float64) for n in
                     ["model.norm"] + [f"model.layers.{i}.{p}" for i in range(config.layers) for p in ("input_layernorm", "post_attention_layernorm")]}
        parts = [f"self_attn.{p}_proj" for p in "qkvo"] + [f"mlp.{p}_proj" for p in ("gate", "up", "down")]
        self.linear = {f"model.layers.{i}.{p}": weights.linear(f"model.layers.{i}.{p}").dense().astype(np.float64).T
                       for i in range(config.layers) for p in parts}
        self.embedding = weights.embedding().dense().astype(np.float64)

    def rms(self, name, x):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.config.epsilon) * self.norm[name]

    def rotate(self, x, positions):
        """x [heads, length, head_dim] at positions [length] (half form)."""
        angles = positions[:, None] * self.config.frequencies()
        cos, sin = np.cos(angles), np.sin(angles)
        low, high = np.split(x, 2, axis=-1)
        return np.concatenate([low * cos - high * sin, high * cos + low * sin], axis=-1)

    def attend(self, q, k, v, sinks=0, recent=None, rank=True, stored=lambda x: x):
        """Dense attention over all pairs. With `recent` R, query t sees keys j < sinks and j >= t - R (and j <= t); a sink is read at its rank: the
        query stands at min(t, sinks + R) for it when `rank`, at t otherwise. `stored`: what a cache makes of rotated keys, and of values."""
        c, n = self.config, q.shape[1]
        t = np.arange(n)
        q_abs, k_abs, v = self.rotate(q, t), stored(self.rotate(k, t)), stored(v)
        group = c.heads // c.kv_heads
        k_abs, v = np.repeat(k_abs, group, axis=0), np.repeat(v, group, axis=0)
        scores = q_abs @ k_abs.swapaxes(1, 2)
        visible = t[None, :] <= t[:, None]
        if recent is not None:
            is_sink = t[None, :] < sinks
            if sinks and rank:
                q_rank = self.rotate(q, np.minimum(t, sinks + recent))
                scores = np.where(is_sink, q_rank @ k_abs.swapaxes(1, 2), scores)
            visible &= is_sink | (t[:, None] - t[None, :] <= recent)
        scores = np.where(visible, scores * c.head_dim**-0.5, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        return (weights / weights.sum(-1, keepdims=True)) @ v

    def logits(self, tokens, **policy):
        """Logits [length, vocab] of one sequence."""
        c, n = self.config, len(tokens)
        x = self.embedding[np.asarray(tokens)]
        split = lambda y, heads: y.reshape(n, heads, c.head_dim).swapaxes(0, 1)
        for i in range(c.layers):
            layer = f"model.layers.{i}"
            normed = self.rms(f"{layer}.input_layernorm", x)
            q = split(normed @ self.linear[f"{layer}.self_attn.q_proj"], c.heads)
            k, v = (split(normed @ self.linear[f"{layer}.self_attn.{p}_proj"], c.kv_heads) for p in "kv")
            mixed = self.attend(q, k, v, **policy).swapaxes(0, 1).reshape(n, -1)
            x = x + mixed @ self.linear[f"{layer}.self_attn.o_proj"]
            normed = self.rms(f"{layer}.post_attention_layernorm", x)
            gate = normed @ self.linear[f"{layer}.mlp.gate_proj"]
            active = gate / (1 + np.exp(-gate)) * (normed @ self.linear[f"{layer}.mlp.up_proj"])
            x = x + active @ self.linear[f"{layer}.mlp.down_proj"]
        return self.rms("model.norm", x) @ self.embedding.T
