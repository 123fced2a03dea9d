// ONNX's messages to the plain graph of Graph.h and back; the bytes of tensors with all checks on them.
#include "lib/Frontend/OnnxInternal.h"

#include <charconv>
#include <cstring>

namespace leat::frontend {

using onnx::AttributeProto;
using onnx::GraphProto;
using onnx::NodeProto;
using onnx::TensorProto;
using onnx::TypeProto;

void LoadContext::spend(int64_t &used, int64_t amount, int64_t limit, const std::string &what, const char *name) {
  if (__builtin_add_overflow(used, amount, &used) || used > limit)
    throw LoadError(what + " takes the model over the load budget of " + std::to_string(limit) + " " + name +
                    "; raise the budget if the model is trusted");
}

std::string describe(const NodeProto &node) {
  std::string text = node.domain().empty() ? "" : plain(node.domain()) + ".";
  text += plain(node.op_type()) + " node";
  if (!node.name().empty())
    return text + " " + quote(node.name());
  return node.output_size() ? text + " that makes " + quote(node.output(0)) : text;
}

std::string oneLine(const char *text) {
  std::string line;
  for (const char *c = text; *c && line.size() < 300; ++c)
    if (static_cast<unsigned char>(*c) >= 0x20)
      line += *c;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  return line;
}

int bitsOf(int32_t elementType) {
  switch (elementType) {
  case TensorProto::UINT2:
  case TensorProto::INT2:
    return 2;
  case TensorProto::UINT4:
  case TensorProto::INT4:
  case TensorProto::FLOAT4E2M1:
    return 4;
  case TensorProto::FLOAT6E2M3:
  case TensorProto::FLOAT6E3M2:
    return 6;
  case TensorProto::UINT8:
  case TensorProto::INT8:
  case TensorProto::BOOL:
  case TensorProto::FLOAT8E4M3FN:
  case TensorProto::FLOAT8E4M3FNUZ:
  case TensorProto::FLOAT8E5M2:
  case TensorProto::FLOAT8E5M2FNUZ:
  case TensorProto::FLOAT8E8M0:
    return 8;
  case TensorProto::UINT16:
  case TensorProto::INT16:
  case TensorProto::FLOAT16:
  case TensorProto::BFLOAT16:
    return 16;
  case TensorProto::FLOAT:
  case TensorProto::INT32:
  case TensorProto::UINT32:
    return 32;
  case TensorProto::DOUBLE:
  case TensorProto::INT64:
  case TensorProto::UINT64:
  case TensorProto::COMPLEX64:
    return 64;
  case TensorProto::COMPLEX128:
    return 128;
  default:
    return 0;
  }
}

int64_t checkedBytes(const google::protobuf::RepeatedField<int64_t> &dims, int32_t elementType, const std::string &what,
                     int64_t *elements) {
  // Below these limits no later product of a size and an element size can overflow.
  constexpr int64_t mostElements = int64_t(1) << 48;
  constexpr int mostDims = 64;
  if (dims.size() > mostDims)
    throw LoadError(what + " has " + std::to_string(dims.size()) + " dimensions, more than " + std::to_string(mostDims));
  int64_t count = 1;
  bool empty = false, tooLarge = false;
  for (int64_t dim : dims) {
    if (dim < 0)
      throw LoadError(what + " has the negative dimension " + std::to_string(dim));
    empty |= dim == 0;
    tooLarge |= dim > mostElements || __builtin_mul_overflow(count, std::max<int64_t>(dim, 1), &count) || count > mostElements;
    if (tooLarge)
      break;
  }
  if (tooLarge)
    throw LoadError(what + " has absurd dimensions: more than 2^48 elements");
  count = empty ? 0 : count;
  if (elements)
    *elements = count;
  int bits = bitsOf(elementType);
  if (bits == 0 && elementType != TensorProto::STRING)
    throw LoadError(what + " has the unknown element type " + std::to_string(elementType));
  return (count * bits + 7) / 8;
}

namespace {

/// A non-negative decimal number of an external_data entry.
uint64_t externalNumber(const std::string &text, const std::string &what, const char *key) {
  uint64_t value = 0;
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || failure != std::errc() || end != text.data() + text.size() || value > uint64_t(INT64_MAX))
    throw LoadError(what + ": external data has the " + key + " " + quote(text) + ", which is no number of bytes");
  return value;
}

/// Points `tensor` into the external file, or at a copy where the bytes are not aligned for their type. Only the keys location, offset and
/// length mean anything here; others (checksum, what runtimes leave behind) are never looked at.
void mapExternal(const TensorProto &proto, int64_t bytes, Tensor &tensor, LoadContext &context, const std::string &what) {
  const std::string *location = nullptr, *offsetText = nullptr, *lengthText = nullptr;
  for (const auto &entry : proto.external_data()) {
    const std::string **slot = entry.key() == "location" ? &location
                               : entry.key() == "offset" ? &offsetText
                               : entry.key() == "length" ? &lengthText
                                                         : nullptr;
    if (!slot)
      continue;
    if (*slot)
      throw LoadError(what + ": external data gives " + quote(entry.key()) + " twice");
    *slot = &entry.value();
  }
  if (!location)
    throw LoadError(what + ": external data has no location");
  uint64_t offset = offsetText ? externalNumber(*offsetText, what, "offset") : 0;
  uint64_t length = lengthText ? externalNumber(*lengthText, what, "length") : uint64_t(bytes);
  if (length != uint64_t(bytes))
    throw LoadError(what + ": external data has " + std::to_string(length) + " bytes but its type and dimensions need " +
                    std::to_string(bytes));
  std::string error;
  auto file = context.folder.map(*location, error);
  if (!file)
    throw LoadError(what + ": " + error);
  if (offset > file->size || length > file->size - offset)
    throw LoadError(what + ": external data ends at byte " + std::to_string(offset + length) + " but " + quote(*location) + " has only " +
                    std::to_string(file->size) + "; the file is truncated or belongs to another model");
  if (bytes == 0)
    return;
  const char *at = file->data + offset;
  size_t alignment = std::max(1, std::min(bitsOf(proto.data_type()), 64) / 8);
  if (reinterpret_cast<uintptr_t>(at) % alignment) {
    LoadContext::spend(context.convertedBytes, bytes, context.budget.convertedBytes, what, "bytes of copied tensors");
    auto copy = std::make_shared<const std::string>(at, size_t(bytes));
    tensor.data = copy->data();
    tensor.owner = copy;
  } else {
    tensor.data = at;
    tensor.owner = file;
  }
  tensor.bytes = size_t(bytes);
}

/// Elements of a typed field to little-endian bytes.
template <typename To, typename Field> std::string convert(const Field &field) {
  std::string bytes(size_t(field.size()) * sizeof(To), '\0');
  char *at = bytes.data();
  for (auto value : field) {
    To element = To(value);
    std::memcpy(at, &element, sizeof(To));
    at += sizeof(To);
  }
  return bytes;
}

/// 6-bit elements, one an int32, to a stream of bits, low bits first.
std::string pack6(const google::protobuf::RepeatedField<int32_t> &field) {
  std::string bytes((size_t(field.size()) * 6 + 7) / 8, '\0');
  size_t bit = 0;
  for (int32_t value : field)
    for (int i = 0; i < 6; ++i, ++bit)
      bytes[bit / 8] |= char(((value >> i) & 1) << (bit % 8));
  return bytes;
}

std::string typedBytes(const TensorProto &proto) {
  switch (proto.data_type()) {
  case TensorProto::FLOAT:
  case TensorProto::COMPLEX64:
    return convert<float>(proto.float_data());
  case TensorProto::DOUBLE:
  case TensorProto::COMPLEX128:
    return convert<double>(proto.double_data());
  case TensorProto::INT64:
    return convert<int64_t>(proto.int64_data());
  case TensorProto::UINT64:
    return convert<uint64_t>(proto.uint64_data());
  case TensorProto::UINT32:
    return convert<uint32_t>(proto.uint64_data());
  case TensorProto::INT32:
    return convert<int32_t>(proto.int32_data());
  case TensorProto::FLOAT6E2M3:
  case TensorProto::FLOAT6E3M2:
    return pack6(proto.int32_data());
  default:
    // One element, or one byte of packed elements, in each int32.
    return bitsOf(proto.data_type()) == 16 ? convert<uint16_t>(proto.int32_data()) : convert<uint8_t>(proto.int32_data());
  }
}

} // namespace

