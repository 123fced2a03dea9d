// Abstract interpretation of the small tensor programs that compute masks, positions and lengths.
#include "passes/Stream/IndexAnalysis.h"
#include "passes/Stream/ParamTable.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>

using namespace mlir;

namespace leat::stream {

static constexpr unsigned kMaxDepth = 200; // recursion bound; deeper programs are "unknown"

/// Whether `v`, a position or a size of at most `size`, cuts a piece from an axis of that static size (larger than one).
static bool cutsTable(Value v, int64_t size, unsigned hops = 0) {
  if (size <= 1)
    return false;
  for (OpOperand &use : v.getUses()) {
    Operation *user = use.getOwner();
    if (auto slice = dyn_cast<tensor::ExtractSliceOp>(user)) {
      auto source = cast<RankedTensorType>(slice.getSource().getType());
      for (auto [axis, offset, length] : llvm::enumerate(slice.getMixedOffsets(), slice.getMixedSizes()))
        if ((offset == OpFoldResult(v) || length == OpFoldResult(v)) && source.getDimSize(axis) == size)
          return true;
    } else if (hops < 3 && isa<arith::SubIOp, arith::MaxSIOp, arith::MinSIOp>(user) && cutsTable(user->getResult(0), size, hops + 1)) {
      return true;
    }
  }
  return false;
}

/// Whether `v`, of at most `last`, is a position in an axis of size last + 1.
static bool indexesTable(Value v, int64_t last) {
  for (OpOperand &use : v.getUses()) {
    auto extract = dyn_cast<tensor::ExtractOp>(use.getOwner());
    if (extract && use.getOperandNumber() > 0 &&
        cast<RankedTensorType>(extract.getTensor().getType()).getDimSize(use.getOperandNumber() - 1) == last + 1)
      return true;
    if (isa<arith::MaxSIOp>(use.getOwner()) && indexesTable(use.getOwner()->getResult(0), last))
      return true;
  }
  return false;
}

//===--- Scalars --------------------------------------------------------------------------------------------------===//

Linear IndexAnalysis::index(Value v) {
  if (depth > kMaxDepth)
    return Linear::value(v);
  APInt constant;
  if (matchPattern(v, m_ConstantInt(&constant)))
    return Linear(constant.getSExtValue());
  Operation *def = v.getDefiningOp();
  if (!def)
    return Linear::value(v);
  ++depth;
  Linear result = llvm::TypeSwitch<Operation *, Linear>(def)
                      .Case<arith::AddIOp>([&](auto op) { return index(op.getLhs()) + index(op.getRhs()); })
                      .Case<arith::SubIOp>([&](auto op) { return index(op.getLhs()) - index(op.getRhs()); })
                      .Case<arith::MulIOp>([&](auto op) {
                        Linear a = index(op.getLhs()), b = index(op.getRhs());
                        if (auto c = b.asConstant())
                          return a * *c;
                        if (auto c = a.asConstant())
                          return b * *c;
                        return Linear::value(v);
                      })
                      .Case<arith::IndexCastOp, arith::ExtSIOp, arith::TruncIOp>([&](auto op) { return index(op.getIn()); })
                      .Case<tensor::DimOp>([&](tensor::DimOp op) {
                        auto axis = op.getConstantIndex();
                        return axis ? size(op.getSource(), *axis) : Linear::value(v);
                      })
                      .Case<tensor::ExtractOp>([&](tensor::ExtractOp op) {
                        SmallVector<Linear> at;
                        for (Value i : op.getIndices())
                          at.push_back(index(i));
                        Formula f = element(op.getTensor(), at);
                        if (f.linear && f.linear->isKnown())
                          return *f.linear;
                        if (f.pieces && f.pieces->asConstant() && v.getType().isIntOrIndex())
                          return Linear(static_cast<int64_t>(*f.pieces->asConstant()));
                        return Linear::value(v);
                      })
                      .Case<arith::MaxSIOp, arith::MinSIOp>([&](auto op) {
                        bool max = isa<arith::MaxSIOp>(def);
                        Linear a = index(op.getLhs()), b = index(op.getRhs());
                        if (const Linear *known = extreme(a, b, max))
                          return *known;
                        if (withinTables && !max && b.asConstant() && cutsTable(v, *b.asConstant()))
                          return a;
                        if (withinTables && !max && a.asConstant() && cutsTable(v, *a.asConstant()))
                          return b;
                        // What is left of a table in front of its last entries.
                        if (withinTables && max && b.asConstant() == 0 && cutsTable(v, a.constant))
                          return a;
                        if (withinTables && max && a.asConstant() == 0 && cutsTable(v, b.constant))
                          return b;
                        return Linear::value(v);
                      })
                      .Case<arith::SelectOp>([&](arith::SelectOp op) {
                        Formula c = scalar(op.getCondition(), {}, Known());
                        auto truth = c.pieces ? c.pieces->asConstant() : std::nullopt;
                        if (Linear a = index(op.getTrueValue()), b = index(op.getFalseValue()); !truth) {
                          if (a == b)
                            return a;
                          // x < 0 ? x + n : x, a place in a table of n entries, counted from its end where it is negative.
                          auto less = op.getCondition().getDefiningOp<arith::CmpIOp>();
                          auto n = (a - b).asConstant();
                          if (withinTables && n && less && less.getPredicate() == arith::CmpIPredicate::slt && index(less.getLhs()) == b &&
                              matchPattern(less.getRhs(), m_Zero()) && cutsTable(v, *n))
                            return b;
                        }
                        return truth ? index(*truth != 0 ? op.getTrueValue() : op.getFalseValue()) : Linear::value(v);
                      })
                      .Default([&](Operation *) { return Linear::value(v); });
  --depth;
  return result;
}

Linear IndexAnalysis::size(Value t, int64_t axis) {
  auto type = cast<RankedTensorType>(t.getType());
  if (!type.isDynamicDim(axis))
    return Linear(type.getDimSize(axis));
  Operation *def = t.getDefiningOp();
  // The only symbol for a size nobody explains is the tensor.dim that reads it; any existing one will do.
  // Dimensions of arguments with one name are one symbol.
  auto opaque = [&]() {
    if (auto arg = dyn_cast<BlockArgument>(t))
      if (auto f = dyn_cast<func::FuncOp>(arg.getOwner()->getParentOp()))
        if (auto dims = f.getArgAttrOfType<ArrayAttr>(arg.getArgNumber(), "onnx.dims"))
          if (auto name = dyn_cast<StringAttr>(dims[axis]); name && !name.empty())
            return Linear::symbol({name.getAsOpaquePointer(), 0});
    for (Operation *user : t.getUsers())
      if (auto dim = dyn_cast<tensor::DimOp>(user))
        if (dim.getConstantIndex() == axis)
          return Linear::value(dim.getResult());
    return Linear::symbol({t.getAsOpaquePointer(), axis + 1});
  };
  if (!def || depth > kMaxDepth)
    return opaque();
  ++depth;
  auto dynamicSize = [&](ValueRange sizes) { return index(sizes[type.getDynamicDimIndex(axis)]); };
  Linear result =
      llvm::TypeSwitch<Operation *, Linear>(def)
          .Case<tensor::EmptyOp>([&](auto op) { return dynamicSize(op.getDynamicSizes()); })
          .Case<tensor::SplatOp>([&](auto op) { return dynamicSize(op.getDynamicSizes()); })
          .Case<tensor::CastOp>([&](auto op) { return size(op.getSource(), axis); })
          .Case<tensor::ConcatOp>([&](tensor::ConcatOp op) {
            if (static_cast<int64_t>(op.getDim()) != axis)
              return size(op.getInputs().front(), axis);
            Linear sum;
            for (Value v : op.getInputs())
              sum = sum + size(v, axis);
            return sum;
          })
          .Case<tensor::ExtractSliceOp>([&](tensor::ExtractSliceOp op) {
            llvm::SmallBitVector dropped = op.getDroppedDims();
            int64_t seen = -1;
            for (auto [i, mixed] : llvm::enumerate(op.getMixedSizes()))
              if (!dropped.test(i) && ++seen == axis)
                return isa<Attribute>(mixed) ? Linear(cast<IntegerAttr>(cast<Attribute>(mixed)).getInt()) : index(cast<Value>(mixed));
            return opaque();
          })
          .Case<tensor::ExpandShapeOp>([&](tensor::ExpandShapeOp op) {
            OpFoldResult s = op.getMixedOutputShape()[axis];
            return isa<Attribute>(s) ? Linear(cast<IntegerAttr>(cast<Attribute>(s)).getInt()) : index(cast<Value>(s));
          })
          .Case<tensor::CollapseShapeOp>([&](tensor::CollapseShapeOp op) {
            std::optional<int64_t> only;                                     // one that is not 1
            ReassociationIndices group = op.getReassociationIndices()[axis]; // a copy: the list of groups is a temporary
            for (int64_t i : group)
              if (op.getSrcType().getDimSize(i) != 1) {
                if (only)
                  return opaque();
                only = i;
              }
            return only ? size(op.getSrc(), *only) : opaque();
          })
          .Case<tensor::ReshapeOp>([&](tensor::ReshapeOp op) {
            auto from = op.getShape().getDefiningOp<tensor::FromElementsOp>();
            return from ? index(from.getElements()[axis]) : opaque();
          })
          .Case<linalg::GenericOp, linalg::FillOp>(
              [&](auto op) { return size(op.getOutputs()[cast<OpResult>(t).getResultNumber()], axis); })
          .Case<RotaryOp, SoftmaxOp, LayerNormOp>([&](auto op) { return size(op.getInput(), axis); })
          .Case<MatmulOp>([&](MatmulOp op) {
            int64_t lhs = cast<RankedTensorType>(op.getLhs().getType()).getRank();
            // Columns come from the right operand, all else from the left one where it has that dimension.
            if (axis + 1 == type.getRank())
              return size(op.getRhs(), cast<RankedTensorType>(op.getRhs().getType()).getRank() - (op.getTransB() ? 2 : 1));
            if (lhs == type.getRank() && (axis + 2 < type.getRank() || !op.getTransA()))
              return size(op.getLhs(), axis);
            return opaque();
          })
          .Case<CacheViewOp>([&](CacheViewOp op) {
            auto content = op.getState().getType().getContent();
            return content.isDynamicDim(axis) ? index(op.getLength()) : Linear(content.getDimSize(axis));
          })
          .Default([&](Operation *) { return opaque(); });
  --depth;
  return result;
}

//===--- Tensors --------------------------------------------------------------------------------------------------===//

static bool areKnown(ArrayRef<Linear> indices) {
  return llvm::all_of(indices, [](const Linear &i) { return i.isKnown(); });
}

static std::optional<double> asDouble(Attribute a) {
  if (auto f = dyn_cast<FloatAttr>(a))
    return f.getValueAsDouble();
  if (auto i = dyn_cast<IntegerAttr>(a))
    return i.getType().isInteger(1) ? static_cast<double>(i.getValue().getBoolValue()) : static_cast<double>(i.getValue().getSExtValue());
  return std::nullopt;
}

Formula IndexAnalysis::table(ElementsAttr values, ArrayRef<Linear> indices) {
  auto dense = dyn_cast<DenseElementsAttr>(values);
  if (!dense)
    return {};
  bool integer = dense.getElementType().isIntOrIndex() && !dense.getElementType().isInteger(1);
  auto make = [&](Attribute a) {
    auto d = asDouble(a);
    return !d ? Formula() : integer ? Formula::of(Linear(static_cast<int64_t>(*d))) : Formula::of(*d);
  };
  if (dense.isSplat())
    return make(dense.getSplatValue<Attribute>());
  if (!areKnown(indices))
    return {};
  int64_t flat = 0;
  auto all = dense.getValues<Attribute>();
  for (auto [i, n] : llvm::zip(indices, dense.getType().getShape())) {
    auto c = i.asConstant();
    if (!c) {
      auto at = [&](int64_t i) { return asDouble(all[i]).value_or(NAN); };
      Formula f = band(dense.getType().getShape(), indices, at);
      return f ? f : ramp(dense.getType().getShape(), indices, at);
    }
    if (*c < 0 || *c >= n)
      return {};
    flat = flat * n + *c;
  }
  return make(all[flat]);
}

Formula IndexAnalysis::element(Value t, ArrayRef<Linear> indices) {
  Formula f = program(t, indices);
  bool perHead = !f && head && isa<FloatType>(cast<RankedTensorType>(t.getType()).getElementType()) &&
                 llvm::all_of(indices, [&](const Linear &i) { return i.asConstant() || i == Linear::formal(*head); });
  return perHead ? Formula::of(Slope{t, SmallVector<Linear, 4>(indices), Linear(1), {}}) : f;
}

Formula IndexAnalysis::program(Value t, ArrayRef<Linear> indices) {
  Operation *def = t.getDefiningOp();
  if (!def || depth > kMaxDepth)
    return {};
  ++depth;
  Formula result =
      llvm::TypeSwitch<Operation *, Formula>(def)
          .Case<arith::ConstantOp>([&](arith::ConstantOp op) {
            auto values = dyn_cast<ElementsAttr>(op.getValue());
            return values ? table(values, indices) : Formula();
          })
          .Case<ParamRefOp>([&](ParamRefOp op) {
            auto type = cast<RankedTensorType>(op.getType());
            unsigned open = llvm::count_if(indices, [](const Linear &i) { return !i.asConstant(); });
            if (!type.hasStaticShape() || !areKnown(indices) || open == 0 || open > 2 || !type.getElementType().isIntOrFloat())
              return Formula();
            std::vector<double> values = readTable(op);
            if (values.empty())
              return Formula();
            auto at = [&](int64_t i) { return values[i]; };
            Formula f = band(type.getShape(), indices, at);
            return f ? f : ramp(type.getShape(), indices, at);
          })
          .Case<tensor::SplatOp>([&](auto op) { return scalar(op.getInput(), {}, Known()); })
          .Case<linalg::FillOp>([&](linalg::FillOp op) { return scalar(op.getInputs()[0], {}, Known()); })
          .Case<tensor::CastOp>([&](auto op) { return element(op.getSource(), indices); })
          .Case<tensor::FromElementsOp>([&](tensor::FromElementsOp op) {
            int64_t flat = 0;
            for (auto [i, n] : llvm::zip(indices, op.getType().getShape())) {
              auto c = i.asConstant();
              if (!c || *c < 0 || *c >= n)
                return Formula();
              flat = flat * n + *c;
            }
            return scalar(op.getElements()[flat], {}, Known());
          })
          .Case<tensor::ExtractSliceOp>([&](tensor::ExtractSliceOp op) {
            llvm::SmallBitVector dropped = op.getDroppedDims();
            SmallVector<Linear> at;
            auto next = indices.begin();
            for (auto [i, offset, stride] : llvm::enumerate(op.getMixedOffsets(), op.getMixedStrides())) {
              Linear base =
                  isa<Attribute>(offset) ? Linear(cast<IntegerAttr>(cast<Attribute>(offset)).getInt()) : index(cast<Value>(offset));
              auto step = getConstantIntValue(stride);
              if (!step)
                return Formula();
              at.push_back(dropped.test(i) ? base : base + *next++ * *step);
            }
            return element(op.getSource(), at);
          })
          .Case<tensor::ConcatOp>([&](tensor::ConcatOp op) {
            SmallVector<Linear> at(indices);
            Linear &along = at[op.getDim()];
            for (auto [n, part] : llvm::enumerate(op.getInputs())) {
              Linear end = size(part, op.getDim());
              if (n + 1 == op.getInputs().size() || sign(along - end) < 0)
                return element(part, at);
              Linear rest = along - end;
              if (sign(rest) > 0) {
                along = rest;
                continue;
              }
              // It may lie on either side. In the part at hand the distance is negative where along - end - distance is not; if the last
              // part has the same constant there, its formula holds on both sides: zeros for the past in front of a triangle.
              if (n + 2 != op.getInputs().size() || distance.terms.empty() || sign(rest - distance) <= 0)
                return Formula();
              auto before = asPieces(element(part, at));
              along = rest;
              auto after = asPieces(element(op.getInputs().back(), at));
              auto constant = before ? before->asConstant() : std::nullopt;
              if (!constant || !after)
                return Formula();
              for (auto &piece : after->pieces)
                if (piece.from < 0 && piece.value != *constant)
                  return Formula();
              return Formula::of(std::move(*after));
            }
            return Formula();
          })
          .Case<tensor::ExpandShapeOp, tensor::CollapseShapeOp>([&](auto op) {
            // Where unit dimensions come and go indices stay; other splits of an index are not linear.
            auto source = cast<RankedTensorType>(op.getSrc().getType());
            SmallVector<Linear> at(source.getRank(), Linear(0));
            bool expand = isa<tensor::ExpandShapeOp>(def);
            for (auto [i, group] : llvm::enumerate(op.getReassociationIndices())) {
              auto wide = llvm::make_filter_range(
                  group, [&](int64_t g) { return (expand ? op.getResultType().getDimSize(g) : source.getDimSize(g)) != 1; });
              bool single = std::distance(wide.begin(), wide.end()) == 1;
              if (expand)
                at[i] = wide.empty() ? Linear(0) : single ? indices[*wide.begin()] : unknown();
              else
                for (int64_t g : wide)
                  at[g] = single ? indices[i] : unknown();
            }
            return element(op.getSrc(), at);
          })
          .Case<tensor::ReshapeOp>([&](tensor::ReshapeOp op) {
            // Indices stay where the non-unit dimensions match one to one.
            auto source = cast<RankedTensorType>(op.getSource().getType());
            auto target = cast<RankedTensorType>(op.getResult().getType());
            SmallVector<int64_t> from, to;
            for (int64_t i = 0; i < source.getRank(); ++i)
              if (source.getDimSize(i) != 1)
                from.push_back(i);
            for (int64_t i = 0; i < target.getRank(); ++i)
              if (target.getDimSize(i) != 1)
                to.push_back(i);
            bool same = from.size() == to.size() && llvm::all_of(llvm::zip(from, to), [&](auto axes) {
                          return size(op.getSource(), std::get<0>(axes)) == size(op.getResult(), std::get<1>(axes));
                        });
            SmallVector<Linear> at(source.getRank(), Linear(0));
            for (auto [n, f] : llvm::enumerate(from))
              at[f] = same ? indices[to[n]] : unknown();
            return element(op.getSource(), at);
          })
          .Case<linalg::GenericOp>([&](linalg::GenericOp op) { return generic(op, cast<OpResult>(t).getResultNumber(), indices); })
          .Case<CumSumOp>([&](CumSumOp op) {
            // Of a constant: the constant times how many elements are summed.
            Formula f = element(op.getInput(), indices);
            auto c = f.linear ? f.linear->asConstant() : std::nullopt;
            if (!c)
              return Formula();
            Linear i = indices[op.getAxis()];
            Linear count = op.getReverse() ? size(op.getInput(), op.getAxis()) - i : i + Linear(1);
            return Formula::of((op.getExclusive() ? count - Linear(1) : count) * *c);
          })
          .Default([&](Operation *) { return Formula(); });
  --depth;
  return result;
}

Formula IndexAnalysis::generic(linalg::GenericOp op, unsigned result, ArrayRef<Linear> indices) {
  AffineMap out = op.getIndexingMapMatchingResult(op->getResult(result));
  SmallVector<Linear> loops(op.getNumLoops());
  SmallVector<bool> bound(op.getNumLoops());
  for (auto [expr, i] : llvm::zip(out.getResults(), indices)) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    if (!dim)
      return {};
    loops[dim.getPosition()] = i;
    bound[dim.getPosition()] = true;
  }
  auto at = [&](AffineMap map, SmallVector<Linear> &where) {
    for (AffineExpr e : map.getResults()) {
      auto d = dyn_cast<AffineDimExpr>(e);
      auto c = dyn_cast<AffineConstantExpr>(e);
      where.push_back(d ? loops[d.getPosition()] : c ? Linear(c.getValue()) : unknown());
    }
  };
  Block *body = op.getBody();
  auto yield = cast<linalg::YieldOp>(body->getTerminator());
  if (op.getNumParallelLoops() == op.getNumLoops()) {
    Known known;
    for (OpOperand *input : op.getDpsInputOperands()) {
      SmallVector<Linear> where;
      at(op.getMatchingIndexingMap(input), where);
      known[body->getArgument(input->getOperandNumber())] =
          isa<RankedTensorType>(input->get().getType()) ? element(input->get(), where) : scalar(input->get(), {}, Known());
    }
    return scalar(yield.getOperand(result), loops, known);
  }
  // A sum of the same constant: constant times the number of summands.
  auto add = yield.getOperand(result).getDefiningOp();
  if (op.getNumDpsInputs() != 1 || !isa_and_nonnull<arith::AddIOp>(add) || body->getOperations().size() != 2)
    return {};
  Linear count(1);
  SmallVector<Linear> where;
  AffineMap map = op.getMatchingIndexingMap(op.getDpsInputOperand(0));
  for (auto [position, expr] : llvm::enumerate(map.getResults()))
    if (auto d = dyn_cast<AffineDimExpr>(expr); d && !bound[d.getPosition()]) {
      Linear n = size(op.getDpsInputOperand(0)->get(), position);
      if (auto c = n.asConstant())
        count = count * *c;
      else if (auto c = count.asConstant())
        count = n * *c;
      else
        return {};
    }
  at(map, where);
  Formula f = element(op.getDpsInputOperand(0)->get(), where);
  auto c = f.linear ? f.linear->asConstant() : std::nullopt;
  SmallVector<Linear> init(indices);
  Formula start = element(op.getDpsInitOperand(result)->get(), init);
  auto zero = start.linear   ? start.linear->asConstant()
              : start.pieces ? std::optional<int64_t>(start.pieces->asConstant() == 0.0 ? 0 : 1)
                             : std::nullopt;
  if (!c || zero != 0)
    return {};
  return Formula::of(count * *c);
}

