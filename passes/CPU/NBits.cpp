// leat.matmul_nbits: products with block-quantised weights. Weights are w = (code - zero) * scale in f32 and sums run over k in order, so
// that one row (dequantised in registers, at the speed of memory) and many rows (dequantised once into a panel) give the same bits.
#include "passes/CPU/NBits.h"
#include "passes/CPU/Operands.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace leat::cpu {

namespace {

/// Dequantises 64 columns, group by group in order of k, a few vectors of columns at a time.
class Dequantizer {
public:
  Dequantizer(Emit &b, const Target &target, const QuantTypes &types, Value codes, Value scales, Value zeros, int64_t vectors)
      : b(b), target(target), q(types), codes(codes), scales(scales), zeros(zeros), vectors(vectors),
        lanes(lanesOf(target, b.getF32Type())), f32(Emit::vec(lanes, b.getF32Type())), i32(Emit::vec(lanes, b.getI32Type())) {
    if (useTable()) {
      SmallVector<float> table;
      for (int i = 0; i < 16; ++i)
        table.push_back(q.zero ? i : i - 8);
      lut = arith::ConstantOp::create(b, DenseElementsAttr::get(f32, ArrayRef<float>(table)));
    }
  }

  /// `use(k, weights, carried)`: weights of row k of the group, one vector per `vectors` columns, from column j on.
  Values group(Value g, Value j, ValueRange carried, llvm::function_ref<Values(Value k, ArrayRef<Value> weights, ValueRange carried)> use) {
    int64_t perBlock = q.codes.block / q.codes.group();
    Value block = perBlock == 1 ? g : b.div(g, b.c(perBlock));
    Value column = b.add(b.mul(block, b.c(kPanel)), j);
    Values scale, offset;
    for (int64_t v = 0; v < vectors; ++v) {
      scale.push_back(loadFloat(scales, q.scale, column, v));
      if (q.zero) // code * scale - zero * scale: one operation for each weight
        offset.push_back(b.mul(b.sub(b.zero(f32), loadFloat(zeros, q.zero, column, v)), scale[v]));
    }
    Value words = b.at(codes, b.getI32Type(), b.add(b.mul(g, b.c(q.codes.words() * kPanel)), j));
    Values current(carried.begin(), carried.end());
    for (int64_t i = 0; i < q.codes.perByte(); ++i)
      current = b.loop(b.c(0), b.c(q.codes.words()), b.c(1), current, [&](Value word, ValueRange inner) {
        Values packed, state(inner.begin(), inner.end());
        Value wordRow = b.at(words, b.getI32Type(), b.mul(word, b.c(kPanel)));
        for (int64_t v = 0; v < vectors; ++v)
          packed.push_back(b.load(i32, b.at(wordRow, b.getI32Type(), v * lanes)));
        for (int64_t byte = 0; byte < 4; ++byte) {
          Value k = b.add(b.mul(word, b.c(4)), b.c(i * q.codes.group() / q.codes.perByte() + byte));
          Values weights;
          for (int64_t v = 0; v < vectors; ++v) {
            Value w = code(packed[v], 8 * byte + q.codes.bits * i);
            weights.push_back(q.zero ? b.fma(target, w, scale[v], offset[v]) : b.mul(w, scale[v]));
          }
          state = use(k, weights, state);
        }
        return state;
      });
    return current;
  }

private:
  bool useTable() const { return q.codes.bits == 4 && target.avx512 && lanes == 16; }

  Value loadFloat(Value base, Type type, Value column, int64_t v) {
    Value loaded = b.load(Emit::vec(lanes, type), b.at(base, type, b.add(column, b.c(v * lanes))));
    if (type.isInteger()) // zero points are unsigned
      return arith::UIToFPOp::create(b, f32, loaded);
    return b.widen(target, loaded, b.getF32Type());
  }

  /// The code at bit `shift` as a float, less the implied zero point if no other is given.
  Value code(Value words, int64_t shift) {
    Value low = shift ? arith::ShRUIOp::create(b, words, b.constant(i32, shift)).getResult() : words;
    if (useTable())
      return LLVM::CallIntrinsicOp::create(b, f32, b.getStringAttr("llvm.x86.avx512.permvar.sf.512"), ValueRange{lut, low}).getResult(0);
    if (shift + q.codes.bits < 32)
      low = arith::AndIOp::create(b, low, b.constant(i32, (1 << q.codes.bits) - 1));
    if (!q.zero)
      low = b.sub(low, b.constant(i32, 1 << (q.codes.bits - 1)));
    return arith::SIToFPOp::create(b, f32, low);
  }

