// leat.matmul_nbits with activations quantised to 8 bits per 32 values of k (accuracy_level 4): 4-bit and 8-bit codes meet them in
// vpdpbusd, four products of bytes per lane. Chosen only where the schedule asks for it: it is not exact.
#include "passes/CPU/NBits.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace leat::cpu {

namespace {

constexpr int64_t kGroup = 32, kLanes = 16, kVectors = kPanel / kLanes;
constexpr int64_t kInt8Rows = 24;     ///< rows of a task
constexpr int64_t kAheadBytes = 2048; ///< between asking for codes and reading them
constexpr int64_t kTile = 3;          ///< rows of a register tile: 12 sums, 12 integer sums, the codes of 4 vectors

/// Rows to bytes: q = round(x * 127 / max |x|) per group; the factor and the sum of q beside them. (x, xStride, q, factors, sums, groups,
/// rows)
func::FuncOp quantizeRows(ModuleOp module, const Target &target, Type lhs) {
  Emit t(module.getLoc(), module.getContext());
  Type ptr = t.ptr(), i64 = t.i64(), f32 = t.getF32Type(), i32 = t.getI32Type(), i8 = t.getI8Type();
  std::string name = "quantize_rows_";
  llvm::raw_string_ostream(name) << lhs;
  return sharedFunction(module, name, {ptr, i64, ptr, ptr, ptr, i64, i64}, [&](Emit &b, ValueRange args) {
    Value groups = args[5];
    b.loop(b.c(0), args[6], b.c(1), [&](Value r) {
      Value row = b.at(args[0], lhs, b.mul(r, args[1]));
      b.loop(b.c(0), groups, b.c(1), [&](Value g) {
        Value cell = b.add(b.mul(r, groups), g), k0 = b.mul(g, b.c(kGroup));
        Value x[2], q[2];
        for (int64_t i = 0; i < 2; ++i)
          x[i] = b.widen(target, b.load(Emit::vec(kLanes, lhs), b.at(row, lhs, b.add(k0, b.c(i * kLanes)))), f32);
        Value largest = b.max(math::AbsFOp::create(b, x[0]), math::AbsFOp::create(b, x[1]));
        Value peak = vector::ReductionOp::create(b, vector::CombiningKind::MAXNUMF, largest,
                                                 arith::FastMathFlags::nnan | arith::FastMathFlags::reassoc);
        Value some = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, peak, b.constant(f32, 0));
        Value inverse = b.select(some, b.div(b.constant(f32, 127), peak), b.constant(f32, 0));
        for (int64_t i = 0; i < 2; ++i) {
          q[i] = b.convert(math::RoundEvenOp::create(b, b.mul(x[i], b.splat(inverse, kLanes))).getResult(), i32);
          b.store(b.convert(q[i], i8), b.at(args[2], i8, b.add(b.mul(cell, b.c(kGroup)), b.c(i * kLanes))));
        }
        b.store(b.mul(peak, b.constant(f32, 1.0 / 127)), b.at(args[3], f32, cell));
        b.store(vector::ReductionOp::create(b, vector::CombiningKind::ADD, b.add(q[0], q[1])), b.at(args[4], i32, cell));
      });
    });
  });
}

