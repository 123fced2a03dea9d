"""Small models for the tests of the front end: python frontend.py [--seeds] FOLDER writes them all.

Models that are meant to be refused are in bad(); each is written beside the good ones as bad-NAME.onnx.
"""
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, parser


def model(graph, opsets=(("", 21),), ir_version=10, **kwargs):
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(d, v) for d, v in opsets], ir_version=ir_version, **kwargs)


def value(name, dims, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, dims)


def simple(nodes, initializers=(), inputs=None, outputs=None, **kwargs):
    """A model from x: [batch, 4] to y."""
    graph = helper.make_graph(nodes, "g", inputs or [value("x", ["batch", 4])], outputs or [value("y", None)], list(initializers))
    return model(graph, **kwargs)


def external(tensor, location, offset=None, length=None, extra=()):
    """The tensor without its bytes, pointing to a file."""
    tensor = onnx.TensorProto.FromString(tensor.SerializeToString())
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entries = [("location", location), ("offset", offset), ("length", length), *extra]
    for key, text in entries:
        if text is not None:
            entry = tensor.external_data.add()
            entry.key, entry.value = key, str(text)
    return tensor, data


def weights(rows=64, columns=32, name="w"):
    return numpy_helper.from_array(np.arange(rows * columns, dtype=np.float32).reshape(rows, columns), name)


DTYPES = [
    (TensorProto.FLOAT, "float", [1.5, -2.0]), (TensorProto.DOUBLE, "double", [1.5, -2.0]), (TensorProto.FLOAT16, "f16", [1.5, -2.0]),
    (TensorProto.BFLOAT16, "bf16", [1.5, -2.0]), (TensorProto.INT64, "i64", [-1, 7]), (TensorProto.INT32, "i32", [-1, 7]),
    (TensorProto.INT16, "i16", [-1, 7]), (TensorProto.INT8, "i8", [-1, 7]), (TensorProto.UINT64, "u64", [2**63, 7]),
    (TensorProto.UINT32, "u32", [2**31, 7]), (TensorProto.UINT16, "u16", [65535, 7]), (TensorProto.UINT8, "u8", [255, 7]),
    (TensorProto.BOOL, "bool", [True, False]), (TensorProto.STRING, "string", ["a", "b c"]), (TensorProto.COMPLEX64, "c64", [1 + 2j, 3j]),
    (TensorProto.COMPLEX128, "c128", [1 + 2j, 3j]), (TensorProto.FLOAT8E4M3FN, "f8e4m3fn", [1.5, -2.0]),
    (TensorProto.FLOAT8E4M3FNUZ, "f8e4m3fnuz", [1.5, -2.0]), (TensorProto.FLOAT8E5M2, "f8e5m2", [1.5, -2.0]),
    (TensorProto.FLOAT8E5M2FNUZ, "f8e5m2fnuz", [1.5, -2.0]), (TensorProto.FLOAT8E8M0, "f8e8m0", [2.0, 4.0]),
    (TensorProto.INT4, "i4", [-8, 7, 3]), (TensorProto.UINT4, "u4", [15, 0, 3]), (TensorProto.FLOAT4E2M1, "f4", [1.5, -2.0, 6.0]),
    (TensorProto.INT2, "i2", [-2, 1, 0, 1, -1]), (TensorProto.UINT2, "u2", [3, 1, 0, 2, 3]),
    (TensorProto.FLOAT6E2M3, "f6e2m3", [1.5, -2.0, 7.5, 0.125, 1.0]), (TensorProto.FLOAT6E3M2, "f6e3m2", [1.5, -2.0, 28.0, 0.25, 1.0]),
]


def dtypes():
    """Every element type, once in the typed field (t_) and once as raw data (r_)."""
    nodes, outputs = [], []
    for dtype, name, values in DTYPES:
        typed = helper.make_tensor(f"t_{name}", dtype, [len(values)], values)
        tensors = [typed]
        if dtype != TensorProto.STRING:
            raw = numpy_helper.from_array(numpy_helper.to_array(typed), f"r_{name}")
            assert raw.data_type == dtype
            tensors.append(raw)
        for tensor in tensors:
            nodes.append(helper.make_node("Constant", [], [tensor.name], tensor.name, value=tensor))
            outputs.append(value(tensor.name, [len(values)], dtype))
    return model(helper.make_graph(nodes, "g", [], outputs), [("", 28)], 14)


