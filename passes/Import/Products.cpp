// Matrix products: MatMul and its integer and fused forms, Gemm, MatMulNBits.
#include "passes/Import/Products.h"
#include "passes/Import/Handlers.h"

#include "dialects/Leat/Leat.h"

using namespace mlir;

namespace leat::import {

Value matmul(GraphBuilder &b, Value lhs, Value rhs, bool transA, bool transB, Type elem) {
  Dims ld = b.dims(lhs), rd = b.dims(rhs);
  ArrayRef<OpFoldResult> lhsDims(ld), rhsDims(rd);
  Dims lhsBatch(lhsDims.drop_back(2)), rhsBatch(rhsDims.drop_back(2));
  Dims batch = b.broadcastDims(ArrayRef<Dims>{lhsBatch, rhsBatch});
  OpFoldResult lk = transA ? ld[ld.size() - 2] : ld.back(), rk = transB ? rd.back() : rd[rd.size() - 2];
  b.require(lk, rk, "the sizes that it contracts differ");
  // A batch size that may be 1 at run time is broadcast before: leat.matmul takes dynamic sizes for equal.
  auto settle = [&](Value v, Dims own) {
    Dims wanted = own;
    bool broadcast = false;
    for (size_t i = 0, n = own.size() - 2; i < n; ++i) {
      OpFoldResult d = batch[batch.size() - n + i];
      if (b.math.asConstant(own[i]) || b.math.equal(own[i], d))
        continue;
      wanted[i] = d;
      broadcast = true;
    }
    return broadcast ? b.broadcastTo(v, wanted) : v;
  };
  lhs = settle(lhs, ld), rhs = settle(rhs, rd);
  Dims result = batch;
  result.push_back(transA ? ld.back() : ld[ld.size() - 2]);
  result.push_back(transB ? rd[rd.size() - 2] : rd.back());
  auto op = b.create<MatmulOp>(b.typeOf(result, elem), lhs, rhs, transA, transB);
  return b.withDims(op.getOutput(), result);
}

/// numpy's rules for vectors around `matmul`.
static Value numpyMatmul(GraphBuilder &b, Value lhs, Value rhs, Type elem) {
  bool leftVector = b.rank(lhs) == 1, rightVector = b.rank(rhs) == 1;
  if (leftVector)
    lhs = b.unsqueeze(lhs, {0});
  if (rightVector)
    rhs = b.unsqueeze(rhs, {1});
  Value y = matmul(b, lhs, rhs, false, false, elem);
  if (rightVector)
    y = b.squeeze(y, {b.rank(y) - 1});
  if (leftVector)
    y = b.squeeze(y, {b.rank(y) - (rightVector ? 1 : 2)});
  return y;
}

static LogicalResult checkRanks(OpContext &c) {
  for (int64_t i : {0, 1})
    if (c.rank(i) == 0)
      return c.fail("operand " + Twine(i) + " is a scalar, not a matrix or vector");
  return success();
}

static LogicalResult matMul(OpContext &c) {
  if (failed(checkRanks(c)))
    return failure();
  return c.done(numpyMatmul(c.b, c.operand(0), c.operand(1), c.elem(0)));
}

Value scaled(GraphBuilder &b, Value v, double factor) {
  if (factor == 1)
    return v;
  Type elem = b.elem(v), wide = computeType(elem);
  return b.elementwise({v}, elem, [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    return o.convert(o.mul(o.convert(args[0], wide), o.c(wide, factor)), elem);
  });
}

Value sum(GraphBuilder &b, Value x, Value y) {
  Type elem = b.elem(x), wide = computeType(elem);
  return b.elementwise({x, y}, elem, [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    return o.convert(o.add(o.convert(args[0], wide), o.convert(args[1], wide)), elem);
  });
}

Value product(GraphBuilder &b, Value x, Value y) {
  Type elem = b.elem(x), wide = computeType(elem);
  return b.elementwise({x, y}, elem, [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    return o.convert(o.mul(o.convert(args[0], wide), o.convert(args[1], wide)), elem);
  });
}

/// x - zero in i32, the zero point broadcast along `axis` (-1: numpy rules).
Value withoutZeroPoint(GraphBuilder &b, Value x, bool isUnsigned, Value zero, int64_t axis) {
  Type i32 = b.ops.getI32Type();
  auto wide = [&](OpBuilder &ob, Location l, Value v) { return convertScalar(ob, l, v, i32, isUnsigned); };
  if (!zero)
    return b.elementwise({x}, i32, [&](OpBuilder &ob, Location l, ValueRange args) { return wide(ob, l, args[0]); });
  zero = alongAxis(b, zero, b.rank(x), axis);
  return b.elementwise({x, zero}, i32, [&](OpBuilder &ob, Location l, ValueRange args) -> Value {
    return arith::SubIOp::create(ob, l, wide(ob, l, args[0]), wide(ob, l, args[1]));
  });
}

Value alongAxis(GraphBuilder &b, Value v, int64_t rank, int64_t axis) {
  if (axis < 0 || b.rank(v) != 1 || b.math.asConstant(b.dim(v, 0)) == 1)
    return b.rank(v) == 1 && b.math.asConstant(b.dim(v, 0)) == 1 ? b.squeeze(v, {0}) : v;
  Dims dims(rank - axis, b.math.constant(1));
  dims[0] = b.dim(v, 0);
  return b.reshape(v, dims);
}

/// Operands of an integer product as i32, zero points taken off: of rows for the left one, of columns for the right one.
static std::pair<Value, Value> integerOperands(OpContext &c, int64_t lhs, int64_t lhsZero, int64_t rhs, int64_t rhsZero) {
  auto zero = [&](int64_t i) { return c.has(i) ? c.operand(i) : Value(); };
  Value a = c.operand(lhs), w = c.operand(rhs);
  return {withoutZeroPoint(c.b, a, c.isUnsigned(lhs), zero(lhsZero), std::max<int64_t>(c.b.rank(a) - 2, 0)),
          withoutZeroPoint(c.b, w, c.isUnsigned(rhs), zero(rhsZero), c.b.rank(w) - 1)};
}

static LogicalResult matMulInteger(OpContext &c) {
  if (failed(checkRanks(c)))
    return failure();
  auto [a, w] = integerOperands(c, 0, 2, 1, 3);
  return c.done(numpyMatmul(c.b, a, w, c.b.ops.getI32Type()));
}

Value requantized(GraphBuilder &b, Value accumulator, ArrayRef<Value> factors, Value divisor, Value zero, Type elem, bool isUnsigned) {
  Type f32 = b.ops.getF32Type();
  SmallVector<Value> inputs{accumulator};
  inputs.append(factors.begin(), factors.end());
  inputs.push_back(divisor);
  if (zero)
    inputs.push_back(zero);
  return b.elementwise(inputs, elem, [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    Value x = o.convert(args[0], f32), scale = o.convert(args[1], f32);
    for (size_t i = 1; i < factors.size(); ++i)
      scale = o.mul(scale, o.convert(args[1 + i], f32));
    scale = o.div(scale, o.convert(args[1 + factors.size()], f32));
    return quantizeScalar(ob, l, o.mul(x, scale), zero ? args.back() : Value(), elem, isUnsigned, true);
  });
}

static LogicalResult qLinearMatMul(OpContext &c) {
  GraphBuilder &b = c.b;
  auto [a, w] = integerOperands(c, 0, 2, 3, 5);
  Value y = numpyMatmul(b, a, w, b.ops.getI32Type());
  int64_t r = b.rank(y);
  Value aScale = alongAxis(b, c.operand(1), r, std::max<int64_t>(r - 2, 0)), wScale = alongAxis(b, c.operand(4), r, r - 1);
  Value yScale = alongAxis(b, c.operand(6), r, -1), yZero = alongAxis(b, c.operand(7), r, -1);
  return c.done(requantized(b, y, {aScale, wScale}, yScale, yZero, c.elem(7), c.isUnsigned(7)));
}

static LogicalResult gemm(OpContext &c) {
  GraphBuilder &b = c.b;
  if (c.rank(0) != 2 || c.rank(1) != 2)
    return c.fail("it needs matrices, and its operands have rank " + Twine(c.rank(0)) + " and " + Twine(c.rank(1)));
  Value y = matmul(b, c.operand(0), c.operand(1), c.flag("transA"), c.flag("transB"), c.elem(0));
  double alpha = c.real("alpha", 1), beta = c.real("beta", 1);
  bool isFloat = c.isFloat(0);
  if (!isFloat && (alpha != 1 || beta != 1))
    return c.fail("factors of integer matrices are not supported");
  y = scaled(b, y, alpha);
  if (c.has(2) && beta != 0)
    y = sum(b, y, scaled(b, c.operand(2), beta));
  return c.done(y);
}

static LogicalResult fusedMatMul(OpContext &c) {
  GraphBuilder &b = c.b;
  if (failed(checkRanks(c)))
    return failure();
  Value a = c.operand(0), w = c.operand(1);
  // transBatchX moves the first axis to the place before the last: [M, batch..., K] is read as [batch..., M, K].
  auto movedBatch = [&](Value v, StringRef flag) {
    int64_t r = b.rank(v);
    if (!c.flag(flag) || r < 3)
      return v;
    SmallVector<int64_t> perm;
    for (int64_t i = 1; i < r - 1; ++i)
      perm.push_back(i);
    perm.append({0, r - 1});
    return b.transpose(v, perm);
  };
  a = movedBatch(a, "transBatchA"), w = movedBatch(w, "transBatchB");
  bool transA = c.flag("transA") && b.rank(a) > 1, transB = c.flag("transB") && b.rank(w) > 1;
  Value y = b.rank(a) == 1 || b.rank(w) == 1
                ? numpyMatmul(b, transA ? b.transpose(a, {1, 0}) : a, transB ? b.transpose(w, {1, 0}) : w, c.elem(0))
                : matmul(b, a, w, transA, transB, c.elem(0));
  return c.done(scaled(b, y, c.real("alpha", 1)));
}

/// Code (of `bits`, low bits first) number `index` in the byte row that `read` gives.
Value unpackedCode(BodyOps &o, int64_t bits, Value index, function_ref<Value(Value)> read) {
  Type i32 = o.b.getI32Type();
  if (bits == 8)
    return o.make<arith::ExtUIOp>(i32, read(index));
  Value perByte = o.make<arith::ConstantIndexOp>(8 / bits);
  Value byte = o.make<arith::ExtUIOp>(i32, read(o.make<arith::DivUIOp>(index, perByte)));
  Value place = o.make<arith::IndexCastOp>(i32, o.make<arith::RemUIOp>(index, perByte));
  Value shifted = o.make<arith::ShRUIOp>(byte, o.mul(place, o.c(i32, bits)));
  return o.both(shifted, o.c(i32, (1 << bits) - 1));
}

/// The weight of a MatMulNBits as floats [N, K]. Only for forms that leat.matmul_nbits does not have: groups by index.
static Value dequantizedNBits(OpContext &c, int64_t n, int64_t k, int64_t bits, int64_t block, Value codes, Value scales, Value zeros,
                              Value groups) {
  GraphBuilder &b = c.b;
  Type elem = b.elem(scales), wide = computeType(elem);
  return b.generate(b.staticDims({n, k}), elem, [&](OpBuilder &ob, Location l, ValueRange at) {
    BodyOps o{ob, l};
    Value size = o.make<arith::ConstantIndexOp>(block);
    Value inBlock = o.make<arith::RemUIOp>(at[1], size), blockIndex = o.make<arith::DivUIOp>(at[1], size);
    Value code = unpackedCode(o, bits, inBlock,
                              [&](Value i) -> Value { return o.make<tensor::ExtractOp>(codes, ValueRange{at[0], blockIndex, i}); });
    Value group =
        bodyIndex(ob, l, o.make<tensor::ExtractOp>(groups, ValueRange{at[1]}), o.make<arith::ConstantIndexOp>(llvm::divideCeil(k, block)));
    Value x = o.make<arith::SIToFPOp>(wide, code), zero = o.c(wide, 1 << (bits - 1));
    if (zeros && isa<FloatType>(b.elem(zeros)))
      zero = o.convert(o.make<tensor::ExtractOp>(zeros, ValueRange{at[0], group}), wide);
    else if (zeros)
      zero = o.make<arith::SIToFPOp>(
          wide, unpackedCode(o, bits, group, [&](Value i) -> Value { return o.make<tensor::ExtractOp>(zeros, ValueRange{at[0], i}); }));
    Value scale = o.convert(o.make<tensor::ExtractOp>(scales, ValueRange{at[0], group}), wide);
    return o.convert(o.mul(o.sub(x, zero), scale), elem);
  });
}

static LogicalResult matMulNBits(OpContext &c) {
  GraphBuilder &b = c.b;
  int64_t k = c.integer("K"), n = c.integer("N"), bits = c.integer("bits", 4), block = c.integer("block_size");
  if (bits != 2 && bits != 4 && bits != 8)
    return c.fail("weights of " + Twine(bits) + " bits are not supported; 2, 4 and 8 are");
  if (block < 16 || !llvm::isPowerOf2_64(block) || k <= 0 || n <= 0)
    return c.fail("attributes K, N and block_size have to be positive, and block_size a power of two of at least 16");
  if (c.integer("weight_prepacked", 0) != 0)
    return c.fail("its weight is packed for another machine's kernels (weight_prepacked); export it without");
  int64_t blocks = llvm::divideCeil(k, block);
  Value a = c.operand(0), codes = b.reshape(c.operand(1), b.staticDims({n, blocks, block * bits / 8}));
  Value scales = b.reshape(c.operand(2), b.staticDims({n, blocks})), zeros;
  if (c.has(3)) {
    bool packed = !isa<FloatType>(c.elem(3));
    int64_t row = packed ? llvm::divideCeil(blocks * bits, 8) : blocks;
    zeros = b.reshape(c.operand(3), b.staticDims({n, row}));
  }
  Type elem = c.elem(0);
  Value y;
  if (c.has(4)) {
    Value w = dequantizedNBits(c, n, k, bits, block, codes, scales, zeros, c.operand(4));
    bool vector = b.rank(a) == 1;
    y = matmul(b, vector ? b.unsqueeze(a, {0}) : a, w, false, true, elem);
    y = vector ? b.squeeze(y, {0}) : y;
  } else {
    Dims result = b.dims(a);
    b.require(result.back(), b.math.constant(k), "the last dimension of its activations is not K");
    result.back() = b.math.constant(n);
    y = b.create<MatmulNBitsOp>(b.typeOf(result, elem), a, codes, scales, zeros, k, n, bits, block, c.integer("accuracy_level", 0) == 4)
            .getOutput();
    y = b.withDims(y, result);
  }
  return c.done(c.has(5) ? sum(b, y, c.operand(5)) : y);
}

void registerProducts(HandlerTable &t) {
  t.add("", "MatMul", 1, matMul);
  t.add("", "MatMulInteger", 10, matMulInteger);
  t.add("", "QLinearMatMul", 10, qLinearMatMul);
  t.add("", "Gemm", 1, gemm);
  t.add("com.microsoft", "FusedMatMul", 1, fusedMatMul);
  t.add("com.microsoft", "MatMulNBits", 1, matMulNBits);
}

} // namespace leat::import
