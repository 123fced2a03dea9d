// Typed access to nodes.
#include "passes/Import/Importer.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace leat::import {

int64_t OpContext::integer(StringRef name, int64_t fallback) {
  auto a = dyn_cast_or_null<IntegerAttr>(attribute(name));
  return a ? a.getValue().getSExtValue() : fallback;
}

double OpContext::real(StringRef name, double fallback) {
  auto a = dyn_cast_or_null<FloatAttr>(attribute(name));
  return a ? a.getValueAsDouble() : fallback;
}

std::string OpContext::text(StringRef name, StringRef fallback) {
  auto a = dyn_cast_or_null<StringAttr>(attribute(name));
  return (a ? a.getValue() : fallback).str();
}

std::optional<SmallVector<int64_t>> OpContext::integers(StringRef name) {
  Attribute a = attribute(name);
  if (auto list = dyn_cast_or_null<DenseI64ArrayAttr>(a))
    return SmallVector<int64_t>(list.asArrayRef());
  if (auto one = dyn_cast_or_null<IntegerAttr>(a))
    return SmallVector<int64_t>{one.getValue().getSExtValue()};
  return std::nullopt;
}

std::optional<SmallVector<double>> OpContext::reals(StringRef name) {
  Attribute a = attribute(name);
  if (auto list = dyn_cast_or_null<DenseF32ArrayAttr>(a))
    return SmallVector<double>(list.asArrayRef());
  if (auto one = dyn_cast_or_null<FloatAttr>(a))
    return SmallVector<double>{one.getValueAsDouble()};
  return std::nullopt;
}

Region *OpContext::graph(StringRef name) {
  if (!node.getGraphs())
    return nullptr;
  for (auto [i, a] : llvm::enumerate(*node.getGraphs()))
    if (cast<StringAttr>(a).getValue() == name)
      return &node.getBodies()[i];
  return nullptr;
}

bool OpContext::has(int64_t i) { return i < numOperands() && !isa<NoneType>(node.getInputs()[i].getType()); }

Value OpContext::operand(int64_t i) { return i < numOperands() ? importer.lookup(node.getInputs()[i]) : Value(); }

SmallVector<Value> OpContext::operands() {
  SmallVector<Value> list;
  for (int64_t i = 0; i < numOperands(); ++i)
    list.push_back(operand(i));
  return list;
}

Type OpContext::onnxElem(int64_t i) {
  auto t = dyn_cast<TensorType>(node.getInputs()[i].getType());
  return t ? t.getElementType() : elem(i); // in a body that ONNX could not infer: signed, if it is an integer
}
bool OpContext::isUnsigned(int64_t i) { return onnxElem(i).isUnsignedInteger() || onnxElem(i).isInteger(1); }

Type OpContext::onnxResultElem(int64_t i) {
  auto t = dyn_cast<TensorType>(node.getOutputs()[i].getType());
  return t ? t.getElementType() : Type();
}

std::optional<SmallVector<int64_t>> OpContext::inferredShape(int64_t i) {
  auto t = dyn_cast<RankedTensorType>(node.getOutputs()[i].getType());
  return t ? std::optional<SmallVector<int64_t>>(SmallVector<int64_t>(t.getShape())) : std::nullopt;
}

void OpContext::setResult(int64_t i, Value v) {
  if (i < numResults())
    importer.define(node.getOutputs()[i], v);
}

LogicalResult OpContext::fail(const Twine &reason) {
  why = reason.str();
  return failure();
}

FailureOr<int64_t> OpContext::axis(StringRef name, int64_t fallback, int64_t rank) {
  int64_t given = integer(name, fallback);
  auto a = GraphBuilder::normalizeAxis(given, rank);
  if (!a)
    return fail("attribute '" + name + "' = " + Twine(given) + " is no axis of a tensor of rank " + Twine(rank));
  return *a;
}

FailureOr<std::optional<SmallVector<int64_t>>> OpContext::axes(StringRef name, int64_t i, int64_t rank) {
  std::optional<SmallVector<int64_t>> list = integers(name);
  if (!list && i >= 0 && has(i)) {
    list = b.asConstantInts(operand(i));
    if (RankedTensorType t = GraphBuilder::type(operand(i)); !list && t.hasStaticShape() && t.getNumElements() == 0)
      list.emplace();
    if (!list)
      return fail("the axes (operand " + Twine(i) + ") are computed at run time; only constant axes can be compiled");
  }
  if (!list)
    return list;
  for (int64_t &a : *list) {
    auto n = GraphBuilder::normalizeAxis(a, rank);
    if (!n)
      return fail("axis " + Twine(a) + " is out of range for a tensor of rank " + Twine(rank));
    a = *n;
  }
  llvm::sort(*list);
  if (std::adjacent_find(list->begin(), list->end()) != list->end())
    return fail("an axis is given twice");
  return list;
}

