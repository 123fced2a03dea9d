// See KernelSignature.h.
#include "KernelSignature.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace leat::test {

std::map<std::string, Signature> Signature::ofModule(ModuleOp module) {
  std::map<std::string, Signature> signatures;
  for (auto kernel : module.getOps<leat::KernelFuncOp>()) {
    Signature s;
    unsigned inputs = kernel.getNumInputs();
    auto operand = [](Type type) {
      auto state = dyn_cast<StateType>(type);
      auto tensor = state ? state.getContent() : cast<RankedTensorType>(type);
      Operand o{static_cast<bool>(state), {}};
      for (int64_t d = 0; d < tensor.getRank(); ++d)
        o.dynamic.push_back(tensor.isDynamicDim(d));
      return o;
    };
    Block &block = kernel.getBody().front();
    for (BlockArgument arg : block.getArguments().take_front(inputs))
      s.in.push_back(operand(arg.getType()));
    for (Type type : block.getTerminator()->getOperandTypes())
      if (isa<RankedTensorType>(type))
        s.out.push_back(operand(type));
    s.scalars = block.getNumArguments() - inputs;
    signatures[kernel.getSymName().str()] = s;
  }
  return signatures;
}

std::vector<int64_t> Signature::launchScalars(const std::string &name, const std::vector<Array *> &inputs,
                                              const std::vector<Array *> &results, std::vector<int64_t> given) const {
  if (given.size() != scalars || inputs.size() != in.size() || results.size() != out.size()) {
    llvm::errs() << "wrong number of operands for @" << name << "\n";
    std::abort();
  }
  for (auto [array, operand] : llvm::zip_equal(inputs, in)) {
    if (operand.state) {
      // Any capacity axis will do: kernels take all dimensions. A pool of pages has, in 64 bytes, the distance of its pages.
      given.push_back(array->dims.empty() || !array->dims[0] ? 0 : array->size() / array->dims[0] * array->elementBytes() / 64);
      given.push_back(array->length);
    }
    for (auto [dim, dynamic] : llvm::zip_equal(array->dims, operand.dynamic))
      if (dynamic || operand.state)
        given.push_back(dim);
  }
  for (auto [array, operand] : llvm::zip_equal(results, out))
    for (auto [dim, dynamic] : llvm::zip_equal(array->dims, operand.dynamic))
      if (dynamic)
        given.push_back(dim);
  return given;
}

} // namespace leat::test
