// leat.matmul: register-tiled products over panels of 64 columns. One kernel for every number of rows: a row's sums run over k in order and
// do not depend on the rows around it. Panels come packed from the artifact, or are packed (or computed) by the task that needs them.
#include "passes/CPU/Generator.h"
#include "passes/CPU/MicroKernels.h"
#include "passes/CPU/Operands.h"
#include "passes/CPU/Products.h"

using namespace mlir;

namespace leat::cpu {

namespace {

class GemmGenerator : public Generator {
public:
  explicit GemmGenerator(MatmulOp op) : op(op) {
    lhsType = cast<RankedTensorType>(op.getLhs().getType());
    rhsType = cast<RankedTensorType>(op.getRhs().getType());
    outType = cast<RankedTensorType>(op.getOutput().getType());
    Type l = lhsType.getElementType(), r = rhsType.getElementType();
    acc = accumulatorType(l.getIntOrFloatBitWidth() >= r.getIntOrFloatBitWidth() ? l : r);
    auto kernel = op->getParentOfType<KernelFuncOp>();
    kc = llvm::alignTo(scheduled(kernel, "kc", 1024), inPairs() ? 2 : 1);
    mc = scheduled(kernel, "mc", 48);
    grain = scheduled(kernel, "grain", 32768);
  }

  Value tasks(KernelBuilder &k) override {
    Plan p = plan(k);
    return k.mul(p.batch, k.mul(p.groups, p.blocks));
  }

  Value scratch(KernelBuilder &k) override {
    Plan p = plan(k);
    return k.add(p.lhsScratch, k.idx(lhsBytesAt()));
  }

  Cost cost(KernelBuilder &k) override {
    Plan p = plan(k);
    Value macs = k.mul(k.mul(k.product(p.outBatch), p.m), k.mul(p.n, p.depth));
    return {k.add(k.add(k.bytes(op.getLhs()), k.bytes(op.getRhs())), k.bytes(op.getOutput())), k.mul(macs, k.idx(2))};
  }

  void run(KernelBuilder &k, Value task) override {
    checkEpilogue(k, op.getOutput());
    Plan p = plan(k);
    Value block = k.rem(task, p.blocks), rest = k.div(task, p.blocks);
    Value group = k.rem(rest, p.groups), batch = k.div(rest, p.groups);
    Value row0 = k.mul(block, k.idx(mc)), rows = k.min(k.sub(p.rows, row0), k.idx(mc));
    SmallVector<Value> batchAt = p.flat ? SmallVector<Value>() : delinearize(k, batch, p.outBatch);
    Rows lhs = prepareRows(k, p, batchAt, row0, rows);

    Value firstPanel = k.mul(group, p.groupPanels), lastPanel = k.min(k.add(firstPanel, p.groupPanels), p.panels);
    k.forLoop(firstPanel, lastPanel, k.idx(1), [&](Value panel) {
      Value n0 = k.mul(panel, k.idx(kPanel)), nEnd = k.min(k.add(n0, k.idx(kPanel)), p.n);
      // At least one block, so that an empty sum is zero.
      k.forLoop(k.idx(0), k.max(p.depth, k.idx(1)), k.idx(kc), [&](Value k0) {
        Value kn = k.min(k.sub(p.depth, k0), k.idx(kc));
        Panel rhs = preparePanel(k, p, batchAt, panel, n0, nEnd, k0, kn);
        Value again = arith::CmpIOp::create(k.b, arith::CmpIPredicate::ne, k0, k.idx(0));
        Tiles tiles{row0, k.elementPtr(lhs.base, lhs.type, k.mul(k0, lhs.colStride)), lhs, rhs, kn, again, {}};
        if (packed())
          tiles.ahead = nextPanel(k, p, rhs, block, rows, kn);
        Value last = k.compare(arith::CmpIPredicate::sge, k.add(k0, k.idx(kc)), p.depth);
        // Whole tiles of the last block of k end while others multiply, what is left does so afterwards.
        Value whole = k.mul(k.div(rows, k.idx(kTileRows)), k.idx(kTileRows));
        Value from = k.idx(0);
        if (isShortEpilogue(k, acc)) {
          Value direct = arith::AndIOp::create(k.b, last, k.compare(arith::CmpIPredicate::eq, k.sub(nEnd, n0), k.idx(kPanel)));
          from = arith::SelectOp::create(k.b, direct, whole, from);
          tilesInTurn(k, p, batchAt, tiles, from, n0);
        }
        product(k, tiles, from, rows);
        k.ifThen(last, [&] { epilogue(k, p, batchAt, row0, from, rows, n0, nEnd); });
      });
    });
  }

private:
  struct Plan {
    SmallVector<Value> outBatch;
    Value m, n, depth;
    bool flat;         ///< all rows of all batches share the right operand and are evenly spaced
    Value batch, rows; ///< tasks see `batch` matrices of `rows` rows
    Value blocks, panels, groupPanels, groups;
    Value lhsScratch;
  };
  struct Rows {
    Value base;
    Type type;
    Value rowStride, colStride;
  };
  struct Panel {
    Value base;
    Type type;
    Value stride;
  };

