// Arithmetic on sizes and positions. Every index value has a polynomial over "atoms" (sizes of inputs, values read at run time), so that
// equal expressions become one SSA value and products and sums cancel: (past + seq) - past is seq, and batch*seq*576 / (batch*seq) is 576.
#pragma once

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseMap.h"
#include <map>
#include <optional>
#include <vector>

namespace leat::import {

using Dims = llvm::SmallVector<mlir::OpFoldResult>;

class IndexMath {
public:
  IndexMath(mlir::OpBuilder &ops, mlir::Location &loc) : ops(ops), loc(loc) { pushScope(); }

  using Index = mlir::OpFoldResult;
  Index constant(int64_t v) { return ops.getIndexAttr(v); }
  Index add(Index a, Index b);
  Index sub(Index a, Index b);
  Index mul(Index a, Index b);
  /// Rounds towards zero, as ONNX Div does.
  Index div(Index a, Index b);
  Index floorDiv(Index a, Index b);
  Index ceilDiv(Index a, Index b);
  /// Remainder with the sign of the divisor (`truncated`: of the dividend).
  Index mod(Index a, Index b, bool truncated = false);
  Index min(Index a, Index b);
  Index max(Index a, Index b);
  /// a == key ? b : c, a comparison that is folded when the operands decide it.
  Index selectEqual(Index a, int64_t key, Index b, Index c);
  /// condition (i1) ? b : c
  Index select(mlir::Value condition, Index b, Index c);
  /// a < 0 ? b : c
  Index selectNegative(Index a, Index b, Index c);
  Index product(llvm::ArrayRef<Index> values);

  /// The value of a constant expression.
  std::optional<int64_t> asConstant(Index a);
  /// True when both are the same for every run.
  bool equal(Index a, Index b);
  /// a is b times an expression without division.
  bool divides(Index b, Index a) { return divideExactly(poly(a), poly(b)).has_value(); }
  bool nonNegative(Index a);
  /// a >= b for every run.
  bool atLeast(Index a, Index b);
  /// Whether a value made inside `region` goes into it.
  bool dependsOn(Index a, mlir::Region *region);
  /// min(x, c) with constant c: gives x (see the broadcast rule in GraphBuilder).
  std::optional<std::pair<Index, int64_t>> asMinWithConstant(Index a);

  /// Sizes are never negative.
  void assumeNonNegative(mlir::Value v);
  mlir::Value value(Index a);
  llvm::SmallVector<mlir::Value> values(llvm::ArrayRef<Index> list);
  /// An integer value of another width as index, and back; each is made once.
  Index fromInteger(mlir::Value v);
  mlir::Value toInteger(Index a, mlir::Type type);

  /// What is made between push and pop is not used after pop: the bodies of If and Loop.
  void pushScope() { scopes.emplace_back(); }
  void popScope() { scopes.pop_back(); }

private:
  /// Atoms of one term, sorted, repeated for powers; the empty list is the constant term.
  using Monomial = std::vector<unsigned>;
  using Poly = std::map<Monomial, int64_t>;
  using OpaqueKey = std::pair<std::string, std::vector<Poly>>;
  struct Scope {
    std::map<Poly, mlir::Value> polys;
    std::map<OpaqueKey, mlir::Value> opaques;
    llvm::DenseMap<std::pair<mlir::Value, mlir::Type>, mlir::Value> casts;
  };

  Poly poly(Index a);
  Index emit(const Poly &p);
  mlir::Value emitMonomial(const Monomial &m);
  std::optional<Poly> divideExactly(const Poly &p, const Poly &q);
  bool nonNegative(const Poly &p);
  Index opaque(llvm::StringRef name, llvm::ArrayRef<Index> operands, llvm::function_ref<mlir::Value()> make, bool nonNegative);
  mlir::Value lookup(const Poly &p);
  void remember(mlir::Value v, const Poly &p);

  mlir::OpBuilder &ops;
  mlir::Location &loc;
  std::vector<Scope> scopes;
  llvm::DenseMap<mlir::Value, Poly> known;
  std::vector<mlir::Value> atoms;
  std::vector<bool> atomNonNegative;
  llvm::DenseMap<mlir::Value, std::pair<mlir::Value, int64_t>> minimums;
};

} // namespace leat::import
