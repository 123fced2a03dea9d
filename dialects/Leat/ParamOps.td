// Parameters (weights): named, typed, outside the IR.
include "dialects/Leat/LeatDialect.td"

def Leat_ParamOp : Leat_Op<"param", [Symbol]> {
  let summary = "a weight, by name";
  let description = [{
    Declares a parameter of the model. Its bytes are outside the IR: under `key` in the dialect's parameter store (filled by the
    front end from external or raw data; little endian, row major; sub-byte types packed, low nibble first), or in `value` for small
    hand-written IR. `layout` says how the compiler packs it in the artifact; absent means row major.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttr:$type, OptionalAttr<StrAttr>:$key, OptionalAttr<ElementsAttr>:$value,
                       OptionalAttr<StrAttr>:$layout);
  let assemblyFormat = "$sym_name `:` $type attr-dict";
  let hasVerifier = 1;
}

def Leat_ParamRefOp : Leat_Op<"param_ref", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the value of a parameter";
  let arguments = (ins FlatSymbolRefAttr:$param);
  let results = (outs AnyRankedTensor:$output);
  let assemblyFormat = "$param attr-dict `:` type($output)";
}
