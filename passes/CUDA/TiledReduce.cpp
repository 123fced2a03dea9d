// Reductions whose rows lie along memory: linalg.generic over trailing loops, and arg_reduce along the last dimension. A group of lanes
// takes a short row, a block a longer one, several blocks parts of a long one, which another launch joins. Who takes what follows from the
// length of a row only, and so does the order in which elements are combined.
#include "passes/CPU/Extremum.h"
#include "passes/CPU/Reduction.h"
#include "passes/CUDA/BlockFold.h"
#include "passes/CUDA/Generic.h"

using namespace mlir;

namespace leat::cuda {

namespace {

constexpr int64_t kThreads = 256;
constexpr int64_t kLanesRow = 1024; ///< longest row of a group of lanes
constexpr int64_t kPerLane = 4;     ///< elements for which a group gets another lane
constexpr int64_t kPart = 4096;     ///< elements of a row that are worth a block
constexpr int64_t kUnroll = 4;      ///< loads of a thread in flight
constexpr int64_t kMostParts = 64;  ///< blocks of a row

/// What is folded.
class Fold {
public:
  virtual ~Fold() = default;
  virtual Values outer(KernelBuilder &k) = 0; ///< sizes that number the rows
  virtual Value length(KernelBuilder &k) = 0; ///< elements of a row
  virtual int64_t knownLength() = 0;          ///< or kDynamic
  virtual int64_t least() { return 0; }       ///< shortest row that has a result
  virtual SmallVector<Type> types(KernelBuilder &k) = 0;
  /// What a thread begins with; `row` are coordinates in `outer`.
  virtual Values begin(KernelBuilder &k, ValueRange row) = 0;
  /// With element `i`, which is behind all before.
  virtual Values step(KernelBuilder &k, ValueRange row, Value i, ValueRange carried) = 0;
  virtual Values join(KernelBuilder &k, ValueRange x, ValueRange y) = 0;
  /// Stores the kernel's results.
  virtual void end(KernelBuilder &k, ValueRange row, ValueRange values) = 0;
  virtual cpu::Cost cost(KernelBuilder &k) = 0;
};

class ReduceFold : public Fold {
public:
  explicit ReduceFold(linalg::GenericOp op) : r(op) {}

  Values outer(KernelBuilder &k) override { return sizes(k, r.parallel); }
  Value length(KernelBuilder &k) override { return k.product(sizes(k, r.reduced)); }
  int64_t knownLength() override {
    int64_t length = 1;
    SmallVector<int64_t> ranges = r.op.getStaticLoopRanges();
    for (unsigned d : r.reduced)
      length = ShapedType::isDynamic(ranges[d]) || ShapedType::isDynamic(length) ? ShapedType::kDynamic : length * ranges[d];
    return length;
  }
  SmallVector<Type> types(KernelBuilder &) override {
    return llvm::map_to_vector(r.op.getResultTypes(),
                               [](Type t) { return KernelBuilder::carriedType(cast<RankedTensorType>(t).getElementType()); });
  }
  Values begin(KernelBuilder &k, ValueRange) override {
    Values all;
    for (unsigned i = 0; i < r.size(); ++i)
      all.push_back(r.identity(k, i));
    return all;
  }
  Values step(KernelBuilder &k, ValueRange row, Value i, ValueRange carried) override {
    Puller p(k, 1);
    SmallVector<Idx> at = loops(p, row);
    for (auto [d, x] : llvm::zip_equal(r.reduced, cpu::delinearize(k, i, sizes(k, r.reduced))))
      at[d] = p.at(x);
    return p.pullBody(r.op, at, carried);
  }
  Values join(KernelBuilder &k, ValueRange x, ValueRange y) override {
    Values all;
    for (unsigned i = 0; i < r.size(); ++i)
      all.push_back(r.combine(k, i)(x[i], y[i]));
    return all;
  }
  void end(KernelBuilder &k, ValueRange row, ValueRange values) override {
    Puller p(k, 1);
    SmallVector<Idx> at = loops(p, row);
    r.emit(p, at, join(k, r.initial(p, at), values));
  }
  cpu::Cost cost(KernelBuilder &k) override { return cpu::createReduceGenerator(r.op)->cost(k); }

private:
  Values sizes(KernelBuilder &k, ArrayRef<unsigned> which) {
    Values bounds = Puller(k, 1).loopBounds(r.op);
    return llvm::map_to_vector<6>(which, [&](unsigned d) { return bounds[d]; });
  }
  SmallVector<Idx> loops(Puller &p, ValueRange row) {
    SmallVector<Idx> at(r.op.getNumLoops(), p.at(0));
    for (auto [d, x] : llvm::zip_equal(r.parallel, row))
      at[d] = p.at(x);
    return at;
  }
  cpu::Reduction r;
};

class ExtremumFold : public Fold {
public:
  explicit ExtremumFold(ArgReduceOp op)
      : op(op), type(cast<RankedTensorType>(op.getInput().getType())), extremum{op.getMax(), op.getSelectLast()} {}