def constants():
    """The spellings of a Constant node."""
    sparse = helper.make_sparse_tensor(helper.make_tensor("v", TensorProto.FLOAT, [2], [5.0, 6.0]),
                                       helper.make_tensor("i", TensorProto.INT64, [2, 2], [0, 1, 1, 0]), [2, 2])
    spellings = dict(value_int=3, value_ints=[1, 2], value_float=1.5, value_floats=[1.0, 2.0], value_string="s", value_strings=["s", "t"],
                     sparse_value=sparse)
    nodes = [helper.make_node("Constant", [], [key], key, **{key: content}) for key, content in spellings.items()]
    graph = helper.make_graph(nodes, "g", [], [helper.make_empty_tensor_value_info(key) for key in spellings])
    for output in graph.output:
        output.type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    for index, dtype in ((0, 7), (1, 7), (4, 8), (5, 8)):
        graph.output[index].type.tensor_type.elem_type = dtype
    linear = helper.make_sparse_tensor(helper.make_tensor("sparse", TensorProto.FLOAT, [2], [5.0, 6.0]),
                                       helper.make_tensor("", TensorProto.INT64, [2], [0, 3]), [2, 2])
    graph.sparse_initializer.append(linear)
    graph.node.append(helper.make_node("Identity", ["sparse"], ["dense"], "use"))
    graph.output.append(value("dense", [2, 2]))
    return model(graph)


def basic():
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], "/fc/MatMul"),
        helper.make_node("Clip", ["h", "", "high"], ["c"], "/fc/Clip"),
        helper.make_node("Dropout", ["c"], ["d", ""], "/fc/Dropout"),
        helper.make_node("Softmax", ["d"], ["y"], "/fc/Softmax", axis=-1),
    ]
    graph = helper.make_graph(nodes, "basic", [value("x", ["batch", "seq", 64])], [value("y", ["batch", "seq", 32])],
                              [weights(), helper.make_tensor("high", TensorProto.FLOAT, [], [6.0])])
    result = model(graph, [("", 21), ("custom", 3)], producer_name="test", producer_version="1.0")
    helper.set_model_props(result, {"answer": "42"})
    return result


def old():
    """IR version 3: weights are inputs too."""
    graph = helper.make_graph([helper.make_node("Add", ["x", "b"], ["y"])], "old", [value("x", [2, 4]), value("b", [4])],
                              [value("y", [2, 4])], [helper.make_tensor("b", TensorProto.FLOAT, [4], [1, 2, 3, 4])])
    return model(graph, [("", 7)], 3)


def control():
    return parser.parse_model("""
<ir_version: 10, opset_import: ["" : 21]>
control (float[n] x, bool c, int64 trips) => (float[n] y, float[n] z, float[k, n] all)
<float one = {1.0}>
{
  twice = Add(x, x)
  y = If(c) <then_branch = then_graph () => (float[n] t) { t = Mul(twice, one) },
             else_branch = else_graph () => (float[n] e) { e = Neg(twice) }>
  z, all = Loop(trips, c, x) <body = body_graph (int64 i, bool go, float[n] state) => (bool on, float[n] next, float[n] each)
    { on = Identity(go)
      next = Add(state, twice)
      each = If(go) <then_branch = inner_then () => (float[n] a) { a = Identity(next) },
                     else_branch = inner_else () => (float[n] b) { b = Sub(next, x) }> }>
}
""")


