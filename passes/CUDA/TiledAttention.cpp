// leat.kv_attend in tiles: queries of one KV head against blocks of its keys, an online softmax in registers. A row is a query position and
// one of the heads that read the same KV head, so a key is read once for the group. Many rows (prefill): a block takes 64 of them over all
// keys they see. Few (decode): a warp takes all of them over a part of the keys, and a last phase joins the parts.
//
// f16 and bf16 are multiplied by tensor cores; f32 stays f32: its weights go through shared memory to the second product.
#include "passes/CPU/Attention.h"
#include "passes/CUDA/TileGenerator.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

using namespace mlir;

namespace leat::cuda {

namespace {

constexpr int64_t kFewRows = 16;    ///< rows of a decode block
constexpr int64_t kMaxSplits = 64;  ///< parts of the keys, at most: what they share does not grow with the stream
constexpr int64_t kSplitKeys = 256; ///< keys that are worth a block of their own
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Rows of a prefill block.
int64_t manyRows(KVAttendOp op) { return cpu::scheduled(op->getParentOfType<KernelFuncOp>(), "rows", 64); }

enum Phase : unsigned { Many, Few, Join };

/// Emits one program of the kernel.
class AttendProgram : public cpu::AttendEmitter {
public:
  AttendProgram(KVAttendOp op, KernelBuilder &k, Phase phase) : AttendEmitter(op, k), phase(phase), b(k.b) {
    element = cast<RankedTensorType>(op.getQ()[0].getType()).getElementType();
    headSize = cast<RankedTensorType>(op.getQ()[0].getType()).getDimSize(3);
    valueSize = cast<RankedTensorType>(op.getV()[0].getType()).getDimSize(3);
    tileRows = phase == Many ? manyRows(op) : kFewRows;
    tileKeys = cpu::scheduled(k.kernel, "keys", 32);
    stages = cpu::scheduled(k.kernel, "stages", 2);
    index = b.getIndexType();
  }

  /// Rows are few enough for one decode block (i1).
  Value isFew() { return k.compare(arith::CmpIPredicate::sle, allRows, k.idx(kFewRows)); }
  Value splits() {
    Value keys = k.idx(0);
    for (Value key : op.getK())
      keys = k.add(keys, k.dim(key, 3 - kvHeads));
    return k.max(k.min(k.ceilDiv(keys, k.idx(kSplitKeys)), k.idx(kMaxSplits)), k.idx(1));
  }
  /// Bytes of the parts: values, maximum and sum of each row.
  Value joined() { return k.mul(k.mul(pairs, k.idx(kMaxSplits * kFewRows)), k.idx((valueSize + 2) * 4)); }

  void attend() {
    Value x = tile::BlockIdOp::create(b, index, 0);
    choosePair(tile::BlockIdOp::create(b, index, 1));
    row0 = phase == Many ? k.mul(x, k.idx(tileRows)) : k.idx(0);
    rows = k.min(k.sub(allRows, row0), k.idx(tileRows));
    split = phase == Few ? x : Value();
    allocate();
    State state = start();
    for (unsigned segment = 0; segment < op.getK().size(); ++segment) {
      if (segment)
        tile::BarrierOp::create(b); // the buffers of the segment before
      state = attendSegment(segment, state);
    }
    state.sums = tile::JoinOp::create(b, rowType(), tile::Combine::Add, state.sums);
    if (phase == Many)
      finish(state);
    else
      leavePart(state);
  }

  /// One row, a thread a column.
  void join() {
    Value row = tile::BlockIdOp::create(b, index, 0), pair = tile::BlockIdOp::create(b, index, 1),
          thread = tile::ThreadIdOp::create(b, index);
    choosePair(pair);
    row0 = k.idx(0);
    Value never = k.constant(f32, -kInfinity), zero = k.constant(f32, 0), count = splits();
    auto at = [&](Value s) { return k.add(k.mul(k.add(k.mul(pair, k.idx(kMaxSplits)), s), k.idx(kFewRows)), row); };
    Value maximum = k.forLoop(k.idx(0), count, k.idx(1), never, [&](Value s, ValueRange carried) -> Values {
      return {arith::MaxNumFOp::create(b, carried[0], k.load(maximaAt(), f32, at(s), 1))};
    })[0];
    Value reference = finite(maximum);
    k.forLoop(thread, k.idx(valueSize), k.idx(kJoinThreads), [&](Value d) {
      Values sums = k.forLoop(k.idx(0), count, k.idx(1), {zero, zero}, [&](Value s, ValueRange carried) -> Values {
        Value weight = weightOf(k.load(maximaAt(), f32, at(s), 1), reference);
        Value value = k.load(k.shared(), f32, k.add(k.mul(at(s), k.idx(valueSize)), d), 1);
        return {k.fma(weight, value, carried[0]), k.fma(weight, k.load(sumsAt(), f32, at(s), 1), carried[1])};
      });
      auto [query, head] = rowAt(row);
      Values where = outputAt(head, query);
      where.push_back(d);
      emitElement(k, op.getOutput(), where, arith::MulFOp::create(b, sums[0], inverse(sums[1])));
      if (op.getLse())
        k.ifThen(k.compare(arith::CmpIPredicate::eq, d, k.idx(0)), [&] { emitLse(row, maximum, sums[1]); });
    });
  }

