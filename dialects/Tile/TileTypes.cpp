// Layouts, tiles in shared memory and in registers: how they are written, and which of them exist.
#include "dialects/Tile/Tile.h"

#include "mlir/IR/Builders.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace leat::tile {

// --- #tile.layout<acc, 2x2>
// ---------------------------------------------------------------------------------------------------------------

Attribute LayoutAttr::parse(AsmParser &parser, Type) {
  SMLoc loc = parser.getCurrentLocation();
  StringRef keyword;
  SmallVector<int64_t> warps;
  if (parser.parseLess() || parser.parseKeyword(&keyword))
    return {};
  std::optional<LayoutKind> kind = symbolizeLayoutKind(keyword);
  if (!kind)
    return parser.emitError(loc, "knows no layout '") << keyword << "': acc, a, b, wgmma_acc, wgmma_a, row or vector", Attribute();
  if (parser.parseComma() || parser.parseDimensionList(warps, /*allowDynamic=*/false, /*withTrailingX=*/false) || parser.parseGreater())
    return {};
  if (warps.size() != 2)
    return parser.emitError(loc, "needs the warps of a layout as rows x columns"), Attribute();
  return parser.getChecked<LayoutAttr>(loc, parser.getContext(), *kind, warps[0], warps[1]);
}

void LayoutAttr::print(AsmPrinter &printer) const {
  printer << "<" << stringifyLayoutKind(getKind()) << ", " << getWarpsM() << "x" << getWarpsN() << ">";
}

LogicalResult LayoutAttr::verify(function_ref<InFlightDiagnostic()> emitError, LayoutKind kind, int64_t warpsM, int64_t warpsN) {
  if (warpsM < 1 || warpsN < 1 || warpsM * warpsN > 32)
    return emitError() << "needs 1 to 32 warps, got " << warpsM << "x" << warpsN;
  bool wgmma = kind == LayoutKind::WgmmaAcc || kind == LayoutKind::WgmmaA;
  if (wgmma && (warpsM % 4 != 0 || warpsN != 1))
    return emitError() << "needs groups of four warps below each other for " << stringifyLayoutKind(kind) << ", got " << warpsM << "x"
                       << warpsN;
  return success();
}

// --- !tile.shared<64x32xf16, swizzle = 64, pad = 16, stages = 3>
// --------------------------------------------------------------------------

Type SharedType::parse(AsmParser &parser) {
  SMLoc loc = parser.getCurrentLocation();
  SmallVector<int64_t> dims;
  Type element;
  int64_t swizzle = 0, pad = 0, stages = 1;
  if (parser.parseLess() || parser.parseDimensionList(dims, /*allowDynamic=*/false) || parser.parseType(element))
    return {};
  while (succeeded(parser.parseOptionalComma())) {
    SMLoc at = parser.getCurrentLocation();
    StringRef keyword;
    if (parser.parseKeyword(&keyword) || parser.parseEqual())
      return {};
    int64_t *field = keyword == "swizzle" ? &swizzle : keyword == "pad" ? &pad : keyword == "stages" ? &stages : nullptr;
    if (!field)
      return parser.emitError(at, "a tile in shared memory has swizzle, pad and stages, but no '") << keyword << "'", Type();
    if (parser.parseInteger(*field))
      return {};
  }
  if (parser.parseGreater())
    return {};
  if (dims.size() != 2)
    return parser.emitError(loc, "needs rows x columns, got ") << dims.size() << " dimensions", Type();
  return parser.getChecked<SharedType>(loc, parser.getContext(), dims[0], dims[1], element, swizzle, pad, stages);
}

void SharedType::print(AsmPrinter &printer) const {
  printer << "<" << getRows() << "x" << getCols() << "x" << getElement();
  if (getSwizzle())
    printer << ", swizzle = " << getSwizzle();
  if (getPad())
    printer << ", pad = " << getPad();
  if (getStages() != 1)
    printer << ", stages = " << getStages();
  printer << ">";
}

LogicalResult SharedType::verify(function_ref<InFlightDiagnostic()> emitError, int64_t rows, int64_t cols, Type element, int64_t swizzle,
                                 int64_t pad, int64_t stages) {
  if (!element.isIntOrFloat() || element.getIntOrFloatBitWidth() % 8 != 0)
    return emitError() << "needs elements of whole bytes in shared memory, got " << element;
  if (rows < 1 || cols < 1 || stages < 1)
    return emitError() << "needs at least one row, one column and one stage, got " << rows << "x" << cols << " and " << stages;
  int64_t rowBytes = cols * element.getIntOrFloatBitWidth() / 8;
  if (swizzle != 0 && swizzle != 32 && swizzle != 64 && swizzle != 128)
    return emitError() << "knows swizzles of 32, 64 and 128 bytes, got " << swizzle;
  if (swizzle && rowBytes % swizzle != 0)
    return emitError() << "needs rows of whole swizzle spans of " << swizzle << " bytes, got " << rowBytes << " bytes";
  if (swizzle && rows % 8 != 0)
    return emitError() << "needs rows in multiples of 8 to swizzle them, got " << rows;
  if (swizzle && pad)
    return emitError() << "has either a swizzle or padding";
  if (pad < 0 || (pad && (rowBytes + pad) % 16 != 0))
    return emitError() << "needs padded rows in multiples of 16 bytes, got " << rowBytes << " and " << pad;
  return success();
}

