"""Products, norms, activations, attention and quantised operators against ONNX Runtime and ONNX's reference implementation."""
import numpy as np
import pytest

from operator_case import Case, Const, check

MS = "com.microsoft"
rng = np.random.default_rng(7)


def f(*shape, scale=1.0, dtype=np.float32):
    return (rng.standard_normal(shape) * scale).astype(dtype)


def ints(low, high, *shape, dtype=np.int64):
    return rng.integers(low, high, shape).astype(dtype)


PRODUCTS = [
    Case("MatMul", [(f(2, 3, 4), ["b", "s", 4]), f(4, 5)], name="weights"),
    Case("MatMul", [f(4), f(4)], name="vectors"),
    Case("MatMul", [f(4), f(2, 4, 3)], name="vector-left"),
    Case("MatMul", [f(2, 3, 4), f(4)], name="vector-right"),
    Case("MatMul", [(f(2, 1, 3, 4), ["a", "b", 3, 4]), (f(1, 5, 4, 2), ["c", "d", 4, 2])], name="dynamic-broadcast"),
    Case("MatMul", [f(3, 0), f(0, 4)], name="empty-k"),
    Case("MatMul", [(f(1, 33), ["m", 33]), Const(f(33, 65))], name="ragged"),
    Case("MatMul", [ints(-5, 5, 3, 4, dtype=np.int32), ints(-5, 5, 4, 2, dtype=np.int32)], name="int32"),
    Case("Gemm", [f(3, 4), f(4, 5), f(5)], name="bias"),
    Case("Gemm", [f(4, 3), f(5, 4), f(3, 1)], {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}, name="transposed"),
    Case("Gemm", [(f(7, 4), ["n", 4]), Const(f(6, 4)), Const(f(6))], {"transB": 1}, name="linear"),
    Case("Gemm", [f(3, 4), f(4, 5)], name="no-bias"),
    Case("MatMulInteger", [ints(0, 255, 3, 4, dtype=np.uint8), ints(0, 255, 4, 5, dtype=np.uint8), np.array(7, np.uint8), np.array(9, np.uint8)]),
    Case("MatMulInteger", [ints(0, 255, 2, 3, 4, dtype=np.uint8), ints(-128, 127, 4, 5, dtype=np.int8)], name="mixed"),
    Case("MatMulInteger", [ints(0, 255, 3, 4, dtype=np.uint8), ints(-128, 127, 4, 5, dtype=np.int8), np.array(3, np.uint8), ints(-9, 9, 5, dtype=np.int8)], name="columns"),
    Case("QLinearMatMul", [ints(0, 255, 3, 4, dtype=np.uint8), np.float32(0.02), np.uint8(120), ints(0, 255, 4, 5, dtype=np.uint8), np.float32(0.03), np.uint8(110),
                           np.float32(0.05), np.uint8(128)]),
    Case("FusedMatMul", [f(2, 4, 3), f(2, 5, 4)], {"transA": 1, "transB": 1, "alpha": 0.25}, domain=MS),
    Case("MatMulIntegerToFloat", [ints(0, 255, 3, 4, dtype=np.uint8), ints(-128, 127, 4, 5, dtype=np.int8), np.float32(0.02), np.float32(0.03), np.uint8(120), np.int8(3), f(5)], domain=MS),
]


