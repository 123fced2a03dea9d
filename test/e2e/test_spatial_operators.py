"""Convolutions, pooling and resizing against ONNX Runtime."""
import numpy as np
import pytest

from operator_case import Case, Const, check

rng = np.random.default_rng(11)


def f(*shape, scale=1.0, dtype=np.float32):
    return (rng.standard_normal(shape) * scale).astype(dtype)


def u8(*shape):
    return rng.integers(0, 255, shape).astype(np.uint8)


image = f(2, 4, 9, 7)
DYNAMIC = ["n", 4, "h", "w"]
CONV = [
    Case("Conv", [f(1, 3, 20), f(5, 3, 3), f(5)], name="1d"),
    Case("Conv", [(f(2, 80, 30), ["n", 80, "t"]), Const(f(16, 80, 3)), Const(f(16))], {"strides": [2], "pads": [1, 1]}, name="whisper"),
    Case("Conv", [(f(1, 3, 32, 32), ["n", 3, 32, 32]), Const(f(24, 3, 8, 8)), Const(f(24))], {"strides": [8, 8]}, name="patches"),
    Case("Conv", [(image, DYNAMIC), f(6, 4, 3, 3)], {"pads": [1, 1, 1, 1]}, name="2d"),
    Case("Conv", [image, f(6, 4, 3, 2)], {"strides": [2, 1], "dilations": [1, 2], "pads": [0, 1, 2, 0]}, name="uneven"),
    Case("Conv", [image, f(8, 1, 3, 3), f(8)], {"group": 4, "pads": [1, 1, 1, 1]}, name="depthwise"),
    Case("Conv", [image, f(6, 2, 3, 3)], {"group": 2}, name="groups"),
    Case("Conv", [image, f(6, 4, 3, 3)], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, name="same-upper"),
    Case("Conv", [(image, DYNAMIC), f(6, 4, 4, 3)], {"auto_pad": "SAME_LOWER", "strides": [2, 2]}, name="same-lower-dynamic"),
    Case("Conv", [image, f(6, 4, 1, 1), f(6)], name="pointwise"),
    Case("Conv", [f(1, 2, 5, 4, 6), f(3, 2, 2, 3, 3)], {"pads": [1, 1, 1, 0, 0, 0]}, name="3d"),
    Case("ConvInteger", [u8(1, 3, 8, 8), u8(4, 3, 3, 3), np.array(7, np.uint8), np.array(9, np.uint8)], {"pads": [1, 1, 1, 1]}, opset=10),
    Case("QLinearConv", [u8(1, 3, 8, 8), np.float32(0.02), np.uint8(120), u8(4, 3, 3, 3), np.float32(0.03), np.uint8(110), np.float32(0.1), np.uint8(128),
                         rng.integers(-99, 99, 4).astype(np.int32)], {"pads": [1, 1, 1, 1]}, opset=10),
    Case("ConvTranspose", [f(1, 3, 10), f(3, 5, 4), f(5)], {"strides": [2], "pads": [1, 1]}, name="1d"),
    Case("ConvTranspose", [(f(1, 3, 10), ["n", 3, "t"]), f(3, 5, 4)], {"strides": [3]}, name="1d-dynamic"),
    Case("ConvTranspose", [f(1, 4, 5, 6), f(4, 3, 3, 3)], {"group": 2, "strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}, name="groups"),
    Case("ConvTranspose", [f(1, 4, 5, 6), f(4, 3, 2, 2)], {"strides": [2, 2]}, name="2x"),
    Case("ConvTranspose", [f(1, 4, 5), f(4, 3, 2)], {"pads": [2, 2], "strides": [2]}, name="cut"),
    Case("ConvTranspose", [f(1, 4, 5, 6), f(4, 3, 3, 3)], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, name="same"),
]

POOL = [
    Case("MaxPool", [(image, DYNAMIC)], {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}),
    Case("MaxPool", [image], {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, name="ceil"),
    Case("MaxPool", [image], {"kernel_shape": [2, 2], "dilations": [2, 3]}, name="dilated"),
    Case("MaxPool", [u8(1, 2, 6, 6)], {"kernel_shape": [2, 2]}, name="uint8"),
    Case("MaxPool", [f(2, 3, 11)], {"kernel_shape": [3], "auto_pad": "SAME_UPPER", "strides": [2]}, name="1d-same"),
    Case("AveragePool", [(image, DYNAMIC)], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    Case("AveragePool", [image], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}, name="with-padding"),
    Case("AveragePool", [image], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, name="ceil"),
    Case("GlobalAveragePool", [(image, DYNAMIC)]),
    Case("GlobalMaxPool", [image]),
]

x = f(1, 2, 4, 5)
sizes = np.array([1, 2, 7, 8])
none = Const(np.zeros(0, np.float32))
RESIZE = [
    *[Case("Resize", [x, none, Const(np.array([1, 1, 2, 1.5], np.float32))], {"mode": m, "coordinate_transformation_mode": t, **({"nearest_mode": "floor"} if m == "nearest" else {})},
           opset=19, name=f"{m}-{t}") for m in ("nearest", "linear", "cubic") for t in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")],
    *[Case("Resize", [x, none, Const(np.array([1, 1, 2, 1.5], np.float32))], {"nearest_mode": n}, opset=19, name=n) for n in ("round_prefer_ceil", "ceil")],
    Case("Resize", [(x, ["n", 2, "h", "w"]), None, None, Const(sizes)], {"mode": "linear"}, opset=19, name="sizes"),
    Case("Resize", [(x, ["n", 2, "h", "w"]), none, Const(np.array([1, 1, 2, 2], np.float32))], {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
         opset=13, name="double-dynamic"),
    Case("Resize", [x, None, None, Const(sizes)], {"mode": "cubic", "exclude_outside": 1, "cubic_coeff_a": -0.5}, opset=19, name="exclude-outside"),
    Case("Upsample", [x, Const(np.array([1, 1, 2, 3], np.float32))], opset=9),
]


grid = rng.uniform(-1.4, 1.4, (2, 5, 6, 2)).astype(np.float32)
volume, volume_grid = f(1, 2, 4, 5, 6), rng.uniform(-1.2, 1.2, (1, 3, 4, 2, 3)).astype(np.float32)
boxes = np.array([[0.5, 1, 6, 7.5], [2, 0, 3, 8], [-1, -1, 4, 4], [5, 5, 5.5, 5.2]], np.float32)
which = np.array([0, 1, 1, 0])
some = rng.uniform(0, 1, (2, 9, 4)).astype(np.float32)
scores = rng.uniform(0, 1, (2, 3, 9)).astype(np.float32)
SAMPLED = [
    Case("LRN", [(f(2, 7, 4, 5), ["n", 7, "h", "w"])], {"size": 3, "alpha": 0.1, "beta": 0.6, "bias": 1.5}),
    *[Case("GridSample", [image, grid], {"mode": m, "padding_mode": p, "align_corners": a}, opset=20, name=f"{m}-{p}-{a}")
      for m in ("linear", "nearest", "cubic") for p in ("zeros", "border", "reflection") for a in (0, 1)],
    Case("GridSample", [(image, DYNAMIC), (grid, ["n", "oh", "ow", 2])], {"mode": "bilinear"}, opset=16, name="dynamic"),
    Case("GridSample", [volume, volume_grid], {"mode": "linear"}, opset=20, name="3d"),
    Case("MaxPool", [image], {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}, outputs=2, name="indices"),
    Case("MaxPool", [(image, DYNAMIC)], {"kernel_shape": [2, 2], "storage_order": 1}, outputs=2, name="indices-by-column"),
    Case("MaxPool", [f(2, 3, 11)], {"kernel_shape": [3]}, outputs=2, name="indices-1d"),
    Case("Col2Im", [f(2, 3 * 4, 30), np.array([6, 7]), Const(np.array([2, 2]))], opset=18),
    Case("Col2Im", [f(1, 2 * 6, 20), np.array([7, 5]), Const(np.array([2, 3]))], {"strides": [2, 1], "pads": [0, 1, 1, 1], "dilations": [1, 1]}, opset=18, name="strides"),
    Case("RoiAlign", [f(2, 3, 8, 9), (boxes, ["r", 4]), (which, ["r"])], {"output_height": 3, "output_width": 2, "sampling_ratio": 2, "spatial_scale": 0.9}, opset=16),
    Case("RoiAlign", [f(2, 3, 8, 9), boxes, which], {"output_height": 2, "output_width": 2, "sampling_ratio": 3}, opset=10, name="output-half-pixel"),
    Case("NonMaxSuppression", [some, scores, np.array([4]), np.array([0.3], np.float32), np.array([0.2], np.float32)], opset=11),
    Case("NonMaxSuppression", [(some, ["n", "b", 4]), (scores, ["n", "c", "b"]), Const(np.array([20])), Const(np.array([0.5], np.float32))], {"center_point_box": 1}, opset=11,
         name="centres"),
]


@pytest.mark.parametrize("case", CONV + POOL + RESIZE + SAMPLED, ids=str)
def test_operator(leat, tmp_path, case):
    case.inputs = [np.asarray(i) if isinstance(i, np.generic) else i for i in case.inputs]
    check(leat, tmp_path, case)
