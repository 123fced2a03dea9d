// Types, constants, weights and nodes of a plain graph as MLIR.
#include "lib/Frontend/GraphToMLIR.h"

#include "dialects/Leat/Leat.h"
#include "dialects/ONNX/ONNX.h"
#include "lib/Frontend/Text.h"

#include "llvm/ADT/APFloat.h"

using namespace mlir;

namespace leat::frontend {
namespace {

/// Tensors up to this size are in the IR, where folding sees them; larger ones are parameters.
constexpr int64_t smallTensor = 1024;

/// Every ONNX data type with its MLIR type; the index is ONNX's number.
SmallVector<Type> elementTypes(MLIRContext *c) {
  auto integer = [&](unsigned width) { return IntegerType::get(c, width); };
  auto natural = [&](unsigned width) { return IntegerType::get(c, width, IntegerType::Unsigned); };
  return {Type(),
          Float32Type::get(c),
          natural(8),
          integer(8),
          natural(16),
          integer(16),
          integer(32),
          integer(64),
          onnxir::StringType::get(c),
          integer(1),
          Float16Type::get(c),
          Float64Type::get(c),
          natural(32),
          natural(64),
          ComplexType::get(Float32Type::get(c)),
          ComplexType::get(Float64Type::get(c)),
          BFloat16Type::get(c),
          Float8E4M3FNType::get(c),
          Float8E4M3FNUZType::get(c),
          Float8E5M2Type::get(c),
          Float8E5M2FNUZType::get(c),
          natural(4),
          integer(4),
          Float4E2M1FNType::get(c),
          Float8E8M0FNUType::get(c),
          natural(2),
          integer(2),
          Float6E2M3FNType::get(c),
          Float6E3M2FNType::get(c)};
}

/// Reads element `index` of packed little-endian bytes.
APInt readBits(const Tensor &tensor, int64_t index, unsigned storageBits, unsigned width) {
  uint64_t value = 0;
  if (storageBits >= 8) {
    std::memcpy(&value, tensor.data + index * (storageBits / 8), storageBits / 8);
  } else {
    for (unsigned bit = 0; bit < storageBits; ++bit) {
      uint64_t at = uint64_t(index) * storageBits + bit;
      value |= uint64_t((uint8_t(tensor.data[at / 8]) >> (at % 8)) & 1) << bit;
    }
  }
  return APInt(64, width == 1 ? value != 0 : value).trunc(width);
}

/// A small tensor as an attribute.
DenseElementsAttr toElements(MLIRContext *context, const Tensor &tensor) {
  Type element = elementType(context, tensor.elementType);
  auto type = RankedTensorType::get(tensor.dims, element);
  if (isa<onnxir::StringType>(element)) {
    SmallVector<StringRef> strings(tensor.strings.begin(), tensor.strings.end());
    return DenseStringElementsAttr::get(type, strings);
  }
  if (auto complex = dyn_cast<ComplexType>(element)) {
    const auto &semantics = cast<FloatType>(complex.getElementType()).getFloatSemantics();
    unsigned width = complex.getElementType().getIntOrFloatBitWidth();
    SmallVector<std::complex<APFloat>> values;
    for (int64_t i = 0; i < tensor.elements; ++i)
      values.push_back(
          {APFloat(semantics, readBits(tensor, 2 * i, width, width)), APFloat(semantics, readBits(tensor, 2 * i + 1, width, width))});
    return DenseElementsAttr::get(type, values);
  }
  unsigned width = element.getIntOrFloatBitWidth();
  unsigned storage = width == 1 ? 8 : width;
  if (auto floating = dyn_cast<FloatType>(element)) {
    SmallVector<APFloat> values;
    for (int64_t i = 0; i < tensor.elements; ++i)
      values.push_back(APFloat(floating.getFloatSemantics(), readBits(tensor, i, storage, width)));
    return DenseElementsAttr::get(type, values);
  }
  SmallVector<APInt> values;
  for (int64_t i = 0; i < tensor.elements; ++i)
    values.push_back(readBits(tensor, i, storage, width));
  return DenseElementsAttr::get(type, values);
}

bool isSmall(const Tensor &tensor) { return tensor.elements <= smallTensor || !tensor.strings.empty(); }

/// How locations and messages name a node; the same text as NodeOp::describe.
std::string describe(const Node &node) {
  std::string text = node.domain.empty() ? "" : plain(node.domain) + ".";
  text += plain(node.opType) + " node";
  return node.name.empty() ? text : text + " " + quote(node.name);
}

} // namespace

Type elementType(MLIRContext *context, int32_t onnxType) {
  auto types = elementTypes(context);
  return onnxType > 0 && size_t(onnxType) < types.size() ? types[onnxType] : Type();
}

int32_t onnxElementType(Type type) {
  auto types = elementTypes(type.getContext());
  auto found = llvm::find(types, type);
  return found == types.end() ? 0 : int32_t(found - types.begin());
}

Type toMLIR(MLIRContext *context, const ValueType &type) {
  if (type.kind != ValueType::Kind::Tensor)
    return onnxir::OpaqueType::get(context, type.kind == ValueType::Kind::Unknown ? "unknown" : type.spelling);
  Type element = elementType(context, type.elementType);
  if (!type.ranked)
    return UnrankedTensorType::get(element);
  // Inferred sizes can be nonsense in a nonsensical model; a dynamic one is always right.
  SmallVector<int64_t> dims;
  int64_t elements = 1;
  for (const Dim &dim : type.dims) {
    int64_t product = 0;
    bool sane =
        dim.size >= 0 && !__builtin_mul_overflow(elements, std::max<int64_t>(dim.size, 1), &product) && product < (int64_t(1) << 48);
    dims.push_back(sane ? dim.size : ShapedType::kDynamic);
    elements = sane ? product : elements;
  }
  return RankedTensorType::get(dims, element);
}

ValueType fromMLIR(Type type) {
  ValueType result;
  auto tensor = dyn_cast<TensorType>(type);
  if (!tensor || !onnxElementType(tensor.getElementType()))
    return result;
  result.kind = ValueType::Kind::Tensor;
  result.elementType = onnxElementType(tensor.getElementType());
  result.ranked = tensor.hasRank();
  if (result.ranked)
    for (int64_t dim : tensor.getShape())
      result.dims.push_back({ShapedType::isDynamic(dim) ? -1 : dim, ""});
  return result;
}

Value GraphBuilder::Scope::find(StringRef name) const {
  for (const Scope *scope = this; scope; scope = scope->outer)
    if (auto found = scope->values.find(name); found != scope->values.end())
      return found->second;
  return Value();
}

GraphBuilder::GraphBuilder(ModuleOp module) : module(module), context(module.getContext()) {
  for (Operation &op : *module.getBody()) {
    if (isa<ParamOp>(op))
      lastParam = &op;
    if (auto name = op.getAttrOfType<StringAttr>(SymbolTable::getSymbolAttrName()))
      symbols.insert(name.getValue());
  }
  // Functions that later stages make.
  symbols.insert("main");
  symbols.insert("step");
}

FlatSymbolRefAttr GraphBuilder::declareParam(Location loc, const Tensor &tensor, StringRef name) {
  std::string symbol = name.empty() ? "param" : name.str();
  for (int i = 1; !symbols.insert(symbol).second; ++i)
    symbol = (name.empty() ? "param" : name).str() + "_" + std::to_string(i);
  auto type = RankedTensorType::get(tensor.dims, elementType(context, tensor.elementType));
  // Parameters come before all functions, in the order of the model.
  OpBuilder builder(context);
  if (lastParam)
    builder.setInsertionPointAfter(lastParam);
  else
    builder.setInsertionPointToStart(module.getBody());
  lastParam = ParamOp::create(builder, loc, builder.getStringAttr(symbol), TypeAttr::get(type), builder.getStringAttr(symbol),
                              ElementsAttr(), StringAttr());
  context->getLoadedDialect<LeatDialect>()->params().set(symbol, {ArrayRef<char>(tensor.data, tensor.bytes), tensor.owner});
  return FlatSymbolRefAttr::get(context, symbol);
}

Value GraphBuilder::buildConstant(OpBuilder &builder, Location loc, const Tensor &tensor, StringRef name) {
  if (isSmall(tensor))
    return onnxir::ConstantOp::create(builder, loc, toElements(context, tensor));
  auto type = RankedTensorType::get(tensor.dims, elementType(context, tensor.elementType));
  return ParamRefOp::create(builder, loc, type, declareParam(loc, tensor, name));
}

/// A Constant node in any of its spellings; null if it is none of them.
Value GraphBuilder::buildConstantNode(OpBuilder &builder, Location loc, const Node &node) {
  if (node.opType != "Constant" || !node.domain.empty() || node.attributes.size() != 1 || node.outputs.size() != 1)
    return Value();
  const Attribute &attribute = node.attributes[0];
  using Kind = Attribute::Kind;
  DenseElementsAttr value;
  auto vectorOf = [&](size_t size, Type type) { return RankedTensorType::get({int64_t(size)}, type); };
  auto scalarOf = [&](Type type) { return RankedTensorType::get({}, type); };
  Type string = onnxir::StringType::get(context);
  SmallVector<StringRef> strings(attribute.strings.begin(), attribute.strings.end());
  switch (attribute.kind) {
  case Kind::Tensor:
    return buildConstant(builder, loc, attribute.tensors[0], node.outputs[0]);
  case Kind::Int:
    value = DenseElementsAttr::get(scalarOf(builder.getI64Type()), ArrayRef<int64_t>(attribute.ints));
    break;
  case Kind::Ints:
    value = DenseElementsAttr::get(vectorOf(attribute.ints.size(), builder.getI64Type()), ArrayRef<int64_t>(attribute.ints));
    break;
  case Kind::Float:
    value = DenseElementsAttr::get(scalarOf(builder.getF32Type()), ArrayRef<float>(attribute.floats));
    break;
  case Kind::Floats:
    value = DenseElementsAttr::get(vectorOf(attribute.floats.size(), builder.getF32Type()), ArrayRef<float>(attribute.floats));
    break;
  case Kind::String:
    value = DenseStringElementsAttr::get(scalarOf(string), strings);
    break;
  case Kind::Strings:
    value = DenseStringElementsAttr::get(vectorOf(strings.size(), string), strings);
    break;
  default:
    return Value();
  }
  return onnxir::ConstantOp::create(builder, loc, value);
}

mlir::Attribute GraphBuilder::toAttribute(Location loc, const Attribute &attribute, StringRef name) {
  Builder builder(context);
  auto tensorAttribute = [&](const Tensor &tensor) -> mlir::Attribute {
    if (isSmall(tensor))
      return toElements(context, tensor);
    return declareParam(loc, tensor, tensor.name.empty() ? name : StringRef(tensor.name));
  };
  SmallVector<mlir::Attribute> list;
  using Kind = Attribute::Kind;
  switch (attribute.kind) {
  case Kind::Float:
    return builder.getF32FloatAttr(attribute.floats[0]);
  case Kind::Int:
    return builder.getI64IntegerAttr(attribute.ints[0]);
  case Kind::String:
    return builder.getStringAttr(attribute.strings[0]);
  case Kind::Tensor:
    return tensorAttribute(attribute.tensors[0]);
  case Kind::Type:
    return TypeAttr::get(toMLIR(context, attribute.types[0]));
  case Kind::Floats:
    return builder.getDenseF32ArrayAttr(attribute.floats);
  case Kind::Ints:
    return builder.getDenseI64ArrayAttr(attribute.ints);
  case Kind::Strings:
    for (const auto &text : attribute.strings)
      list.push_back(builder.getStringAttr(text));
    return builder.getArrayAttr(list);
  case Kind::Tensors:
    for (const Tensor &tensor : attribute.tensors)
      list.push_back(tensorAttribute(tensor));
    return builder.getArrayAttr(list);
  case Kind::Types:
    for (const ValueType &type : attribute.types)
      list.push_back(TypeAttr::get(toMLIR(context, type)));
    return builder.getArrayAttr(list);
  case Kind::Graph:
  case Kind::Graphs:
    break;
  }
  return mlir::Attribute();
}

LogicalResult GraphBuilder::buildNode(OpBuilder &builder, const Graph &graph, const Node &node, Scope &scope, std::string &error) {
  Location loc = NameLoc::get(builder.getStringAttr(describe(node)));
  if (Value constant = buildConstantNode(builder, loc, node)) {
    scope.values[node.outputs[0]] = constant;
    return success();
  }
  SmallVector<Value> inputs;
  Value absent;
  for (const auto &name : node.inputs) {
    if (name.empty()) {
      if (!absent)
        absent = onnxir::AbsentOp::create(builder, loc, builder.getNoneType());
      inputs.push_back(absent);
      continue;
    }
    inputs.push_back(scope.find(name));
    if (!inputs.back()) {
      error = describe(node) + " uses " + quote(name) + " before it is defined";
      return failure();
    }
  }
  SmallVector<Type> results;
  for (const auto &name : node.outputs) {
    if (name.empty()) {
      results.push_back(builder.getNoneType());
      continue;
    }
    auto type = graph.types.find(name);
    results.push_back(toMLIR(context, type == graph.types.end() ? ValueType() : type->second));
  }
  SmallVector<NamedAttribute> attributes;
  SmallVector<StringRef> graphNames;
  SmallVector<const Graph *> bodies;
  for (const Attribute &attribute : node.attributes) {
    for (const auto &body : attribute.graphs) {
      graphNames.push_back(attribute.name);
      bodies.push_back(body.get());
    }
    std::string name = (node.name.empty() ? node.opType : node.name) + "." + attribute.name;
    if (mlir::Attribute value = toAttribute(loc, attribute, name))
      attributes.push_back(builder.getNamedAttr(attribute.name, value));
  }
  auto op = onnxir::NodeOp::create(builder, loc, results, builder.getStringAttr(node.opType), inputs, builder.getStringAttr(node.domain),
                                   builder.getI64IntegerAttr(node.version), builder.getStringAttr(node.name),
                                   builder.getDictionaryAttr(attributes),
                                   graphNames.empty() ? ArrayAttr() : builder.getStrArrayAttr(graphNames), ArrayAttr(), bodies.size());
  for (auto [name, result] : llvm::zip_equal(node.outputs, op.getResults()))
    if (!name.empty())
      scope.values[name] = result;
  for (auto [body, region] : llvm::zip_equal(bodies, op.getBodies())) {
    Block &block = region.emplaceBlock();
    Scope inner;
    inner.outer = &scope;
    for (const NamedValue &input : body->inputs)
      inner.values[input.name] = block.addArgument(toMLIR(context, input.type), loc);
    OpBuilder bodyBuilder = OpBuilder::atBlockEnd(&block);
    SmallVector<Value> outputs;
    if (failed(build(bodyBuilder, *body, inner, outputs, error)))
      return failure();
    onnxir::YieldOp::create(bodyBuilder, loc, outputs);
  }
  return success();
}

LogicalResult GraphBuilder::build(OpBuilder &builder, const Graph &graph, Scope &scope, SmallVectorImpl<Value> &outputs,
                                  std::string &error) {
  for (const Tensor &tensor : graph.initializers) {
    Location loc = NameLoc::get(builder.getStringAttr("initializer \"" + tensor.name + "\""));
    scope.values[tensor.name] = buildConstant(builder, loc, tensor, tensor.name);
  }
  for (const Node &node : graph.nodes)
    if (failed(buildNode(builder, graph, node, scope, error)))
      return failure();
  for (const NamedValue &output : graph.outputs) {
    if (output.name.empty()) {
      outputs.push_back(Value());
      continue;
    }
    outputs.push_back(scope.find(output.name));
    if (!outputs.back()) {
      error = "output " + quote(output.name) + " of graph " + quote(graph.name) + " is not defined";
      return failure();
    }
  }
  return success();
}

} // namespace leat::frontend
