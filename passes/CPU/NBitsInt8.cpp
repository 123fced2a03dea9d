// leat.matmul_nbits with activations quantised to 8 bits in the weight's blocks (accuracy_level 4): 4-bit and 8-bit codes meet them in
// vpdpbusd, four products of bytes per lane. Chosen only where the schedule asks for it: it is not exact.
#include "passes/CPU/NBits.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace leat::cpu {

namespace {

constexpr int64_t kLanes = 16, kVectors = kPanel / kLanes;
constexpr int64_t kInt8Rows = 24;      ///< rows of a task
constexpr int64_t kAheadBytes = 2048;  ///< between asking for codes and reading them
constexpr int64_t kAheadRow = 512;     ///< the same for elements of rows
constexpr int64_t kPairDepth = 2048;   ///< panels that are worth reading in pairs: shorter ones end before it shows
constexpr int64_t kBlocksTogether = 4; ///< of a row, when it is quantised
constexpr int64_t kTile = 3;           ///< rows of a register tile: 12 sums, 12 integer sums, the codes of 4 vectors

/// To the nearest even, in one instruction.
Value roundToInt(Emit &b, Value floats) {
  VectorType ints = Emit::vec(kLanes, b.getI32Type());
  Value all = arith::ConstantOp::create(b, b.getI16IntegerAttr(-1)), current = b.constant(b.getI32Type(), 4); // the rounding that is set
  return LLVM::CallIntrinsicOp::create(b, ints, b.getStringAttr("llvm.x86.avx512.mask.cvtps2dq.512"),
                                       ValueRange{floats, b.zero(ints), all, current})
      .getResult(0);
}

/// Rows to bytes: q = round(x * 127 / max |x|) per block; beside them the factor and what the sums of a block start from, which takes off
/// the implied zero point: -2^(bits - 1) times the sum of q. (x, xStride, q, factors, starts, blocks, rows)
func::FuncOp quantizeRows(ModuleOp module, const Target &target, Type lhs, const CodeLayout &codes) {
  Emit t(module.getLoc(), module.getContext());
  Type ptr = t.ptr(), i64 = t.i64(), f32 = t.getF32Type(), i32 = t.getI32Type(), i8 = t.getI8Type();
  std::string name = llvm::formatv("quantize_rows_{0}_{1}_", codes.bits, codes.block);
  llvm::raw_string_ostream(name) << lhs;
  return sharedFunction(module, name, {ptr, i64, ptr, ptr, ptr, i64, i64}, [&](Emit &b, ValueRange args) {
    Value blocks = args[5], one = b.c(1);
    b.loop(b.c(0), args[6], one, [&](Value r) {
      Value row = b.at(args[0], lhs, b.mul(r, args[1]));
      auto loadRow = [&](Value k) { return b.widen(target, b.load(Emit::vec(kLanes, lhs), b.at(row, lhs, k)), f32); };
      // Two vectors at a time: a block has an even number of them.
      auto pairs = [&](Value k0, Values init, llvm::function_ref<Value(Value k, Value carried)> body) {
        return b.loop(k0, b.add(k0, b.c(codes.block)), b.c(2 * kLanes), init,
                      [&](Value k, ValueRange carried) { return Values{body(k, carried[0]), body(b.add(k, b.c(kLanes)), carried[1])}; });
      };
      auto factorAt = [&](Value g) { return b.at(args[3], f32, b.add(b.mul(r, blocks), g)); };
      // Some blocks at a time, so that none waits for its largest element.
      b.loop(b.c(0), blocks, b.c(kBlocksTogether), [&](Value g0) {
        Value end = b.min(b.add(g0, b.c(kBlocksTogether)), blocks);
        b.loop(g0, end, one, [&](Value g) {
          Value zeros = b.zero(Emit::vec(kLanes, f32));
          Values largest = pairs(b.mul(g, b.c(codes.block)), {zeros, zeros}, [&](Value k, Value most) {
            b.prefetch(b.at(row, lhs, b.add(k, b.c(kAheadRow))));
            return b.max(math::AbsFOp::create(b, loadRow(k)).getResult(), most);
          });
          b.store(vector::ReductionOp::create(b, vector::CombiningKind::MAXNUMF, b.max(largest[0], largest[1]),
                                              arith::FastMathFlags::nnan | arith::FastMathFlags::reassoc),
                  factorAt(g));
        });
        b.loop(g0, end, one, [&](Value g) {
          Value peak = b.load(f32, factorAt(g)), none = b.zero(Emit::vec(kLanes, i32));
          Value some = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, peak, b.constant(f32, 0));
          Value inverse = b.splat(b.select(some, b.div(b.constant(f32, 127), peak), b.constant(f32, 0)), kLanes);
          Values sums = pairs(b.mul(g, b.c(codes.block)), {none, none}, [&](Value k, Value sum) {
            Value q = roundToInt(b, b.mul(loadRow(k), inverse));
            b.store(b.convert(q, i8), b.at(args[2], i8, b.add(b.mul(b.mul(r, blocks), b.c(codes.block)), k)));
            return b.add(sum, q);
          });
          b.store(b.mul(peak, b.constant(f32, 1.0 / 127)), factorAt(g));
          Value sum = vector::ReductionOp::create(b, vector::CombiningKind::ADD, b.add(sums[0], sums[1]));
          b.store(b.mul(sum, b.constant(i32, -(1 << (codes.bits - 1)))), b.at(args[4], i32, b.add(b.mul(r, blocks), g)));
        });
      });
    });
  });
}

