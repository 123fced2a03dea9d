// ScatterElements and ScatterND: a copy of the data, then the updates in their order, so that later ones win.
#include "passes/CPU/Rows.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace leat::cpu {
namespace {

class ScatterGenerator : public Generator {
  Operation *root;
  Value data, indices, updates;
  ScatterKind kind;

  Value combine(KernelBuilder &k, Value old, Value update) {
    auto &b = k.b;
    bool real = isa<FloatType>(getElementTypeOrSelf(update.getType()));
    switch (kind) {
    case ScatterKind::None:
      return update;
    case ScatterKind::Add:
      return real ? arith::AddFOp::create(b, old, update).getResult() : arith::AddIOp::create(b, old, update).getResult();
    case ScatterKind::Mul:
      return real ? arith::MulFOp::create(b, old, update).getResult() : arith::MulIOp::create(b, old, update).getResult();
    case ScatterKind::Max:
      return real ? arith::MaximumFOp::create(b, old, update).getResult() : arith::MaxSIOp::create(b, old, update).getResult();
    case ScatterKind::Min:
      return real ? arith::MinimumFOp::create(b, old, update).getResult() : arith::MinSIOp::create(b, old, update).getResult();
    }
    llvm_unreachable("covered");
  }

  /// A position that tensor contents give: counted from the end if negative, kept inside the dimension.
  Value position(KernelBuilder &k, Value index, Value size) {
    if (!index.getType().isIndex())
      index = arith::IndexCastOp::create(k.b, k.b.getIndexType(), index);
    Value negative = k.compare(arith::CmpIPredicate::slt, index, k.idx(0));
    index = arith::SelectOp::create(k.b, negative, k.add(index, size), index);
    return k.max(k.min(index, k.sub(size, k.idx(1))), k.idx(0));
  }

  void apply(Puller &p, unsigned result, ArrayRef<Idx> where, Value update) {
    KernelBuilder &k = p.k;
    Idx linear = p.linearize(where, k.dims(data));
    Type element = cast<RankedTensorType>(data.getType()).getElementType();
    Value buffer = k.resultBuffer(result);
    update = k.splat(update, p.lanes());
    if (kind != ScatterKind::None)
      update = combine(k, k.load(buffer, element, linear.base, p.lanes()), update);
    k.store(update, buffer, element, linear.base);
  }

  void elements(KernelBuilder &k, unsigned result, ScatterElementsOp op) {
    int64_t axis = static_cast<int64_t>(op.getAxis());
    if (axis < 0)
      axis += cast<RankedTensorType>(data.getType()).getRank();
    forEach(k, k.dims(indices), [&](ArrayRef<Value> at) {
      Puller p(k, 1);
      SmallVector<Idx> from = p.at(at), where = from;
      where[axis] = p.at(position(k, p.pull(indices, from), k.dim(data, axis)));
      apply(p, result, where, p.pull(updates, from));
    });
  }

  void slices(KernelBuilder &k, unsigned result) {
    auto indexType = cast<RankedTensorType>(indices.getType());
    int64_t depth = indexType.getShape().back();
    if (ShapedType::isDynamic(depth))
      return k.fail("the last dimension of the indices of a ScatterND must be static", root);
    SmallVector<Value> dims = k.dims(data), tail(dims.begin() + depth, dims.end());
    Value columns = tail.empty() ? k.idx(1) : tail.pop_back_val();
    bool hasColumns = static_cast<int64_t>(dims.size()) > depth;
    SmallVector<Value> batch = k.dims(indices);
    batch.pop_back();
    forEach(k, batch, [&](ArrayRef<Value> at) {
      Puller outside(k, 1);
      SmallVector<Value> target;
      for (int64_t j = 0; j < depth; ++j) {
        SmallVector<Idx> from = outside.at(at);
        from.push_back(outside.at(j));
        target.push_back(position(k, outside.pull(indices, from), dims[j]));
      }
      forEach(k, tail, [&](ArrayRef<Value> between) {
        k.forLanes(k.idx(0), columns, k.target.lanes(), [&](Value column, int64_t width) {
          Puller p(k, width);
          SmallVector<Idx> from = p.at(at), where = p.at(target);
          auto push = [&](Idx x) {
            from.push_back(x);
            where.push_back(x);
          };
          for (Value v : between)
            push(p.at(v));
          if (hasColumns)
            push(p.at(column, width > 1, width));
          apply(p, result, where, p.pullVector(updates, from));
        });
      });
    });
  }

public:
  explicit ScatterGenerator(Operation *root)
      : root(root), data(root->getOperand(0)), indices(root->getOperand(1)), updates(root->getOperand(2)) {
    kind = isa<ScatterElementsOp>(root) ? cast<ScatterElementsOp>(root).getReduction() : cast<ScatterNDOp>(root).getReduction();
  }

  /// One task: updates of one place must keep their order.
  Value tasks(KernelBuilder &k) override { return k.idx(1); }

  void run(KernelBuilder &k, Value) override {
    for (unsigned r = 0; r < k.numResults(); ++r) {
      if (k.result(r) != root->getResult(0)) {
        k.fail("a scatter takes no epilogue", root);
        continue;
      }
      SmallVector<Value> dims = k.dims(data);
      Value columns = dims.empty() ? k.idx(1) : dims.back();
      bool scalar = dims.empty();
      if (!scalar)
        dims.pop_back();
      forEach(k, dims, [&](ArrayRef<Value> row) {
        k.forLanes(k.idx(0), columns, k.target.lanes(), [&](Value i, int64_t width) {
          Puller p(k, width);
          SmallVector<Idx> at = p.at(row);
          if (!scalar)
            at.push_back(p.at(i, width > 1, width));
          p.storeResult(r, at, p.pullVector(data, at));
        });
      });
      if (auto op = dyn_cast<ScatterElementsOp>(root))
        elements(k, r, op);
      else
        slices(k, r);
    }
  }
};

} // namespace

std::unique_ptr<Generator> createScatterGenerator(Operation *root) { return std::make_unique<ScatterGenerator>(root); }

} // namespace leat::cpu
