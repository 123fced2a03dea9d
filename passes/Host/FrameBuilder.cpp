// The parts of host functions that know the layout of LeatFrame.
#include "passes/Host/FrameBuilder.h"

#include "leat/KernelABI.h"

#include <cstddef>

using namespace mlir;

namespace leat::host {

int64_t storageBytes(Type element) {
  if (element.isIndex())
    return 8;
  if (!element.isIntOrFloat())
    return 0;
  return (element.getIntOrFloatBitWidth() + 7) / 8;
}

FrameBuilder::FrameBuilder(ModuleOp module, LLVM::LLVMFuncOp function, Messages &messages)
    : b(function.getContext()), loc(function.getLoc()), module(module), func(function), messages(messages),
      ptrType(LLVM::LLVMPointerType::get(function.getContext())) {
  entry = func.addEntryBlock(b);
  exit = newBlock(b.getI64Type());
  b.setInsertionPointToEnd(exit);
  LLVM::ReturnOp::create(b, loc, exit->getArgument(0));
  // The entry block holds what everything else uses; the body starts in a block of its own.
  Block *body = newBlock();
  b.setInsertionPointToEnd(entry);
  entryEnd = LLVM::BrOp::create(b, loc, ValueRange{}, body);
  b.setInsertionPoint(entryEnd);
  Value one = i64(1);
  errorCell = LLVM::AllocaOp::create(b, loc, ptrType, b.getI64Type(), one, 8);
  b.setInsertionPointToEnd(body);
}

Value FrameBuilder::constant(Type type, Attribute value) {
  Value &known = constants[{type, value}];
  if (!known) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(entry);
    known = LLVM::ConstantOp::create(b, func.getLoc(), type, value);
  }
  return known;
}

Value FrameBuilder::offset(Value base, int64_t bytes) {
  if (bytes == 0)
    return base;
  return LLVM::GEPOp::create(b, loc, ptrType, b.getI8Type(), base, ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(bytes)});
}

Value FrameBuilder::load(Type type, Value base, int64_t bytes) { return LLVM::LoadOp::create(b, loc, type, offset(base, bytes)); }
void FrameBuilder::store(Value value, Value base, int64_t bytes) { LLVM::StoreOp::create(b, loc, value, offset(base, bytes)); }
Value FrameBuilder::mul(Value x, Value y) { return LLVM::MulOp::create(b, loc, x, y); }

Value FrameBuilder::field(size_t at) {
  Value &known = fields[static_cast<int64_t>(at)];
  if (!known) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(entryEnd);
    known = load(ptrType, frame(), at);
  }
  return known;
}

Block *FrameBuilder::newBlock(TypeRange arguments) {
  auto *block = new Block;
  func.getBody().push_back(block);
  for (Type type : arguments)
    block->addArgument(type, loc);
  return block;
}

void FrameBuilder::branch(Block *to, ValueRange arguments) { LLVM::BrOp::create(b, loc, arguments, to); }
void FrameBuilder::condBranch(Value condition, Block *yes, ValueRange yesArgs, Block *no, ValueRange noArgs) {
  LLVM::CondBrOp::create(b, loc, condition, yes, yesArgs, no, noArgs);
}

void FrameBuilder::returnUnlessZero(Value code) {
  Value ok = LLVM::ICmpOp::create(b, loc, LLVM::ICmpPredicate::eq, code, i64(0));
  Block *next = newBlock();
  condBranch(ok, next, {}, exit, code);
  b.setInsertionPointToEnd(next);
}

void FrameBuilder::check(Value condition, StringRef message, Value a, Value c) {
  Block *next = newBlock(), *fail = newBlock();
  condBranch(condition, next, {}, fail, {});
  b.setInsertionPointToEnd(fail);
  Value callee = field(offsetof(LeatFrame, fail));
  branch(exit, call(b.getI64Type(), callee, {frame(), i64(messages.add(message)), a, c}));
  b.setInsertionPointToEnd(next);
}

