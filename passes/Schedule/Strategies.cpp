#include "passes/Schedule/Strategies.h"

namespace leat::schedule {

namespace {
constexpr int64_t kDepths[] = {256, 512, 1024, 2048}, kRows[] = {24, 48, 96, 192}, kWeights[] = {8192, 32768, 131072},
                  kKeys[] = {32, 48, 64, 96, 128}, kGrains[] = {1024, 4096, 16384, 65536};
constexpr Tunable kGemm[] = {
    {"kc", 16, 1 << 20, 1, 1024, kDepths}, {"mc", 6, 1536, 6, 48, kRows}, {"grain", 64, 1 << 26, 1, 32768, kWeights}};
constexpr Tunable kAttention[] = {{"keys", 4, 1024, 4, 64, kKeys}};
constexpr Tunable kGrain[] = {{"grain", 1, 1 << 26, 1, 4096, kGrains}};
} // namespace

llvm::ArrayRef<Tunable> tunablesOf(llvm::StringRef strategy) {
  if (strategy == "gemm")
    return kGemm;
  if (strategy == "attention")
    return kAttention;
  if (strategy == "map" || strategy == "row" || strategy == "reduce")
    return kGrain;
  return {};
}

const Tunable *findTunable(llvm::StringRef strategy, llvm::StringRef name) {
  for (const Tunable &tunable : tunablesOf(strategy))
    if (tunable.name == name)
      return &tunable;
  return nullptr;
}

} // namespace leat::schedule
