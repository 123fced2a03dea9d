// From a node in the IR to the plain call that ONNX's side expands, and back.
#include "lib/Frontend/FunctionBodies.h"

#include "dialects/Leat/Leat.h"
#include "lib/Frontend/GraphToMLIR.h"
#include "lib/Frontend/OnnxReader.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace leat {
namespace {

/// Appends `width` bits in chunks of whole bytes.
void appendBytes(std::string &bytes, const APInt &value) {
  uint64_t bits = value.getZExtValue();
  bytes.append(reinterpret_cast<const char *>(&bits), std::max(1u, value.getBitWidth() / 8));
}

/// A constant as the bytes that ONNX stores; fails for types of less than a byte and complex ones, which shapes never need.
FailureOr<frontend::Tensor> toTensor(DenseElementsAttr elements, const std::string &name) {
  frontend::Tensor tensor;
  tensor.name = name;
  tensor.elementType = frontend::onnxElementType(elements.getElementType());
  tensor.dims.assign(elements.getType().getShape().begin(), elements.getType().getShape().end());
  tensor.elements = elements.getNumElements();
  if (auto strings = dyn_cast<DenseStringElementsAttr>(elements)) {
    for (StringRef text : strings.getValues<StringRef>())
      tensor.strings.push_back(text.str());
    return tensor;
  }
  Type type = elements.getElementType();
  if (!tensor.elementType || !type.isIntOrFloat() || (type.getIntOrFloatBitWidth() < 8 && type.getIntOrFloatBitWidth() != 1))
    return failure();
  std::string bytes;
  if (isa<FloatType>(type))
    for (const APFloat &value : elements.getValues<APFloat>())
      appendBytes(bytes, value.bitcastToAPInt());
  else
    for (const APInt &value : elements.getValues<APInt>())
      appendBytes(bytes, value);
  auto owner = std::make_shared<const std::string>(std::move(bytes));
  tensor.data = owner->data();
  tensor.bytes = owner->size();
  tensor.owner = owner;
  return tensor;
}

FailureOr<frontend::Attribute> toAttribute(onnxir::NodeOp node, NamedAttribute named) {
  using Kind = frontend::Attribute::Kind;
  frontend::Attribute result;
  result.name = named.getName().str();
  LogicalResult known = llvm::TypeSwitch<Attribute, LogicalResult>(named.getValue())
                            .Case([&](FloatAttr value) {
                              result.kind = Kind::Float;
                              result.floats = {float(value.getValueAsDouble())};
                              return success();
                            })
                            .Case([&](IntegerAttr value) {
                              result.kind = Kind::Int;
                              result.ints = {value.getInt()};
                              return success();
                            })
                            .Case([&](StringAttr value) {
                              result.kind = Kind::String;
                              result.strings = {value.str()};
                              return success();
                            })
                            .Case([&](DenseI64ArrayAttr value) {
                              result.kind = Kind::Ints;
                              result.ints = value.asArrayRef().vec();
                              return success();
                            })
                            .Case([&](DenseF32ArrayAttr value) {
                              result.kind = Kind::Floats;
                              result.floats = value.asArrayRef().vec();
                              return success();
                            })
                            .Case([&](ArrayAttr value) {
                              result.kind = Kind::Strings;
                              for (Attribute element : value) {
                                if (!isa<StringAttr>(element))
                                  return failure();
                                result.strings.push_back(cast<StringAttr>(element).str());
                              }
                              return success();
                            })
                            .Case([&](TypeAttr value) {
                              result.kind = Kind::Type;
                              result.types = {frontend::fromMLIR(value.getValue())};
                              return success();
                            })
                            .Case([&](DenseElementsAttr value) {
                              result.kind = Kind::Tensor;
                              auto tensor = toTensor(value, result.name);
                              if (succeeded(tensor))
                                result.tensors.push_back(*tensor);
                              return LogicalResult(tensor);
                            })
                            .Case([&](FlatSymbolRefAttr value) {
                              auto param = SymbolTable::lookupNearestSymbolFrom<ParamOp>(node, value);
                              if (!param || !param.getKey())
                                return failure();
                              result.kind = Kind::Tensor;
                              auto type = cast<RankedTensorType>(param.getType());
                              ArrayRef<char> bytes = node.getContext()->getLoadedDialect<LeatDialect>()->params().get(*param.getKey());
                              frontend::Tensor &tensor = result.tensors.emplace_back();
                              tensor.elementType = frontend::onnxElementType(type.getElementType());
                              tensor.dims = type.getShape().vec();
                              tensor.elements = type.getNumElements();
                              tensor.data = bytes.data();
                              tensor.bytes = bytes.size();
                              return success();
                            })
                            .Default([](Attribute) { return failure(); });
  if (failed(known))
    return failure();
  return result;
}

} // namespace

