// Straight-line ops of a host function: scalars, views, states, returns. Launches are in Launches.cpp, control flow in ControlFlow.cpp.
#include "passes/Host/FunctionLowering.h"

#include "leat/KernelABI.h"
#include "passes/Host/Constants.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace leat::host {

FunctionLowering::FunctionLowering(func::FuncOp source, LLVM::LLVMFuncOp target, const ModuleIndex &index, Messages &messages, bool device)
    : source(source), index(index), plan(source), f(source->getParentOfType<ModuleOp>(), target, messages),
      module(source->getParentOfType<ModuleOp>()), device(device) {}

LogicalResult FunctionLowering::run() {
  Value inputs = f.field(offsetof(LeatFrame, inputs));
  for (auto [i, arg] : llvm::enumerate(source.getArguments())) {
    auto type = dyn_cast<RankedTensorType>(arg.getType());
    if (!type || type.getRank() > LEAT_MAX_RANK)
      return source.emitError("argument ") << i << " of '" << source.getName() << "' has type " << arg.getType()
                                           << "; inputs are tensors of at most " << LEAT_MAX_RANK << " dimensions";
    Value buffer = f.offset(inputs, i * sizeof(LeatBuffer));
    SmallVector<Value> dims;
    for (int64_t d = 0; d < type.getRank(); ++d)
      if (type.isDynamicDim(d))
        dims.push_back(f.load(f.b.getI64Type(), buffer, offsetof(LeatBuffer, dims) + 8 * d));
    tensors[arg] = describe(type, f.load(f.pointer(), buffer, offsetof(LeatBuffer, data)), dims);
  }
  return lower(source.getBody().front());
}

LogicalResult FunctionLowering::lower(Block &block) {
  for (Operation &op : block.without_terminator())
    if (failed(lower(op)))
      return failure();
  if (auto ret = dyn_cast<func::ReturnOp>(block.getTerminator()))
    return lowerReturn(ret);
  return success();
}

