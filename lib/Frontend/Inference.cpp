// ONNX's shape inference, made to go on where it would give up: a failing operator keeps its element type and loses its shape.
#include "lib/Frontend/OnnxInternal.h"

#include "onnx/shape_inference/implementation.h"

namespace leat::frontend {
namespace {

/// Types larger than this many bytes come from no real model; copied from node to node they would fill all memory.
constexpr size_t largestType = 8192;
/// Values that are propagated for shapes are as long as a rank.
constexpr int64_t longestValue = 4096;

/// Runs a schema's inference; what it throws only means that less is known.
void inferLeniently(const onnx::InferenceFunction &infer, onnx::InferenceContext &context) {
  bool failed = false;
  try {
    infer(context);
  } catch (const std::exception &) {
    failed = true;
  }
  for (size_t i = 0; i < context.getNumOutputs(); ++i) {
    auto *type = context.getOutputType(i);
    if (!type)
      continue;
    if (failed && type->has_tensor_type())
      type->mutable_tensor_type()->clear_shape();
    if (type->ByteSizeLong() > largestType)
      type->Clear();
  }
}

/// Elements of a vector operand. Asking ONNX for its value would already build one, element by element.
int64_t lengthOf(onnx::DataPropagationContext &context, size_t input) {
  const auto *type = context.getInputType(input);
  if (!type || !type->tensor_type().has_shape() || type->tensor_type().shape().dim_size() != 1)
    return 0;
  if (const auto &dim = type->tensor_type().shape().dim(0); dim.has_dim_value())
    return dim.dim_value();
  const auto *value = context.getInputData(input);
  return value ? value->dim_size() : 0;
}

void propagateLeniently(const onnx::DataPropagationFunction &propagate, onnx::DataPropagationContext &context) {
  try {
    int64_t length = 0;
    for (size_t i = 0; i < context.getNumInputs(); ++i)
      if (lengthOf(context, i) > longestValue || (length += lengthOf(context, i)) > longestValue)
        return; // Concat could double a value at every node
    propagate(context);
  } catch (const std::exception &) {
  }
}

/// ONNX's schemas with lenient inference, and those that ONNX lacks.
class LenientRegistry : public onnx::ISchemaRegistry {
public:
  const onnx::OpSchema *GetSchema(const std::string &opType, int version, const std::string &domain) const override {
    std::string key = domain + '\0' + opType + '\0' + std::to_string(version);
    auto [slot, fresh] = schemas.try_emplace(std::move(key));
    if (!fresh)
      return slot->second.get();
    const onnx::OpSchema *schema = onnx::OpSchemaRegistry::Instance()->GetSchema(opType, version, domain);
    if (!schema)
      schema = contribSchema(domain, opType);
    if (!schema)
      return nullptr;
    auto lenient = std::make_unique<onnx::OpSchema>(*schema);
    if (schema->has_type_and_shape_inference_function())
      lenient->TypeAndShapeInferenceFunction(
          [infer = schema->GetTypeAndShapeInferenceFunction()](onnx::InferenceContext &context) { inferLeniently(infer, context); });
    if (schema->has_data_propagation_function())
      lenient->PartialDataPropagationFunction([propagate = schema->GetDataPropagationFunction()](onnx::DataPropagationContext &context) {
        propagateLeniently(propagate, context);
      });
    slot->second = std::move(lenient);
    return slot->second.get();
  }

private:
  mutable std::unordered_map<std::string, std::unique_ptr<onnx::OpSchema>> schemas;
};

} // namespace

void inferShapes(onnx::ModelProto &model) {
  LenientRegistry registry;
  onnx::shape_inference::DataValueMap values;
  try {
    onnx::shape_inference::InferShapes(model, &registry, onnx::ShapeInferenceOptions(/*check_type=*/false, /*error_mode=*/0, true),
                                       &values);
  } catch (const std::exception &) {
    // The types found so far are already in the model.
  }
}

} // namespace leat::frontend