def functions():
    return parser.parse_model("""
<ir_version: 10, opset_import: ["" : 21, "local" : 1]>
functions (float[n] x) => (float[n] y, float[n] z)
{
  y = local.Outer <alpha = 3.0> (x)
  z = local.Outer (x)
}
<domain: "local", opset_import: ["" : 21, "local" : 1]>
Outer <alpha: float = 0.25> (a) => (b)
{
  c = local.Inner (a)
  b = LeakyRelu <alpha: float = @alpha> (c)
}
<domain: "local", opset_import: ["" : 21]>
Inner (a) => (b) { b = Neg (a) }
""")


def unsorted():
    return simple([helper.make_node("Neg", ["b"], ["y"], "third"), helper.make_node("Exp", ["x"], ["a"], "first"),
                   helper.make_node("Abs", ["a"], ["b"], "second")])


def contrib():
    """Operators of com.microsoft, whose types ONNX cannot infer, and one that nobody knows."""
    ms = dict(domain="com.microsoft")
    nodes = [
        helper.make_node("SimplifiedLayerNormalization", ["x", "g"], ["n"], "norm", axis=-1, epsilon=1e-5),
        helper.make_node("MatMulNBits", ["n", "q", "s"], ["qkv"], "qkv", K=64, N=96, bits=4, block_size=32, **ms),
        helper.make_node("GroupQueryAttention", ["qkv", "", "", "pk", "pv", "len", "total"], ["a", "k", "v"], "gqa", num_heads=4,
                         kv_num_heads=1, **ms),
        helper.make_node("SkipSimplifiedLayerNormalization", ["x", "a", "g"], ["sn", "", "", "sum"], "skip", **ms),
        helper.make_node("Mystery", ["sum"], ["m"], "mystery", domain="somewhere"),
        helper.make_node("Relu", ["m"], ["y"], "after"),
    ]
    inputs = [value("x", ["b", "t", 64]), value("pk", ["b", 1, "past", 16]), value("pv", ["b", 1, "past", 16]),
              value("len", ["b"], TensorProto.INT32), value("total", [], TensorProto.INT32)]
    initializers = [numpy_helper.from_array(np.ones(64, np.float32), "g"), numpy_helper.from_array(np.ones((96, 2, 16), np.uint8), "q"),
                    numpy_helper.from_array(np.ones((96, 2), np.float32), "s")]
    outputs = [value("k", ["b", 1, "total", 16]), value("sn", None)]
    unknown = onnx.ValueInfoProto(name="y")
    return simple(nodes, initializers, inputs, [*outputs, unknown], opsets=[("", 21), ("com.microsoft", 1)])


def other_types():
    nodes = [helper.make_node("SequenceConstruct", ["x", "x"], ["s"], "seq"), helper.make_node("SequenceLength", ["s"], ["n"], "len"),
             helper.make_node("Optional", ["x"], ["o"], "opt")]
    outputs = [value("n", [], TensorProto.INT64),
               helper.make_value_info("o", helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None)))]
    return simple(nodes, outputs=outputs)


def bodies():
    return parser.parse_model("""
<ir_version: 10, opset_import: ["" : 21]>
bodies (float[n, 8] x, float[8] w) => (float[n, 8] y, float[n, 8] z)
{
  y = Softmax <axis = -1> (x)
  l, mean = LayerNormalization (x, w)
  z = Gelu <approximate = "tanh"> (l)
}
""")


def external_data(folder):
    """A large weight mapped where it lies, a small one and a misaligned one; the checksum key is not looked at."""
    large, large_bytes = external(weights(), "sub/weights.bin", 4096, 64 * 32 * 4, [("checksum", "0")])
    small, small_bytes = external(helper.make_tensor("shape", TensorProto.INT64, [2], np.array([-1, 8], np.int64).tobytes(), raw=True),
                                  "sub/weights.bin", 0, 16)
    odd, odd_bytes = external(weights(name="odd"), "sub/weights.bin", 4096 + 64 * 32 * 4 + 1)
    (folder / "sub").mkdir(exist_ok=True)
    (folder / "sub/weights.bin").write_bytes(small_bytes.ljust(4096, b"\0") + large_bytes + b"\0" + odd_bytes)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("MatMul", ["x", "odd"], ["b"]),
             helper.make_node("Add", ["a", "b"], ["h"]), helper.make_node("Reshape", ["h", "shape"], ["y"])]
    return simple(nodes, [large, small, odd], [value("x", ["batch", 64])])


