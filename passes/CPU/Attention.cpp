// leat.kv_attend: one pass over keys and values with an online softmax. A task has up to 48 rows (query positions x the heads that share a
// KV head), so that a block of 64 keys is brought into panel order once for all of them; both products are the shared register-tiled ones.
#include "passes/CPU/Generator.h"
#include "passes/CPU/Operands.h"
#include "passes/CPU/Products.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>
#include <limits>

using namespace mlir;

namespace leat::cpu {

/// 2^x for x <= 0, within 1 ulp; 0 below the normal range. A polynomial on [-0.5, 0.5] (Chebyshev fit of (2^f - 1) / f), then the exponent
/// is moved.
static Value exp2NonPositive(Emit &b, const Target &target, Value x) {
  auto type = cast<VectorType>(x.getType());
  x = b.max(x, b.constant(type, target.avx512 ? -200.0 : -127.0)); // also -inf
  Value n = x;
  if (target.sse41 || target.avx512) {
    n = math::RoundEvenOp::create(b, x);
  } else { // adding 1.5 * 2^23 leaves no room for a fraction
    Value magic = b.constant(type, 12582912.0);
    n = b.sub(b.add(x, magic), magic);
  }
  Value f = b.sub(x, n), p = b.constant(type, 0.00015453163);
  for (double c : {0.0013390863, 0.009618083, 0.05550357, 0.2402265, 0.6931472, 1.0})
    p = b.fma(target, p, f, b.constant(type, c));
  if (target.avx512 && type.getNumElements() == 16) {
    Value all = arith::ConstantOp::create(b, b.getI16IntegerAttr(-1)), nearest = arith::ConstantOp::create(b, b.getI32IntegerAttr(4));
    return LLVM::CallIntrinsicOp::create(b, type, b.getStringAttr("llvm.x86.avx512.mask.scalef.ps.512"), ValueRange{p, n, p, all, nearest})
        .getResult(0);
  }
  Type ints = type.clone(b.getI32Type());
  Value exponent = arith::ShLIOp::create(b, arith::FPToSIOp::create(b, ints, n), b.constant(ints, 23));
  Value scaled = arith::BitcastOp::create(b, type, b.add(arith::BitcastOp::create(b, ints, p), exponent));
  Value normal = arith::CmpFOp::create(b, arith::CmpFPredicate::OGE, n, b.constant(type, -126.0));
  return b.select(normal, scaled, b.zero(type));
}

namespace {

constexpr int64_t kRows = kBlockRows; ///< rows of a task
constexpr int64_t kFewRows = 6;       ///< up to here logits are dot products with keys in place
constexpr double kLog2e = 1.4426950408889634, kLn2 = 0.6931471805599453;

class AttendGenerator : public Generator {
public:
  explicit AttendGenerator(KVAttendOp op) : op(op) {
    qHeads = op.getQLayout() == "bhsd" ? 1 : 2;
    kvHeads = op.getKvLayout() == "bhsd" ? 1 : 2;
  }

  Value tasks(KernelBuilder &k) override {
    Sizes z = sizes(k);
    return k.mul(z.tiles, k.mul(z.batch, z.kvHeads));
  }

  Value scratch(KernelBuilder &k) override { return layoutScratch(k, sizes(k)); }

  Cost cost(KernelBuilder &k) override {
    Sizes z = sizes(k);
    auto bytes = [&](Value tensor) {
      return k.mul(k.product(k.dims(tensor)), k.idx(KernelBuilder::byteWidth(cast<RankedTensorType>(tensor.getType()).getElementType())));
    };
    Value moved = bytes(op.getOutput()), operations = k.idx(0), rows = k.product({z.batch, z.heads, z.queries});
    for (auto [q, key, value] : llvm::zip(op.getQ(), op.getK(), op.getV())) {
      moved = k.add(moved, k.add(bytes(q), k.add(bytes(key), bytes(value))));
      operations = k.add(operations, k.mul(k.mul(rows, k.dim(key, 3 - kvHeads)), k.mul(k.idx(2), k.add(z.depth, z.valueDepth))));
    }
    // Causal attention over its own keys sees half of them; with a cache in front it sees more. The bound is not sharper than that.
    return {moved, operations};
  }

