// importOnnx: the module and its main function around the imported graph.
#include "lib/Frontend/Frontend.h"

#include "dialects/Leat/Leat.h"
#include "dialects/ONNX/ONNX.h"
#include "lib/Frontend/GraphToMLIR.h"
#include "lib/Frontend/OnnxReader.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"

using namespace mlir;

namespace leat {
namespace {

/// onnx.name and, for tensors of known rank, onnx.dims.
DictionaryAttr describeValue(Builder &builder, const frontend::NamedValue &value) {
  SmallVector<NamedAttribute> attributes;
  if (value.type.ranked) {
    SmallVector<StringRef> dims;
    for (const frontend::Dim &dim : value.type.dims)
      dims.push_back(dim.size < 0 ? StringRef(dim.symbol) : StringRef());
    attributes.push_back(builder.getNamedAttr("onnx.dims", builder.getStrArrayAttr(dims)));
  }
  attributes.push_back(builder.getNamedAttr("onnx.name", builder.getStringAttr(value.name)));
  return builder.getDictionaryAttr(attributes);
}

FailureOr<OwningOpRef<ModuleOp>> buildModule(MLIRContext &context, const frontend::Model &model, std::string &error) {
  context.loadDialect<LeatDialect, onnxir::ONNXDialect, func::FuncDialect>();
  OpBuilder builder(&context);
  Location loc = NameLoc::get(builder.getStringAttr("graph \"" + model.graph.name + "\""));
  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  SmallVector<NamedAttribute> opsets, metadata;
  for (const auto &[domain, version] : model.opsets)
    // IR text cannot spell an empty attribute name, so ONNX's own domain has its long name here.
    opsets.push_back(builder.getNamedAttr(domain.empty() ? "ai.onnx" : domain, builder.getI64IntegerAttr(version)));
  llvm::StringSet<> keys;
  for (const auto &[key, value] : model.metadata)
    if (!key.empty() && keys.insert(key).second)
      metadata.push_back(builder.getNamedAttr(key, builder.getStringAttr(value)));
  (*module)->setAttr("onnx.ir_version", builder.getI64IntegerAttr(model.irVersion));
  (*module)->setAttr("onnx.opsets", builder.getDictionaryAttr(opsets));
  (*module)->setAttr("onnx.producer", builder.getStringAttr(model.producer));
  (*module)->setAttr("onnx.graph_name", builder.getStringAttr(model.graph.name));
  (*module)->setAttr("onnx.metadata", builder.getDictionaryAttr(metadata));

  SmallVector<Type> inputTypes;
  for (const frontend::NamedValue &input : model.graph.inputs)
    inputTypes.push_back(frontend::toMLIR(&context, input.type));
  builder.setInsertionPointToEnd(module->getBody());
  auto function = func::FuncOp::create(builder, loc, "main", builder.getFunctionType(inputTypes, {}));
  function->setAttr("onnx.graph", builder.getUnitAttr());
  Block *block = function.addEntryBlock();
  frontend::GraphBuilder graph(*module);
  frontend::GraphBuilder::Scope scope;
  for (auto [i, input] : llvm::enumerate(model.graph.inputs)) {
    scope.values[input.name] = block->getArgument(i);
    function.setArgAttrs(i, describeValue(builder, input));
  }
  builder.setInsertionPointToEnd(block);
  SmallVector<Value> outputs;
  if (failed(graph.build(builder, model.graph, scope, outputs, error)))
    return failure();
  func::ReturnOp::create(builder, loc, outputs);
  function.setFunctionType(builder.getFunctionType(inputTypes, TypeRange(ValueRange(outputs))));
  for (auto [i, output] : llvm::enumerate(model.graph.outputs))
    function.setResultAttrs(i, describeValue(builder, output));
  if (failed(verify(*module))) {
    error = "the imported module is not valid; this is a defect of Leat, please report the model";
    return failure();
  }
  return module;
}

} // namespace

FailureOr<OwningOpRef<ModuleOp>> importOnnx(MLIRContext &context, StringRef path, const FrontendOptions &options, std::string &error) {
  frontend::Model model;
  if (!frontend::readModelFile(path.str(), options, model, error)) {
    error = path.str() + ": " + error;
    return failure();
  }
  return buildModule(context, model, error);
}

FailureOr<OwningOpRef<ModuleOp>> importOnnxBytes(MLIRContext &context, StringRef bytes, const FrontendOptions &options,
                                                 std::string &error) {
  frontend::Model model;
  if (!frontend::readModelBytes(bytes.data(), bytes.size(), options, model, error))
    return failure();
  return buildModule(context, model, error);
}

} // namespace leat
