// Constant tensors of the host program, as read-only data of the shared object.
#include "passes/Host/Constants.h"

#include "passes/Host/FrameBuilder.h"

#include "llvm/ADT/Hashing.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace leat::host {

static std::string bufferBytes(DenseElementsAttr values) {
  Type element = values.getElementType();
  int64_t size = storageBytes(element);
  std::string bytes;
  bytes.reserve(size * values.getNumElements());
  auto append = [&](const APInt &v) {
    uint64_t word = v.zextOrTrunc(64).getZExtValue();
    for (int64_t i = 0; i < size; ++i)
      bytes.push_back(static_cast<char>(word >> (8 * i)));
  };
  if (isa<FloatType>(element))
    for (const APFloat &v : values.getValues<APFloat>())
      append(v.bitcastToAPInt());
  else
    for (const APInt &v : values.getValues<APInt>())
      append(v);
  return bytes;
}

LLVM::GlobalOp constantGlobal(ModuleOp module, DenseElementsAttr values) {
  std::string bytes = bufferBytes(values);
  OpBuilder b = OpBuilder::atBlockBegin(module.getBody());
  auto data = b.getStringAttr(bytes);
  std::string base = "leat.const." + llvm::utohexstr(llvm::hash_value(StringRef(bytes)), /*LowerCase=*/true), name = base;
  for (unsigned i = 0;; name = base + "." + std::to_string(i++)) {
    auto known = module.lookupSymbol<LLVM::GlobalOp>(name);
    if (!known)
      break;
    if (known.getValueOrNull() == data)
      return known;
  }
  auto type = LLVM::LLVMArrayType::get(b.getI8Type(), bytes.size());
  return LLVM::GlobalOp::create(b, module.getLoc(), type, /*isConstant=*/true, LLVM::Linkage::Private, name, data, /*alignment=*/64);
}

} // namespace leat::host
