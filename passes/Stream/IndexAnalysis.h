// What an element of a tensor is, as a formula of its indices: a linear expression, or a function of one distance that takes
// a constant on each of a few ranges. Exporters write masks, positions and lengths as tensor arithmetic; this analysis reads the meaning
// back, so that a mask tensor becomes an attribute and a length becomes an index.
#pragma once

#include "dialects/Leat/Leat.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SmallVector.h"
#include <memory>
#include <optional>

namespace leat::stream {

/// sum of coefficient * symbol + constant. A symbol is an SSA value of index or integer type, or a formal index (element coordinate).
class Linear {
public:
  Linear() = default;
  Linear(int64_t c) : constant(c) {}
  static Linear value(mlir::Value v) { return symbol({v.getAsOpaquePointer(), 0}); }
  static Linear formal(int64_t number) { return symbol({nullptr, number}); }
  /// An integer of which nothing is known, not even that it is one of those before: each `number` is used once.
  static Linear unknown(int64_t number) { return symbol({nullptr, kFirstUnknown + number}); }
  bool isKnown() const {
    return llvm::none_of(terms, [](const auto &t) { return isUnknown(t.first); });
  }

  std::optional<int64_t> asConstant() const { return terms.empty() ? std::optional<int64_t>(constant) : std::nullopt; }
  Linear operator+(const Linear &other) const;
  Linear operator*(int64_t factor) const;
  Linear operator-(const Linear &other) const { return *this + other * -1; }
  bool operator==(const Linear &other) const { return (*this - other).asConstant() == 0; }

  using Symbol = std::pair<const void *, int64_t>;
  static constexpr int64_t kFirstQuotient = int64_t(1) << 16; // what IndexAnalysis::quotient numbers; formal indices have smaller numbers
  static constexpr int64_t kFirstUnknown = int64_t(1) << 32;  // quotients have smaller numbers
  static bool isUnknown(Symbol s) { return !s.first && s.second >= kFirstUnknown; }
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

/// Comparisons of integers, and at the ends of their branches functions of the distance: what masks by chunks, prefixes or strides are.
struct Choice {
  struct Test {
    mlir::arith::CmpIPredicate predicate;
    Linear difference; // compared with 0
    bool operator==(const Test &other) const { return predicate == other.predicate && difference == other.difference; }
  };
  std::optional<Test> test;
  std::shared_ptr<const Choice> yes, no; // if `test`
  Pieces pieces;                         // if not
};

/// A non-negative integer divided by a positive constant, or the remainder.
struct Quotient {
  Linear numerator;
  int64_t divisor;
  bool remainder;
};

/// scale * table[at] * factor, or scale * values[head] * factor: a number per head times a position (ALiBi), up to a constant for each
/// head.
struct Slope {
  mlir::Value table;
  llvm::SmallVector<Linear, 4> at; // constants and the formal index of the head
  Linear factor;
  llvm::SmallVector<double, 0> values = {}; // where there is no table
  double scale = 1;
};

/// Nothing known, a linear integer, pieces over the distance, a choice of such, or a slope, to which pieces may be added.
struct Formula {
  std::optional<Linear> linear;
  std::optional<Pieces> pieces;
  std::optional<Slope> slope = std::nullopt;
  std::shared_ptr<const Choice> choice = nullptr;
  explicit operator bool() const { return linear || pieces || slope || choice; }
  static Formula of(Linear l) { return {std::move(l), std::nullopt}; }
  static Formula of(Pieces p) { return {std::nullopt, std::move(p)}; }
  static Formula of(double v) { return of(Pieces::constant(v)); }
  static Formula of(Slope s) { return {std::nullopt, std::nullopt, std::move(s)}; }
};

/// A linear expression over SSA values that computes `value` (index or integer), looking through arithmetic, casts, tensor.dim and
/// tensor.extract.
class IndexAnalysis {
public:
  /// `distance` is the linear expression that stands for d in Pieces; formal indices f are known to satisfy 0 <= f < limits[f].
  /// `withinTables`: what is cut from a table of static size is taken to lie in it. Where it does not, sizes do not fit any more, and
  /// import's checks end the call.
  IndexAnalysis(Linear distance = {}, llvm::ArrayRef<Linear> limits = {}, bool withinTables = false)
      : distance(std::move(distance)), limits(limits), withinTables(withinTables) {}