void FrameBuilder::finish() { branch(exit, i64(0)); }

Value FrameBuilder::call(Type result, Value callee, ValueRange arguments) {
  auto type = LLVM::LLVMFunctionType::get(result, SmallVector<Type>(arguments.getTypes()));
  SmallVector<Value> operands{callee};
  llvm::append_range(operands, arguments);
  return LLVM::CallOp::create(b, loc, type, operands).getResult();
}

Value FrameBuilder::ensure(Value slot, int64_t staticBytes, ValueRange dims) {
  LLVM::LLVMFuncOp helper = ensureHelper(dims.size());
  SmallVector<Value> arguments{frame(), slot, i64(staticBytes)};
  llvm::append_range(arguments, dims);
  arguments.push_back(errorCell);
  Value data = LLVM::CallOp::create(b, loc, helper, arguments).getResult();
  if (!failed) {
    OpBuilder::InsertionGuard guard(b);
    failed = newBlock();
    b.setInsertionPointToEnd(failed);
    branch(exit, load(b.getI64Type(), errorCell, 0));
  }
  Value null = LLVM::ZeroOp::create(b, loc, ptrType);
  Value bad = LLVM::ICmpOp::create(b, loc, LLVM::ICmpPredicate::eq, data, null);
  Block *next = newBlock();
  condBranch(bad, failed, {}, next, {});
  b.setInsertionPointToEnd(next);
  return data;
}

