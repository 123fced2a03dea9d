// Where the tiles of a program lie in the block's shared memory: asked by the generator for the launch, and by the lowering for addresses.
#pragma once

#include "dialects/Tile/Tile.h"

#include "llvm/ADT/DenseMap.h"

namespace leat::cuda {

constexpr int64_t kMBarrierBytes = 8;

struct SharedPlan {
  llvm::DenseMap<mlir::Operation *, int64_t> offsets; ///< of each tile.alloc and tile.mbarriers
  int64_t bytes = 0;
};

/// Tiles and barriers follow each other in the order of their ops, unless they say where they are.
SharedPlan planShared(tile::ProgramOp program);

} // namespace leat::cuda
