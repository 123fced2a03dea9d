// Tensors on the command line: IREE's grammar, files, and random values.
#pragma once

#include "runtime/core/Tensor.h"

namespace leat::driver {

/// Makes the tensor that `spec` describes:
///   2x3xf32=1,2,3,4,5,6    values in row-major order, separated by commas or spaces; brackets are ignored; one value fills the tensor
///   i64=7                  a scalar
///   2x3xf32                zeros
///   2x3xf32=rand(SEED,LOW,HIGH)   uniform, the same on every machine
///   @FILE.npy              a NumPy file;  2x3xf32=@FILE.bin   raw bytes
/// `expected` is the element type that the model wants, for files that do not say it.
rt::Result<rt::Tensor> parseTensorSpec(const std::string &spec, rt::DType expected);

/// `2x3xf32=[1 2 3][4 5 6]`, long tensors cut in the middle.
std::string tensorText(const rt::Tensor &tensor, int64_t limit);

/// A name as a file name: everything but letters, digits and -_.~ percent-encoded as in URLs.
std::string percentEncode(const std::string &name);

} // namespace leat::driver
