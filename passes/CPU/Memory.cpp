// Loads, stores and conversions between how elements are stored and how kernels carry them.
#include "passes/CPU/KernelBuilder.h"
#include "passes/CPU/SmallFloats.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace leat::cpu {

Type KernelBuilder::carriedType(Type element) {
  return isa<Float16Type, BFloat16Type>(element) || isSmallFloat(element) ? Type(Float32Type::get(element.getContext())) : element;
}

Type KernelBuilder::storageType(Type element) {
  if (element.isIndex())
    return b.getI64Type();
  if (isa<Float16Type, BFloat16Type>(element))
    return b.getIntegerType(16);
  if (isSmallFloat(element))
    return b.getIntegerType(8);
  if (auto integer = dyn_cast<IntegerType>(element); integer && integer.getWidth() < 8)
    return b.getIntegerType(8);
  return element;
}

int64_t KernelBuilder::byteWidth(Type element) {
  if (element.isIndex())
    return 8;
  return llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
}

Type KernelBuilder::vectorOf(Type element, int64_t lanes) { return lanes == 1 ? element : Type(VectorType::get({lanes}, element)); }

/// `type` with the same shape (scalar or vector) as `like`.
static Type shaped(Type type, Value like) {
  auto vector = dyn_cast<VectorType>(like.getType());
  return vector ? Type(vector.clone(type)) : type;
}

Value KernelBuilder::splat(Value scalar, int64_t lanes) {
  if (lanes == 1 || isa<VectorType>(scalar.getType()))
    return scalar;
  return vector::BroadcastOp::create(b, VectorType::get({lanes}, scalar.getType()), scalar);
}

Value KernelBuilder::iota(int64_t lanes) {
  auto type = VectorType::get({lanes}, b.getIndexType());
  SmallVector<Attribute> attrs;
  for (int64_t v = 0; v < lanes; ++v)
    attrs.push_back(b.getIndexAttr(v));
  return arith::ConstantOp::create(b, DenseElementsAttr::get(type, attrs));
}

Value KernelBuilder::lane(Value vector, int64_t lane) {
  return isa<VectorType>(vector.getType()) ? vector::ExtractOp::create(b, vector, ArrayRef<int64_t>{lane}).getResult() : vector;
}

// --- 16-bit floats ------------------------------------------------------------------------------------------------------------------
// bf16 always, and f16 where the processor cannot convert, are converted with integer operations: LLVM would call compiler-rt.

static Value bf16ToF32(KernelBuilder &k, Value bits) {
  auto &b = k.b;
  Type i32 = shaped(b.getI32Type(), bits);
  Value wide = arith::ExtUIOp::create(b, i32, bits);
  return arith::BitcastOp::create(b, shaped(b.getF32Type(), bits), arith::ShLIOp::create(b, wide, k.constantInt(i32, 16)));
}

static Value f32ToBf16(KernelBuilder &k, Value x) {
  auto &b = k.b;
  Type i32 = shaped(b.getI32Type(), x);
  Value bits = arith::BitcastOp::create(b, i32, x), c16 = k.constantInt(i32, 16);
  // Round to nearest even: add half, plus one if the kept part is odd.
  Value odd = arith::AndIOp::create(b, arith::ShRUIOp::create(b, bits, c16), k.constantInt(i32, 1));
  Value rounded = arith::AddIOp::create(b, bits, arith::AddIOp::create(b, odd, k.constantInt(i32, 0x7fff)));
  Value nan = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, x, x);
  Value quiet = arith::OrIOp::create(b, bits, k.constantInt(i32, 0x400000));
  Value chosen = arith::SelectOp::create(b, nan, quiet, rounded);
  return arith::TruncIOp::create(b, shaped(b.getIntegerType(16), x), arith::ShRUIOp::create(b, chosen, c16));
}