  Emit &b;
  const Target &target;
  const QuantTypes &q;
  Value codes, scales, zeros, lut;
  int64_t vectors, lanes;
  VectorType f32, i32;
};

/// panel[k][64] = weights of groups [first, first + groups). (codes, scales, zeros, panel, first, groups)
func::FuncOp dequantizePanel(ModuleOp module, const Target &target, const QuantTypes &types) {
  Emit t(module.getLoc(), module.getContext());
  Type ptr = t.ptr(), f32 = t.getF32Type();
  return sharedFunction(module, "dequantize_" + types.name(), {ptr, ptr, ptr, ptr, t.i64(), t.i64()}, [&](Emit &b, ValueRange args) {
    int64_t lanes = lanesOf(target, f32), vectors = std::min<int64_t>(4, kPanel / lanes);
    Dequantizer d(b, target, types, args[0], args[1], args[2], vectors);
    b.loop(b.c(0), args[5], b.c(1), [&](Value i) {
      Value g = b.add(args[4], i), rows = b.mul(i, b.c(types.codes.group()));
      b.loop(b.c(0), b.c(kPanel), b.c(vectors * lanes), [&](Value j) {
        d.group(g, j, {}, [&](Value k, ArrayRef<Value> weights, ValueRange) {
          Value row = b.at(args[3], f32, b.add(b.mul(b.add(rows, k), b.c(kPanel)), j));
          for (auto [v, w] : llvm::enumerate(weights))
            b.store(w, b.at(row, f32, v * lanes));
          return Values();
        });
      });
    });
  });
}

/// sums[rows][64] = a[rows][k] * weights, dequantised in registers. (a, aRowStride, codes, scales, zeros, groups, sums)
func::FuncOp quantizedRows(ModuleOp module, const Target &target, const QuantTypes &types, Type lhs, int64_t rows) {
  Emit t(module.getLoc(), module.getContext());
  Type ptr = t.ptr(), i64 = t.i64(), f32 = t.getF32Type();
  std::string name = llvm::formatv("product_{0}_{1}_x{2}",
                                   lhs.getIntOrFloatBitWidth() == 32 ? "f32"
                                   : isa<BFloat16Type>(lhs)          ? "bf16"
                                                                     : "f16",
                                   types.name(), rows);
  return sharedFunction(module, name, {ptr, i64, ptr, ptr, ptr, i64, ptr}, [&](Emit &b, ValueRange args) {
    int64_t lanes = lanesOf(target, f32), vectors = 1, budget = target.avx512 ? 16 : 6;
    while (vectors * 2 * lanes <= kPanel && (vectors * 2 * rows <= budget))
      vectors *= 2;
    Dequantizer d(b, target, types, args[2], args[3], args[4], vectors);
    VectorType vec = Emit::vec(lanes, f32);
    b.loop(b.c(0), b.c(kPanel), b.c(vectors * lanes), [&](Value j) {
      Values sums = b.loop(b.c(0), args[5], b.c(1), Values(rows * vectors, b.zero(vec)), [&](Value g, ValueRange carried) {
        Value k0 = b.mul(g, b.c(types.codes.group()));
        return d.group(g, j, carried, [&](Value k, ArrayRef<Value> weights, ValueRange state) {
          Values next;
          for (int64_t r = 0; r < rows; ++r) {
            Value at = b.add(b.add(k0, k), b.mul(args[1], b.c(r)));
            Value x = b.splat(b.widen(target, b.load(lhs, b.at(args[0], lhs, at)), f32), lanes);
            for (int64_t v = 0; v < vectors; ++v)
              next.push_back(b.fma(target, x, weights[v], state[r * vectors + v]));
          }
          return next;
        });
      });
      for (int64_t i = 0; i < rows * vectors; ++i)
        b.store(sums[i], b.at(args[6], f32, b.add(j, b.c(i / vectors * kPanel + i % vectors * lanes))));
    });
  });
}

constexpr int64_t kRegisterRows = 4; ///< up to here weights are dequantised in registers

class NBitsGenerator : public NBitsKernel {
public:
  using NBitsKernel::NBitsKernel;