LogicalResult FunctionLowering::lower(Operation &op) {
  f.loc = op.getLoc();
  if (auto constant = dyn_cast<arith::ConstantOp>(op))
    return lowerConstant(constant);
  if (isa<arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp, arith::CeilDivSIOp, arith::CeilDivUIOp, arith::FloorDivSIOp>(op))
    return lowerDivision(op);
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp>(op)) {
    lowerIndexCast(op);
    return success();
  }
  if (isa<arith::ArithDialect, math::MathDialect>(op.getDialect()))
    return lowerScalar(op);
  return llvm::TypeSwitch<Operation *, LogicalResult>(&op)
      .Case([&](LaunchOp launch) { return lowerLaunch(launch); })
      .Case([&](LaunchGroupOp group) { return lowerGroup(group); })
      .Case([&](scf::IfOp branch) { return lowerIf(branch); })
      .Case([&](scf::ForOp loop) { return lowerFor(loop); })
      .Case([&](scf::WhileOp loop) { return lowerWhile(loop); })
      .Case([&](tensor::ReshapeOp reshape) { return lowerReshape(reshape); })
      .Case([&](tensor::FromElementsOp elements) { return lowerFromElements(elements); })
      .Case([&](tensor::ExtractOp extract) { return lowerExtract(extract); })
      .Case([&](cf::AssertOp check) {
        lowerAssert(check);
        return success();
      })
      .Case([&](tensor::DimOp dim) -> LogicalResult {
        auto constant = dim.getConstantIndex();
        if (!constant)
          return dim.emitOpError("needs a constant dimension on the host");
        scalars[dim] = tensor(dim.getSource()).dims[*constant];
        return success();
      })
      .Case([&](tensor::EmptyOp empty) {
        SmallVector<Value> dims;
        for (Value size : empty.getDynamicSizes())
          dims.push_back(scalar(size));
        auto type = empty.getType();
        int64_t bytes = storageBytes(type.getElementType());
        for (int64_t dim : type.getShape())
          bytes *= ShapedType::isDynamic(dim) ? 1 : dim;
        tensors[empty] = describe(type, f.ensure(f.i64(plan.slotOf(empty)), bytes, dims), dims);
        return success();
      })
      .Case([&](tensor::CastOp cast) {
        HostTensor from = tensor(cast.getSource());
        auto type = dyn_cast<RankedTensorType>(cast.getType()), before = dyn_cast<RankedTensorType>(cast.getSource().getType());
        SmallVector<Value> dims;
        for (int64_t d = 0; d < type.getRank(); ++d) {
          if (type.isDynamicDim(d)) {
            dims.push_back(from.dims[d]);
          } else if (before.isDynamicDim(d)) {
            Value want = f.i64(type.getDimSize(d));
            f.check(LLVM::ICmpOp::create(f.b, f.loc, LLVM::ICmpPredicate::eq, from.dims[d], want),
                    "a dimension is {0} where the model needs {1}", from.dims[d], want);
          }
        }
        tensors[cast] = describe(type, from.data, dims);
        tensors[cast].host = from.host;
        return success();
      })
      .Case([&](tensor::CollapseShapeOp collapse) {
        HostTensor from = tensor(collapse.getSrc());
        HostTensor to{from.data, {}, from.host};
        for (auto group : collapse.getReassociationIndices()) {
          Value product = from.dims[group.front()];
          for (int64_t d : ArrayRef<int64_t>(group).drop_front())
            product = f.mul(product, from.dims[d]);
          to.dims.push_back(product);
        }
        auto type = collapse.getResultType();
        for (int64_t d = 0; d < type.getRank(); ++d)
          if (!type.isDynamicDim(d))
            to.dims[d] = f.i64(type.getDimSize(d));
        tensors[collapse] = to;
        return success();
      })
      .Case([&](tensor::ExpandShapeOp expand) {
        SmallVector<Value> dims;
        for (Value size : expand.getOutputShape())
          dims.push_back(scalar(size));
        HostTensor from = tensor(expand.getSrc());
        tensors[expand] = describe(expand.getResultType(), from.data, dims);
        tensors[expand].host = from.host;
        return success();
      })
      .Case([&](ParamRefOp ref) {
        int64_t at = index.params.lookup(ref.getParam());
        tensors[ref] =
            describe(cast<RankedTensorType>(ref.getType()), f.load(f.pointer(), f.field(offsetof(LeatFrame, params)), at * 8), {});
        return success();
      })
      .Case([&](StateGetOp get) {
        auto [at, slot] = index.states.lookup(get.getSlot());
        states[get] = HostState{at, slot, Value()};
        return success();
      })
      .Case([&](StateWriteOp write) {
        HostState state = states.lookup(write.getState());
        state.pending = write.getValue();
        states[write] = state;
        return success();
      })
      .Case([&](StateReadOp read) {
        HostState state = states.lookup(read.getState());
        if (state.pending) {
          tensors[read] = tensor(state.pending);
          return success();
        }
        Value base = statePointer(state.index);
        auto type = cast<RankedTensorType>(read.getType());
        SmallVector<Value> dims;
        for (int64_t d = 0; d < type.getRank(); ++d)
          if (type.isDynamicDim(d))
            dims.push_back(f.load(f.b.getI64Type(), base, offsetof(LeatState, dims) + 8 * d));
        tensors[read] = describe(type, f.load(f.pointer(), base, offsetof(LeatState, data)), dims);
        if (device && state.slot.getGrowth() == Growth::Counter)
          tensors[read] = onDevice(read, tensors[read].data, /*constant=*/false);
        return success();
      })
      .Case([&](StatePutOp put) {
        flush(states[put.getState()]);
        return success();
      })
      .Default([](Operation *other) { return other->emitOpError("has no form on the host: it should be inside a kernel"); });
}

// ---- scalars ----------------------------------------------------------------------------------------------------------------------

Type FunctionLowering::convert(Type type) { return type.isIndex() ? f.b.getI64Type() : type; }

Value FunctionLowering::scalar(Value v) {
  Value known = scalars.lookup(v);
  assert(known && "a scalar is used before it is lowered");
  return known;
}