/// What a register tile reads: rows and the panels of their columns. Meanwhile memory from `next` on is fetched, a line for each group of
/// codes, by tiles of kTile rows.
struct Int8Operands {
  struct Panel {
    Value codes, scales, zeros;
  };
  Value bytes, factors, starts; ///< of the rows: `blocks` times a block, a factor and a start each
  Value blocks;                 ///< i64
  Value next;
  SmallVector<Panel, 2> panels; ///< two only of one row
};

/// Sums of `rows` rows and the columns of all panels, emitted in place.
Values int8Sums(Emit &b, const Target &target, const QuantTypes &types, int64_t rows, const Int8Operands &operands) {
  Type f32 = b.getF32Type(), i32 = b.getI32Type(), i8 = b.getI8Type();
  VectorType vec = Emit::vec(kLanes, f32), ints = Emit::vec(kLanes, i32), bytes = Emit::vec(4 * kLanes, i8);
  Value blocks = operands.blocks, depth = b.mul(blocks, b.c(types.codes.block));
  int64_t vectors = kVectors * static_cast<int64_t>(operands.panels.size());
  int64_t words = types.codes.words(), perByte = types.codes.perByte(), group = types.codes.group(), perBlock = types.codes.block / group;
  Values rowBytes, rowFactors, rowStarts;
  for (int64_t r = 0; r < rows; ++r) {
    rowBytes.push_back(b.at(operands.bytes, i8, b.mul(depth, b.c(r))));
    rowFactors.push_back(b.at(operands.factors, f32, b.mul(blocks, b.c(r))));
    rowStarts.push_back(b.at(operands.starts, i32, b.mul(blocks, b.c(r))));
  }
  auto dot = [&](Value sum, Value unsignedBytes, Value signedBytes) {
    return LLVM::CallIntrinsicOp::create(
               b, ints, b.getStringAttr("llvm.x86.avx512.vpdpbusd.512"),
               ValueRange{sum, vector::BitCastOp::create(b, bytes, unsignedBytes), vector::BitCastOp::create(b, bytes, signedBytes)})
        .getResult(0);
  };
  /// The sums with one word of each column of a group: `at` is where in the codes of a panel it lies, `k` its place in the rows.
  auto addWord = [&](Value at, Value k, ArrayRef<Value> before) {
    Values sums(before), packed;
    for (int64_t v = 0; v < vectors; ++v)
      packed.push_back(b.load(ints, b.at(b.at(operands.panels[v / kVectors].codes, i32, at), i32, v % kVectors * kLanes)));
    for (int64_t i = 0; i < perByte; ++i) {
      Values codes;
      for (Value p : packed) {
        Value shifted = i ? arith::ShRUIOp::create(b, p, b.constant(ints, types.codes.bits * i)).getResult() : p;
        codes.push_back(perByte == 1 ? shifted : arith::AndIOp::create(b, shifted, b.constant(ints, 0x0f0f0f0f)).getResult());
      }
      for (int64_t r = 0; r < rows; ++r) {
        Value all = b.splat(b.load(i32, b.at(b.at(rowBytes[r], i8, k), i8, i * group / perByte)), kLanes);
        for (int64_t v = 0; v < vectors; ++v)
          sums[r * vectors + v] = dot(sums[r * vectors + v], codes[v], all);
      }
    }
    return sums;
  };
  return b.loop(b.c(0), blocks, b.c(1), Values(rows * vectors, b.zero(vec)), [&](Value g, ValueRange before) {
    Values sums, after;
    for (int64_t r = 0; r < rows; ++r)
      sums.append(vectors, types.zero ? b.zero(ints) : b.splat(b.load(i32, b.at(rowStarts[r], i32, g)), kLanes));
    Value block = b.mul(g, b.c(perBlock * words * kPanel)), k0 = b.mul(g, b.c(types.codes.block));
    sums = b.loop(b.c(0), b.c(perBlock), b.c(1), sums, [&](Value i, ValueRange carried) {
      Value codesAt = b.add(block, b.mul(i, b.c(words * kPanel))), k = b.add(k0, b.mul(i, b.c(group)));
      if (rows == 1 && types.codes.bits == 8) // it does little but read; codes of 4 bits are unpacked, too
        b.prefetch(b.at(b.at(operands.panels[0].codes, i32, codesAt), i8, kAheadBytes), words * kPanel * 4);
      if (rows == kTile)
        b.prefetch(b.at(operands.next, i8, b.mul(b.add(b.mul(g, b.c(perBlock)), i), b.c(64))));
      Values next(carried.begin(), carried.end());
      for (int64_t word = 0; word < words; ++word)
        next = addWord(b.add(codesAt, b.c(word * kPanel)), b.add(k, b.c(4 * word)), next);
      return next;
    });
    auto loadFloat = [&](Value base, Type type, int64_t v) {
      Value loaded = b.load(Emit::vec(kLanes, type), b.at(base, type, b.add(b.mul(g, b.c(kPanel)), b.c(v % kVectors * kLanes))));
      return type.isInteger() ? arith::UIToFPOp::create(b, vec, loaded).getResult() : b.widen(target, loaded, f32);
    };
    Values scale, zero;
    for (int64_t v = 0; v < vectors; ++v) {
      scale.push_back(loadFloat(operands.panels[v / kVectors].scales, types.scale, v));
      if (types.zero)
        zero.push_back(loadFloat(operands.panels[v / kVectors].zeros, types.zero, v));
    }
    for (int64_t r = 0; r < rows; ++r) {
      Value factor = b.splat(b.load(f32, b.at(rowFactors[r], f32, g)), kLanes);
      for (int64_t v = 0; v < vectors; ++v) {
        Value sum = b.convert(sums[r * vectors + v], f32);
        if (types.zero) { // what the sums would start from has the implied zero point, a power of two
          Value start = b.splat(b.convert(b.load(i32, b.at(rowStarts[r], i32, g)), f32), kLanes);
          sum = b.fma(target, b.mul(start, b.constant(vec, 1.0 / (1 << (types.codes.bits - 1)))), zero[v], sum);
        }
        after.push_back(b.fma(target, b.mul(sum, scale[v]), factor, before[r * vectors + v]));
      }
    }
    return after;
  });
}

