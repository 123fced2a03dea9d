"""Writes ONNX graphs node by node. Values are strings; large weights go to an external file as they come, so memory stays small."""
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PAGE = 4096  # external tensors start on a page, so that they can be mapped
INLINE = 1024  # bytes up to which an initializer stays in the model file
FLOAT, INT64, INT32, BOOL, FLOAT16 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL, TensorProto.FLOAT16


class Graph:
    """`g("Add", a, b)` appends a node and returns its output's name; `None` stands for an absent input."""

    def __init__(self, path, external=True):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.nodes, self.initializers, self.inputs, self.outputs = [], [], [], []
        self.constants, self.counts, self.scope = {}, {}, ""
        self.data = open(f"{self.path}.data", "wb") if external else None

    def __call__(self, op, *inputs, out=None, outputs=1, domain="", **attributes):
        base = f"{self.scope}/{op}"
        count = self.counts[base] = self.counts.get(base, -1) + 1
        name = f"{base}_{count}" if count else base
        names = [out] if isinstance(out, str) else out or [f"{name}_output_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, [i or "" for i in inputs], names, name=name, domain=domain, **attributes))
        return names[0] if len(names) == 1 else names

    def const(self, value, dtype=np.int64):
        """A small constant; equal ones are one initializer."""
        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.constants:
            self.constants[key] = self.weight(f"constant_{len(self.constants)}", array)
        return self.constants[key]

    def weight(self, name, array, view_of=None):
        """An initializer; `view_of` names another one whose bytes it shares in another shape."""
        array = np.asarray(array, order="C")
        if not self.data or array.nbytes <= INLINE:
            self.initializers.append(numpy_helper.from_array(array, name))
            return name
        tensor = TensorProto(name=name, data_location=TensorProto.EXTERNAL, dims=array.shape,
                             data_type=helper.np_dtype_to_tensor_dtype(array.dtype))
        if view_of:
            tensor.external_data.extend(next(t for t in self.initializers if t.name == view_of).external_data)
        else:
            self.data.seek(-(-self.data.tell() // PAGE) * PAGE)
            for key, value in (("location", f"{self.path.name}.data"), ("offset", self.data.tell()), ("length", array.nbytes)):
                tensor.external_data.add(key=key, value=str(value))
            self.data.write(array.data)
        self.initializers.append(tensor)
        return name

    def input(self, name, dtype, shape):
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, name, dtype, shape):
        self.outputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def save(self, opset, producer="leat test models"):
        """Writes the model and returns its path."""
        if self.data:
            self.data.close()
        opsets = [helper.make_opsetid("", opset)]
        domains = sorted({n.domain for n in self.nodes} - {""})
        opsets += [helper.make_opsetid(d, 1) for d in domains]
        graph = helper.make_graph(self.nodes, self.path.stem, self.inputs, self.outputs, self.initializers)
        model = helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets[:1]), producer_name=producer)
        onnx.save(model, self.path)
        return self.path