  static constexpr int64_t kJoinThreads = 64;

private:
  struct State {
    Value out, maxima, sums;
  };

  // --- types
  int64_t warps() { return tileRows / 16; }
  tile::RegType reg(tile::LayoutKind kind, int64_t cols, Type type) {
    return tile::RegType::get(b.getContext(), tileRows, cols, type, tile::LayoutAttr::get(b.getContext(), kind, warps(), 1));
  }
  tile::RegType rowType() { return reg(tile::LayoutKind::Row, 1, f32); }
  tile::RegType logitsType() { return reg(tile::LayoutKind::Acc, tileKeys, f32); }
  tile::RegType outType() { return reg(tile::LayoutKind::Acc, valueSize, f32); }
  tile::SharedType sharedType(int64_t rows, int64_t cols, Type type, int64_t stages) {
    int64_t bytes = cols * type.getIntOrFloatBitWidth() / 8, swizzle = 0;
    for (int64_t span : {32, 64, 128})
      if (type.getIntOrFloatBitWidth() == 16 && bytes % span == 0)
        swizzle = span;
    return tile::SharedType::get(b.getContext(), rows, cols, type, swizzle, swizzle || type.isInteger(32) ? 0 : 16, stages);
  }

  // --- memory
  void allocate() {
    auto alloc = [&](tile::SharedType type) -> Value { return tile::AllocOp::create(b, type, IntegerAttr()); };
    keyType = sharedType(tileKeys, headSize, element, stages), valueType = sharedType(tileKeys, valueSize, element, stages);
    keyBuffer = alloc(keyType), valueBuffer = alloc(valueType);
    queries = alloc(sharedType(tileRows, headSize, element, 1));
    if (!op.getKPos().empty())
      positionBuffer = alloc(positionType = sharedType(1, tileKeys, i32, stages));
    if (element.isF32())
      weights = alloc(sharedType(tileRows, tileKeys, f32, 1));
  }
  Value part() {
    Value pair = k.add(k.mul(batch, kvHeadCount), kvHead);
    return k.mul(k.add(k.mul(pair, k.idx(kMaxSplits)), split), k.idx(kFewRows));
  }
  Value partRows() { return k.mul(pairs, k.idx(kMaxSplits * kFewRows)); }
  Value maximaAt() { return k.elementPtr(k.shared(), f32, k.mul(partRows(), k.idx(valueSize))); }
  Value sumsAt() { return k.elementPtr(maximaAt(), f32, partRows()); }

  Values outputAt(Value head, Value query) { return coordinates(op.getOLayout() == "bhsd" ? 1 : 2, head, query); }

  // --- numbers
  Value splat(tile::RegType type, Value v) { return tile::SplatOp::create(b, type, v); }
  Value finite(Value maximum) {
    // A row that has seen nothing yet keeps -inf; subtracting 0 instead gives weights of zero, not NaN.
    Value nothing = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, maximum, k.constant(f32, -kInfinity));
    return arith::SelectOp::create(b, nothing, k.constant(f32, 0), maximum);
  }
  Value weightOf(Value logit, Value reference) {
    return tile::Exp2Op::create(b, f32, arith::MulFOp::create(b, arith::SubFOp::create(b, logit, reference), k.constant(f32, unit())));
  }
  Value inverse(Value sum) {
    Value seen = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, sum, k.constant(f32, 0));
    return arith::SelectOp::create(b, seen, arith::DivFOp::create(b, k.constant(f32, 1), sum), k.constant(f32, 0));
  }
  /// A row of the tile that exists, for what is read of rows that do not.
  Value bounded(Value row) { return k.min(row, k.sub(rows, k.idx(1))); }

