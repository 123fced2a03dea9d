// The .npy reader on foreign bytes; what it accepts must survive being written and read again.
#include "runtime/core/Npy.h"

#include <cstdlib>

using namespace leat::rt;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  for (DType expected : {DType::Undefined, DType::BF16, DType::I4}) {
    auto tensor = parseNpy(data, size, expected);
    if (!tensor.ok()) {
      if (tensor.status().message().find('\n') != std::string::npos)
        std::abort();
      continue;
    }
    auto header = npyHeader(tensor->dtype(), tensor->shape());
    if (!header.ok())
      std::abort();
    std::string again = *header + std::string(tensor->as<char>(), tensor->bytes());
    auto back = parseNpy(again.data(), again.size(), tensor->dtype());
    if (!back.ok() || !(back->shape() == tensor->shape()) || std::memcmp(back->data(), tensor->data(), tensor->bytes()) != 0)
      std::abort();
  }
  return 0;
}
