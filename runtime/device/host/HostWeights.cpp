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

HostWeights HostWeights::place(const Artifact &artifact, WeightPages asked, const SystemMemory &system, ThreadPool &pool,
                               const std::function<bool()> &goOn) {
  HostWeights placed;
  placed.artifact = &artifact;
  std::span<const uint8_t> from = artifact.section(SectionKind::Weights);
  auto bytes = static_cast<int64_t>(from.size());
  if (!wantsCopy(asked, bytes, system) || !placed.copy.allocate(bytes))
    return placed;
  auto *to = static_cast<uint8_t *>(placed.copy.data());
  // A huge page a task: the thread that touches it first has it cleared by the system. The mapping's pages go as they are copied, so that
  // the process never holds the weights twice.
  placed.copied.resize(static_cast<size_t>((bytes + hugePage - 1) / hugePage));
  pool.forRange(static_cast<int64_t>(placed.copied.size()), [&](int64_t begin, int64_t end, int) {
    for (int64_t page = begin; page < end && (asked == WeightPages::Huge || goOn()); ++page) {
      int64_t at = page * hugePage;
      std::span<const uint8_t> piece = from.subspan(at, std::min(hugePage, bytes - at));
      std::memcpy(to + at, piece.data(), piece.size());
      artifact.dropPages(piece);
      placed.copied[page] = 1;
    }
  });
  if (std::ranges::count(placed.copied, 1) == 0)
    placed.copy = Memory();
  return placed;
}

const void *HostWeights::param(size_t index) const {
  const ParamInfo &info = artifact->manifest().params[index];
  auto offset = static_cast<int64_t>(info.offset), end = offset + static_cast<int64_t>(info.length);
  for (int64_t page = offset / hugePage; page * hugePage < std::max(end, offset + 1); ++page)
    if (!copy.data() || page >= static_cast<int64_t>(copied.size()) || !copied[page])
      return artifact->param(index);
  return static_cast<const uint8_t *>(copy.data()) + offset;
}

} // namespace leat::rt
