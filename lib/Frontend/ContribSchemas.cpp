// Type and shape inference for the operators of ONNX Runtime that exporters emit. Only what the importer needs: element types and
// shapes; the semantics are in passes/Import.
#include "lib/Frontend/OnnxInternal.h"

#include "onnx/defs/shape_inference.h"

namespace leat::frontend {
namespace {

using onnx::InferenceContext;
using onnx::TensorProto;
using onnx::TensorShapeProto;
using Dimension = TensorShapeProto::Dimension;

/// The shape of an operand, or null.
const TensorShapeProto *shapeOf(InferenceContext &context, size_t input) {
  return onnx::hasInputShape(context, input) ? &onnx::getInputShape(context, input) : nullptr;
}

bool has(InferenceContext &context, size_t output) { return output < context.getNumOutputs(); }

void setElement(InferenceContext &context, size_t output, int32_t type) {
  if (has(context, output))
    context.getOutputType(output)->mutable_tensor_type()->set_elem_type(type);
}

void elementLike(InferenceContext &context, size_t input, size_t output) {
  const auto *type = context.getInputType(input);
  if (type && type->has_tensor_type())
    setElement(context, output, type->tensor_type().elem_type());
}

void like(InferenceContext &context, size_t input, size_t output) {
  if (!has(context, output))
    return;
  elementLike(context, input, output);
  if (const auto *shape = shapeOf(context, input))
    *context.getOutputType(output)->mutable_tensor_type()->mutable_shape() = *shape;
}

void setShape(InferenceContext &context, size_t output, std::initializer_list<Dimension> dims) {
  if (!has(context, output))
    return;
  auto *shape = context.getOutputType(output)->mutable_tensor_type()->mutable_shape();
  shape->clear_dim();
  for (const Dimension &dim : dims)
    *shape->add_dim() = dim;
}

Dimension dimOf(int64_t size) {
  Dimension dim;
  if (size >= 0)
    dim.set_dim_value(size);
  return dim;
}

int64_t attribute(InferenceContext &context, const char *name, int64_t otherwise) { return onnx::getAttribute(context, name, otherwise); }

/// size / by, if it is known and divides.
Dimension divided(const Dimension &dim, int64_t by) {
  return by > 0 && dim.has_dim_value() && dim.dim_value() % by == 0 ? dimOf(dim.dim_value() / by) : Dimension();
}

Dimension times(const Dimension &dim, int64_t by) {
  int64_t product;
  return dim.has_dim_value() && by >= 0 && !__builtin_mul_overflow(dim.dim_value(), by, &product) ? dimOf(product) : Dimension();
}

void sameAsFirst(InferenceContext &context) { like(context, 0, 0); }

/// Y, then statistics over the normalised axes, in f32.
void normalization(InferenceContext &context) {
  like(context, 0, 0);
  const auto *shape = shapeOf(context, 0);
  int64_t axis = attribute(context, "axis", -1);
  for (size_t i = 1; i < context.getNumOutputs(); ++i) {
    setElement(context, i, TensorProto::FLOAT);
    if (!shape)
      continue;
    auto *out = context.getOutputType(i)->mutable_tensor_type()->mutable_shape();
    int64_t first = axis < 0 ? axis + shape->dim_size() : axis;
    for (int d = 0; d < shape->dim_size(); ++d)
      *out->add_dim() = d < first ? shape->dim(d) : dimOf(1);
  }
}

/// Y, mean, inverse deviation, input + skip + bias.
void skipNormalization(InferenceContext &context) {
  normalization(context);
  like(context, 0, 3);
}

void embedNormalization(InferenceContext &context) {
  const auto *ids = shapeOf(context, 0), *table = shapeOf(context, 2);
  elementLike(context, 2, 0);
  setElement(context, 1, TensorProto::INT32);
  elementLike(context, 2, 2);
  if (!ids || ids->dim_size() != 2 || !table || table->dim_size() != 2)
    return;
  setShape(context, 0, {ids->dim(0), ids->dim(1), table->dim(1)});
  setShape(context, 1, {ids->dim(0)});
  setShape(context, 2, {ids->dim(0), ids->dim(1), table->dim(1)});
}

void matMulNBits(InferenceContext &context) {
  like(context, 0, 0);
  const auto *shape = shapeOf(context, 0);
  if (shape && shape->dim_size() > 0) {
    auto *out = context.getOutputType(0)->mutable_tensor_type()->mutable_shape();
    *out->mutable_dim(out->dim_size() - 1) = dimOf(attribute(context, "N", -1));
  }
}

/// Batch dimensions broadcast, the last two as a matrix product with optional transposition.
void matMulShape(InferenceContext &context) {
  const auto *a = shapeOf(context, 0), *b = shapeOf(context, 1);
  if (!a || !b || a->dim_size() < 2 || b->dim_size() < 2 || attribute(context, "transBatchA", 0) || attribute(context, "transBatchB", 0))
    return;
  bool transA = attribute(context, "transA", 0), transB = attribute(context, "transB", 0);
  TensorShapeProto batchA, batchB;
  for (int d = 0; d + 2 < a->dim_size(); ++d)
    *batchA.add_dim() = a->dim(d);
  for (int d = 0; d + 2 < b->dim_size(); ++d)
    *batchB.add_dim() = b->dim(d);
  auto *out = context.getOutputType(0)->mutable_tensor_type()->mutable_shape();
  onnx::bidirectionalBroadcastShapeInference(batchA, batchB, *out);
  *out->add_dim() = a->dim(a->dim_size() - (transA ? 1 : 2));
  *out->add_dim() = b->dim(b->dim_size() - (transB ? 2 : 1));
}

void fusedMatMul(InferenceContext &context) {
  elementLike(context, 0, 0);
  matMulShape(context);
}

/// DynamicQuantizeMatMul and MatMulIntegerToFloat: products of integers as floats.
void floatMatMul(InferenceContext &context) {
  setElement(context, 0, TensorProto::FLOAT);
  matMulShape(context);
}

void gatherBlockQuantized(InferenceContext &context) {
  elementLike(context, 2, 0);
  const auto *data = shapeOf(context, 0), *indices = shapeOf(context, 1);
  if (!data || !indices || data->dim_size() == 0)
    return;
  int64_t axis = attribute(context, "gather_axis", 0), bits = attribute(context, "bits", 4);
  axis = axis < 0 ? axis + data->dim_size() : axis;
  bool bytes = context.getInputType(0)->tensor_type().elem_type() == TensorProto::UINT8;
  auto *out = context.getOutputType(0)->mutable_tensor_type()->mutable_shape();
  for (int d = 0; d < data->dim_size(); ++d) {
    if (d == axis)
      for (const auto &dim : indices->dim())
        *out->add_dim() = dim;
    else
      *out->add_dim() = bytes && d + 1 == data->dim_size() && bits > 0 ? times(data->dim(d), 8 / bits) : data->dim(d);
  }
}

void presentCaches(InferenceContext &context, size_t input, const Dimension &batch, const Dimension &heads, const Dimension &headSize) {
  for (size_t i : {1, 2}) {
    elementLike(context, input, i);
    setShape(context, i, {batch, heads, Dimension(), headSize});
  }
}

void groupQueryAttention(InferenceContext &context) {
  elementLike(context, 0, 0);
  bool past = context.getInputType(3) != nullptr;
  elementLike(context, past ? 3 : 0, 1);
  elementLike(context, past ? 3 : 0, 2);
  elementLike(context, 0, 3);
  const auto *query = shapeOf(context, 0);
  int64_t heads = attribute(context, "num_heads", 0), kvHeads = attribute(context, "kv_num_heads", 0);
  if (!query || query->dim_size() != 3 || heads <= 0 || kvHeads <= 0)
    return;
  bool packed = !context.hasInput(1);
  Dimension headSize = divided(query->dim(2), packed ? heads + 2 * kvHeads : heads);
  setShape(context, 0, {query->dim(0), query->dim(1), times(headSize, heads)});
  if (const auto *cache = shapeOf(context, 3); cache && cache->dim_size() == 4)
    headSize = cache->dim(3);
  presentCaches(context, past ? 3 : 0, query->dim(0), dimOf(kvHeads), headSize);
}

void multiHeadAttention(InferenceContext &context) {
  for (size_t i : {0, 1, 2, 3})
    elementLike(context, 0, i);
  const auto *query = shapeOf(context, 0), *value = shapeOf(context, 2);
  int64_t heads = attribute(context, "num_heads", 0);
  if (!query || query->dim_size() < 3 || heads <= 0)
    return;
  Dimension headSize = query->dim_size() == 5 ? query->dim(4) : divided(query->dim(2), heads);
  Dimension hidden = query->dim_size() == 5 ? times(headSize, heads) : query->dim(2);
  if (value && value->dim_size() == 3)
    hidden = value->dim(2);
  else if (value && value->dim_size() == 4)
    hidden = times(value->dim(3), heads);
  setShape(context, 0, {query->dim(0), query->dim(1), hidden});
  presentCaches(context, 0, query->dim(0), dimOf(heads), headSize);
}

void attention(InferenceContext &context) {
  elementLike(context, 0, 0);
  elementLike(context, 0, 1);
  const auto *input = shapeOf(context, 0), *weights = shapeOf(context, 1);
  if (!input || input->dim_size() != 3 || !weights || weights->dim_size() != 2)
    return;
  std::vector<int64_t> sizes;
  onnx::getRepeatedAttribute(context, "qkv_hidden_sizes", sizes);
  int64_t heads = attribute(context, "num_heads", 0);
  Dimension hidden = sizes.size() == 3 ? dimOf(sizes[2]) : divided(weights->dim(1), 3);
  setShape(context, 0, {input->dim(0), input->dim(1), hidden});
  setShape(context, 1, {dimOf(2), input->dim(0), dimOf(heads), Dimension(), divided(hidden, heads)});
}

void dequantize(InferenceContext &context) {
  like(context, 0, 0);
  elementLike(context, 1, 0);
}

void quantize(InferenceContext &context) {
  like(context, 0, 0);
  setElement(context, 0, TensorProto::UINT8);
  elementLike(context, 2, 0);
}

using Infer = void (*)(InferenceContext &);

std::unordered_map<std::string, onnx::OpSchema> buildSchemas() {
  const std::pair<const char *, Infer> table[] = {
      {"Attention", attention},
      {"BiasGelu", sameAsFirst},
      {"DequantizeLinear", dequantize},
      {"DynamicQuantizeMatMul", floatMatMul},
      {"EmbedLayerNormalization", embedNormalization},
      {"FastGelu", sameAsFirst},
      {"FusedMatMul", fusedMatMul},
      {"GatherBlockQuantized", gatherBlockQuantized},
      {"Gelu", sameAsFirst},
      {"GroupQueryAttention", groupQueryAttention},
      {"MatMulIntegerToFloat", floatMatMul},
      {"MatMulNBits", matMulNBits},
      {"MoE", sameAsFirst},
      {"MultiHeadAttention", multiHeadAttention},
      {"QMoE", sameAsFirst},
      {"QuantizeLinear", quantize},
      {"QuickGelu", sameAsFirst},
      {"RotaryEmbedding", sameAsFirst},
      {"SimplifiedLayerNormalization", normalization},
      {"SkipLayerNormalization", skipNormalization},
      {"SkipSimplifiedLayerNormalization", skipNormalization},
  };
  std::unordered_map<std::string, onnx::OpSchema> schemas;
  for (auto [name, infer] : table) {
    onnx::OpSchema schema(name, __FILE__, __LINE__);
    schema.SetDomain("com.microsoft").SinceVersion(1).TypeAndShapeInferenceFunction(infer);
    schemas.emplace(name, std::move(schema));
  }
  return schemas;
}

} // namespace

const onnx::OpSchema *contribSchema(const std::string &domain, const std::string &opType) {
  static const auto schemas = buildSchemas();
  // ONNX Runtime registers this one in ONNX's own domain.
  if (domain != "com.microsoft" && opType != "SimplifiedLayerNormalization")
    return nullptr;
  auto found = schemas.find(opType);
  return found == schemas.end() ? nullptr : &found->second;
}

} // namespace leat::frontend