  // --- the algorithm
  State start() {
    Value zero = k.constant(f32, 0), never = k.constant(f32, -kInfinity);
    State state{splat(outType(), zero), splat(rowType(), never), splat(rowType(), zero)};
    if (!op.getSinkBias())
      return state;
    // One more logit without a value; of the lanes of a row, whose sums are added in the end, the first has it, in the first part of the
    // keys.
    Value first = k.compare(arith::CmpIPredicate::eq, k.rem(tile::ThreadIdOp::create(b, index), k.idx(4)), k.idx(0));
    if (split)
      first = arith::AndIOp::create(b, first, k.compare(arith::CmpIPredicate::eq, split, k.idx(0)));
    Values both = mapTiles(k, {}, {rowType(), rowType()}, [&](ValueRange at) -> Values {
      Value sink = cpu::convertCarried(k, pullScalar(op.getSinkBias(), {rowAt(bounded(at[0])).second}), f32);
      if (split)
        sink = arith::SelectOp::create(b, k.compare(arith::CmpIPredicate::eq, split, k.idx(0)), sink, never);
      Value some = arith::AndIOp::create(b, first, arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, sink, never));
      return {arith::MulFOp::create(b, sink, k.constant(f32, 1 / natural())), arith::SelectOp::create(b, some, k.constant(f32, 1), zero)};
    });
    return {state.out, both[0], both[1]};
  }

  void loadQueries(unsigned segment) {
    fillTile(k, queries, rows, k.idx(headSize), false, [&](Value r, Value d) {
      auto [query, head] = rowAt(r);
      Values where = coordinates(qHeads, head, query);
      where.push_back(d);
      return pullScalar(op.getQ()[segment], where);
    });
  }

  /// Keys or values [t0, t0 + tileKeys) of a segment.
  void bring(Value tensor, Value t0, Value count, int64_t size, Value to) {
    Values at = coordinates(kvHeads, kvHead, k.idx(0));
    at.push_back(k.idx(0));
    auto matrix = matrixOf(k, tensor, at, 3 - kvHeads, 3);
    if (matrix && matrix->element == element) {
      Value view =
          tile::ViewOp::create(b, tile::ViewType::get(b.getContext(), element), matrix->pointer, count, k.idx(size), matrix->stride, 16);
      tile::CopyAsyncOp::create(b, view, t0, k.idx(0), to);
      return;
    }
    fillTile(k, to, k.sub(count, t0), k.idx(size), false, [&](Value r, Value d) {
      Values where = coordinates(kvHeads, kvHead, k.add(t0, r));
      where.push_back(d);
      return pullScalar(tensor, where);
    });
  }

  State attendSegment(unsigned segment, State state) {
    bool given = !op.getKPos().empty(), limited = isBounded(op);
    loadQueries(segment);
    Value operand = queries;
    if (!element.isF32() && headSize <= 128) {
      tile::BarrierOp::create(b);
      operand = tile::LoadOp::create(b, reg(tile::LayoutKind::A, headSize, element), queries, UnitAttr(), UnitAttr());
    } // else they are read behind the first barrier of the loop
    // What each row sees, and what blocks of keys may be skipped or need no mask.
    Value count = keyCount(segment), from = k.idx(0), to = count, allLow = k.idx(0), allHigh = count;
    Values ranges;
    if (limited) {
      auto rowI32 = reg(tile::LayoutKind::Row, 1, i32);
      ranges = mapTiles(k, {}, {rowI32, rowI32}, [&](ValueRange at) -> Values {
        auto [low, high] = rangeOf(bounded(at[0]));
        return {low, high};
      });
      if (!given) {
        Values seen = rangeOfRows();
        from = k.mul(k.div(k.min(seen[0], count), k.idx(tileKeys)), k.idx(tileKeys));
        to = k.min(to, k.add(seen[1], k.idx(1)));
        allLow = seen[2], allHigh = seen[3];
      }
    }
    if (split) {
      Value chunk = k.mul(k.ceilDiv(k.ceilDiv(count, k.idx(tileKeys)), splits()), k.idx(tileKeys)), begin = k.mul(split, chunk);
      from = k.max(from, begin);
      to = k.min(to, k.add(begin, chunk));
    }

    Values buffers{keyBuffer, valueBuffer};
    SmallVector<Type> arguments{index, keyType.oneStage(), valueType.oneStage()};
    if (given) {
      buffers.push_back(positionBuffer);
      arguments.push_back(positionType.oneStage());
    }
    auto loop = tile::PipelineOp::create(b, TypeRange{outType(), rowType(), rowType()}, from, to, k.idx(tileKeys), buffers,
                                         ValueRange{state.out, state.maxima, state.sums});
    buildRegion(k, loop.getProduce(), arguments, [&](ValueRange at) -> Values {
      bring(op.getK()[segment], at[0], count, headSize, at[1]);
      bring(op.getV()[segment], at[0], count, valueSize, at[2]);
      if (given) {
        auto fill = tile::FillOp::create(b, at[3], false);
        buildRegion(k, fill.getBody(), {index, index}, [&](ValueRange place) -> Values {
          Value key = k.add(at[0], place[1]), far = k.idx(std::numeric_limits<int32_t>::max());
          return k.ifElse(
              k.compare(arith::CmpIPredicate::slt, key, count),
              [&]() -> Values {
                Value position = k.max(k.min(toIndex(pullScalar(op.getKPos()[segment], {key})), far), k.idx(-1));
                return {arith::IndexCastOp::create(b, i32, position)};
              },
              [&]() -> Values { return {k.constantInt(i32, -1)}; });
        });
      }
      return {};
    });
    llvm::append_range(arguments, loop.getInits().getTypes());
    unsigned carried = arguments.size() - 3;
    buildRegion(k, loop.getConsume(), arguments, [&](ValueRange at) -> Values {
      Value t0 = at[0], zero = splat(logitsType(), k.constant(f32, 0));
      Value logits = tile::DotOp::create(b, logitsType(), operand, at[1], zero, b.getUnitAttr());
      if (transforms())
        logits = transformLogits(segment, logits, t0, count);
      // The last block may be short; others are seen by all rows, or masked.
      Value last = k.add(t0, k.idx(tileKeys - 1));
      Value masked = arith::OrIOp::create(b, k.compare(arith::CmpIPredicate::slt, t0, allLow),
                                          k.compare(arith::CmpIPredicate::sgt, last, k.min(allHigh, k.sub(count, k.idx(1)))));
      auto mask = [&]() -> Value { return maskLogits(logits, ranges, t0, count, given ? at[3] : Value()); };
      logits = given ? mask() : k.ifElse(masked, [&]() -> Values { return {mask()}; }, [&]() -> Values { return {logits}; })[0];
      Step next = softmaxStep({at[carried], at[carried + 1], at[carried + 2]}, logits);
      Value left = logits;
      if (element.isF32()) {
        tile::StoreSharedOp::create(b, next.weights, weights);
        tile::BarrierOp::create(b);
        left = weights;
      } else {
        left = tile::ConvertOp::create(b, reg(tile::LayoutKind::A, tileKeys, element), next.weights);
      }
      Value out = tile::DotOp::create(b, outType(), left, at[2], next.out, UnitAttr());
      return {out, next.maxima, next.sums};
    });
    return {loop.getResult(0), loop.getResult(1), loop.getResult(2)};
  }

  /// First and last position that some row of the tile may see, first and last that all of them do (index).
  Values rangeOfRows() {
    auto at = [&](Value r) {
      auto [low, high] = rangeOf(r);
      return Values{toIndex(low), toIndex(high)};
    };
    Value last = k.sub(rows, k.idx(1));
    if (!op.getQPos()) { // positions grow with rows
      Values first = at(k.idx(0)), final = at(last);
      return {first[0], final[1], final[0], first[1]};
    }
    Value far = k.idx(std::numeric_limits<int32_t>::max());
    return k.forLoop(k.idx(0), rows, k.idx(1), {far, k.idx(-1), k.idx(0), far}, [&](Value r, ValueRange carried) -> Values {
      Values range = at(r);
      return {k.min(carried[0], range[0]), k.max(carried[1], range[1]), k.max(carried[2], range[0]), k.min(carried[3], range[1])};
    });
  }

  Value transformLogits(unsigned segment, Value logits, Value t0, Value count) {
    return mapTiles(k, logits, logitsType(), [&](ValueRange at) -> Values {
      cpu::Emit e = emitter();
      Value x = raw(e, at[0]);
      if (!op.getBias().empty()) {
        Value key = k.min(k.add(t0, at[2]), k.sub(count, k.idx(1)));
        x = arith::AddFOp::create(b, x, pullBias(segment, bounded(at[1]), key, 1));
      }
      return {x};
    })[0];
  }

  Value maskLogits(Value logits, ArrayRef<Value> ranges, Value t0, Value count, Value positions) {
    Values tiles{logits};
    llvm::append_range(tiles, ranges);
    return mapTiles(k, tiles, logitsType(), [&](ValueRange at) -> Values {
      Value key = k.add(t0, at.back()), position, visible;
      if (positions) {
        position = tile::ReadOp::create(b, i32, positions, k.idx(0), at.back());
        visible = k.compare(arith::CmpIPredicate::sge, position, k.constantInt(i32, 0));
      } else {
        position = arith::IndexCastOp::create(b, i32, key);
        visible = k.compare(arith::CmpIPredicate::slt, key, count);
      }
      if (!ranges.empty()) {
        visible = arith::AndIOp::create(b, visible, k.compare(arith::CmpIPredicate::sle, at[1], position));
        visible = arith::AndIOp::create(b, visible, k.compare(arith::CmpIPredicate::sle, position, at[2]));
      }
      return {arith::SelectOp::create(b, visible, at[0], k.constant(f32, -kInfinity))};
    })[0];
  }

  struct Step : State {
    Value weights;
  };

  /// maxima' = max(maxima, logits); weights = 2^(logits - maxima'); what was summed before is scaled to the new maxima.
  Step softmaxStep(State state, Value logits) {
    Value highest = tile::ReduceOp::create(b, rowType(), tile::Combine::Max, logits, false);
    Values rowsNow = mapTiles(k, {state.maxima, highest}, {rowType(), rowType(), rowType()}, [&](ValueRange at) -> Values {
      Value maximum = arith::MaxNumFOp::create(b, at[0], at[1]), reference = finite(maximum);
      return {maximum, reference, weightOf(at[0], reference)};
    });
    Step next;
    next.maxima = rowsNow[0];
    next.weights = mapTiles(k, {logits, rowsNow[1]}, logitsType(), [&](ValueRange at) -> Values { return {weightOf(at[0], at[1])}; })[0];
    Value sums = tile::ReduceOp::create(b, rowType(), tile::Combine::Add, next.weights, true);
    next.sums =
        mapTiles(k, {state.sums, rowsNow[2], sums}, rowType(), [&](ValueRange at) -> Values { return {k.fma(at[0], at[1], at[2])}; })[0];
    next.out = mapTiles(k, {state.out, rowsNow[2]}, outType(),
                        [&](ValueRange at) -> Values { return {arith::MulFOp::create(b, at[0], at[1])}; })[0];
    return next;
  }

  /// Results by way of shared memory, in order of columns.
  void finish(State state) {
    Value out = mapTiles(k, {state.out, state.sums}, outType(),
                         [&](ValueRange at) -> Values { return {arith::MulFOp::create(b, at[0], inverse(at[1]))}; })[0];
    Type stored = cast<RankedTensorType>(op.getOutput().getType()).getElementType();
    auto type = tile::SharedType::get(b.getContext(), tileRows, valueSize, stored, 0, stored.isF32() ? 32 : 16, 1);
    tile::BarrierOp::create(b);
    Value staged = tile::AllocOp::create(b, type, b.getI64IntegerAttr(0));
    tile::StoreSharedOp::create(b, out, staged);
    tile::BarrierOp::create(b);
    auto visit = tile::VisitOp::create(b, staged);
    buildRegion(k, visit.getBody(), {stored, index, index}, [&](ValueRange at) -> Values {
      k.ifThen(k.compare(arith::CmpIPredicate::slt, at[1], rows), [&] {
        auto [query, head] = rowAt(at[1]);
        Values where = outputAt(head, query);
        where.push_back(at[2]);
        Value sum = stored.isF32() ? Value(at[0]) : arith::ExtFOp::create(b, f32, at[0]).getResult();
        emitElement(k, op.getOutput(), where, sum);
      });
      return {};
    });
    if (!op.getLse())
      return;
    Value lse = mapTiles(k, {state.maxima, state.sums}, rowType(), [&](ValueRange at) -> Values { return {logSum(at[0], at[1])}; })[0];
    auto each = tile::ForEachOp::create(b, lse);
    buildRegion(k, each.getBody(), {f32, index, index}, [&](ValueRange at) -> Values {
      k.ifThen(k.compare(arith::CmpIPredicate::slt, at[1], rows), [&] {
        auto [query, head] = rowAt(at[1]);
        emitElement(k, op.getLse(), {batch, head, query}, at[0]);
      });
      return {};
    });
  }

  /// Values, maxima and sums of all rows of this part of the keys.
  void leavePart(State state) {
    auto each = [&](Value tile, llvm::function_ref<void(ValueRange)> body) {
      auto op = tile::ForEachOp::create(b, tile);
      buildRegion(k, op.getBody(), {f32, index, index}, [&](ValueRange at) -> Values {
        k.ifThen(k.compare(arith::CmpIPredicate::slt, at[1], rows), [&] { body(at); });
        return {};
      });
    };
    Value first = part();
    each(state.out, [&](ValueRange at) { k.store(at[0], k.shared(), f32, k.add(k.mul(k.add(first, at[1]), k.idx(valueSize)), at[2])); });
    each(state.maxima, [&](ValueRange at) { k.store(at[0], maximaAt(), f32, k.add(first, at[1])); });
    each(state.sums, [&](ValueRange at) { k.store(at[0], sumsAt(), f32, k.add(first, at[1])); });
  }

  Phase phase;
  ImplicitLocOpBuilder &b;
  Type element, index;
  int64_t headSize, valueSize, tileRows, tileKeys, stages;
  Value split; ///< which part of the keys; null: all
  tile::SharedType keyType, valueType, positionType;
  Value keyBuffer, valueBuffer, positionBuffer, queries, weights;
};