int64_t SharedType::getStageBytes() const {
  int64_t bytes = getSwizzle() ? getRows() * getCols() * getElementBytes() : getRows() * getRowBytes();
  return llvm::alignTo(bytes, getAlignment());
}

bool isByte(Type element) { return element.isSignlessInteger(8) || element.isUnsignedInteger(8); }

// --- !tile.reg<64x64xf32, #tile.layout<acc, 2x2>>
// -----------------------------------------------------------------------------------------

Type RegType::parse(AsmParser &parser) {
  SMLoc loc = parser.getCurrentLocation();
  SmallVector<int64_t> dims;
  Type element;
  LayoutAttr layout;
  if (parser.parseLess() || parser.parseDimensionList(dims, /*allowDynamic=*/false) || parser.parseType(element) || parser.parseComma() ||
      parser.parseAttribute(layout) || parser.parseGreater())
    return {};
  if (dims.size() != 2)
    return parser.emitError(loc, "needs rows x columns, got ") << dims.size() << " dimensions", Type();
  return parser.getChecked<RegType>(loc, parser.getContext(), dims[0], dims[1], element, layout);
}

void RegType::print(AsmPrinter &printer) const {
  printer << "<" << getRows() << "x" << getCols() << "x" << getElement() << ", " << getLayout() << ">";
}

LogicalResult RegType::verify(function_ref<InFlightDiagnostic()> emitError, int64_t rows, int64_t cols, Type element, LayoutAttr layout) {
  int64_t bits = element.isIntOrFloat() ? element.getIntOrFloatBitWidth() : 0;
  auto needs = [&](int64_t fragmentRows, int64_t fragmentCols) -> LogicalResult {
    if (rows % (fragmentRows * layout.getWarpsM()) == 0 && cols % (fragmentCols * layout.getWarpsN()) == 0)
      return success();
    return emitError() << "needs whole fragments of " << fragmentRows << "x" << fragmentCols << " for each of " << layout.getWarpsM() << "x"
                       << layout.getWarpsN() << " warps, got " << rows << "x" << cols;
  };
  switch (layout.getKind()) {
  case LayoutKind::Acc:
  case LayoutKind::WgmmaAcc:
    if (bits != 32)
      return emitError() << "needs 32-bit elements in an accumulator, got " << element;
    return needs(16, 8);
  case LayoutKind::A:
  case LayoutKind::B:
  case LayoutKind::WgmmaA: {
    if (bits != 16 && (!isByte(element) || layout.getKind() == LayoutKind::WgmmaA))
      return emitError() << "needs 16-bit elements in an operand, or bytes in layouts a and b, got " << element;
    // Every column of warps holds all of the depth of its rows, every row of them that of its columns.
    bool right = layout.getKind() == LayoutKind::B;
    int64_t fragmentRows = right ? 8 : 16, fragmentCols = 256 / bits, warps = right ? layout.getWarpsN() : layout.getWarpsM();
    if (rows % (fragmentRows * warps) != 0 || cols % fragmentCols != 0)
      return emitError() << "needs whole fragments of " << fragmentRows << "x" << fragmentCols << " for each of " << warps << " warps, got "
                         << rows << "x" << cols;
    return success();
  }
  case LayoutKind::Row:
    if (bits != 32)
      return emitError() << "needs 32-bit elements in a row slice, got " << element;
    if (cols != 1 || rows % (16 * layout.getWarpsM()) != 0)
      return emitError() << "needs one column and 16 rows for each of " << layout.getWarpsM() << " warps, got " << rows << "x" << cols;
    return success();
  case LayoutKind::Vector:
    if (bits % 8 != 0 || bits == 0 || bits > 64)
      return emitError() << "needs elements of 1 to 8 bytes, got " << element;
    if ((rows * cols * bits / 8) % (layout.getWarpsM() * layout.getWarpsN() * 32 * 16) != 0)
      return emitError() << "needs 16 bytes for each thread of " << layout.getWarpsM() * layout.getWarpsN() << " warps, got " << rows << "x"
                         << cols << "x" << element;
    return success();
  }
  llvm_unreachable("covered");
}

int64_t RegType::getThreadElements() const {
  switch (getKind()) {
  case LayoutKind::Row:
    return getWarpRows() / 8;
  case LayoutKind::A:
  case LayoutKind::WgmmaA:
    return getWarpRows() * getCols() / 32;
  case LayoutKind::B:
    return getRows() / getLayout().getWarpsN() * getCols() / 32;
  default:
    return getRows() * getCols() / (getWarps() * 32);
  }
}

LogicalResult MBarriersType::verify(function_ref<InFlightDiagnostic()> emitError, int64_t count) {
  if (count < 1)
    return emitError() << "needs at least one barrier, got " << count;
  return success();
}

} // namespace leat::tile
