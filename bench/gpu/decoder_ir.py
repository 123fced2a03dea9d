"""The step function of a Decoder in Leat's IR, in the form that import gives a model: what a stage below sees of it is what it sees of any."""
import math

from decoder import BLOCK, EPSILON, THETA


def module(decoder):
    return Text(decoder).module()


def element(tensor):
    return tensor.rstrip(">").rsplit("x", 1)[-1]


def activation(*dims, kind="f32"):
    """[batch, ...dims]"""
    return f"tensor<?x{'x'.join(map(str, dims))}x{kind}>"


class Text:
    """Lines of the function; each method appends some and returns the name of its value."""

    def __init__(self, decoder):
        self.d, self.lines, self.count = decoder, [], 0
        self.types = {name: f"tensor<{'x'.join(map(str, dims))}x{kind}>" for name, (kind, dims) in decoder.inputs().items()}

    def __call__(self, line):
        self.count += 1
        self.lines.append(f"  %{self.count} = {line}")
        return f"%{self.count}"

    def generic(self, inputs, maps, out, sizes, body=(), result="%x0"):
        """linalg.generic over parallel dims. inputs: [(value, type)]; `body` computes `result` from %x0, %x1, ... with the output's type."""
        empty = self(f"tensor.empty({', '.join(sizes)}) : {out}")
        rank = out.count("x")
        dims = ", ".join(f"d{i}" for i in range(rank))
        listed = ", ".join(f"affine_map<({dims}) -> ({m})>" for m in [*maps, dims])
        kinds = ", ".join(['"parallel"'] * rank)
        reads = f"ins({', '.join(v for v, _ in inputs)} : {', '.join(t for _, t in inputs)}) " if inputs else ""
        arguments = ", ".join([f"%x{i}: {element(t)}" for i, (_, t) in enumerate(inputs)] + [f"%out: {element(out)}"])
        lines = "".join(f"    {line}\n" for line in body)
        return self(f"linalg.generic {{indexing_maps = [{listed}], iterator_types = [{kinds}]}} {reads}outs({empty} : {out}) {{\n"
                    f"  ^bb0({arguments}):\n{lines}    linalg.yield {result} : {element(out)}\n  }} -> {out}")

    def norm(self, x, name, tokens="?"):
        t = activation(tokens, self.d.hidden)
        return self(f"leat.layer_norm {x} scale %{name} : {self.types[name]} {{axis = 2 : i64, epsilon = {EPSILON:.1e} : f64, rms}} : {t} -> {t}")

    def times(self, x, part, layer):
        n, m = self.d.linear()[part]
        name, source, out = f"{part}{layer % self.d.sets}", activation("?", n), activation("?", m)
        if self.d.weights != "int4":
            return self(f"leat.matmul {x}, %{name} : ({source}, {self.types[name]}) -> {out}")
        codes, scales = f"{name}.codes", f"{name}.scales"
        return self(f"leat.matmul_nbits {x}, %{codes}, %{scales} {{k = {n}, n = {m}, bits = 4, block = {BLOCK}}} : "
                    f"({source}, {self.types[codes]}, {self.types[scales]}) -> {out}")

    def add(self, a, b):
        t = activation("?", self.d.hidden)
        return self.generic([(a, t), (b, t)], ["d0, d1, d2"] * 2, t, ["%batch", "%tokens"], ["%y = arith.addf %x0, %x1 : f32"], "%y")

    def heads(self, x, count):
        """[batch, tokens, count x head] -> [batch, count, tokens, head]"""
        flat, split, out = activation("?", count * self.d.head), activation("?", count, self.d.head), activation(count, "?", self.d.head)
        wide = self(f"tensor.expand_shape {x} [[0], [1], [2, 3]] output_shape [%batch, %tokens, {count}, {self.d.head}] : {flat} into {split}")
        return self.generic([(wide, split)], ["d0, d2, d1, d3"], out, ["%batch", "%tokens"])

    def angles(self, function):
        """[batch, tokens, head / 2]: of the position times each frequency."""
        step = -2 / self.d.head
        return self.generic([], [], activation("?", self.d.head // 2), ["%batch", "%tokens"], [
            "%i = linalg.index 1 : index", "%place = arith.addi %i, %before : index", "%place64 = arith.index_cast %place : index to i64",
            "%position = arith.sitofp %place64 : i64 to f32", "%pair = linalg.index 2 : index", "%pair64 = arith.index_cast %pair : index to i64",
            "%number = arith.sitofp %pair64 : i64 to f32", f"%step = arith.constant {step * math.log(THETA):.9e} : f32",
            "%power = arith.mulf %number, %step : f32", "%frequency = math.exp %power : f32", "%angle = arith.mulf %position, %frequency : f32",
            f"%y = math.{function} %angle : f32"], "%y")

    def rotary(self, x, count, cos, sin):
        t, table = activation(count, "?", self.d.head), activation("?", self.d.head // 2)
        return self(f"leat.rotary {x}, {cos}, {sin} {{rotary_dim = {self.d.head} : i64}} : ({t}, {table}, {table}) -> {t}")

    def cached(self, slot, x):
        """Appends to a cache; returns what it holds then."""
        new, state = activation(self.d.kv_heads, "?", self.d.head), activation(self.d.kv_heads, "?", self.d.head, kind=self.d.cache)
        if self.d.cache != "f32":
            x = self.generic([(x, new)], ["d0, d1, d2, d3"], state, ["%batch", "%tokens"], [f"%y = arith.truncf %x0 : f32 to {self.d.cache}"], "%y")
        before = self(f"leat.state_get @{slot} : <{state}>")
        after = self(f"leat.cache_append {before}, {x} at %before {{axis = 2 : i64}} : <{state}>, {state}")
        self.puts.append(f"  leat.state_put @{slot}, {after} : <{state}>")
        return self(f"leat.cache_view {after}[%c0, %total] {{axis = 2 : i64}} : <{state}> -> {state}")

    def attend(self, y, layer, cos, sin):
        d = self.d
        q = self.rotary(self.heads(self.times(y, "q", layer), d.heads), d.heads, cos, sin)
        k = self.cached(f"k{layer}", self.rotary(self.heads(self.times(y, "k", layer), d.kv_heads), d.kv_heads, cos, sin))
        v = self.cached(f"v{layer}", self.heads(self.times(y, "v", layer), d.kv_heads))
        t, kv = activation(d.heads, "?", d.head), activation(d.kv_heads, "?", d.head, kind=d.cache)
        mixed = self(f"leat.kv_attend q({q}) k({k}) v({v}) {{causal, scale = {d.head**-0.5:.17g} : f64}} : ({t}, {kv}, {kv}) -> {t}")
        split = activation("?", d.heads, d.head)
        swapped = self.generic([(mixed, t)], ["d0, d2, d1, d3"], split, ["%batch", "%tokens"])
        joined = self(f"tensor.collapse_shape {swapped} [[0], [1], [2, 3]] : {split} into {activation('?', d.hidden)}")
        return self.times(joined, "o", layer)

    def feed(self, y, layer):
        t = activation("?", self.d.ffn)
        active = self.generic([(self.times(y, "gate", layer), t), (self.times(y, "up", layer), t)], ["d0, d1, d2"] * 2, t, ["%batch", "%tokens"], [
            "%one = arith.constant 1.0 : f32", "%n = arith.negf %x0 : f32", "%e = math.exp %n : f32", "%d = arith.addf %e, %one : f32",
            "%s = arith.divf %x0, %d : f32", "%y = arith.mulf %s, %x1 : f32"], "%y")
        return self.times(active, "down", layer)

    def embedded(self):
        """The rows of the embedding that the tokens name, as f32."""
        wide = [] if self.d.plain == "f32" else [f"%y = arith.extf %w : {self.d.plain} to f32"]
        return self.generic([("%ids", "tensor<?x?xi64>")], ["d0, d1"], activation("?", self.d.hidden), ["%batch", "%tokens"], [
            "%id = arith.index_cast %x0 : i64 to index", "%column = linalg.index 2 : index",
            f"%w = tensor.extract %embedding[%id, %column] : {self.types['embedding']}", *wide], "%y" if wide else "%w")

    def module(self):
        d, self.puts = self.d, []
        slots = "".join(f"leat.slot @{part}{i} : {activation(d.kv_heads, '?', d.head, kind=d.cache)} growth append {{axis = 2 : i64, batch_axis = 0 : i64}}\n"
                        for i in range(d.layers) for part in "kv")
        arguments = ", ".join(['%ids: tensor<?x?xi64> {onnx.name = "ids", onnx.dims = ["batch", "tokens"]}'] +
                              [f'%{name}: {t} {{onnx.name = "{name}"}}' for name, t in self.types.items()])
        self.lines += ["  %c0 = arith.constant 0 : index", "  %c1 = arith.constant 1 : index", "  %counter = leat.state_get @seen : <tensor<i64>>",
                       "  %count = leat.state_read %counter : <tensor<i64>> -> tensor<i64>", "  %seen = tensor.extract %count[] : tensor<i64>",
                       "  %before = arith.index_cast %seen : i64 to index", "  %batch = tensor.dim %ids, %c0 : tensor<?x?xi64>",
                       "  %tokens = tensor.dim %ids, %c1 : tensor<?x?xi64>", "  %total = arith.addi %before, %tokens : index",
                       "  %last = arith.subi %tokens, %c1 : index"]
        cos, sin, x = self.angles("cos"), self.angles("sin"), self.embedded()
        for layer in range(d.layers):
            i = layer % d.sets
            x = self.add(x, self.attend(self.norm(x, f"norm{i}"), layer, cos, sin))
            x = self.add(x, self.feed(self.norm(x, f"ffn_norm{i}"), layer))
        t, one, out = activation("?", d.hidden), activation(1, d.hidden), activation(1, d.vocab)
        end = self(f"tensor.extract_slice {self.norm(x, 'last_norm')}[0, %last, 0] [%batch, 1, {d.hidden}] [1, 1, 1] : {t} to {one}")
        head = "embedding" if d.tied else "logits"
        result = self(f"leat.matmul {end}, %{head}{' {trans_b}' if d.tied else ''} : ({one}, {self.types[head]}) -> {out}")
        self.lines += ["  %total64 = arith.index_cast %total : index to i64", "  %now = tensor.from_elements %total64 : tensor<i64>",
                       "  %counted = leat.state_write %counter, %now : <tensor<i64>>, tensor<i64>", "  leat.state_put @seen, %counted : <tensor<i64>>", *self.puts,
                       f"  return {result} : {out}"]
        return (f'leat.slot @seen : tensor<i64> growth counter\n{slots}func.func @step({arguments}) -> ({out} {{onnx.name = "logits", onnx.dims = ["batch", "", ""]}}) {{\n'
                + "\n".join(self.lines) + "\n}\n")