  void run(KernelBuilder &k, Value task) override {
    checkEpilogue(k, op->getResults());
    z = sizes(k);
    layoutScratch(k, z);
    f32 = k.b.getF32Type();
    i32 = k.b.getI32Type();
    lanes = lanesOf(k.target, f32);
    // Later tiles of a causal mask see more keys: they go first.
    Value pairs = k.mul(z.batch, z.kvHeads), pair = k.rem(task, pairs);
    Value tile = k.sub(k.sub(z.tiles, k.idx(1)), k.div(task, pairs));
    batch = k.div(pair, z.kvHeads);
    kvHead = k.rem(pair, z.kvHeads);
    row0 = k.mul(tile, k.idx(kRows));
    rows = k.min(k.sub(z.rows, row0), k.idx(kRows));
    Value base = k.scratch();
    auto part = [&](Value offset) { return k.bytePtr(base, offset); };
    queries = part(at.queries), keys = part(at.keys), logits = part(at.logits), values = part(at.values), out = part(at.out),
    maxima = part(at.maxima), sums = part(at.sums), low = part(at.low), high = part(at.high), positions = part(at.positions);

    start(k);
    for (unsigned segment = 0; segment < op.getK().size(); ++segment)
      attendSegment(k, segment);
    finish(k);
  }

private:
  struct Sizes {
    Value batch, heads, kvHeads, group, queries, depth, valueDepth, paddedValueDepth, rows, tiles;
  };

  Sizes sizes(KernelBuilder &k) {
    Sizes z;
    Value q = op.getQ()[0];
    z.batch = k.dim(q, 0);
    z.heads = k.dim(q, qHeads);
    z.queries = k.dim(q, 3 - qHeads);
    z.kvHeads = k.dim(op.getK()[0], kvHeads);
    z.group = k.div(z.heads, k.max(z.kvHeads, k.idx(1)));
    z.depth = k.dim(q, 3);
    z.valueDepth = k.dim(op.getV()[0], 3);
    z.paddedValueDepth = k.mul(k.ceilDiv(z.valueDepth, k.idx(kPanel)), k.idx(kPanel));
    z.rows = k.mul(z.queries, z.group);
    z.tiles = k.ceilDiv(z.rows, k.idx(kRows));
    return z;
  }

  /// Byte offsets in the scratch; returns its size.
  Value layoutScratch(KernelBuilder &k, const Sizes &z) {
    Value end = k.idx(0);
    auto take = [&](Value bytes) {
      Value begin = end;
      end = k.add(end, bytes);
      return begin;
    };
    at.queries = take(k.mul(z.depth, k.idx(kRows * 4)));
    at.keys = take(k.mul(z.depth, k.idx(kPanel * 4)));
    at.logits = take(k.idx(kRows * kPanel * 4));
    at.values = take(k.idx(kPanel * kPanel * 4));
    at.out = take(k.mul(z.paddedValueDepth, k.idx(kRows * 4)));
    at.maxima = take(k.idx(kRows * 4));
    at.sums = take(k.idx(kRows * 16 * 4));
    at.low = take(k.idx(kRows * 4));
    at.high = take(k.idx(kRows * 4));
    at.positions = take(k.idx(kPanel * 4));
    return end;
  }

  Emit emitter(KernelBuilder &k) {
    Emit e(k.b.getLoc(), k.b.getContext());
    e.setInsertionPoint(k.b.getInsertionBlock(), k.b.getInsertionPoint());
    return e;
  }

  /// Query position and head of a row: heads of a group are adjacent, so that a tile covers few positions.
  std::pair<Value, Value> rowAt(KernelBuilder &k, Value r) {
    Value row = k.add(row0, r);
    return {k.div(row, z.group), k.add(k.mul(kvHead, z.group), k.rem(row, z.group))};
  }
  SmallVector<Value> coordinates(int64_t headDim, Value head, Value position) {
    SmallVector<Value> c{batch, head, position};
    if (headDim == 2)
      std::swap(c[1], c[2]);
    return c;
  }

  Value pullScalar(KernelBuilder &k, Value tensor, ValueRange at) {
    Puller pull(k, 1);
    return pull.pull(tensor, pull.at(at));
  }

