// Tensors: creation with checked sizes, copies.
#include "runtime/core/Tensor.h"

#include <algorithm>

namespace leat::rt {

Shape::Shape(std::initializer_list<int64_t> list) {
  for (int64_t dim : list)
    if (rank < maxRank)
      dims[rank++] = dim;
}

bool Shape::operator==(const Shape &other) const { return rank == other.rank && std::equal(dims, dims + rank, other.dims); }

std::string shapeText(const int64_t *dims, int64_t rank) {
  std::string text = "[";
  for (int64_t i = 0; i < rank; ++i) {
    if (i)
      text += ",";
    text += dims[i] < 0 ? "?" : std::to_string(dims[i]);
  }
  return text + "]";
}

bool byteSize(const int64_t *dims, int64_t rank, int64_t elementSize, int64_t &bytes) {
  // A zero anywhere makes the product zero, but the other dims must still be sound.
  int64_t product = elementSize;
  bool zero = false;
  for (int64_t i = 0; i < rank; ++i) {
    if (dims[i] < 0)
      return false;
    if (dims[i] == 0)
      zero = true;
    else if (__builtin_mul_overflow(product, dims[i], &product))
      return false;
  }
  bytes = zero ? 0 : product;
  return true;
}

Result<Tensor> Tensor::create(DType type, const Shape &shape) {
  int64_t bytes;
  if (dtypeSize(type) == 0)
    return error(Code::Unsupported, "a tensor cannot hold elements of type %s", dtypeName(type));
  if (!byteSize(shape.dims, shape.rank, dtypeSize(type), bytes))
    return error(Code::InvalidArgument, "a tensor of shape %s is too large", shapeText(shape).c_str());
  Tensor tensor;
  tensor.type = type;
  tensor.dims = shape;
  if (!tensor.memory.allocate(bytes))
    return error(Code::Capacity, "out of memory for a tensor of shape %s (%lld bytes)", shapeText(shape).c_str(), (long long)bytes);
  tensor.pointer = tensor.memory.data();
  return tensor;
}

Tensor Tensor::borrow(DType type, const Shape &shape, const void *data) {
  Tensor tensor;
  tensor.type = type;
  tensor.dims = shape;
  tensor.pointer = const_cast<void *>(data);
  return tensor;
}

Result<Tensor> Tensor::clone() const {
  Result<Tensor> copy = create(type, dims);
  if (copy.ok() && bytes() > 0)
    std::memcpy(copy->data(), data(), bytes());
  return copy;
}

int64_t Tensor::count() const {
  int64_t product = 1;
  for (int i = 0; i < dims.rank; ++i)
    product *= dims.dims[i];
  return product;
}

} // namespace leat::rt
