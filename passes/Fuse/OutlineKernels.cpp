// Outlines kernels by structure: one leat.kernel_func for all kernels with equal bodies.
#include "passes/Fuse/Passes.h"

#include "dialects/Leat/Leat.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/OperationSupport.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/Hashing.h"
#include "llvm/ADT/StringSet.h"
#include <unordered_map>

namespace leat::fuse {
#define GEN_PASS_DEF_OUTLINEKERNELS
#include "passes/Fuse/Passes.h.inc"
} // namespace leat::fuse

using namespace mlir;

namespace leat::fuse {

namespace {

/// Numbers values in order of definition, so that equal bodies hash alike.
class BodyHash {
public:
  llvm::hash_code of(Region &region) {
    llvm::hash_code hash = llvm::hash_value(region.getBlocks().size());
    for (Block &block : region) {
      for (BlockArgument arg : block.getArguments()) {
        number(arg);
        hash = llvm::hash_combine(hash, arg.getType().getAsOpaquePointer());
      }
      for (Operation &op : block) {
        hash = llvm::hash_combine(hash, OperationEquivalence::computeHash(
                                            &op, [&](Value v) { return llvm::hash_code(numbers.lookup(v)); },
                                            [&](Value v) { return number(v); }, OperationEquivalence::Flags::IgnoreLocations));
        for (Region &inner : op.getRegions())
          hash = llvm::hash_combine(hash, of(inner));
      }
    }
    return hash;
  }

private:
  llvm::hash_code number(Value v) {
    unsigned n = numbers.try_emplace(v, numbers.size() + 1).first->second;
    return llvm::hash_code(n);
  }
  llvm::DenseMap<Value, unsigned> numbers;
};

struct OutlineKernels : impl::OutlineKernelsBase<OutlineKernels> {
  using OutlineKernelsBase::OutlineKernelsBase;
  void runOnOperation() override;
};

} // namespace

void OutlineKernels::runOnOperation() {
  ModuleOp module = getOperation();
  SmallVector<KernelOp> kernels;
  module.walk([&](KernelOp kernel) { kernels.push_back(kernel); });

  llvm::StringSet<> taken;
  Operation *firstFunction = nullptr;
  unsigned count = 0;
  for (Operation &op : *module.getBody()) {
    if (auto name = op.getAttrOfType<StringAttr>(SymbolTable::getSymbolAttrName()))
      taken.insert(name.getValue());
    if (!firstFunction && isa<FunctionOpInterface>(op))
      firstFunction = &op;
  }

  std::unordered_map<size_t, SmallVector<KernelFuncOp, 1>> functions;
  OpBuilder builder(&getContext());
  for (KernelOp kernel : kernels) {
    auto &bucket = functions[BodyHash().of(kernel.getBody())];
    SmallVector<Attribute> resultTypes;
    for (Type type : kernel.getResultTypes())
      resultTypes.push_back(TypeAttr::get(type));
    auto results = builder.getArrayAttr(resultTypes);
    auto same = llvm::find_if(bucket, [&](KernelFuncOp function) {
      return function.getResultTypes() == results && function.getNumInputs() == kernel.getInputs().size() &&
             function.getScheduleAttr() == kernel.getScheduleAttr() &&
             OperationEquivalence::isRegionEquivalentTo(&function.getBody(), &kernel.getBody(),
                                                        OperationEquivalence::Flags::IgnoreLocations);
    });
    KernelFuncOp function = same == bucket.end() ? KernelFuncOp() : *same;
    if (!function) {
      std::string name;
      do
        name = (kernel.getHint().value_or("kernel") + "_" + Twine(count++)).str();
      while (!taken.insert(name).second);
      if (firstFunction)
        builder.setInsertionPoint(firstFunction);
      else
        builder.setInsertionPointToEnd(module.getBody());
      function = KernelFuncOp::create(builder, kernel.getLoc(), name, results, kernel.getInputs().size(), kernel.getScheduleAttr());
      function.getBody().takeBody(kernel.getBody());
      bucket.push_back(function);
      ++numFunctions;
    }
    builder.setInsertionPoint(kernel);
    auto launch = LaunchOp::create(builder, kernel.getLoc(), kernel.getResultTypes(), function.getSymName(), kernel.getInputs(),
                                   kernel.getScalars(), kernel.getSizes());
    kernel.replaceAllUsesWith(launch.getOutputs());
    kernel.erase();
    ++numLaunches;
  }
}

} // namespace leat::fuse
