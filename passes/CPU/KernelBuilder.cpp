// The parts of a kernel function that every generator uses: operands by the ABI, index arithmetic, loops.
#include "passes/CPU/KernelBuilder.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace leat::cpu {

Target Target::fromFeatures(unsigned vectorBits, ArrayRef<std::string> features) {
  Target target;
  target.vectorBits = vectorBits;
  auto has = [&](StringRef name) { return llvm::any_of(features, [&](StringRef f) { return (f.consume_front("+"), f) == name; }); };
  target.fma = has("fma");
  target.f16c = has("f16c");
  target.sse41 = has("sse4.1");
  target.avx512 = has("avx512f") && has("avx512bw") && has("avx512dq") && has("avx512vl");
  target.avx512vnni = has("avx512vnni");
  target.avx512bf16 = has("avx512bf16");
  return target;
}

static StringRef suffix(KernelBuilder::Part part) {
  switch (part) {
  case KernelBuilder::Part::Run:
    return "";
  case KernelBuilder::Part::Tasks:
    return ".tasks";
  case KernelBuilder::Part::Scratch:
    return ".scratch";
  case KernelBuilder::Part::Cost:
    return ".cost";
  case KernelBuilder::Part::Finish:
    return ".finish";
  case KernelBuilder::Part::FinishTasks:
    return ".finish_tasks";
  case KernelBuilder::Part::Shared:
    return ".shared";
  case KernelBuilder::Part::Extents:
    return ".extents";
  }
  llvm_unreachable("covered");
}

KernelBuilder::KernelBuilder(KernelFuncOp kernel, const Target &target, Part part)
    : kernel(kernel), target(target), part(part), b(kernel.getLoc(), kernel.getContext()) {
  for (Value v : yield().getOperands())
    if (isa<RankedTensorType>(v.getType()))
      tensorResults.push_back(v);
  b.setInsertionPoint(kernel);
  Type ptr = LLVM::LLVMPointerType::get(b.getContext()), i64 = b.getI64Type();
  SmallVector<Type> in, out;
  switch (part) {
  case Part::Run:
  case Part::Finish:
    in = {ptr, ptr, i64, i64, ptr, ptr};
    break;
  case Part::Cost:
  case Part::Extents:
    in = {ptr, ptr};
    break;
  default:
    in = {ptr};
    out = {i64};
  }
  // The name is taken by the kernel itself until it is erased; the pass renames.
  func = func::FuncOp::create(b, (kernel.getSymName() + suffix(part)).str(), b.getFunctionType(in, out));
  b.setInsertionPointToStart(func.addEntryBlock());
  marker = arith::ConstantIndexOp::create(b, 0);
}

void KernelBuilder::finish(ValueRange results) {
  SmallVector<Value> values;
  for (Value v : results)
    values.push_back(i64(v));
  func::ReturnOp::create(b, values);
}

void KernelBuilder::fail(const Twine &why, Operation *at) {
  if (!hasFailed && runsTasks()) {
    auto diagnostic = (at ? at : kernel.getOperation())->emitError("cannot generate code for kernel @")
                      << kernel.getSymName() << ": " << why;
    if (at)
      diagnostic.attachNote(kernel.getLoc()) << "in this kernel";
  }
  hasFailed = true;
}

RankedTensorType KernelBuilder::resultType(unsigned result) { return cast<RankedTensorType>(this->result(result).getType()); }

// --- the ABI -----------------------------------------------------------------------------------------------------------------------

Value KernelBuilder::loadBufferPointer(unsigned index) {
  Value &known = pointers[index];
  if (known)
    return known;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(marker);
  Type ptr = LLVM::LLVMPointerType::get(b.getContext());
  Value slot = LLVM::GEPOp::create(b, ptr, ptr, func.getArgument(0), ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(index)});
  return known = LLVM::LoadOp::create(b, ptr, slot, 8);
}

Value KernelBuilder::buffer(BlockArgument arg) { return loadBufferPointer(arg.getArgNumber()); }
Value KernelBuilder::resultBuffer(unsigned result) { return loadBufferPointer(kernel.getNumInputs() + result); }

Value KernelBuilder::scalarSlot(int64_t slot, Type type) {
  Value &known = slots[{slot, type}];
  if (known)
    return known;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(marker);
  Type ptr = LLVM::LLVMPointerType::get(b.getContext());
  Value address = LLVM::GEPOp::create(b, ptr, b.getI64Type(), func.getArgument(runsTasks() ? 1 : 0),
                                      ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(slot)});
  Value raw = LLVM::LoadOp::create(b, b.getI64Type(), address, 8);
  if (type.isIndex())
    return known = arith::IndexCastOp::create(b, type, raw);
  if (type.isInteger(64))
    return known = raw;
  Type bits = b.getIntegerType(type.getIntOrFloatBitWidth());
  if (bits != b.getI64Type())
    raw = arith::TruncIOp::create(b, bits, raw);
  if (!isa<FloatType>(type))
    return known = raw;
  return known = fromStorage(carriedType(type) == type ? Value(arith::BitcastOp::create(b, type, raw)) : raw, type);
}

