// leat-lower-kernels-cuda: each kernel by its tuned generator or in the generic form, and what the artifact must know of it.
#include "dialects/Tile/Tile.h"
#include "passes/CUDA/Entry.h"
#include "passes/CUDA/Generator.h"
#include "passes/CUDA/Generic.h"
#include "passes/CUDA/Passes.h"
#include "passes/CUDA/PlainProduct.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace leat::cuda {
#define GEN_PASS_DEF_LOWERKERNELSTOCUDA
#include "passes/CUDA/Passes.h.inc"

namespace {
struct LowerKernelsToCUDA : impl::LowerKernelsToCUDABase<LowerKernelsToCUDA> {
  using impl::LowerKernelsToCUDABase<LowerKernelsToCUDA>::LowerKernelsToCUDABase;

  /// Returns the kernel's kind; nothing after an error.
  std::optional<StringRef> lower(KernelFuncOp kernel, const GpuTarget &target) {
    if (std::unique_ptr<Generator> tuned = createGenerator(kernel, target)) {
      if (failed(tuned->emit(kernel)))
        return std::nullopt;
      emitGemm(kernel);
      return "tuned";
    }
    bool onHost;
    if (failed(emitGeneric(kernel, onHost)))
      return std::nullopt;
    return onHost ? "host" : "generic";
  }

  void runOnOperation() override {
    GpuTarget target = GpuTarget::parse(gpu);
    ModuleOp module = getOperation();
    Builder b(&getContext());
    llvm::StringMap<SmallVector<NamedAttribute>> facts;
    for (KernelFuncOp kernel : llvm::make_early_inc_range(module.getOps<KernelFuncOp>())) {
      std::optional<StringRef> kind = lower(kernel, target);
      if (!kind)
        return signalPassFailure();
      auto &known = facts[kernel.getSymName()];
      known = {b.getNamedAttr("kind", b.getStringAttr(*kind)), b.getNamedAttr("buffers", b.getI64IntegerAttr(bufferCount(kernel))),
               b.getNamedAttr("scalars", b.getI64IntegerAttr(scalarCount(kernel)))};
      if (module.lookupSymbol((kernel.getSymName() + ".gemm").str())) {
        known.push_back(b.getNamedAttr("gemm", b.getStringAttr(PlainProduct::of(kernel)->describe())));
        known.push_back(b.getNamedAttr("cublaslt", b.getBoolAttr(cpu::scheduled(kernel, "cublaslt", 0) != 0)));
      }
      kernel.erase();
    }
    auto list = module->getAttrOfType<ArrayAttr>("leat.kernels");
    if (!list)
      return;
    llvm::StringMap<SmallVector<Attribute>> entries;
    for (auto function : module.getOps<LLVM::LLVMFuncOp>())
      if (auto entry = function->getAttrOfType<DictionaryAttr>(kEntryAttr))
        entries[entry.getAs<StringAttr>("kernel").getValue()].push_back(
            b.getDictionaryAttr({b.getNamedAttr("symbol", function.getSymNameAttr()), b.getNamedAttr("threads", entry.get("threads")),
                                 b.getNamedAttr("shared", entry.get("shared"))}));
    SmallVector<Attribute> all;
    for (auto info : list.getAsRange<DictionaryAttr>()) {
      StringRef name = info.getAs<StringAttr>("name").getValue();
      SmallVector<NamedAttribute> attrs(info.getValue());
      llvm::append_range(attrs, facts[name]);
      attrs.push_back(b.getNamedAttr("entries", b.getArrayAttr(entries[name])));
      all.push_back(b.getDictionaryAttr(attrs));
    }
    module->setAttr("leat.kernels", b.getArrayAttr(all));
  }
};
} // namespace
} // namespace leat::cuda