  Values outer(KernelBuilder &k) override {
    Values all = k.dims(op.getInput());
    all.pop_back();
    return all;
  }
  Value length(KernelBuilder &k) override { return k.dim(op.getInput(), type.getRank() - 1); }
  int64_t knownLength() override { return type.getShape().back(); }
  int64_t least() override { return 1; }
  SmallVector<Type> types(KernelBuilder &k) override { return {KernelBuilder::carriedType(type.getElementType()), k.b.getIndexType()}; }
  /// The first element, whoever's it is: it is known to be there.
  Values begin(KernelBuilder &k, ValueRange row) override { return {element(k, row, k.idx(0)), k.idx(0)}; }
  Values step(KernelBuilder &k, ValueRange row, Value i, ValueRange carried) override {
    Value x = element(k, row, i);
    return cpu::Extremum::choose(k, extremum.overtakes(k, x, carried[0]), {x, i}, carried);
  }
  Values join(KernelBuilder &k, ValueRange x, ValueRange y) override { return extremum.join(k, x, y); }
  void end(KernelBuilder &k, ValueRange row, ValueRange values) override {
    Puller p(k, 1);
    SmallVector<Idx> at = p.at(row);
    at.push_back(p.at(0));
    Value position = k.i64(values[1]);
    p.bind(op.getOutput(), [position](Puller &, ArrayRef<Idx>) { return position; });
    for (unsigned r = 0; r < k.numResults(); ++r)
      p.emitResult(r, at);
  }
  cpu::Cost cost(KernelBuilder &k) override { return cpu::createArgReduceGenerator(op)->cost(k); }

private:
  Value element(KernelBuilder &k, ValueRange row, Value i) {
    Puller p(k, 1);
    SmallVector<Idx> at = p.at(row);
    at.push_back(p.at(i));
    return p.pull(op.getInput(), at);
  }
  ArgReduceOp op;
  RankedTensorType type;
  cpu::Extremum extremum;
};

class TiledReduce : public TileGenerator {
public:
  explicit TiledReduce(std::unique_ptr<Fold> what) : fold(std::move(what)) {
    int64_t length = fold->knownLength();
    bool known = !ShapedType::isDynamic(length);
    if (!known || length <= kLanesRow)
      forms.push_back(Form::Lanes);
    if (!known || length > kLanesRow)
      forms.push_back(Form::Block);
    if (!known || length > kPart)
      forms.push_back(Form::Join);
    lanes = known ? std::clamp<int64_t>(llvm::PowerOf2Ceil(llvm::divideCeil(length, kPerLane)), 1, 32) : 32;
  }

protected:
  unsigned phases() override { return forms.size(); }
  int64_t threads(KernelBuilder &, unsigned phase) override { return forms[phase] == Form::Join ? 32 : kThreads; }
  Values grid(KernelBuilder &k, unsigned phase) override {
    using Is = arith::CmpIPredicate;
    Form form = forms[phase];
    Value rows = k.product(fold->outer(k)), length = fold->length(k), one = k.idx(1);
    // Above the first bound and up to the second one.
    Value more = k.compare(Is::sgt, length, k.idx(form == Form::Lanes ? fold->least() - 1 : form == Form::Block ? kLanesRow : kPart));
    Value fits = form == Form::Lanes ? arith::AndIOp::create(k.b, more, k.compare(Is::sle, length, k.idx(kLanesRow))).getResult() : more;
    Value blocks = form == Form::Lanes ? k.ceilDiv(rows, k.idx(kThreads / lanes)) : rows;
    return {arith::SelectOp::create(k.b, fits, blocks, k.idx(0)), form == Form::Block ? parts(k) : one, one};
  }
  Value joined(KernelBuilder &k) override {
    Value perRow = k.mul(parts(k), k.idx(8 * fold->types(k).size()));
    return k.mul(k.product(fold->outer(k)), perRow);
  }
  cpu::Cost cost(KernelBuilder &k) override { return fold->cost(k); }

  void program(KernelBuilder &k, unsigned phase) override {
    Value thread = tile::ThreadIdOp::create(k.b, k.b.getIndexType());
    if (forms[phase] == Form::Lanes)
      return foldRows(k, thread);
    Value number = tile::BlockIdOp::create(k.b, k.b.getIndexType(), 0);
    if (forms[phase] == Form::Block)
      return foldPart(k, thread, number);
    joinParts(k, thread, number);
  }

private:
  enum class Form { Lanes, Block, Join };

  Value parts(KernelBuilder &k) { return k.max(k.min(k.ceilDiv(fold->length(k), k.idx(kPart)), k.idx(kMostParts)), k.idx(1)); }

  /// Value i of each part of each row.
  Value list(KernelBuilder &k, unsigned i) {
    return k.bytePtr(k.shared(), k.mul(k.mul(k.product(fold->outer(k)), parts(k)), k.idx(8 * i)));
  }

