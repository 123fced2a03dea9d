// The PTX reader, decoder and interpreter on foreign bytes: an error in one line, or findings, and never a crash.
#include "runtime/device/sim/Simulator.h"

#include <cstdlib>
#include <cstring>

using namespace leat::sim;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  auto module = Module::parse(std::string_view(reinterpret_cast<const char *>(data), size));
  if (!module.ok()) {
    if (module.status().message().find('\n') != std::string::npos)
      std::abort();
    return 0;
  }
  Options options;
  options.instructionBudget = 20000;
  options.maxReports = 5;
  Simulator simulator(options);
  uint64_t memory[64] = {};
  if (!simulator.registerMemory(memory, sizeof(memory), "memory").ok())
    std::abort();
  for (const KernelInfo &kernel : (*module)->kernels()) {
    if (kernel.parameterBytes > 4096)
      continue;
    std::vector<std::byte> parameters(kernel.parameterBytes); // pointers into the memory, where they fit
    for (const Parameter &p : kernel.parameters)
      if (p.bytes == 8) {
        uint64_t address = reinterpret_cast<uintptr_t>(memory);
        std::memcpy(parameters.data() + p.offset, &address, 8);
      }
    for (Landing landing : {Landing::Late, Landing::Random}) {
      simulator.options.landing = landing;
      LaunchConfig config = {.grid = {2}, .block = {40}, .dynamicSharedBytes = 2048};
      if (kernel.requiredBlock.x)
        config.block = kernel.requiredBlock;
      auto result = simulator.launch(**module, kernel.name, config, std::span<const std::byte>(parameters));
      if (result.ok())
        resultToJson(*result);
    }
  }
  return 0;
}