/// out[rows][64]. (q, factors, sums, codes, scales, zeros, groups, out)
func::FuncOp int8Tile(ModuleOp module, const Target &target, const QuantTypes &types, int64_t rows) {
  Emit t(module.getLoc(), module.getContext());
  Type ptr = t.ptr(), f32 = t.getF32Type(), i32 = t.getI32Type(), i8 = t.getI8Type();
  std::string name = llvm::formatv("product_int8_{0}_x{1}", types.name(), rows);
  return sharedFunction(module, name, {ptr, ptr, ptr, ptr, ptr, ptr, t.i64(), ptr}, [&](Emit &b, ValueRange args) {
    VectorType vec = Emit::vec(kLanes, f32), ints = Emit::vec(kLanes, i32), bytes = Emit::vec(4 * kLanes, i8);
    Value groups = args[6];
    int64_t words = types.codes.words(), perByte = types.codes.perByte(), perBlock = types.codes.block / kGroup;
    auto dot = [&](Value sum, Value unsignedBytes, Value signedBytes) {
      return LLVM::CallIntrinsicOp::create(
                 b, ints, b.getStringAttr("llvm.x86.avx512.vpdpbusd.512"),
                 ValueRange{sum, vector::BitCastOp::create(b, bytes, unsignedBytes), vector::BitCastOp::create(b, bytes, signedBytes)})
          .getResult(0);
    };
    Values totals = b.loop(b.c(0), groups, b.c(1), Values(rows * kVectors, b.zero(vec)), [&](Value g, ValueRange carried) {
      Values sums, rowSums;
      for (int64_t r = 0; r < rows; ++r) {
        rowSums.push_back(b.load(i32, b.at(args[2], i32, b.add(b.mul(groups, b.c(r)), g))));
        // Without zero points the implied one is taken off at the start.
        Value start = types.zero ? b.zero(ints) : b.splat(b.mul(rowSums[r], b.constant(i32, -(1 << (types.codes.bits - 1)))), kLanes);
        sums.append(kVectors, start);
      }
      Value group = b.at(args[3], i32, b.mul(g, b.c(words * kPanel)));
      if (rows == 1 && types.codes.bits == 8) // it does little but read; codes of 4 bits are unpacked, too
        b.prefetch(b.at(group, b.getI8Type(), kAheadBytes), words * kPanel * 4);
      for (int64_t word = 0; word < words; ++word) {
        Values packed;
        for (int64_t v = 0; v < kVectors; ++v)
          packed.push_back(b.load(ints, b.at(group, i32, word * kPanel + v * kLanes)));
        for (int64_t i = 0; i < perByte; ++i) {
          Values codes;
          for (Value p : packed) {
            Value shifted = i ? arith::ShRUIOp::create(b, p, b.constant(ints, types.codes.bits * i)).getResult() : p;
            codes.push_back(perByte == 1 ? shifted : arith::AndIOp::create(b, shifted, b.constant(ints, 0x0f0f0f0f)).getResult());
          }
          for (int64_t r = 0; r < rows; ++r) {
            Value at = b.add(b.mul(groups, b.c(r)), g);
            Value four = b.load(i32, b.at(b.at(args[0], i8, b.mul(at, b.c(kGroup))), i32, i * words + word));
            Value all = b.splat(four, kLanes);
            for (int64_t v = 0; v < kVectors; ++v)
              sums[r * kVectors + v] = dot(sums[r * kVectors + v], codes[v], all);
          }
        }
      }
      Value column = b.mul(perBlock == 1 ? g : b.div(g, b.c(perBlock)), b.c(kPanel));
      auto loadFloat = [&](Value base, Type type, int64_t v) {
        Value loaded = b.load(Emit::vec(kLanes, type), b.at(base, type, b.add(column, b.c(v * kLanes))));
        return type.isInteger() ? arith::UIToFPOp::create(b, vec, loaded).getResult() : b.widen(target, loaded, f32);
      };
      Values scale, zero;
      for (int64_t v = 0; v < kVectors; ++v) {
        scale.push_back(loadFloat(args[4], types.scale, v));
        if (types.zero)
          zero.push_back(loadFloat(args[5], types.zero, v));
      }
      Values next;
      for (int64_t r = 0; r < rows; ++r) {
        Value factor = b.splat(b.load(f32, b.at(args[1], f32, b.add(b.mul(groups, b.c(r)), g))), kLanes);
        for (int64_t v = 0; v < kVectors; ++v) {
          Value sum = b.convert(sums[r * kVectors + v], f32);
          if (types.zero) {
            Value minus = b.splat(b.sub(b.constant(f32, 0), b.convert(rowSums[r], f32)), kLanes);
            sum = b.fma(target, minus, zero[v], sum);
          }
          next.push_back(b.fma(target, b.mul(sum, scale[v]), factor, carried[r * kVectors + v]));
        }
      }
      return next;
    });
    for (int64_t i = 0; i < rows * kVectors; ++i)
      b.store(totals[i], b.at(args[7], f32, i / kVectors * kPanel + i % kVectors * kLanes));
  });
}

class NBitsInt8Generator : public NBitsKernel {
public:
  explicit NBitsInt8Generator(MatmulNBitsOp op) : NBitsKernel(op), groups(paddedDepth / kGroup) {}

  Value tasks(KernelBuilder &k) override {
    Split s = split(k);
    return k.mul(s.blocks, s.parts);
  }

  Value scratch(KernelBuilder &k) override {
    Value rows = direct(k) ? k.idx(0) : k.mul(k.min(rowCount(k), k.idx(kInt8Rows)), k.idx(paddedDepth * 4));
    return k.add(rows, k.idx(lhsAt()));
  }

  void run(KernelBuilder &k, Value task) override { runTask(k, task, {}); }

