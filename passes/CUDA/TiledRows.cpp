// Softmax along the last dimension, layer and RMS normalisation: a block takes a row. The input is pulled once where the length is known
// and a row fits shared memory; each thread keeps to its own elements of it.
#include "passes/CPU/Products.h"
#include "passes/CPU/Rows.h"
#include "passes/CUDA/BlockFold.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

using namespace mlir;

namespace leat::cuda {

namespace {

constexpr int64_t kThreads = 128;
constexpr int64_t kMostKept = 8192; ///< elements of a row in shared memory

class TiledRows : public TileGenerator {
public:
  TiledRows(Operation *root, int64_t axis) : root(root), type(cast<RankedTensorType>(root->getResult(0).getType())), axis(axis) {
    length = 1;
    for (int64_t d : type.getShape().drop_front(axis))
      length = ShapedType::isDynamic(d) || ShapedType::isDynamic(length) ? ShapedType::kDynamic : length * d;
  }

protected:
  int64_t threads(KernelBuilder &, unsigned) override { return kThreads; }
  Values grid(KernelBuilder &k, unsigned) override { return {k.product(outer(k)), k.idx(1), k.idx(1)}; }

  cpu::Cost cost(KernelBuilder &k) override {
    Value bytes = k.idx(0), elements = k.product(k.dims(root->getOperand(0)));
    for (Value v : root->getOperands())
      bytes = k.add(bytes, k.bytes(v));
    for (unsigned r = 0; r < k.numResults(); ++r)
      bytes = k.add(bytes, k.bytes(k.result(r)));
    return {bytes, k.mul(elements, k.idx(20))};
  }

  void program(KernelBuilder &k, unsigned) override {
    auto &b = k.b;
    f32 = b.getF32Type();
    thread = tile::ThreadIdOp::create(b, b.getIndexType());
    row = cpu::delinearize(k, tile::BlockIdOp::create(b, b.getIndexType(), 0), outer(k));
    count = k.product(inner(k));
    block.emplace(k, thread, kThreads, f32);
    kept = {};
    if (!ShapedType::isDynamic(length) && length <= kMostKept && length > 0)
      kept = tile::AllocOp::create(b, tile::SharedType::get(b.getContext(), 1, length, f32, 0, 0, 1), IntegerAttr());
    if (auto softmax = dyn_cast<SoftmaxOp>(root))
      return softmaxRow(k, softmax);
    normRow(k, cast<LayerNormOp>(root));
  }

private:
  Values outer(KernelBuilder &k) {
    Values all = k.dims(root->getOperand(0));
    return Values(all.begin(), all.begin() + axis);
  }
  Values inner(KernelBuilder &k) {
    Values all = k.dims(root->getOperand(0));
    return Values(all.begin() + axis, all.end());
  }
  SmallVector<Value> at(KernelBuilder &k, Value i) {
    SmallVector<Value> where(row);
    llvm::append_range(where, cpu::delinearize(k, i, inner(k)));
    return where;
  }

  /// Element i of the row (f32); results that do not depend on the root are stored on the way, the first time.
  Value element(KernelBuilder &k, Value i, bool first) {
    if (kept && !first)
      return tile::ReadOp::create(k.b, f32, kept, k.idx(0), i);
    Puller pull(k, 1);
    SmallVector<Idx> where = pull.at(at(k, i));
    Value x = pull.pull(root->getOperand(0), where);
    if (!first)
      return x;
    for (unsigned r = 0; r < k.numResults(); ++r)
      if (!cpu::dependsOn(k.result(r), root))
        pull.emitResult(r, where);
    if (kept)
      tile::WriteOp::create(k.b, x, kept, k.idx(0), i);
    return x;
  }

  /// Combines term(i) over the row; all threads get the result.
  Value fold(KernelBuilder &k, tile::Combine kind, double identity, llvm::function_ref<Value(Value i)> term) {
    auto &b = k.b;
    auto combine = [&](Value x, Value y) -> Value {
      return kind == tile::Combine::Add ? arith::AddFOp::create(b, x, y).getResult() : arith::MaxNumFOp::create(b, x, y).getResult();
    };
    Values mine = k.forLoop(thread, count, k.idx(kThreads), k.constant(f32, identity),
                            [&](Value i, ValueRange carried) -> Values { return {combine(carried[0], term(i))}; });
    return (*block)(mine, [&](ValueRange x, ValueRange y) -> Values { return {combine(x[0], y[0])}; })[0];
  }

