// Masks that depend on positions by chunks, prefixes or strides become the region `visible` of attention: no tensor of S x T is computed.
#include "passes/Stream/IndexAnalysis.h"

using namespace mlir;

namespace leat::stream {

namespace {

/// Reads a choice as a mask, and writes it.
class MaskWriter {
public:
  MaskWriter(IndexAnalysis &analysis, Location loc, Linear queries, Linear keys)
      : analysis(analysis), queries(std::move(queries)), keys(std::move(keys)), where(loc) {}

  /// Every value hides or is 0, and all that is compared follows from positions.
  bool isMask(const Choice &c) {
    if (c.test)
      return follows(toPositions(c.test->difference)) && isMask(*c.yes) && isMask(*c.no);
    return llvm::all_of(c.pieces.pieces, [](auto &piece) { return piece.value == 0 || piece.value <= kHidden; });
  }
  /// Every query provably sees its own position: a row that sees nothing would give 0, and an average with a finite bias.
  bool seesItself(const Choice &c) {
    if (!c.test) {
      double at0 = 1;
      for (auto &piece : c.pieces.pieces)
        if (piece.from <= 0)
          at0 = piece.value;
      return at0 == 0;
    }
    Linear own = analysis.substitute(c.test->difference, 3, Linear::formal(2) + keys - queries);
    if (auto difference = own.asConstant()) {
      bool holds = arith::applyCmpPredicate(c.test->predicate, APInt(64, *difference, true), APInt(64, 0));
      return seesItself(holds ? *c.yes : *c.no);
    }
    return seesItself(*c.yes) && seesItself(*c.no);
  }

  /// How far some query may see: no key of a distance outside of [first, last].
  void reach(const Choice &c) {
    if (c.test) {
      reach(*c.yes);
      reach(*c.no);
      return;
    }
    for (auto [n, piece] : llvm::enumerate(c.pieces.pieces))
      if (piece.value == 0) {
        first = std::min(first, piece.from);
        last = std::max(last, n + 1 < c.pieces.pieces.size() ? c.pieces.pieces[n + 1].from - 1 : INT64_MAX);
      }
  }
  int64_t first = 0, last = 0;
  bool isCausal() const { return last == 0; }

  void write(KVAttendOp op, const Choice &c) {
    b.emplace(op.getContext());
    Type index = b->getIndexType();
    block = b->createBlock(&op.getVisible(), {}, {index, index, index, index}, {where, where, where, where});
    Value visible = truth(c);
    YieldOp::create(*b, where, ValueRange{visible});
  }

private:
  /// The region's query position is q + T - S.
  Linear toPositions(const Linear &l) { return analysis.substitute(l, 2, Linear::formal(2) + queries - keys); }
  bool follows(const Linear &l) {
    return llvm::all_of(l.terms, [&](auto &term) {
      if (const Quotient *q = analysis.quotientOf(term.first))
        return follows(q->numerator);
      return !term.first.first && term.first.second < 4;
    });
  }

  Value integer(int64_t c) { return arith::ConstantIndexOp::create(*b, where, c); }
  Value compare(arith::CmpIPredicate p, Value x, int64_t y) { return arith::CmpIOp::create(*b, where, p, x, integer(y)); }
  Value both(Value x, Value y) { return arith::AndIOp::create(*b, where, x, y); }
  Value either(Value x, Value y) { return arith::OrIOp::create(*b, where, x, y); }
  /// x + factor * y, x may be null.
  Value plus(Value x, Value y, int64_t factor) {
    if (x && factor == -1)
      return arith::SubIOp::create(*b, where, x, y);
    if (factor != 1)
      y = arith::MulIOp::create(*b, where, y, integer(factor));
    return x ? Value(arith::AddIOp::create(*b, where, x, y)) : y;
  }

  Value emit(const Linear &l) {
    Value sum;
    for (auto [s, c] : l.terms) {
      Value x;
      if (const Quotient *q = analysis.quotientOf(s)) {
        Value n = emit(q->numerator), d = integer(q->divisor);
        x = q->remainder ? Value(arith::RemSIOp::create(*b, where, n, d)) : Value(arith::DivSIOp::create(*b, where, n, d));
      } else {
        x = block->getArgument(s.second);
      }
      sum = plus(sum, x, c);
    }
    if (!sum)
      return integer(l.constant);
    return l.constant == 0 ? sum : plus(sum, integer(l.constant), 1);
  }