Value FunctionLowering::scalarNow(Value v) {
  if (Value known = scalars.lookup(v))
    return known;
  Operation *op = v.getDefiningOp();
  if (!op || op->getNumRegions() ||
      !(isa<arith::ArithDialect>(op->getDialect()) || isa<tensor::DimOp, tensor::ExtractOp, StateGetOp, StateReadOp>(op)))
    return {};
  for (Value operand : op->getOperands())
    if (!tensors.contains(operand) && !states.contains(operand) && !scalarNow(operand) && !tensors.contains(operand) &&
        !states.contains(operand))
      return {};
  if (failed(lower(*op)))
    return {};
  return scalars.lookup(v);
}

LogicalResult FunctionLowering::lowerConstant(arith::ConstantOp op) {
  if (auto type = dyn_cast<RankedTensorType>(op.getType())) {
    auto values = dyn_cast<DenseElementsAttr>(op.getValue());
    if (!values || !storageBytes(type.getElementType()))
      return op.emitOpError("has elements without a storage form on the host: ") << type;
    Value address = LLVM::AddressOfOp::create(f.b, f.loc, f.pointer(), constantGlobal(module, values).getSymName());
    tensors[op] = device ? onDevice(op, address, /*constant=*/true) : describe(type, address, {});
    return success();
  }
  if (op.getType().isIndex())
    scalars[op] = f.i64(cast<IntegerAttr>(op.getValue()).getInt());
  else
    scalars[op] = f.constant(op.getType(), op.getValue());
  return success();
}

LogicalResult FunctionLowering::lowerScalar(Operation &op) {
  if (auto select = dyn_cast<arith::SelectOp>(op); select && isa<RankedTensorType>(select.getType())) {
    HostTensor yes = tensor(select.getTrueValue()), no = tensor(select.getFalseValue());
    if (!select.getCondition().getType().isInteger(1))
      return op.emitOpError("chooses by element; that belongs into a kernel");
    auto choose = [&](Value a, Value b) -> Value {
      return a == b ? a : LLVM::SelectOp::create(f.b, f.loc, scalar(select.getCondition()), a, b).getResult();
    };
    HostTensor result{choose(yes.data, no.data), {}, {}};
    for (auto [a, b] : llvm::zip(yes.dims, no.dims))
      result.dims.push_back(choose(a, b));
    tensors[select] = result;
    return success();
  }
  IRMapping mapping;
  for (Value operand : op.getOperands()) {
    if (!operand.getType().isIntOrIndexOrFloat())
      return op.emitOpError("computes on ") << operand.getType() << "; that belongs into a kernel";
    mapping.map(operand, scalar(operand));
  }
  Operation *copy = f.b.insert(op.cloneWithoutRegions(mapping));
  for (auto [from, to] : llvm::zip(op.getResults(), copy->getResults())) {
    to.setType(convert(from.getType()));
    scalars[from] = to;
  }
  return success();
}

void FunctionLowering::lowerIndexCast(Operation &op) {
  Value from = scalar(op.getOperand(0));
  Type type = convert(op.getResult(0).getType());
  unsigned have = from.getType().getIntOrFloatBitWidth(), want = type.getIntOrFloatBitWidth();
  if (have < want)
    from = isa<arith::IndexCastOp>(op) ? LLVM::SExtOp::create(f.b, f.loc, type, from).getResult()
                                       : LLVM::ZExtOp::create(f.b, f.loc, type, from).getResult();
  else if (have > want)
    from = LLVM::TruncOp::create(f.b, f.loc, type, from);
  scalars[op.getResult(0)] = from;
}

