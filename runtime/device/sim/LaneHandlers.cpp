// Chooses the instruction set and indexes its tables by name.
#include "runtime/device/sim/LaneHandlers.h"

#include <unordered_map>

namespace leat::sim {

static bool hasV3() {
#ifdef LEAT_SIM_HAS_V3
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") &&
         __builtin_cpu_supports("f16c");
#else
  return false;
#endif
}

static std::unordered_map<std::string_view, Handler> makeTable() {
  std::unordered_map<std::string_view, Handler> table;
  auto add = [&](std::span<const NamedHandler> handlers) {
    for (const NamedHandler &entry : handlers)
      table[entry.name] = entry.handler;
  };
#define LEAT_SIM_ADD(isa)                                                                                                                  \
  add(isa::integerHandlers()), add(isa::bitHandlers()), add(isa::floatHandlers()), add(isa::halfHandlers()), add(isa::compareHandlers()),  \
      add(isa::convertHandlers()), add(isa::moveHandlers())
#ifdef LEAT_SIM_HAS_V3
  if (hasV3()) {
    LEAT_SIM_ADD(v3);
    return table;
  }
#endif
  LEAT_SIM_ADD(generic);
  return table;
}

Handler laneHandler(std::string_view name) {
  static const auto table = makeTable();
  auto it = table.find(name);
  return it == table.end() ? nullptr : it->second;
}

const MatrixKernels &matrixKernels() {
#ifdef LEAT_SIM_HAS_V3
  static const MatrixKernels &chosen = hasV3() ? v3::matrixKernels() : generic::matrixKernels();
#else
  static const MatrixKernels &chosen = generic::matrixKernels();
#endif
  return chosen;
}

} // namespace leat::sim
