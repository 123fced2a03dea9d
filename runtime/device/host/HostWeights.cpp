// See HostWeights.h.
#include "runtime/device/host/HostWeights.h"

#include <algorithm>
#include <cstring>

namespace leat::rt {

static constexpr int64_t hugePage = int64_t(1) << 21;
// Less than this may lie in a processor's last cache, where pages matter little.
static constexpr int64_t worthCopying = int64_t(32) << 20;

bool HostWeights::wantsCopy(WeightPages asked, int64_t bytes, const SystemMemory &system) {
  if (asked == WeightPages::Mapped || !system.hugePages)
    return false;
  // By itself: as much as the copy takes must be left for others. On request: an eighth, for what a session needs.
  return asked == WeightPages::Auto ? bytes >= worthCopying && bytes <= system.available / 2
                                    : bytes >= hugePage && bytes <= system.available - system.available / 8;
}

HostWeights HostWeights::place(const Artifact &artifact, WeightPages asked, const SystemMemory &system, ThreadPool &pool) {
  HostWeights placed;
  placed.artifact = &artifact;
  std::span<const uint8_t> from = artifact.section(SectionKind::Weights);
  auto bytes = static_cast<int64_t>(from.size());
  if (!wantsCopy(asked, bytes, system) || !placed.copy.allocate(bytes))
    return placed;
  auto *to = static_cast<uint8_t *>(placed.copy.data());
  // A huge page a task: the thread that touches it first has it cleared by the system. The mapping's pages go as they are copied, so that
  // the process never holds the weights twice.
  pool.forRange((bytes + hugePage - 1) / hugePage, [&](int64_t begin, int64_t end, int) {
    for (int64_t at = begin * hugePage; at < std::min(end * hugePage, bytes); at += hugePage) {
      std::span<const uint8_t> piece = from.subspan(at, std::min(hugePage, bytes - at));
      std::memcpy(to + at, piece.data(), piece.size());
      artifact.dropPages(piece);
    }
  });
  return placed;
}

const void *HostWeights::param(size_t index) const {
  return copy.data() ? static_cast<const uint8_t *>(copy.data()) + artifact->manifest().params[index].offset : artifact->param(index);
}

} // namespace leat::rt
