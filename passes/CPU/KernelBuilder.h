// Emits one function of a kernel. Knows where the kernel's operands are in the ABI (include/leat/KernelABI.h): buffers, scalars, the
// dimensions of every tensor value. What depends on scalars only is emitted once, at the function's entry.
#pragma once

#include "dialects/Leat/Leat.h"
#include "passes/CPU/Target.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace leat::cpu {

/// Where a dimension comes from, so that equal dimensions can be recognised: a constant, dimension `index` of block argument `value`, or
/// the index value `value` itself (index -1). No value and no constant: a computed dimension, equal to nothing.
struct Dim {
  int64_t constant = mlir::ShapedType::kDynamic;
  mlir::Value value;
  int64_t index = -1;

  bool isStatic() const { return !mlir::ShapedType::isDynamic(constant); }
  bool operator==(const Dim &other) const {
    return isStatic() ? constant == other.constant : value && value == other.value && index == other.index && !other.isStatic();
  }
};

class KernelBuilder {
public:
  /// The functions of a kernel, in the order of LeatKernel; then that of LeatDeviceKernel for kernels that run on the host.
  enum class Part { Run, Tasks, Scratch, Cost, Finish, FinishTasks, Shared, Extents };

  /// Starts `part` of the kernel as a function with an open body; finish() closes it.
  KernelBuilder(KernelFuncOp kernel, const Target &target, Part part);
  /// True for the parts that run tasks: those see buffers.
  bool runsTasks() const { return part == Part::Run || part == Part::Finish; }
  /// Ends the function. `results`: what the parts that count tasks or bytes return (one index value).
  void finish(mlir::ValueRange results = {});

  KernelFuncOp kernel;
  const Target &target;
  const Part part;
  mlir::func::FuncOp func;
  mlir::ImplicitLocOpBuilder b;

  /// The kernel could not be generated: reports `why` at the kernel's op. The function is still closed properly.
  void fail(const llvm::Twine &why, mlir::Operation *at = nullptr);
  bool failed() const { return hasFailed; }

  // --- the kernel's signature -------------------------------------------------------------------------------------------------
  mlir::Block &body() { return kernel.getBody().front(); }
  YieldOp yield() { return mlir::cast<YieldOp>(body().getTerminator()); }
  /// Results that are tensors: those have buffers. States are updated in place.
  unsigned numResults() { return tensorResults.size(); }
  mlir::Value result(unsigned result) { return tensorResults[result]; }
  mlir::RankedTensorType resultType(unsigned result);

  // --- values of the ABI ------------------------------------------------------------------------------------------------------
  /// First byte of a tensor or state argument of the kernel (!llvm.ptr). Only in parts that run tasks, as the three below.
  mlir::Value buffer(mlir::BlockArgument arg);
  /// First byte of a result (!llvm.ptr).
  mlir::Value resultBuffer(unsigned result);
  /// The worker's scratch memory, 64-byte aligned (!llvm.ptr).
  mlir::Value scratch() { return func.getArgument(4); }
  /// The memory that all tasks of both phases see, 64-byte aligned (!llvm.ptr).
  mlir::Value shared() { return func.getArgument(5); }
  /// An index, integer or float value of the kernel's region, emitted at the function's entry.
  mlir::Value scalar(mlir::Value value);
  /// Dimension `d` of any tensor (or state argument) of the kernel's region (index), emitted at the function's entry.
  mlir::Value dim(mlir::Value tensor, unsigned d);
  llvm::SmallVector<mlir::Value> dims(mlir::Value tensor);
  mlir::Value resultDim(unsigned result, unsigned d);
  llvm::SmallVector<mlir::Value> resultDims(unsigned result);
  /// Of a state argument: capacity and length (index).
  mlir::Value stateCapacity(mlir::BlockArgument state);
  mlir::Value stateLength(mlir::BlockArgument state);
  /// Where a dimension comes from.
  Dim traceDim(mlir::Value tensor, unsigned d);
  /// True if both dimensions are known to be equal.
  bool sameDim(mlir::Value a, unsigned da, mlir::Value b, unsigned db) { return traceDim(a, da) == traceDim(b, db); }
  bool sameShape(mlir::Value a, mlir::Value b);

  // --- arithmetic on index values, folded where it can be; constants are shared --------------------------------------------------
  mlir::Value idx(int64_t value);
  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value sub(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, mlir::Value y);
  mlir::Value div(mlir::Value x, mlir::Value y);     ///< both non-negative
  mlir::Value rem(mlir::Value x, mlir::Value y);     ///< both non-negative
  mlir::Value ceilDiv(mlir::Value x, mlir::Value y); ///< both non-negative
  mlir::Value min(mlir::Value x, mlir::Value y);
  mlir::Value max(mlir::Value x, mlir::Value y);
  mlir::Value product(mlir::ValueRange values);
  mlir::Value i64(mlir::Value index); ///< the same number as i64
  mlir::Value compare(mlir::arith::CmpIPredicate predicate, mlir::Value x, mlir::Value y);
  /// A constant of any scalar or vector type (splat).
  mlir::Value constant(mlir::Type type, double value);
  mlir::Value constantInt(mlir::Type type, int64_t value);
  /// x*y+z: one math.fma where the target has it.
  mlir::Value fma(mlir::Value x, mlir::Value y, mlir::Value z);