Tensor takeTensor(TensorProto &proto, LoadContext &context, const std::string &what) {
  Tensor tensor;
  tensor.name = proto.name();
  tensor.elementType = proto.data_type();
  tensor.dims.assign(proto.dims().begin(), proto.dims().end());
  int64_t bytes = checkedBytes(proto.dims(), proto.data_type(), what, &tensor.elements);
  if (proto.has_segment())
    throw LoadError(what + " is stored in segments, which ONNX does not define yet; save it whole");
  if (proto.data_location() == TensorProto::EXTERNAL) {
    if (proto.data_type() == TensorProto::STRING)
      throw LoadError(what + " is a tensor of strings, which cannot be external data");
    mapExternal(proto, bytes, tensor, context, what);
    LoadContext::spend(context.parameterBytes, bytes, context.budget.parameterBytes, what, "bytes of parameters");
    return tensor;
  }
  if (proto.data_type() == TensorProto::STRING) {
    if (proto.string_data_size() != tensor.elements)
      throw LoadError(what + " has " + std::to_string(proto.string_data_size()) + " strings but its dimensions need " +
                      std::to_string(tensor.elements));
    for (auto &text : *proto.mutable_string_data())
      tensor.strings.push_back(std::move(text));
    return tensor;
  }
  std::shared_ptr<const std::string> owned;
  if (!proto.raw_data().empty()) {
    owned = std::make_shared<const std::string>(std::move(*proto.mutable_raw_data()));
  } else {
    owned = std::make_shared<const std::string>(typedBytes(proto));
    LoadContext::spend(context.convertedBytes, int64_t(owned->size()), context.budget.convertedBytes, what, "bytes of copied tensors");
  }
  if (owned->size() != size_t(bytes))
    throw LoadError(what + " has " + std::to_string(owned->size()) + " bytes of data but its type and dimensions need " +
                    std::to_string(bytes));
  LoadContext::spend(context.parameterBytes, bytes, context.budget.parameterBytes, what, "bytes of parameters");
  tensor.data = owned->data();
  tensor.bytes = owned->size();
  tensor.owner = owned;
  return tensor;
}