def nbits(k, n, bits, block, rows=3, zeros=None, bias=False, **attrs):
    blocks = -(-k // block)
    inputs = [(f(rows, k), ["m", k]), Const(ints(0, 256, n, blocks, block * bits // 8, dtype=np.uint8)), Const(f(n, blocks, scale=0.05))]
    if zeros == "float":
        inputs.append(Const((rng.random((n, blocks)) * (2**bits)).astype(np.float32)))
    elif zeros == "packed":
        inputs.append(Const(ints(0, 256, n, -(-blocks * bits // 8), dtype=np.uint8)))
    elif bias:
        inputs.append(None)
    if bias:
        inputs += [None, Const(f(n))]
    return Case("MatMulNBits", inputs, {"K": k, "N": n, "bits": bits, "block_size": block, **attrs}, domain=MS, tolerance=2e-4,
                name=f"{bits}bit-k{k}-n{n}-block{block}-{zeros}-m{rows}{'-bias' if bias else ''}")


PRODUCTS += [nbits(64, 5, 4, 32), nbits(64, 48, 4, 16, zeros="packed"), nbits(96, 33, 4, 32, zeros="float"), nbits(64, 17, 8, 32), nbits(64, 16, 8, 32, zeros="packed"),
             nbits(64, 5, 2, 32), nbits(80, 9, 4, 32, zeros="packed"), nbits(64, 70, 4, 32, rows=1), nbits(64, 8, 4, 64, bias=True)]

x, w, bias = f(2, 3, 16), f(16), f(16)
NORMS = [
    Case("LayerNormalization", [(x, ["b", "s", 16]), w, bias], {"epsilon": 1e-5}, opset=17),
    Case("LayerNormalization", [x, f(3, 16), f(3, 16)], {"axis": 1}, opset=17, name="two-axes"),
    Case("LayerNormalization", [x, w], {"axis": -1}, outputs=3, opset=17, name="statistics"),
    Case("LayerNormalization", [f(2, 3, 16, dtype=np.float16), f(16, dtype=np.float16), f(16, dtype=np.float16)], opset=17, tolerance=4e-3, name="f16"),
    Case("LayerNormalization", [f(4, 1), f(1), f(1)], opset=17, name="width-1"),
    Case("LayerNormalization", [f(0, 16), w, bias], opset=17, name="no-rows"),
    Case("RMSNormalization", [(x, ["b", "s", 16]), w], {"epsilon": 1e-6}),
    Case("RMSNormalization", [f(2, 3, 5, 7), f(5, 7)], {"axis": 2}, name="two-axes", reference="onnx"),
    Case("SimplifiedLayerNormalization", [x, w], {"epsilon": 1e-6, "axis": -1, "stash_type": 1}),
    Case("SkipLayerNormalization", [x, f(2, 3, 16), w, bias, f(16)], {"epsilon": 1e-5}, outputs=4, skip_outputs=(1, 2), domain=MS),
    Case("SkipLayerNormalization", [x, f(1, 3, 16), w, bias], {"epsilon": 1e-5}, domain=MS, name="broadcast"),
    Case("SkipLayerNormalization", [x, f(3, 16), w], {"epsilon": 1e-5}, domain=MS, name="no-beta"),
    Case("SkipSimplifiedLayerNormalization", [x, f(2, 3, 16), w], {"epsilon": 1e-5}, outputs=4, skip_outputs=(1, 2), domain=MS),
    Case("EmbedLayerNormalization", [ints(0, 9, 2, 5, dtype=np.int32), ints(0, 2, 2, 5, dtype=np.int32), f(9, 16), f(8, 16), f(2, 16), w, bias, ints(0, 2, 2, 5, dtype=np.int32)],
         outputs=2, domain=MS),
    Case("GroupNormalization", [f(2, 6, 4, 3), f(6), f(6)], {"num_groups": 3}, opset=21),
    Case("InstanceNormalization", [f(2, 4, 5), f(4), f(4)]),
    Case("InstanceNormalization", [(f(2, 4, 5, 3), ["n", 4, "h", "w"]), f(4), f(4)], name="2d"),
    Case("BatchNormalization", [(f(2, 4, 5, 3), ["n", 4, "h", "w"]), f(4), f(4), f(4), np.abs(f(4)) + 0.5], opset=15),
    Case("BatchNormalization", [f(6, 4), f(4), f(4), f(4), np.abs(f(4)) + 0.5], opset=15, name="2d"),
    Case("LpNormalization", [f(3, 5)], {"axis": -1, "p": 2}, opset=22),
    Case("LpNormalization", [f(3, 5)], {"axis": 0, "p": 1}, opset=22, name="l1"),
    Case("MeanVarianceNormalization", [f(2, 3, 4, 4)], {"axes": [0, 2, 3]}, opset=13),
]

ACTIVATIONS = [
    Case("Gelu", [f(2, 33, scale=3)], opset=20),
    Case("Gelu", [f(2, 33, scale=3)], {"approximate": "tanh"}, opset=20, name="tanh"),
    Case("Gelu", [f(2, 33, scale=3)], domain=MS),
    Case("BiasGelu", [f(2, 33), f(33)], domain=MS),
    Case("FastGelu", [f(2, 33), f(33)], domain=MS),
    Case("FastGelu", [f(2, 33)], domain=MS, name="no-bias"),
    Case("QuickGelu", [f(2, 33)], {"alpha": 1.702}, domain=MS),
    Case("Swish", [f(2, 33)], {"alpha": 1.5}, opset=24, reference="onnx"),
    Case("Mish", [f(2, 33)], opset=18),
    Case("HardSwish", [f(2, 33)], opset=14),
]

q4, k4, v4 = f(2, 4, 3, 8), f(2, 2, 5, 8), f(2, 2, 5, 8)
DQ, DK = ["b", 4, "s", 8], ["b", 2, "t", 8]


def attention(name, inputs, attrs=None, outputs=1, opset=24, **more):
    return Case("Attention", inputs, attrs or {}, outputs=outputs, opset=opset, reference="onnx", name=name, **more)


self4 = f(2, 4, 5, 8)
past = [f(2, 2, 6, 8), f(2, 2, 6, 8)]
DP = ["b", 2, "p", 8]
mask_bool = rng.random((3, 5)) > 0.3
ATTENTION = [
    attention("plain", [(q4, DQ), (k4, DK), (v4, DK)]),
    attention("static", [q4, k4, v4]),
    attention("scale", [(q4, DQ), (k4, DK), (v4, DK)], {"scale": 0.3}),
    attention("value-size", [q4, k4, f(2, 2, 5, 6)]),
    attention("3d", [(f(2, 3, 32), ["b", "s", 32]), (f(2, 5, 16), ["b", "t", 16]), (f(2, 5, 16), ["b", "t", 16])], {"q_num_heads": 4, "kv_num_heads": 2}),
    attention("causal", [(self4, ["b", 4, "s", 8])] * 3, {"is_causal": 1}),
    attention("causal-top-left", [(q4, DQ), (k4, DK), (v4, DK)], {"is_causal": 1}),
    attention("causal-long-query", [f(1, 2, 6, 8), f(1, 2, 3, 8), f(1, 2, 3, 8)], {"is_causal": 1}),
    attention("float-mask", [(q4, DQ), (k4, DK), (v4, DK), f(2, 1, 3, 5)]),
    attention("bool-mask", [(q4, DQ), (k4, DK), (v4, DK), (mask_bool, ["s", "t"])]),
    attention("bool-mask-dynamic", [(q4, DQ), (k4, DK), (v4, DK), (mask_bool, ["m", "n"])]),
    attention("mask-3d", [q4, k4, v4, f(4, 3, 5)]),
    attention("mask-padded", [q4, k4, v4, f(3, 4)]),
    attention("bool-mask-padded", [q4, k4, v4, mask_bool[:, :4]]),
    attention("fully-masked-row", [q4, k4, v4, np.array([[True] * 5, [False] * 5, [True] * 5])]),
    attention("causal-and-mask", [self4, self4, self4, rng.random((5, 5)) > 0.3], {"is_causal": 1}),
    attention("past", [(q4, DQ), (f(2, 2, 3, 8), ["b", 2, "s", 8]), (f(2, 2, 3, 8), ["b", 2, "s", 8]), None, (past[0], DP), (past[1], DP)], {"is_causal": 1}, outputs=3),
    attention("past-empty", [(q4, DQ), (f(2, 2, 3, 8), ["b", 2, "s", 8]), (f(2, 2, 3, 8), ["b", 2, "s", 8]), None, (np.zeros((2, 2, 0, 8), np.float32), DP),
                             (np.zeros((2, 2, 0, 8), np.float32), DP)], {"is_causal": 1}, outputs=3),
    attention("past-mask", [q4, f(2, 2, 3, 8), f(2, 2, 3, 8), f(3, 9), *past], outputs=3),
    attention("softcap", [q4, k4, v4], {"softcap": 2.0}),
    attention("softcap-mask", [q4, k4, v4, mask_bool], {"softcap": 2.0}),
    attention("nonpad", [(q4, DQ), (k4, DK), (v4, DK), None, None, None, (np.array([3, 5]), ["b"])]),
    attention("nonpad-causal", [(q4, DQ), (k4, DK), (v4, DK), None, None, None, (np.array([3, 5]), ["b"])], {"is_causal": 1}),
    attention("nonpad-short", [(q4, DQ), (k4, DK), (v4, DK), None, None, None, (np.array([0, 2]), ["b"])], {"is_causal": 1}),
    *[attention(f"qk-mode-{m}", [q4, k4, v4, mask_bool], {"qk_matmul_output_mode": m, **({"softcap": 2.0} if m else {})}, outputs=4, skip_outputs=(1, 2)) for m in range(4)],
    attention("qk-causal", [self4, self4, self4], {"qk_matmul_output_mode": 3, "is_causal": 1}, outputs=4, skip_outputs=(1, 2)),
    attention("window", [self4, self4, self4], {"left_window_size": 1, "right_window_size": 2}, opset=25),
    attention("window-past", [q4, f(2, 2, 3, 8), f(2, 2, 3, 8), None, *past], {"left_window_size": 4, "is_causal": 1}, opset=25, outputs=3),
    attention("f16", [q4.astype(np.float16), k4.astype(np.float16), v4.astype(np.float16)], tolerance=5e-3),
    attention("one", [f(1, 1, 1, 4), f(1, 1, 1, 4), f(1, 1, 1, 4)]),
    attention("long", [(f(1, 2, 70, 16), ["b", 2, "s", 16]), (f(1, 2, 133, 16), ["b", 2, "t", 16]), (f(1, 2, 133, 16), ["b", 2, "t", 16])]),
    attention("odd-head", [f(1, 3, 5, 7), f(1, 3, 9, 7), f(1, 3, 9, 5)]),
]

cos, sin = f(32, 4), f(32, 4)
ids = ints(0, 32, 2, 3)
ATTENTION += [
    Case("RotaryEmbedding", [(q4, DQ), cos, sin, (ids, ["b", "s"])], reference="onnx"),
    Case("RotaryEmbedding", [q4, cos, sin, ids], {"interleaved": 1}, reference="onnx", name="interleaved"),
    Case("RotaryEmbedding", [f(2, 3, 32), cos, sin, ids], {"num_heads": 4}, reference="onnx", name="3d"),
    Case("RotaryEmbedding", [q4, f(2, 3, 4), f(2, 3, 4)], reference="onnx", name="no-ids"),
    Case("RotaryEmbedding", [q4, f(32, 2), f(32, 2), ids], {"rotary_embedding_dim": 4}, reference="onnx", name="partial"),
    Case("RotaryEmbedding", [f(2, 3, 32), ids, cos, sin], {"num_heads": 4}, domain=MS),
    Case("RotaryEmbedding", [q4, np.array([5]), cos, sin], {"interleaved": 1}, domain=MS, name="offset"),
    Case("TensorScatter", [(f(2, 3, 9, 4), ["b", 3, "max", 4]), (f(2, 3, 2, 4), ["b", 3, "s", 4]), np.array([1, 7])], {"axis": 2}, opset=24, reference="onnx"),
    Case("TensorScatter", [f(2, 3, 9, 4), f(2, 3, 2, 4)], opset=24, reference="onnx", name="start"),
    Case("TensorScatter", [f(2, 3, 9, 4), f(2, 3, 4, 4), np.array([7, 2])], {"mode": "circular"}, opset=24, reference="onnx", name="circular"),
    Case("TensorScatter", [f(2, 9, 4), f(2, 2, 4), np.array([1, 7])], {"axis": 1}, opset=24, reference="onnx", name="rank3"),
]


def gqa(name, batch, length, past_length, buffer=None, heads=4, kv=2, size=16, packed=True, rotary=True, seqlens=None, extra=(), more=(), **attrs):
    """past_length entries, in a buffer of `buffer` (shared) or exactly as long (grown)."""
    total = past_length + length
    buffer = past_length if buffer is None else buffer
    hidden = (heads + 2 * kv) * size if packed else heads * size
    inputs = [(f(batch, length, hidden), ["b", "s", hidden])]
    inputs += [None, None] if packed else [(f(batch, length, kv * size), ["b", "s", kv * size]), (f(batch, length, kv * size), ["b", "s", kv * size])]
    inputs += [(f(batch, kv, buffer, size), ["b", kv, "p", size]), (f(batch, kv, buffer, size), ["b", kv, "p", size])]
    lens = np.full(batch, total - 1) if seqlens is None else np.array(seqlens)
    inputs += [(lens.astype(np.int32), ["b"]), np.array(total, np.int32)]
    if rotary:
        inputs += [Const(f(64, size // 2)), Const(f(64, size // 2))]
    inputs += [None] * (9 - len(inputs)) + list(extra)
    attrs = {"num_heads": heads, "kv_num_heads": kv, "do_rotary": int(rotary), **attrs}
    return Case("GroupQueryAttention", inputs, attrs, outputs=3, domain=MS, name=name, opset=21)


CONTRIB = [
    gqa("prompt", 2, 5, 0),
    gqa("token", 2, 1, 7),
    gqa("continued", 1, 3, 6),
    gqa("shared-prompt", 2, 5, 0, buffer=12),
    gqa("shared-token", 2, 1, 7, buffer=12),
    gqa("unpacked", 2, 1, 7, packed=False),
    gqa("no-rotary", 1, 3, 6, rotary=False),
    gqa("interleaved", 1, 3, 6, rotary_interleaved=1),
    gqa("window", 1, 4, 6, local_window_size=3),
    gqa("softcap", 1, 4, 6, softcap=2.0),
    gqa("smooth", 1, 4, 6, smooth_softmax=1),
    gqa("scale", 1, 4, 6, scale=0.2),
    gqa("ragged-token", 2, 1, 7, seqlens=[5, 7]),
    gqa("bias", 1, 4, 6, extra=[None, f(1, 1, 4, 10)]),
    gqa("sink", 1, 4, 6, extra=[None, None, f(4)]),
]


def mha(name, s, t, mask=None, bias=False, attention_bias=None, past=None, heads=2, size=8, batch=2, outputs=1, **attrs):
    hidden = heads * size
    inputs = [(f(batch, s, hidden), ["b", "s", hidden]), (f(batch, t, hidden), ["b", "t", hidden]), (f(batch, t, hidden), ["b", "t", hidden]),
              f(3 * hidden) if bias else None, mask, attention_bias]
    if past:
        inputs += [(f(batch, heads, past, size), ["b", heads, "p", size]), (f(batch, heads, past, size), ["b", heads, "p", size])]
    return Case("MultiHeadAttention", inputs, {"num_heads": heads, **attrs}, outputs=outputs, domain=MS, name=name)


padding = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)
CONTRIB += [
    mha("plain", 3, 5),
    mha("bias", 3, 5, bias=True),
    mha("mask-2d", 3, 5, mask=padding),
    mha("mask-lengths", 3, 5, mask=np.array([3, 5], np.int32)),
    mha("attention-bias", 3, 5, attention_bias=f(1, 2, 3, 5)),
    mha("causal", 4, 4, unidirectional=1),
    mha("past", 3, 3, past=4, outputs=3),
    Case("MultiHeadAttention", [f(2, 3, 16), f(2, 2, 5, 8), f(2, 2, 5, 8)], {"num_heads": 2}, domain=MS, name="cross"),
    Case("Attention", [f(2, 4, 12), f(12, 48), f(48)], {"num_heads": 2}, domain=MS, name="plain"),
    Case("Attention", [f(2, 4, 12), f(12, 48), f(48)], {"num_heads": 2, "unidirectional": 1}, domain=MS, name="causal"),
    Case("Attention", [f(2, 5, 12), f(12, 48), f(48), padding], {"num_heads": 2}, domain=MS, name="mask-2d"),
    Case("Attention", [f(2, 5, 12), f(12, 48), f(48), np.array([3, 5], np.int32)], {"num_heads": 2}, domain=MS, name="mask-lengths"),
    Case("Attention", [f(2, 4, 12), f(12, 48), f(48), ints(0, 2, 2, 4, 4, dtype=np.int32) | np.eye(4, dtype=np.int32)], {"num_heads": 2}, domain=MS, name="mask-3d"),
    Case("Attention", [f(2, 4, 12), f(12, 48), f(48), None, f(2, 2, 2, 3, 8)], {"num_heads": 2, "unidirectional": 1}, outputs=2, domain=MS, name="past"),
]

QUANTIZATION = [
    Case("DequantizeLinear", [ints(0, 255, 3, 4, dtype=np.uint8), np.float32(0.1), np.uint8(7)], opset=13),
    Case("DequantizeLinear", [ints(-128, 127, 3, 4, dtype=np.int8), np.abs(f(4)), ints(-5, 5, 4, dtype=np.int8)], {"axis": 1}, opset=13, name="axis"),
    Case("DequantizeLinear", [ints(-999, 999, 3, 4, dtype=np.int32), np.abs(f(3))], {"axis": 0}, opset=13, name="int32"),
    Case("DequantizeLinear", [ints(-128, 127, 6, 4, dtype=np.int8), np.abs(f(2, 4)), ints(-5, 5, 2, 4, dtype=np.int8)], {"axis": 0, "block_size": 3}, opset=21, name="blocks"),
    Case("QuantizeLinear", [f(3, 40, scale=20), np.float32(0.25), np.uint8(128)], opset=13),
    Case("QuantizeLinear", [f(3, 40, scale=20), np.float32(0.25), np.int8(-3)], opset=13, name="int8"),
    Case("QuantizeLinear", [f(3, 4, scale=20), np.abs(f(4)) + 0.1, ints(-5, 5, 4, dtype=np.int8)], {"axis": 1}, opset=13, name="axis"),
    Case("QuantizeLinear", [np.array([0.5, 1.5, 2.5, -0.5, -1.5, 300, -300], np.float32), np.float32(1), np.int8(0)], opset=13, name="ties"),
    Case("QuantizeLinear", [f(3, 40, scale=2000), np.float32(0.25), np.uint16(1000)], opset=21, name="uint16"),
    Case("DynamicQuantizeLinear", [f(3, 40)], outputs=3, opset=11),
    Case("GatherBlockQuantized", [Const(ints(0, 256, 10, 64, dtype=np.uint8)), ints(0, 10, 2, 3), Const(f(10, 2))],
         {"bits": 8, "block_size": 32, "gather_axis": 0, "quantize_axis": 1}, domain=MS, name="8bit"),
    Case("GatherBlockQuantized", [Const(ints(0, 256, 10, 32, dtype=np.uint8)), ints(0, 10, 4), Const(f(10, 4)), Const(ints(0, 256, 10, 2, dtype=np.uint8))],
         {"bits": 4, "block_size": 16, "gather_axis": 0, "quantize_axis": 1}, domain=MS, name="4bit"),
    Case("QLinearAdd", [ints(0, 255, 3, 4, dtype=np.uint8), np.float32(0.02), np.uint8(120), ints(0, 255, 4, dtype=np.uint8), np.float32(0.03), np.uint8(110),
                        np.float32(0.05), np.uint8(128)], domain=MS),
    Case("QLinearMul", [ints(0, 255, 3, 4, dtype=np.uint8), np.float32(0.02), np.uint8(120), ints(0, 255, 4, dtype=np.uint8), np.float32(0.03), np.uint8(110),
                        np.float32(0.05), np.uint8(128)], domain=MS),
]


def moe(name, activation, inner=12, **attrs):
    wide = inner * (2 if activation == "swiglu" else 1)
    inputs = [(f(2, 3, 16), ["b", "s", 16]), f(6, 4), f(4, wide, 16, scale=0.3), f(4, wide), f(4, 16, inner, scale=0.3), f(4, 16)]
    return Case("MoE", inputs, {"activation_type": activation, **attrs}, domain=MS, name=name)


EXPERTS = [
    moe("relu", "relu", k=1),
    moe("silu-two", "silu", k=2),
    moe("normalised", "silu", k=2, normalize_routing_weights=1),
    moe("swiglu", "swiglu", k=2, normalize_routing_weights=1, swiglu_fusion=1, activation_alpha=1.702, activation_beta=1.0, swiglu_limit=7.0),
]


@pytest.mark.parametrize("case", EXPERTS + PRODUCTS + NORMS + ACTIVATIONS + ATTENTION + CONTRIB + QUANTIZATION, ids=str)
def test_operator(leat, tmp_path, case):
    case.inputs = [np.asarray(i) if isinstance(i, np.generic) else i for i in case.inputs]
    check(leat, tmp_path, case)