  Linear index(mlir::Value scalar);
  /// The size of `tensor` along `axis`.
  Linear size(mlir::Value tensor, int64_t axis);
  /// The element of `tensor` at `indices`.
  Formula element(mlir::Value tensor, llvm::ArrayRef<Linear> indices);
  /// The formal index that counts heads: elements of float tensors that depend on nothing else are tables of slopes.
  void setHead(int64_t formal) { head = formal; }
  /// Formulas may be choices, and integers quotients; without this they are unknown.
  void allowChoices() { choices = true; }
  /// `f` as a choice, null if it is none.
  std::shared_ptr<const Choice> asChoice(const Formula &f);
  /// What is known of numerator / divisor, or of the remainder.
  Formula quotient(const Formula &numerator, const Formula &divisor, bool remainder);
  /// The quotient a symbol stands for, null if it is none.
  const Quotient *quotientOf(Linear::Symbol s) const;
  /// `l` with `value` for a formal index, in quotients too; these must stay non-negative.
  Linear substitute(const Linear &l, int64_t formal, const Linear &value);
  /// Whether what was said holds only where the distance is not positive.
  bool onlyBehind() const { return behind; }

private:
  using Known = llvm::DenseMap<mlir::Value, Formula>;
  Formula program(mlir::Value tensor, llvm::ArrayRef<Linear> indices);
  Formula sum(const Formula &a, const Formula &b, double sign);
  Formula product(const Formula &a, const Formula &b);
  Formula absolute(const Formula &f);
  Formula scalar(mlir::Value v, llvm::ArrayRef<Linear> loops, const Known &known);
  bool isBroadcastFactor(mlir::Value factor, const Formula &position);
  Formula generic(mlir::linalg::GenericOp op, unsigned result, llvm::ArrayRef<Linear> indices);
  Formula table(mlir::ElementsAttr values, llvm::ArrayRef<Linear> indices);
  /// An element of a table of these sizes: a constant, or a function of the distance where two coordinates differ by it.
  Formula band(llvm::ArrayRef<int64_t> shape, llvm::ArrayRef<Linear> indices, llvm::function_ref<double(int64_t)> at);
  /// An element of a table that grows evenly along one axis, for each head as it does.
  Formula ramp(llvm::ArrayRef<int64_t> shape, llvm::ArrayRef<Linear> indices, llvm::function_ref<double(int64_t)> at);
  /// The smaller or larger of two, if that is known.
  const Linear *extreme(const Linear &a, const Linear &b, bool max);
  Formula compare(int predicate, const Formula &a, const Formula &b);
  Formula combine(const Formula &a, const Formula &b, llvm::function_ref<double(double, double)> fn);
  Formula select(const Formula &c, const Formula &a, const Formula &b);
  std::optional<Pieces> asPieces(const Formula &f);
  /// Joins formulas, branch by branch where they are choices.
  Formula join(llvm::ArrayRef<Formula> of, llvm::function_ref<std::optional<Pieces>(llvm::ArrayRef<Pieces>)> fn);
  Linear symbolOf(Quotient q);
  /// The sign of l over all legal indices: -1 always negative, 1 always >= 0, 0 unknown.
  int sign(const Linear &l);
  /// For an index that is not linear: what does not depend on it is still known.
  Linear unknown() { return Linear::unknown(unknowns++); }

  Linear distance;
  llvm::SmallVector<Linear, 4> limits;
  bool withinTables, behind = false, choices = false;
  std::vector<Quotient> quotients; // each once
  std::optional<int64_t> head;
  unsigned depth = 0;
  int64_t unknowns = 0;
};

/// A bias of a mask that hides a key: exp(-1e4) is 0 in every float type; exporters use this, finfo.min or -inf.
constexpr double kHidden = -1e4;

/// What a bias does to attention: which distances d = key position - query position it lets through.
struct MaskClass {
  enum Kind { Unknown, None, Causal, Window } kind = Unknown; // Window is causal with `left` past keys visible
  int64_t left = -1;
};

/// A bias that is a mask and, if `slope`, a term that grows with the position of the key.
struct BiasClass {
  MaskClass mask;
  std::optional<Slope> slope;
};

/// Classifies `bias` (broadcastable to [B, H, S, T]) for queries at positions T - S + i: only if every element is 0 or so low that softmax
/// gives 0.
MaskClass classifyMask(mlir::Value bias, const Linear &queries, const Linear &keys, bool withinTables = false);
/// The same for the bias of an attention over one segment, which must have one.
MaskClass classifyMask(KVAttendOp op);

/// Reads a bias as a mask and a slope; mask.kind is Unknown if it is something else.
BiasClass classifyBias(KVAttendOp op);

/// Turns a bias that is 0 or hides, by positions alone, into the region `visible` and attributes; false if it is something else.
bool biasToRegion(KVAttendOp op);
/// The formula of an element of the bias, formal indices 0..3 being b, h, q, k.
Formula biasFormula(IndexAnalysis &analysis, mlir::Value bias);
/// The analysis for that.
IndexAnalysis biasAnalysis(mlir::Value bias, const Linear &queries, const Linear &keys, bool withinTables);

/// Numbers of queries and keys of an attention over one segment.
std::pair<Linear, Linear> lengths(KVAttendOp op, bool withinTables = false);
/// True if no query of this attention provably sees a key behind it.
bool isCausal(KVAttendOp op);

} // namespace leat::stream