  /// Elements first + lane, first + lane + step, ... below `last`.
  Values walk(KernelBuilder &k, ValueRange row, Value first, Value last, Value lane, int64_t step) {
    auto steps = [&](Value i, int64_t count, ValueRange carried) {
      Values next(carried);
      for (int64_t u = 0; u < count; ++u)
        next = fold->step(k, row, k.add(i, k.idx(u * step)), next);
      return next;
    };
    // Whole rounds of all lanes first.
    Value round = k.idx(kUnroll * step), whole = k.add(first, k.mul(k.div(k.sub(last, first), round), round));
    Values done = k.forLoop(k.add(first, lane), whole, round, fold->begin(k, row),
                            [&](Value i, ValueRange carried) { return steps(i, kUnroll, carried); });
    return k.forLoop(k.add(whole, lane), last, k.idx(step), done, [&](Value i, ValueRange carried) { return steps(i, 1, carried); });
  }

  void foldRows(KernelBuilder &k, Value thread) {
    Value rows = k.product(fold->outer(k)), length = fold->length(k);
    Value block = tile::BlockIdOp::create(k.b, k.b.getIndexType(), 0);
    Value number = k.add(k.mul(block, k.idx(kThreads / lanes)), k.div(thread, k.idx(lanes)));
    // All lanes take part in shuffles: those without a row repeat the last one.
    Value mine = k.min(number, k.sub(rows, k.idx(1))), lane = k.rem(thread, k.idx(lanes));
    Values row = cpu::delinearize(k, mine, fold->outer(k));
    Values all =
        foldLanes(k, walk(k, row, k.idx(0), length, lane, lanes), lanes, [&](ValueRange x, ValueRange y) { return fold->join(k, x, y); });
    Value ends =
        arith::AndIOp::create(k.b, k.compare(arith::CmpIPredicate::eq, lane, k.idx(0)), k.compare(arith::CmpIPredicate::slt, number, rows));
    k.ifThen(ends, [&] { fold->end(k, row, all); });
  }

  void foldPart(KernelBuilder &k, Value thread, Value number) {
    Values row = cpu::delinearize(k, number, fold->outer(k));
    Value part = tile::BlockIdOp::create(k.b, k.b.getIndexType(), 1), length = fold->length(k), count = parts(k);
    Value size = k.ceilDiv(length, count), first = k.mul(part, size), last = k.min(k.add(first, size), length);
    BlockFold combine(k, thread, kThreads, fold->types(k));
    Values all = combine(walk(k, row, first, last, thread, kThreads), [&](ValueRange x, ValueRange y) { return fold->join(k, x, y); });
    k.ifThen(k.compare(arith::CmpIPredicate::eq, thread, k.idx(0)), [&] {
      k.ifElse(
          k.compare(arith::CmpIPredicate::eq, count, k.idx(1)),
          [&]() -> Values {
            fold->end(k, row, all);
            return {};
          },
          [&]() -> Values {
            for (auto [i, v] : llvm::enumerate(all))
              k.store(v, list(k, i), v.getType(), k.add(k.mul(number, count), part));
            return {};
          });
    });
  }

  void joinParts(KernelBuilder &k, Value thread, Value number) {
    Values row = cpu::delinearize(k, number, fold->outer(k));
    Value count = parts(k);
    Values all = k.forLoop(thread, count, k.idx(32), fold->begin(k, row), [&](Value part, ValueRange carried) {
      Values more;
      for (auto [i, type] : llvm::enumerate(fold->types(k)))
        more.push_back(k.load(list(k, i), type, k.add(k.mul(number, count), part), 1));
      return fold->join(k, carried, more);
    });
    all = foldLanes(k, all, 32, [&](ValueRange x, ValueRange y) { return fold->join(k, x, y); });
    k.ifThen(k.compare(arith::CmpIPredicate::eq, thread, k.idx(0)), [&] { fold->end(k, row, all); });
  }

  std::unique_ptr<Fold> fold;
  SmallVector<Form> forms;
  int64_t lanes; ///< of a short row
};

} // namespace

std::unique_ptr<Generator> createTiledReduce(Operation *root, const GpuTarget &) {
  if (needsLibrary(root->getParentOfType<KernelFuncOp>()))
    return nullptr;
  if (auto op = dyn_cast<ArgReduceOp>(root)) {
    int64_t last = cast<RankedTensorType>(op.getInput().getType()).getRank() - 1, axis = op.getAxis();
    return axis == last || axis == -1 ? std::make_unique<TiledReduce>(std::make_unique<ExtremumFold>(op)) : nullptr;
  }
  auto op = cast<linalg::GenericOp>(root);
  cpu::Reduction reduction(op);
  return reduction.alongRows() && reduction.splits() ? std::make_unique<TiledReduce>(std::make_unique<ReduceFold>(op)) : nullptr;
}

} // namespace leat::cuda