TensorProto densify(const onnx::SparseTensorProto &sparse, LoadContext &context, const std::string &what) {
  TensorProto dense;
  dense.set_name(sparse.values().name());
  dense.set_data_type(sparse.values().data_type());
  *dense.mutable_dims() = sparse.dims();
  int64_t elements = 0;
  int64_t bytes = checkedBytes(sparse.dims(), dense.data_type(), what, &elements);
  LoadContext::spend(context.convertedBytes, bytes, context.budget.convertedBytes, what, "bytes of copied tensors");
  int width = bitsOf(dense.data_type()) / 8;
  if (bitsOf(dense.data_type()) < 8)
    throw LoadError(what + " is a sparse tensor of strings or of elements smaller than a byte, which is not supported");
  TensorProto valuesProto = sparse.values(), indicesProto = sparse.indices();
  Tensor values = takeTensor(valuesProto, context, what + ", values");
  Tensor indices;
  indices.dims = {0};
  if (sparse.has_indices())
    indices = takeTensor(indicesProto, context, what + ", indices");
  int64_t rank = sparse.dims_size();
  bool linear = indices.dims.size() == 1;
  if (values.dims.size() != 1 || (sparse.has_indices() && indices.elementType != TensorProto::INT64) || indices.dims.size() > 2 ||
      indices.dims.empty() || indices.dims[0] != values.elements || (!linear && indices.dims[1] != rank))
    throw LoadError(what + " has values and indices whose shapes do not fit together");
  std::string data(size_t(bytes), '\0');
  for (int64_t i = 0; i < values.elements; ++i) {
    int64_t at = 0;
    for (int64_t d = 0; d < (linear ? 1 : rank); ++d) {
      int64_t index;
      std::memcpy(&index, indices.data + (linear ? i : i * rank + d) * 8, 8);
      int64_t limit = linear ? elements : sparse.dims(int(d));
      if (index < 0 || index >= limit)
        throw LoadError(what + " has the index " + std::to_string(index) + " outside its dimensions");
      at = linear ? index : at * limit + index;
    }
    std::memcpy(data.data() + at * width, values.data + i * width, size_t(width));
  }
  dense.set_raw_data(std::move(data));
  return dense;
}