  // --- control flow ---------------------------------------------------------------------------------------------------------------
  using LoopBody = llvm::function_ref<void(mlir::Value iv)>;
  using CarryBody = llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value iv, mlir::ValueRange carried)>;
  void forLoop(mlir::Value lo, mlir::Value hi, mlir::Value step, LoopBody body);
  llvm::SmallVector<mlir::Value> forLoop(mlir::Value lo, mlir::Value hi, mlir::Value step, mlir::ValueRange init, CarryBody body);
  /// if (cond) {...} else {...}; the branches return values of `types`.
  llvm::SmallVector<mlir::Value> ifElse(mlir::Value cond, llvm::function_ref<llvm::SmallVector<mlir::Value>()> thenBody,
                                        llvm::function_ref<llvm::SmallVector<mlir::Value>()> elseBody);
  /// while (cond(values)) values = body(values); returns the last values.
  llvm::SmallVector<mlir::Value> whileLoop(mlir::ValueRange init, llvm::function_ref<mlir::Value(mlir::ValueRange)> cond,
                                           llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::ValueRange)> body);
  void ifThen(mlir::Value cond, llvm::function_ref<void()> thenBody);
  /// Runs over [lo, hi): `body(i, lanes)` is emitted twice, for full vectors of `width` lanes and for single elements of the tail.
  void forLanes(mlir::Value lo, mlir::Value hi, int64_t width, llvm::function_ref<void(mlir::Value i, int64_t lanes)> body);

  // --- memory -----------------------------------------------------------------------------------------------------------------------
  /// In kernels an element has its carried type: f32 for f16, bf16 and smaller floats, else its own. In memory its storage type: i8 for i1
  /// and sub-byte integers, i64 for index.
  static mlir::Type carriedType(mlir::Type element);
  mlir::Type storageType(mlir::Type element);
  static int64_t byteWidth(mlir::Type element);
  /// Bytes of all elements of a tensor of the kernel's region (index).
  mlir::Value bytes(mlir::Value tensor);
  static mlir::Type vectorOf(mlir::Type element, int64_t lanes);
  /// Loads `lanes` consecutive elements (a scalar if lanes is 1) of type `element` from element `offset` (index) on; returns carried
  /// values.
  mlir::Value load(mlir::Value base, mlir::Type element, mlir::Value offset, int64_t lanes);
  /// Loads the elements at `offsets` (vector of index).
  mlir::Value gather(mlir::Value base, mlir::Type element, mlir::Value offsets);
  /// Stores a carried value (scalar or vector) at consecutive elements from `offset` on.
  void store(mlir::Value value, mlir::Value base, mlir::Type element, mlir::Value offset);
  void scatter(mlir::Value value, mlir::Value base, mlir::Type element, mlir::Value offsets);
  /// base + offset elements.
  mlir::Value elementPtr(mlir::Value base, mlir::Type element, mlir::Value offset);
  /// base + bytes (index).
  mlir::Value bytePtr(mlir::Value base, mlir::Value bytes);
  /// Address of a constant in memory.
  mlir::Value globalConstant(mlir::DenseElementsAttr value);
  /// Carried <-> storage.
  mlir::Value fromStorage(mlir::Value stored, mlir::Type element);
  mlir::Value toStorage(mlir::Value carried, mlir::Type element);
  /// Rounds a carried f32 (or f64) to the precision of f16 or bf16, still carried.
  mlir::Value roundTo(mlir::Value carried, mlir::Type element);

  // --- vectors ------------------------------------------------------------------------------------------------------------------------
  mlir::Value splat(mlir::Value scalar, int64_t lanes); ///< a vector stays as it is; lanes 1 stays scalar
  mlir::Value iota(int64_t lanes);                      ///< vector<lanes x index> 0, 1, 2, ...
  mlir::Value lane(mlir::Value vector, int64_t lane);

private:
  friend class Puller;
  mlir::Value scalarSlot(int64_t slot, mlir::Type type);
  int64_t dimSlot(unsigned operand, unsigned d);
  mlir::Value materialize(const Dim &dim, mlir::Value tensor, unsigned d);
  mlir::Value loadBufferPointer(unsigned index);
  template <typename Op> mlir::Value fold(mlir::Value x, mlir::Value y);

  mlir::Operation *marker; ///< entry code goes before it
  bool hasFailed = false;
  llvm::SmallVector<mlir::Value> tensorResults;
  llvm::DenseMap<mlir::Value, mlir::Value> scalars;
  llvm::DenseMap<std::pair<mlir::Value, unsigned>, mlir::Value> knownDims;
  llvm::DenseMap<std::pair<int64_t, mlir::Type>, mlir::Value> slots;
  llvm::DenseMap<int64_t, mlir::Value> constants;
  llvm::DenseMap<unsigned, mlir::Value> pointers;
};

} // namespace leat::cpu
