// See CacheCoding.h. Groups are an axis of their own while encoding, and quotients of the last position while decoding: so codes are read
// in the order in which they lie.
#include "passes/Stream/CacheCoding.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <limits>

using namespace mlir;

namespace leat::stream {

namespace {

using Body = llvm::function_ref<Value(ImplicitLocOpBuilder &, ValueRange)>;

/// Builds the tensors of one value.
struct Coder {
  Coder(OpBuilder &builder, Location loc) : b(loc, builder) {}

  ImplicitLocOpBuilder b;

  static RankedTensorType typeOf(Value tensor) { return cast<RankedTensorType>(tensor.getType()); }
  FloatType f32() { return b.getF32Type(); }
  Value real(double value) { return arith::ConstantOp::create(b, b.getFloatAttr(f32(), value)); }

  /// The shape of `like` with other last axes.
  RankedTensorType shaped(Value like, int64_t dropped, ArrayRef<int64_t> last, Type element) {
    SmallVector<int64_t> shape(typeOf(like).getShape().drop_back(dropped));
    shape.append(last.begin(), last.end());
    return RankedTensorType::get(shape, element);
  }
  Value empty(RankedTensorType type, Value like) {
    SmallVector<Value> sizes;
    for (auto [i, size] : llvm::enumerate(type.getShape()))
      if (ShapedType::isDynamic(size))
        sizes.push_back(tensor::DimOp::create(b, like, i));
    return tensor::EmptyOp::create(b, type, sizes);
  }

  /// An elementwise op over the result's shape; `maps` of the inputs.
  Value each(RankedTensorType type, ValueRange inputs, ArrayRef<AffineMap> maps, Body body) {
    SmallVector<AffineMap> all(maps);
    all.push_back(b.getMultiDimIdentityMap(type.getRank()));
    SmallVector<utils::IteratorType> loops(type.getRank(), utils::IteratorType::parallel);
    return linalg::GenericOp::create(b, type, inputs, empty(type, inputs[0]), all, loops,
                                     [&](OpBuilder &inner, Location loc, ValueRange args) {
                                       ImplicitLocOpBuilder l(loc, inner);
                                       linalg::YieldOp::create(l, body(l, args.drop_back()));
                                     })
        .getResult(0);
  }
  /// All loops but those of the last `dropped` axes, then `last`.
  AffineMap map(int64_t loops, int64_t dropped, ArrayRef<AffineExpr> last) {
    SmallVector<AffineExpr> exprs;
    for (int64_t i = 0; i < loops - dropped; ++i)
      exprs.push_back(b.getAffineDimExpr(i));
    exprs.append(last.begin(), last.end());
    return AffineMap::get(loops, 0, exprs, b.getContext());
  }
  AffineMap identity(int64_t loops) { return b.getMultiDimIdentityMap(loops); }

  /// x as f32.
  static Value widen(ImplicitLocOpBuilder &l, Value x) {
    return x.getType().isF32() ? x : arith::ExtFOp::create(l, l.getF32Type(), x).getResult();
  }
  /// An f32 as `element`.
  static Value narrow(ImplicitLocOpBuilder &l, Value x, Type element) {
    return element.isF32() ? x : arith::TruncFOp::create(l, element, x).getResult();
  }
  /// What is not a number becomes `low`: integers cannot hold it.
  static Value clamp(ImplicitLocOpBuilder &l, Value x, double low, double high) {
    auto c = [&](double v) { return arith::ConstantOp::create(l, l.getF32FloatAttr(v)); };
    return arith::MinNumFOp::create(l, arith::MaxNumFOp::create(l, x, c(low)), c(high));
  }

  /// The last axis split into those of `last`.
  Value split(Value tensor, ArrayRef<int64_t> last) {
    int64_t rank = typeOf(tensor).getRank();
    return tensor::ExpandShapeOp::create(b, shaped(tensor, 1, last, typeOf(tensor).getElementType()), tensor, groupsOf(rank, last.size()));
  }
  /// The last two axes as one of `length`.
  Value join(Value tensor, int64_t length) {
    int64_t rank = typeOf(tensor).getRank() - 1;
    return tensor::CollapseShapeOp::create(b, shaped(tensor, 2, length, typeOf(tensor).getElementType()), tensor, groupsOf(rank, 2));
  }
  static SmallVector<ReassociationIndices> groupsOf(int64_t rank, int64_t parts) {
    SmallVector<ReassociationIndices> result;
    for (int64_t i = 0; i < rank; ++i)
      result.push_back({i});
    for (int64_t i = 1; i < parts; ++i)
      result.back().push_back(rank - 1 + i);
    return result;
  }