namespace {

std::string spell(const TypeProto &type, int depth = 0) {
  auto element = [](int32_t type) {
    return TensorProto::DataType_IsValid(type) ? TensorProto::DataType_Name(TensorProto::DataType(type)) : std::string("UNDEFINED");
  };
  if (depth > 16)
    return "...";
  switch (type.value_case()) {
  case TypeProto::kTensorType:
    return "tensor(" + element(type.tensor_type().elem_type()) + ")";
  case TypeProto::kSparseTensorType:
    return "sparse_tensor(" + element(type.sparse_tensor_type().elem_type()) + ")";
  case TypeProto::kSequenceType:
    return "seq(" + spell(type.sequence_type().elem_type(), depth + 1) + ")";
  case TypeProto::kOptionalType:
    return "optional(" + spell(type.optional_type().elem_type(), depth + 1) + ")";
  case TypeProto::kMapType:
    return "map(" + element(type.map_type().key_type()) + ", " + spell(type.map_type().value_type(), depth + 1) + ")";
  case TypeProto::kOpaqueType:
    return "opaque(" + type.opaque_type().domain() + ", " + type.opaque_type().name() + ")";
  default:
    return "unknown";
  }
}

} // namespace

ValueType toType(const TypeProto &type) {
  ValueType result;
  if (type.value_case() == TypeProto::VALUE_NOT_SET)
    return result;
  if (type.value_case() != TypeProto::kTensorType) {
    result.kind = ValueType::Kind::Other;
    result.spelling = spell(type);
    return result;
  }
  const auto &tensor = type.tensor_type();
  if (tensor.elem_type() != TensorProto::STRING && bitsOf(tensor.elem_type()) == 0)
    return result;
  result.kind = ValueType::Kind::Tensor;
  result.elementType = tensor.elem_type();
  result.ranked = tensor.has_shape() && tensor.shape().dim_size() <= 64;
  if (result.ranked)
    for (const auto &dim : tensor.shape().dim()) {
      Dim &added = result.dims.emplace_back();
      if (dim.has_dim_value())
        added.size = std::max<int64_t>(dim.dim_value(), -1);
      else
        added.symbol = dim.dim_param();
    }
  return result;
}

TypeProto fromType(const ValueType &type) {
  TypeProto result;
  if (type.kind != ValueType::Kind::Tensor)
    return result;
  auto *tensor = result.mutable_tensor_type();
  tensor->set_elem_type(type.elementType);
  if (type.ranked) {
    auto *shape = tensor->mutable_shape();
    for (const Dim &dim : type.dims) {
      auto *added = shape->add_dim();
      if (dim.size >= 0)
        added->set_dim_value(dim.size);
      else if (!dim.symbol.empty())
        added->set_dim_param(dim.symbol);
    }
  }
  return result;
}

