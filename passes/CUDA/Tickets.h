// A grid whose blocks stay: no more are launched than the multiprocessors hold (LeatGeometry::resident), and each takes one tile of the
// grid after another. Its first has the block's number, further ones are drawn from a counter that all blocks share: who is done early
// takes more, and copies for the next tile are on their way while results of the one before are written.
#pragma once

#include "passes/CUDA/TileGenerator.h"

namespace leat::cuda {

class Tickets {
public:
  /// Made in front of tile.roles. `total`: tiles of the grid, which are tried in order.
  Tickets(KernelBuilder &k, mlir::Value total);

  /// `tile` is worked on as the block's number `round`; rings (Ring.h) are at step `step`. Returns the step that they come to.
  using Body = llvm::function_ref<mlir::Value(mlir::Value tile, mlir::Value round, mlir::Value step)>;
  /// The producer's loop. From the second round on its body waits for what `release` releases.
  void produce(Body body);
  /// The consumers' loop. `release`: behind a barrier at which all consumers are done with the round.
  void consume(Body body, llvm::function_ref<void(mlir::Value round)> release);

private:
  void loop(llvm::function_ref<Values(mlir::Value tile, mlir::Value round, mlir::Value step)> body);

  KernelBuilder &k;
  mlir::Value total, counter;
  mlir::Value slot, full; ///< in shared memory: the next tile, and that it is there
};

} // namespace leat::cuda