  Value tasks(KernelBuilder &k) override { return k.mul(k.ceilDiv(rowCount(k), k.idx(kBlockRows)), k.idx(panels)); }

  Value scratch(KernelBuilder &k) override {
    Value rows = direct(k) ? k.idx(0) : k.mul(k.min(rowCount(k), k.idx(kBlockRows)), k.idx(paddedDepth * 4));
    return k.add(rows, k.idx(lhsAt()));
  }

  void run(KernelBuilder &k, Value task) override {
    checkEpilogue(k, op.getOutput());
    Value rowsAll = rowCount(k), rowBlocks = k.ceilDiv(rowsAll, k.idx(kBlockRows));
    Value panel = k.div(task, rowBlocks), row0 = k.mul(k.rem(task, rowBlocks), k.idx(kBlockRows));
    Value rows = k.min(k.sub(rowsAll, row0), k.idx(kBlockRows));
    Value n0 = k.mul(panel, k.idx(kPanel)), nEnd = k.min(k.add(n0, k.idx(kPanel)), k.idx(n));
    prepareRows(k, row0, rows, lhsAt());
    if (packed())
      runPacked(k, panel, rows);
    else
      runPlain(k, n0, nEnd, rows);
    emitRows(k, row0, rows, n0, nEnd);
  }

private:
  // Scratch: sums, a dequantised stretch of a panel, rows of the left operand.
  static constexpr int64_t kStretch = 512;
  static constexpr int64_t panelAt() { return kBlockRows * kPanel * 4; }
  int64_t lhsAt() const { return panelAt() + std::min(kStretch, paddedDepth) * kPanel * 4; }

  void runPacked(KernelBuilder &k, Value panel, Value rows) {
    QuantTypes types = quantTypes(k);
    auto module = kernel()->getParentOfType<ModuleOp>();
    int64_t groups = paddedDepth / layout.group();
    auto [codes, scales, zeros] = panelWeights(k, panel);
    auto is = [&](int64_t r) { return arith::CmpIOp::create(k.b, arith::CmpIPredicate::eq, rows, k.idx(r)).getResult(); };
    for (int64_t r = 1; r <= kRegisterRows; ++r) {
      auto callee = quantizedRows(module, k.target, types, lhsType, r);
      k.ifThen(is(r), [&] {
        func::CallOp::create(k.b, callee,
                             ValueRange{lhs, k.i64(k.idx(paddedDepth)), codes, scales, zeros, k.i64(k.idx(groups)), k.scratch()});
      });
    }
    auto dequantize = dequantizePanel(module, k.target, types);
    Value many = arith::CmpIOp::create(k.b, arith::CmpIPredicate::sgt, rows, k.idx(kRegisterRows));
    k.ifThen(many, [&] {
      Value weights = k.bytePtr(k.scratch(), k.idx(panelAt()));
      k.forLoop(k.idx(0), k.idx(paddedDepth), k.idx(kStretch), [&](Value k0) {
        Value kn = k.min(k.sub(k.idx(paddedDepth), k0), k.idx(kStretch));
        auto groupsOf = [&](Value depth) { return k.i64(k.div(depth, k.idx(layout.group()))); };
        func::CallOp::create(k.b, dequantize, ValueRange{codes, scales, zeros, weights, groupsOf(k0), groupsOf(kn)});
        multiply(k, k0, kn, rows);
      });
    });
  }

  void multiply(KernelBuilder &k, Value k0, Value kn, Value rows) {
    Type f32 = k.b.getF32Type();
    Value again = arith::CmpIOp::create(k.b, arith::CmpIPredicate::ne, k0, k.idx(0));
    callProduct(k, {lhsType, f32, f32}, k.elementPtr(lhs, lhsType, k0), k.idx(paddedDepth), k.idx(1),
                k.bytePtr(k.scratch(), k.idx(panelAt())), k.idx(kPanel), kn, k.scratch(), again, rows);
  }

