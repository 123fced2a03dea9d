// Builds tensor programs with known shapes: every tensor it makes has a list of sizes, small integer tensors have their scalars, and the
// helpers write linalg, tensor and arith in the one form that the later stages expect. All handlers of Import build through it.
#pragma once

#include "passes/Import/IndexMath.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace leat::import {

using Shape = llvm::SmallVector<int64_t>;

/// Makes the scalar of one element from scalars; `b` stands in the body.
using ScalarFn = llvm::function_ref<mlir::Value(mlir::OpBuilder &b, mlir::Location loc, mlir::ValueRange args)>;

class GraphBuilder {
public:
  explicit GraphBuilder(mlir::MLIRContext *context) : ops(context), loc(mlir::UnknownLoc::get(context)), math(ops, loc) {}

  mlir::OpBuilder ops;
  /// Location of all that is made: the ONNX node at hand.
  mlir::Location loc;
  IndexMath math;

  template <typename Op, typename... Args> Op create(Args &&...args) { return Op::create(ops, loc, std::forward<Args>(args)...); }

  /// What is made between push and pop is not used after pop: the bodies of If and Loop.
  void pushScope();
  void popScope();
  /// Holds IR that was built and not used: what is known about its values must not come to belong to others at the same address.
  void keepUnused(std::unique_ptr<mlir::Region> region) { unused.push_back(std::move(region)); }
  /// Says that the node at hand is wrong (sizes that do not fit); the walk turns it into the node's failure.
  void invalid(const llvm::Twine &why) {
    if (problem.empty())
      problem = why.str();
  }
  /// Lets the call fail when two sizes differ in a run; nothing where that is known not to happen. `mayBeOne`: either may be 1 (broadcast).
  void require(mlir::OpFoldResult a, mlir::OpFoldResult b, const llvm::Twine &what, bool mayBeOne = false);
  /// The same when `part` is larger than `whole` in a run.
  void requireWithin(mlir::OpFoldResult part, mlir::OpFoldResult whole, const llvm::Twine &what) {
    require(math.min(part, whole), part, what);
  }
  std::string takeProblem() { return std::exchange(problem, {}); }

  //===------------------------------ types and sizes ------------------------------===//
  static mlir::RankedTensorType type(mlir::Value v) { return mlir::cast<mlir::RankedTensorType>(v.getType()); }
  static mlir::Type elem(mlir::Value v) { return type(v).getElementType(); }
  static int64_t rank(mlir::Value v) { return type(v).getRank(); }
  mlir::RankedTensorType typeOf(llvm::ArrayRef<mlir::OpFoldResult> dims, mlir::Type elem);
  /// Sizes of `v`, static ones as attributes.
  Dims dims(mlir::Value v);
  mlir::OpFoldResult dim(mlir::Value v, int64_t i) { return dims(v)[i]; }
  mlir::OpFoldResult numElements(mlir::Value v) { return math.product(dims(v)); }
  /// Records the sizes of a value made without these helpers; returns `v`.
  mlir::Value withDims(mlir::Value v, llvm::ArrayRef<mlir::OpFoldResult> dims);
  Dims staticDims(llvm::ArrayRef<int64_t> shape) { return mlir::getAsIndexOpFoldResult(ops.getContext(), shape); }
  bool sameDims(llvm::ArrayRef<mlir::OpFoldResult> a, llvm::ArrayRef<mlir::OpFoldResult> b);
  /// -rank <= axis < rank, or nothing.
  static std::optional<int64_t> normalizeAxis(int64_t axis, int64_t rank);

  //===------------------------------ constants and scalars ------------------------------===//
  mlir::Value constant(mlir::DenseElementsAttr value);
  /// A tensor filled with one constant.
  mlir::Value splat(llvm::ArrayRef<mlir::OpFoldResult> dims, mlir::TypedAttr value);
  mlir::Value splat(llvm::ArrayRef<mlir::OpFoldResult> dims, mlir::Type elem, mlir::Value scalar);
  mlir::Value constantInts(llvm::ArrayRef<int64_t> values);
  /// The attribute of `v` converted to `elem` (integers wrap).
  mlir::TypedAttr attr(mlir::Type elem, double v);
  mlir::TypedAttr attr(mlir::Type elem, int64_t v);
  /// A scalar constant at the builder's place.
  mlir::Value scalar(mlir::TypedAttr value) { return create<mlir::arith::ConstantOp>(value); }

  /// Elements of `v` in row-major order where they are known without reading memory: integers (i32, i64) as index, others in their own
  /// type.
  std::optional<Dims> knownScalars(mlir::Value v);
  /// The same, and as a last resort the host reads the buffer. Fails when the number of elements is not static or above `limit`.
  mlir::FailureOr<Dims> asScalars(mlir::Value v, int64_t limit = 64);
  /// Elements of an integer constant.
  std::optional<llvm::SmallVector<int64_t>> asConstantInts(mlir::Value v);
  /// Any constant tensor (of any element type).
  mlir::DenseElementsAttr asConstant(mlir::Value v);
  /// A tensor of host scalars (knownScalars of the result gives them back).
  mlir::Value fromScalars(llvm::ArrayRef<mlir::OpFoldResult> scalars, llvm::ArrayRef<int64_t> shape, mlir::Type elem);
  /// A scalar as a value of type `type`; integers are index on the host.
  mlir::Value materialize(mlir::OpFoldResult scalar, mlir::Type type);
  mlir::OpFoldResult toHost(mlir::Value scalar);
  /// The type of host scalars of a tensor: index for i32 and i64.
  mlir::Type hostType(mlir::Type elem) { return elem.isInteger(32) || elem.isInteger(64) ? mlir::Type(ops.getIndexType()) : elem; }
  mlir::Value castTo(mlir::Value v, mlir::RankedTensorType t) {
    return v.getType() == t ? v : create<mlir::tensor::CastOp>(t, v).getResult();
  }