/// Position in `scalars` of dimension d of an input (operand < inputs) or a result. For a state d counts capacity, length, then all
/// dimensions.
int64_t KernelBuilder::dimSlot(unsigned operand, unsigned d) {
  unsigned inputs = kernel.getNumInputs();
  int64_t slot = body().getNumArguments() - inputs;
  for (unsigned i = 0;; ++i) {
    Type type = i < inputs ? body().getArgument(i).getType() : Type(resultType(i - inputs));
    if (auto state = dyn_cast<StateType>(type)) {
      if (i == operand)
        return slot + d;
      slot += 2 + state.getContent().getRank();
      continue;
    }
    auto tensor = cast<RankedTensorType>(type);
    for (int64_t j = 0; j < tensor.getRank(); ++j) {
      if (i == operand && j == d)
        return slot;
      slot += tensor.isDynamicDim(j);
    }
  }
}

Value KernelBuilder::stateCapacity(BlockArgument state) { return scalarSlot(dimSlot(state.getArgNumber(), 0), b.getIndexType()); }
Value KernelBuilder::stateLength(BlockArgument state) { return scalarSlot(dimSlot(state.getArgNumber(), 1), b.getIndexType()); }

Value KernelBuilder::resultDim(unsigned result, unsigned d) {
  RankedTensorType type = resultType(result);
  if (!type.isDynamicDim(d))
    return idx(type.getDimSize(d));
  return scalarSlot(dimSlot(kernel.getNumInputs() + result, d), b.getIndexType());
}

SmallVector<Value> KernelBuilder::resultDims(unsigned result) {
  SmallVector<Value> dims;
  for (int64_t d = 0; d < resultType(result).getRank(); ++d)
    dims.push_back(resultDim(result, d));
  return dims;
}

SmallVector<Value> KernelBuilder::dims(Value tensor) {
  SmallVector<Value> dims;
  auto type = isa<StateType>(tensor.getType()) ? cast<StateType>(tensor.getType()).getContent() : cast<RankedTensorType>(tensor.getType());
  for (int64_t d = 0; d < type.getRank(); ++d)
    dims.push_back(dim(tensor, d));
  return dims;
}

bool KernelBuilder::sameShape(Value x, Value y) {
  auto tx = cast<RankedTensorType>(x.getType()), ty = cast<RankedTensorType>(y.getType());
  if (tx.getRank() != ty.getRank())
    return false;
  return llvm::all_of(llvm::seq<unsigned>(0, tx.getRank()), [&](unsigned d) { return sameDim(x, d, y, d); });
}

// --- index arithmetic ---------------------------------------------------------------------------------------------------------------

Value KernelBuilder::idx(int64_t value) {
  Value &known = constants[value];
  if (known)
    return known;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(marker);
  return known = arith::ConstantIndexOp::create(b, value);
}

template <typename Op> Value KernelBuilder::fold(Value x, Value y) {
  OpFoldResult folded;
  Value result = b.createOrFold<Op>(x, y);
  if (std::optional<int64_t> constant = getConstantIntValue(result)) {
    if (Operation *op = result.getDefiningOp(); op->use_empty() && result != x && result != y)
      op->erase();
    return idx(*constant);
  }
  return result;
}

Value KernelBuilder::add(Value x, Value y) { return fold<arith::AddIOp>(x, y); }
Value KernelBuilder::sub(Value x, Value y) { return fold<arith::SubIOp>(x, y); }
Value KernelBuilder::mul(Value x, Value y) { return fold<arith::MulIOp>(x, y); }
Value KernelBuilder::div(Value x, Value y) { return fold<arith::DivUIOp>(x, y); }
Value KernelBuilder::rem(Value x, Value y) { return getConstantIntValue(y) == 1 ? idx(0) : fold<arith::RemUIOp>(x, y); }
Value KernelBuilder::ceilDiv(Value x, Value y) { return div(add(x, sub(y, idx(1))), y); }
Value KernelBuilder::min(Value x, Value y) { return fold<arith::MinSIOp>(x, y); }
Value KernelBuilder::max(Value x, Value y) { return fold<arith::MaxSIOp>(x, y); }

Value KernelBuilder::product(ValueRange values) {
  Value result = idx(1);
  for (Value v : values)
    result = mul(result, v);
  return result;
}

Value KernelBuilder::bytes(Value tensor) {
  return mul(product(dims(tensor)), idx(byteWidth(cast<RankedTensorType>(tensor.getType()).getElementType())));
}

Value KernelBuilder::i64(Value index) {
  return index.getType().isInteger(64) ? index : arith::IndexCastOp::create(b, b.getI64Type(), index).getResult();
}

Value KernelBuilder::compare(arith::CmpIPredicate predicate, Value x, Value y) { return arith::CmpIOp::create(b, predicate, x, y); }