  /// Softmax state of every row, and the range of key positions it may see.
  void start(KernelBuilder &k) {
    Value reach = op.getKvLen() ? toIndex(k, pullScalar(k, op.getKvLen(), {batch})) : k.dim(op.getK()[0], 3 - kvHeads);
    k.forLoop(k.idx(0), rows, k.idx(1), [&](Value r) {
      auto [query, head] = rowAt(k, r);
      Value position;
      if (Value given = op.getQPos()) {
        bool perBatch = cast<RankedTensorType>(given.getType()).getRank() == 2;
        Value b = perBatch && cast<RankedTensorType>(given.getType()).getDimSize(0) == 1 ? k.idx(0) : batch;
        position = k.i64(toIndex(k, pullScalar(k, given, perBatch ? ValueRange{b, query} : ValueRange{query})));
      } else {
        position = k.i64(k.add(query, k.sub(reach, z.queries)));
      }
      Value sink;
      if (op.getSinkBias())
        sink = convertCarried(k, pullScalar(k, op.getSinkBias(), {head}), f32);
      Emit e = emitter(k);
      Value row = e.fromIndex(r), lo = e.c(0), hi = e.c(std::numeric_limits<int32_t>::max());
      if (op.getCausal())
        hi = e.min(hi, position);
      if (int64_t right = op.getWindowRight(); right >= 0)
        hi = e.min(hi, e.add(position, e.c(right)));
      if (int64_t left = op.getWindowLeft(); left >= 0)
        lo = e.max(lo, e.sub(position, e.c(left)));
      e.store(e.convert(e.min(lo, e.c(std::numeric_limits<int32_t>::max())), i32), e.at(low, i32, row));
      e.store(e.convert(e.max(hi, e.c(-1)), i32), e.at(high, i32, row));
      VectorType vec = Emit::vec(lanes, f32);
      Value sum = e.zero(vec);
      Value maximum = e.constant(f32, -std::numeric_limits<double>::infinity());
      if (sink) {
        SmallVector<float> first(lanes, 0);
        first[0] = 1;
        sum = arith::ConstantOp::create(e, DenseElementsAttr::get(vec, ArrayRef<float>(first)));
        maximum = e.mul(sink, e.constant(f32, kLog2e));
      }
      e.store(maximum, e.at(maxima, f32, row));
      e.store(sum, e.at(sums, f32, e.mul(row, e.c(lanes))));
      Value outRow = e.at(out, f32, e.mul(row, k.i64(z.paddedValueDepth)));
      e.loop(e.c(0), k.i64(z.paddedValueDepth), e.c(lanes), [&](Value d) { e.store(e.zero(vec), e.at(outRow, f32, d)); });
    });
  }

  static Value toIndex(KernelBuilder &k, Value integer) {
    return integer.getType().isIndex() ? integer : arith::IndexCastOp::create(k.b, k.b.getIndexType(), integer).getResult();
  }

  void attendSegment(KernelBuilder &k, unsigned segment) {
    Value key = op.getK()[segment], count = k.dim(key, 3 - kvHeads), first = k.idx(0), last = count;
    if (op.getKvLen())
      last = k.max(k.min(count, toIndex(k, pullScalar(k, op.getKvLen(), {batch}))), k.idx(0));
    // The tile's rows see positions lowest..highest.
    Value lowest = k.idx(0), highest = k.idx(0);
    bool bounded = op.getCausal() || int64_t(op.getWindowLeft()) >= 0 || int64_t(op.getWindowRight()) >= 0;
    if (bounded) {
      auto range = k.forLoop(k.idx(0), rows, k.idx(1), {k.idx(std::numeric_limits<int32_t>::max()), k.idx(-1)},
                             [&](Value r, ValueRange carried) -> SmallVector<Value> {
                               Value lo = toIndex(k, k.load(low, i32, r, 1)), hi = toIndex(k, k.load(high, i32, r, 1));
                               return {k.min(carried[0], lo), k.max(carried[1], hi)};
                             });
      lowest = range[0];
      highest = range[1];
      if (op.getKPos().empty()) {
        last = k.min(last, k.add(highest, k.idx(1)));
        first = k.mul(k.div(lowest, k.idx(kPanel)), k.idx(kPanel));
      }
    }
    packQueries(k, op.getQ()[segment]);
    k.forLoop(first, last, k.idx(kPanel), [&](Value t0) {
      Value keysHere = k.min(k.sub(last, t0), k.idx(kPanel));
      if (op.getKPos().empty() || !bounded) {
        setPositions(k, segment, t0, keysHere);
        attendBlock(k, segment, t0, keysHere);
        return;
      }
      auto range = setPositions(k, segment, t0, keysHere);
      Value below = arith::CmpIOp::create(k.b, arith::CmpIPredicate::sle, range.first, highest);
      Value above = arith::CmpIOp::create(k.b, arith::CmpIPredicate::sge, range.second, lowest);
      k.ifThen(arith::AndIOp::create(k.b, below, above), [&] { attendBlock(k, segment, t0, keysHere); });
    });
  }