static Value f16ToF32(KernelBuilder &k, Value bits) {
  auto &b = k.b;
  Type f32 = shaped(b.getF32Type(), bits), i32 = shaped(b.getI32Type(), bits);
  if (k.target.f16c) {
    Value half = arith::BitcastOp::create(b, shaped(b.getF16Type(), bits), bits);
    return arith::ExtFOp::create(b, f32, half);
  }
  auto c = [&](int64_t v) { return k.constantInt(i32, v); };
  Value wide = arith::ExtUIOp::create(b, i32, bits);
  Value sign = arith::ShLIOp::create(b, arith::AndIOp::create(b, wide, c(0x8000)), c(16));
  Value magnitude = arith::ShLIOp::create(b, arith::AndIOp::create(b, wide, c(0x7fff)), c(13));
  // Exponent and mantissa in f32's places, then scaled by 2^112: exact for normal numbers and denormals alike.
  Value scaled = arith::MulFOp::create(b, arith::BitcastOp::create(b, f32, magnitude), k.constant(f32, 0x1p112));
  Value special = arith::CmpIOp::create(b, arith::CmpIPredicate::uge, magnitude, c(0x7c00 << 13));
  Value infinite = arith::OrIOp::create(b, magnitude, c(0x7f800000));
  Value chosen = arith::SelectOp::create(b, special, infinite, arith::BitcastOp::create(b, i32, scaled));
  return arith::BitcastOp::create(b, f32, arith::OrIOp::create(b, chosen, sign));
}

static Value f32ToF16(KernelBuilder &k, Value x) {
  auto &b = k.b;
  Type f32 = x.getType(), i32 = shaped(b.getI32Type(), x), i16 = shaped(b.getIntegerType(16), x);
  if (k.target.f16c) {
    Value half = arith::TruncFOp::create(b, shaped(b.getF16Type(), x), x);
    return arith::BitcastOp::create(b, i16, half);
  }
  auto c = [&](int64_t v) { return k.constantInt(i32, v); };
  Value bits = arith::BitcastOp::create(b, i32, x);
  Value sign = arith::AndIOp::create(b, bits, c(int32_t(0x80000000)));
  Value magnitude = arith::XOrIOp::create(b, bits, sign);
  // Below 2^-14: adding 0.5 makes the FPU round to multiples of 2^-24. The sum's low bits are the denormal.
  Value denormal = arith::AddFOp::create(b, arith::BitcastOp::create(b, f32, magnitude), k.constant(f32, 0.5));
  Value small = arith::SubIOp::create(b, arith::BitcastOp::create(b, i32, denormal), c(0x3f000000));
  Value odd = arith::AndIOp::create(b, arith::ShRUIOp::create(b, magnitude, c(13)), c(1));
  Value rounded = arith::AddIOp::create(b, arith::AddIOp::create(b, magnitude, c(int32_t(0xc8000fffu))), odd);
  Value normal = arith::ShRUIOp::create(b, rounded, c(13));
  Value nan = arith::CmpIOp::create(b, arith::CmpIPredicate::ugt, magnitude, c(0x7f800000));
  Value special = arith::SelectOp::create(b, nan, c(0x7e00), c(0x7c00));
  Value isSmall = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, magnitude, c(0x38800000));
  Value isLarge = arith::CmpIOp::create(b, arith::CmpIPredicate::uge, magnitude, c(0x47800000));
  Value result = arith::SelectOp::create(b, isSmall, small, normal);
  result = arith::SelectOp::create(b, isLarge, special, result);
  result = arith::OrIOp::create(b, result, arith::ShRUIOp::create(b, sign, c(16)));
  return arith::TruncIOp::create(b, i16, result);
}

Value KernelBuilder::fromStorage(Value stored, Type element) {
  if (element.isIndex())
    return arith::IndexCastOp::create(b, shaped(element, stored), stored);
  if (isa<BFloat16Type>(element))
    return bf16ToF32(*this, stored);
  if (isa<Float16Type>(element))
    return f16ToF32(*this, stored);
  if (isSmallFloat(element))
    return decodeSmallFloat(*this, stored, cast<FloatType>(element));
  if (element.isInteger(1))
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, stored, constantInt(stored.getType(), 0));
  if (storageType(element) != element)
    return arith::TruncIOp::create(b, shaped(element, stored), stored);
  return stored;
}

Value KernelBuilder::toStorage(Value carried, Type element) {
  if (element.isIndex())
    return arith::IndexCastOp::create(b, shaped(b.getI64Type(), carried), carried);
  if (isa<BFloat16Type>(element))
    return f32ToBf16(*this, carried);
  if (isa<Float16Type>(element))
    return f32ToF16(*this, carried);
  if (isSmallFloat(element))
    return encodeSmallFloat(*this, carried, cast<FloatType>(element));
  Type storage = storageType(element);
  return storage == element ? carried : arith::ExtUIOp::create(b, shaped(storage, carried), carried).getResult();
}