class TiledAttention : public TileGenerator {
public:
  explicit TiledAttention(KVAttendOp op) : op(op) {}

  static bool fits(KVAttendOp op) {
    Type element = cast<RankedTensorType>(op.getQ()[0].getType()).getElementType();
    if (!isa<Float16Type, BFloat16Type>(element) && !element.isF32())
      return false;
    // Keys and values of a cache in 16 bits become f32 on the way to shared memory.
    auto takes = [&](Type type) { return type == element || (element.isF32() && isa<Float16Type, BFloat16Type>(type)); };
    for (ValueRange list : {ValueRange(op.getQ()), ValueRange(op.getK()), ValueRange(op.getV())})
      for (Value v : list) {
        auto type = cast<RankedTensorType>(v.getType());
        if (!takes(type.getElementType()) || type.isDynamicDim(3) || type.getDimSize(3) % 16 != 0 || type.getDimSize(3) > 256)
          return false;
      }
    for (Value q : op.getQ())
      if (cast<RankedTensorType>(q.getType()).getElementType() != element)
        return false;
    return true;
  }

protected:
  unsigned phases() override { return 3; }
  int64_t threads(unsigned phase) override {
    return phase == Many ? manyRows(op) * 2 : phase == Few ? kFewRows * 2 : AttendProgram::kJoinThreads;
  }
  Values grid(KernelBuilder &k, unsigned phase) override {
    AttendProgram p(op, k, Phase(phase));
    // Without a row there is nothing to do, whatever the keys.
    Value parts = k.min(p.splits(), k.mul(p.allRows, k.idx(kMaxSplits)));
    Value x = phase == Many ? k.ceilDiv(p.allRows, k.idx(manyRows(op))) : phase == Few ? parts : p.allRows;
    Value chosen = arith::SelectOp::create(k.b, p.isFew(), k.idx(phase != Many), k.idx(phase == Many));
    return {k.mul(x, chosen), p.pairs, k.idx(1)};
  }
  void program(KernelBuilder &k, unsigned phase) override {
    cpu::checkEpilogue(k, op->getResults());
    AttendProgram p(op, k, Phase(phase));
    phase == Join ? p.join() : p.attend();
  }
  Value joined(KernelBuilder &k) override { return AttendProgram(op, k, Few).joined(); }
  cpu::Cost cost(KernelBuilder &k) override { return cpu::attendCost(op, k); }

private:
  KVAttendOp op;
};

} // namespace

std::unique_ptr<Generator> createTiledAttention(KVAttendOp op, const GpuTarget &) {
  return TiledAttention::fits(op) ? std::make_unique<TiledAttention>(op) : nullptr;
}

} // namespace leat::cuda