  void emitRow(KernelBuilder &k, llvm::function_ref<Value(Puller &pull, Value i, ArrayRef<Idx> where)> value) {
    k.forLoop(thread, count, k.idx(kThreads), [&](Value i) {
      Puller pull(k, 1);
      SmallVector<Idx> where = pull.at(at(k, i));
      Value v = value(pull, i, where);
      pull.bind(root->getResult(0), [v](Puller &, ArrayRef<Idx>) { return v; });
      for (unsigned r = 0; r < k.numResults(); ++r)
        if (cpu::dependsOn(k.result(r), root))
          pull.emitResult(r, where);
    });
  }

  void softmaxRow(KernelBuilder &k, SoftmaxOp op) {
    auto &b = k.b;
    double never = -std::numeric_limits<double>::infinity();
    auto replaced = [&](Value v, double what, double with) -> Value {
      if (!op.getZeroEmptyRows())
        return v;
      return arith::SelectOp::create(b, arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, v, k.constant(f32, what)),
                                     k.constant(f32, with), v);
    };
    Value maximum = replaced(fold(k, tile::Combine::Max, never, [&](Value i) { return element(k, i, true); }), never, 0);
    auto shifted = [&](Value i) -> Value { return arith::SubFOp::create(b, element(k, i, false), maximum); };
    Value sum = replaced(fold(k, tile::Combine::Add, 0, [&](Value i) -> Value { return math::ExpOp::create(b, shifted(i)); }), 0, 1);
    Value last = op.getLog() ? math::LogOp::create(b, sum).getResult() : arith::DivFOp::create(b, k.constant(f32, 1), sum).getResult();
    emitRow(k, [&](Puller &, Value i, ArrayRef<Idx>) -> Value {
      if (op.getLog())
        return arith::SubFOp::create(b, shifted(i), last);
      return arith::MulFOp::create(b, math::ExpOp::create(b, shifted(i)), last);
    });
  }

  void normRow(KernelBuilder &k, LayerNormOp op) {
    auto &b = k.b;
    bool rms = op.getRms();
    Value n = arith::SIToFPOp::create(b, f32, arith::IndexCastOp::create(b, b.getI64Type(), count));
    auto square = [&](Value v) -> Value { return arith::MulFOp::create(b, v, v); };
    Value mean = arith::DivFOp::create(b,
                                       fold(k, tile::Combine::Add, 0,
                                            [&](Value i) {
                                              Value x = element(k, i, true);
                                              return rms ? square(x) : x;
                                            }),
                                       n);
    Value variance = mean;
    auto centred = [&](Value i) -> Value { return arith::SubFOp::create(b, element(k, i, false), mean); };
    if (!rms)
      variance = arith::DivFOp::create(b, fold(k, tile::Combine::Add, 0, [&](Value i) { return square(centred(i)); }), n);
    Value deviation = math::SqrtOp::create(b, arith::AddFOp::create(b, variance, k.constant(f32, op.getEpsilon().convertToDouble())));
    Value inverse = arith::DivFOp::create(b, k.constant(f32, 1), deviation);
    emitRow(k, [&](Puller &pull, Value i, ArrayRef<Idx> where) -> Value {
      Value y = arith::MulFOp::create(b, rms ? element(k, i, false) : centred(i), inverse);
      // Operands that are broadcast to the trailing dimensions.
      auto trailing = [&](Value operand) {
        auto shape = cast<RankedTensorType>(operand.getType());
        SmallVector<Idx> there(where.take_back(shape.getRank()));
        for (auto [d, x] : llvm::enumerate(there))
          if (shape.getDimSize(d) == 1)
            x = pull.at(0);
        return cpu::convertCarried(k, pull.pull(operand, there), f32);
      };
      if (op.getScale())
        y = arith::MulFOp::create(b, y, trailing(op.getScale()));
      if (op.getBias())
        y = arith::AddFOp::create(b, y, trailing(op.getBias()));
      return y;
    });
  }

  Operation *root;
  RankedTensorType type;
  int64_t axis, length; ///< the dimensions from `axis` on are a row
  // Of the program:
  Type f32;
  Value thread, count, kept;
  std::optional<BlockFold> block;
  SmallVector<Value> row;
};

} // namespace

std::unique_ptr<Generator> createTiledRows(Operation *root, const GpuTarget &) {
  auto type = dyn_cast<RankedTensorType>(root->getResult(0).getType());
  int64_t axis = isa<SoftmaxOp>(root) ? cast<SoftmaxOp>(root).getAxis() : cast<LayerNormOp>(root).getAxis();
  if (axis < 0)
    axis += type.getRank();
  bool fits = KernelBuilder::carriedType(type.getElementType()).isF32() && (isa<LayerNormOp>(root) || axis == type.getRank() - 1);
  return fits ? std::make_unique<TiledRows>(root, axis) : nullptr;
}

} // namespace leat::cuda
