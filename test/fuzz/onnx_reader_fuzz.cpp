// Any bytes as an ONNX model: the front end must answer with a module or a message, within its budget.
#include "lib/Frontend/Frontend.h"
#include "lib/Frontend/FunctionBodies.h"

#include "mlir/IR/MLIRContext.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  leat::FrontendOptions options;
  options.budget.nodes = 2000;
  options.budget.tensors = 2000;
  options.budget.convertedBytes = 64 << 20;
  std::string error;
  auto module = leat::importOnnxBytes(context, {reinterpret_cast<const char *>(data), size}, options, error);
  if (failed(module)) {
    if (error.empty() || error.find('\n') != std::string::npos)
      __builtin_trap();
    return 0;
  }
  llvm::SmallVector<leat::onnxir::NodeOp> nodes;
  (*module)->walk([&](leat::onnxir::NodeOp node) { nodes.push_back(node); });
  for (leat::onnxir::NodeOp node : llvm::ArrayRef(nodes).take_front(20)) {
    mlir::OpBuilder builder(node);
    (void)leat::expandFunctionBody(builder, node, error);
  }
  return 0;
}