  /// Positive and negative terms on a side each: intervals of the sides tell more than those of the difference.
  Value test(const Choice::Test &t, bool holds) {
    Linear difference = toPositions(t.difference), left, right;
    for (auto [s, c] : difference.terms)
      (c > 0 ? left : right) = (c > 0 ? left : right) + Linear::symbol(s) * std::abs(c);
    (difference.constant > 0 ? left : right).constant = std::abs(difference.constant);
    auto p = holds ? t.predicate : arith::invertPredicate(t.predicate);
    Value x = emit(left), y = emit(right);
    return arith::CmpIOp::create(*b, where, p, x, y);
  }

  /// Bounds of the distance, without those that attributes of the whole mask imply.
  struct Bounds {
    std::optional<int64_t> from, to;
  };
  SmallVector<Bounds> visibleRanges(const Pieces &p) const {
    SmallVector<Bounds> ranges;
    for (auto [n, piece] : llvm::enumerate(p.pieces)) {
      if (piece.value != 0)
        continue;
      Bounds &range = ranges.emplace_back();
      if (piece.from > (isCausal() ? first : INT64_MIN))
        range.from = piece.from;
      if (n + 1 < p.pieces.size() && (!isCausal() || p.pieces[n + 1].from <= 0))
        range.to = p.pieces[n + 1].from - 1;
    }
    return ranges;
  }
  std::optional<bool> constantOf(const Choice &c) const {
    if (c.test) { // both may be the same once attributes hold
      auto yes = constantOf(*c.yes);
      return yes == constantOf(*c.no) ? yes : std::nullopt;
    }
    auto ranges = visibleRanges(c.pieces);
    if (llvm::any_of(ranges, [](const Bounds &r) { return !r.from && !r.to; }))
      return true;
    return ranges.empty() ? std::optional(false) : std::nullopt;
  }

  Value truth(const Choice &c) {
    if (auto known = constantOf(c))
      return arith::ConstantOp::create(*b, where, b->getBoolAttr(*known));
    if (!c.test)
      return truth(visibleRanges(c.pieces));
    auto yes = constantOf(*c.yes), no = constantOf(*c.no);
    if (yes && no)
      return test(*c.test, *yes);
    if (yes) {
      Value t = test(*c.test, *yes), rest = truth(*c.no);
      return *yes ? either(t, rest) : both(t, rest);
    }
    if (no) {
      Value t = test(*c.test, !*no), rest = truth(*c.yes);
      return *no ? either(t, rest) : both(t, rest);
    }
    Value holds = test(*c.test, true), whereTrue = truth(*c.yes), fails = test(*c.test, false), whereFalse = truth(*c.no);
    Value taken = both(holds, whereTrue), other = both(fails, whereFalse);
    return either(taken, other);
  }

  /// Whether the distance is in one of the ranges; all have a bound.
  Value truth(ArrayRef<Bounds> ranges) {
    Value distance = arith::SubIOp::create(*b, where, block->getArgument(3), block->getArgument(2)), result;
    for (const Bounds &range : ranges) {
      Value in = range.from ? compare(arith::CmpIPredicate::sge, distance, *range.from) : Value();
      if (range.to) {
        Value until = compare(arith::CmpIPredicate::sle, distance, *range.to);
        in = in ? both(in, until) : until;
      }
      result = result ? either(result, in) : in;
    }
    return result;
  }

  IndexAnalysis &analysis;
  Linear queries, keys;
  std::optional<OpBuilder> b;
  Location where;
  Block *block = nullptr;
};

} // namespace

bool biasToRegion(KVAttendOp op) {
  if (!op.getVisible().empty())
    return false;
  for (bool withinTables : {false, true}) {
    auto [queries, keys] = lengths(op, withinTables);
    Value bias = op.getBias()[0];
    IndexAnalysis analysis = biasAnalysis(bias, queries, keys, withinTables);
    analysis.allowChoices();
    auto mask = analysis.asChoice(biasFormula(analysis, bias));
    MaskWriter writer(analysis, op.getLoc(), queries, keys);
    if (!mask || analysis.onlyBehind() || !writer.isMask(*mask) || !writer.seesItself(*mask))
      continue;
    writer.reach(*mask);
    op.getBiasMutable().clear();
    if (writer.isCausal())
      op.setCausal(true);
    if (writer.isCausal() && writer.first != INT64_MIN) {
      int64_t old = op.getWindowLeft();
      op.setWindowLeft(old < 0 ? -writer.first : std::min<int64_t>(old, -writer.first));
    }
    writer.write(op, *mask);
    return true;
  }
  return false;
}

} // namespace leat::stream
