// Index arithmetic in a normal form: polynomials with integer coefficients over opaque values.
#include "passes/Import/IndexMath.h"

#include "mlir/IR/Matchers.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace leat::import {

static const std::vector<unsigned> constantTerm;

static void addTerm(std::map<std::vector<unsigned>, int64_t> &p, const std::vector<unsigned> &m, int64_t c, bool &overflow) {
  int64_t &slot = p[m];
  overflow |= llvm::AddOverflow(slot, c, slot);
  if (slot == 0)
    p.erase(m);
}

IndexMath::Poly IndexMath::poly(Index a) {
  auto constantPoly = [](int64_t v) {
    Poly p;
    if (v != 0)
      p[constantTerm] = v;
    return p;
  };
  if (auto attr = dyn_cast<Attribute>(a))
    return constantPoly(cast<IntegerAttr>(attr).getValue().getSExtValue());
  Value v = cast<Value>(a);
  if (auto it = known.find(v); it != known.end())
    return it->second;
  APInt c;
  Poly p;
  if (matchPattern(v, m_ConstantInt(&c))) {
    p = constantPoly(c.getSExtValue());
  } else {
    p[{static_cast<unsigned>(atoms.size())}] = 1;
    atoms.push_back(v);
    atomNonNegative.push_back(false);
  }
  known[v] = p;
  return p;
}

void IndexMath::assumeNonNegative(Value v) {
  Poly p = poly(v);
  if (p.size() == 1 && p.begin()->first.size() == 1 && p.begin()->second == 1)
    atomNonNegative[p.begin()->first[0]] = true;
}

bool IndexMath::nonNegative(const Poly &p) {
  return llvm::all_of(
      p, [&](const auto &term) { return term.second >= 0 && llvm::all_of(term.first, [&](unsigned a) { return atomNonNegative[a]; }); });
}
bool IndexMath::nonNegative(Index a) { return nonNegative(poly(a)); }

bool IndexMath::atLeast(Index a, Index b) {
  Poly p = poly(a);
  bool overflow = false;
  for (auto &[m, c] : poly(b)) {
    overflow |= c == INT64_MIN;
    addTerm(p, m, overflow ? 0 : -c, overflow);
  }
  return !overflow && nonNegative(p);
}

std::optional<int64_t> IndexMath::asConstant(Index a) {
  if (auto attr = dyn_cast<Attribute>(a))
    return cast<IntegerAttr>(attr).getValue().getSExtValue();
  Poly p = poly(a);
  if (p.empty())
    return 0;
  if (p.size() == 1 && p.begin()->first.empty())
    return p.begin()->second;
  return std::nullopt;
}

bool IndexMath::dependsOn(Index a, Region *region) {
  return llvm::any_of(poly(a), [&](const auto &term) {
    return llvm::any_of(term.first, [&](unsigned atom) { return region->isAncestor(atoms[atom].getParentRegion()); });
  });
}

bool IndexMath::equal(Index a, Index b) { return a == b || poly(a) == poly(b); }

Value IndexMath::lookup(const Poly &p) {
  for (Scope &scope : llvm::reverse(scopes))
    if (auto it = scope.polys.find(p); it != scope.polys.end())
      return it->second;
  return {};
}

void IndexMath::remember(Value v, const Poly &p) {
  known[v] = p;
  scopes.back().polys[p] = v;
}

Value IndexMath::emitMonomial(const Monomial &m) {
  if (m.size() == 1)
    return atoms[m[0]];
  Poly p{{m, 1}};
  if (Value v = lookup(p))
    return v;
  Monomial rest(m.begin(), m.end() - 1);
  Value v = arith::MulIOp::create(ops, loc, emitMonomial(rest), atoms[m.back()]);
  remember(v, p);
  return v;
}