  /// Codes that are not a packed parameter: weights are computed one by one.
  void runPlain(KernelBuilder &k, Value n0, Value nEnd, Value rows) {
    Type f32 = k.b.getF32Type(), i32 = k.b.getI32Type();
    Value weights = k.bytePtr(k.scratch(), k.idx(panelAt())), columns = k.sub(nEnd, n0);
    auto field = [&](Puller &pull, Value tensor, Value bit,
                     Value first) -> Value { // unsigned `bits` at bit `bit` of the bytes from `first` on
      Value byte = pull.pullLinear(tensor, pull.at(k.add(first, k.div(bit, k.idx(8)))));
      Value shift = arith::IndexCastOp::create(k.b, i32, k.rem(bit, k.idx(8)));
      Value word = arith::ExtUIOp::create(k.b, i32, byte);
      Value code = arith::AndIOp::create(k.b, arith::ShRUIOp::create(k.b, word, shift), k.constantInt(i32, (1 << layout.bits) - 1));
      return arith::SIToFPOp::create(k.b, f32, code);
    };
    k.forLoop(k.idx(0), k.idx(paddedDepth), k.idx(kStretch), [&](Value k0) {
      Value kn = k.min(k.sub(k.idx(paddedDepth), k0), k.idx(kStretch));
      k.forLoop(k.idx(0), kn, k.idx(1), [&](Value kk) {
        k.forLoop(k.idx(0), k.idx(kPanel), k.idx(1), [&](Value j) {
          Value inside = arith::CmpIOp::create(k.b, arith::CmpIPredicate::slt, j, columns);
          Value weight = k.ifElse(
              inside,
              [&]() -> SmallVector<Value> {
                Puller pull(k, 1);
                Value column = k.add(n0, j), at = k.add(k0, kk), block = k.div(at, k.idx(layout.block));
                Value scaleAt = k.add(k.mul(column, k.idx(blocks)), block);
                Value code = field(pull, op.getCodes(), k.mul(k.rem(at, k.idx(layout.block)), k.idx(layout.bits)),
                                   k.mul(scaleAt, k.idx(layout.block * layout.bits / 8)));
                Value zero = k.constant(f32, double(1 << (layout.bits - 1)));
                if (packedZeros())
                  zero = field(pull, op.getZeros(), k.mul(block, k.idx(layout.bits)),
                               k.mul(column, k.idx(llvm::divideCeil(blocks * layout.bits, 8))));
                else if (op.getZeros())
                  zero = convertCarried(k, pull.pullLinear(op.getZeros(), pull.at(scaleAt)), f32);
                Value scale = convertCarried(k, pull.pullLinear(op.getScales(), pull.at(scaleAt)), f32);
                if (!op.getZeros())
                  return {arith::MulFOp::create(k.b, arith::SubFOp::create(k.b, code, zero), scale)};
                Value negative = arith::SubFOp::create(k.b, k.constant(f32, 0), zero);
                return {k.fma(code, scale, arith::MulFOp::create(k.b, negative, scale))};
              },
              [&]() -> SmallVector<Value> { return {k.constant(f32, 0)}; })[0];
          k.store(weight, weights, f32, k.add(k.mul(kk, k.idx(kPanel)), j));
        });
      });
      multiply(k, k0, kn, rows);
    });
  }
};

} // namespace

NBitsKernel::NBitsKernel(MatmulNBitsOp op)
    : op(op), layout{int64_t(op.getBits()), int64_t(op.getBlock())}, depth(op.getK()), n(op.getN()),
      blocks(llvm::divideCeil(depth, layout.block)), paddedDepth(blocks * layout.block), panels(llvm::divideCeil(n, kPanel)) {}

Cost NBitsKernel::cost(KernelBuilder &k) {
  Value rows = rowCount(k);
  int64_t weights =
      n * blocks *
      (layout.block * layout.bits / 8 + bytesOf(op.getScales()) + (op.getZeros() && !packedZeros() ? bytesOf(op.getZeros()) : 0));
  Value moved = k.mul(rows, k.idx(depth * bytesOf(op.getLhs()) + n * bytesOf(op.getOutput())));
  return {k.add(moved, k.idx(weights)), k.mul(rows, k.idx(2 * n * depth))};
}