GOOD = dict(basic=basic, bodies=bodies, constants=constants, contrib=contrib, control=control, dtypes=dtypes, functions=functions, old=old,
            other_types=other_types, unsorted=unsorted)

IDENTITY = [helper.make_node("MatMul", ["x", "w"], ["y"], "mm")]


def with_external(location, offset=None, length=None, extra=()):
    return simple(IDENTITY, [external(weights(), location, offset, length, extra)[0]], [value("x", ["batch", 64])])


def nested(depth):
    """An If in an If in an If, built from bytes: Python's protobuf refuses so many levels."""
    def field(number, data):
        size, head = len(data), [number << 3 | 2]
        while size > 127:
            head.append(size & 127 | 128)
            size >>= 7
        return bytes([*head, size]) + data

    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["t0"])], "leaf", [], [value("t0", None)]).SerializeToString()
    for i in range(1, depth):
        branch = onnx.AttributeProto(name="then_branch", type=onnx.AttributeProto.GRAPH).SerializeToString() + field(6, graph)
        node = helper.make_node("If", ["c"], [f"t{i}"], f"if{i}").SerializeToString() + field(5, branch)
        graph = helper.make_graph([], f"level{i}", [], [value(f"t{i}", None)]).SerializeToString() + field(1, node)
    inputs = b"".join(field(11, v.SerializeToString()) for v in (value("x", [1]), value("c", [], TensorProto.BOOL)))
    head = model(helper.make_graph([], "g", [], []))
    head.ClearField("graph")
    return head.SerializeToString() + field(7, graph + inputs)


def doubling(levels):
    """Functions that each call the next one twice: 2^levels nodes after inlining."""
    functions = []
    for i in range(levels):
        name = "local.f%d" % (i + 1) if i + 1 < levels else "Neg"
        call = lambda a, b: f"{b} = {name} ({a})"
        functions.append(f'<domain: "local", opset_import: ["" : 21, "local" : 1]>\nf{i} (a) => (c) {{ {call("a", "b")}\n {call("b", "c")} }}')
    return parser.parse_model('<ir_version: 10, opset_import: ["" : 21, "local" : 1]>\ng (float[n] x) => (float[n] y) { y = local.f0 (x) }\n' +
                              "\n".join(functions))


def recursive():
    return parser.parse_model("""
<ir_version: 10, opset_import: ["" : 21, "local" : 1]>
g (float[n] x) => (float[n] y) { y = local.f (x) }
<domain: "local", opset_import: ["" : 21, "local" : 1]>
f (a) => (b) { b = local.f (a) }
""")


def bad_tensor(dims, dtype=TensorProto.FLOAT, raw=b"\0" * 16):
    tensor = TensorProto(name="w", data_type=dtype, dims=dims, raw_data=raw)
    return simple(IDENTITY, [tensor])


def sparse_outside():
    result = simple([helper.make_node("Add", ["x", "s"], ["y"])])
    result.graph.sparse_initializer.append(helper.make_sparse_tensor(
        helper.make_tensor("s", TensorProto.FLOAT, [1], [5.0]), helper.make_tensor("", TensorProto.INT64, [1], [99]), [2, 4]))
    return result