IndexMath::Index IndexMath::emit(const Poly &p) {
  if (p.empty())
    return constant(0);
  if (p.size() == 1) {
    auto &[m, c] = *p.begin();
    if (m.empty())
      return constant(c);
    if (c == 1)
      return emitMonomial(m);
  }
  if (Value v = lookup(p))
    return v;
  // Terms with a variable first, the constant last.
  Value sum;
  auto accumulate = [&](const Monomial &m, int64_t c) {
    Poly term{{m, c}};
    Value v = lookup(term);
    if (!v && m.empty())
      v = value(constant(c));
    else if (!v && (c == 1 || (c == -1 && sum)))
      v = emitMonomial(m);
    else if (!v) {
      Value factor = value(constant(c));
      v = arith::MulIOp::create(ops, loc, emitMonomial(m), factor);
      remember(v, term);
    }
    if (!sum)
      sum = v;
    else if (c == -1 && !m.empty() && !lookup(term))
      sum = arith::SubIOp::create(ops, loc, sum, v);
    else
      sum = arith::AddIOp::create(ops, loc, sum, v);
  };
  for (int sign : {1, -1})
    for (auto &[m, c] : p)
      if (!m.empty() && (c > 0) == (sign > 0))
        accumulate(m, c);
  if (auto it = p.find(constantTerm); it != p.end())
    accumulate(it->first, it->second);
  remember(sum, p);
  return sum;
}

IndexMath::Index IndexMath::opaque(StringRef name, ArrayRef<Index> operands, llvm::function_ref<Value()> make, bool isNonNegative) {
  OpaqueKey key{name.str(), {}};
  for (Index o : operands)
    key.second.push_back(poly(o));
  for (Scope &scope : llvm::reverse(scopes))
    if (auto it = scope.opaques.find(key); it != scope.opaques.end())
      return it->second;
  Value v = make();
  scopes.back().opaques[key] = v;
  poly(v);
  if (isNonNegative)
    assumeNonNegative(v);
  return v;
}

IndexMath::Index IndexMath::add(Index a, Index b) {
  Poly p = poly(a);
  bool overflow = false;
  for (auto &[m, c] : poly(b))
    addTerm(p, m, c, overflow);
  if (overflow)
    return opaque("add", {a, b}, [&] { return arith::AddIOp::create(ops, loc, value(a), value(b)); }, false);
  return emit(p);
}

IndexMath::Index IndexMath::sub(Index a, Index b) {
  Poly p = poly(a);
  bool overflow = false;
  for (auto &[m, c] : poly(b)) {
    overflow |= c == INT64_MIN;
    addTerm(p, m, overflow ? 0 : -c, overflow);
  }
  if (overflow)
    return opaque("sub", {a, b}, [&] { return arith::SubIOp::create(ops, loc, value(a), value(b)); }, false);
  return emit(p);
}

IndexMath::Index IndexMath::mul(Index a, Index b) {
  Poly result;
  bool overflow = false;
  Poly pa = poly(a), pb = poly(b);
  for (auto &[ma, ca] : pa)
    for (auto &[mb, cb] : pb) {
      Monomial m = ma;
      m.insert(m.end(), mb.begin(), mb.end());
      llvm::sort(m);
      int64_t c;
      overflow |= llvm::MulOverflow(ca, cb, c);
      addTerm(result, m, c, overflow);
    }
  if (overflow || result.size() > 16)
    return opaque("mul", {a, b}, [&] { return arith::MulIOp::create(ops, loc, value(a), value(b)); }, nonNegative(pa) && nonNegative(pb));
  return emit(result);
}

IndexMath::Index IndexMath::product(ArrayRef<Index> list) {
  Index result = constant(1);
  for (Index v : list)
    result = mul(result, v);
  return result;
}

std::optional<IndexMath::Poly> IndexMath::divideExactly(const Poly &p, const Poly &q) {
  if (q.empty())
    return std::nullopt;
  // Long division by the leading terms: those of the highest degree, of these the last.
  auto leading = [](const Poly &poly) {
    return std::max_element(poly.begin(), poly.end(), [](const auto &a, const auto &b) {
      return a.first.size() != b.first.size() ? a.first.size() < b.first.size() : a.first < b.first;
    });
  };
  auto &[qm, qc] = *leading(q);
  Poly rest = p, result;
  bool overflow = false;
  while (!rest.empty()) {
    auto &[m, c] = *leading(rest);
    if ((c == INT64_MIN && qc == -1) || c % qc != 0 || !std::includes(m.begin(), m.end(), qm.begin(), qm.end()))
      return std::nullopt;
    Monomial factor;
    std::set_difference(m.begin(), m.end(), qm.begin(), qm.end(), std::back_inserter(factor));
    int64_t times = c / qc;
    addTerm(result, factor, times, overflow);
    for (auto &[term, count] : q) {
      Monomial product;
      std::merge(factor.begin(), factor.end(), term.begin(), term.end(), std::back_inserter(product));
      int64_t amount;
      overflow |= llvm::MulOverflow(count, times, amount) || amount == INT64_MIN;
      if (overflow || result.size() > 16)
        return std::nullopt;
      addTerm(rest, product, -amount, overflow);
    }
  }
  return overflow ? std::nullopt : std::optional(result);
}

