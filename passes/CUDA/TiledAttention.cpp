// leat.kv_attend in tiles on any GPU. Many rows (prefill): a block takes 64 of them over all keys they see, on Hopper by a program of its
// own where operands allow it (GroupAttention.h). Few (decode): a warp takes all of them over a part of the keys, and a last phase joins
// the parts.
//
// f16 and bf16 are multiplied by tensor cores; f32 stays f32: its weights go through shared memory to the second product.
#include "passes/CUDA/AttendClasses.h"
#include "passes/CUDA/GroupAttention.h"

using namespace mlir;

namespace leat::cuda {

namespace {

constexpr int64_t kFewRows = 16;    ///< rows of a decode block
constexpr int64_t kMaxSplits = 64;  ///< parts of the keys, at most: what they share does not grow with the stream
constexpr int64_t kSplitKeys = 256; ///< keys that are worth a block of their own

/// Rows of a prefill block.
int64_t manyRows(KVAttendOp op) { return cpu::scheduled(op->getParentOfType<KernelFuncOp>(), "rows", 64); }

enum Phase : unsigned { Many, Few, Join, Classify };

/// Emits one program of the kernel.
class AttendProgram : public AttendClasses {
public:
  AttendProgram(KVAttendOp op, KernelBuilder &k, Phase phase) : AttendClasses(op, k), phase(phase) {
    if (phase == Few || phase == Join)
      tileRows = kFewRows;
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
  Value partBytes() { return k.mul(k.mul(pairs, k.idx(kMaxSplits * kFewRows)), k.idx((valueSize + 2) * 4)); }
  /// And classes of the blocks of keys.
  Value joined() { return isClassified(op) ? k.add(partBytes(), k.mul(partClassBytes(), k.mul(pairs, splits()))) : partBytes(); }

  void attend() {
    Value x = tile::BlockIdOp::create(b, index, 0);
    Value pair = tile::BlockIdOp::create(b, index, 1), number = phase == Many ? x : k.idx(0);
    chooseTile(pair, number);
    split = phase == Few ? x : Value();
    if (isClassified(op))
      classes = phase == Many ? classesOf(pair, number) : classesOfPart(pair);
    allocate();
    State state = start();
    for (unsigned segment = 0; segment < op.getK().size(); ++segment) {
      if (segment)
        tile::BarrierOp::create(b); // the buffers of the segment before
      state = attendSegment(segment, state);
    }
    state.sums = tile::JoinOp::create(b, rowType(), tile::Combine::Add, state.sums);
    if (phase != Many)
      return leavePart(state);
    tile::BarrierOp::create(b); // all are done with the tiles whose memory results take
    finish(state, paddedResults(), /*at=*/0);
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
  // --- memory
  void allocate() {
    auto alloc = [&](tile::SharedType type) { return AttendTile::allocate(k, type); };
    keyType = sharedType(tileKeys, headSize, element, stages), valueType = sharedType(tileKeys, valueSize, element, stages);
    keyBuffer = alloc(keyType), valueBuffer = alloc(valueType);
    queries = alloc(sharedType(tileRows, headSize, element, 1));
    if (!op.getKPos().empty())
      positionBuffer = alloc(positionType = sharedType(1, tileKeys, i32, stages));
    if (element.isF32())
      weights = alloc(sharedType(tileRows, tileKeys, f32, 1));
  }
  Value owners() override { return pairs; }
  Value tiles() override { return k.ceilDiv(allRows, k.idx(tileRows)); }
  void chooseTile(Value pair, Value number) override {
    choosePair(pair);
    row0 = k.mul(number, k.idx(tileRows));
    rows = k.min(k.sub(allRows, row0), k.idx(tileRows));
  }
  /// Bytes of the classes of a part of a segment.
  Value paddedChunk(unsigned segment) { return paddedBlocks(chunkOf(k.dim(op.getK()[segment], 3 - kvHeads))); }
  /// Keys of a part of `keys`: whole blocks.
  Value chunkOf(Value keys) { return k.mul(k.ceilDiv(k.ceilDiv(keys, k.idx(tileKeys)), splits()), k.idx(tileKeys)); }
  /// Of all parts, segment after segment.
  Value partClassBytes() {
    Value sum = k.idx(0);
    for (unsigned s = 0; s < op.getK().size(); ++s)
      sum = k.add(sum, paddedChunk(s));
    return sum;
  }
  Value classesOfPart(Value pair) {
    Value number = k.add(k.mul(pair, splits()), split);
    return k.bytePtr(k.shared(), k.add(partBytes(), k.mul(number, partClassBytes())));
  }
  /// The classes of `bytes` blocks from key `begin` on, none behind key `end`.
  void classifyPart(unsigned segment, const Extent &extent, Value begin, Value end, Value bytes) {
    Values positions = positionsOfRows();
    k.forLoop(k.idx(0), bytes, k.idx(kWord), [&](Value i) {
      Value t0 = k.add(begin, k.mul(i, k.idx(tileKeys)));
      storeClasses(classesOf(segment, extent, positions, t0, end, kWord), k.bytePtr(classes, i));
    });
    tile::BarrierOp::create(b);
  }

  Value part() {
    Value pair = k.add(k.mul(batch, kvHeadCount), kvHead);
    return k.mul(k.add(k.mul(pair, k.idx(kMaxSplits)), split), k.idx(kFewRows));
  }
  Value partRows() { return k.mul(pairs, k.idx(kMaxSplits * kFewRows)); }
  Value maximaAt() { return k.elementPtr(k.shared(), f32, k.mul(partRows(), k.idx(valueSize))); }
  Value sumsAt() { return k.elementPtr(maximaAt(), f32, partRows()); }

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
    if (bringPages(tensor, t0, count, size, to))
      return;
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

  /// The same where they lie in pages, as they are: where blocks are parts of pages, by one number for the block.
  bool bringPages(Value tensor, Value t0, Value count, int64_t size, Value to) {
    auto rows = cpu::traceRows(k, tensor);
    if (!rows || !rows->pages || rows->element != element)
      return false;
    auto type = tile::ViewType::get(b.getContext(), element);
    Value stride = k.idx(size), zero = k.idx(0);
    if (inOnePage(*rows)) {
      Value first = addressOf(*rows, t0);
      Value view = tile::ViewOp::create(b, type, first, k.sub(count, t0), k.idx(size), stride, 16);
      tile::CopyAsyncOp::create(b, view, zero, zero, to);
      return true;
    }
    const cpu::Pages &pages = *rows->pages;
    Value table = k.elementPtr(k.buffer(pages.table), i32, k.mul(batch, k.dim(pages.table, 1)));
    Value heads = k.elementPtr(k.buffer(pages.pool), element, k.mul(kvHead, k.idx(pages.entries * size)));
    Value view = tile::PagedViewOp::create(b, type, heads, table, rows->first, count, k.idx(size), stride, pages.stride(k), pages.entries);
    tile::CopyAsyncOp::create(b, view, t0, zero, to);
    return true;
  }

  /// Positions of the keys of a block: i32, -1 where there is none.
  void bringPositions(unsigned segment, Value t0, Value count, Value to) {
    auto fill = tile::FillOp::create(b, to, false);
    buildRegion(k, fill.getBody(), {index, index}, [&](ValueRange place) -> Values {
      Value key = k.add(t0, place[1]), far = k.idx(std::numeric_limits<int32_t>::max());
      return k.ifElse(
          k.compare(arith::CmpIPredicate::slt, key, count),
          [&]() -> Values {
            Value position = k.max(k.min(toIndex(pullScalar(op.getKPos()[segment], {key})), far), k.idx(-1));
            return {arith::IndexCastOp::create(b, i32, position)};
          },
          [&]() -> Values { return {k.constantInt(i32, -1)}; });
    });
  }

  State attendSegment(unsigned segment, State state) {
    bool given = !op.getKPos().empty();
    loadQueries(segment);
    Value operand = queries;
    if (!element.isF32() && headSize <= 128) {
      tile::BarrierOp::create(b);
      operand = tile::LoadOp::create(b, reg(tile::LayoutKind::A, headSize, element), queries, UnitAttr());
    } // else they are read behind the first barrier of the loop
    // What each row sees, and what blocks of keys may be skipped or need no mask.
    Extent extent = extentOf(segment);
    Values ranges = rowRanges();
    Value count = extent.count, from = extent.from, to = extent.to, step = k.idx(tileKeys), begin = k.idx(0), first;
    if (split) {
      Value chunk = chunkOf(count);
      begin = k.mul(split, chunk);
      from = k.max(from, begin);
      to = k.min(to, k.add(begin, chunk));
    }
    // Classified blocks are counted; what the loop gets for a step is the block and its class.
    Visits visits;
    if (isClassified(op)) {
      Value bytes = split ? paddedChunk(segment) : paddedBlocks(segment);
      if (split)
        classifyPart(segment, extent, begin, to, bytes);
      visits = visitsOf(classes, bytes);
      classes = k.bytePtr(classes, bytes);
      from = k.idx(0), to = visits.count, step = k.idx(1), first = find(visits, from);
    }
    auto firstKey = [&](Value at) { return first ? k.add(begin, k.mul(blockOf(at), k.idx(tileKeys))) : at; };
    auto isMasked = [&](Value at) { return first ? isOf(at, Masked) : isPartial(extent, at); };

    Values buffers{keyBuffer, valueBuffer};
    SmallVector<Type> arguments{index, keyType.oneStage(), valueType.oneStage()};
    if (given) {
      buffers.push_back(positionBuffer);
      arguments.push_back(positionType.oneStage());
    }
    auto loop = tile::PipelineOp::create(b, TypeRange{outType(), rowType(), rowType()}, from, to, step, first, buffers,
                                         ValueRange{state.out, state.maxima, state.sums});
    if (first)
      buildRegion(k, loop.getNext(), {index}, [&](ValueRange at) -> Values { return {find(visits, k.add(blockOf(at[0]), k.idx(1)))}; });
    buildRegion(k, loop.getProduce(), arguments, [&](ValueRange at) -> Values {
      Value t0 = firstKey(at[0]);
      bring(op.getK()[segment], t0, count, headSize, at[1]);
      bring(op.getV()[segment], t0, count, valueSize, at[2]);
      if (given)
        k.ifThen(isMasked(at[0]), [&] { bringPositions(segment, t0, count, at[3]); });
      return {};
    });
    llvm::append_range(arguments, loop.getInits().getTypes());
    unsigned carried = arguments.size() - 3;
    buildRegion(k, loop.getConsume(), arguments, [&](ValueRange at) -> Values {
      Value t0 = firstKey(at[0]), zero = splat(logitsType(), k.constant(f32, 0));
      Value logits = tile::DotOp::create(b, logitsType(), operand, at[1], zero, b.getUnitAttr());
      logits = biased(segment, logits, t0, count, at[0]);
      // The last block may be short; others are seen by all rows, or masked.
      auto position = [&](Value column) -> Value { return tile::ReadOp::create(b, i32, at[3], k.idx(0), column); };
      if (given)
        logits = masked(isMasked(at[0]), logits, ranges, t0, count, position);
      else
        logits = masked(isMasked(at[0]), logits, ranges, t0, count);
      Step next = softmax(at[carried + 1], at[carried + 2], logits);
      Value left = logits;
      if (element.isF32()) {
        tile::StoreSharedOp::create(b, next.weights, weights);
        tile::BarrierOp::create(b);
        left = weights;
      } else {
        left = tile::ConvertOp::create(b, reg(tile::LayoutKind::A, tileKeys, element), next.weights);
      }
      Value out = tile::DotOp::create(b, outType(), left, at[2], rescale(at[carried], next.factor), UnitAttr());
      return {out, next.maxima, next.sums};
    });
    return {loop.getResult(0), loop.getResult(1), loop.getResult(2)};
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
  tile::SharedType keyType, valueType, positionType;
  Value keyBuffer, valueBuffer, positionBuffer, queries, weights;
  Value classes; ///< of the rows, from the segment on that is next
};

class TiledAttention : public TileGenerator {
public:
  TiledAttention(KVAttendOp op, const GpuTarget &target) : op(op), hopper(target.hopper()) {}

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
  unsigned phases() override { return isClassified() ? 4 : 3; }
  int64_t threads(KernelBuilder &k, unsigned launch) override {
    Phase phase = phaseOf(launch);
    if (phase == Classify)
      return AttendClasses::kClassifyThreads;
    if (phase == Many)
      return byGroups(k) ? GroupAttend::threads(op) : manyRows(op) * 2;
    return phase == Few ? kFewRows * 2 : AttendProgram::kJoinThreads;
  }
  Values grid(KernelBuilder &k, unsigned launch) override {
    Phase phase = phaseOf(launch);
    AttendProgram p(op, k, phase);
    // Without a row there is nothing to do, whatever the keys.
    Value parts = k.min(p.splits(), k.mul(p.allRows, k.idx(kMaxSplits)));
    Values blocks{phase == Many ? k.ceilDiv(p.allRows, k.idx(manyRows(op))) : phase == Few ? parts : p.allRows, p.pairs, k.idx(1)};
    if (phase == Many && byGroups(k))
      blocks = GroupAttend(op, k).grid();
    else if (phase == Classify)
      withClasses(k, [&](AttendClasses &many) { blocks = many.classifyGrid(); });
    bool forMany = phase == Many || phase == Classify;
    Value chosen = arith::SelectOp::create(k.b, p.isFew(), k.idx(!forMany), k.idx(forMany));
    blocks[0] = k.mul(blocks[0], chosen);
    return blocks;
  }
  void program(KernelBuilder &k, unsigned launch) override {
    Phase phase = phaseOf(launch);
    cpu::checkEpilogue(k, op->getResults());
    if (phase == Classify)
      return withClasses(k, [](AttendClasses &many) { many.classify(); });
    if (phase == Many && byGroups(k))
      return GroupAttend(op, k).attend();
    AttendProgram p(op, k, phase);
    phase == Join ? p.join() : p.attend();
  }
  int64_t resident(KernelBuilder &k, unsigned launch) override {
    return phaseOf(launch) == Many && byGroups(k) && GroupAttend(op, k).stays() ? 1 : 0;
  }
  SmallVector<TensorMap> tensorMaps(KernelBuilder &k, unsigned launch) override {
    return phaseOf(launch) == Many && byGroups(k) ? GroupAttend(op, k).tensorMaps() : SmallVector<TensorMap>();
  }
  Value joined(KernelBuilder &k) override {
    Value bytes = AttendProgram(op, k, Few).joined();
    if (isClassified())
      withClasses(k, [&](AttendClasses &many) { bytes = k.max(bytes, many.classBytes()); });
    return bytes;
  }
  cpu::Cost cost(KernelBuilder &k) override {
    cpu::Cost cost = cpu::attendCost(op, k);
    // A block of rows reads the keys and values that they see: in proportion to the products, which the model of operations has.
    AttendProgram p(op, k, Many);
    int64_t rows = byGroups(k) ? cpu::scheduled(k.kernel, "group_rows", 64) : manyRows(op);
    auto width = [&](Value v) { return k.idx(KernelBuilder::byteWidth(cast<RankedTensorType>(v.getType()).getElementType())); };
    Value perPair = k.mul(k.add(p.depth, p.valueDepth), k.idx(2)), pairs = k.div(cost.operations, k.max(perPair, k.idx(1)));
    Value read = k.mul(k.ceilDiv(pairs, k.idx(rows)), k.add(k.mul(p.depth, width(op.getK()[0])), k.mul(p.valueDepth, width(op.getV()[0]))));
    Value own = k.add(k.bytes(op.getQ()[0]), k.bytes(op.getOutput()));
    cost.requested = arith::SelectOp::create(k.b, p.isFew(), cost.bytes, k.add(read, own));
    return cost;
  }

private:
  bool isClassified() { return AttendClasses::isClassified(op); }
  /// Classes are there before anything else.
  Phase phaseOf(unsigned launch) { return !isClassified() ? Phase(launch) : launch == 0 ? Classify : Phase(launch - 1); }
  /// Runs `body` for the tiles of many rows.
  void withClasses(KernelBuilder &k, llvm::function_ref<void(AttendClasses &)> body) {
    if (byGroups(k)) {
      GroupAttend groups(op, k);
      return body(groups);
    }
    AttendProgram blocks(op, k, Many);
    body(blocks);
  }
  bool byGroups(KernelBuilder &k) { return hopper && GroupAttend::fits(op) && !GroupAttend(op, k).tensorMaps().empty(); }
  KVAttendOp op;
  bool hopper;
};

} // namespace

std::unique_ptr<Generator> createTiledAttention(KVAttendOp op, const GpuTarget &target) {
  return TiledAttention::fits(op) ? std::make_unique<TiledAttention>(op, target) : nullptr;
}

} // namespace leat::cuda