def bad(folder):
    """Name -> model, bytes, or nothing where only files matter."""
    good = simple(IDENTITY, [weights(4, 8)]).SerializeToString()
    (folder / "short.bin").write_bytes(b"\0" * 100)
    secret = folder.parent / "secret.bin"
    secret.write_bytes(b"\0" * 64 * 32 * 4)
    for name in ("plain.bin", "other.bin"):
        (folder / name).write_bytes(b"\0" * 64 * 32 * 4)
    for name, make in (("link.bin", lambda p: os.symlink(secret, p)), ("hard.bin", lambda p: os.link(folder / "other.bin", p)),
                       ("linked", lambda p: os.symlink(folder.parent, p)), ("pipe", os.mkfifo)):
        if not os.path.lexists(folder / name):
            make(folder / name)
    cycle = [helper.make_node("Add", ["x", "c"], ["a"], "one"), helper.make_node("Neg", ["a"], ["b"], "two"),
             helper.make_node("Exp", ["b"], ["c"], "three"), helper.make_node("Identity", ["c"], ["y"])]
    return {
        "empty": b"",
        "text": b"this is no model at all, only some text",
        "truncated": good[:len(good) // 2],
        "no-graph": model(helper.make_graph([], "", [], [])).SerializeToString()[:4],
        "escape": with_external("../secret.bin"),
        "escape-inside": with_external("sub/../../secret.bin"),
        "absolute": with_external(str(secret)),
        "symlink": with_external("link.bin"),
        "symlink-folder": with_external("linked/secret.bin"),
        "hardlink": with_external("hard.bin"),
        "fifo": with_external("pipe"),
        "folder": with_external("sub"),
        "missing-data": with_external("nowhere.bin"),
        "short-data": with_external("short.bin"),
        "offset-beyond": with_external("plain.bin", 2**62),
        "offset-negative": with_external("plain.bin", -1),
        "offset-text": with_external("plain.bin", "0x10"),
        "length-wrong": with_external("plain.bin", 0, 4),
        "length-huge": with_external("plain.bin", 0, 2**70),
        "location-twice": with_external("plain.bin", extra=[("location", "short.bin")]),
        "no-location": simple(IDENTITY, [TensorProto(name="w", data_type=1, dims=[2000], data_location=TensorProto.EXTERNAL)]),
        "cycle": simple(cycle),
        "self-cycle": simple([helper.make_node("Add", ["x", "y"], ["y"], "loop")]),
        "undefined": simple([helper.make_node("Add", ["x", "ghost"], ["y"], "add")]),
        "twice": simple([helper.make_node("Neg", ["x"], ["y"], "one"), helper.make_node("Exp", ["x"], ["y"], "two")]),
        "no-output": simple([helper.make_node("Neg", ["x"], ["z"], "neg")]),
        "absurd-dims": bad_tensor([2**40, 2**40]),
        "absurd-input": simple([helper.make_node("Neg", ["x"], ["y"])], inputs=[value("x", [2**40, 2**40])]),
        "negative-dim": bad_tensor([-4]),
        "many-dims": bad_tensor([1] * 100),
        "wrong-size": bad_tensor([5]),
        "wrong-type": bad_tensor([4], 99),
        "sparse-outside": sparse_outside(),
        "deep": nested(25),
        "deeper": nested(60),
        "doubling": doubling(40),
        "recursive": recursive(),
        "new-opset": simple([helper.make_node("Neg", ["x"], ["y"])], opsets=[("", 99)]),
        "new-ir": simple([helper.make_node("Neg", ["x"], ["y"])], ir_version=99),
        "no-opset": simple([helper.make_node("Neg", ["x"], ["y"])], opsets=[("custom", 1)]),
        "arity": simple([helper.make_node("Add", ["x"], ["y"], "add")]),
        "attribute": simple([helper.make_node("Softmax", ["x"], ["y"], "soft", axis="last")]),
        "no-operator": simple([helper.make_node("", ["x"], ["y"], "nothing")]),
    }


def main(folder, seeds=False):
    """All models with their files; as seeds for the fuzzer only the models, for links and pipes are nothing to read from."""
    folder = Path(folder)
    with tempfile.TemporaryDirectory() as scratch:
        side = Path(scratch) / "m" if seeds else folder
        side.mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        models = {name: make() for name, make in GOOD.items()}
        models["external"] = external_data(side)
        models.update({f"bad-{name}": content for name, content in bad(side).items()})
        for name, content in models.items():
            (folder / f"{name}.onnx").write_bytes(content if isinstance(content, bytes) else content.SerializeToString())


if __name__ == "__main__":
    main(sys.argv[-1], seeds="--seeds" in sys.argv)
