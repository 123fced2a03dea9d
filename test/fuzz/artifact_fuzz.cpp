// The artifact reader on foreign bytes, with the checksums ignored: what lies behind them must hold by itself.
#include "runtime/artifact/Artifact.h"

#include <cstdlib>
#include <cstring>

using namespace leat::rt;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  // Aligned as a mapping would be; the bytes behind the end are not ours.
  void *block = nullptr;
  if (posix_memalign(&block, 64, size ? size : 1) != 0)
    return 0;
  auto copy = static_cast<uint8_t *>(block);
  if (size)
    std::memcpy(copy, data, size);
  ContainerChecks checks;
  checks.crc = false;
  auto artifact = Artifact::parse({copy, size}, checks);
  if (artifact.ok()) {
    // Touch all that a session would.
    uint64_t sum = 0;
    for (size_t i = 0; i < (*artifact)->manifest().params.size(); ++i)
      for (uint64_t b = 0; b < (*artifact)->manifest().params[i].length; b += 4096)
        sum += static_cast<const uint8_t *>((*artifact)->param(i))[b];
    volatile uint64_t sink = sum;
    (void)sink;
  } else if (artifact.status().message().find('\n') != std::string::npos) {
    std::abort(); // one line, whatever the file says
  }
  std::free(block);
  return 0;
}