namespace {

using Kind = Attribute::Kind;

/// What kind an attribute is; old models do not say it.
AttributeProto::AttributeType kindOf(const AttributeProto &proto) {
  if (proto.type() != AttributeProto::UNDEFINED)
    return proto.type();
  return proto.has_f()              ? AttributeProto::FLOAT
         : proto.has_i()            ? AttributeProto::INT
         : proto.has_s()            ? AttributeProto::STRING
         : proto.has_t()            ? AttributeProto::TENSOR
         : proto.has_g()            ? AttributeProto::GRAPH
         : proto.has_tp()           ? AttributeProto::TYPE_PROTO
         : proto.floats_size()      ? AttributeProto::FLOATS
         : proto.ints_size()        ? AttributeProto::INTS
         : proto.strings_size()     ? AttributeProto::STRINGS
         : proto.tensors_size()     ? AttributeProto::TENSORS
         : proto.graphs_size()      ? AttributeProto::GRAPHS
         : proto.type_protos_size() ? AttributeProto::TYPE_PROTOS
                                    : AttributeProto::UNDEFINED;
}

Attribute takeAttribute(AttributeProto &proto, LoadContext &context, const std::unordered_map<std::string, int64_t> &versions,
                        const std::string &node) {
  Attribute result;
  result.name = proto.name();
  std::string what = node + ", attribute " + quote(proto.name());
  switch (kindOf(proto)) {
  case AttributeProto::FLOAT:
    result.kind = Kind::Float;
    result.floats = {proto.f()};
    break;
  case AttributeProto::INT:
    result.kind = Kind::Int;
    result.ints = {proto.i()};
    break;
  case AttributeProto::STRING:
    result.kind = Kind::String;
    result.strings = {proto.s()};
    break;
  case AttributeProto::TENSOR:
    result.kind = Kind::Tensor;
    result.tensors.push_back(takeTensor(*proto.mutable_t(), context, what));
    break;
  case AttributeProto::GRAPH:
    result.kind = Kind::Graph;
    result.graphs.push_back(std::make_unique<Graph>(takeGraph(*proto.mutable_g(), context, versions)));
    break;
  case AttributeProto::TYPE_PROTO:
    result.kind = Kind::Type;
    result.types = {toType(proto.tp())};
    break;
  case AttributeProto::FLOATS:
    result.kind = Kind::Floats;
    result.floats.assign(proto.floats().begin(), proto.floats().end());
    break;
  case AttributeProto::INTS:
    result.kind = Kind::Ints;
    result.ints.assign(proto.ints().begin(), proto.ints().end());
    break;
  case AttributeProto::STRINGS:
    result.kind = Kind::Strings;
    result.strings.assign(proto.strings().begin(), proto.strings().end());
    break;
  case AttributeProto::TENSORS:
    result.kind = Kind::Tensors;
    for (auto &tensor : *proto.mutable_tensors())
      result.tensors.push_back(takeTensor(tensor, context, what));
    break;
  case AttributeProto::GRAPHS:
    result.kind = Kind::Graphs;
    for (auto &graph : *proto.mutable_graphs())
      result.graphs.push_back(std::make_unique<Graph>(takeGraph(graph, context, versions)));
    break;
  case AttributeProto::TYPE_PROTOS:
    result.kind = Kind::Types;
    for (const auto &type : proto.type_protos())
      result.types.push_back(toType(type));
    break;
  default:
    throw LoadError(what + " has no value or an unknown type");
  }
  return result;
}

} // namespace