  /// Neighbouring tasks work on the same rows: those are quantised once.
  void runRange(KernelBuilder &k, Value begin, Value end) override {
    Value parts = split(k).parts;
    k.forLoop(begin, end, k.idx(1), {k.idx(-1)}, [&](Value task, ValueRange carried) -> SmallVector<Value> {
      runTask(k, task, carried[0]);
      return {k.div(task, parts)};
    });
  }

private:
  /// `quantised`: the block of rows that is in scratch.
  void runTask(KernelBuilder &k, Value task, Value quantised) {
    checkEpilogue(k, op.getOutput());
    Split s = split(k);
    Value row0 = k.mul(k.div(task, s.parts), k.idx(kInt8Rows)), rows = k.min(k.sub(rowCount(k), row0), k.idx(kInt8Rows));
    Value first = k.mul(k.rem(task, s.parts), s.panelsPerPart), last = k.min(k.add(first, s.panelsPerPart), k.idx(panels));
    auto module = kernel()->getParentOfType<ModuleOp>();
    QuantTypes types = quantTypes(k);
    Type f32 = k.b.getF32Type(), i32 = k.b.getI32Type(), i8 = k.b.getI8Type();
    auto part = [&](int64_t bytes) { return k.bytePtr(k.scratch(), k.idx(bytes)); };
    Value q = part(bytesAt()), factors = part(factorsAt()), rowSums = part(rowSumsAt());
    auto quantise = [&] {
      prepareRows(k, row0, rows, lhsAt());
      func::CallOp::create(k.b, quantizeRows(module, k.target, lhsType),
                           ValueRange{lhs, k.i64(k.idx(paddedDepth)), q, factors, rowSums, k.i64(k.idx(groups)), k.i64(rows)});
    };
    if (quantised)
      k.ifThen(arith::CmpIOp::create(k.b, arith::CmpIPredicate::ne, k.div(task, s.parts), quantised), quantise);
    else
      quantise();
    k.forLoop(first, last, k.idx(1), [&](Value panel) {
      Value n0 = k.mul(panel, k.idx(kPanel)), nEnd = k.min(k.add(n0, k.idx(kPanel)), k.idx(n));
      auto [codes, scales, zeros] = panelWeights(k, panel);
      auto tile = [&, codes = codes, scales = scales, zeros = zeros](Value r, int64_t count) {
        Value cell = k.mul(r, k.idx(groups));
        func::CallOp::create(k.b, int8Tile(module, k.target, types, count),
                             ValueRange{k.elementPtr(q, i8, k.mul(cell, k.idx(kGroup))), k.elementPtr(factors, f32, cell),
                                        k.elementPtr(rowSums, i32, cell), codes, scales, zeros, k.i64(k.idx(groups)),
                                        k.elementPtr(k.scratch(), f32, k.mul(r, k.idx(kPanel)))});
      };
      Value left = k.rem(rows, k.idx(kTile)), whole = k.sub(rows, left);
      k.forLoop(k.idx(0), whole, k.idx(kTile), [&](Value r) { tile(r, kTile); });
      for (int64_t count = 1; count < kTile; ++count)
        k.ifThen(arith::CmpIOp::create(k.b, arith::CmpIPredicate::eq, left, k.idx(count)), [&] { tile(whole, count); });
      emitRows(k, row0, rows, n0, nEnd);
    });
  }

  struct Split {
    Value blocks, parts, panelsPerPart;
  };
  /// Rows are quantised once per task, so tasks want several panels; few rows have to be split finely enough for many threads, too.
  Split split(KernelBuilder &k) {
    Value rows = rowCount(k), few = arith::CmpIOp::create(k.b, arith::CmpIPredicate::sle, rows, k.idx(4));
    int64_t coarse = llvm::divideCeil(panels, 8), fine = llvm::divideCeil(panels, std::clamp<int64_t>(panels / 32, 1, 8));
    Value parts = arith::SelectOp::create(k.b, few, k.idx(fine), k.idx(coarse));
    return {k.ceilDiv(rows, k.idx(kInt8Rows)), parts, k.ceilDiv(k.idx(panels), parts)};
  }

  // Scratch: sums, bytes of the rows, their factors, sums of their bytes, rows of the left operand.
  static int64_t bytesAt() { return kInt8Rows * kPanel * 4; }
  int64_t factorsAt() const { return bytesAt() + kInt8Rows * paddedDepth; }
  int64_t rowSumsAt() const { return factorsAt() + kInt8Rows * groups * 4; }
  int64_t lhsAt() const { return llvm::alignTo(rowSumsAt() + kInt8Rows * groups * 4, 64); }

  int64_t groups;
};

} // namespace

std::unique_ptr<Generator> createNBitsInt8Generator(MatmulNBitsOp op, const Target &target) {
  auto kernel = op->getParentOfType<KernelFuncOp>();
  auto schedule = kernel.getScheduleAttr();
  auto asked = schedule ? schedule.getParams().getAs<IntegerAttr>("int8") : IntegerAttr();
  bool able =
      target.avx512vnni && target.vectorBits == 512 && (op.getBits() == 4 || op.getBits() == 8) && op.getBlock() >= uint64_t(kGroup);
  if (!op.getInt8Activations() || !asked || asked.getInt() == 0 || !able || !operandLayout(kernel, op.getCodes()).starts_with("nbits64"))
    return nullptr;
  return std::make_unique<NBitsInt8Generator>(op);
}

} // namespace leat::cpu