  struct Ahead { ///< what is fetched meanwhile: see productRows
    Value from, step;
  };

  struct Tiles { ///< a block of k of the task's rows
    Value row0, a;
    Rows lhs;
    Panel rhs;
    Value depth, again; ///< again: there are sums of blocks before
    Ahead ahead;
  };

  StringRef rhsLayout() { return operandLayout(op->getParentOfType<KernelFuncOp>(), op.getRhs()); }
  bool packed() { return rhsLayout().starts_with("panel64"); }
  bool inPairs() { return isInPairs(rhsLayout()); }
  /// Both operands are bf16 in the product, whatever the left one is in memory.
  bool dots(KernelBuilder &k) { return inPairs() && k.target.hasPairDots() && scheduled(op->getParentOfType<KernelFuncOp>(), "bf16", 0); }
  ProductTypes::Pairs pairs(KernelBuilder &k) {
    return !inPairs() ? ProductTypes::Pairs::None : dots(k) ? ProductTypes::Pairs::Multiplied : ProductTypes::Pairs::Widened;
  }
  /// The left operand as it lies in memory, if the product can read it there.
  std::optional<Strided> leftInPlace(KernelBuilder &k) {
    auto strided = traceStrided(k, op.getLhs());
    bool fits =
        !dots(k) || (strided && strided->element.isBF16() && strided->knownStrides[lhsType.getRank() - (op.getTransA() ? 2 : 1)] == 1);
    return fits ? strided : std::nullopt;
  }
  /// What the left operand is computed as where it is not read in place.
  Type computedType(KernelBuilder &k) { return dots(k) ? Type(k.b.getBF16Type()) : KernelBuilder::carriedType(lhsType.getElementType()); }
  static bool allOnes(ArrayRef<int64_t> dims) {
    return llvm::all_of(dims, [](int64_t d) { return d == 1; });
  }

  Plan plan(KernelBuilder &k) {
    Plan p;
    int64_t rank = outType.getRank();
    for (int64_t d = 0; d < rank - 2; ++d)
      p.outBatch.push_back(k.dim(op.getOutput(), d));
    int64_t lr = lhsType.getRank(), rr = rhsType.getRank();
    p.m = k.dim(op.getLhs(), op.getTransA() ? lr - 1 : lr - 2);
    p.depth = k.dim(op.getLhs(), op.getTransA() ? lr - 2 : lr - 1);
    p.n = k.dim(op.getRhs(), op.getTransB() ? rr - 2 : rr - 1);
    auto strided = leftInPlace(k);
    bool oneMatrix = allOnes(outType.getShape().drop_back(2));
    p.flat = allOnes(rhsType.getShape().drop_back(2)) && !op.getTransA() && (!strided || strided->dense || oneMatrix);
    Value all = k.product(p.outBatch);
    p.batch = p.flat ? k.idx(1) : all;
    p.rows = p.flat ? k.mul(all, p.m) : p.m;
    p.blocks = k.ceilDiv(p.rows, k.idx(mc));
    p.panels = k.ceilDiv(p.n, k.idx(kPanel));
    p.groupPanels = k.max(k.idx(1), k.div(k.idx(grain / kPanel), k.max(p.depth, k.idx(1))));
    if (dots(k) && !strided) // rows are rounded by each task: many rows are worth several panels
      p.groupPanels = arith::SelectOp::create(k.b, k.compare(arith::CmpIPredicate::sgt, p.rows, k.idx(mc)),
                                              k.max(p.groupPanels, k.idx(kRoundedPanels)), p.groupPanels);
    p.groups = k.ceilDiv(p.panels, p.groupPanels);
    p.lhsScratch = strided ? k.idx(0) : k.mul(k.mul(k.min(p.rows, k.idx(mc)), p.depth), k.idx(KernelBuilder::byteWidth(computedType(k))));
    return p;
  }