std::optional<Dims> OpContext::runtimeAxes(StringRef name, int64_t i) {
  if (hasAttr(name) || !has(i) || b.asConstantInts(operand(i)))
    return std::nullopt;
  FailureOr<Dims> axes = scalars(i);
  if (failed(axes) || axes->empty())
    return std::nullopt;
  return *axes;
}

LogicalResult OpContext::importGraph(Region &graph, ValueRange args, SmallVectorImpl<Value> &results) {
  Block &block = graph.front();
  if (block.getNumArguments() != args.size())
    return fail("a subgraph has " + Twine(block.getNumArguments()) + " inputs where " + Twine(args.size()) + " are given");
  for (auto [arg, v] : llvm::zip(block.getArguments(), args))
    importer.define(arg, v);
  Location saved = b.loc;
  LogicalResult r = importer.importBlock(block, results);
  b.loc = saved;
  return failed(r) ? fail("a node of its subgraph cannot be lowered") : success();
}

size_t OpContext::reportMark() { return importer.reports.size(); }
void OpContext::dropReports(size_t mark) { importer.reports.resize(mark); }

Type convertElementType(Type onnx) {
  if (isa<FloatType>(onnx))
    return onnx;
  if (auto i = dyn_cast<IntegerType>(onnx))
    return IntegerType::get(i.getContext(), i.getWidth());
  return {};
}

int32_t onnxDataType(Type t) {
  if (auto i = dyn_cast<IntegerType>(t)) {
    bool u = i.isUnsigned();
    switch (i.getWidth()) {
    case 1:
      return 9;
    case 2:
      return u ? 25 : 26;
    case 4:
      return u ? 21 : 22;
    case 8:
      return u ? 2 : 3;
    case 16:
      return u ? 4 : 5;
    case 32:
      return u ? 12 : 6;
    case 64:
      return u ? 13 : 7;
    default:
      return -1;
    }
  }
  return llvm::TypeSwitch<Type, int32_t>(t)
      .Case<Float32Type>([](auto) { return 1; })
      .Case<Float16Type>([](auto) { return 10; })
      .Case<Float64Type>([](auto) { return 11; })
      .Case<BFloat16Type>([](auto) { return 16; })
      .Case<Float8E4M3FNType>([](auto) { return 17; })
      .Case<Float8E4M3FNUZType>([](auto) { return 18; })
      .Case<Float8E5M2Type>([](auto) { return 19; })
      .Case<Float8E5M2FNUZType>([](auto) { return 20; })
      .Case<Float4E2M1FNType>([](auto) { return 23; })
      .Case<Float8E8M0FNUType>([](auto) { return 24; })
      .Default([](Type) { return -1; });
}

Type typeFromOnnxDataType(MLIRContext *c, int64_t number) {
  auto u = [&](unsigned w) -> Type { return IntegerType::get(c, w, IntegerType::Unsigned); };
  auto s = [&](unsigned w) -> Type { return IntegerType::get(c, w); };
  switch (number) {
  case 1:
    return Float32Type::get(c);
  case 2:
    return u(8);
  case 3:
    return s(8);
  case 4:
    return u(16);
  case 5:
    return s(16);
  case 6:
    return s(32);
  case 7:
    return s(64);
  case 9:
    return s(1);
  case 10:
    return Float16Type::get(c);
  case 11:
    return Float64Type::get(c);
  case 12:
    return u(32);
  case 13:
    return u(64);
  case 16:
    return BFloat16Type::get(c);
  case 17:
    return Float8E4M3FNType::get(c);
  case 18:
    return Float8E4M3FNUZType::get(c);
  case 19:
    return Float8E5M2Type::get(c);
  case 20:
    return Float8E5M2FNUZType::get(c);
  case 21:
    return u(4);
  case 22:
    return s(4);
  case 23:
    return Float4E2M1FNType::get(c);
  case 24:
    return Float8E8M0FNUType::get(c);
  case 25:
    return u(2);
  case 26:
    return s(2);
  default:
    return {};
  }
}

} // namespace leat::import