  void packQueries(KernelBuilder &k, Value tensor) {
    k.forLoop(k.idx(0), rows, k.idx(1), [&](Value r) {
      auto [query, head] = rowAt(k, r);
      SmallVector<Value> lead = coordinates(qHeads, head, query);
      k.forLanes(k.idx(0), z.depth, k.target.lanes(), [&](Value d, int64_t width) {
        Puller pull(k, width);
        SmallVector<Idx> at = pull.at(lead);
        at.push_back(pull.at(d, width > 1));
        k.store(convertCarried(k, pull.pullVector(tensor, at), f32), queries, f32, k.add(k.mul(r, z.depth), d));
      });
    });
  }

  /// Positions of the block's keys as i32; -1, which nobody sees, where there is no key. Returns the least and greatest.
  std::pair<Value, Value> setPositions(KernelBuilder &k, unsigned segment, Value t0, Value keysHere) {
    Value far = k.idx(std::numeric_limits<int32_t>::max());
    auto range = k.forLoop(k.idx(0), keysHere, k.idx(1), {far, k.idx(-1)}, [&](Value j, ValueRange carried) -> SmallVector<Value> {
      Value position = k.add(t0, j);
      if (!op.getKPos().empty())
        position = k.max(k.min(toIndex(k, pullScalar(k, op.getKPos()[segment], {position})), far), k.idx(-1));
      k.store(arith::IndexCastOp::create(k.b, i32, position), positions, i32, j);
      return {k.min(carried[0], position), k.max(carried[1], position)};
    });
    k.forLoop(keysHere, k.idx(kPanel), k.idx(1), [&](Value j) { k.store(k.constantInt(i32, -1), positions, i32, j); });
    return {range[0], range[1]};
  }

  /// Address and stored type of element [batch, kvHead, t0, 0] if rows of the operand can be read in place.
  struct InPlace {
    Value pointer;
    Type type;
    Value stride; ///< from key to key
  };
  std::optional<InPlace> inPlace(KernelBuilder &k, Value tensor, Value t0) {
    auto s = traceStrided(k, tensor);
    if (!s || s->knownStrides[3] != 1 || !isa<FloatType>(s->element))
      return std::nullopt;
    Value offset = k.add(s->offset, k.add(k.mul(batch, s->strides[0]), k.mul(kvHead, s->strides[kvHeads])));
    offset = k.add(offset, k.mul(t0, s->strides[3 - kvHeads]));
    return InPlace{k.elementPtr(k.buffer(s->argument), s->element, offset), s->element, s->strides[3 - kvHeads]};
  }

