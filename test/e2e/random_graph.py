"""Random ONNX graphs of the ops that fusion moves around: every seed gives another mix of shared values, views, roots and epilogues."""
import numpy as np
from onnx import TensorProto, helper, numpy_helper

SIZES = {"b": 2, "s": 5}


def concrete(shape):
    return [SIZES.get(d, d) for d in shape]


class RandomGraph:
    """Grows a pool of float tensors by applying ops whose shapes fit. Sizes named b and s are dynamic."""

    def __init__(self, seed, ops=14):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.initializers, self.pool, self.count = [], [], [], 0
        self.inputs = {"x": ["b", "s", 8], "y": ["b", "s", 8], "z": ["b", 1, 8], "m": ["s", 8]}
        self.pool += list(self.inputs.items())
        ways = [self.unary, self.unary, self.binary, self.binary, self.binary, self.matmul, self.matmul, self.softmax, self.norm, self.reduce,
                self.transpose, self.reshape, self.concat, self.slice, self.split, self.gather, self.where, self.pad, self.expand, self.cumsum,
                self.scores, self.topk, self.round_trip]
        while len(self.nodes) < ops:
            ways[self.rng.integers(len(ways))]()

    # --- building -----------------------------------------------------------------------------------------------------------------
    def name(self):
        self.count += 1
        return f"t{self.count}"

    def constant(self, array):
        name = self.name()
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def ints(self, *values):
        return self.constant(np.array(values, np.int64))

    def weight(self, *shape):
        return self.constant((self.rng.standard_normal(shape) * 0.3).astype(np.float32))

    def node(self, op, inputs, shape=None, outputs=1, **attrs):
        """Adds a node; a result with a shape joins the pool."""
        names = [self.name() for _ in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=f"{op}_{len(self.nodes)}", **attrs))
        if shape is not None:
            self.pool.append((names[0], list(shape)))
        return names[0] if outputs == 1 else names

    def pick(self, fits=lambda shape: True):
        """Prefers recent values, so that chains grow, but takes old ones often enough that values are shared."""
        found = [entry for entry in self.pool if fits(entry[1])]
        if not found:
            return None, None
        recent = min(int(self.rng.exponential(2.0)), len(found) - 1)
        return found[len(found) - 1 - recent]

    # --- ops ----------------------------------------------------------------------------------------------------------------------
    def unary(self):
        x, shape = self.pick()
        self.node(self.rng.choice(["Tanh", "Sigmoid", "Erf", "Relu", "Neg", "Abs", "Softplus", "Sin"]), [x], shape)

    def binary(self):
        x, shape = self.pick()
        kind = self.rng.integers(4)
        op = self.rng.choice(["Add", "Mul", "Sub", "Max", "Min"])
        if kind == 0:
            other = self.weight(*([8] if shape and shape[-1] == 8 else [1]))
        elif kind == 1:
            other = self.constant(np.float32(self.rng.standard_normal()))
        else:
            fits = lambda s: all(a == b or a == 1 for a, b in zip(reversed(s), reversed(shape))) and len(s) <= len(shape)
            other, _ = self.pick(fits)
        operands = [x, other] if self.rng.integers(2) else [other, x]
        self.node(op, operands, shape)

    def matmul(self):
        x, shape = self.pick(lambda s: len(s) >= 2 and isinstance(s[-1], int))
        if x is None:
            return
        n = int(self.rng.choice([8, 8, 16, 3]))
        if len(shape) == 2 and self.rng.integers(2):
            y = self.node("Gemm", [x, self.weight(n, shape[-1]), self.weight(n)], shape[:-1] + [n], transB=1)
        else:
            y = self.node("MatMul", [x, self.weight(shape[-1], n)], shape[:-1] + [n])
        if self.rng.integers(2):
            y = self.node("Add", [y, self.weight(n)], shape[:-1] + [n])

    def scores(self):
        """x xT, the shape of attention."""
        x, shape = self.pick(lambda s: len(s) == 3)
        if x is None:
            return
        t = self.node("Transpose", [x], perm=[0, 2, 1])
        y = self.node("MatMul", [x, t], shape[:2] + [shape[1]])
        y = self.node("Mul", [y, self.constant(np.float32(0.1))], shape[:2] + [shape[1]])
        y = self.node("Softmax", [y], shape[:2] + [shape[1]], axis=-1)
        self.node("MatMul", [y, x], shape)

    def softmax(self):
        x, shape = self.pick(lambda s: len(s) >= 1)
        self.node("Softmax", [x], shape, axis=int(self.rng.integers(-len(shape), len(shape))))

    def norm(self):
        x, shape = self.pick(lambda s: len(s) >= 2 and isinstance(s[-1], int) and s[-1] > 1)
        if x is not None:
            self.node("LayerNormalization", [x, self.weight(shape[-1]), self.weight(shape[-1])], shape, axis=-1)

    def reduce(self):
        x, shape = self.pick(lambda s: len(s) >= 2)
        axes = sorted(self.rng.choice(len(shape), size=int(self.rng.integers(1, len(shape))), replace=False).tolist())
        keep = int(self.rng.integers(2))
        out = [1 if i in axes else d for i, d in enumerate(shape)] if keep else [d for i, d in enumerate(shape) if i not in axes]
        self.node(self.rng.choice(["ReduceSum", "ReduceMean", "ReduceMax"]), [x, self.ints(*axes)], out, keepdims=keep)

    def transpose(self):
        x, shape = self.pick(lambda s: len(s) >= 2)
        perm = self.rng.permutation(len(shape)).tolist()
        self.node("Transpose", [x], [shape[p] for p in perm], perm=perm)

    def reshape(self):
        x, shape = self.pick(lambda s: len(s) >= 2 and s[-1] in (8, 16))
        if x is None:
            return
        if self.rng.integers(2):
            self.node("Reshape", [x, self.ints(*([0] * (len(shape) - 1)), shape[-1] // 4, 4)], shape[:-1] + [shape[-1] // 4, 4])
        else:  # flatten, and back through a linear layer
            n = shape[-1]
            flat = self.node("Reshape", [x, self.ints(-1, n)])
            y = self.node("Gemm", [flat, self.weight(n, n), self.weight(n)])
            dims = self.node("Shape", [x])
            self.node("Reshape", [y, dims], shape)

    def concat(self):
        x, shape = self.pick(lambda s: len(s) >= 2 and isinstance(s[-1], int) and s[-1] <= 16)
        y, other = self.pick(lambda s: len(s) == len(shape) and s[:-1] == shape[:-1] and isinstance(s[-1], int)) if x else (None, None)
        if y is not None:
            self.node("Concat", [x, y], shape[:-1] + [shape[-1] + other[-1]], axis=-1)

    def slice(self):
        x, shape = self.pick(lambda s: len(s) >= 1 and isinstance(s[-1], int) and s[-1] >= 4)
        if x is None:
            return
        n = shape[-1]
        begin, end, step = [(0, n // 2, 1), (n // 2, n, 1), (0, n, 2), (n - 1, -n - 1, -1)][self.rng.integers(4)]
        size = len(range(n)[begin:end if step > 0 else None:step])
        self.node("Slice", [x, self.ints(begin), self.ints(end), self.ints(len(shape) - 1), self.ints(step)], shape[:-1] + [size])

    def split(self):
        x, shape = self.pick(lambda s: len(s) >= 1 and s[-1] in (8, 16))
        if x is not None:
            parts = self.node("Split", [x], outputs=2, axis=-1, num_outputs=2)
            self.pool += [(p, shape[:-1] + [shape[-1] // 2]) for p in parts]

    def gather(self):
        x, shape = self.pick(lambda s: len(s) >= 1 and isinstance(s[-1], int) and s[-1] >= 3)
        if x is not None:
            self.node("Gather", [x, self.ints(2, 0, -1)], shape[:-1] + [3], axis=len(shape) - 1)

    def where(self):
        x, shape = self.pick()
        y, _ = self.pick(lambda s: s == shape)
        c = self.node("Greater", [x, self.constant(np.float32(0.1))])
        self.node("Where", [c, y, self.constant(np.float32(-0.5))], shape)

    def pad(self):
        x, shape = self.pick(lambda s: len(s) >= 1 and isinstance(s[-1], int) and s[-1] <= 12)
        if x is not None:
            zeros = [0] * (len(shape) - 1)
            self.node("Pad", [x, self.ints(*zeros, 1, *zeros, 2), self.constant(np.float32(0.25))], shape[:-1] + [shape[-1] + 3])

    def expand(self):
        x, shape = self.pick(lambda s: len(s) == 3 and s[1] == 1)
        if x is not None:
            like = self.node("Shape", ["x"], start=1, end=2)
            target = self.node("Concat", [self.ints(1), like, self.ints(1)], axis=0)
            self.node("Expand", [x, target], [shape[0], "s", shape[2]])

    def cumsum(self):
        x, shape = self.pick(lambda s: len(s) >= 2)
        self.node("CumSum", [x, self.constant(np.int64(self.rng.integers(len(shape))))], shape)

    def topk(self):
        x, shape = self.pick(lambda s: len(s) >= 1 and isinstance(s[-1], int) and s[-1] >= 3)
        if x is not None:
            values, _ = self.node("TopK", [x, self.ints(2)], outputs=2, axis=-1)
            self.pool.append((values, shape[:-1] + [2]))

    def round_trip(self):
        x, shape = self.pick()
        half = self.node("Cast", [x], to=TensorProto.DOUBLE)
        self.node("Cast", [half], shape, to=TensorProto.FLOAT)

    # --- the model ----------------------------------------------------------------------------------------------------------------
    def model(self):
        """Outputs: the last values, and one from the middle, so that it is needed twice."""
        made = [entry for entry in self.pool if entry[0] not in self.inputs]
        chosen = dict(made[-3:] + [made[len(made) // 2]])
        info = lambda entries: [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in entries]
        graph = helper.make_graph(self.nodes, "random", info(self.inputs.items()), info(chosen.items()), self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
        model.ir_version = 10
        return model

    def feeds(self):
        return {n: self.rng.standard_normal(concrete(s)).astype(np.float32) for n, s in self.inputs.items()}