/// out[rows][64] of a panel. (q, factors, starts, blocks, out, next, codes, scales, zeros)
/// With `pair`, of one row, out[128] of two panels: unpacking leaves few reads under way where there is one stream of codes. Codes of 8
/// bits, which are asked for ahead, gain nothing by it. (..., codes, scales, zeros: of the second panel)
func::FuncOp int8Tile(ModuleOp module, const Target &target, const QuantTypes &types, int64_t rows, bool pair = false) {
  Emit t(module.getLoc(), module.getContext());
  Type ptr = t.ptr();
  std::string name = llvm::formatv("product_int8_{0}_x{1}{2}", types.name(), rows, pair ? "_pair" : "");
  SmallVector<Type> signature{ptr, ptr, ptr, t.i64(), ptr, ptr, ptr, ptr, ptr};
  signature.append(pair ? 3 : 0, ptr);
  return sharedFunction(module, name, signature, [&](Emit &b, ValueRange args) {
    Int8Operands operands{args[0], args[1], args[2], args[3], args[5], {}};
    for (size_t i = 6; i < args.size(); i += 3)
      operands.panels.push_back({args[i], args[i + 1], args[i + 2]});
    for (auto [i, total] : llvm::enumerate(int8Sums(b, target, types, rows, operands)))
      b.store(total, b.at(args[4], b.getF32Type(), i * kLanes));
  });
}

