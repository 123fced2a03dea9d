// The leat dialect itself and the base classes of its ops. One file per family: Param, Kernel, Tensor, Norm, Attention, Cache, Decode.
#ifndef LEAT_DIALECTS_LEAT_DIALECT
#define LEAT_DIALECTS_LEAT_DIALECT

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/FunctionInterfaces.td"
include "mlir/Dialect/Linalg/IR/LinalgInterfaces.td"

def Leat_Dialect : Dialect {
  let name = "leat";
  let cppNamespace = "::leat";
  let summary = "streams: parameters, kernels, attention, caches, decoding";
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let extraClassDeclaration = [{
    /// Bytes of the parameters that leat.param ops name by key; filled by the front end, read by passes that pack or fold weights.
    ::leat::ParamStore &params() { return *store; }
    std::shared_ptr<::leat::ParamStore> store = std::make_shared<::leat::ParamStore>();
  }];
}

class Leat_Op<string mnemonic, list<Trait> traits = []> : Op<Leat_Dialect, mnemonic, traits>;
/// An op that computes tensors. It says what it means in linalg, tensor, arith and math by decomposing into them: correct on every target, slow,
/// obviously right. `leat-decompose` applies it; kernels and the oracles in test/oracles are tested against it.
class Leat_ComputeOp<string mnemonic, list<Trait> traits = []> : Leat_Op<mnemonic, !listconcat([Pure, AggregatedOpInterface], traits)> {
  let extraClassDeclaration = [{
    /// Values for the results, built at `b`; see mlir::linalg::AggregatedOpInterface.
    ::mlir::FailureOr<::llvm::SmallVector<::mlir::Value>> decomposeOperation(::mlir::OpBuilder &b);
  }];
}
class Leat_Type<string name, string mnem> : TypeDef<Leat_Dialect, name> { let mnemonic = mnem; }
class Leat_Attr<string name, string mnem, list<Trait> traits = []> : AttrDef<Leat_Dialect, name, traits> { let mnemonic = mnem; }

#endif
