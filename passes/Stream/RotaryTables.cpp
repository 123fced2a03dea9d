// Reads the frequencies back from rotary tables.
#include "passes/Stream/RotaryTables.h"
#include "passes/Stream/ParamTable.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include <cmath>

using namespace mlir;

namespace leat::stream {

namespace {

/// A lookup `table[position, i]` as the whole body of a linalg.generic.
struct Lookup {
  linalg::GenericOp op;
  tensor::ExtractOp extract;
  ParamRefOp table;
  Value position; // as it was before it was clamped to the table, inside the body
};

/// Undoes the clamps that import puts around an index into an axis of `size`.
Value unclamped(Value v, int64_t size) {
  auto isConstant = [](Value c, int64_t n) { return getConstantIntValue(c) == n; };
  if (auto max = v.getDefiningOp<arith::MaxSIOp>(); max && isConstant(max.getRhs(), 0))
    v = max.getLhs();
  if (auto min = v.getDefiningOp<arith::MinSIOp>(); min && isConstant(min.getRhs(), size - 1))
    v = min.getLhs();
  if (auto select = v.getDefiningOp<arith::SelectOp>())
    if (auto compare = select.getCondition().getDefiningOp<arith::CmpIOp>())
      if (compare.getPredicate() == arith::CmpIPredicate::slt && compare.getLhs() == select.getFalseValue() &&
          isConstant(compare.getRhs(), 0))
        v = select.getFalseValue();
  return v;
}

std::optional<Lookup> matchLookup(Value v) {
  auto op = v.getDefiningOp<linalg::GenericOp>();
  if (!op || op->getNumResults() != 1)
    return std::nullopt;
  auto extract = op.getBody()->getTerminator()->getOperand(0).getDefiningOp<tensor::ExtractOp>();
  if (!extract || extract.getIndices().size() != 2)
    return std::nullopt;
  auto table = extract.getTensor().getDefiningOp<ParamRefOp>();
  auto column = extract.getIndices()[1].getDefiningOp<linalg::IndexOp>();
  if (!table || !column || column.getDim() + 1 != op.getNumLoops())
    return std::nullopt;
  return Lookup{op, extract, table, unclamped(extract.getIndices()[0], table.getType().getDimSize(0))};
}

struct Fit {
  std::vector<double> frequency;
  double amplitude = 1;
};

/// cos[p][i] = a * cos(p * f_i) and sin likewise, for all p and i; nothing when the tables are something else.
std::optional<Fit> fit(const std::vector<double> &cos, const std::vector<double> &sin, int64_t rows, int64_t columns, double precision) {
  if (rows < 2 || cos.size() != sin.size() || cos.empty())
    return std::nullopt;
  Fit result;
  result.amplitude = std::hypot(cos[0], sin[0]);
  for (int64_t i = 0; i < columns; ++i) {
    // From row to twice the row the frequency is known well enough to count the turns.
    double f = 0;
    for (int64_t p = 1;; p = std::min(2 * p, rows - 1)) {
      double angle = std::atan2(sin[p * columns + i], cos[p * columns + i]);
      f += std::remainder(angle - static_cast<double>(p) * f, 2 * M_PI) / static_cast<double>(p);
      if (p == rows - 1)
        break;
    }
    for (int64_t p = 0; p < rows; ++p) {
      double angle = static_cast<double>(p) * f, tolerance = result.amplitude * (precision + std::abs(angle) * 0x1p-22);
      if (!(std::abs(result.amplitude * std::cos(angle) - cos[p * columns + i]) <= tolerance) ||
          !(std::abs(result.amplitude * std::sin(angle) - sin[p * columns + i]) <= tolerance))
        return std::nullopt;
    }
    result.frequency.push_back(f);
  }
  return result;
}

void rewrite(Lookup &lookup, const Fit &fit, bool cosine) {
  OpBuilder outside(lookup.op);
  Location loc = lookup.op.getLoc();
  auto type = RankedTensorType::get({static_cast<int64_t>(fit.frequency.size())}, outside.getF64Type());
  Value frequencies = arith::ConstantOp::create(outside, loc, DenseElementsAttr::get(type, ArrayRef(fit.frequency)));
  OpBuilder b(lookup.extract);
  auto f64 = [&](double v) -> Value { return arith::ConstantOp::create(b, loc, b.getF64FloatAttr(v)); };
  Value position = lookup.position;
  if (position.getType().isIndex())
    position = arith::IndexCastOp::create(b, loc, b.getI64Type(), position);
  Value p = arith::SIToFPOp::create(b, loc, b.getF64Type(), position);
  Value f = tensor::ExtractOp::create(b, loc, frequencies, lookup.extract.getIndices()[1]);
  // The angle is reduced in f64, so that it is as exact at token ten million as at the first.
  Value angle = arith::MulFOp::create(b, loc, p, f);
  Value half = arith::AddFOp::create(b, loc, arith::MulFOp::create(b, loc, angle, f64(1 / (2 * M_PI))), f64(0.5));
  Value turns = arith::SIToFPOp::create(b, loc, b.getF64Type(), arith::FPToSIOp::create(b, loc, b.getI64Type(), half));
  Value rest = arith::SubFOp::create(b, loc, angle, arith::MulFOp::create(b, loc, turns, f64(2 * M_PI)));
  Value reduced = arith::TruncFOp::create(b, loc, b.getF32Type(), rest);
  Value y = cosine ? math::CosOp::create(b, loc, reduced).getResult() : math::SinOp::create(b, loc, reduced).getResult();
  if (std::abs(fit.amplitude - 1) > 1e-6)
    y = arith::MulFOp::create(b, loc, y, arith::ConstantOp::create(b, loc, b.getF32FloatAttr(static_cast<float>(fit.amplitude))));
  Type element = lookup.extract.getType();
  if (!element.isF32())
    y = arith::TruncFOp::create(b, loc, element, y);
  lookup.extract.getResult().replaceAllUsesWith(y);
  lookup.extract.erase();
}

} // namespace

LogicalResult extendRotaryTables(func::FuncOp function) {
  llvm::DenseMap<std::pair<Attribute, Attribute>, Fit> fits;
  SmallVector<RotaryOp> rotaries;
  function.walk([&](RotaryOp op) { rotaries.push_back(op); });
  llvm::SmallPtrSet<Operation *, 8> done;
  for (RotaryOp rotary : rotaries) {
    auto cos = matchLookup(rotary.getCos()), sin = matchLookup(rotary.getSin());
    if (!cos || !sin)
      continue; // computed already
    auto key = std::make_pair(Attribute(cos->table.getParamAttr()), Attribute(sin->table.getParamAttr()));
    auto known = fits.find(key);
    if (known == fits.end()) {
      auto type = cast<RankedTensorType>(cos->table.getType());
      double precision = type.getElementType().isF32() ? 2e-6 : type.getElementType().isF16() ? 1e-3 : 8e-3;
      std::optional<Fit> found;
      if (type == sin->table.getType())
        found = fit(readTable(cos->table), readTable(sin->table), type.getDimSize(0), type.getDimSize(1), precision);
      if (!found)
        return rotary.emitError("the cache policy does not apply: the rotary tables ")
               << cos->table.getParam() << " and " << sin->table.getParam() << " end at position " << type.getDimSize(0)
               << " and are not cos and sin of position * frequency, so Leat cannot continue them";
      known = fits.insert({key, std::move(*found)}).first;
    }
    if (done.insert(cos->op).second)
      rewrite(*cos, known->second, true);
    if (done.insert(sin->op).second)
      rewrite(*sin, known->second, false);
  }
  return success();
}

} // namespace leat::stream
