// A ring of tiles between the producer and the consumers of tile.roles: each stage has a barrier that says it is full and one that says it
// is empty. Steps are counted from 0; step i uses stage i mod stages, in its phase i / stages.
#pragma once

#include "passes/CUDA/TileGenerator.h"

namespace leat::cuda {

class Ring {
public:
  /// `buffers`: tiles in shared memory of one number of stages, filled together; `groups`: of four consumer warps, all of which empty them;
  /// 0: they are filled once.
  /// `late`: consumers are done with a step only when they have begun with the next one (releaseBefore).
  /// `cluster`: blocks whose producers bring tiles to each other, so that a stage is empty when the consumers of all of them are done with
  /// it.
  Ring(KernelBuilder &k, mlir::ValueRange buffers, int64_t groups, bool late = false, int64_t cluster = 1);

  /// The producer waits until the stage of a step is empty and announces its bytes. Returns its tiles.
  Values acquire(mlir::Value step);
  /// The same for a step whose stage nobody has used.
  Values begin(mlir::Value step);
  /// Copies `tile` of the stage by a tensor map. `multicast`: this block's share of it, to all blocks of the cluster.
  void copy(mlir::Value map, mlir::ValueRange coordinates, mlir::Value tile, mlir::Value step, bool multicast = false);
  /// A consumer waits until the stage is full. Returns its tiles.
  Values await(mlir::Value step);
  /// Tiles of a stage that has been waited for.
  Values tiles(mlir::Value step);
  /// A consumer is done with the stage.
  void release(mlir::Value step);
  /// A consumer that has begun with `step` is done with the stage of the step before. At step 0 that is the last stage, which nobody has
  /// used: the producer waits for it nevertheless, so that loops need no first step of their own.
  void releaseBefore(mlir::Value step);

private:
  mlir::Value stage(mlir::Value step) { return k.rem(step, k.idx(stages)); }
  /// Of the phase that the step's tiles are in.
  mlir::Value parity(mlir::Value step) { return k.rem(k.div(step, k.idx(stages)), k.idx(2)); }

  KernelBuilder &k;
  Values buffers;
  int64_t stages, bytes = 0;
  bool late, shared; ///< `shared`: by the blocks of a cluster
  mlir::Value full, empty;
};

} // namespace leat::cuda
