// See Ring.h.
#include "passes/CUDA/Ring.h"

using namespace mlir;

namespace leat::cuda {

Ring::Ring(KernelBuilder &k, ValueRange buffers, int64_t groups, bool late, int64_t cluster)
    : k(k), buffers(buffers), late(late), shared(cluster > 1) {
  stages = cast<tile::SharedType>(buffers.front().getType()).getStages();
  for (Value buffer : buffers) {
    auto type = cast<tile::SharedType>(buffer.getType());
    bytes += type.getRows() * type.getCols() * type.getElementBytes();
  }
  auto type = tile::MBarriersType::get(k.b.getContext(), stages);
  full = tile::MBarriersOp::create(k.b, type, 1);
  if (groups)
    empty = tile::MBarriersOp::create(k.b, type, groups * cluster);
}

Values Ring::tiles(Value step) {
  return llvm::map_to_vector(buffers, [&](Value buffer) -> Value {
    auto type = cast<tile::SharedType>(buffer.getType());
    return stages == 1 ? buffer : tile::SlotOp::create(k.b, type.oneStage(), buffer, stage(step)).getResult();
  });
}

Values Ring::acquire(Value step) {
  // In the first round nobody has emptied anything: the phase before the first is over. Late consumers are a phase ahead in the last stage.
  Value round = late ? k.add(step, k.idx(1)) : step;
  tile::AwaitOp::create(k.b, empty, stage(step), k.sub(k.idx(1), parity(round)), shared);
  tile::ExpectOp::create(k.b, full, stage(step), bytes);
  return tiles(step);
}

Values Ring::begin(Value step) {
  tile::ExpectOp::create(k.b, full, stage(step), bytes);
  return tiles(step);
}

void Ring::copy(Value map, ValueRange coordinates, Value tile, Value step, bool multicast) {
  tile::CopyTensorOp::create(k.b, map, coordinates, tile, full, stage(step), multicast);
}

Values Ring::await(Value step) {
  tile::AwaitOp::create(k.b, full, stage(step), parity(step));
  return tiles(step);
}

void Ring::releaseBefore(Value step) { release(k.add(step, k.idx(stages - 1))); }

void Ring::release(Value step) { tile::ArriveOp::create(k.b, empty, stage(step), shared); }

} // namespace leat::cuda
