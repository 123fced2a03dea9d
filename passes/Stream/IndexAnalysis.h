// What an element of a tensor is, as a formula of its indices: a linear expression, or a function of one distance that takes
// a constant on each of a few ranges. Exporters write masks, positions and lengths as tensor arithmetic; this analysis reads the meaning
// back, so that a mask tensor becomes an attribute and a length becomes an index.
#pragma once

#include "dialects/Leat/Leat.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SmallVector.h"
#include <optional>

namespace leat::stream {

/// sum of coefficient * symbol + constant. A symbol is an SSA value of index or integer type, or a formal index (element coordinate).
class Linear {
public:
  Linear() = default;
  Linear(int64_t c) : constant(c) {}
  static Linear value(mlir::Value v) { return symbol({v.getAsOpaquePointer(), 0}); }
  static Linear formal(int64_t number) { return symbol({nullptr, number}); }

  std::optional<int64_t> asConstant() const { return terms.empty() ? std::optional<int64_t>(constant) : std::nullopt; }
  Linear operator+(const Linear &other) const;
  Linear operator*(int64_t factor) const;
  Linear operator-(const Linear &other) const { return *this + other * -1; }
  bool operator==(const Linear &other) const { return (*this - other).asConstant() == 0; }

  using Symbol = std::pair<const void *, int64_t>;
  llvm::SmallVector<std::pair<Symbol, int64_t>, 4> terms; // sorted by symbol, no zero coefficients
  int64_t constant = 0;

  static Linear symbol(Symbol s) {
    Linear l;
    l.terms.push_back({s, 1});
    return l;
  }
};

/// A function of the distance d (an integer): constant on each of consecutive ranges that cover all integers.
struct Pieces {
  struct Piece {
    int64_t from; // first d of the range; INT64_MIN for the first piece
    double value;
  };
  llvm::SmallVector<Piece, 4> pieces;
  static Pieces constant(double v) { return {{Piece{INT64_MIN, v}}}; }
  std::optional<double> asConstant() const { return pieces.size() == 1 ? std::optional<double>(pieces[0].value) : std::nullopt; }
};

/// Nothing known, a linear integer, or pieces over the distance.
struct Formula {
  std::optional<Linear> linear;
  std::optional<Pieces> pieces;
  explicit operator bool() const { return linear || pieces; }
  static Formula of(Linear l) { return {std::move(l), std::nullopt}; }
  static Formula of(Pieces p) { return {std::nullopt, std::move(p)}; }
  static Formula of(double v) { return of(Pieces::constant(v)); }
};

/// A linear expression over SSA values that computes `value` (index or integer), looking through arithmetic, casts, tensor.dim and
/// tensor.extract.
class IndexAnalysis {
public:
  /// `distance` is the linear expression that stands for d in Pieces; formal indices f are known to satisfy 0 <= f < limits[f].
  IndexAnalysis(Linear distance = {}, llvm::ArrayRef<Linear> limits = {}) : distance(std::move(distance)), limits(limits) {}

  Linear index(mlir::Value scalar);
  /// The size of `tensor` along `axis`.
  Linear size(mlir::Value tensor, int64_t axis);
  /// The element of `tensor` at `indices`.
  Formula element(mlir::Value tensor, llvm::ArrayRef<Linear> indices);

private:
  using Known = llvm::DenseMap<mlir::Value, Formula>;
  Formula scalar(mlir::Value v, llvm::ArrayRef<Linear> loops, const Known &known);
  bool isBroadcastFactor(mlir::Value factor, const Formula &position);
  Formula generic(mlir::linalg::GenericOp op, unsigned result, llvm::ArrayRef<Linear> indices);
  Formula table(mlir::ElementsAttr values, llvm::ArrayRef<Linear> indices);
  Formula compare(int predicate, const Formula &a, const Formula &b);
  Formula combine(const Formula &a, const Formula &b, llvm::function_ref<double(double, double)> fn);
  Formula select(const Formula &c, const Formula &a, const Formula &b);
  std::optional<Pieces> asPieces(const Formula &f);
  /// The sign of l over all legal indices: -1 always negative, 1 always >= 0, 0 unknown.
  int sign(const Linear &l);

  Linear distance;
  llvm::SmallVector<Linear, 4> limits;
  unsigned depth = 0;
};

/// What a bias does to attention: which distances d = key position - query position it lets through.
struct MaskClass {
  enum Kind { Unknown, None, Causal, Window } kind = Unknown; // Window is causal with `left` past keys visible
  int64_t left = -1;
};

/// Classifies `bias` (broadcastable to [B, H, S, T]) for queries at positions T - S + i: only if every element is 0 or so low that softmax
/// gives 0.
MaskClass classifyMask(mlir::Value bias, const Linear &queries, const Linear &keys);

} // namespace leat::stream