  // Scratch: sums, one packed block of a panel, rows of the left operand.
  Value sums(KernelBuilder &k) { return k.scratch(); }
  int64_t sumsBytes() { return mc * kPanel * acc.getIntOrFloatBitWidth() / 8; }
  Value panelScratch(KernelBuilder &k) { return k.bytePtr(k.scratch(), k.idx(sumsBytes())); }
  int64_t lhsBytesAt() { return sumsBytes() + kc * kPanel * acc.getIntOrFloatBitWidth() / 8; }

  Rows prepareRows(KernelBuilder &k, Plan &p, ArrayRef<Value> batchAt, Value row0, Value rows) {
    int64_t rank = lhsType.getRank(), mDim = op.getTransA() ? rank - 1 : rank - 2, kDim = op.getTransA() ? rank - 2 : rank - 1;
    if (auto s = leftInPlace(k)) {
      Value offset = s->offset;
      if (!p.flat)
        for (auto [at, stride] : llvm::zip(operandBatch(k, lhsType, outType, batchAt), s->strides))
          offset = k.add(offset, k.mul(at, stride));
      offset = k.add(offset, k.mul(row0, s->strides[mDim]));
      Type type = productType(k, s->element);
      return {k.elementPtr(k.buffer(s->argument), type, offset), type, s->strides[mDim], s->strides[kDim]};
    }
    // Computed by the kernel: this task's rows are evaluated once.
    Value base = k.bytePtr(k.scratch(), k.idx(lhsBytesAt()));
    Type type = computedType(k);
    SmallVector<Value> lhsBatchDims;
    for (int64_t d = 0; d < rank - 2; ++d)
      lhsBatchDims.push_back(k.dim(op.getLhs(), d));
    lhsBatchDims.push_back(p.m);
    k.forLoop(k.idx(0), rows, k.idx(1), [&](Value r) {
      SmallVector<Value> at;
      if (p.flat) {
        at = delinearize(k, k.add(row0, r), lhsBatchDims);
      } else {
        at = operandBatch(k, lhsType, outType, batchAt);
        at.push_back(k.add(row0, r));
      }
      k.forLanes(k.idx(0), p.depth, op.getTransA() ? 1 : k.target.lanes(), [&](Value kk, int64_t lanes) {
        Puller pull(k, lanes);
        SmallVector<Idx> coordinates = pull.at(at);
        coordinates.insert(coordinates.begin() + kDim, pull.at(kk, lanes > 1));
        Value value = pull.pullVector(op.getLhs(), coordinates), to = k.add(k.mul(r, p.depth), kk);
        if (dots(k)) // rounded in one instruction
          LLVM::StoreOp::create(k.b, convertCarried(k, value, type), k.elementPtr(base, type, to), KernelBuilder::byteWidth(type));
        else
          k.store(value, base, type, to);
      });
    });
    return {base, type, p.depth, k.idx(1)};
  }