FailureOr<SmallVector<Value>> expandFunctionBody(OpBuilder &builder, onnxir::NodeOp node, std::string &reason) {
  frontend::FunctionCall call;
  call.node.opType = node.getOpType().str();
  call.node.domain = node.getDomain().str();
  call.node.name = node.getNodeName().str();
  call.node.version = node.getVersion();
  if (!node.getBodies().empty()) {
    reason = "its function body would need its subgraphs, which are not expanded";
    return failure();
  }
  for (NamedAttribute named : node.getAttrs()) {
    auto attribute = toAttribute(node, named);
    if (failed(attribute)) {
      reason = "attribute '" + named.getName().str() + "' has a type that a function body cannot take";
      return failure();
    }
    call.node.attributes.push_back(std::move(*attribute));
  }
  for (auto [i, input] : llvm::enumerate(node.getInputs())) {
    bool absent = isa<NoneType>(input.getType());
    std::string name = absent ? "" : "input" + std::to_string(i);
    call.node.inputs.push_back(name);
    call.inputTypes.push_back(frontend::fromMLIR(input.getType()));
    if (auto constant = input.getDefiningOp<onnxir::ConstantOp>())
      if (auto elements = dyn_cast<DenseElementsAttr>(constant.getValue()))
        if (auto tensor = toTensor(elements, name); succeeded(tensor))
          call.constants.push_back(*tensor);
  }
  for (auto [i, type] : llvm::enumerate(node.getResultTypes())) {
    call.node.outputs.push_back(isa<NoneType>(type) ? "" : "output" + std::to_string(i));
    call.outputTypes.push_back(frontend::fromMLIR(type));
  }
  frontend::Graph body;
  if (!frontend::expandFunction(call, body, reason))
    return failure();
  SmallVector<Value> results(node.getNumResults());
  for (auto [output, type] : llvm::zip_equal(body.outputs, node.getResultTypes()))
    if (output.name.empty() && !isa<NoneType>(type)) {
      reason = "ONNX's function body does not make all results that are used";
      return failure();
    }
  // Names and messages of the new nodes start with the node they came from.
  std::string prefix = (node.getNodeName().empty() ? node.getOpType() : node.getNodeName()).str() + "/";
  for (frontend::Node &inner : body.nodes)
    inner.name = prefix + (inner.name.empty() ? inner.opType : inner.name);
  frontend::GraphBuilder graph(node->getParentOfType<ModuleOp>());
  frontend::GraphBuilder::Scope scope;
  for (auto [input, value] : llvm::zip_equal(body.inputs, node.getInputs()))
    if (!input.name.empty())
      scope.values[input.name] = value;
  SmallVector<Value> outputs;
  if (failed(graph.build(builder, body, scope, outputs, reason)))
    return failure();
  return outputs;
}

LogicalResult expandFunctionBodies(ModuleOp module, ArrayRef<std::string> opTypes, std::string &error) {
  SmallVector<onnxir::NodeOp> nodes;
  module.walk([&](onnxir::NodeOp node) {
    if (llvm::is_contained(opTypes, node.getOpType()))
      nodes.push_back(node);
  });
  for (onnxir::NodeOp node : nodes) {
    OpBuilder builder(node);
    std::string reason;
    auto results = expandFunctionBody(builder, node, reason);
    if (failed(results)) {
      error = node.describe() + " cannot be expanded: " + reason;
      return failure();
    }
    for (auto [old, result] : llvm::zip_equal(node.getResults(), *results))
      if (result)
        old.replaceAllUsesWith(result);
    node.erase();
  }
  return success();
}

} // namespace leat
