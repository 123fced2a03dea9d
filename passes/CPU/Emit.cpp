// See Emit.h.
#include "passes/CPU/Emit.h"

using namespace mlir;

namespace leat::cpu {

namespace {
bool isFloat(Value v) { return isa<FloatType>(getElementTypeOrSelf(v.getType())); }
unsigned alignOf(Type type) { return std::max(1u, getElementTypeOrSelf(type).getIntOrFloatBitWidth() / 8); }
} // namespace

Value Emit::constant(Type type, double value) {
  Type element = getElementTypeOrSelf(type);
  TypedAttr scalar = isa<FloatType>(element) ? TypedAttr(getFloatAttr(element, value)) : TypedAttr(getIntegerAttr(element, int64_t(value)));
  if (auto vector = dyn_cast<VectorType>(type))
    return arith::ConstantOp::create(*this, DenseElementsAttr::get(vector, Attribute(scalar)));
  return arith::ConstantOp::create(*this, scalar);
}

Value Emit::add(Value a, Value b) {
  return isFloat(a) ? arith::AddFOp::create(*this, a, b).getResult() : arith::AddIOp::create(*this, a, b).getResult();
}
Value Emit::sub(Value a, Value b) {
  return isFloat(a) ? arith::SubFOp::create(*this, a, b).getResult() : arith::SubIOp::create(*this, a, b).getResult();
}
Value Emit::mul(Value a, Value b) {
  return isFloat(a) ? arith::MulFOp::create(*this, a, b).getResult() : arith::MulIOp::create(*this, a, b).getResult();
}
Value Emit::div(Value a, Value b) {
  return isFloat(a) ? arith::DivFOp::create(*this, a, b).getResult() : arith::DivSIOp::create(*this, a, b).getResult();
}
// nnan makes these one instruction.
Value Emit::min(Value a, Value b) {
  return isFloat(a) ? arith::MinNumFOp::create(*this, a, b, arith::FastMathFlags::nnan).getResult()
                    : arith::MinSIOp::create(*this, a, b).getResult();
}
Value Emit::max(Value a, Value b) {
  return isFloat(a) ? arith::MaxNumFOp::create(*this, a, b, arith::FastMathFlags::nnan).getResult()
                    : arith::MaxSIOp::create(*this, a, b).getResult();
}

Value Emit::fma(const Target &target, Value a, Value b, Value c) {
  if (!isFloat(a) || !target.fma || !isa<VectorType>(a.getType()))
    return add(mul(a, b), c);
  return vector::FMAOp::create(*this, a, b, c);
}

Value Emit::convert(Value value, Type element) {
  Type from = getElementTypeOrSelf(value.getType());
  if (from == element)
    return value;
  Type type = isa<VectorType>(value.getType()) ? Type(cast<VectorType>(value.getType()).clone(element)) : element;
  bool wider = element.getIntOrFloatBitWidth() > from.getIntOrFloatBitWidth();
  if (isa<FloatType>(from) && isa<FloatType>(element)) {
    if (wider)
      return arith::ExtFOp::create(*this, type, value);
    if (element.getIntOrFloatBitWidth() == from.getIntOrFloatBitWidth()) // f16 <-> bf16
      return convert(convert(value, getF32Type()), element);
    return arith::TruncFOp::create(*this, type, value);
  }
  if (isa<FloatType>(element))
    return arith::SIToFPOp::create(*this, type, value);
  if (isa<FloatType>(from))
    return arith::FPToSIOp::create(*this, type, value);
  return wider ? arith::ExtSIOp::create(*this, type, value).getResult() : arith::TruncIOp::create(*this, type, value).getResult();
}

Value Emit::widen(const Target &target, Value stored, Type element) {
  Type from = getElementTypeOrSelf(stored.getType());
  if (from == element || !(from.isBF16() || (from.isF16() && !target.f16c)))
    return convert(stored, element);
  auto shaped = [&](Type type) { return isa<VectorType>(stored.getType()) ? Type(cast<VectorType>(stored.getType()).clone(type)) : type; };
  Type f32 = shaped(getF32Type()), i32 = shaped(getI32Type());
  auto c = [&](int64_t v) { return constant(i32, v); };
  Value wide = arith::ExtUIOp::create(*this, i32, arith::BitcastOp::create(*this, shaped(getI16Type()), stored));
  if (from.isBF16())
    return convert(arith::BitcastOp::create(*this, f32, arith::ShLIOp::create(*this, wide, c(16))), element);
  Value sign = arith::ShLIOp::create(*this, arith::AndIOp::create(*this, wide, c(0x8000)), c(16));
  Value magnitude = arith::ShLIOp::create(*this, arith::AndIOp::create(*this, wide, c(0x7fff)), c(13));
  // Exponent and mantissa in f32's places, then scaled by 2^112: exact for normal numbers and denormals alike.
  Value scaled = mul(arith::BitcastOp::create(*this, f32, magnitude), constant(f32, 0x1p112));
  Value special = cmp(arith::CmpIPredicate::uge, magnitude, c(0x7c00 << 13));
  Value infinite = arith::OrIOp::create(*this, magnitude, c(0x7f800000));
  Value chosen = select(special, infinite, arith::BitcastOp::create(*this, i32, scaled));
  return convert(arith::BitcastOp::create(*this, f32, arith::OrIOp::create(*this, chosen, sign)), element);
}

Value Emit::at(Value base, Type element, Value index) {
  return LLVM::GEPOp::create(*this, ptr(), element, base, ArrayRef<LLVM::GEPArg>{index});
}

Value Emit::load(Type type, Value pointer) { return LLVM::LoadOp::create(*this, type, pointer, alignOf(type)); }
void Emit::store(Value value, Value pointer) { LLVM::StoreOp::create(*this, value, pointer, alignOf(value.getType())); }

Value Emit::laneMask(Value count, int64_t lanes) {
  return vector::CreateMaskOp::create(*this, vec(lanes, getI1Type()), ValueRange{index(count)});
}
Value Emit::loadMasked(VectorType type, Value pointer, Value mask) {
  if (isa<FloatType>(type.getElementType()) &&
      type.getElementTypeBitWidth() == 16) // as integers, or a target without them goes through f32
    return arith::BitcastOp::create(*this, type, loadMasked(cast<VectorType>(type.clone(getI16Type())), pointer, mask));
  return LLVM::MaskedLoadOp::create(*this, type, pointer, mask, zero(type), alignOf(type));
}
void Emit::storeMasked(Value value, Value pointer, Value mask) {
  LLVM::MaskedStoreOp::create(*this, value, pointer, mask, alignOf(value.getType()));
}

Values Emit::loop(Value from, Value to, Value step, ValueRange init, llvm::function_ref<Values(Value, ValueRange)> body) {
  auto op = scf::ForOp::create(*this, from, to, step, init);
  OpBuilder::InsertionGuard guard(*this);
  if (op.getBody()->mightHaveTerminator())
    op.getBody()->back().erase();
  setInsertionPointToEnd(op.getBody());
  Values results = body(op.getInductionVar(), op.getRegionIterArgs());
  scf::YieldOp::create(*this, results);
  return Values(op.getResults());
}
void Emit::loop(Value from, Value to, Value step, llvm::function_ref<void(Value)> body) {
  loop(from, to, step, {}, [&](Value iv, ValueRange) { return body(iv), Values(); });
}

Values Emit::choose(Value cond, TypeRange types, llvm::function_ref<Values()> then, llvm::function_ref<Values()> otherwise) {
  auto op = scf::IfOp::create(*this, types, cond, /*addThenBlock=*/true, /*addElseBlock=*/true);
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPointToEnd(op.thenBlock());
  scf::YieldOp::create(*this, then());
  setInsertionPointToEnd(op.elseBlock());
  scf::YieldOp::create(*this, otherwise());
  return Values(op.getResults());
}
void Emit::when(Value cond, llvm::function_ref<void()> then, llvm::function_ref<void()> otherwise) {
  choose(
      cond, {}, [&] { return then(), Values(); },
      [&] {
        if (otherwise)
          otherwise();
        return Values();
      });
}

func::FuncOp sharedFunction(ModuleOp module, StringRef name, TypeRange args, llvm::function_ref<void(Emit &, ValueRange)> body) {
  if (auto existing = module.lookupSymbol<func::FuncOp>(name))
    return existing;
  Location loc = module.getLoc();
  Emit b(loc, module.getContext());
  b.setInsertionPointToStart(module.getBody());
  auto func = func::FuncOp::create(b, name, b.getFunctionType(args, {}));
  func.setPrivate();
  func->setAttr("llvm.linkage", LLVM::LinkageAttr::get(b.getContext(), LLVM::Linkage::Internal));
  // One copy: inlining a register-tiled loop into every kernel costs compile time and gains nothing.
  func->setAttr("passthrough", b.getStrArrayAttr({"noinline"}));
  Block *entry = func.addEntryBlock();
  b.setInsertionPointToEnd(entry);
  body(b, entry->getArguments());
  func::ReturnOp::create(b);
  return func;
}

} // namespace leat::cpu