  /// Over the last axis.
  Value reduce(Value tensor, double init, Body combine) {
    auto type = shaped(tensor, 1, {}, f32());
    int64_t rank = type.getRank();
    Value start = linalg::FillOp::create(b, real(init), empty(type, tensor)).getResult(0);
    SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
    loops.push_back(utils::IteratorType::reduction);
    return linalg::GenericOp::create(b, type, tensor, start, {identity(rank + 1), map(rank + 1, 1, {})}, loops,
                                     [&](OpBuilder &inner, Location loc, ValueRange args) {
                                       ImplicitLocOpBuilder l(loc, inner);
                                       linalg::YieldOp::create(l, combine(l, args));
                                     })
        .getResult(0);
  }
};

} // namespace

SmallVector<CacheCoding::Part> CacheCoding::parts(MLIRContext *context) const {
  Builder b(context);
  int64_t groups = group ? length / group : 0;
  switch (precision) {
  case KVPolicy::Precision::AsModel:
    return {};
  case KVPolicy::Precision::F16:
    return {{"", b.getF16Type(), length}};
  case KVPolicy::Precision::BF16:
    return {{"", b.getBF16Type(), length}};
  case KVPolicy::Precision::F8:
    return {{"", Float8E4M3FNType::get(context), length}};
  case KVPolicy::Precision::I8:
    return {{"", b.getI8Type(), length}, {".scales", b.getF16Type(), groups}};
  case KVPolicy::Precision::I4:
    return {{"", b.getI8Type(), length / 2}, {".scales", b.getF16Type(), 2 * groups}};
  }
  llvm_unreachable("every precision is handled");
}

SmallVector<Value> CacheCoding::encode(OpBuilder &builder, Value value) const {
  Coder c(builder, value.getLoc());
  auto &b = c.b;
  int64_t rank = Coder::typeOf(value).getRank();
  Type element = parts(b.getContext())[0].element;
  if (group == 0)
    return {c.each(c.shaped(value, 0, {}, element), value, c.identity(rank), [&](ImplicitLocOpBuilder &l, ValueRange x) {
      Value wide = Coder::widen(l, x[0]);
      if (precision == KVPolicy::Precision::F8) { // keeps what is not a number
        Value most = arith::ConstantOp::create(l, l.getF32FloatAttr(448)), least = arith::ConstantOp::create(l, l.getF32FloatAttr(-448));
        wide = arith::MinimumFOp::create(l, arith::MaximumFOp::create(l, wide, least), most);
      }
      return Coder::narrow(l, wide, element);
    })};

  int64_t groups = length / group;
  Value x = c.split(value, {groups, group});
  AffineMap perGroup = c.map(rank + 1, 1, {});
  auto ofGroup = c.shaped(value, 1, groups, b.getF16Type());
  if (precision == KVPolicy::Precision::I8) {
    Value most = c.reduce(x, 0, [](ImplicitLocOpBuilder &l, ValueRange v) {
      return arith::MaximumFOp::create(l, math::AbsFOp::create(l, Coder::widen(l, v[0])), v[1]).getResult();
    });
    Value scales = c.each(ofGroup, most, c.identity(rank), [](ImplicitLocOpBuilder &l, ValueRange v) {
      Value unit = arith::ConstantOp::create(l, l.getF32FloatAttr(127));
      return Coder::narrow(l, arith::DivFOp::create(l, v[0], unit), l.getF16Type());
    });
    Value codes = c.each(c.shaped(value, 1, {groups, group}, element), {x, scales}, {c.identity(rank + 1), perGroup},
                         [&](ImplicitLocOpBuilder &l, ValueRange v) -> Value {
                           Value quotient = arith::DivFOp::create(l, Coder::widen(l, v[0]), Coder::widen(l, v[1]));
                           Value code = Coder::clamp(l, math::RoundEvenOp::create(l, quotient), -127, 127);
                           return arith::FPToSIOp::create(l, element, code);
                         });
    return {c.join(codes, length), scales};
  }

  constexpr double infinity = std::numeric_limits<double>::infinity();
  Value least = c.reduce(x, infinity, [](ImplicitLocOpBuilder &l, ValueRange v) {
    return arith::MinimumFOp::create(l, Coder::widen(l, v[0]), v[1]).getResult();
  });
  Value most = c.reduce(x, -infinity, [](ImplicitLocOpBuilder &l, ValueRange v) {
    return arith::MaximumFOp::create(l, Coder::widen(l, v[0]), v[1]).getResult();
  });
  auto ofGroupWide = c.shaped(value, 1, groups, c.f32());
  Value steps =
      c.each(ofGroupWide, {least, most}, {c.identity(rank), c.identity(rank)}, [](ImplicitLocOpBuilder &l, ValueRange v) -> Value {
        Value count = arith::ConstantOp::create(l, l.getF32FloatAttr(15)), tiny = arith::ConstantOp::create(l, l.getF32FloatAttr(1e-8f));
        return arith::AddFOp::create(l, arith::DivFOp::create(l, arith::SubFOp::create(l, v[1], v[0]), count), tiny);
      });
  auto toHalf = [&](Value wide) {
    return c.each(ofGroup, wide, c.identity(rank),
                  [](ImplicitLocOpBuilder &l, ValueRange v) { return Coder::narrow(l, v[0], l.getF16Type()); });
  };
  Value scales = tensor::ConcatOp::create(b, rank - 1, ValueRange{toHalf(steps), toHalf(least)});
  // Both halves of every group at once.
  Value halves = c.split(value, {groups, 2, group / 2});
  auto half = [&](int64_t which) { return c.map(rank + 1, 1, {b.getAffineConstantExpr(which), b.getAffineDimExpr(rank)}); };
  Value codes = c.each(c.shaped(value, 1, {groups, group / 2}, element), {halves, halves, steps, least},
                       {half(0), half(1), perGroup, perGroup}, [&](ImplicitLocOpBuilder &l, ValueRange v) -> Value {
                         auto code = [&](Value wide) -> Value {
                           Value position = arith::DivFOp::create(l, arith::SubFOp::create(l, Coder::widen(l, wide), v[3]), v[2]);
                           Value up = arith::AddFOp::create(l, position, arith::ConstantOp::create(l, l.getF32FloatAttr(0.5)));
                           return arith::FPToUIOp::create(l, l.getI32Type(), Coder::clamp(l, math::FloorOp::create(l, up), 0, 15));
                         };
                         Value four = arith::ConstantOp::create(l, l.getI32IntegerAttr(4));
                         Value byte = arith::OrIOp::create(l, code(v[0]), arith::ShLIOp::create(l, code(v[1]), four));
                         return arith::TruncIOp::create(l, element, byte);
                       });
  return {c.join(codes, length / 2), scales};
}

Value CacheCoding::decode(OpBuilder &builder, ValueRange parts, Type element) const {
  Coder c(builder, parts[0].getLoc());
  auto &b = c.b;
  int64_t rank = Coder::typeOf(parts[0]).getRank();
  if (group == 0)
    return c.each(c.shaped(parts[0], 0, {}, element), parts, c.identity(rank),
                  [&](ImplicitLocOpBuilder &l, ValueRange v) { return Coder::narrow(l, Coder::widen(l, v[0]), element); });
  auto type = c.shaped(parts[0], 1, length, element);
  AffineExpr d = b.getAffineDimExpr(rank - 1);
  AffineMap scale = c.map(rank, 1, d.floorDiv(group));
  if (precision == KVPolicy::Precision::I8)
    return c.each(type, parts, {c.identity(rank), scale}, [&](ImplicitLocOpBuilder &l, ValueRange v) {
      Value code = arith::SIToFPOp::create(l, l.getF32Type(), v[0]);
      return Coder::narrow(l, arith::MulFOp::create(l, code, Coder::widen(l, v[1])), element);
    });
  AffineMap byte = c.map(rank, 1, d.floorDiv(group) * (group / 2) + d % (group / 2)),
            least = c.map(rank, 1, d.floorDiv(group) + length / group);
  return c.each(type, {parts[0], parts[1], parts[1]}, {byte, scale, least}, [&](ImplicitLocOpBuilder &l, ValueRange v) {
    auto constant = [&](int64_t x) { return arith::ConstantOp::create(l, l.getI32IntegerAttr(x)); };
    auto position = [&](int64_t x) { return arith::ConstantIndexOp::create(l, x); };
    Value at = arith::RemUIOp::create(l, linalg::IndexOp::create(l, rank - 1), position(group));
    Value shift = arith::MulIOp::create(l, arith::DivUIOp::create(l, at, position(group / 2)), position(4));
    Value bits =
        arith::ShRUIOp::create(l, arith::ExtUIOp::create(l, l.getI32Type(), v[0]), arith::IndexCastOp::create(l, l.getI32Type(), shift));
    Value code = arith::SIToFPOp::create(l, l.getF32Type(), arith::AndIOp::create(l, bits, constant(15)));
    Value x = arith::AddFOp::create(l, arith::MulFOp::create(l, code, Coder::widen(l, v[1])), Coder::widen(l, v[2]));
    return Coder::narrow(l, x, element);
  });
}

} // namespace leat::stream
