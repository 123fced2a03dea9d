"""Keys and values in 8 and 4 bits, as caches with prec=f8, i8 and i4 hold them: the tensors, what they mean, and a module that attends to them.

Codes and scales are as passes/Stream/CacheCoding.h says, and in slots as a model's: attention decodes what it reads from a cache, whereas tensors that a
function is given would be decoded in front of it.
"""
import dataclasses

import numpy as np
from tensors import Tensor, large, repeated

GROUP = 32  # values that share a scale
F8 = "f8E4M3FN"


@dataclasses.dataclass(frozen=True)
class Coding:
    """`name` is what --kv=prec= calls it. Tensors of one cache: its codes, then its scales if it has some (i4: of each entry all scales, then all minima)."""

    name: str

    def parts(self, length):
        """(element type, length of the last axis) of each tensor, for entries of `length` values."""
        groups = length // GROUP
        return {"f8": [(F8, length)], "i8": [("i8", length), ("f16", groups)], "i4": [("i8", length // 2), ("f16", 2 * groups)]}[self.name]

    def random(self, rng, *shape):
        """The tensors of a cache of `shape`, of values near 1. Large ones repeat."""
        if self.name == "f8":
            return [large(rng, F8, *shape)]
        (_, codes), (_, scales) = self.parts(shape[-1])
        size = {"i8": 1 / 64, "i4": 1 / 4}[self.name]
        steps = repeated(lambda count: Tensor.of("f16", rng.uniform(0.5, 1.5, count) * size), *shape[:-1], shape[-1] // GROUP)
        if self.name == "i4":  # centred on zero
            steps = Tensor("f16", np.concatenate([steps.bits, steps.bits * np.float16(-7.5)], axis=-1))
        return [large(rng, "i8", *shape[:-1], codes), steps]

    def values(self, codes, scales=None):
        """What the tensors mean, from their numbers in float64."""
        if self.name == "f8":
            return codes
        if self.name == "i8":
            return codes * np.repeat(scales, GROUP, axis=-1)
        groups = codes.astype(np.int8).view(np.uint8).reshape(*codes.shape[:-1], -1, GROUP // 2)
        numbers = np.concatenate([groups & 15, groups >> 4], axis=-1).reshape(*codes.shape[:-1], -1)
        steps, minima = (np.repeat(half, GROUP, axis=-1) for half in np.split(scales, 2, axis=-1))
        return numbers * steps + minima

    def decoded(self, parts, types, out):
        """linalg.generic that makes a tensor of type `out` [batch, heads, entries, length] from the tensors `parts` of `types`, into %empty."""
        kind, groups, group, half = _element(out), int(out.split("x")[-2]) // GROUP, f"d3 floordiv {GROUP}", GROUP // 2
        wide = "%w = arith.extf %s : f16 to f32"
        reads, body = {
            "f8": ([(0, "%c", "d3")], [f"%y = arith.extf %c : {F8} to f32"]),
            "i8": ([(0, "%c", "d3"), (1, "%s", group)], ["%x = arith.sitofp %c : i8 to f32", wide, "%y = arith.mulf %x, %w : f32"]),
            "i4": ([(0, "%c", f"({group}) * {half} + d3 mod {half}"), (1, "%s", group), (1, "%l", f"{group} + {groups}")], [
                "%d = linalg.index 3 : index", f"%group = arith.constant {GROUP} : index", f"%half = arith.constant {half} : index",
                "%at = arith.remui %d, %group : index", "%which = arith.divui %at, %half : index", "%upper = arith.index_cast %which : index to i32",
                "%four = arith.constant 4 : i32", "%shift = arith.muli %upper, %four : i32", "%byte = arith.extui %c : i8 to i32",
                "%bits = arith.shrui %byte, %shift : i32", "%ones = arith.constant 15 : i32", "%n = arith.andi %bits, %ones : i32",
                "%x = arith.sitofp %n : i32 to f32", wide, "%m = arith.extf %l : f16 to f32", "%p = arith.mulf %x, %w : f32", "%y = arith.addf %p, %m : f32"]),
        }[self.name]
        last = "%y"
        if kind != "f32":
            body, last = [*body, f"%z = arith.truncf %y : f32 to {kind}"], "%z"
        maps = ", ".join(f"affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, {at})>" for at in [*(at for _, _, at in reads), "d3"])
        arguments = ", ".join([f"{name}: {_element(types[i])}" for i, name, _ in reads] + [f"%o: {kind}"])
        operands = f"ins({', '.join(parts[i] for i, _, _ in reads)} : {', '.join(types[i] for i, _, _ in reads)}) outs(%empty : {out})"
        lines = "".join(f"    {line}\n" for line in body)
        return (f'linalg.generic {{indexing_maps = [{maps}], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}} {operands} {{\n'
                f"  ^bb0({arguments}):\n{lines}    linalg.yield {last} : {kind}\n  }} -> {out}\n")

    def module(self, heads, head, kind, words=""):
        """Functions: @store appends entries to the caches of `heads[1]` heads of `head` values, the tensors of keys, then those of values; @attend attends with
        queries of `heads[0]` heads to all of them. `words`: attributes."""
        types = [f"tensor<?x{heads[1]}x?x{size}x{of}>" for of, size in self.parts(head)]
        slots = {f"{cache}{i}": t for cache in "kv" for i, t in enumerate(types)}
        q, cached = f"tensor<?x{heads[0]}x?x{head}x{kind}>", f"tensor<?x{heads[1]}x?x{head}x{kind}>"
        text = "leat.slot @seen : tensor<i64> growth counter\n"
        text += "".join(f"leat.slot @{slot} : {t} growth append {{axis = 2 : i64, batch_axis = 0 : i64}}\n" for slot, t in slots.items())
        seen = ("  %c0 = arith.constant 0 : index\n  %c2 = arith.constant 2 : index\n  %counter = leat.state_get @seen : <tensor<i64>>\n"
                "  %count = leat.state_read %counter : <tensor<i64>> -> tensor<i64>\n  %seen64 = tensor.extract %count[] : tensor<i64>\n"
                "  %seen = arith.index_cast %seen64 : i64 to index\n")
        text += f"func.func @store({', '.join(f'%{slot}: {t}' for slot, t in slots.items())}) -> tensor<i64> {{\n{seen}"
        text += (f"  %new = tensor.dim %k0, %c2 : {types[0]}\n  %total = arith.addi %seen, %new : index\n  %total64 = arith.index_cast %total : index to i64\n"
                 "  %now = tensor.from_elements %total64 : tensor<i64>\n  %counted = leat.state_write %counter, %now : <tensor<i64>>, tensor<i64>\n"
                 "  leat.state_put @seen, %counted : <tensor<i64>>\n")
        for slot, t in slots.items():
            text += (f"  %before_{slot} = leat.state_get @{slot} : <{t}>\n  %after_{slot} = leat.cache_append %before_{slot}, %{slot} at %seen {{axis = 2 : i64}} : "
                     f"<{t}>, {t}\n  leat.state_put @{slot}, %after_{slot} : <{t}>\n")
        text += f"  return %now : tensor<i64>\n}}\nfunc.func @attend(%q: {q}) -> {q} {{\n{seen}  %batch = tensor.dim %q, %c0 : {q}\n"
        for slot, t in slots.items():
            text += f"  %state_{slot} = leat.state_get @{slot} : <{t}>\n  %{slot} = leat.cache_view %state_{slot}[%c0, %seen] {{axis = 2 : i64}} : <{t}> -> {t}\n"
        text += f"  %empty = tensor.empty(%batch, %seen) : {cached}\n"
        text += "".join(f"  %{cache} = {self.decoded([f'%{cache}{i}' for i in range(len(types))], types, cached)}" for cache in "kv")
        return text + (f"  %o = leat.kv_attend q(%q) k(%k) v(%v) {{scale = {head**-0.5:.17g} : f64{words}}} : ({q}, {cached}, {cached}) -> {q}\n"
                       f"  return %o : {q}\n}}\n")


def _element(tensor):
    return tensor.rstrip(">").rsplit("x", 1)[-1]


CODINGS = {name: Coding(name) for name in ("f8", "i8", "i4")}
