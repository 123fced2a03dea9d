// Reads parameters out of the compiler's store.
#include "passes/Stream/ParamTable.h"

#include "llvm/ADT/APFloat.h"
#include <cstring>

using namespace mlir;

namespace leat::stream {

namespace {

template <typename T> double load(const char *p) {
  T v;
  memcpy(&v, p, sizeof(T));
  return static_cast<double>(v);
}

double toDouble(Attribute a) {
  if (auto f = dyn_cast<FloatAttr>(a))
    return f.getValueAsDouble();
  APInt i = cast<IntegerAttr>(a).getValue();
  return i.getBitWidth() == 1 ? i.getZExtValue() : i.getSExtValue();
}

} // namespace

std::vector<double> readTable(ParamRefOp ref) {
  auto param = SymbolTable::lookupNearestSymbolFrom<ParamOp>(ref, ref.getParamAttr());
  auto type = cast<RankedTensorType>(ref.getType());
  if (!param || !type.hasStaticShape())
    return {};
  std::vector<double> values(type.getNumElements());
  if (auto inlined = dyn_cast_or_null<DenseElementsAttr>(param.getValueAttr())) {
    if (!inlined.getElementType().isIntOrFloat())
      return {};
    for (auto [slot, v] : llvm::zip(values, inlined.getValues<Attribute>()))
      slot = toDouble(v);
    return values;
  }
  if (!param.getKey())
    return {};
  ArrayRef<char> bytes = ref->getContext()->getLoadedDialect<LeatDialect>()->params().get(*param.getKey());
  Type element = type.getElementType();
  auto read = [&](auto convert, size_t width) {
    if (bytes.size() != values.size() * width)
      return false;
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = convert(bytes.data() + i * width);
    return true;
  };
  bool good = false;
  if (element.isF32())
    good = read(load<float>, 4);
  else if (element.isF64())
    good = read(load<double>, 8);
  else if (element.isF16() || element.isBF16())
    good = read(
        [&](const char *p) {
          uint16_t bits;
          memcpy(&bits, p, 2);
          return APFloat(cast<FloatType>(element).getFloatSemantics(), APInt(16, bits)).convertToDouble();
        },
        2);
  else if (element.isInteger(1))
    good = read([](const char *p) { return *p ? 1.0 : 0.0; }, 1);
  else if (element.isInteger(8))
    good = read(load<int8_t>, 1);
  else if (element.isInteger(32))
    good = read(load<int32_t>, 4);
  else if (element.isInteger(64))
    good = read(load<int64_t>, 8);
  return good ? values : std::vector<double>();
}

} // namespace leat::stream
