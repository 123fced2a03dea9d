// See Parts.h.
#include "lib/Target/Parts.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/SymbolTable.h"

using namespace mlir;

namespace leat::target {

PartBuilder::PartBuilder(ModuleOp module) : module(module) {
  for (Operation &op : *module.getBody())
    if (auto symbol = dyn_cast<SymbolOpInterface>(op))
      symbols[symbol.getName()] = &op;
}

void PartBuilder::collect(Operation *root, llvm::SetVector<Operation *> &into) {
  if (!into.insert(root))
    return;
  root->walk([&](Operation *op) {
    for (NamedAttribute attr : op->getAttrs())
      if (auto ref = dyn_cast<FlatSymbolRefAttr>(attr.getValue()))
        if (Operation *target = find(ref.getValue()))
          collect(target, into);
  });
}

ModuleOp PartBuilder::build(ArrayRef<Operation *> roots, ModuleOp into) {
  OpBuilder b = OpBuilder::atBlockEnd(into.getBody());
  auto part = ModuleOp::create(b, module.getLoc());
  llvm::SetVector<Operation *> needed;
  for (Operation *root : roots)
    collect(root, needed);
  b.setInsertionPointToEnd(part.getBody());
  auto local = LLVM::LinkageAttr::get(b.getContext(), LLVM::Linkage::Internal);
  llvm::SmallPtrSet<Operation *, 16> isRoot(roots.begin(), roots.end());
  for (Operation *op : needed) {
    Operation *copy = b.clone(*op);
    if (isRoot.contains(op))
      continue;
    if (auto function = dyn_cast<LLVM::LLVMFuncOp>(copy); function && !function.isExternal())
      function.setLinkageAttr(local);
    else if (auto function = dyn_cast<func::FuncOp>(copy); function && !function.isExternal())
      function->setAttr("llvm.linkage", local);
  }
  return part;
}

std::vector<SmallVector<unsigned>> balance(ArrayRef<size_t> sizes, unsigned count) {
  SmallVector<unsigned> order = llvm::to_vector(llvm::seq<unsigned>(0, sizes.size()));
  llvm::sort(order, [&](unsigned a, unsigned b) { return sizes[a] != sizes[b] ? sizes[a] > sizes[b] : a < b; });
  std::vector<SmallVector<unsigned>> groups(std::min<size_t>(count, sizes.size()));
  std::vector<size_t> totals(groups.size(), 0);
  for (unsigned i : order) {
    auto smallest = std::min_element(totals.begin(), totals.end()) - totals.begin();
    totals[smallest] += sizes[i];
    groups[smallest].push_back(i);
  }
  return groups;
}

LogicalResult checkLowered(ModuleOp parts, ArrayRef<StringRef> allowed) {
  auto result = parts.walk([&](Operation *op) -> WalkResult {
    if (isa<ModuleOp>(op) || isa<LLVM::LLVMDialect>(op->getDialect()) || llvm::is_contained(allowed, op->getDialect()->getNamespace()))
      return WalkResult::advance();
    auto error = op->emitError("no code can be generated for '") << op->getName() << "'";
    if (op->getNumOperands())
      error << " on " << op->getOperand(0).getType();
    if (op->getNumResults())
      error << " to " << op->getResult(0).getType();
    return error;
  });
  return failure(result.wasInterrupted());
}

} // namespace leat::target
