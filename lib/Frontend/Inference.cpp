// ONNX's shape inference, made to go on where it would give up: a failing operator keeps its element type and loses its shape.
#include "lib/Frontend/OnnxInternal.h"

#include "onnx/shape_inference/implementation.h"

namespace leat::frontend {
namespace {

/// Runs a schema's inference; what it throws only means that less is known.
void inferLeniently(const onnx::InferenceFunction &infer, onnx::InferenceContext &context) {
  try {
    infer(context);
  } catch (const std::exception &) {
    for (size_t i = 0; i < context.getNumOutputs(); ++i)
      if (auto *type = context.getOutputType(i); type && type->has_tensor_type())
        type->mutable_tensor_type()->clear_shape();
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
        try {
          propagate(context);
        } catch (const std::exception &) {
        }
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