/// size == 1 ? 0 : 1, beside an index below that size: how a size that may be 1 at run time is broadcast. The product is the index either
/// way.
bool IndexAnalysis::isBroadcastFactor(Value factor, const Formula &position) {
  auto select = factor.getDefiningOp<arith::SelectOp>();
  auto cmp = select ? select.getCondition().getDefiningOp<arith::CmpIOp>() : arith::CmpIOp();
  if (!cmp || cmp.getPredicate() != arith::CmpIPredicate::eq || !matchPattern(cmp.getRhs(), m_One()) ||
      !matchPattern(select.getTrueValue(), m_Zero()) || !matchPattern(select.getFalseValue(), m_One()) || !position.linear)
    return false;
  for (auto [i, limit] : llvm::enumerate(limits))
    if (*position.linear == Linear::formal(i))
      return limit == index(cmp.getLhs());
  return false;
}

Formula IndexAnalysis::scalar(Value v, ArrayRef<Linear> loops, const Known &known) {
  if (auto it = known.find(v); it != known.end())
    return it->second;
  Attribute constant;
  if (matchPattern(v, m_Constant(&constant))) {
    auto d = asDouble(constant);
    if (!d)
      return {};
    return v.getType().isIntOrIndex() && !v.getType().isInteger(1) ? Formula::of(Linear(static_cast<int64_t>(*d))) : Formula::of(*d);
  }
  Operation *def = v.getDefiningOp();
  if (!def || depth > kMaxDepth)
    return v.getType().isIntOrIndex() ? Formula::of(Linear::value(v)) : Formula();
  // Computed outside of any loop: an expression of symbols.
  if (v.getType().isIntOrIndex() && !v.getType().isInteger(1) && !def->getParentOfType<linalg::GenericOp>())
    return Formula::of(index(v));
  auto get = [&](Value x) { return scalar(x, loops, known); };
  auto linear2 = [&](Operation *op, auto fn) {
    Formula a = get(op->getOperand(0)), b = get(op->getOperand(1));
    return a.linear && b.linear ? Formula::of(fn(*a.linear, *b.linear)) : Formula();
  };
  ++depth;
  Formula result = llvm::TypeSwitch<Operation *, Formula>(def)
                       .Case<linalg::IndexOp>(
                           [&](linalg::IndexOp op) { return op.getDim() < loops.size() ? Formula::of(loops[op.getDim()]) : Formula(); })
                       .Case<arith::IndexCastOp, arith::IndexCastUIOp, arith::ExtSIOp, arith::ExtFOp, arith::TruncFOp>(
                           [&](auto op) { return get(op.getIn()); })
                       .Case<arith::TruncIOp>([&](auto op) { return op.getType().isInteger(1) ? Formula() : get(op.getIn()); })
                       .Case<arith::ExtUIOp, arith::UIToFPOp, arith::SIToFPOp, arith::FPToSIOp>([&](auto op) {
                         Formula f = get(op.getIn());
                         // A truth value becomes a number; a constant integer may be wanted as such below.
                         if (f.pieces && op.getType().isIntOrIndex())
                           if (auto c = f.pieces->asConstant())
                             return Formula::of(Linear(static_cast<int64_t>(*c)));
                         return f;
                       })
                       .Case<arith::AddIOp>([&](auto op) {
                         Formula f = linear2(op, [](const Linear &a, const Linear &b) { return a + b; });
                         return f ? f : combine(get(op.getLhs()), get(op.getRhs()), [](double a, double b) { return a + b; });
                       })
                       .Case<arith::SubIOp>([&](auto op) {
                         Formula f = linear2(op, [](const Linear &a, const Linear &b) { return a - b; });
                         return f ? f : combine(get(op.getLhs()), get(op.getRhs()), [](double a, double b) { return a - b; });
                       })
                       .Case<arith::MulIOp>([&](auto op) {
                         Formula a = get(op.getLhs()), b = get(op.getRhs());
                         if (isBroadcastFactor(op.getRhs(), a))
                           return a;
                         if (a.linear && b.linear) {
                           if (auto c = b.linear->asConstant())
                             return Formula::of(*a.linear * *c);
                           if (auto c = a.linear->asConstant())
                             return Formula::of(*b.linear * *c);
                           return Formula();
                         }
                         return combine(a, b, [](double x, double y) { return x * y; });
                       })
                       .Case<arith::DivSIOp, arith::FloorDivSIOp, arith::RemSIOp>(
                           [&](auto op) { return quotient(get(op.getLhs()), get(op.getRhs()), isa<arith::RemSIOp>(def)); })
                       .Case<arith::AddFOp>([&](auto op) { return sum(get(op.getLhs()), get(op.getRhs()), 1); })
                       .Case<arith::SubFOp>([&](auto op) { return sum(get(op.getLhs()), get(op.getRhs()), -1); })
                       .Case<arith::MulFOp>([&](auto op) { return product(get(op.getLhs()), get(op.getRhs())); })
                       .Case<arith::DivFOp>([&](auto op) {
                         Formula b = get(op.getRhs());
                         auto p = b.slope ? std::nullopt : asPieces(b);
                         auto c = p ? p->asConstant() : std::nullopt;
                         return c && *c != 0 ? product(get(op.getLhs()), Formula::of(1 / *c)) : Formula();
                       })
                       .Case<arith::NegFOp>([&](auto op) { return product(get(op.getOperand()), Formula::of(-1.0)); })
                       .Case<math::AbsFOp, math::AbsIOp>([&](auto op) { return absolute(get(op.getOperand())); })
                       .Case<arith::MaximumFOp, arith::MaxNumFOp>([&](auto op) {
                         Formula a = get(op.getLhs()), b = get(op.getRhs());
                         // A floor far below what hides a key.
                         for (auto [f, other] : {std::pair(&a, &b), std::pair(&b, &a)})
                           if (f->slope && !other->slope)
                             if (auto p = asPieces(*other); p && p->asConstant() && *p->asConstant() <= -1e30)
                               return *f;
                         return combine(a, b, [](double x, double y) { return std::max(x, y); });
                       })
                       .Case<arith::MinimumFOp, arith::MinNumFOp>([&](auto op) {
                         return combine(get(op.getLhs()), get(op.getRhs()), [](double a, double b) { return std::min(a, b); });
                       })
                       .Case<arith::MaxSIOp, arith::MinSIOp>([&](auto op) {
                         bool max = isa<arith::MaxSIOp>(def);
                         Formula a = get(op.getLhs()), b = get(op.getRhs());
                         if (a.linear && b.linear) {
                           if (const Linear *known = extreme(*a.linear, *b.linear, max))
                             return Formula::of(*known);
                           if (max && *a.linear == *b.linear * -1)
                             return absolute(a);
                           if (auto last = b.linear->asConstant(); withinTables && !max && last && indexesTable(v, *last))
                             return a;
                         }
                         return combine(a, b, [&](double x, double y) { return max ? std::max(x, y) : std::min(x, y); });
                       })
                       .Case<arith::AndIOp>([&](auto op) {
                         return combine(get(op.getLhs()), get(op.getRhs()), [](double a, double b) { return a != 0 && b != 0; });
                       })
                       .Case<arith::OrIOp>([&](auto op) {
                         return combine(get(op.getLhs()), get(op.getRhs()), [](double a, double b) { return a != 0 || b != 0; });
                       })
                       .Case<arith::XOrIOp>([&](auto op) {
                         return v.getType().isInteger(1)
                                    ? combine(get(op.getLhs()), get(op.getRhs()), [](double a, double b) { return (a != 0) != (b != 0); })
                                    : Formula();
                       })
                       .Case<arith::CmpIOp>([&](arith::CmpIOp op) {
                         return compare(static_cast<int>(op.getPredicate()), get(op.getLhs()), get(op.getRhs()));
                       })
                       .Case<arith::CmpFOp>([&](arith::CmpFOp op) {
                         using P = arith::CmpFPredicate;
                         static const std::pair<P, arith::CmpIPredicate> map[] = {
                             {P::OEQ, arith::CmpIPredicate::eq},  {P::UEQ, arith::CmpIPredicate::eq},  {P::ONE, arith::CmpIPredicate::ne},
                             {P::UNE, arith::CmpIPredicate::ne},  {P::OLT, arith::CmpIPredicate::slt}, {P::ULT, arith::CmpIPredicate::slt},
                             {P::OLE, arith::CmpIPredicate::sle}, {P::ULE, arith::CmpIPredicate::sle}, {P::OGT, arith::CmpIPredicate::sgt},
                             {P::UGT, arith::CmpIPredicate::sgt}, {P::OGE, arith::CmpIPredicate::sge}, {P::UGE, arith::CmpIPredicate::sge}};
                         for (auto [from, to] : map)
                           if (op.getPredicate() == from)
                             return compare(static_cast<int>(to), get(op.getLhs()), get(op.getRhs()));
                         return Formula();
                       })
                       .Case<arith::SelectOp>([&](arith::SelectOp op) {
                         return select(get(op.getCondition()), get(op.getTrueValue()), get(op.getFalseValue()));
                       })
                       .Case<tensor::ExtractOp>([&](tensor::ExtractOp op) {
                         SmallVector<Linear> at;
                         for (Value i : op.getIndices())
                           at.push_back(get(i).linear.value_or(unknown()));
                         return element(op.getTensor(), at);
                       })
                       .Case<tensor::DimOp>([&](tensor::DimOp op) {
                         auto axis = op.getConstantIndex();
                         return axis ? Formula::of(size(op.getSource(), *axis)) : Formula();
                       })
                       .Default([&](Operation *) { return Formula(); });
  --depth;
  return result;
}

} // namespace leat::stream