Value KernelBuilder::constant(Type type, double value) {
  Type element = getElementTypeOrSelf(type);
  llvm::APFloat f(value);
  bool loses;
  f.convert(cast<FloatType>(element).getFloatSemantics(), llvm::APFloat::rmNearestTiesToEven, &loses);
  TypedAttr attr = b.getFloatAttr(element, f);
  if (auto vector = dyn_cast<VectorType>(type))
    attr = DenseElementsAttr::get(vector, cast<Attribute>(attr));
  return arith::ConstantOp::create(b, attr);
}

Value KernelBuilder::constantInt(Type type, int64_t value) {
  TypedAttr attr = b.getIntegerAttr(getElementTypeOrSelf(type), value);
  if (auto vector = dyn_cast<VectorType>(type))
    attr = DenseElementsAttr::get(vector, cast<Attribute>(attr));
  return arith::ConstantOp::create(b, attr);
}

Value KernelBuilder::fma(Value x, Value y, Value z) {
  if (target.fma)
    return math::FmaOp::create(b, x, y, z);
  return arith::AddFOp::create(b, arith::MulFOp::create(b, x, y), z);
}

// --- control flow ---------------------------------------------------------------------------------------------------------------------

void KernelBuilder::forLoop(Value lo, Value hi, Value step, LoopBody body) {
  forLoop(lo, hi, step, ValueRange(), [&](Value iv, ValueRange) {
    body(iv);
    return SmallVector<Value>();
  });
}

SmallVector<Value> KernelBuilder::forLoop(Value lo, Value hi, Value step, ValueRange init, CarryBody body) {
  auto loop = scf::ForOp::create(b, lo, hi, step, init);
  OpBuilder::InsertionGuard guard(b);
  if (init.empty())
    b.setInsertionPoint(loop.getBody()->getTerminator());
  else
    b.setInsertionPointToStart(loop.getBody());
  SmallVector<Value> next = body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!init.empty())
    scf::YieldOp::create(b, next);
  return SmallVector<Value>(loop.getResults());
}

SmallVector<Value> KernelBuilder::ifElse(Value cond, function_ref<SmallVector<Value>()> thenBody,
                                         function_ref<SmallVector<Value>()> elseBody) {
  // The types are known only after the first branch is built: build it aside, then move it in.
  OpBuilder::InsertionGuard guard(b);
  auto probe = scf::IfOp::create(b, TypeRange(), cond, /*withElseRegion=*/true);
  auto fill = [&](Block *block, function_ref<SmallVector<Value>()> body) {
    if (!block->empty() && block->back().hasTrait<OpTrait::IsTerminator>())
      block->back().erase();
    b.setInsertionPointToEnd(block);
    SmallVector<Value> values = body();
    b.setInsertionPointToEnd(block);
    scf::YieldOp::create(b, values);
    return llvm::map_to_vector(values, [](Value v) { return v.getType(); });
  };
  SmallVector<Type> types = fill(probe.thenBlock(), thenBody);
  fill(probe.elseBlock(), elseBody);
  b.setInsertionPoint(probe);
  auto op = scf::IfOp::create(b, types, cond, /*addThenBlock=*/false, /*addElseBlock=*/false);
  op.getThenRegion().takeBody(probe.getThenRegion());
  op.getElseRegion().takeBody(probe.getElseRegion());
  probe.erase();
  return SmallVector<Value>(op.getResults());
}

SmallVector<Value> KernelBuilder::whileLoop(ValueRange init, function_ref<Value(ValueRange)> cond,
                                            function_ref<SmallVector<Value>(ValueRange)> body) {
  auto loop = scf::WhileOp::create(
      b, init.getTypes(), init,
      [&](OpBuilder &, Location, ValueRange values) {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToEnd(values[0].getParentBlock());
        Value go = cond(values);
        scf::ConditionOp::create(b, go, values);
      },
      [&](OpBuilder &, Location, ValueRange values) {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToEnd(values[0].getParentBlock());
        SmallVector<Value> next = body(values);
        scf::YieldOp::create(b, next);
      });
  return SmallVector<Value>(loop.getResults());
}

void KernelBuilder::ifThen(Value cond, function_ref<void()> thenBody) {
  auto op = scf::IfOp::create(b, cond, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(op.thenBlock()->getTerminator());
  thenBody();
}

void KernelBuilder::forLanes(Value lo, Value hi, int64_t width, function_ref<void(Value, int64_t)> body) {
  if (width == 1)
    return forLoop(lo, hi, idx(1), [&](Value i) { body(i, 1); });
  Value count = sub(hi, lo), full = sub(count, rem(count, idx(width))), mid = add(lo, full);
  if (getConstantIntValue(full) != 0)
    forLoop(lo, mid, idx(width), [&](Value i) { body(i, width); });
  if (getConstantIntValue(rem(count, idx(width))) != 0)
    forLoop(mid, hi, idx(1), [&](Value i) { body(i, 1); });
}

} // namespace leat::cpu
