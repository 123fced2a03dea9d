// A dense row-major tensor: owns its memory, or borrows someone else's.
#ifndef LEAT_RUNTIME_CORE_TENSOR_H
#define LEAT_RUNTIME_CORE_TENSOR_H

#include "leat/KernelABI.h"
#include "runtime/core/DType.h"
#include "runtime/core/Memory.h"
#include "runtime/core/Status.h"

#include <initializer_list>

namespace leat::rt {

inline constexpr int maxRank = LEAT_MAX_RANK;

struct Shape {
  int32_t rank = 0;
  int64_t dims[maxRank] = {};

  Shape() = default;
  Shape(std::initializer_list<int64_t> list);
  int64_t operator[](int axis) const { return dims[axis]; }
  bool operator==(const Shape &other) const;
};

// "[2,?,64]": a negative dimension prints as "?".
std::string shapeText(const int64_t *dims, int64_t rank);
inline std::string shapeText(const Shape &shape) { return shapeText(shape.dims, shape.rank); }
// Product of the dims times `elementSize`; false on a negative dim or overflow of int64.
bool byteSize(const int64_t *dims, int64_t rank, int64_t elementSize, int64_t &bytes);

class Tensor {
public:
  Tensor() = default;
  Tensor(Tensor &&) = default;
  Tensor &operator=(Tensor &&) = default;

  // Zeroed memory of its own.
  static Result<Tensor> create(DType type, const Shape &shape);
  // A view: the caller keeps `data` alive and large enough.
  static Tensor borrow(DType type, const Shape &shape, const void *data);
  Result<Tensor> clone() const;

  DType dtype() const { return type; }
  const Shape &shape() const { return dims; }
  int rank() const { return dims.rank; }
  int64_t dim(int axis) const { return dims.dims[axis]; }
  int64_t count() const;
  int64_t bytes() const { return count() * dtypeSize(type); }
  bool owned() const { return memory.data() != nullptr; }
  void *data() { return pointer; }
  const void *data() const { return pointer; }
  template <typename T> T *as() { return static_cast<T *>(pointer); }
  template <typename T> const T *as() const { return static_cast<const T *>(pointer); }

private:
  DType type = DType::Undefined;
  Shape dims;
  void *pointer = nullptr;
  Memory memory;
};

} // namespace leat::rt

#endif
