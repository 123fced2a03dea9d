// leat-import: prints an ONNX model as IR, weights left outside. The tests' window on the front end.
#include "lib/Frontend/Frontend.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/CommandLine.h"

static llvm::cl::opt<std::string> path(llvm::cl::Positional, llvm::cl::desc("<model.onnx>"), llvm::cl::Required);
static llvm::cl::list<std::string> shapes("shape", llvm::cl::desc("input=2x128 or symbol=4"));
static llvm::cl::opt<bool> locations("locations", llvm::cl::desc("print the node that each op comes from"));

int main(int argc, char **argv) {
  llvm::cl::ParseCommandLineOptions(argc, argv, "prints an ONNX model as IR\n");
  mlir::MLIRContext context;
  leat::FrontendOptions options;
  options.shapes = shapes;
  std::string error;
  auto module = leat::importOnnx(context, path, options, error);
  if (failed(module)) {
    llvm::errs() << "error: " << error << "\n";
    return 4;
  }
  mlir::OpPrintingFlags flags;
  (*module)->print(llvm::outs(), locations ? flags.enableDebugInfo() : flags);
  llvm::outs() << "\n";
}