/// Shape arithmetic divides by what users pass in: zero is reported, and -1 never reaches the processor (it traps on the least integer).
LogicalResult FunctionLowering::lowerDivision(Operation &op) {
  APInt known;
  bool isSigned = !isa<arith::DivUIOp, arith::RemUIOp, arith::CeilDivUIOp>(op);
  if (!op.getOperand(0).getType().isIntOrIndex() ||
      (matchPattern(op.getOperand(1), m_ConstantInt(&known)) && !known.isZero() && !(isSigned && known.isAllOnes())))
    return lowerScalar(op);
  Value x = scalar(op.getOperand(0)), d = scalar(op.getOperand(1));
  Type type = x.getType();
  auto number = [&](int64_t v) { return f.constant(type, f.b.getIntegerAttr(type, v)); };
  f.check(LLVM::ICmpOp::create(f.b, f.loc, LLVM::ICmpPredicate::ne, d, number(0)), "division by zero in the model's shape arithmetic",
          f.i64(0), f.i64(0));
  if (!isSigned)
    return lowerScalar(op);
  Value minusOne = LLVM::ICmpOp::create(f.b, f.loc, LLVM::ICmpPredicate::eq, d, number(-1));
  scalars[op.getOperand(1)] = LLVM::SelectOp::create(f.b, f.loc, minusOne, number(1), d);
  LogicalResult ok = lowerScalar(op);
  scalars[op.getOperand(1)] = d;
  Value negated = isa<arith::RemSIOp>(op) ? number(0) : LLVM::SubOp::create(f.b, f.loc, number(0), x).getResult();
  scalars[op.getResult(0)] = LLVM::SelectOp::create(f.b, f.loc, minusOne, negated, scalar(op.getResult(0)));
  return ok;
}

Value FunctionLowering::asI64(Value v, Type type) {
  Type i64 = f.b.getI64Type();
  if (isa<FloatType>(type)) {
    auto bits = f.b.getIntegerType(type.getIntOrFloatBitWidth());
    v = LLVM::BitcastOp::create(f.b, f.loc, bits, v);
    return bits.getWidth() < 64 ? LLVM::ZExtOp::create(f.b, f.loc, i64, v).getResult() : v;
  }
  return v.getType().getIntOrFloatBitWidth() < 64 ? LLVM::SExtOp::create(f.b, f.loc, i64, v).getResult() : v;
}

void FunctionLowering::lowerAssert(cf::AssertOp op) {
  Value a = f.i64(0), c = f.i64(0);
  if (auto compare = op.getArg().getDefiningOp<arith::CmpIOp>(); compare && scalars.contains(compare.getLhs())) {
    a = asI64(scalar(compare.getLhs()), compare.getLhs().getType());
    c = asI64(scalar(compare.getRhs()), compare.getRhs().getType());
  }
  f.check(scalar(op.getArg()), op.getMsg(), a, c);
}

// ---- tensors ----------------------------------------------------------------------------------------------------------------------

HostTensor FunctionLowering::describe(RankedTensorType type, Value data, ValueRange dynamicDims) {
  HostTensor t{data, {}, {}};
  for (int64_t dim : type.getShape()) {
    if (ShapedType::isDynamic(dim)) {
      t.dims.push_back(dynamicDims.front());
      dynamicDims = dynamicDims.drop_front();
    } else {
      t.dims.push_back(f.i64(dim));
    }
  }
  return t;
}

SmallVector<Value> FunctionLowering::dynamicDims(Value v) {
  SmallVector<Value> dims;
  for (auto [size, dim] : llvm::zip(cast<RankedTensorType>(v.getType()).getShape(), tensor(v).dims))
    if (ShapedType::isDynamic(size))
      dims.push_back(dim);
  return dims;
}

Type FunctionLowering::storageType(Type element) {
  if (element.isIndex())
    return f.b.getI64Type();
  if (element.isInteger() && element.getIntOrFloatBitWidth() < 8)
    return f.b.getI8Type();
  return element;
}

Value FunctionLowering::toStorage(Value v) {
  Type type = storageType(v.getType());
  return type == v.getType() ? v : LLVM::ZExtOp::create(f.b, f.loc, type, v).getResult();
}

Value FunctionLowering::fromStorage(Value v, Type element) {
  if (element.isInteger(1))
    return LLVM::ICmpOp::create(f.b, f.loc, LLVM::ICmpPredicate::ne, v, f.constant(f.b.getI8Type(), f.b.getI8IntegerAttr(0)));
  if (v.getType() != convert(element))
    return LLVM::TruncOp::create(f.b, f.loc, element, v);
  return v;
}

