// NumPy's .npy files, versions 1 to 3: read with every size checked against the bytes at hand, and written as version 1.
#ifndef LEAT_RUNTIME_CORE_NPY_H
#define LEAT_RUNTIME_CORE_NPY_H

#include "runtime/core/Tensor.h"

namespace leat::rt {

// Decodes one array. `expected` says what raw void elements ("V1", "V2": how bfloat16 and 8-bit floats are saved) and bytes that stand for
// sub-byte integers are; it converts nothing else. Big-endian and Fortran-ordered files come out native and row-major.
Result<Tensor> parseNpy(const void *data, size_t size, DType expected = DType::Undefined);
Result<Tensor> readNpy(const std::string &path, DType expected = DType::Undefined);
Status writeNpy(const std::string &path, const Tensor &tensor);
// The file's bytes before the elements.
Result<std::string> npyHeader(DType type, const Shape &shape);

} // namespace leat::rt

#endif