Node takeNode(NodeProto &proto, LoadContext &context, const std::unordered_map<std::string, int64_t> &versions) {
  Node node;
  std::string what = describe(proto);
  node.opType = proto.op_type();
  node.domain = normalDomain(proto.domain());
  node.name = proto.name();
  auto version = versions.find(node.domain);
  // A custom domain without an opset import is a common slip, and harmless: version 1.
  node.version = version == versions.end() ? 1 : version->second;
  node.inputs.assign(proto.input().begin(), proto.input().end());
  node.outputs.assign(proto.output().begin(), proto.output().end());
  for (auto &attribute : *proto.mutable_attribute())
    node.attributes.push_back(takeAttribute(attribute, context, versions, what));
  return node;
}

Graph takeGraph(GraphProto &proto, LoadContext &context, const std::unordered_map<std::string, int64_t> &versions) {
  Graph graph;
  graph.name = proto.name();
  for (const auto &value : proto.input())
    graph.inputs.push_back({value.name(), toType(value.type())});
  for (const auto &value : proto.output())
    graph.outputs.push_back({value.name(), toType(value.type())});
  for (const auto *values : {&proto.value_info(), &proto.input(), &proto.output()})
    for (const auto &value : *values)
      graph.types.insert_or_assign(value.name(), toType(value.type()));
  for (auto &tensor : *proto.mutable_initializer())
    graph.initializers.push_back(takeTensor(tensor, context, "initializer " + quote(tensor.name())));
  for (auto &node : *proto.mutable_node())
    graph.nodes.push_back(takeNode(node, context, versions));
  return graph;
}

TensorProto fromTensor(const Tensor &tensor) {
  TensorProto proto;
  proto.set_name(tensor.name);
  proto.set_data_type(tensor.elementType);
  for (int64_t dim : tensor.dims)
    proto.add_dims(dim);
  for (const auto &text : tensor.strings)
    proto.add_string_data(text);
  if (tensor.bytes)
    proto.set_raw_data(tensor.data, tensor.bytes);
  return proto;
}

NodeProto fromNode(const Node &node) {
  NodeProto proto;
  proto.set_op_type(node.opType);
  proto.set_domain(node.domain);
  proto.set_name(node.name);
  for (const auto &name : node.inputs)
    proto.add_input(name);
  for (const auto &name : node.outputs)
    proto.add_output(name);
  for (const Attribute &attribute : node.attributes) {
    auto *added = proto.add_attribute();
    added->set_name(attribute.name);
    switch (attribute.kind) {
    case Kind::Float:
      added->set_type(AttributeProto::FLOAT);
      added->set_f(attribute.floats[0]);
      break;
    case Kind::Int:
      added->set_type(AttributeProto::INT);
      added->set_i(attribute.ints[0]);
      break;
    case Kind::String:
      added->set_type(AttributeProto::STRING);
      added->set_s(attribute.strings[0]);
      break;
    case Kind::Tensor:
      added->set_type(AttributeProto::TENSOR);
      *added->mutable_t() = fromTensor(attribute.tensors[0]);
      break;
    case Kind::Type:
      added->set_type(AttributeProto::TYPE_PROTO);
      *added->mutable_tp() = fromType(attribute.types[0]);
      break;
    case Kind::Floats:
      added->set_type(AttributeProto::FLOATS);
      added->mutable_floats()->Assign(attribute.floats.begin(), attribute.floats.end());
      break;
    case Kind::Ints:
      added->set_type(AttributeProto::INTS);
      added->mutable_ints()->Assign(attribute.ints.begin(), attribute.ints.end());
      break;
    case Kind::Strings:
      added->set_type(AttributeProto::STRINGS);
      for (const auto &text : attribute.strings)
        added->add_strings(text);
      break;
    case Kind::Tensors:
      added->set_type(AttributeProto::TENSORS);
      for (const Tensor &tensor : attribute.tensors)
        *added->add_tensors() = fromTensor(tensor);
      break;
    case Kind::Graph:
    case Kind::Graphs:
    case Kind::Types:
      throw LoadError(describe(proto) + " has attribute " + quote(attribute.name) + ", which cannot be given back to ONNX");
    }
  }
  return proto;
}

} // namespace leat::frontend
