// The k best elements of each row, in order: a heap of the k best so far, whose top is the worst of them; then the heap is sorted in place.
#include "passes/CPU/Rows.h"

using namespace mlir;

namespace leat::cpu {
namespace {

class TopKGenerator : public Generator {
  TopKOp op;
  RankedTensorType type;
  int64_t axis;

  RowTasks split(KernelBuilder &k) {
    SmallVector<Value> outer;
    for (int64_t d = 0; d < type.getRank(); ++d)
      if (d != axis)
        outer.push_back(k.dim(op.getInput(), d));
    return RowTasks(k, outer, k.dim(op.getInput(), axis));
  }
  Value count(KernelBuilder &k) { return k.min(k.dim(op.getValues(), axis), k.dim(op.getInput(), axis)); }
  Type element() const { return KernelBuilder::carriedType(type.getElementType()); }

  struct Entry {
    Value value, index;
  };
  /// Values first, then positions.
  Value positions(KernelBuilder &k) { return k.bytePtr(k.scratch(), k.mul(count(k), k.idx(8))); }
  Entry get(KernelBuilder &k, Value i) { return {k.load(k.scratch(), element(), i, 1), k.load(positions(k), k.b.getIndexType(), i, 1)}; }
  void put(KernelBuilder &k, Value i, Entry e) {
    k.store(e.value, k.scratch(), element(), i);
    k.store(e.index, positions(k), k.b.getIndexType(), i);
  }

  /// a comes before b. NaN counts as the largest; ties go to the lower index.
  Value before(KernelBuilder &k, Entry a, Entry b) {
    auto &builder = k.b;
    Value first = op.getLargest() ? a.value : b.value, second = op.getLargest() ? b.value : a.value;
    Value greater, equal;
    if (isa<FloatType>(element())) {
      using P = arith::CmpFPredicate;
      auto compare = [&](P p, Value x, Value y) { return arith::CmpFOp::create(builder, p, x, y).getResult(); };
      Value nan = arith::AndIOp::create(builder, compare(P::UNO, first, first), compare(P::ORD, second, second));
      greater = arith::OrIOp::create(builder, compare(P::OGT, first, second), nan);
      Value bothNan = arith::AndIOp::create(builder, compare(P::UNO, first, first), compare(P::UNO, second, second));
      equal = arith::OrIOp::create(builder, compare(P::OEQ, first, second), bothNan);
    } else {
      greater = k.compare(arith::CmpIPredicate::sgt, first, second);
      equal = k.compare(arith::CmpIPredicate::eq, first, second);
    }
    Value tie = arith::AndIOp::create(builder, equal, k.compare(arith::CmpIPredicate::slt, a.index, b.index));
    return arith::OrIOp::create(builder, greater, tie);
  }

  /// Lets `e` sink from `at` in a heap of `size` entries, whose children come before their parents.
  void sink(KernelBuilder &k, Value at, Value size, Entry e) {
    auto &b = k.b;
    Value no = k.constantInt(b.getI1Type(), 0);
    SmallVector<Value> end = k.whileLoop(
        {at, no},
        [&](ValueRange v) {
          Value inside = k.compare(arith::CmpIPredicate::slt, k.add(k.mul(v[0], k.idx(2)), k.idx(1)), size);
          return arith::AndIOp::create(b, inside, arith::XOrIOp::create(b, v[1], k.constantInt(b.getI1Type(), 1))).getResult();
        },
        [&](ValueRange v) -> SmallVector<Value> {
          Value left = k.add(k.mul(v[0], k.idx(2)), k.idx(1)), right = k.add(left, k.idx(1));
          Value other = arith::SelectOp::create(b, k.compare(arith::CmpIPredicate::slt, right, size), right, left);
          Value child = arith::SelectOp::create(b, before(k, get(k, left), get(k, other)), other, left);
          Entry c = get(k, child);
          Value goes = before(k, e, c);
          k.ifThen(goes, [&] { put(k, v[0], c); });
          Value next = arith::SelectOp::create(b, goes, child, v[0]);
          return {next, arith::XOrIOp::create(b, goes, k.constantInt(b.getI1Type(), 1))};
        });
    put(k, end[0], e);
  }

public:
  explicit TopKGenerator(TopKOp op) : op(op), type(cast<RankedTensorType>(op.getInput().getType())), axis(op.getAxis()) {
    if (axis < 0)
      axis += type.getRank();
  }
  Value tasks(KernelBuilder &k) override { return split(k).tasks(k); }
  Value scratch(KernelBuilder &k) override { return k.mul(count(k), k.idx(16)); }

  void run(KernelBuilder &k, Value task) override {
    Value n = k.dim(op.getInput(), axis), kept = count(k);
    split(k).forRows(k, task, [&](ValueRange row) {
      auto coordinates = [&](Puller &p, Value i) {
        SmallVector<Idx> at = p.at(row);
        at.insert(at.begin() + axis, p.at(i));
        return at;
      };
      auto element = [&](Value i) {
        Puller p(k, 1);
        return Entry{p.pull(op.getInput(), coordinates(p, i)), i};
      };
      k.forLoop(k.idx(0), kept, k.idx(1), [&](Value i) { put(k, i, element(i)); });
      Value half = k.div(kept, k.idx(2));
      k.forLoop(k.idx(0), half, k.idx(1), [&](Value i) {
        Value at = k.sub(k.sub(half, k.idx(1)), i);
        sink(k, at, kept, get(k, at));
      });
      Value any = k.compare(arith::CmpIPredicate::sgt, kept, k.idx(0));
      k.ifThen(any, [&] {
        k.forLoop(kept, n, k.idx(1), [&](Value i) {
          Entry e = element(i);
          k.ifThen(before(k, e, get(k, k.idx(0))), [&] { sink(k, k.idx(0), kept, e); });
        });
        k.forLoop(k.idx(1), kept, k.idx(1), [&](Value i) {
          Value last = k.sub(kept, i);
          Entry worst = get(k, k.idx(0)), moved = get(k, last);
          put(k, last, worst);
          sink(k, k.idx(0), last, moved);
        });
      });
      k.forLoop(k.idx(0), kept, k.idx(1), [&](Value i) {
        Puller p(k, 1);
        Entry e = get(k, i);
        for (unsigned r = 0; r < k.numResults(); ++r)
          p.storeResult(r, coordinates(p, i), k.result(r) == op.getIndices() ? k.i64(e.index) : e.value);
      });
    });
  }
};

} // namespace

std::unique_ptr<Generator> createTopKGenerator(Operation *root) { return std::make_unique<TopKGenerator>(cast<TopKOp>(root)); }

} // namespace leat::cpu
