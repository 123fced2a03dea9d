// Where the weights lie that kernels on the CPU read: in the artifact's mapping, or copied into huge pages, once for all sessions of a
// model.
#ifndef LEAT_RUNTIME_DEVICE_HOST_HOSTWEIGHTS_H
#define LEAT_RUNTIME_DEVICE_HOST_HOSTWEIGHTS_H

#include "runtime/artifact/Artifact.h"
#include "runtime/core/Memory.h"
#include "runtime/core/SystemMemory.h"
#include "runtime/core/ThreadPool.h"

#include <functional>
#include <vector>

namespace leat::rt {

// A file's pages are 4 KB, and kernels that wait for weights read huge pages faster (docs/runtime.md has the measurements). A mapping costs
// nothing at load and is shared between processes; a copy is the process's own.
enum class WeightPages {
  Auto,   // huge where it pays and memory is plentiful, else mapped
  Mapped, // always
  Huge,   // unless the system offers none or memory is short
};

class HostWeights {
public:
  HostWeights() = default;
  // Never fails: what cannot be copied stays mapped. `artifact`, already checked, must outlive the result. `goOn` is asked by all threads
  // before each huge page, unless a copy was asked for: where it says no, the page stays mapped.
  static HostWeights place(
      const Artifact &artifact, WeightPages asked, const SystemMemory &system, ThreadPool &pool,
      const std::function<bool()> &goOn = [] { return true; });
  // Whether weights of `bytes` are to be copied.
  static bool wantsCopy(WeightPages asked, int64_t bytes, const SystemMemory &system);

  const void *param(size_t index) const;
  // Mapped, or Huge if some of them are copied.
  WeightPages pages() const { return copy.data() ? WeightPages::Huge : WeightPages::Mapped; }

private:
  const Artifact *artifact = nullptr;
  Memory copy;
  std::vector<uint8_t> copied; // of each huge page of the section
};

} // namespace leat::rt

#endif