IndexMath::Index IndexMath::div(Index a, Index b) {
  auto ca = asConstant(a), cb = asConstant(b);
  if (cb && *cb == 1)
    return a;
  if (ca && cb && *cb != 0 && !(*ca == INT64_MIN && *cb == -1))
    return constant(*ca / *cb);
  Poly pa = poly(a), pb = poly(b);
  if (cb && *cb == -1)
    return sub(constant(0), a);
  if (auto exact = divideExactly(pa, pb))
    return emit(*exact);
  return opaque("div", {a, b}, [&] { return arith::DivSIOp::create(ops, loc, value(a), value(b)); }, nonNegative(pa) && nonNegative(pb));
}

IndexMath::Index IndexMath::floorDiv(Index a, Index b) {
  auto ca = asConstant(a), cb = asConstant(b);
  if (ca && cb && *cb != 0)
    return constant(llvm::divideFloorSigned(*ca, *cb));
  if (divideExactly(poly(a), poly(b)) || (nonNegative(a) && nonNegative(b)))
    return div(a, b);
  // q = a / b towards zero, one less when the remainder has another sign than the divisor.
  Index rest = mod(a, b);
  return div(sub(a, rest), b);
}

IndexMath::Index IndexMath::ceilDiv(Index a, Index b) {
  if (nonNegative(a) && nonNegative(b)) {
    if (divideExactly(poly(a), poly(b)))
      return div(a, b);
    return div(sub(add(a, b), constant(1)), b);
  }
  return sub(constant(0), floorDiv(sub(constant(0), a), b));
}

IndexMath::Index IndexMath::mod(Index a, Index b, bool truncated) {
  auto ca = asConstant(a), cb = asConstant(b);
  if (ca && cb && *cb != 0) {
    int64_t r = *cb == -1 ? 0 : *ca % *cb;
    if (!truncated && r != 0 && (r < 0) != (*cb < 0))
      r += *cb;
    return constant(r);
  }
  if (divideExactly(poly(a), poly(b)))
    return constant(0);
  bool simple = nonNegative(a) && nonNegative(b);
  Index r = opaque("rem", {a, b}, [&] { return arith::RemSIOp::create(ops, loc, value(a), value(b)); }, simple);
  if (truncated || simple)
    return r;
  return opaque(
      "mod", {a, b},
      [&]() -> Value {
        Value zero = value(constant(0)), rv = value(r), bv = value(b);
        Value isZero = arith::CmpIOp::create(ops, loc, arith::CmpIPredicate::eq, rv, zero);
        Value rNeg = arith::CmpIOp::create(ops, loc, arith::CmpIPredicate::slt, rv, zero);
        Value bNeg = arith::CmpIOp::create(ops, loc, arith::CmpIPredicate::slt, bv, zero);
        Value same = arith::CmpIOp::create(ops, loc, arith::CmpIPredicate::eq, rNeg, bNeg);
        Value keep = arith::OrIOp::create(ops, loc, isZero, same);
        Value sum = arith::AddIOp::create(ops, loc, rv, bv);
        return arith::SelectOp::create(ops, loc, keep, rv, sum);
      },
      nonNegative(b));
}

IndexMath::Index IndexMath::min(Index a, Index b) {
  auto ca = asConstant(a), cb = asConstant(b);
  if (ca && cb)
    return constant(std::min(*ca, *cb));
  if (atLeast(a, b))
    return b;
  if (atLeast(b, a))
    return a;
  Index r = opaque("min", {a, b}, [&] { return arith::MinSIOp::create(ops, loc, value(a), value(b)); }, nonNegative(a) && nonNegative(b));
  if (cb)
    minimums[cast<Value>(r)] = {value(a), *cb};
  if (ca)
    minimums[cast<Value>(r)] = {value(b), *ca};
  return r;
}

