// Lowers one host function: walks its ops in order and emits the body of a LeatFunction.
#pragma once

#include "dialects/Leat/Leat.h"
#include "passes/Host/FrameBuilder.h"
#include "passes/Host/SlotPlan.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace leat::host {

/// The order of things that generated code and manifest name by number.
struct ModuleIndex {
  llvm::StringMap<int64_t> kernels, params;
  llvm::StringMap<std::pair<int64_t, SlotOp>> states;
};

/// A tensor as the host program knows it: where its elements are and how long each dimension is.
struct HostTensor {
  mlir::Value data;
  llvm::SmallVector<mlir::Value, 4> dims; // i64; constants for static dimensions
  /// Where the host can read the elements if `data` is in a device's memory; null: nowhere.
  mlir::Value host;
};

/// A state handle: the slot, and the tensor that the host wants stored in it but has not stored yet.
struct HostState {
  int64_t index;
  SlotOp slot;
  mlir::Value pending; // the source program's value
};

class FunctionLowering {
public:
  /// `device`: tensors are in the memory of a device.
  FunctionLowering(mlir::func::FuncOp source, mlir::LLVM::LLVMFuncOp target, const ModuleIndex &index, Messages &messages, bool device);
  mlir::LogicalResult run();
  int64_t numSlots() const { return plan.numSlots() + extraSlots; }

private:
  mlir::LogicalResult lower(mlir::Block &block);
  mlir::LogicalResult lower(mlir::Operation &op);
  mlir::LogicalResult lowerScalar(mlir::Operation &op);
  mlir::LogicalResult lowerLaunch(LaunchOp op);
  mlir::LogicalResult lowerGroup(LaunchGroupOp op);
  mlir::LogicalResult lowerCounterCopy(LaunchOp op);
  mlir::LogicalResult lowerReturn(mlir::func::ReturnOp op);
  mlir::LogicalResult lowerIf(mlir::scf::IfOp op);
  mlir::LogicalResult lowerFor(mlir::scf::ForOp op);
  mlir::LogicalResult lowerWhile(mlir::scf::WhileOp op);
  mlir::LogicalResult lowerReshape(mlir::tensor::ReshapeOp op);
  mlir::LogicalResult lowerFromElements(mlir::tensor::FromElementsOp op);
  mlir::LogicalResult lowerExtract(mlir::tensor::ExtractOp op);
  mlir::LogicalResult lowerConstant(mlir::arith::ConstantOp op);
  mlir::LogicalResult lowerDivision(mlir::Operation &op);
  void lowerAssert(mlir::cf::AssertOp op);
  void lowerIndexCast(mlir::Operation &op);
  mlir::LogicalResult checkRoom(LaunchOp launch);
  bool readsCounter(LaunchOp launch);

  /// What a kernel is called with, as KernelABI.h orders it.
  struct LaunchArguments {
    llvm::SmallVector<mlir::Value> buffers, scalars;
  };
  /// Makes room for the launch's results, too.
  mlir::LogicalResult lowerArguments(LaunchOp op, LaunchArguments &to);
  /// array[first...] = values.
  void storeAll(llvm::ArrayRef<mlir::Value> values, mlir::Value array, int64_t first);

  /// The emitted value of a scalar.
  mlir::Value scalar(mlir::Value v);
  /// As `scalar`, but emits the pure computation of `v` here if the walk has not come to it yet. Null if it is not pure.
  mlir::Value scalarNow(mlir::Value v);
  mlir::Value asI64(mlir::Value v, mlir::Type type);
  HostTensor &tensor(mlir::Value v) { return tensors[v]; }
  mlir::Type convert(mlir::Type type);

  /// Block arguments that stand for a value, and back.
  void flatten(mlir::Value v, llvm::SmallVectorImpl<mlir::Value> &out);
  void flatTypes(mlir::Type type, llvm::SmallVectorImpl<mlir::Type> &out);
  void unflatten(mlir::Value v, mlir::ValueRange &from);

  HostTensor describe(mlir::RankedTensorType type, mlir::Value data, mlir::ValueRange dynamicDims);
  llvm::SmallVector<mlir::Value> dynamicDims(mlir::Value v);
  /// `v` as an element in memory (booleans and sub-byte integers as bytes), and back.
  mlir::Type storageType(mlir::Type element);
  mlir::Value toStorage(mlir::Value v);
  mlir::Value fromStorage(mlir::Value v, mlir::Type element);
  mlir::Value elementCount(const HostTensor &t);
  void copy(mlir::Value to, const HostTensor &from, mlir::Type element);
  /// An address where the host can read `bytes` at `address`, which lies in `from`; until the next call.
  mlir::Value readable(const HostTensor &from, mlir::Value address, int64_t bytes);
  /// Brings a tensor that the host holds at `host` to the device, if a kernel or a copy will read it there.
  HostTensor onDevice(mlir::Value v, mlir::Value host, bool constant);

  mlir::Value statePointer(int64_t index);
  void flush(HostState &state);
  /// What a loop hands to the next iteration: `yielded` values, carried tensors copied to their other slot.
  void flattenCarried(mlir::Operation *loop, mlir::ValueRange yielded, mlir::Value parity, llvm::SmallVectorImpl<mlir::Value> &out);

  mlir::func::FuncOp source;
  const ModuleIndex &index;
  SlotPlan plan;
  FrameBuilder f;
  mlir::ModuleOp module;
  llvm::DenseMap<mlir::Value, HostTensor> tensors;
  llvm::DenseMap<mlir::Value, HostState> states;
  llvm::DenseMap<mlir::Value, mlir::Value> scalars;
  bool roomChecked = false;
  const bool device;
  int64_t extraSlots = 0; // device memory of counters that kernels read as tensors
};

} // namespace leat::host
