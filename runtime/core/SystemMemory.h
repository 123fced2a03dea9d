// What the operating system says about memory, for decisions that nothing but speed depends on.
#ifndef LEAT_RUNTIME_CORE_SYSTEMMEMORY_H
#define LEAT_RUNTIME_CORE_SYSTEMMEMORY_H

#include <cstdint>
#include <string>

namespace leat::rt {

struct SystemMemory {
  int64_t available =
      0; // bytes that this process may still take without swapping: what the machine has and the limits of control groups leave
  bool hugePages = false; // large private memory gets transparent huge pages, always or where it is advised

  // What cannot be read counts as nothing available and no huge pages. `root` is where /proc and /sys lie; tests bring their own.
  static SystemMemory read(const std::string &root = "");
};

} // namespace leat::rt

#endif