Value KernelBuilder::roundTo(Value carried, Type element) { return fromStorage(toStorage(carried, element), element); }

// --- memory -----------------------------------------------------------------------------------------------------------------------------

Value KernelBuilder::bytePtr(Value base, Value bytes) { return elementPtr(base, b.getIntegerType(8), bytes); }

Value KernelBuilder::elementPtr(Value base, Type element, Value offset) {
  if (getConstantIntValue(offset) == 0)
    return base;
  Type ptr = LLVM::LLVMPointerType::get(b.getContext());
  Type elementType = storageType(element);
  if (auto vector = dyn_cast<VectorType>(offset.getType())) {
    Value offsets = arith::IndexCastOp::create(b, vector.clone(b.getI64Type()), offset);
    return LLVM::GEPOp::create(b, VectorType::get(vector.getShape(), ptr), elementType, base, ArrayRef<LLVM::GEPArg>{offsets});
  }
  return LLVM::GEPOp::create(b, ptr, elementType, base, ArrayRef<LLVM::GEPArg>{i64(offset)});
}

Value KernelBuilder::load(Value base, Type element, Value offset, int64_t lanes) {
  Value address = elementPtr(base, element, offset);
  return fromStorage(LLVM::LoadOp::create(b, vectorOf(storageType(element), lanes), address, byteWidth(element)), element);
}

void KernelBuilder::store(Value value, Value base, Type element, Value offset) {
  LLVM::StoreOp::create(b, toStorage(value, element), elementPtr(base, element, offset), byteWidth(element));
}

Value KernelBuilder::gather(Value base, Type element, Value offsets) {
  int64_t lanes = cast<VectorType>(offsets.getType()).getNumElements();
  Type type = vectorOf(storageType(element), lanes);
  Value mask = constantInt(vectorOf(b.getI1Type(), lanes), 1);
  Value none = LLVM::PoisonOp::create(b, type);
  Value loaded = LLVM::masked_gather::create(b, type, elementPtr(base, element, offsets), mask, ValueRange{none},
                                             b.getI32IntegerAttr(byteWidth(element)));
  return fromStorage(loaded, element);
}

void KernelBuilder::scatter(Value value, Value base, Type element, Value offsets) {
  int64_t lanes = cast<VectorType>(offsets.getType()).getNumElements();
  Value mask = constantInt(vectorOf(b.getI1Type(), lanes), 1);
  LLVM::masked_scatter::create(b, toStorage(splat(value, lanes), element), elementPtr(base, element, offsets), mask,
                               b.getI32IntegerAttr(byteWidth(element)));
}

Value KernelBuilder::globalConstant(DenseElementsAttr value) {
  // Sub-byte integers and index have other types in memory.
  Type element = value.getElementType(), storage = storageType(element);
  if (storage != element && !isa<FloatType>(element))
    value = cast<DenseElementsAttr>(value).mapValues(storage, [&](const APInt &v) {
      return element.isInteger(1) ? v.zext(8) : element.isIndex() ? v.sextOrTrunc(64) : v.zext(8);
    });
  auto module = kernel->getParentOfType<ModuleOp>();
  std::string name;
  for (int64_t i = 0;; ++i) {
    name = (kernel.getSymName() + ".const" + Twine(i)).str();
    auto existing = module.lookupSymbol<LLVM::GlobalOp>(name);
    if (existing && existing.getValueOrNull() != Attribute(value))
      continue;
    if (!existing) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(module.getBody());
      Type type = LLVM::LLVMArrayType::get(value.getElementType(), std::max<int64_t>(value.getNumElements(), 1));
      auto flat = value.reshape(RankedTensorType::get({value.getNumElements()}, value.getElementType()));
      existing = LLVM::GlobalOp::create(b, type, /*isConstant=*/true, LLVM::Linkage::Private, name, flat, /*alignment=*/64);
      (void)existing;
    }
    break;
  }
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(marker);
  return LLVM::AddressOfOp::create(b, LLVM::LLVMPointerType::get(b.getContext()), name);
}

} // namespace leat::cpu