  void attendBlock(KernelBuilder &k, unsigned segment, Value t0, Value keysHere) {
    auto module = k.kernel->getParentOfType<ModuleOp>();
    Value key = op.getK()[segment], value = op.getV()[segment];
    Value no = arith::ConstantIntOp::create(k.b, 0, 1), yes = arith::ConstantIntOp::create(k.b, 1, 1);
    auto byPanel = [&] {
      if (auto source = inPlace(k, key, t0)) {
        auto pack = packTransposed(module, k.target, source->type, f32);
        func::CallOp::create(k.b, pack, ValueRange{keys, source->pointer, k.i64(source->stride), k.i64(keysHere), k.i64(z.depth)});
      } else {
        packElements(k, key, keys, t0, keysHere, z.depth, /*transposed=*/true, k.idx(0));
      }
      callProduct(k, {f32, f32, f32}, queries, z.depth, k.idx(1), keys, k.idx(kPanel), z.depth, logits, no, rows);
    };
    int64_t depth = cast<RankedTensorType>(key.getType()).getDimSize(3);
    if (auto source = inPlace(k, key, t0); source && hasRowDots(k.target, depth)) {
      // For few rows bringing the keys into panel order costs more than the product.
      Value few = arith::CmpIOp::create(k.b, arith::CmpIPredicate::sle, rows, k.idx(kFewRows));
      k.ifElse(
          few,
          [&]() -> SmallVector<Value> {
            auto dots = rowDots(module, k.target, source->type, depth);
            func::CallOp::create(k.b, dots,
                                 ValueRange{logits, queries, source->pointer, k.i64(source->stride), k.i64(keysHere), k.i64(rows)});
            return {};
          },
          [&]() -> SmallVector<Value> { return byPanel(), SmallVector<Value>(); });
    } else {
      byPanel();
    }
    if (!op.getBias().empty())
      addBias(k, op.getBias()[segment], t0, keysHere);
    k.forLoop(k.idx(0), rows, k.idx(1), [&](Value r) { softmaxRow(k, r); });

    // out += probabilities * values, 64 columns at a time.
    auto source = inPlace(k, value, t0);
    Value whole = k.sub(z.valueDepth, k.rem(z.valueDepth, k.idx(kPanel)));
    auto addColumns = [&](Value d0, Value panel, Type type, Value stride) {
      callProduct(k, {f32, type, f32}, logits, k.idx(kPanel), k.idx(1), panel, stride, keysHere, k.elementPtr(out, f32, d0), yes, rows,
                  z.paddedValueDepth);
    };
    auto packed = [&](Value d0, Value columns) {
      if (source) {
        auto pack = packColumns(module, k.target, source->type, f32);
        func::CallOp::create(
            k.b, pack,
            ValueRange{values, k.elementPtr(source->pointer, source->type, d0), k.i64(source->stride), k.i64(columns), k.i64(keysHere)});
      } else {
        packElements(k, value, values, t0, keysHere, columns, /*transposed=*/false, d0);
      }
      addColumns(d0, values, f32, k.idx(kPanel));
    };
    k.forLoop(k.idx(0), whole, k.idx(kPanel), [&](Value d0) {
      if (source)
        addColumns(d0, k.elementPtr(source->pointer, source->type, d0), source->type, source->stride);
      else
        packed(d0, k.idx(kPanel));
    });
    Value left = k.sub(z.valueDepth, whole);
    if (getConstantIntValue(left) != 0)
      k.ifThen(arith::CmpIOp::create(k.b, arith::CmpIPredicate::sgt, left, k.idx(0)), [&] { packed(whole, left); });
  }

  /// A block of keys or values that the kernel computes, element by element: panel[d][key] for keys, panel[key][d - d0] for values.
  void packElements(KernelBuilder &k, Value tensor, Value panel, Value t0, Value keysHere, Value columns, bool transposed, Value d0) {
    k.forLoop(k.idx(0), k.idx(kPanel), k.idx(1), [&](Value j) {
      Value inside = arith::CmpIOp::create(k.b, arith::CmpIPredicate::slt, j, keysHere);
      SmallVector<Value> lead = coordinates(kvHeads, kvHead, k.add(t0, j));
      k.forLoop(k.idx(0), columns, k.idx(1), [&](Value d) {
        Value element = k.ifElse(
            inside,
            [&]() -> SmallVector<Value> {
              Puller pull(k, 1);
              SmallVector<Idx> at = pull.at(lead);
              at.push_back(pull.at(k.add(d0, d)));
              return {convertCarried(k, pull.pull(tensor, at), f32)};
            },
            [&]() -> SmallVector<Value> { return {k.constant(f32, 0)}; })[0];
        k.store(element, panel, f32, transposed ? k.add(k.mul(d, k.idx(kPanel)), j) : k.add(k.mul(j, k.idx(kPanel)), d));
      });
      if (!transposed)
        k.forLoop(columns, k.idx(kPanel), k.idx(1),
                  [&](Value d) { k.store(k.constant(f32, 0), panel, f32, k.add(k.mul(j, k.idx(kPanel)), d)); });
    });
  }

