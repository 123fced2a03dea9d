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
class Leat_Type<string name, string mnem> : TypeDef<Leat_Dialect, name> { let mnemonic = mnem; }
class Leat_Attr<string name, string mnem, list<Trait> traits = []> : AttrDef<Leat_Dialect, name, traits> { let mnemonic = mnem; }

#endif
