// How arguments are written:
//   f32:64x128:random(7)        a buffer: type, shape, contents (zero, nan, iota, random(SEED), fill(VALUE)); "> out.npy" at the end saves
//   it in.npy                      a buffer with a file's contents u32=128, f32=0.5            a scalar
//   @name                       a buffer that --buffer made
//   map(name, 64x64, 128)       a tensor map over such a buffer: box (outermost first, as the shape), bytes of swizzle
#include "runtime/core/Npy.h"
#include "runtime/device/sim/Numbers.h"
#include "runtime/device/sim/Tool.h"

#include <cstdlib>

namespace leat::sim {

using rt::Code;
using rt::DType;
using rt::error;
using rt::Result;
using rt::Shape;
using rt::Status;
using rt::Tensor;

static std::string trim(const std::string &text) {
  size_t first = text.find_first_not_of(" \t"), last = text.find_last_not_of(" \t");
  return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

static std::vector<std::string> split(const std::string &text, char separator) {
  std::vector<std::string> parts;
  for (size_t from = 0; from <= text.size();) {
    size_t to = std::min(text.find(separator, from), text.size());
    parts.push_back(trim(text.substr(from, to - from)));
    from = to + 1;
  }
  return parts;
}

static bool parseCount(const std::string &text, int64_t &value) {
  char *end = nullptr;
  value = std::strtoll(text.c_str(), &end, 0);
  return !text.empty() && *end == 0 && value >= 0;
}

static Result<Shape> parseShape(const std::string &text) {
  Shape shape;
  for (const std::string &part : split(text, 'x')) {
    int64_t dim;
    if (shape.rank == rt::maxRank || !parseCount(part, dim))
      return error(Code::InvalidArgument, "'%s' is no shape: write sizes with x between them, as 64x128", text.c_str());
    shape.dims[shape.rank++] = dim;
  }
  return shape;
}

// The text between the parentheses of name(text); false: written otherwise.
static bool parenthesised(const std::string &text, const char *name, std::string &inside) {
  std::string head = std::string(name) + "(";
  if (!text.starts_with(head) || !text.ends_with(")"))
    return false;
  inside = trim(text.substr(head.size(), text.size() - head.size() - 1));
  return true;
}

static void storeNumber(u8 *at, DType type, double value) {
  auto put = [at](auto v) { std::memcpy(at, &v, sizeof(v)); };
  switch (type) {
  case DType::F64:
    return put(value);
  case DType::F32:
    return put(float(value));
  case DType::F16:
    return put(doubleToF16(value));
  case DType::BF16:
    return put(doubleToBf16(value));
  case DType::I64:
    return put(i64(value));
  case DType::U64:
    return put(u64(value));
  case DType::I32:
    return put(i32(value));
  case DType::U32:
    return put(u32(i64(value)));
  case DType::I16:
  case DType::U16:
    return put(u16(i64(value)));
  default:
    return put(u8(i64(value)));
  }
}

static Status fillTensor(Tensor &tensor, const std::string &contents) {
  DType type = tensor.dtype();
  int64_t count = tensor.count(), size = rt::dtypeSize(type);
  u8 *data = tensor.as<u8>();
  std::string inside;
  if (contents == "zero")
    return {};
  if (contents == "nan") {
    std::memset(data, 0xff, size_t(count * size));
  } else if (contents == "iota") {
    for (int64_t i = 0; i < count; ++i)
      storeNumber(data + i * size, type, double(i));
  } else if (parenthesised(contents, "fill", inside)) {
    for (int64_t i = 0; i < count; ++i)
      storeNumber(data + i * size, type, std::strtod(inside.c_str(), nullptr));
  } else if (parenthesised(contents, "random", inside)) {
    u64 state = std::strtoull(inside.c_str(), nullptr, 0) * 0x9e3779b97f4a7c15ull + 1;
    for (int64_t i = 0; i < count; ++i) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      double unit = double(i32(state >> 16)) / 2147483648.0; // [-1, 1)
      storeNumber(data + i * size, type, rt::isFloat(type) ? unit : double(i64(state >> 33 & 0x7f)));
    }
  } else {
    return error(Code::InvalidArgument, "'%s' is no contents: zero, nan, iota, random(SEED) or fill(VALUE)", contents.c_str());
  }
  return {};
}

Result<ToolArguments::Buffer *> ToolArguments::makeBuffer(const std::string &spec, const std::string &name) {
  auto sides = split(spec, '>');
  Buffer buffer;
  if (sides.size() == 2)
    buffer.output = sides[1];
  const std::string &source = sides[0];
  if (source.ends_with(".npy")) {
    Result<Tensor> tensor = rt::readNpy(source);
    if (!tensor.ok())
      return tensor.takeStatus();
    buffer.tensor = std::move(*tensor);
  } else {
    auto parts = split(source, ':');
    DType type = rt::dtypeFromName(parts[0].data(), parts[0].size());
    if (parts.size() < 2 || parts.size() > 3 || rt::dtypeSize(type) == 0)
      return error(Code::InvalidArgument,
                   "'%s' is no argument: TYPE:SHAPE:CONTENTS, FILE.npy, TYPE=VALUE, @NAME or map(NAME, BOX, SWIZZLE)", spec.c_str());
    Result<Shape> shape = parseShape(parts[1]);
    if (!shape.ok())
      return shape.takeStatus();
    Result<Tensor> tensor = Tensor::create(type, *shape);
    if (!tensor.ok())
      return tensor.takeStatus();
    buffer.tensor = std::move(*tensor);
    LEAT_RETURN_IF_ERROR(fillTensor(buffer.tensor, parts.size() == 3 ? parts[2] : "zero"));
  }
  LEAT_RETURN_IF_ERROR(simulator.registerMemory(buffer.tensor.data(), size_t(buffer.tensor.bytes()), name));
  buffers.push_back(std::move(buffer));
  return &buffers.back();
}

Status ToolArguments::addBuffer(const std::string &text) {
  size_t equals = text.find('=');
  if (equals == std::string::npos)
    return error(Code::InvalidArgument, "--buffer=%s: write NAME=SPEC", text.c_str());
  std::string name = trim(text.substr(0, equals));
  if (named.count(name))
    return error(Code::InvalidArgument, "--buffer: there are two buffers '%s'", name.c_str());
  Result<Buffer *> buffer = makeBuffer(text.substr(equals + 1), name);
  if (!buffer.ok())
    return buffer.takeStatus();
  named[name] = *buffer;
  return {};
}

template <class T> static std::vector<std::byte> bytesOf(T value) {
  std::vector<std::byte> bytes(sizeof(T));
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

Status ToolArguments::addScalar(const std::string &typeText, const std::string &value) {
  DType type = rt::dtypeFromName(typeText.data(), typeText.size());
  int64_t size = rt::dtypeSize(type);
  char *end = nullptr;
  std::vector<std::byte> bytes(size_t(std::max<int64_t>(size, 1)));
  if (rt::isFloat(type)) {
    storeNumber(reinterpret_cast<u8 *>(bytes.data()), type, std::strtod(value.c_str(), &end));
  } else {
    u64 bits = value.starts_with("-") ? u64(std::strtoll(value.c_str(), &end, 0)) : std::strtoull(value.c_str(), &end, 0);
    std::memcpy(bytes.data(), &bits, size_t(std::min<int64_t>(size, 8)));
  }
  if (size == 0 || value.empty() || *end)
    return error(Code::InvalidArgument, "'%s=%s' is no scalar: write TYPE=NUMBER, as u32=128", typeText.c_str(), value.c_str());
  values.push_back(std::move(bytes));
  return {};
}

Status ToolArguments::addTensorMap(const std::string &spec) {
  auto parts = split(spec, ',');
  if (parts.size() < 2 || parts.size() > 3)
    return error(Code::InvalidArgument, "map(%s): write map(NAME, BOX) or map(NAME, BOX, SWIZZLE)", spec.c_str());
  auto it = named.find(parts[0]);
  if (it == named.end())
    return error(Code::NotFound, "map(%s): there is no --buffer '%s'", spec.c_str(), parts[0].c_str());
  Result<Shape> box = parseShape(parts[1]);
  if (!box.ok())
    return box.takeStatus();
  Tensor &tensor = it->second->tensor;
  if (box->rank != tensor.rank() || box->rank > 5)
    return error(Code::InvalidArgument, "map(%s): the box has rank %d, the buffer %d", spec.c_str(), box->rank, tensor.rank());
  TensorMapSpec map;
  map.base = tensor.data();
  map.rank = tensor.rank();
  map.elementBytes = int(rt::dtypeSize(tensor.dtype()));
  u64 stride = u64(map.elementBytes);
  for (int d = 0; d < map.rank; ++d) {
    int axis = map.rank - 1 - d; // innermost first there, last here
    map.dims[d] = u64(tensor.dim(axis));
    map.box[d] = u32(box->dims[axis]);
    if (d > 0)
      map.strides[d - 1] = stride;
    stride *= map.dims[d];
  }
  int64_t swizzle = 0;
  if (parts.size() == 3 && !parseCount(parts[2], swizzle))
    return error(Code::InvalidArgument, "map(%s): '%s' is no number of bytes", spec.c_str(), parts[2].c_str());
  map.swizzleBytes = int(swizzle);
  std::vector<std::byte> bytes(tensorMapBytes);
  LEAT_RETURN_IF_ERROR(encodeTensorMap(map, bytes.data()));
  values.push_back(std::move(bytes));
  return {};
}

Status ToolArguments::addArgument(const std::string &text) {
  texts.push_back(text);
  std::string inside;
  if (parenthesised(text, "map", inside))
    return addTensorMap(inside);
  if (text.starts_with("@")) {
    auto it = named.find(text.substr(1));
    if (it == named.end())
      return error(Code::NotFound, "--arg=%s: there is no --buffer '%s'", text.c_str(), text.c_str() + 1);
    values.push_back(bytesOf(it->second->tensor.data()));
    return {};
  }
  size_t equals = text.find('=');
  if (equals != std::string::npos && text.find('>') == std::string::npos)
    return addScalar(text.substr(0, equals), text.substr(equals + 1));
  Result<Buffer *> buffer = makeBuffer(text, rt::formatText("argument %zu", values.size()));
  if (!buffer.ok())
    return buffer.takeStatus();
  values.push_back(bytesOf((*buffer)->tensor.data()));
  return {};
}

Result<std::vector<std::byte>> ToolArguments::pack(const KernelInfo &kernel) const {
  if (values.size() != kernel.parameters.size())
    return error(Code::InvalidArgument, "kernel '%s' has %zu parameters; %zu --arg were given", kernel.name.c_str(),
                 kernel.parameters.size(), values.size());
  std::vector<std::byte> bytes(kernel.parameterBytes);
  for (size_t i = 0; i < values.size(); ++i) {
    const Parameter &p = kernel.parameters[i];
    if (values[i].size() != p.bytes)
      return error(Code::InvalidArgument, "--arg=%s has %zu bytes, parameter %zu ('%s') has %u", texts[i].c_str(), values[i].size(), i,
                   p.name.c_str(), p.bytes);
    std::memcpy(bytes.data() + p.offset, values[i].data(), p.bytes);
  }
  return bytes;
}

Status ToolArguments::writeOutputs() const {
  for (const Buffer &buffer : buffers)
    if (!buffer.output.empty())
      LEAT_RETURN_IF_ERROR(rt::writeNpy(buffer.output, buffer.tensor));
  return {};
}

} // namespace leat::sim