IndexMath::Index IndexMath::max(Index a, Index b) {
  auto ca = asConstant(a), cb = asConstant(b);
  if (ca && cb)
    return constant(std::max(*ca, *cb));
  if (atLeast(a, b))
    return a;
  if (atLeast(b, a))
    return b;
  return opaque("max", {a, b}, [&] { return arith::MaxSIOp::create(ops, loc, value(a), value(b)); }, nonNegative(a) || nonNegative(b));
}

std::optional<std::pair<IndexMath::Index, int64_t>> IndexMath::asMinWithConstant(Index a) {
  auto v = dyn_cast<Value>(a);
  if (!v)
    return std::nullopt;
  auto it = minimums.find(v);
  if (it == minimums.end())
    return std::nullopt;
  return std::make_pair(Index(it->second.first), it->second.second);
}

IndexMath::Index IndexMath::selectEqual(Index a, int64_t key, Index b, Index c) {
  if (auto ca = asConstant(a))
    return *ca == key ? b : c;
  if (equal(b, c))
    return b;
  if (key < 0 && nonNegative(a))
    return c;
  return opaque(
      "selecteq" + std::to_string(key), {a, b, c},
      [&]() -> Value {
        Value cond = arith::CmpIOp::create(ops, loc, arith::CmpIPredicate::eq, value(a), value(constant(key)));
        return arith::SelectOp::create(ops, loc, cond, value(b), value(c));
      },
      nonNegative(b) && nonNegative(c));
}

IndexMath::Index IndexMath::select(Value condition, Index b, Index c) {
  if (equal(b, c))
    return b;
  return opaque(
      "select", {Index(condition), b, c}, [&]() -> Value { return arith::SelectOp::create(ops, loc, condition, value(b), value(c)); },
      nonNegative(b) && nonNegative(c));
}

IndexMath::Index IndexMath::selectNegative(Index a, Index b, Index c) {
  if (auto ca = asConstant(a))
    return *ca < 0 ? b : c;
  if (nonNegative(a) || equal(b, c))
    return c;
  return opaque(
      "selectneg", {a, b, c},
      [&]() -> Value {
        Value cond = arith::CmpIOp::create(ops, loc, arith::CmpIPredicate::slt, value(a), value(constant(0)));
        return arith::SelectOp::create(ops, loc, cond, value(b), value(c));
      },
      nonNegative(b) && nonNegative(c));
}

Value IndexMath::value(Index a) {
  if (auto v = dyn_cast<Value>(a))
    return v;
  int64_t c = cast<IntegerAttr>(cast<Attribute>(a)).getValue().getSExtValue();
  OpaqueKey key{"constant", {poly(a)}};
  for (Scope &scope : llvm::reverse(scopes))
    if (auto it = scope.opaques.find(key); it != scope.opaques.end())
      return it->second;
  Value v = arith::ConstantIndexOp::create(ops, loc, c);
  scopes.back().opaques[key] = v;
  return v;
}

SmallVector<Value> IndexMath::values(ArrayRef<Index> list) {
  return llvm::map_to_vector(list, [&](Index a) { return value(a); });
}

IndexMath::Index IndexMath::fromInteger(Value v) {
  if (v.getType().isIndex())
    return v;
  APInt c;
  if (matchPattern(v, m_ConstantInt(&c)))
    return constant(c.getSExtValue());
  if (auto castOp = v.getDefiningOp<arith::IndexCastOp>())
    return castOp.getIn();
  Type index = ops.getIndexType();
  for (Scope &scope : llvm::reverse(scopes))
    if (Value made = scope.casts.lookup({v, index}))
      return made;
  Value made = arith::IndexCastOp::create(ops, loc, index, v);
  scopes.back().casts[{v, index}] = made;
  return made;
}

Value IndexMath::toInteger(Index a, Type type) {
  if (type.isIndex())
    return value(a);
  if (auto c = asConstant(a))
    return arith::ConstantOp::create(
        ops, loc, ops.getIntegerAttr(type, APInt(64, *c, true).sextOrTrunc(type.getIntOrFloatBitWidth()).getSExtValue()));
  Value v = value(a);
  for (Scope &scope : llvm::reverse(scopes))
    if (Value made = scope.casts.lookup({v, type}))
      return made;
  Value made = arith::IndexCastOp::create(ops, loc, type, v);
  scopes.back().casts[{v, type}] = made;
  return made;
}

} // namespace leat::import