Value FunctionLowering::elementCount(const HostTensor &t) {
  Value count = f.i64(1);
  for (auto [i, dim] : llvm::enumerate(t.dims))
    count = i == 0 ? dim : f.mul(count, dim);
  return count;
}

void FunctionLowering::copy(Value to, const HostTensor &from, Type element) {
  Value bytes = f.mul(elementCount(from), f.i64(storageBytes(element)));
  if (device)
    f.returnUnlessZero(f.call(f.b.getI64Type(), f.field(offsetof(LeatFrame, copy)), {f.frame(), to, from.data, bytes}));
  else
    LLVM::MemcpyOp::create(f.b, f.loc, to, from.data, bytes, /*isVolatile=*/false);
}

Value FunctionLowering::readable(const HostTensor &from, Value address, int64_t bytes) {
  if (!device || from.host)
    return address;
  Value room = f.staging(bytes);
  f.returnUnlessZero(f.call(f.b.getI64Type(), f.field(offsetof(LeatFrame, read)), {f.frame(), room, address, f.i64(bytes)}));
  return room;
}

/// True if something other than the host program reads the tensor.
static bool leavesHost(Value v) {
  return llvm::any_of(v.getUses(), [](OpOperand &use) {
    Operation *user = use.getOwner();
    if (isa<tensor::CastOp, tensor::CollapseShapeOp, tensor::ExpandShapeOp>(user))
      return leavesHost(user->getResult(0));
    if (auto reshape = dyn_cast<tensor::ReshapeOp>(user); reshape && use.getOperandNumber() == 0)
      return leavesHost(reshape);
    return !isa<tensor::ExtractOp, tensor::DimOp, tensor::ReshapeOp>(user);
  });
}

HostTensor FunctionLowering::onDevice(Value v, Value host, bool constant) {
  auto type = cast<RankedTensorType>(v.getType());
  HostTensor t = describe(type, host, {});
  t.host = host;
  if (!leavesHost(v))
    return t;
  int64_t bytes = std::max<int64_t>(storageBytes(type.getElementType()) * type.getNumElements(), 1);
  if (constant) {
    Value cell = f.staging(8);
    f.returnUnlessZero(f.call(f.b.getI64Type(), f.field(offsetof(LeatFrame, constant)), {f.frame(), cell, host, f.i64(bytes)}));
    t.data = f.load(f.pointer(), cell, 0);
  } else {
    t.data = f.ensure(f.i64(plan.numSlots() + extraSlots++), bytes, {});
    f.returnUnlessZero(f.call(f.b.getI64Type(), f.field(offsetof(LeatFrame, write)), {f.frame(), t.data, host, f.i64(bytes)}));
  }
  return t;
}

/// The factors of a product of dimensions: constants folded into `fixed`, the rest sorted.
static void factors(Value v, int64_t &fixed, SmallVectorImpl<void *> &rest) {
  if (auto constant = v.getDefiningOp<LLVM::ConstantOp>()) {
    fixed *= cast<IntegerAttr>(constant.getValue()).getInt();
  } else if (auto product = v.getDefiningOp<LLVM::MulOp>()) {
    factors(product.getLhs(), fixed, rest);
    factors(product.getRhs(), fixed, rest);
  } else {
    rest.push_back(v.getAsOpaquePointer());
  }
}