/// ptr leat.ensure.N(frame, slot, static bytes, d0..dN-1, ptr error): one copy per module and number of dynamic sizes. The common case
/// is a few multiplications and one comparison; it is a function so that a thousand launches stay small to compile.
LLVM::LLVMFuncOp FrameBuilder::ensureHelper(unsigned dims) {
  std::string name = ("leat.ensure." + Twine(dims)).str();
  if (auto known = module.lookupSymbol<LLVM::LLVMFuncOp>(name))
    return known;
  OpBuilder h = OpBuilder::atBlockEnd(module.getBody());
  Location at = module.getLoc();
  Type i64 = h.getI64Type();
  SmallVector<Type> types{ptrType, i64, i64};
  types.append(dims, i64);
  types.push_back(ptrType);
  auto helper = LLVM::LLVMFuncOp::create(h, at, name, LLVM::LLVMFunctionType::get(ptrType, types), LLVM::Linkage::Internal);
  helper->setAttr("leat.host", h.getUnitAttr());
  Block *start = helper.addEntryBlock(h);
  auto block = [&] {
    auto *created = new Block;
    helper.getBody().push_back(created);
    return created;
  };
  Block *sized = block(), *grow = block(), *done = block(), *fail = block();
  Value result = done->addArgument(ptrType, at), failedBytes = fail->addArgument(i64, at);
  auto number = [&](int64_t v) -> Value { return LLVM::ConstantOp::create(h, at, i64, h.getI64IntegerAttr(v)); };
  auto field = [&](Value base, int64_t bytes, Type type) -> Value {
    Value p = LLVM::GEPOp::create(h, at, ptrType, h.getI8Type(), base, ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(bytes)});
    return LLVM::LoadOp::create(h, at, type, p);
  };
  Value frame = start->getArgument(0), slot = start->getArgument(1);
  h.setInsertionPointToEnd(start);
  // A negative dimension or a product that does not fit is refused.
  Value need = start->getArgument(2), bad = LLVM::ConstantOp::create(h, at, h.getI1Type(), h.getBoolAttr(false));
  auto pair = LLVM::LLVMStructType::getLiteral(h.getContext(), {i64, h.getI1Type()});
  for (unsigned d = 0; d < dims; ++d) {
    Value dim = start->getArgument(3 + d);
    Value product = LLVM::SMulWithOverflowOp::create(h, at, pair, need, dim);
    Value overflow = LLVM::ExtractValueOp::create(h, at, product, ArrayRef<int64_t>{1});
    Value negative = LLVM::ICmpOp::create(h, at, LLVM::ICmpPredicate::slt, dim, number(0));
    bad = LLVM::OrOp::create(h, at, bad, LLVM::OrOp::create(h, at, overflow, negative).getResult());
    need = LLVM::ExtractValueOp::create(h, at, product, ArrayRef<int64_t>{0});
  }
  LLVM::CondBrOp::create(h, at, bad, fail, ValueRange{need}, sized, ValueRange{});

  h.setInsertionPointToEnd(sized);
  // An empty tensor still gets an address.
  need = LLVM::UMaxOp::create(h, at, need, number(1));
  Value slots = field(frame, offsetof(LeatFrame, slots), ptrType);
  Value mine = LLVM::GEPOp::create(h, at, ptrType, LLVM::LLVMArrayType::get(h.getI8Type(), sizeof(LeatSlot)), slots, ValueRange{slot});
  Value data = field(mine, offsetof(LeatSlot, data), ptrType), room = field(mine, offsetof(LeatSlot, bytes), i64);
  Value small = LLVM::ICmpOp::create(h, at, LLVM::ICmpPredicate::slt, room, need);
  LLVM::CondBrOp::create(h, at, small, grow, ValueRange{}, done, ValueRange{data});

  h.setInsertionPointToEnd(grow);
  Value callee = field(frame, offsetof(LeatFrame, grow), ptrType);
  auto growType = LLVM::LLVMFunctionType::get(ptrType, {ptrType, i64, i64});
  Value grown = LLVM::CallOp::create(h, at, growType, ValueRange{callee, frame, slot, need}).getResult();
  Value null = LLVM::ZeroOp::create(h, at, ptrType);
  Value none = LLVM::ICmpOp::create(h, at, LLVM::ICmpPredicate::eq, grown, null);
  LLVM::CondBrOp::create(h, at, none, fail, ValueRange{need}, done, ValueRange{grown});

  h.setInsertionPointToEnd(done);
  LLVM::ReturnOp::create(h, at, result);

  h.setInsertionPointToEnd(fail);
  int64_t message = messages.add("out of memory: a tensor of this call needs {0} bytes (a negative number: its size makes no sense)");
  callee = field(frame, offsetof(LeatFrame, fail), ptrType);
  auto failType = LLVM::LLVMFunctionType::get(i64, {ptrType, i64, i64, i64});
  Value code = LLVM::CallOp::create(h, at, failType, ValueRange{callee, frame, number(message), failedBytes, slot}).getResult();
  LLVM::StoreOp::create(h, at, code, start->getArguments().back());
  LLVM::ReturnOp::create(h, at, LLVM::ZeroOp::create(h, at, ptrType).getResult());
  return helper;
}

Value FrameBuilder::stack(Value &array, int64_t &size, int64_t count) {
  if (!array) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(entryEnd);
    array = LLVM::AllocaOp::create(b, func.getLoc(), ptrType, LLVM::LLVMArrayType::get(b.getI64Type(), count), i64(1), 8);
    size = count;
  }
  if (count > size) {
    size = count;
    array.getDefiningOp<LLVM::AllocaOp>().setElemType(LLVM::LLVMArrayType::get(b.getI64Type(), count));
  }
  return array;
}

Value FrameBuilder::buffers(int64_t count) { return stack(bufferArray, bufferCount, std::max<int64_t>(count, 1)); }
Value FrameBuilder::scalars(int64_t count) { return stack(scalarArray, scalarCount, std::max<int64_t>(count, 1)); }
Value FrameBuilder::launches() { return stack(launchArray, launchCount, LEAT_MAX_GROUP * sizeof(LeatLaunch) / 8); }
Value FrameBuilder::cell(int64_t bytes) {
  Value array;
  int64_t size = 0;
  return stack(array, size, std::max<int64_t>((bytes + 7) / 8, 1));
}
Value FrameBuilder::staging(int64_t bytes) { return stack(stagingArray, stagingCount, std::max<int64_t>((bytes + 7) / 8, 1)); }

} // namespace leat::host
