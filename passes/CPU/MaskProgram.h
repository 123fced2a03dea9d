// The mask program of leat.kv_attend as code, for all kernels: evaluated for pairs of a query and a key, and evaluated on intervals, which
// tells of a whole block of pairs whether it has a visible or a hidden one.
#pragma once

#include "dialects/Leat/Leat.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <functional>

namespace leat::cpu {

class MaskProgram {
public:
  /// Emits at `b`, in arithmetic on `integer` (index, i32 or i64), in which the program must not overflow. `scalar` gives the value, of
  /// that type, of what the program takes from outside; constants are not asked for.
  MaskProgram(mlir::Region &region, mlir::OpBuilder &b, mlir::Location loc, mlir::Type integer,
              std::function<mlir::Value(mlir::Value)> scalar)
      : region(region), b(b), loc(loc), integer(integer), scalar(std::move(scalar)) {}

  /// Whether the key is visible. `at`: batch, head, query position, key position, each a scalar or a vector; what does not depend on a
  /// vector is computed once.
  mlir::Value evaluate(llvm::ArrayRef<mlir::Value> at);

  /// All integers from `low` to `high`.
  struct Interval {
    mlir::Value low, high;
  };
  struct Verdict {
    mlir::Value visible, hidden; ///< i1: some pair may be; false is certain
  };
  /// The same for all combinations of an element of each interval, none of them empty. Sums, comparisons, divisions and extrema of
  /// independent operands are exact; operands that share an argument are taken to be independent.
  Verdict classify(llvm::ArrayRef<Interval> at);

private:
  /// An integer's interval, or for an i1 whether it may be true (first) and may be false (second).
  using Range = std::pair<mlir::Value, mlir::Value>;
  Range rangeOf(mlir::Operation &op, llvm::ArrayRef<Range> x);
  Range compare(mlir::arith::CmpIPredicate predicate, Range x, Range y);
  Range remainder(Range x, mlir::Value divisor);
  template <typename Op> mlir::Value make(mlir::Value x, mlir::Value y) { return b.createOrFold<Op>(loc, x, y); }
  mlir::Value less(mlir::Value x, mlir::Value y);
  mlir::Value choose(mlir::Value condition, mlir::Value x, mlir::Value y);
  mlir::Value constant(int64_t value);
  mlir::Value truth(bool value);
  /// What comes from outside of the block, as a scalar.
  mlir::Value outer(mlir::Value value);

  mlir::Region &region;
  mlir::OpBuilder &b;
  mlir::Location loc;
  mlir::Type integer;
  std::function<mlir::Value(mlir::Value)> scalar;
};

} // namespace leat::cpu
