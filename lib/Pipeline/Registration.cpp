// Registers what the tools need and no more: registering everything upstream has costs start time.
#include "lib/Pipeline/Registration.h"

#include "dialects/Leat/Leat.h"
#include "dialects/ONNX/ONNX.h"
#include "dialects/Tile/Tile.h"
#include "lib/Pipeline/Compile.h"
#include "passes/CPU/Passes.h"
#include "passes/CPU/Pipeline.h"
#include "passes/CUDA/Passes.h"
#include "passes/CUDA/Pipeline.h"
#include "passes/Fuse/Passes.h"
#include "passes/Fuse/Pipeline.h"
#include "passes/Host/Passes.h"
#include "passes/Import/Passes.h"
#include "passes/Schedule/Passes.h"
#include "passes/Stream/Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"
#include "mlir/Transforms/Passes.h"

void leat::registerDialects(mlir::DialectRegistry &registry) {
  registry.insert<leat::LeatDialect, leat::onnxir::ONNXDialect, leat::tile::TileDialect>();
  registry.insert<mlir::affine::AffineDialect, mlir::arith::ArithDialect, mlir::cf::ControlFlowDialect, mlir::func::FuncDialect,
                  mlir::LLVM::LLVMDialect, mlir::NVVM::NVVMDialect, mlir::linalg::LinalgDialect, mlir::math::MathDialect,
                  mlir::memref::MemRefDialect, mlir::scf::SCFDialect, mlir::tensor::TensorDialect, mlir::ub::UBDialect,
                  mlir::vector::VectorDialect, mlir::x86vector::X86VectorDialect>();
}

void leat::registerPasses() {
  mlir::registerCanonicalizerPass();
  mlir::registerCSEPass();
  mlir::registerInlinerPass();
  leat::import::registerImportPasses();
  leat::stream::registerStreamPasses();
  leat::fuse::registerFusePasses();
  leat::fuse::registerPipelines();
  leat::schedule::registerSchedulePasses();
  leat::cpu::registerCPUPasses();
  leat::cpu::registerPipelines();
  leat::cuda::registerCUDAPasses();
  leat::cuda::registerPipelines();
  leat::host::registerHostPasses();
  leat::registerPipelines();
}
