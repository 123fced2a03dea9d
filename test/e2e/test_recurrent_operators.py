"""RNN, GRU and LSTM against ONNX Runtime."""
import numpy as np
import pytest

from operator_case import Case, check

rng = np.random.default_rng(3)
T, B, I, H = 6, 2, 5, 4


def f(*shape):
    return (rng.standard_normal(shape) * 0.5).astype(np.float32)


def case(op, name="", directions=1, bias=True, lengths=None, initial=False, peepholes=False, steps=T, dynamic=False, outputs=None, **attrs):
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[op]
    x = f(steps, B, I)
    inputs = [(x, ["t", "b", I]) if dynamic else x, f(directions, gates * H, I), f(directions, gates * H, H), f(directions, 2 * gates * H) if bias else None,
              np.array(lengths, np.int32) if lengths else None, f(directions, B, H) if initial else None]
    if op == "LSTM":
        inputs += [f(directions, B, H) if initial else None, f(directions, 3 * H) if peepholes else None]
    direction = {2: "bidirectional"}.get(directions, attrs.pop("direction", "forward"))
    return Case(op, inputs, {"hidden_size": H, "direction": direction, **attrs}, outputs=3 if op == "LSTM" else 2, opset=14, name=name)


CASES = [c for op in ("RNN", "GRU", "LSTM") for c in (
    case(op), case(op, "no-bias", bias=False), case(op, "initial", initial=True), case(op, "reverse", direction="reverse"), case(op, "both", directions=2, initial=True),
    case(op, "lengths", lengths=[6, 3]), case(op, "lengths-both", lengths=[4, 6], directions=2), case(op, "dynamic", dynamic=True), case(op, "one-step", steps=1))]
CASES += [case("GRU", "linear-before-reset", linear_before_reset=1, initial=True), case("LSTM", "peepholes", peepholes=True, initial=True),
          case("LSTM", "clip", clip=0.3), case("RNN", "relu", activations=["Relu"])]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operator(leat, tmp_path, case):
    check(leat, tmp_path, case)
