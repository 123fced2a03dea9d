// The carrier of imported graphs: one generic op for every ONNX node, and the few things around it.
// Nothing here knows any operator; passes/Import does.
#ifndef LEAT_DIALECTS_ONNX_OPS
#define LEAT_DIALECTS_ONNX_OPS

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"

def ONNX_Dialect : Dialect {
  let name = "onnx";
  let cppNamespace = "::leat::onnxir";
  let summary = "ONNX graphs, imported faithfully";
  let description = [{
    Tensors of known rank are `tensor<?x?x576xf32>`, of unknown rank `tensor<*xf32>`; unsigned ONNX types are `ui8`...,
    strings are `!onnx.string` elements. Names of symbolic dimensions are on function arguments and results (`onnx.dims`).
    A graph is a `func.func` with `onnx.graph`; the opsets it was written for are on the module (`onnx.opsets`, where ONNX's own
    domain is `ai.onnx`). The domain of a node is "" for ONNX's own.
  }];
  let useDefaultTypePrinterParser = 1;
}

class ONNX_Type<string name, string mnem, list<Trait> traits = []> : TypeDef<ONNX_Dialect, name, traits> {
  let mnemonic = mnem;
}

def ONNX_StringType : ONNX_Type<"String", "string"> {
  let summary = "element type of a tensor of strings";
}
def ONNX_OpaqueType : ONNX_Type<"Opaque", "opaque"> {
  let summary = "a value that is no tensor: sequence, map, optional, sparse tensor; the text is ONNX's own spelling";
  let parameters = (ins StringRefParameter<"ONNX spelling of the type">:$spelling);
  let assemblyFormat = "`<` $spelling `>`";
}

class ONNX_Op<string mnemonic, list<Trait> traits = []> : Op<ONNX_Dialect, mnemonic, traits>;

def ONNX_NodeOp : ONNX_Op<"node"> {
  let summary = "one node of an ONNX graph";
  let description = [{
    Carries everything that has meaning in a NodeProto. `version` is the opset version of the node's domain. Attributes are
    in `attrs`: INT i64, FLOAT f32, STRING string, INTS `array<i64: ...>`, FLOATS `array<f32: ...>`, STRINGS array of strings, TENSOR a
    dense elements attribute or the symbol of a `leat.param`, TYPE a type attribute. GRAPH attributes are the regions, named in
    order by `graphs`. An absent optional operand is an `onnx.absent`; an absent optional result has type `none`.

    ```mlir
    %0 = onnx.node "Softmax"(%x) : (tensor<?x?xf32>) -> tensor<?x?xf32> attributes {version = 13 : i64, node_name = "/attn/Softmax", attrs = {axis = -1 : i64}}
    ```
  }];
  let arguments = (ins StrAttr:$op_type, Variadic<AnyType>:$inputs, DefaultValuedAttr<StrAttr, "\"\"">:$domain, I64Attr:$version,
                       DefaultValuedAttr<StrAttr, "\"\"">:$node_name, DefaultValuedAttr<DictionaryAttr, "{}">:$attrs,
                       OptionalAttr<StrArrayAttr>:$graphs, OptionalAttr<StrArrayAttr>:$output_names);
  let results = (outs Variadic<AnyType>:$outputs);
  let regions = (region VariadicRegion<AnyRegion>:$bodies);
  let assemblyFormat = [{
    $op_type `(` $inputs `)` `:` functional-type($inputs, $outputs) attr-dict-with-keyword ($bodies^)?
  }];
  let extraClassDeclaration = [{
    /// How a message names the node: `MatMul node "/layer.0/MatMul"`.
    std::string describe();
  }];
  let hasVerifier = 1;
}

def ONNX_AbsentOp : ONNX_Op<"absent", [Pure]> {
  let summary = "an optional operand that is not given";
  let results = (outs NoneType:$none);
  let assemblyFormat = "attr-dict";
}

def ONNX_ConstantOp : ONNX_Op<"constant", [Pure, ConstantLike, AllTypesMatch<["value", "output"]>]> {
  let summary = "a small initializer or Constant node kept in the IR; large ones are leat.param";
  let arguments = (ins ElementsAttr:$value);
  let results = (outs AnyTensor:$output);
  let assemblyFormat = "attr-dict $value";
  let hasFolder = 1;
}

def ONNX_YieldOp : ONNX_Op<"yield", [Pure, Terminator, ReturnLike]> {
  let summary = "outputs of a subgraph";
  let arguments = (ins Variadic<AnyType>:$results);
  let assemblyFormat = "attr-dict ($results^ `:` type($results))?";
}

#endif
