// leat.conv with one task per element of the result: the window is read where it lies; what hangs over the edge counts nothing.
#include "passes/CUDA/Generic.h"

#include "passes/CPU/Products.h"

using namespace mlir;

namespace leat::cuda {

using namespace cpu;

namespace {

class ConvElements : public Generator {
public:
  explicit ConvElements(ConvOp op) : op(op), spatial(op.getStrides().size()) {
    acc = accumulatorType(cast<RankedTensorType>(op.getInput().getType()).getElementType());
  }

  Value tasks(KernelBuilder &k) override { return k.product(k.dims(op.getOutput())); }

  Cost cost(KernelBuilder &k) override {
    Cost base = Generator::cost(k);
    SmallVector<Value> filter = k.dims(op.getFilter());
    base.operations = k.mul(k.product(k.dims(op.getOutput())), k.mul(k.product(ValueRange(filter).drop_front()), k.idx(2)));
    return base;
  }

  void run(KernelBuilder &k, Value task) override {
    checkEpilogue(k, op.getOutput());
    SmallVector<Value> at = delinearize(k, task, k.dims(op.getOutput()));
    Value filter = at[1], channels = k.dim(op.getFilter(), 1);
    Value group = k.div(filter, k.max(k.div(k.dim(op.getFilter(), 0), k.idx(op.getGroup())), k.idx(1)));
    Value firstChannel = k.mul(group, channels);
    Value zero = arith::ConstantOp::create(k.b, k.b.getZeroAttr(acc));
    SmallVector<Value> tap;
    Value sum = overTaps(k, tap, zero, [&](Value carried) {
      SmallVector<Value> where{at[0], k.add(firstChannel, tap[0])}, weightAt{filter};
      llvm::append_range(weightAt, tap);
      Value inside = arith::ConstantIntOp::create(k.b, 1, 1);
      for (int64_t d = 0; d < spatial; ++d) {
        Value first = k.sub(k.mul(at[d + 2], k.idx(op.getStrides()[d])), k.idx(op.getPads()[d]));
        where.push_back(k.add(first, k.mul(tap[d + 1], k.idx(op.getDilations()[d]))));
        // Unsigned: a negative coordinate is large.
        Value within = k.compare(arith::CmpIPredicate::ult, where.back(), k.dim(op.getInput(), d + 2));
        inside = arith::AndIOp::create(k.b, inside, within);
      }
      return k.ifElse(
          inside,
          [&]() -> SmallVector<Value> {
            Puller p(k, 1);
            Value x = convertCarried(k, p.pull(op.getInput(), p.at(where)), acc);
            Value w = convertCarried(k, p.pull(op.getFilter(), p.at(weightAt)), acc);
            if (isa<FloatType>(acc))
              return {k.fma(x, w, carried)};
            return {arith::AddIOp::create(k.b, arith::MulIOp::create(k.b, x, w), carried)};
          },
          [&]() -> SmallVector<Value> { return {carried}; })[0];
    });
    Puller p(k, 1);
    if (op.getBias()) {
      Value bias = convertCarried(k, p.pull(op.getBias(), p.at(ValueRange{filter})), acc);
      sum = isa<FloatType>(acc) ? arith::AddFOp::create(k.b, sum, bias).getResult() : arith::AddIOp::create(k.b, sum, bias).getResult();
    }
    Type element = cast<RankedTensorType>(op.getOutput().getType()).getElementType();
    Value value = k.roundTo(convertCarried(k, sum, KernelBuilder::carriedType(element)), element);
    p.bind(op.getOutput(), [value](Puller &, ArrayRef<Idx>) { return value; });
    SmallVector<Idx> coordinates = p.at(at);
    for (unsigned result : epilogueResults(k, op.getOutput()))
      p.emitResult(result, coordinates);
  }

private:
  /// Loops over the channels of a group and the taps of the filter; `tap` holds the coordinates inside.
  Value overTaps(KernelBuilder &k, SmallVector<Value> &tap, Value carried, function_ref<Value(Value)> body) {
    if (tap.size() == size_t(spatial) + 1)
      return body(carried);
    Value size = k.dim(op.getFilter(), tap.size() + 1);
    return k.forLoop(k.idx(0), size, k.idx(1), carried, [&](Value i, ValueRange inner) -> SmallVector<Value> {
      tap.push_back(i);
      Value next = overTaps(k, tap, inner[0], body);
      tap.pop_back();
      return {next};
    })[0];
  }

  ConvOp op;
  int64_t spatial;
  Type acc;
};

} // namespace

std::unique_ptr<cpu::Generator> createConvElements(ConvOp op) { return std::make_unique<ConvElements>(op); }

} // namespace leat::cuda