class NBitsInt8Generator : public NBitsKernel {
public:
  using NBitsKernel::NBitsKernel;

  Value tasks(KernelBuilder &k) override {
    Split s = split(k);
    return k.mul(s.blocks, s.parts);
  }

  Value scratch(KernelBuilder &k) override {
    Value rows = direct(k) ? k.idx(0) : k.mul(k.min(rowCount(k), k.idx(kInt8Rows)), k.idx(paddedDepth * 4));
    return k.add(rows, k.idx(lhsAt()));
  }

  void run(KernelBuilder &k, Value task) override { runTask(k, task, {}); }

  /// Neighbouring tasks work on the same rows: those are quantised once. One row takes the panels of all of them one after the other.
  void runRange(KernelBuilder &k, Value begin, Value end) override {
    Split s = split(k);
    auto one = [&]() -> SmallVector<Value> {
      runRow(k, k.mul(begin, s.panelsPerPart), k.min(k.mul(end, s.panelsPerPart), k.idx(panels)));
      return {};
    };
    auto many = [&]() -> SmallVector<Value> {
      k.forLoop(begin, end, k.idx(1), {k.idx(-1)}, [&](Value task, ValueRange carried) -> SmallVector<Value> {
        runTask(k, task, carried[0]);
        return {k.div(task, s.parts)};
      });
      return {};
    };
    k.ifElse(k.compare(arith::CmpIPredicate::eq, rowCount(k), k.idx(1)), one, many);
  }

private:
  struct Coded { ///< rows in scratch: bytes, factors and what sums start from
    Value bytes, factors, starts;
  };
  Coded coded(KernelBuilder &k) {
    auto part = [&](int64_t bytes) { return k.bytePtr(k.scratch(), k.idx(bytes)); };
    return {part(bytesAt()), part(factorsAt()), part(startsAt())};
  }

  void quantiseRows(KernelBuilder &k, Value row0, Value rows, const Coded &to) {
    prepareRows(k, row0, rows, lhsAt());
    func::CallOp::create(k.b, quantizeRows(kernel()->getParentOfType<ModuleOp>(), k.target, lhsType, layout),
                         ValueRange{lhs, k.i64(k.idx(paddedDepth)), to.bytes, to.factors, to.starts, k.i64(k.idx(blocks)), k.i64(rows)});
  }

