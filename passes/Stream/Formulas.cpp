// The algebra of formulas: sums of symbols, functions that are constant on ranges of the distance, slopes.
#include "passes/Stream/IndexAnalysis.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include <cmath>

using namespace mlir;

namespace leat::stream {

static constexpr size_t kMaxPieces = 64; // more ranges than any mask has

//===--- Linear ---------------------------------------------------------------------------------------------------===//

Linear Linear::operator+(const Linear &other) const {
  Linear sum;
  sum.constant = constant + other.constant;
  auto a = terms.begin(), b = other.terms.begin();
  while (a != terms.end() || b != other.terms.end()) {
    if (b == other.terms.end() || (a != terms.end() && a->first < b->first)) {
      sum.terms.push_back(*a++);
    } else if (a == terms.end() || b->first < a->first) {
      sum.terms.push_back(*b++);
    } else {
      if (int64_t c = a->second + b->second)
        sum.terms.push_back({a->first, c});
      ++a, ++b;
    }
  }
  return sum;
}

Linear Linear::operator*(int64_t factor) const {
  Linear product;
  if (factor == 0)
    return product;
  product.constant = constant * factor;
  for (auto [s, c] : terms)
    product.terms.push_back({s, c * factor});
  return product;
}

//===--- Pieces ---------------------------------------------------------------------------------------------------===//

static void append(Pieces &p, int64_t from, double value) {
  if (p.pieces.empty() || p.pieces.back().value != value)
    p.pieces.push_back({from, value});
}

static Pieces zipPieces(const Pieces &a, const Pieces &b, llvm::function_ref<double(double, double)> fn) {
  Pieces out;
  size_t i = 0, j = 0;
  int64_t from = INT64_MIN;
  while (true) {
    append(out, from, fn(a.pieces[i].value, b.pieces[j].value));
    int64_t nextA = i + 1 < a.pieces.size() ? a.pieces[i + 1].from : INT64_MAX;
    int64_t nextB = j + 1 < b.pieces.size() ? b.pieces[j + 1].from : INT64_MAX;
    if (nextA == INT64_MAX && nextB == INT64_MAX)
      return out;
    from = std::min(nextA, nextB);
    i += nextA == from;
    j += nextB == from;
  }
}

int IndexAnalysis::sign(const Linear &l) {
  if (auto c = l.asConstant())
    return *c < 0 ? -1 : 1;
  // Replace formal indices by the ends of their ranges; the other symbols are sizes and counts, never negative.
  auto bound = [&](bool upper) {
    Linear b(l.constant);
    for (auto [s, c] : l.terms) {
      if (Linear::isUnknown(s))
        return std::optional<Linear>();
      bool formal = !s.first;
      if (!formal)
        b = b + Linear::symbol(s) * c;
      else if ((c > 0) == upper && s.second < static_cast<int64_t>(limits.size()))
        b = b + (limits[s.second] + Linear(-1)) * c;
      else if ((c > 0) == upper)
        return std::optional<Linear>();
    }
    return std::optional<Linear>(b);
  };
  if (auto upper = bound(true))
    if (upper->constant < 0 && llvm::all_of(upper->terms, [](auto &t) { return t.second < 0; }))
      return -1;
  if (auto lower = bound(false))
    if (lower->constant >= 0 && llvm::all_of(lower->terms, [](auto &t) { return t.second > 0; }))
      return 1;
  return 0;
}

const Linear *IndexAnalysis::extreme(const Linear &a, const Linear &b, bool max) {
  int s = sign(a - b);
  if (s == 0)
    s = -sign(b - a);
  return s == 0 ? nullptr : (s > 0) == max ? &a : &b;
}

std::optional<Pieces> IndexAnalysis::asPieces(const Formula &f) {
  if (f.slope || f.choice)
    return std::nullopt;
  if (f.pieces)
    return f.pieces;
  if (f.linear)
    if (auto c = f.linear->asConstant())
      return Pieces::constant(static_cast<double>(*c));
  return std::nullopt;
}

Formula IndexAnalysis::combine(const Formula &a, const Formula &b, llvm::function_ref<double(double, double)> fn) {
  return join({a, b}, [&](ArrayRef<Pieces> p) -> std::optional<Pieces> {
    Pieces out = zipPieces(p[0], p[1], fn);
    return out.pieces.size() > kMaxPieces ? std::nullopt : std::optional(std::move(out));
  });
}

/// a + sign * b for floats.
Formula IndexAnalysis::sum(const Formula &a, const Formula &b, double sign) {
  auto add = [&](double x, double y) { return x + sign * y; };
  if (!a.slope && !b.slope) {
    Formula f = combine(a, b, add);
    return f || !a.linear || !b.linear ? f : Formula::of(*a.linear + *b.linear * (sign < 0 ? -1 : 1));
  }
  auto rest = [&](const Formula &f) { return f.slope && !f.pieces ? std::optional(Pieces::constant(0)) : asPieces(f); };
  auto pa = rest(a), pb = rest(b);
  if ((a.slope && b.slope) || !pa || !pb)
    return {};
  Formula f = Formula::of(zipPieces(*pa, *pb, add));
  f.slope = a.slope ? a.slope : b.slope;
  if (!a.slope)
    f.slope->scale *= sign;
  return f;
}

/// a * b for floats.
Formula IndexAnalysis::product(const Formula &a, const Formula &b) {
  if (b.slope && !a.slope)
    return product(b, a);
  if (a.slope && !b.slope) {
    auto p = asPieces(b);
    Formula f = a;
    if (auto c = p ? p->asConstant() : std::nullopt) {
      f.slope->scale *= *c;
      if (f.pieces)
        f.pieces = zipPieces(*f.pieces, *p, [](double x, double y) { return x * y; });
      return f;
    }
    if (!b.linear || a.pieces || !a.slope->factor.asConstant())
      return {};
    f.slope->factor = *b.linear * *a.slope->factor.asConstant();
    return f;
  }
  if (a.slope)
    return {};
  if (Formula f = combine(a, b, [](double x, double y) { return x == 0 || y == 0 ? 0.0 : x * y; }))
    return f;
  // An integer times a whole number stays linear.
  auto whole = [&](const Formula &f) -> std::optional<int64_t> {
    auto p = asPieces(f);
    auto c = p ? p->asConstant() : std::nullopt;
    return c && *c == std::floor(*c) && std::abs(*c) < 1e9 ? std::optional(static_cast<int64_t>(*c)) : std::nullopt;
  };
  if (auto c = whole(b); c && a.linear)
    return Formula::of(*a.linear * *c);
  if (auto c = whole(a); c && b.linear)
    return Formula::of(*b.linear * *c);
  return {};
}

/// |±distance|, taken where the distance is not positive.
Formula IndexAnalysis::absolute(const Formula &f) {
  if (auto p = asPieces(f))
    return Formula::of(zipPieces(*p, Pieces::constant(0), [](double a, double) { return std::abs(a); }));
  if (!f.linear || distance.terms.empty())
    return {};
  if (int s = sign(*f.linear); s > 0)
    return f;
  if (*f.linear == distance || *f.linear == distance * -1) {
    behind = true;
    return Formula::of(distance * -1);
  }
  return {};
}

Formula IndexAnalysis::select(const Formula &c, const Formula &a, const Formula &b) {
  if (auto pc = asPieces(c); !pc && !c.choice)
    return {};
  else if (auto truth = pc ? pc->asConstant() : std::nullopt)
    return *truth != 0 ? a : b;
  // A slope on one side, and what hides a key on the other.
  if (a.slope || b.slope) {
    const Formula &sloped = a.slope ? a : b, &other = a.slope ? b : a;
    auto hidden = other.slope ? std::nullopt : asPieces(other);
    auto low = hidden ? hidden->asConstant() : std::nullopt;
    if (!low || !(*low <= -1e4))
      return {};
    Formula rest = Formula::of(sloped.pieces.value_or(Pieces::constant(0)));
    Formula f = a.slope ? select(c, rest, other) : select(c, other, rest);
    if (f)
      f.slope = sloped.slope;
    return f;
  }
  return join({c, a, b}, [](ArrayRef<Pieces> p) -> std::optional<Pieces> {
    Pieces taken = zipPieces(p[0], p[1], [](double c, double v) { return c != 0 ? v : NAN; });
    // NaN marks "not taken"; a NaN value of the program itself makes the answer unknown.
    for (auto &piece : p[1].pieces)
      if (std::isnan(piece.value))
        return std::nullopt;
    return zipPieces(taken, p[2], [](double v, double other) { return std::isnan(v) ? other : v; });
  });
}

static bool holds(int64_t difference, arith::CmpIPredicate p) {
  switch (p) {
  case arith::CmpIPredicate::eq:
    return difference == 0;
  case arith::CmpIPredicate::ne:
    return difference != 0;
  case arith::CmpIPredicate::slt:
  case arith::CmpIPredicate::ult:
    return difference < 0;
  case arith::CmpIPredicate::sle:
  case arith::CmpIPredicate::ule:
    return difference <= 0;
  case arith::CmpIPredicate::sgt:
  case arith::CmpIPredicate::ugt:
    return difference > 0;
  case arith::CmpIPredicate::sge:
  case arith::CmpIPredicate::uge:
    return difference >= 0;
  }
  llvm_unreachable("unknown predicate");
}

Formula IndexAnalysis::compare(int predicate, const Formula &a, const Formula &b) {
  auto p = static_cast<arith::CmpIPredicate>(predicate);
  if (Formula f = combine(a, b, [&](double x, double y) { return holds(x < y ? -1 : x > y, p) ? 1.0 : 0.0; }))
    return f;
  if (!a.linear || !b.linear)
    return {};
  Linear difference = *a.linear - *b.linear;
  // The sign may be the same for all indices.
  int negative = sign(difference), positive = sign(difference * -1);
  if (negative < 0 || positive < 0)
    return Formula::of(holds(negative < 0 ? -1 : 1, p) ? 1.0 : 0.0);
  if (negative > 0 && (p == arith::CmpIPredicate::sge || p == arith::CmpIPredicate::slt))
    return Formula::of(p == arith::CmpIPredicate::sge ? 1.0 : 0.0);
  if (positive > 0 && (p == arith::CmpIPredicate::sle || p == arith::CmpIPredicate::sgt))
    return Formula::of(p == arith::CmpIPredicate::sle ? 1.0 : 0.0);
  if (distance.terms.empty())
    return {};
  for (int64_t s : {1, -1})
    if (auto c = (difference - distance * s).asConstant()) {
      // difference = s * d + c changes sign around d0 = -c * s.
      int64_t d0 = -*c * s;
      Pieces out;
      append(out, INT64_MIN, holds(-s, p));
      append(out, d0, holds(0, p));
      append(out, d0 + 1, holds(s, p));
      return Formula::of(std::move(out));
    }
  if (!choices || !difference.isKnown() || p > arith::CmpIPredicate::sge) // unsigned ones are no test of the difference
    return {};
  auto end = [](double value) { return std::make_shared<const Choice>(Choice{std::nullopt, nullptr, nullptr, Pieces::constant(value)}); };
  Formula f;
  f.choice = std::make_shared<const Choice>(Choice{Choice::Test{p, difference}, end(1), end(0), {}});
  return f;
}

Formula IndexAnalysis::band(ArrayRef<int64_t> shape, ArrayRef<Linear> indices, llvm::function_ref<double(int64_t)> at) {
  // What is asked for: all of one axis or of two, at a fixed place of the others.
  SmallVector<int64_t, 2> axes;
  SmallVector<int64_t> strides(shape.size(), 1);
  int64_t base = 0;
  for (int64_t i = static_cast<int64_t>(shape.size()) - 1; i >= 0; --i) {
    if (i + 1 < static_cast<int64_t>(shape.size()))
      strides[i] = strides[i + 1] * shape[i + 1];
    auto c = indices[i].asConstant();
    if (c && (*c < 0 || *c >= shape[i]))
      return {};
    if (c)
      base += *c * strides[i];
    else
      axes.push_back(i);
  }
  if (axes.empty() || axes.size() > 2)
    return {};
  int64_t row = axes.back(), column = axes.front(); // found from the last axis on
  int64_t rows = axes.size() == 2 ? shape[row] : 1, columns = shape[column];
  if (rows == 0 || columns == 0)
    return {};
  // One value for each diagonal, if each has only one.
  std::vector<double> diagonals(rows + columns - 1);
  std::vector<bool> known(diagonals.size());
  bool constant = true;
  double first = at(base);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      double v = at(base + i * (rows > 1 ? strides[row] : 0) + j * strides[column]);
      int64_t e = j - i + rows - 1;
      constant &= v == first;
      if (known[e] && !(diagonals[e] == v))
        return {};
      diagonals[e] = v, known[e] = true;
    }
  if (constant)
    return Formula::of(first);
  if (axes.size() != 2 || distance.terms.empty())
    return {};
  Linear difference = indices[column] - indices[row];
  for (int64_t s : {1, -1})
    if (auto c = (difference - distance * s).asConstant()) {
      Pieces out;
      for (int64_t n = static_cast<int64_t>(diagonals.size()), k = 0; k < n; ++k) {
        int64_t e = s > 0 ? k : n - 1 - k; // ascending distance
        append(out, k == 0 ? INT64_MIN : (e - (rows - 1) - *c) * s, diagonals[e]);
      }
      return out.pieces.size() > kMaxPieces ? Formula() : Formula::of(std::move(out));
    }
  return {};
}