  Panel preparePanel(KernelBuilder &k, Plan &p, ArrayRef<Value> batchAt, Value panel, Value n0, Value nEnd, Value k0, Value kn) {
    int64_t rank = rhsType.getRank(), kDim = op.getTransB() ? rank - 1 : rank - 2, nDim = op.getTransB() ? rank - 2 : rank - 1;
    SmallVector<Value> at = operandBatch(k, rhsType, outType, batchAt);
    if (packed()) {
      auto arg = cast<BlockArgument>(op.getRhs());
      Value matrix = k.idx(0);
      for (auto [i, v] : llvm::enumerate(at))
        matrix = k.add(k.mul(matrix, k.dim(op.getRhs(), i)), v);
      Value row = k.add(k.mul(k.add(k.mul(matrix, p.panels), panel), p.depth), k0);
      Type type = productType(k, rhsType.getElementType());
      return {k.elementPtr(k.buffer(arg), type, k.mul(row, k.idx(kPanel))), type, k.idx(kPanel)};
    }
    Value out = panelScratch(k);
    Value columns = k.sub(nEnd, n0);
    if (auto s = traceStrided(k, op.getRhs())) {
      bool columnsAdjacent = s->knownStrides[nDim] == 1, rowsAdjacent = s->knownStrides[kDim] == 1;
      if (columnsAdjacent || rowsAdjacent) {
        Value offset = k.add(s->offset, k.add(k.mul(n0, s->strides[nDim]), k.mul(k0, s->strides[kDim])));
        for (auto [i, v] : llvm::enumerate(at))
          offset = k.add(offset, k.mul(v, s->strides[i]));
        Type type = productType(k, s->element);
        Value source = k.elementPtr(k.buffer(s->argument), type, offset);
        auto module = k.kernel->getParentOfType<ModuleOp>();
        auto pack = columnsAdjacent ? packColumns(module, k.target, type, acc) : packTransposed(module, k.target, type, acc);
        Value stride = columnsAdjacent ? s->strides[kDim] : s->strides[nDim];
        func::CallOp::create(k.b, pack, ValueRange{out, source, k.i64(stride), k.i64(columns), k.i64(kn)});
        return {out, acc, k.idx(kPanel)};
      }
    }
    // Computed by the kernel, or spread out: element by element.
    k.forLoop(k.idx(0), kn, k.idx(1), [&](Value kk) {
      k.forLoop(k.idx(0), columns, k.idx(1), [&](Value j) {
        Puller pull(k, 1);
        SmallVector<Idx> coordinates = pull.at(at);
        coordinates.push_back(pull.at(op.getTransB() ? k.add(n0, j) : k.add(k0, kk)));
        coordinates.push_back(pull.at(op.getTransB() ? k.add(k0, kk) : k.add(n0, j)));
        Value element = convertCarried(k, pull.pull(op.getRhs(), coordinates), acc);
        k.store(element, out, acc, k.add(k.mul(kk, k.idx(kPanel)), j));
      });
      k.forLoop(columns, k.idx(kPanel), k.idx(1), [&](Value j) {
        Value zero = arith::ConstantOp::create(k.b, k.b.getZeroAttr(acc));
        k.store(zero, out, acc, k.add(k.mul(kk, k.idx(kPanel)), j));
      });
    });
    return {out, acc, k.idx(kPanel)};
  }

  /// What the tiles of block `block` fetch of the next panel, which comes from far away: the slower the better, for it delays what the
  /// tiles read. The last 16 tiles before the last block of rows take a quarter of a line in each iteration, or half of one if there are
  /// but 8. (Tiles of their block before those get what is at hand, the end of this panel.) Where a task has several panels, those may
  /// have left the second cache when the next task comes to them: then each block fetches.
  Ahead nextPanel(KernelBuilder &k, Plan &p, const Panel &panel, Value block, Value rows, Value kn) {
    auto choose = [&](Value condition, Value x, Value y) -> Value { return arith::SelectOp::create(k.b, condition, x, y); };
    Value always = dots(k) ? arith::ConstantIntOp::create(k.b, 1, 1).getResult() : k.compare(arith::CmpIPredicate::eq, p.blocks, k.idx(1));
    Value lastBlock = k.sub(p.blocks, k.idx(1));
    Value tile = choose(always, k.idx(0), k.mul(block, k.idx(mc / kTileRows)));
    Value tiles = choose(always, k.div(rows, k.idx(kTileRows)), k.mul(lastBlock, k.idx(mc / kTileRows)));
    auto atLeast = [&](int64_t count) { return k.compare(arith::CmpIPredicate::sge, tiles, k.idx(count)); };
    Value perLine = choose(atLeast(16), k.idx(4), choose(atLeast(8), k.idx(2), k.idx(1))); // steps
    Value first = k.max(k.sub(tiles, k.mul(perLine, k.idx(4))), k.idx(0)), bytes = k.div(k.idx(64), perLine);
    Value next = k.elementPtr(panel.base, panel.type, k.mul(p.depth, k.idx(kPanel)));
    Value tileBytes = k.mul(inPairs() ? k.div(kn, k.idx(2)) : kn, bytes);
    Value among = arith::AndIOp::create(k.b, k.compare(arith::CmpIPredicate::slt, block, lastBlock),
                                        k.compare(arith::CmpIPredicate::sgt, k.add(tile, k.idx(mc / kTileRows)), first));
    Value fetches = arith::OrIOp::create(k.b, always, among);
    return {k.bytePtr(next, k.mul(k.sub(tile, first), tileBytes)), choose(fetches, bytes, k.idx(0))};
  }