  /// Panels [first, last) of the only row.
  void runRow(KernelBuilder &k, Value first, Value last) {
    checkEpilogue(k, op.getOutput());
    auto module = kernel()->getParentOfType<ModuleOp>();
    QuantTypes types = quantTypes(k);
    Coded row = coded(k);
    quantiseRows(k, k.idx(0), k.idx(1), row);
    auto panelsAt = [&](Value panel, bool pair) {
      PanelWeights w = panelWeights(k, panel);
      SmallVector<Value> args{row.bytes, row.factors, row.starts, k.i64(k.idx(blocks)), k.scratch(), w.codes, w.codes, w.scales, w.zeros};
      if (pair) {
        PanelWeights second = panelWeights(k, k.add(panel, k.idx(1)));
        args.append({second.codes, second.scales, second.zeros});
      }
      func::CallOp::create(k.b, int8Tile(module, k.target, types, 1, pair), args);
      Value n0 = k.mul(panel, k.idx(kPanel));
      emitRows(k, k.idx(0), k.idx(1), n0, k.min(k.add(n0, k.idx(pair ? 2 * kPanel : kPanel)), k.idx(n)));
    };
    Value paired = first;
    if (layout.bits == 4 && depth >= kPairDepth) {
      paired = k.sub(last, k.rem(k.sub(last, first), k.idx(2)));
      k.forLoop(first, paired, k.idx(2), [&](Value panel) { panelsAt(panel, true); });
    }
    k.forLoop(paired, last, k.idx(1), [&](Value panel) { panelsAt(panel, false); });
  }

  /// `quantised`: the block of rows that is in scratch.
  void runTask(KernelBuilder &k, Value task, Value quantised) {
    checkEpilogue(k, op.getOutput());
    Split s = split(k);
    Value row0 = k.mul(k.div(task, s.parts), k.idx(kInt8Rows)), rows = k.min(k.sub(rowCount(k), row0), k.idx(kInt8Rows));
    Value first = k.mul(k.rem(task, s.parts), s.panelsPerPart), last = k.min(k.add(first, s.panelsPerPart), k.idx(panels));
    auto module = kernel()->getParentOfType<ModuleOp>();
    QuantTypes types = quantTypes(k);
    Type f32 = k.b.getF32Type(), i32 = k.b.getI32Type(), i8 = k.b.getI8Type();
    Coded rowCodes = coded(k);
    auto [q, factors, starts] = rowCodes;
    auto quantise = [&] { quantiseRows(k, row0, rows, rowCodes); };
    if (quantised)
      k.ifThen(arith::CmpIOp::create(k.b, arith::CmpIPredicate::ne, k.div(task, s.parts), quantised), quantise);
    else
      quantise();
    k.forLoop(first, last, k.idx(1), [&](Value panel) {
      Value n0 = k.mul(panel, k.idx(kPanel)), nEnd = k.min(k.add(n0, k.idx(kPanel)), k.idx(n));
      PanelWeights weights = panelWeights(k, panel);
      // What a tile has summed goes on at once: it is written while the next one multiplies.
      k.forLoop(k.idx(0), rows, k.idx(kTile), [&](Value r) {
        Value count = k.min(k.sub(rows, r), k.idx(kTile)), cell = k.mul(r, k.idx(blocks));
        Value next = fetched(k, weights.codes, row0, panel, r);
        auto dims = k.dims(op.getLhs());
        dims.pop_back();
        SmallVector<SmallVector<Value>> places;
        for (int64_t i = 0; i < kTile; ++i) {
          places.push_back(delinearize(k, k.add(row0, k.min(k.add(r, k.idx(i)), k.sub(rows, k.idx(1)))), dims));
          fetchResults(k, op.getOutput(), places.back(), n0, kPanel);
        }
        Value rowBytes = k.elementPtr(q, i8, k.mul(cell, k.idx(layout.block))), rowFactors = k.elementPtr(factors, f32, cell),
              rowStarts = k.elementPtr(starts, i32, cell);
        auto byScratch = [&]() -> SmallVector<Value> {
          for (int64_t size = 1; size <= kTile; ++size)
            k.ifThen(k.compare(arith::CmpIPredicate::eq, count, k.idx(size)), [&] {
              func::CallOp::create(k.b, int8Tile(module, k.target, types, size),
                                   ValueRange{rowBytes, rowFactors, rowStarts, k.i64(k.idx(blocks)), k.scratch(), next, weights.codes,
                                              weights.scales, weights.zeros});
            });
          emitRows(k, k.add(row0, r), count, n0, nEnd);
          return {};
        };
        if (!isShortEpilogue(k, f32)) {
          byScratch();
          return;
        }
        auto inRegisters = [&]() -> SmallVector<Value> {
          Emit b = emitterAt(k);
          Int8Operands operands{
              rowBytes, rowFactors, rowStarts, k.i64(k.idx(blocks)), next, {{weights.codes, weights.scales, weights.zeros}}};
          Values totals = int8Sums(b, k.target, types, kTile, operands);
          for (auto [i, total] : llvm::enumerate(totals))
            emitElements(k, op.getOutput(), places[i / kVectors], k.add(n0, k.idx(i % kVectors * kLanes)), kLanes, total);
          return {};
        };
        Value whole = arith::AndIOp::create(k.b, k.compare(arith::CmpIPredicate::eq, count, k.idx(kTile)),
                                            k.compare(arith::CmpIPredicate::eq, k.sub(nEnd, n0), k.idx(kPanel)));
        k.ifElse(whole, inRegisters, byScratch);
      });
    });
  }