  /// logits = (softcap(scale * logits) + bias) in units of log 2; softmaxRow then scales no more.
  void addBias(KernelBuilder &k, Value bias, Value t0, Value keysHere) {
    auto type = cast<RankedTensorType>(bias.getType());
    k.forLoop(k.idx(0), rows, k.idx(1), [&](Value r) {
      auto [query, head] = rowAt(k, r);
      Value all[4] = {batch, head, query, {}};
      k.forLanes(k.idx(0), keysHere, k.target.lanes(), [&](Value j, int64_t width) {
        Puller pull(k, width);
        SmallVector<Idx> at;
        for (int64_t d = 0; d < type.getRank(); ++d) {
          int64_t full = d + 4 - type.getRank();
          if (type.getDimSize(d) == 1)
            at.push_back(pull.at(0));
          else if (full == 3)
            at.push_back(pull.at(k.add(t0, j), width > 1));
          else
            at.push_back(pull.at(all[full]));
        }
        Value b = convertCarried(k, pull.pullVector(bias, at), f32);
        Value offset = k.add(k.mul(r, k.idx(kPanel)), j);
        Emit e = emitter(k);
        Value x = logit(e, k, k.load(logits, f32, offset, width), 1.0);
        k.store(e.mul(e.add(x, b), e.constant(x.getType(), kLog2e)), logits, f32, offset);
      });
    });
  }

  /// softcap(scale * x) * unit.
  Value logit(Emit &e, KernelBuilder &k, Value x, double unit) {
    double scale = op.getScale().convertToDouble(), cap = op.getSoftcap().convertToDouble();
    if (cap <= 0)
      return scale * unit == 1 ? x : e.mul(x, e.constant(x.getType(), scale * unit));
    Value inner = e.mul(x, e.constant(x.getType(), scale / cap));
    return e.mul(math::TanhOp::create(e, inner), e.constant(x.getType(), cap * unit));
  }

  /// Turns a row of logits into probabilities relative to the row's running maximum, and rescales what was summed so far when the maximum
  /// grows.
  void softmaxRow(KernelBuilder &k, Value r) {
    Emit e = emitter(k);
    VectorType vec = Emit::vec(lanes, f32), ints = Emit::vec(lanes, i32);
    Value row = e.fromIndex(r), lo = e.splat(e.load(i32, e.at(low, i32, row)), lanes),
          hi = e.splat(e.load(i32, e.at(high, i32, row)), lanes);
    Value logitRow = e.at(logits, f32, e.mul(row, e.c(kPanel)));
    Value never = e.constant(vec, -std::numeric_limits<double>::infinity());
    Values x;
    for (int64_t j = 0; j < kPanel; j += lanes) {
      Value v = e.load(vec, e.at(logitRow, f32, j)), p = e.load(ints, e.at(positions, i32, j));
      if (op.getBias().empty())
        v = logit(e, k, v, kLog2e);
      Value visible = arith::AndIOp::create(e, e.le(lo, p), e.le(p, hi));
      x.push_back(e.select(visible, v, never));
    }
    Values reduce = x;
    while (reduce.size() > 1) {
      Values next;
      for (size_t i = 0; i + 1 < reduce.size(); i += 2)
        next.push_back(e.max(reduce[i], reduce[i + 1]));
      reduce = next;
    }
    Value blockMax = vector::ReductionOp::create(e, vector::CombiningKind::MAXNUMF, reduce[0],
                                                 arith::FastMathFlags::nnan | arith::FastMathFlags::reassoc);
    Value oldPtr = e.at(maxima, f32, row), oldMax = e.load(f32, oldPtr), newMax = e.max(oldMax, blockMax);
    Value sumPtr = e.at(sums, f32, e.mul(row, e.c(lanes))), sum = e.load(vec, sumPtr);
    // A row that has seen nothing yet keeps -inf; subtracting 0 instead gives probabilities of zero, not NaN.
    Value nothing = arith::CmpFOp::create(e, arith::CmpFPredicate::OEQ, newMax, e.constant(f32, -std::numeric_limits<double>::infinity()));
    Value reference = e.splat(e.select(nothing, e.constant(f32, 0), newMax), lanes);
    Value grows = arith::CmpFOp::create(e, arith::CmpFPredicate::OGT, newMax, oldMax);
    Value depth = k.i64(z.paddedValueDepth);
    e.setInsertionPoint(k.b.getInsertionBlock(), k.b.getInsertionPoint());
    sum = e.choose(
        grows, {vec},
        [&] {
          Value factor = exp2NonPositive(e, k.target, e.sub(e.splat(oldMax, lanes), reference));
          Value outRow = e.at(out, f32, e.mul(row, depth));
          e.loop(e.c(0), depth, e.c(lanes), [&](Value d) {
            Value p = e.at(outRow, f32, d);
            e.store(e.mul(e.load(vec, p), factor), p);
          });
          e.store(newMax, oldPtr);
          return Values{e.mul(sum, factor)};
        },
        [&] { return Values{sum}; })[0];
    for (auto [i, v] : llvm::enumerate(x)) {
      Value p = exp2NonPositive(e, k.target, e.sub(v, reference));
      e.store(p, e.at(logitRow, f32, i * lanes));
      sum = e.add(sum, p);
    }
    e.store(sum, sumPtr);
  }

