// Pulling: computes an element, or a vector of elements along the innermost loop, of any value of a kernel's region at the place where it
// is needed. So nothing between a kernel's inputs and its results is ever stored, whatever chain of elementwise, indexing and movement ops
// lies between.
#pragma once

#include "passes/CPU/KernelBuilder.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

#include <functional>
#include <map>

namespace leat::cpu {

/// A scalar value or one value per lane. Lane l holds base + l*stride, or element l of `lanes` if that is set.
/// Coordinates have type index; values inside bodies may have any type (then stride is 0 unless they are i64).
struct Idx {
  mlir::Value base;
  int64_t stride = 0;
  mlir::Value lanes;
  int64_t multiple = 1; ///< base is known to be a multiple of this
  bool data = false;    ///< comes from tensor contents: must be clamped before it addresses memory

  bool uniform() const { return !lanes && stride == 0; }
  bool contiguous() const { return !lanes && stride == 1; }
};

/// Emits at the insertion point of the builder. Values are remembered as long as the Puller lives: make one for each loop body and do not
/// use it after the insertion point has left that body.
class Puller {
public:
  /// `lanes` 1 gives scalars.
  Puller(KernelBuilder &k, int64_t lanes) : k(k), b(k.b), width(lanes) {}

  /// The element of `tensor` at `at` (one coordinate per dimension): a scalar if no coordinate varies over the lanes, else a vector of
  /// `lanes`.
  mlir::Value pull(mlir::Value tensor, llvm::ArrayRef<Idx> at);
  /// The same, broadcast to a vector if lanes > 1.
  mlir::Value pullVector(mlir::Value tensor, llvm::ArrayRef<Idx> at);
  /// The element at a row-major position of a tensor.
  mlir::Value pullLinear(mlir::Value tensor, Idx at);
  /// True if pullLinear needs no division: the value is elementwise over buffers of its own shape.
  bool isLinear(mlir::Value tensor);

  /// From now on elements of `tensor` come from `element` (the root of a kernel, in its epilogue).
  using Element = std::function<mlir::Value(Puller &, llvm::ArrayRef<Idx>)>;
  void bind(mlir::Value tensor, Element element) {
    bound[tensor] = std::move(element);
    linearKnown.clear();
  }

  /// Pulls what the kernel yields as `result` at `at` and stores it there.
  void emitResult(unsigned result, llvm::ArrayRef<Idx> at);
  void emitResultLinear(unsigned result, Idx at);
  /// Stores a carried value in a result.
  void storeResult(unsigned result, llvm::ArrayRef<Idx> at, mlir::Value value);

  // --- coordinates ----------------------------------------------------------------------------------------------------------
  Idx at(mlir::Value index, int64_t stride = 0, int64_t multiple = 1) const { return Idx{index, stride, {}, multiple, false}; }
  Idx at(int64_t index) { return Idx{k.idx(index), 0, {}, index ? index : 1, false}; }
  llvm::SmallVector<Idx> at(mlir::ValueRange indices) const;
  Idx add(Idx x, Idx y);
  Idx mul(Idx x, Idx y);
  /// x / y, or x % y, of what is not negative. A vector of adjacent positions that lies within one multiple of y has one quotient, and
  /// adjacent remainders.
  Idx divide(Idx x, Idx y, bool remainder);
  Idx linearize(llvm::ArrayRef<Idx> at, mlir::ValueRange dims);
  /// The value as a vector (or a scalar if lanes is 1).
  mlir::Value vector(const Idx &x);
  int64_t lanes() const { return width; }

  /// A scalar op of the kernel's region, on operands that KernelBuilder::scalar knows.
  mlir::Value scalarOp(mlir::Operation *op, mlir::Value value);
  /// Iteration space of a linalg op (index values).
  llvm::SmallVector<mlir::Value> loopBounds(mlir::linalg::GenericOp op);
  /// Evaluates `values` of the body of `op` at the given loop coordinates; `inits` stand for the accumulators.
  llvm::SmallVector<mlir::Value> pullBody(mlir::linalg::GenericOp op, llvm::ArrayRef<Idx> loops, mlir::ValueRange inits);

  KernelBuilder &k;

private:
  mlir::ImplicitLocOpBuilder &b;
  const int64_t width;
  std::map<mlir::Value, Element, bool (*)(mlir::Value, mlir::Value)> bound{
      [](mlir::Value x, mlir::Value y) { return x.getAsOpaquePointer() < y.getAsOpaquePointer(); }};
  using Key = llvm::SmallVector<std::pair<void *, int64_t>, 8>;
  std::map<Key, mlir::Value> memo;
  llvm::DenseMap<mlir::Value, bool> linearKnown; ///< answers of isLinear

  using Scalarized = llvm::function_ref<mlir::Value(Puller &, llvm::ArrayRef<Idx>)>;
  bool computeLinear(mlir::Value tensor);
  mlir::Value compute(mlir::Value tensor, llvm::ArrayRef<Idx> at);
  mlir::Value loadBuffer(mlir::Value pointer, mlir::Type element, Idx linear);
  mlir::Value pullGeneric(mlir::linalg::GenericOp op, unsigned result, llvm::ArrayRef<Idx> at, const Idx *linear);
  mlir::Value pullReduction(mlir::linalg::GenericOp op, unsigned result, llvm::ArrayRef<Idx> at);
  mlir::Value pullConcat(mlir::Operation *op, llvm::ArrayRef<Idx> at);
  mlir::Value pullPad(mlir::Operation *op, llvm::ArrayRef<Idx> at);
  mlir::Value pullReshape(mlir::Value result, mlir::Value source, llvm::ArrayRef<Idx> at);
  mlir::Value pullPacked(mlir::BlockArgument weight, llvm::ArrayRef<Idx> at);
  mlir::Value pullCodes(mlir::BlockArgument codes, llvm::StringRef layout, mlir::Value n, mlir::Value block, mlir::Value byte);
  mlir::Value pullElements(mlir::Operation *op, llvm::ArrayRef<Idx> at);
  mlir::Value pullRotary(mlir::Operation *op, llvm::ArrayRef<Idx> at);
  mlir::Value pullView(mlir::Value state, llvm::ArrayRef<Idx> at, int64_t axis, mlir::Value offset);
  mlir::Value pullPaged(CacheViewOp view, llvm::ArrayRef<Idx> at);
  Idx evaluate(mlir::Value value, struct BodyScope &scope);
  Idx evaluateOp(mlir::Operation *op, mlir::Value value, struct BodyScope &scope);
  Idx affine(mlir::AffineExpr expr, llvm::ArrayRef<Idx> loops);
  /// Splits a row-major position over `dims` and calls `body` with the coordinates; lanes that cross a row are taken one by one.
  mlir::Value splitLinear(mlir::Value tensor, Idx linear, llvm::ArrayRef<mlir::Value> dims, Scalarized body);
  /// One lane after the other, each with a scalar Puller.
  mlir::Value eachLane(mlir::Type element, llvm::ArrayRef<Idx> at, Scalarized body);
  /// if (cond) a else b, each a full vector if lanes > 1 and `wide`.
  mlir::Value branch(mlir::Value cond, bool wide, llvm::function_ref<mlir::Value()> thenBody, llvm::function_ref<mlir::Value()> elseBody);
  bool varies(llvm::ArrayRef<Idx> at) const {
    return width > 1 && llvm::any_of(at, [](const Idx &x) { return !x.uniform(); });
  }
};

} // namespace leat::cpu