  /// What a tile fetches: rows of the next task, where they can be read in place, in the last panels of this one; else what it has anyway.
  Value fetched(KernelBuilder &k, Value codes, Value row0, Value panel, Value r) {
    if (!direct(k))
      return codes;
    Value nextRow = k.add(row0, k.idx(kInt8Rows)), next = rowsInPlace(k, nextRow);
    int64_t rowBytes = depth * KernelBuilder::byteWidth(lhsType), panelBytes = depth / layout.group() * 64 * kInt8Rows / kTile;
    int64_t needed = llvm::divideCeil(kInt8Rows * rowBytes, panelBytes), first = std::max<int64_t>(0, panels - needed);
    Value tiles = k.mul(k.sub(panel, k.idx(first)), k.idx(kInt8Rows / kTile));
    Value at = k.mul(k.add(tiles, k.div(r, k.idx(kTile))), k.idx(panelBytes * kTile / kInt8Rows));
    Value useful = arith::AndIOp::create(k.b, k.compare(arith::CmpIPredicate::sge, panel, k.idx(first)),
                                         k.compare(arith::CmpIPredicate::slt, nextRow, rowCount(k)));
    return arith::SelectOp::create(k.b, useful, k.bytePtr(next, at), codes);
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

  // Scratch: sums of a tile, bytes of the rows, their factors, what sums start from, rows of the left operand.
  static int64_t bytesAt() { return kTile * kPanel * 4; }
  int64_t factorsAt() const { return bytesAt() + kInt8Rows * paddedDepth; }
  int64_t startsAt() const { return factorsAt() + kInt8Rows * blocks * 4; }
  int64_t lhsAt() const { return llvm::alignTo(startsAt() + kInt8Rows * blocks * 4, 64); }
};

} // namespace

std::unique_ptr<Generator> createNBitsInt8Generator(MatmulNBitsOp op, const Target &target) {
  auto kernel = op->getParentOfType<KernelFuncOp>();
  auto schedule = kernel.getScheduleAttr();
  auto asked = schedule ? schedule.getParams().getAs<IntegerAttr>("int8") : IntegerAttr();
  // 32-bit sums of a block do not overflow.
  int64_t block = op.getBlock();
  bool able =
      target.avx512vnni && target.vectorBits == 512 && (op.getBits() == 4 || op.getBits() == 8) && block % 32 == 0 && block <= 1 << 16;
  if (!op.getInt8Activations() || !asked || asked.getInt() == 0 || !able || !operandLayout(kernel, op.getCodes()).starts_with("nbits64"))
    return nullptr;
  return std::make_unique<NBitsInt8Generator>(op);
}

} // namespace leat::cpu