  void finish(KernelBuilder &k) {
    int64_t outHeads = op.getOLayout() == "bhsd" ? 1 : 2;
    k.forLoop(k.idx(0), rows, k.idx(1), [&](Value r) {
      auto [query, head] = rowAt(k, r);
      Emit e = emitter(k);
      VectorType vec = Emit::vec(lanes, f32);
      Value row = e.fromIndex(r), depth = k.i64(z.paddedValueDepth);
      e.setInsertionPoint(k.b.getInsertionBlock(), k.b.getInsertionPoint());
      Value partial = e.load(vec, e.at(sums, f32, e.mul(row, e.c(lanes))));
      Value sum = vector::ReductionOp::create(e, vector::CombiningKind::ADD, partial, arith::FastMathFlags::reassoc);
      Value seen = arith::CmpFOp::create(e, arith::CmpFPredicate::OGT, sum, e.constant(f32, 0));
      Value inverse = e.splat(e.select(seen, e.div(e.constant(f32, 1), sum), e.constant(f32, 0)), lanes);
      Value outRow = e.at(out, f32, e.mul(row, depth));
      e.loop(e.c(0), depth, e.c(lanes), [&](Value d) {
        Value p = e.at(outRow, f32, d);
        e.store(e.mul(e.load(vec, p), inverse), p);
      });
      emitRow(k, op.getOutput(), coordinates(outHeads, head, query), k.idx(0), z.valueDepth, out, k.mul(r, z.paddedValueDepth), f32);
      if (!op.getLse())
        return;
      Emit tail = emitter(k);
      Value maximum = tail.mul(tail.load(f32, tail.at(maxima, f32, row)), tail.constant(f32, kLn2));
      Value none = tail.constant(f32, -std::numeric_limits<double>::infinity());
      Value lse = tail.select(seen, tail.add(maximum, math::LogOp::create(tail, sum)), none);
      Puller pull(k, 1);
      pull.bind(op.getLse(), [&](Puller &, ArrayRef<Idx>) { return lse; });
      for (unsigned result : epilogueResults(k, op.getLse()))
        pull.emitResult(result, pull.at(ValueRange{batch, head, query}));
    });
  }

  KVAttendOp op;
  int64_t qHeads, kvHeads; ///< position of the head axis
  struct {
    Value queries, keys, logits, values, out, maxima, sums, low, high, positions;
  } at;
  // Of the task that is being emitted:
  Sizes z;
  Type f32, i32;
  int64_t lanes = 0;
  Value batch, kvHead, row0, rows;
  Value queries, keys, logits, values, out, maxima, sums, low, high, positions;
};

} // namespace

std::unique_ptr<Generator> createAttendGenerator(KVAttendOp op) { return std::make_unique<AttendGenerator>(op); }

} // namespace leat::cpu
