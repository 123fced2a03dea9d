// Function bodies of ONNX's operators, bound to one call.
#include "lib/Frontend/OnnxInternal.h"
#include "lib/Frontend/OnnxReader.h"

#include "onnx/shape_inference/attribute_binder.h"

#include <unordered_set>

namespace leat::frontend {
namespace {

using onnx::FunctionProto;
using onnx::NodeProto;

FunctionProto bodyOf(const NodeProto &node, int64_t version, const std::vector<onnx::TypeProto> &inputTypes,
                     const onnx::OpSchema *&schema) {
  schema = onnx::OpSchemaRegistry::Instance()->GetSchema(node.op_type(), int(version), node.domain());
  if (!schema)
    throw LoadError("ONNX defines no such operator");
  // The body that looks at types and attributes is the sharper one where both exist.
  if (schema->HasContextDependentFunction()) {
    onnx::FunctionBodyBuildContextImpl context(node, inputTypes);
    FunctionProto function;
    if (schema->BuildContextDependentFunction(context, function, int(version)))
      return function;
  }
  if (const FunctionProto *function = schema->GetFunction(int(version), /*validate=*/false))
    return *function;
  throw LoadError(schema->HasContextDependentFunction() ? "ONNX has no function body for these input types and attributes"
                                                        : "ONNX defines no function body for it");
}

void bindAttributes(const NodeProto &node, const onnx::OpSchema &schema, FunctionProto &function) {
  onnx::internal::AttributeMap values;
  for (const auto &[name, attribute] : schema.attributes())
    if (attribute.default_value.type() != onnx::AttributeProto::UNDEFINED)
      values[name] = &attribute.default_value;
  for (const auto &byDefault : function.attribute_proto())
    values[byDefault.name()] = &byDefault;
  for (const auto &attribute : node.attribute())
    values[attribute.name()] = &attribute;
  onnx::internal::AttributeBinder binder(values);
  for (NodeProto &inner : *function.mutable_node())
    binder.VisitNode(inner);
}

void expand(const FunctionCall &call, Graph &body) {
  NodeProto node = fromNode(call.node);
  std::vector<onnx::TypeProto> inputTypes;
  for (const ValueType &type : call.inputTypes)
    inputTypes.push_back(fromType(type));
  const onnx::OpSchema *schema = nullptr;
  FunctionProto function = bodyOf(node, call.node.version, inputTypes, schema);
  bindAttributes(node, *schema, function);
  if (node.input_size() > function.input_size() || node.output_size() > function.output_size())
    throw LoadError("it has more inputs or outputs than its function body");

  onnx::ModelProto model;
  model.set_ir_version(onnx::Version::IR_VERSION);
  std::unordered_map<std::string, int64_t> versions;
  for (const auto &opset : function.opset_import()) {
    *model.add_opset_import() = opset;
    versions[normalDomain(opset.domain())] = opset.version();
  }
  onnx::GraphProto &graph = *model.mutable_graph();
  graph.set_name(function.name());
  std::unordered_set<std::string> absent, made;
  for (int i = 0; i < function.input_size(); ++i) {
    const std::string &name = function.input(i);
    if (i >= node.input_size() || node.input(i).empty()) {
      absent.insert(name);
      continue;
    }
    made.insert(name);
    auto *input = graph.add_input();
    input->set_name(name);
    if (call.inputTypes[i].kind == ValueType::Kind::Tensor)
      *input->mutable_type() = inputTypes[i];
    for (const Tensor &constant : call.constants)
      if (constant.name == node.input(i)) {
        *graph.add_initializer() = fromTensor(constant);
        graph.mutable_initializer()->rbegin()->set_name(name);
      }
  }
  for (NodeProto &inner : *function.mutable_node()) {
    for (auto &name : *inner.mutable_input())
      if (absent.count(name))
        name.clear();
    made.insert(inner.output().begin(), inner.output().end());
  }
  graph.mutable_node()->Swap(function.mutable_node());
  for (int i = 0; i < node.output_size(); ++i) {
    if (!made.count(function.output(i)))
      continue;
    auto *output = graph.add_output();
    output->set_name(function.output(i));
    if (call.outputTypes[i].kind == ValueType::Kind::Tensor)
      *output->mutable_type() = fromType(call.outputTypes[i]);
  }
  inferShapes(model);
  graph.clear_initializer();
  LoadBudget budget;
  LoadContext context(budget, "");
  body = takeGraph(graph, context, versions);

  // Back to one entry for each of the node's, present or not.
  std::vector<NamedValue> inputs(node.input_size()), outputs(node.output_size());
  for (NamedValue &input : body.inputs)
    for (int i = 0; i < node.input_size(); ++i)
      if (function.input(i) == input.name)
        inputs[i] = input;
  for (NamedValue &output : body.outputs)
    for (int i = 0; i < node.output_size(); ++i)
      if (function.output(i) == output.name)
        outputs[i] = output;
  body.inputs = std::move(inputs);
  body.outputs = std::move(outputs);
}

} // namespace

bool expandFunction(const FunctionCall &call, Graph &body, std::string &error) noexcept {
  return guarded(error, [&] { expand(call, body); });
}

} // namespace leat::frontend
