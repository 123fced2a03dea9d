// Fourier transforms as products with tables of cosines and sines, computed from whole numbers of turns.
#include "passes/Import/Handlers.h"
#include "passes/Import/Products.h"

#include <cmath>

using namespace mlir;

namespace leat::import {

/// cos or sin of 2 pi n k / length, [rows, columns].
static Value turns(GraphBuilder &b, OpFoldResult rows, OpFoldResult columns, OpFoldResult length, bool sine, double sign, Type elem) {
  Value size = b.math.value(length);
  return b.generate({rows, columns}, elem, [&](OpBuilder &ob, Location l, ValueRange at) {
    BodyOps o{ob, l};
    auto real = [&](Value v) -> Value { return o.make<arith::SIToFPOp>(elem, Value(o.make<arith::IndexCastOp>(ob.getI64Type(), v))); };
    Value part = o.make<arith::RemUIOp>(o.mul(at[0], at[1]), size);
    Value angle = o.div(o.mul(real(part), o.c(elem, sign * 2 * M_PI)), real(size));
    return sine ? o.make<math::SinOp>(angle) : o.make<math::CosOp>(angle);
  });
}

/// Transform of rows [..., n, 1 or 2] (real, or real and imaginary parts) of length `length`: [..., bins, 2]. n may be shorter or longer.
static Value transform(GraphBuilder &b, Value x, OpFoldResult length, OpFoldResult bins, bool inverse) {
  Dims dims = b.dims(x);
  int64_t rank = dims.size(), axis = rank - 2;
  Type elem = b.elem(x), wide = computeType(elem);
  OpFoldResult used = b.math.min(dims[axis], length);
  bool complex = b.math.asConstant(dims.back()) == 2;
  auto part = [&](int64_t i) {
    Value v = b.sliceAxis(b.sliceAxis(x, rank - 1, b.math.constant(i), b.math.constant(1)), axis, b.math.constant(0), used);
    Dims flat = b.dims(v);
    flat.pop_back();
    v = b.convert(b.reshape(v, flat), wide);
    return rank == 2 ? b.unsqueeze(v, {0}) : v;
  };
  double sign = inverse ? 1 : -1;
  Value cosine = turns(b, used, bins, length, false, sign, wide), sine = turns(b, used, bins, length, true, sign, wide);
  auto times = [&](Value v, Value table) { return matmul(b, v, table, false, false, wide); };
  Value real = part(0), re = times(real, cosine), im = times(real, sine);
  if (complex) {
    Value imaginary = part(1);
    auto both = [&](Value p, Value q, bool minus) {
      return b.elementwise({p, q}, wide, [&](OpBuilder &ob, Location l, ValueRange args) {
        BodyOps o{ob, l};
        return minus ? o.sub(args[0], args[1]) : o.add(args[0], args[1]);
      });
    };
    re = both(re, times(imaginary, sine), true);
    im = both(im, times(imaginary, cosine), false);
  }
  dims[axis] = bins, dims.back() = b.math.constant(2);
  Value n = b.math.value(length);
  bool squeezed = rank == 2; // [1, bins] stands for [bins]
  return b.generate(dims, elem, [&](OpBuilder &ob, Location l, ValueRange at) {
    BodyOps o{ob, l};
    SmallVector<Value> from(at.drop_back());
    if (squeezed)
      from.insert(from.begin(), o.make<arith::ConstantIndexOp>(0));
    Value first = o.eq(at[rank - 1], o.make<arith::ConstantIndexOp>(0));
    Value v = o.select(first, o.make<tensor::ExtractOp>(re, from), o.make<tensor::ExtractOp>(im, from));
    if (inverse)
      v = o.div(v, o.make<arith::SIToFPOp>(wide, Value(o.make<arith::IndexCastOp>(ob.getI64Type(), n))));
    return o.convert(v, elem);
  });
}

static OpFoldResult half(GraphBuilder &b, OpFoldResult length) {
  return b.math.add(b.math.floorDiv(length, b.math.constant(2)), b.math.constant(1));
}

static LogicalResult dft(OpContext &c) {
  GraphBuilder &b = c.b;
  Value x = c.operand(0);
  int64_t rank = c.rank(0);
  if (rank < 2 || !c.isFloat(0) || !b.math.asConstant(b.dim(x, rank - 1)) || *b.math.asConstant(b.dim(x, rank - 1)) > 2)
    return c.fail("it needs floats [..., n, 1] or [..., n, 2]");
  std::optional<int64_t> axis;
  if (c.version() < 20) {
    axis = GraphBuilder::normalizeAxis(c.integer("axis", 1), rank);
  } else {
    int64_t given = -2;
    if (c.has(2)) {
      FailureOr<Dims> v = c.scalars(2);
      auto known = succeeded(v) && v->size() == 1 ? b.math.asConstant((*v)[0]) : std::nullopt;
      if (!known)
        return c.fail("its axis is only known at run time");
      given = *known;
    }
    axis = GraphBuilder::normalizeAxis(given, rank);
  }
  if (!axis || *axis == rank - 1)
    return c.fail("its axis is out of range, or the one of real and imaginary parts");
  bool inverse = c.flag("inverse"), oneSided = c.flag("onesided");
  if (inverse && oneSided)
    return c.fail("an inverse transform of one side is not supported");
  OpFoldResult length = b.dim(x, *axis);
  if (c.has(1)) {
    FailureOr<Dims> given = c.scalars(1);
    if (failed(given) || given->size() != 1)
      return c.fail("its dft_length is no scalar");
    length = (*given)[0];
  }
  SmallVector<int64_t> perm = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  std::swap(perm[*axis], perm[rank - 2]);
  Value y = transform(b, b.transpose(x, perm), length, oneSided ? half(b, length) : length, inverse);
  return c.done(b.transpose(y, perm));
}

static LogicalResult stft(OpContext &c) {
  GraphBuilder &b = c.b;
  IndexMath &m = b.math;
  Value x = c.operand(0), window = c.has(2) ? c.operand(2) : Value();
  if ((c.rank(0) != 2 && c.rank(0) != 3) || !c.isFloat(0))
    return c.fail("it needs a signal of floats [N, L, 1], [N, L, 2] or [N, L]");
  if (c.rank(0) == 2)
    x = b.unsqueeze(x, {2});
  FailureOr<Dims> step = c.scalars(1), given = c.has(3) ? c.scalars(3) : FailureOr<Dims>(Dims());
  if (failed(step) || step->size() != 1 || failed(given) || given->size() > 1 || (given->empty() && !window))
    return c.fail("its frame_step and frame_length are no scalars, or it has neither a frame_length nor a window");
  OpFoldResult length = given->empty() ? b.dim(window, 0) : (*given)[0];
  OpFoldResult frames = m.add(m.floorDiv(m.sub(b.dim(x, 1), length), (*step)[0]), m.constant(1));
  Type elem = b.elem(x);
  Value stride = m.value((*step)[0]);
  Value cut = b.generate({b.dim(x, 0), frames, length, b.dim(x, 2)}, elem, [&](OpBuilder &ob, Location l, ValueRange at) {
    BodyOps o{ob, l};
    Value v = o.make<tensor::ExtractOp>(x, ValueRange{at[0], o.add(o.mul(at[1], stride), at[2]), at[3]});
    return window ? o.mul(v, o.convert(o.make<tensor::ExtractOp>(window, ValueRange{at[2]}), elem)) : v;
  });
  return c.done(transform(b, cut, length, c.flag("onesided", true) ? half(b, length) : length, false));
}

void registerSignal(HandlerTable &t) {
  t.add("", "DFT", 17, dft);
  t.add("", "STFT", 17, stft);
}

} // namespace leat::import
