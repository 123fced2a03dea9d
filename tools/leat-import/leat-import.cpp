// leat-import: prints an ONNX model as IR, weights left outside. The tests' window on the front end.
#include "lib/Frontend/Frontend.h"
#include "lib/Frontend/FunctionBodies.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/CommandLine.h"

namespace cl = llvm::cl;
static cl::opt<std::string> path(cl::Positional, cl::desc("<model.onnx>"), cl::Required);
static cl::list<std::string> shapes("shape", cl::desc("input=2x128 or symbol=4"));
static cl::list<std::string> expand("expand", cl::desc("operators to replace by their ONNX function bodies"), cl::CommaSeparated);
static cl::opt<bool> locations("locations", cl::desc("print the node that each op comes from"));

int main(int argc, char **argv) {
  cl::ParseCommandLineOptions(argc, argv, "prints an ONNX model as IR\n");
  mlir::MLIRContext context;
  leat::FrontendOptions options;
  options.shapes = shapes;
  std::string error;
  auto module = leat::importOnnx(context, path, options, error);
  if (failed(module) || failed(leat::expandFunctionBodies(**module, expand, error))) {
    llvm::errs() << "error: " << error << "\n";
    return 4;
  }
  mlir::OpPrintingFlags flags;
  (*module)->print(llvm::outs(), locations ? flags.enableDebugInfo() : flags);
  llvm::outs() << "\n";
}