  //===------------------------------ computing elements ------------------------------===//
  /// An empty tensor, the destination of linalg ops.
  mlir::Value empty(llvm::ArrayRef<mlir::OpFoldResult> dims, mlir::Type elem);
  /// body(inputs[maps]) for each element of a tensor of these sizes. Values that `body` needs from outside are captured.
  mlir::Value map(llvm::ArrayRef<mlir::Value> inputs, llvm::ArrayRef<mlir::AffineMap> maps, llvm::ArrayRef<mlir::OpFoldResult> dims,
                  mlir::Type elem, ScalarFn body);
  /// The same body on broadcast inputs (numpy rules). `small`: integer arithmetic on host scalars, if there is one.
  mlir::Value elementwise(llvm::ArrayRef<mlir::Value> inputs, mlir::Type elem, ScalarFn body,
                          llvm::function_ref<mlir::OpFoldResult(llvm::ArrayRef<mlir::OpFoldResult>)> small = nullptr);
  /// body(indices): an element from its position.
  mlir::Value generate(llvm::ArrayRef<mlir::OpFoldResult> dims, mlir::Type elem, ScalarFn body);
  /// Sizes of the broadcast of `inputs`.
  Dims broadcastDims(llvm::ArrayRef<mlir::Value> inputs);
  Dims broadcastDims(llvm::ArrayRef<Dims> shapes);
  mlir::Value broadcastTo(mlir::Value v, llvm::ArrayRef<mlir::OpFoldResult> dims);
  /// Combines elements along `axes` with `combine(accumulator, element)`; the element is pre(input) in the accumulator's type.
  mlir::Value reduce(mlir::Value v, llvm::ArrayRef<int64_t> axes, bool keepDims, mlir::TypedAttr init, ScalarFn combine,
                     ScalarFn pre = nullptr);

  //===------------------------------ movement ------------------------------===//
  mlir::Value reshape(mlir::Value v, llvm::ArrayRef<mlir::OpFoldResult> dims);
  mlir::Value unsqueeze(mlir::Value v, llvm::ArrayRef<int64_t> sortedAxes);
  mlir::Value squeeze(mlir::Value v, llvm::ArrayRef<int64_t> sortedAxes);
  mlir::Value transpose(mlir::Value v, llvm::ArrayRef<int64_t> permutation);
  /// Contiguous or positively strided window; offsets and sizes are in range.
  mlir::Value slice(mlir::Value v, llvm::ArrayRef<mlir::OpFoldResult> offsets, llvm::ArrayRef<mlir::OpFoldResult> sizes,
                    llvm::ArrayRef<int64_t> strides = {});
  mlir::Value sliceAxis(mlir::Value v, int64_t axis, mlir::OpFoldResult offset, mlir::OpFoldResult size);
  mlir::Value concat(llvm::ArrayRef<mlir::Value> values, int64_t axis);
  mlir::Value pad(mlir::Value v, llvm::ArrayRef<mlir::OpFoldResult> low, llvm::ArrayRef<mlir::OpFoldResult> high, mlir::Value scalar);
  /// Numeric conversion of every element with ONNX meaning; the flags say how integers are read.
  mlir::Value convert(mlir::Value v, mlir::Type to, bool fromUnsigned = false, bool toUnsigned = false);

private:
  mlir::Value generic(mlir::ValueRange inputs, llvm::ArrayRef<mlir::AffineMap> maps, mlir::Value init, mlir::AffineMap outMap,
                      llvm::ArrayRef<mlir::utils::IteratorType> iterators,
                      llvm::function_ref<mlir::Value(mlir::OpBuilder &, mlir::Location, mlir::ValueRange)> body);
  mlir::Value scalarElementwise(llvm::ArrayRef<mlir::Value> inputs, mlir::Type elem, ScalarFn body,
                                llvm::function_ref<mlir::OpFoldResult(llvm::ArrayRef<mlir::OpFoldResult>)> small);

  llvm::DenseMap<mlir::Value, Dims> shapes;
  llvm::DenseMap<mlir::Value, Dims> contents;
  /// What was looked up inside a scope and holds values of it.
  std::vector<std::pair<llvm::SmallVector<mlir::Value>, llvm::SmallVector<mlir::Value>>> lookedUp;
  std::string problem;
  /// Pairs of sizes that are checked already, per scope.
  std::vector<llvm::DenseSet<std::pair<mlir::Value, mlir::Value>>> checked{1};
  std::vector<std::unique_ptr<mlir::Region>> unused;
};

/// Conversion of one scalar, as `GraphBuilder::convert`.
mlir::Value convertScalar(mlir::OpBuilder &b, mlir::Location loc, mlir::Value v, mlir::Type to, bool fromUnsigned = false,
                          bool toUnsigned = false);
/// A scalar constant in a body.
mlir::Value bodyConstant(mlir::OpBuilder &b, mlir::Location loc, mlir::Type type, double v);
/// An integer as index, and an index from the end made positive; a position outside [0, size) is moved to the nearest end, so that no read
/// leaves the buffer.
mlir::Value bodyIndex(mlir::OpBuilder &b, mlir::Location loc, mlir::Value position, mlir::Value size);

} // namespace leat::import