Formula IndexAnalysis::ramp(ArrayRef<int64_t> shape, ArrayRef<Linear> indices, llvm::function_ref<double(int64_t)> at) {
  std::optional<int64_t> heads, along;
  int64_t base = 0, headStride = 0, stride = 0, step = 1;
  for (int64_t i = static_cast<int64_t>(shape.size()) - 1; i >= 0; step *= shape[i], --i) {
    if (auto c = indices[i].asConstant()) {
      if (*c < 0 || *c >= shape[i])
        return {};
      base += *c * step;
    } else if (head && indices[i] == Linear::formal(*head) && !heads) {
      heads = i, headStride = step;
    } else if (!along) {
      along = i, stride = step;
    } else {
      return {};
    }
  }
  if (!heads || !along || shape[*along] < 2)
    return {};
  Slope slope{Value(), {}, indices[*along], {}};
  int64_t n = shape[*along];
  for (int64_t h = 0; h < shape[*heads]; ++h) {
    auto value = [&](int64_t j) { return at(base + h * headStride + j * stride); };
    double first = value(0), each = (value(n - 1) - first) / static_cast<double>(n - 1);
    for (int64_t j = 0; j < n; ++j)
      if (!(std::abs(value(j) - first - each * static_cast<double>(j)) <=
            1e-6 * (1 + std::abs(first) + std::abs(each) * static_cast<double>(j))))
        return {};
    slope.values.push_back(each);
  }
  return Formula::of(std::move(slope));
}

} // namespace leat::stream
