// Shape rules of the ops below import. Static sizes come from types, so each rule only has to be right where a size is dynamic.
#include "passes/Fuse/Dims.h"

#include "dialects/Leat/Leat.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using Sizes = SmallVector<OpFoldResult>;

namespace leat::fuse {

Value Dims::materialize(OpFoldResult size, Operation *before) {
  if (auto value = dyn_cast<Value>(size))
    return value;
  builder.setInsertionPoint(before);
  return arith::ConstantIndexOp::create(builder, before->getLoc(), *getConstantIntValue(size));
}

FailureOr<SmallVector<Value>> Dims::dynamicOf(Value tensor) {
  FailureOr<Sizes> sizes = of(tensor);
  if (failed(sizes))
    return failure();
  SmallVector<Value> values;
  Operation *def = tensor.getDefiningOp();
  for (auto [dim, size] : llvm::enumerate(*sizes))
    if (cast<RankedTensorType>(tensor.getType()).isDynamicDim(dim))
      values.push_back(materialize(size, def ? def : &tensor.getParentBlock()->front()));
  return values;
}

/// Sizes mostly come from the first operand. In a long chain they are settled from its far end, so that recursion stays shallow.
void Dims::settleChain(Value tensor) {
  constexpr unsigned depth = 64;
  SmallVector<Value> milestones;
  unsigned steps = 0;
  for (Value at = tensor; !known.contains(at) && !cast<RankedTensorType>(at.getType()).hasStaticShape();) {
    Operation *def = at.getDefiningOp();
    if (!def || (def->getNumRegions() && !isa<KVAttendOp>(def)) || def->getNumOperands() == 0 ||
        !isa<RankedTensorType>(def->getOperand(0).getType()))
      break;
    at = def->getOperand(0);
    if (++steps % depth == 0)
      milestones.push_back(at);
  }
  for (Value milestone : llvm::reverse(milestones))
    (void)of(milestone);
}

FailureOr<Sizes> Dims::of(Value tensor) {
  auto it = known.find(tensor);
  if (it != known.end())
    return it->second;
  if (!settling) {
    settling = true;
    settleChain(tensor);
    settling = false;
  }
  auto type = cast<RankedTensorType>(tensor.getType());
  FailureOr<Sizes> sizes = type.hasStaticShape() ? FailureOr<Sizes>(Sizes(type.getRank())) : compute(tensor);
  if (failed(sizes))
    return failure();
  for (auto [dim, size] : llvm::enumerate(*sizes))
    if (!type.isDynamicDim(dim))
      size = builder.getIndexAttr(type.getDimSize(dim));
  return known[tensor] = *sizes;
}

/// The names that the model gives to the sizes of a function's argument.
static ArrayAttr namesOfSizes(Value tensor) {
  auto arg = dyn_cast<BlockArgument>(tensor);
  auto func = arg ? dyn_cast<FunctionOpInterface>(arg.getOwner()->getParentOp()) : FunctionOpInterface();
  return func ? func.getArgAttrOfType<ArrayAttr>(arg.getArgNumber(), "onnx.dims") : ArrayAttr();
}

FailureOr<Sizes> Dims::compute(Value tensor) {
  auto result = dyn_cast<OpResult>(tensor);
  if (result && !result.getOwner()->getNumRegions())
    return ofOp(result);
  if (result && isa<linalg::LinalgOp>(result.getOwner()))
    return of(cast<DestinationStyleOpInterface>(result.getOwner()).getTiedOpOperand(result)->get());
  if (result && isa<tensor::PadOp, tensor::GenerateOp, KVAttendOp>(result.getOwner()))
    return ofOp(result);
  // An argument of a block or a result of control flow: it has its size when it is there.
  auto type = cast<RankedTensorType>(tensor.getType());
  ArrayAttr names = namesOfSizes(tensor);
  Sizes sizes;
  for (int64_t dim = 0; dim < type.getRank(); ++dim) {
    if (!type.isDynamicDim(dim)) {
      sizes.push_back(builder.getIndexAttr(type.getDimSize(dim)));
      continue;
    }
    StringRef name = names && dim < static_cast<int64_t>(names.size()) ? cast<StringAttr>(names[dim]).getValue() : StringRef();
    Value known = name.empty() ? Value() : symbols.lookup(name);
    if (!known) {
      builder.setInsertionPointAfterValue(tensor);
      known = tensor::DimOp::create(builder, tensor.getLoc(), tensor, dim);
      if (!name.empty())
        symbols[name] = known;
    }
    sizes.push_back(known);
  }
  return sizes;
}

/// Batch dimensions of a product: right aligned, a missing or static 1 dimension gives way to the other side.
static Sizes broadcastBatch(ArrayRef<OpFoldResult> lhs, ArrayRef<OpFoldResult> rhs) {
  Sizes batch(std::max(lhs.size(), rhs.size()));
  for (size_t i = 0; i < batch.size(); ++i) {
    OpFoldResult l = i < lhs.size() ? lhs[lhs.size() - 1 - i] : OpFoldResult(),
                 r = i < rhs.size() ? rhs[rhs.size() - 1 - i] : OpFoldResult();
    bool takeRhs = !l || (r && isConstantIntValue(l, 1)) || (r && !isConstantIntValue(r, 1) && isa<Attribute>(r));
    batch[batch.size() - 1 - i] = takeRhs ? r : l;
  }
  return batch;
}

/// Sizes of what is read from a slot. A view has its length; the batch is the session's, seen on the tensors that go into the slot, if
/// there are any.
FailureOr<Sizes> Dims::ofState(Operation *read) {
  auto type = cast<RankedTensorType>(read->getResult(0).getType());
  Sizes sizes(type.getRank());
  auto take = [&](Value state) {
    for (Operation *user : state.getUsers()) {
      auto append = dyn_cast<CacheAppendOp>(user);
      auto write = dyn_cast<StateWriteOp>(user);
      if ((!append && !write) || user->getOperand(0) != state)
        continue;
      FailureOr<Sizes> given = of(append ? append.getUpdate() : write.getValue());
      if (failed(given))
        continue;
      if (append && append.getLayout() == "bshd")
        std::swap((*given)[1], (*given)[2]);
      for (auto [size, other] : llvm::zip(sizes, *given)) {
        auto value = dyn_cast<Value>(other);
        Operation *def = value ? value.getDefiningOp() : nullptr;
        bool known = !def || def->getBlock() != read->getBlock() || def->isBeforeInBlock(read);
        if (!size && known)
          size = other;
      }
    }
  };
  Value state = read->getOperand(0);
  take(state);
  while (auto def = state.getDefiningOp()) {
    if (!isa<CacheAppendOp, StateWriteOp>(def))
      break;
    state = def->getOperand(0);
    take(state);
  }
  SlotOp slot = slotOf(state);
  if (!slot)
    return read->emitOpError("reads a state whose slot is not known here");
  auto view = dyn_cast<CacheViewOp>(read);
  if (view)
    sizes[slot.getAxis()] = view.getLength();
  // What no tensor of this step tells, the session knows.
  for (auto [dim, size] : llvm::enumerate(sizes))
    if (!size && type.isDynamicDim(dim)) {
      bool isRow = dim == 0 && view && view.getTable(); // a pool's first dimension are the pages of all rows
      auto get = (isRow ? view.getTable() : state).getDefiningOp<StateGetOp>();
      builder.setInsertionPointAfter(get);
      Value content = StateReadOp::create(builder, get.getLoc(), get.getType().getContent(), get);
      size = tensor::DimOp::create(builder, get.getLoc(), content, dim).getResult();
    }
  return sizes;
}

FailureOr<Sizes> Dims::ofOp(OpResult tensor) {
  Operation *op = tensor.getOwner();
  Location loc = op->getLoc();
  auto at = [&] { builder.setInsertionPoint(op); };
  // Index arithmetic on sizes; folds static ones.
  auto apply = [&](auto make, OpFoldResult a, OpFoldResult b) -> OpFoldResult {
    at();
    Value l = getValueOrCreateConstantIndexOp(builder, loc, a), r = getValueOrCreateConstantIndexOp(builder, loc, b);
    return make(l, r);
  };
  auto add = [&](OpFoldResult a, OpFoldResult b) {
    return isConstantIntValue(a, 0) ? b
           : isConstantIntValue(b, 0)
               ? a
               : apply([&](Value l, Value r) { return arith::AddIOp::create(builder, loc, l, r).getResult(); }, a, b);
  };
  auto mul = [&](OpFoldResult a, OpFoldResult b) {
    return isConstantIntValue(a, 1) ? b
           : isConstantIntValue(b, 1)
               ? a
               : apply([&](Value l, Value r) { return arith::MulIOp::create(builder, loc, l, r).getResult(); }, a, b);
  };
  auto same = [&](Value other) { return of(other); };

  return TypeSwitch<Operation *, FailureOr<Sizes>>(op)
      .Case<tensor::CastOp, SoftmaxOp, LayerNormOp, RotaryOp, CumSumOp, ScatterElementsOp, ScatterNDOp>(
          [&](Operation *o) { return same(o->getOperand(0)); })
      .Case<tensor::EmptyOp>([&](tensor::EmptyOp o) { return FailureOr<Sizes>(o.getMixedSizes()); })
      .Case<tensor::SplatOp>([&](tensor::SplatOp o) {
        Sizes sizes(o.getType().getRank());
        auto dynamic = o.getDynamicSizes().begin();
        for (int64_t dim = 0; dim < o.getType().getRank(); ++dim)
          if (o.getType().isDynamicDim(dim))
            sizes[dim] = *dynamic++;
        return FailureOr<Sizes>(sizes);
      })
      .Case<tensor::ExtractSliceOp>([&](tensor::ExtractSliceOp o) {
        Sizes sizes;
        llvm::SmallBitVector dropped = o.getDroppedDims();
        for (auto [dim, size] : llvm::enumerate(o.getMixedSizes()))
          if (!dropped.test(dim))
            sizes.push_back(size);
        return FailureOr<Sizes>(sizes);
      })
      .Case<tensor::ConcatOp>([&](tensor::ConcatOp o) -> FailureOr<Sizes> {
        FailureOr<Sizes> sizes = of(o.getInputs().front());
        for (Value input : o.getInputs().drop_front()) {
          FailureOr<Sizes> next = of(input);
          if (failed(sizes) || failed(next))
            return failure();
          for (size_t dim = 0; dim < sizes->size(); ++dim) {
            if (dim == o.getDim())
              (*sizes)[dim] = add((*sizes)[dim], (*next)[dim]);
            else if (isa<Attribute>((*next)[dim]))
              (*sizes)[dim] = (*next)[dim];
          }
        }
        return sizes;
      })
      .Case<tensor::PadOp>([&](tensor::PadOp o) -> FailureOr<Sizes> {
        FailureOr<Sizes> sizes = of(o.getSource());
        if (failed(sizes))
          return failure();
        SmallVector<OpFoldResult> low = o.getMixedLowPad(), high = o.getMixedHighPad();
        for (size_t dim = 0; dim < sizes->size(); ++dim)
          (*sizes)[dim] = add(add((*sizes)[dim], low[dim]), high[dim]);
        return sizes;
      })
      .Case<tensor::ExpandShapeOp>([&](tensor::ExpandShapeOp o) { return FailureOr<Sizes>(o.getMixedOutputShape()); })
      .Case<tensor::CollapseShapeOp>([&](tensor::CollapseShapeOp o) -> FailureOr<Sizes> {
        FailureOr<Sizes> source = of(o.getSrc());
        if (failed(source))
          return failure();
        Sizes sizes;
        for (const ReassociationIndices &group : o.getReassociationIndices()) {
          OpFoldResult size = builder.getIndexAttr(1);
          for (int64_t dim : group)
            size = mul(size, (*source)[dim]);
          sizes.push_back(size);
        }
        return sizes;
      })
      .Case<tensor::ReshapeOp>([&](tensor::ReshapeOp o) {
        Sizes sizes;
        auto elements = o.getShape().getDefiningOp<tensor::FromElementsOp>();
        for (int64_t dim = 0; dim < cast<RankedTensorType>(o.getType()).getRank(); ++dim) {
          at();
          Value size = elements ? elements.getElements()[dim]
                                : tensor::ExtractOp::create(builder, loc, o.getShape(),
                                                            ValueRange{arith::ConstantIndexOp::create(builder, loc, dim)})
                                      .getResult();
          if (!size.getType().isIndex())
            size = arith::IndexCastOp::create(builder, loc, builder.getIndexType(), size);
          sizes.push_back(size);
        }
        return FailureOr<Sizes>(sizes);
      })
      .Case<MatmulOp>([&](MatmulOp o) -> FailureOr<Sizes> {
        FailureOr<Sizes> lhs = of(o.getLhs()), rhs = of(o.getRhs());
        if (failed(lhs) || failed(rhs))
          return failure();
        Sizes sizes = broadcastBatch(ArrayRef(*lhs).drop_back(2), ArrayRef(*rhs).drop_back(2));
        sizes.push_back((*lhs)[lhs->size() - (o.getTransA() ? 1 : 2)]);
        sizes.push_back((*rhs)[rhs->size() - (o.getTransB() ? 2 : 1)]);
        return sizes;
      })
      .Case<MatmulNBitsOp>([&](MatmulNBitsOp o) -> FailureOr<Sizes> {
        FailureOr<Sizes> sizes = of(o.getLhs());
        if (succeeded(sizes))
          sizes->back() = builder.getIndexAttr(o.getN());
        return sizes;
      })
      .Case<ConvOp>([&](ConvOp o) -> FailureOr<Sizes> {
        FailureOr<Sizes> in = of(o.getInput()), filter = of(o.getFilter());
        if (failed(in) || failed(filter))
          return failure();
        size_t spatial = in->size() - 2;
        Sizes sizes = {(*in)[0], (*filter)[0]};
        for (size_t i = 0; i < spatial; ++i) {
          // (D + pads - dilation*(K-1) - 1) / stride + 1
          OpFoldResult reach = mul((*filter)[i + 2], builder.getIndexAttr(-o.getDilations()[i]));
          OpFoldResult room =
              add(add((*in)[i + 2], reach), builder.getIndexAttr(o.getPads()[i] + o.getPads()[i + spatial] + o.getDilations()[i] - 1));
          OpFoldResult steps = apply([&](Value l, Value r) { return arith::FloorDivSIOp::create(builder, loc, l, r).getResult(); }, room,
                                     builder.getIndexAttr(o.getStrides()[i]));
          sizes.push_back(add(steps, builder.getIndexAttr(1)));
        }
        return sizes;
      })
      .Case<TopKOp>([&](TopKOp o) -> FailureOr<Sizes> {
        FailureOr<Sizes> sizes = of(o.getInput());
        if (succeeded(sizes) && o.getK())
          (*sizes)[o.getAxis()] = o.getK();
        return sizes;
      })
      .Case<ArgReduceOp>([&](ArgReduceOp o) -> FailureOr<Sizes> {
        FailureOr<Sizes> sizes = of(o.getInput());
        if (succeeded(sizes))
          (*sizes)[o.getAxis()] = builder.getIndexAttr(1);
        return sizes;
      })
      .Case<NonZeroOp>([&](NonZeroOp o) -> FailureOr<Sizes> {
        FailureOr<Sizes> in = of(o.getInput());
        if (failed(in))
          return failure();
        OpFoldResult count = builder.getIndexAttr(1);
        for (OpFoldResult size : *in)
          count = mul(count, size);
        return Sizes{builder.getIndexAttr(in->size()), count};
      })
      .Case<KVAttendOp>([&](KVAttendOp o) -> FailureOr<Sizes> {
        FailureOr<Sizes> q = of(o.getQ().front());
        if (failed(q))
          return failure();
        OpFoldResult width;
        if (auto v = cast<RankedTensorType>(o.getV().front().getType()); !v.isDynamicDim(3)) {
          width = builder.getIndexAttr(v.getDimSize(3));
        } else {
          FailureOr<Sizes> all = of(o.getV().front());
          if (failed(all))
            return failure();
          width = (*all)[3];
        }
        unsigned head = o.getQLayout() == "bhsd" ? 1 : 2;
        OpFoldResult batch = (*q)[0], heads = (*q)[head], steps = (*q)[3 - head];
        if (tensor.getResultNumber() == 1)
          return Sizes{batch, heads, steps};
        return o.getOLayout() == "bhsd" ? Sizes{batch, heads, steps, width} : Sizes{batch, steps, heads, width};
      })
      .Case<AttnMergeOp>([&](AttnMergeOp o) { return same(tensor.getResultNumber() == 0 ? o.getValues().front() : o.getLses().front()); })
      .Case<SampleOp>([&](SampleOp o) -> FailureOr<Sizes> {
        FailureOr<Sizes> logits = of(o.getLogits());
        return failed(logits) ? FailureOr<Sizes>(failure()) : FailureOr<Sizes>(Sizes{logits->front()});
      })
      .Case<CacheViewOp, StateReadOp>([&](Operation *o) { return ofState(o); })
      .Default([&](Operation *o) -> FailureOr<Sizes> {
        if (auto dps = dyn_cast<DestinationStyleOpInterface>(o))
          return of(dps.getTiedOpOperand(tensor)->get());
        at();
        ReifiedRankedShapedTypeDims shapes;
        if (isa<ReifyRankedShapedTypeOpInterface>(o) && succeeded(reifyResultShapes(builder, o, shapes)))
          return shapes[tensor.getResultNumber()];
        return o->emitOpError("has a result of dynamic size and no rule to compute it");
      });
}

} // namespace leat::fuse