Value NBitsKernel::rowCount(KernelBuilder &k) {
  auto dims = k.dims(op.getLhs());
  dims.pop_back();
  return k.product(dims);
}

QuantTypes NBitsKernel::quantTypes(KernelBuilder &k) {
  auto element = [&](Value tensor) { return productType(k, cast<RankedTensorType>(tensor.getType()).getElementType()); };
  return {layout, element(op.getScales()), op.getZeros() ? element(op.getZeros()) : Type()};
}

NBitsKernel::PanelWeights NBitsKernel::panelWeights(KernelBuilder &k, Value panel) {
  QuantTypes types = quantTypes(k);
  int64_t words = paddedDepth / layout.group() * layout.words();
  PanelWeights w;
  w.codes = k.elementPtr(k.buffer(cast<BlockArgument>(op.getCodes())), k.b.getI32Type(), k.mul(panel, k.idx(words * kPanel)));
  w.scales = w.zeros = k.elementPtr(k.buffer(cast<BlockArgument>(op.getScales())), types.scale, k.mul(panel, k.idx(blocks * kPanel)));
  // Packed zero points fill whole bytes: there may be more of them than blocks.
  int64_t zeroColumns = packedZeros() ? llvm::divideCeil(blocks * layout.bits, 8) * (8 / layout.bits) : blocks;
  if (op.getZeros())
    w.zeros = k.elementPtr(k.buffer(cast<BlockArgument>(op.getZeros())), types.zero, k.mul(panel, k.idx(zeroColumns * kPanel)));
  return w;
}

bool NBitsKernel::direct(KernelBuilder &k) {
  auto strided = traceStrided(k, op.getLhs());
  return strided && strided->dense && paddedDepth == depth && isa<FloatType>(strided->element) &&
         strided->element.getIntOrFloatBitWidth() <= 32;
}

Value NBitsKernel::rowsInPlace(KernelBuilder &k, Value row0) {
  auto strided = traceStrided(k, op.getLhs());
  lhsType = strided->element;
  return k.elementPtr(k.buffer(strided->argument), lhsType, k.mul(row0, k.idx(depth)));
}

void NBitsKernel::prepareRows(KernelBuilder &k, Value row0, Value rows, int64_t scratchAt) {
  if (direct(k)) {
    lhs = rowsInPlace(k, row0);
    return;
  }
  lhsType = k.b.getF32Type();
  lhs = k.bytePtr(k.scratch(), k.idx(scratchAt));
  auto dims = k.dims(op.getLhs());
  dims.pop_back();
  k.forLoop(k.idx(0), rows, k.idx(1), [&](Value r) {
    SmallVector<Value> at = delinearize(k, k.add(row0, r), dims);
    k.forLanes(k.idx(0), k.idx(depth), k.target.lanes(), [&](Value kk, int64_t lanes) {
      Puller pull(k, lanes);
      SmallVector<Idx> coordinates = pull.at(at);
      coordinates.push_back(pull.at(kk, lanes > 1));
      k.store(convertCarried(k, pull.pullVector(op.getLhs(), coordinates), lhsType), lhs, lhsType, k.add(k.mul(r, k.idx(paddedDepth)), kk));
    });
    k.forLoop(k.idx(depth), k.idx(paddedDepth), k.idx(1),
              [&](Value kk) { k.store(k.constant(lhsType, 0), lhs, lhsType, k.add(k.mul(r, k.idx(paddedDepth)), kk)); });
  });
}

void NBitsKernel::emitRows(KernelBuilder &k, Value row0, Value rows, Value n0, Value nEnd) {
  auto dims = k.dims(op.getLhs());
  dims.pop_back();
  k.forLoop(k.idx(0), rows, k.idx(1), [&](Value r) {
    SmallVector<Value> at = delinearize(k, k.add(row0, r), dims);
    emitRow(k, op.getOutput(), at, n0, nEnd, k.scratch(), k.mul(r, k.idx(kPanel)), k.b.getF32Type());
  });
}

std::unique_ptr<Generator> createNBitsGenerator(MatmulNBitsOp op, const Target &target) {
  if (auto int8 = createNBitsInt8Generator(op, target))
    return int8;
  return std::make_unique<NBitsGenerator>(op);
}

} // namespace leat::cpu
