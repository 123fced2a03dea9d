// leat-opt: runs passes on textual IR; the tool of anyone who works on a pass.
#include "lib/Pipeline/Registration.h"

#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  leat::registerDialects(registry);
  leat::registerPasses();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "Leat optimizer driver\n", registry));
}