  Value leftRow(KernelBuilder &k, const Tiles &t, Value row) { return k.elementPtr(t.a, t.lhs.type, k.mul(row, t.lhs.rowStride)); }
  Value sumsRow(KernelBuilder &k, Value row) { return k.elementPtr(sums(k), acc, k.mul(row, k.idx(kPanel))); }
  /// What the tile that begins at `row` fetches.
  Value aheadAt(KernelBuilder &k, const Tiles &t, Value row) {
    Value bytes = k.mul(inPairs() ? k.div(t.depth, k.idx(2)) : t.depth, t.ahead.step);
    return k.bytePtr(t.ahead.from, k.mul(k.div(row, k.idx(kTileRows)), bytes));
  }

  /// Sums of rows [from, rows) in scratch.
  void product(KernelBuilder &k, const Tiles &t, Value from, Value rows) {
    callProduct(k, {t.lhs.type, t.rhs.type, acc, pairs(k)}, leftRow(k, t, from), t.lhs.rowStride, t.lhs.colStride, t.rhs.base, t.rhs.stride,
                t.depth, sumsRow(k, from), t.again, k.sub(rows, from), {}, {}, t.ahead.from ? aheadAt(k, t, from) : Value(), t.ahead.step);
  }

  /// Tiles of a whole panel, of rows [0, rows) of the task. The epilogue of a tile runs while the next one multiplies, on ports that
  /// products leave idle: its sums wait in scratch, and between parts of the loop over k a vector of them ends. Meanwhile memory is asked
  /// for what comes after: rows of the left operand, and what the epilogue reads beside sums.
  void tilesInTurn(KernelBuilder &k, Plan &p, ArrayRef<Value> batchAt, const Tiles &t, Value rows, Value n0) {
    int64_t lanes = k.target.lanes(), vectors = tileVectors(k.target, acc, kTileRows), strips = kPanel / (vectors * lanes);
    int64_t count = kTileRows * vectors, neighbours = inPairs() ? 2 : 1;
    auto rowOf = [&](Value tile) { return k.mul(k.div(tile, k.idx(strips)), k.idx(kTileRows)); };
    auto columnOf = [&](Value tile) { return k.mul(k.rem(tile, k.idx(strips)), k.idx(vectors * lanes)); };
    auto coordinates = [&](Value row) { return rowCoordinates(k, p, batchAt, k.add(t.row0, row)); };
    auto finish = [&](Value tile, Value i) {
      Value row = k.add(rowOf(tile), k.div(i, k.idx(vectors)));
      Value column = k.add(columnOf(tile), k.mul(k.rem(i, k.idx(vectors)), k.idx(lanes)));
      Value sum = k.load(sumsRow(k, row), acc, column, lanes);
      emitElements(k, op.getOutput(), coordinates(row), k.add(n0, column), lanes, sum);
    };
    Value tiles = k.mul(k.div(rows, k.idx(kTileRows)), k.idx(strips)), one = k.idx(1);
    Value part = k.mul(k.div(t.depth, k.idx(count * neighbours)), k.idx(neighbours)), parts = k.mul(part, k.idx(count)); // of k
    k.forLoop(k.idx(0), tiles, one, [&](Value tile) {
      Value row = rowOf(tile), column = columnOf(tile), sumsAt = k.elementPtr(sumsRow(k, row), acc, column);
      for (int64_t r = 0; r < kTileRows; ++r)
        fetchOperands(k, op.getOutput(), coordinates(k.add(row, k.idx(r))), k.add(n0, column), vectors * lanes);
      Emit start = emitterAt(k);
      auto at = [&](Emit &e, int64_t i) { return e.at(sumsAt, acc, e.c(i / vectors * kPanel + i % vectors * lanes)); };
      Values init = startSums(start, Emit::vec(lanes, acc), t.again, count, [&](int64_t i) { return at(start, i); });
      Values inParts = k.forLoop(k.idx(0), k.idx(count), one, init, [&](Value i, ValueRange carried) -> SmallVector<Value> {
        k.ifThen(k.compare(arith::CmpIPredicate::sgt, tile, k.idx(0)), [&] { finish(k.sub(tile, one), i); });
        k.ifThen(k.compare(arith::CmpIPredicate::eq, columnOf(k.add(tile, one)), k.idx(0)),
                 [&] { fetchLeft(k, t, k.add(row, k.idx(kTileRows)), k.mul(i, part), part); });
        return partOfTile(k, t, row, column, k.mul(i, part), part, carried);
      });
      Values whole = partOfTile(k, t, row, column, parts, k.sub(t.depth, parts), inParts);
      Emit end = emitterAt(k);
      for (int64_t i = 0; i < count; ++i)
        end.store(whole[i], at(end, i));
    });
    k.ifThen(k.compare(arith::CmpIPredicate::sgt, tiles, k.idx(0)),
             [&] { k.forLoop(k.idx(0), k.idx(count), one, [&](Value i) { finish(k.sub(tiles, one), i); }); });
  }