LogicalResult FunctionLowering::lowerReshape(tensor::ReshapeOp op) {
  auto type = cast<RankedTensorType>(op.getType());
  HostTensor from = tensor(op.getSource()); // a copy: the map may grow
  auto elements = op.getShape().getDefiningOp<tensor::FromElementsOp>();
  SmallVector<Value> dims;
  DenseIntElementsAttr fixed;
  matchPattern(op.getShape(), m_Constant(&fixed));
  Type element = cast<RankedTensorType>(op.getShape().getType()).getElementType();
  for (int64_t d = 0; d < type.getRank(); ++d) {
    if (!type.isDynamicDim(d))
      continue;
    if (elements) {
      Value v = elements.getElements()[d];
      dims.push_back(asI64(scalar(v), v.getType()));
    } else if (fixed) {
      dims.push_back(f.i64((*(fixed.value_begin<APInt>() + d)).getSExtValue()));
    } else {
      const HostTensor shape = tensor(op.getShape());
      Value address = f.offset(shape.host ? shape.host : shape.data, d * storageBytes(element));
      Value loaded = f.load(storageType(element), readable(shape, address, storageBytes(element)), 0);
      dims.push_back(asI64(loaded, element));
    }
  }
  HostTensor to = describe(type, from.data, dims);
  to.host = from.host;
  int64_t fixedFrom = 1, fixedTo = 1;
  SmallVector<void *> restFrom, restTo;
  for (Value dim : from.dims)
    factors(dim, fixedFrom, restFrom);
  for (Value dim : to.dims)
    factors(dim, fixedTo, restTo);
  llvm::sort(restFrom);
  llvm::sort(restTo);
  if (fixedFrom != fixedTo || restFrom != restTo) {
    Value have = elementCount(from), want = elementCount(to);
    f.check(LLVM::ICmpOp::create(f.b, f.loc, LLVM::ICmpPredicate::eq, have, want),
            "a tensor of {0} elements is reshaped to {1} elements: the shapes of the inputs do not fit together", have, want);
  }
  tensors[op] = to;
  return success();
}

LogicalResult FunctionLowering::lowerFromElements(tensor::FromElementsOp op) {
  auto type = op.getType();
  int64_t size = storageBytes(type.getElementType());
  Value data = LLVM::ZeroOp::create(f.b, f.loc, f.pointer());
  // What becomes the counter stays with the host.
  auto isCounted = [&](OpOperand &use) {
    auto write = dyn_cast<StateWriteOp>(use.getOwner());
    auto state = write ? states.find(write.getState()) : states.end();
    if (state != states.end())
      return state->second.slot.getGrowth() == Growth::Counter;
    auto extract = dyn_cast<tensor::ExtractOp>(use.getOwner());
    return isa<tensor::DimOp>(use.getOwner()) ||
           (extract && llvm::all_of(extract.getIndices(), [](Value index) { return matchPattern(index, m_Constant()); }));
  };
  if (plan.owns(op) && !(device && llvm::all_of(op->getUses(), isCounted))) {
    int64_t bytes = size * type.getNumElements();
    data = f.ensure(f.i64(plan.slotOf(op)), bytes, {});
    Value room = device ? f.staging(bytes) : data;
    for (auto [i, v] : llvm::enumerate(op.getElements()))
      f.store(toStorage(scalar(v)), room, i * size);
    if (device)
      f.returnUnlessZero(f.call(f.b.getI64Type(), f.field(offsetof(LeatFrame, write)), {f.frame(), data, room, f.i64(bytes)}));
  }
  tensors[op] = describe(type, data, {});
  return success();
}

LogicalResult FunctionLowering::lowerExtract(tensor::ExtractOp op) {
  auto type = cast<RankedTensorType>(op.getTensor().getType());
  if (!storageBytes(type.getElementType()))
    return op.emitOpError("reads an element without a storage form on the host: ") << type.getElementType();
  const HostTensor from = tensor(op.getTensor());
  SmallVector<int64_t> constants;
  for (Value v : op.getIndices()) {
    APInt known;
    if (matchPattern(v, m_ConstantInt(&known)))
      constants.push_back(known.getSExtValue());
  }
  bool inside = constants.size() == static_cast<size_t>(type.getRank());
  if (auto elements = op.getTensor().getDefiningOp<tensor::FromElementsOp>(); elements && inside) {
    int64_t linear = 0;
    for (auto [at, dim] : llvm::zip(constants, type.getShape()))
      linear = linear * dim + at;
    if (linear < 0 || linear >= type.getNumElements())
      return op.emitOpError("reads outside of its tensor");
    scalars[op] = scalar(elements.getElements()[linear]);
    return success();
  }
  Value linear = f.i64(0);
  for (auto [d, v] : llvm::enumerate(op.getIndices())) {
    Value at = scalar(v);
    if (!inside || type.isDynamicDim(d) || constants[d] < 0 || constants[d] >= type.getDimSize(d))
      f.check(LLVM::ICmpOp::create(f.b, f.loc, LLVM::ICmpPredicate::ult, at, from.dims[d]),
              "index {0} is out of range: the dimension has {1} entries", at, from.dims[d]);
    linear = d == 0 ? at : LLVM::AddOp::create(f.b, f.loc, f.mul(linear, from.dims[d]), at).getResult();
  }
  Type stored = storageType(type.getElementType());
  Value address = LLVM::GEPOp::create(f.b, f.loc, f.pointer(), stored, from.host ? from.host : from.data, ValueRange{linear});
  address = readable(from, address, storageBytes(type.getElementType()));
  scalars[op] = fromStorage(f.load(stored, address, 0), type.getElementType());
  return success();
}

