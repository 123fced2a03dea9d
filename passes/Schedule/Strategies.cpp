#include "passes/Schedule/Strategies.h"

namespace leat::schedule {

namespace {
constexpr int64_t kDepths[] = {256, 512, 1024, 2048}, kRows[] = {24, 48, 96, 192}, kWeights[] = {8192, 32768, 131072},
                  kKeys[] = {32, 48, 64, 96, 128}, kGrains[] = {1024, 4096, 16384, 65536};
constexpr Tunable kGemm[] = {
    {"kc", 16, 1 << 20, 1, 1024, kDepths}, {"mc", 6, 1536, 6, 48, kRows}, {"grain", 64, 1 << 26, 1, 32768, kWeights}};
constexpr Tunable kAttention[] = {{"keys", 4, 1024, 4, 64, kKeys}};
// Tiles of GPU kernels: of the output (rows, cols), of what a step reads (depth, keys), steps in flight. ScheduleCUDA knows the standard
// ones; what does not fit a multiprocessor is found out by whoever tries it.
constexpr int64_t kTileRows[] = {32, 64, 128}, kTileCols[] = {32, 64, 128, 256}, kTileDepths[] = {16, 32, 64}, kTileKeys[] = {32, 64, 128},
                  kStages[] = {2, 3, 4}, kYesNo[] = {0, 1}, kClusters[] = {1, 2}, kGroupCols[] = {64, 128, 256},
                  kGroupKeys[] = {64, 80, 96, 112, 128, 144, 160, 176};
constexpr Tunable kTile[] = {{"rows", 32, 256, 32, 64, kTileRows},
                             {"cols", 32, 256, 32, 64, kTileCols},
                             {"depth", 16, 128, 16, 32, kTileDepths},
                             {"keys", 16, 256, 16, 64, kTileKeys},
                             {"stages", 2, 8, 1, 3, kStages},
                             {"group_cols", 64, 256, 64, 128, kGroupCols},
                             {"group_keys", 16, 256, 16, 128, kGroupKeys},
                             {"group_stages", 2, 8, 1, 4, kStages},
                             {"group_cluster", 1, 2, 1, 1, kClusters},
                             {"cublaslt", 0, 1, 1, 0, kYesNo}};
constexpr Tunable kGrain[] = {{"grain", 1, 1 << 26, 1, 4096, kGrains}};
} // namespace

llvm::ArrayRef<Tunable> tunablesOf(llvm::StringRef strategy) {
  if (strategy == "gemm")
    return kGemm;
  if (strategy == "attention")
    return kAttention;
  if (strategy == "tile")
    return kTile;
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