  /// Adds products of [k0, k0 + depth) of the block of k to the sums of the register tile at `row` and `column`.
  Values partOfTile(KernelBuilder &k, const Tiles &t, Value row, Value column, Value k0, Value depth, ValueRange init) {
    int64_t neighbours = inPairs() ? 2 : 1;
    Value left = k.elementPtr(leftRow(k, t, row), t.lhs.type, k.mul(k0, t.lhs.colStride));
    Value panel = k.elementPtr(t.rhs.base, t.rhs.type, k.add(k.mul(column, k.idx(neighbours)), k.mul(k0, t.rhs.stride)));
    TileOperands operands{left, k.i64(t.lhs.rowStride), k.i64(t.lhs.colStride), panel, k.i64(t.rhs.stride), k.i64(depth), {}, {}};
    if (t.ahead.from) {
      operands.next = k.bytePtr(aheadAt(k, t, row), k.mul(k.div(k0, k.idx(neighbours)), t.ahead.step));
      operands.step = k.i64(t.ahead.step);
    }
    Emit e = emitterAt(k);
    return productSums(e, k.target, {t.lhs.type, t.rhs.type, acc, pairs(k)}, kTileRows, tileVectors(k.target, acc, kTileRows), operands,
                       Values(init));
  }

  /// Asks for [k0, k0 + depth) of a tile's rows from `row` on, which need not exist.
  void fetchLeft(KernelBuilder &k, const Tiles &t, Value row, Value k0, Value depth) {
    if (!isConstantIntValue(t.lhs.colStride, 1))
      return;
    Value width = k.idx(KernelBuilder::byteWidth(t.lhs.type)), first = k.elementPtr(leftRow(k, t, row), t.lhs.type, k0);
    k.forLoop(k.idx(0), k.mul(depth, width), k.idx(64), [&](Value byte) {
      for (int64_t r = 0; r < kTileRows; ++r)
        emitterAt(k).prefetch(k.bytePtr(first, k.add(k.mul(k.mul(k.idx(r), t.lhs.rowStride), width), byte)));
    });
  }

  SmallVector<Value> rowCoordinates(KernelBuilder &k, Plan &p, ArrayRef<Value> batchAt, Value row) {
    SmallVector<Value> dims(p.outBatch), at(batchAt);
    dims.push_back(p.m);
    if (p.flat)
      return delinearize(k, row, dims);
    at.push_back(row);
    return at;
  }

  void epilogue(KernelBuilder &k, Plan &p, ArrayRef<Value> batchAt, Value row0, Value from, Value rows, Value n0, Value nEnd) {
    k.forLoop(from, rows, k.idx(1), [&](Value r) {
      emitRow(k, op.getOutput(), rowCoordinates(k, p, batchAt, k.add(row0, r)), n0, nEnd, sums(k), k.mul(r, k.idx(kPanel)), acc);
    });
  }

  static constexpr int64_t kRoundedPanels = 8; ///< for each rounding of a block of rows

  MatmulOp op;
  int64_t kc;    ///< k is worked on in blocks of this size; partial sums rest in scratch in between, which is exact
  int64_t mc;    ///< rows of a task
  int64_t grain; ///< weights that a task handles at least: a few microseconds even for one row
  RankedTensorType lhsType, rhsType, outType;
  Type acc;
};

} // namespace

std::unique_ptr<Generator> createGemmGenerator(MatmulOp op) { return std::make_unique<GemmGenerator>(op); }

} // namespace leat::cpu