// ---- states, return -------------------------------------------------------------------------------------------------------

Value FunctionLowering::statePointer(int64_t at) { return f.offset(f.field(offsetof(LeatFrame, states)), at * sizeof(LeatState)); }

void FunctionLowering::flush(HostState &state) {
  if (!state.pending)
    return;
  Value to = f.load(f.pointer(), statePointer(state.index), offsetof(LeatState, data));
  auto type = cast<RankedTensorType>(state.pending.getType());
  if (device && state.slot.getGrowth() == Growth::Counter) {
    // A counter is with the host, and so is what it becomes, most of the time.
    const HostTensor from = tensor(state.pending);
    int64_t size = storageBytes(type.getElementType());
    auto elements = state.pending.getDefiningOp<tensor::FromElementsOp>();
    for (int64_t i = 0; i < type.getNumElements(); ++i) {
      Value v = elements ? toStorage(scalar(elements.getElements()[i]))
                         : f.load(storageType(type.getElementType()),
                                  readable(from, f.offset(from.host ? from.host : from.data, i * size), size), 0);
      f.store(v, to, i * size);
    }
  } else {
    copy(to, tensor(state.pending), type.getElementType());
  }
  state.pending = {};
}

LogicalResult FunctionLowering::lowerReturn(func::ReturnOp op) {
  f.loc = op.getLoc();
  Value outputs = f.field(offsetof(LeatFrame, outputs));
  for (auto [i, v] : llvm::enumerate(op.getOperands())) {
    auto type = dyn_cast<RankedTensorType>(v.getType());
    if (!type || type.getRank() > LEAT_MAX_RANK)
      return op.emitError("result ") << i << " has type " << v.getType() << "; outputs are tensors of at most " << LEAT_MAX_RANK
                                     << " dimensions";
    const HostTensor &t = tensor(v);
    Value buffer = f.offset(outputs, i * sizeof(LeatBuffer));
    f.store(t.data, buffer, offsetof(LeatBuffer, data));
    f.store(f.i64(type.getRank()), buffer, offsetof(LeatBuffer, rank));
    for (auto [d, dim] : llvm::enumerate(t.dims))
      f.store(dim, buffer, offsetof(LeatBuffer, dims) + 8 * d);
  }
  // The counter is written by now; growing slots are as long as it says.
  Value seen;
  source.walk([&](StatePutOp put) {
    auto [at, slot] = index.states.lookup(put.getSlot());
    if (!seen && slot.getGrowth() == Growth::Counter)
      seen = f.load(f.b.getI64Type(), f.load(f.pointer(), statePointer(at), offsetof(LeatState, data)), 0);
  });
  source.walk([&](StatePutOp put) {
    auto [at, slot] = index.states.lookup(put.getSlot());
    if (!seen || (slot.getGrowth() != Growth::Append && slot.getGrowth() != Growth::Ring))
      return;
    Value length = seen;
    if (slot.getGrowth() == Growth::Ring)
      length = LLVM::SMinOp::create(f.b, f.loc, seen, f.i64(slot.getSink() + slot.getRing()));
    f.store(length, statePointer(at), offsetof(LeatState, length));
  });
  f.finish();
  return success();
}

} // namespace leat::host
