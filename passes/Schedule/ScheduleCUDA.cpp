// Chooses a strategy for each kernel on a GPU.
#include "passes/Schedule/Passes.h"

#include "dialects/Leat/Leat.h"
#include "passes/CUDA/PlainProduct.h"
#include "passes/CUDA/Target.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace leat::schedule {
#define GEN_PASS_DEF_SCHEDULECUDA
#include "passes/Schedule/Passes.h.inc"
} // namespace leat::schedule

using namespace mlir;

namespace leat::schedule {

namespace {

using Sizes = SmallVector<std::pair<StringRef, int64_t>>;

/// Rows and columns of the output that a block makes, the depth of a step, steps in flight. 64 sums a thread leave registers for operands;
/// f32 products are bound by multiply-adds, so small steps serve them as well. The tiles of all steps stay within 48 KiB.
Sizes productTiles(MatmulOp op) {
  auto lhs = cast<RankedTensorType>(op.getLhs().getType());
  // f32 by f32, and by f16: bf16 has the range of f32, and two of its numbers make one of f32.
  bool exact = lhs.getElementType().isF32() && !cast<RankedTensorType>(op.getRhs().getType()).getElementType().isBF16();
  int64_t rows = lhs.getDimSize(lhs.getRank() - 2);
  bool few = !ShapedType::isDynamic(rows) && rows <= 64;
  return {{"rows", exact || few ? 64 : 128}, {"cols", 64}, {"depth", exact ? 16 : 32}, {"stages", 3}};
}

/// Rows and columns of a product with coded weights, steps in flight. A thread has the sums of a step beside those of all steps.
///
/// With activations in 8 bits, tensor cores are done with bytes twice as fast as with 16 bits, while those still come from the second cache
/// at about 32 a clock: 128 x 128 is where neither waits for the other. Few columns would leave multiprocessors without a block.
Sizes codedTiles(MatmulNBitsOp op, bool int8) {
  if (!int8)
    return {{"rows", 64}, {"cols", 64}, {"stages", 2}};
  auto lhs = cast<RankedTensorType>(op.getLhs().getType());
  bool few = lhs.hasStaticShape() && lhs.getNumElements() <= 64 * int64_t(op.getK());
  return {{"rows", few ? 64 : 128}, {"cols", int64_t(op.getN()) >= 1024 ? 128 : 64}, {"depth", 128}, {"stages", 3}, {"int8", 1}};
}

/// Rows of a block in prefill, keys of a step, steps in flight: what a thread keeps of logits and values has to fit its registers.
Sizes attentionTiles(KVAttendOp op) {
  auto q = cast<RankedTensorType>(op.getQ()[0].getType());
  bool wide = q.getDimSize(3) > 128 || cast<RankedTensorType>(op.getV()[0].getType()).getDimSize(3) > 128;
  return {{"rows", 64}, {"keys", q.getElementType().isF32() || wide ? 32 : 64}, {"stages", 2}};
}

/// What a block on Hopper has that is alone on its multiprocessor.
constexpr int64_t kHopperShared = 227 << 10;
/// Registers of a thread that are neither sums nor operands: addresses, positions, what rows carry.
constexpr int64_t kOtherRegisters = 32;
/// What positions of keys add to them, and what says that a block has keys that are nobody's.
constexpr int64_t kPositionRegisters = 24;

/// And rows of many spans of a swizzle: each span has addresses and descriptors of its own.
constexpr int64_t kWideRegisters = 24;

/// Sizes of a product by wgmma: 128 rows (64 where there are no more) by as many columns as finish first, by a model of a multiprocessor's
/// clocks. A step is bound by the tensor cores or by what comes from the second cache; steps of one wave run at the same time, and what
/// lies outside of the output is wasted. Two blocks of different rows may be a cluster and bring half of their common columns each, unless
/// it is known that the grid has an odd number of them. Of what takes as long, that is chosen which asks for fewer bytes.
Sizes productGroups(MatmulOp op) {
  constexpr int64_t multiprocessors = 132, depth = 64, stages = 4;
  constexpr double operations = 4096, cacheBytes = 48; // a clock: operations of the tensor cores in 16 bits, bytes that arrive
  auto lhs = cast<RankedTensorType>(op.getLhs().getType());
  int64_t m = lhs.getDimSize(lhs.getRank() - 2), n = cast<RankedTensorType>(op.getOutput().getType()).getShape().back();
  if (lhs.getElementType().isF32())
    return {};
  int64_t rows = !ShapedType::isDynamic(m) && m <= 64 ? 64 : 128;
  bool pairs = ShapedType::isDynamic(m) || llvm::divideCeil(m, rows) % 2 == 0;
  int64_t best = 0, cluster = 1;
  std::pair<double, double> least; // clocks, bytes
  for (int64_t cols : {256, 128, 64})
    for (int64_t blocksTogether : {1, 2}) {
      if (blocksTogether == 2 && !pairs)
        continue;
      double bytes = (rows + double(cols) / blocksTogether) * depth * 2;
      double clocks = std::max(2.0 * rows * cols * depth / operations, bytes / cacheBytes);
      double tiles = ShapedType::isDynamic(n) ? 1.0 / double(cols) : double(llvm::divideCeil(n, cols)), waves = tiles;
      // With all sizes known there is a last wave; else as many blocks as it takes.
      if (!ShapedType::isDynamic(m) && !ShapedType::isDynamic(n))
        waves = double(llvm::divideCeil(int64_t(tiles) * llvm::divideCeil(m, rows), multiprocessors));
      std::pair cost(waves * clocks, tiles * bytes);
      if (best == 0 || cost < least)
        best = cols, cluster = blocksTogether, least = cost;
    }
  return {{"group_rows", rows}, {"group_cols", best}, {"group_depth", depth}, {"group_stages", stages}, {"group_cluster", cluster}};
}

/// Entries of a page of the keys; 0 if they are in no pages.
int64_t pageOf(KVAttendOp op) {
  auto view = op.getK()[0].getDefiningOp<CacheViewOp>();
  return view && view.getTable() ? view.getState().getType().getContent().getDimSize(2) : 0;
}

/// Rows of a prefill block by wgmma, 64 for each group of four warps, and keys of a step. f32 logits, the same in 16 bits, and the sums of
/// a row's values have to fit a thread's registers, and queries and two stages of keys and values the shared memory.
Sizes attentionGroups(KVAttendOp op) {
  auto q = cast<RankedTensorType>(op.getQ()[0].getType()), v = cast<RankedTensorType>(op.getV()[0].getType());
  int64_t size = q.getDimSize(3), valueSize = v.getDimSize(3);
  if (q.getElementType().isF32() || ShapedType::isDynamic(size) || ShapedType::isDynamic(valueSize))
    return {};
  int64_t page = pageOf(op);
  if (page && std::max(size, valueSize) > 128) // no registers are left for finding pages
    return {};
  bool classified = !op.getKPos().empty() || !op.getBias().empty(); // as AttendClasses has it
  int64_t groups = std::max(size, valueSize) <= 64 ? 3 : 2, rows = 64 * groups;
  int64_t registers = cuda::RoleRegisters::ofAttention(groups, op.getK().size() + (page > 0) + classified).consumer;
  // A thread has half a row of 64 columns of each, so keys/2 logits, keys/4 registers of weights, valueSize/2 sums.
  // A bias has a place for each row, and elements on their way; what finds them has to stay beside wider sums.
  int64_t biasRegisters = std::max(size, valueSize) <= 64 ? 40 : 80;
  int64_t others = kOtherRegisters + (op.getKPos().empty() ? 0 : kPositionRegisters) + (op.getBias().empty() ? 0 : biasRegisters) +
                   (std::max(size, valueSize) > 128 ? kWideRegisters : 0);
  int64_t byRegisters = (registers - others - valueSize / 2) * 4 / 3;
  llvm::SmallDenseSet<Value> queries(op.getQ().begin(), op.getQ().end());
  int64_t byMemory = (kHopperShared - int64_t(queries.size()) * rows * size * 2) / (2 * 2 * (size + valueSize));
  // Wide blocks are partly hidden more often.
  int64_t most = op.getCausal() || int64_t(op.getWindowLeft()) >= 0 || int64_t(op.getWindowRight()) >= 0 ? 128 : 176;
  int64_t keys = std::min({byRegisters, byMemory, most}) / 16 * 16;
  if (keys < 16)
    return {};
  // A tensor copy brings keys of one page. Blocks of less than 64 would not be worth it.
  if (page >= 64 && keys >= 64)
    keys = int64_t(llvm::bit_floor(uint64_t(std::min(keys, page))));
  return {{"group_rows", rows}, {"group_keys", keys}};
}

struct ScheduleCUDA : impl::ScheduleCUDABase<ScheduleCUDA> {
  using impl::ScheduleCUDABase<ScheduleCUDA>::ScheduleCUDABase;

  void runOnOperation() override {
    bool hopper = cuda::GpuTarget::parse(gpu).hopper();
    Builder b(&getContext());
    for (auto kernel : getOperation().getOps<KernelFuncOp>()) {
      if (kernel.getScheduleAttr())
        continue;
      // The smallest tasks: threads are many and cost nothing to start.
      Sizes params{{"columns", 1}, {"grain", 1}};
      StringRef strategy = "thread";
      for (Operation &op : kernel.getBody().front()) {
        if (auto matmul = dyn_cast<MatmulOp>(op)) {
          llvm::append_range(params, productTiles(matmul));
          if (hopper)
            llvm::append_range(params, productGroups(matmul));
          // Our code, until somebody has measured that the library's is faster there.
          if (cuda::PlainProduct::of(kernel))
            params.push_back({"cublaslt", 0});
        } else if (auto attend = dyn_cast<KVAttendOp>(op)) {
          llvm::append_range(params, attentionTiles(attend));
          if (hopper)
            llvm::append_range(params, attentionGroups(attend));
        } else if (auto coded = dyn_cast<MatmulNBitsOp>(op)) {
          llvm::append_range(params, codedTiles(coded, int8Activations && coded.getInt8Activations()));
        } else if (!isa<SoftmaxOp, LayerNormOp, SampleOp>(op)) {
          // Reductions may be pulled by another root behind them.
          if (auto generic = dyn_cast<linalg::GenericOp>(op); isa<ArgReduceOp>(op) || (generic && generic.getNumReductionLoops() > 0))
            strategy = "tile";
          continue;
        }
        strategy = "tile";
        break;
      }
      auto attrs = llvm::map_to_vector(params, [&](auto p) { return b.getNamedAttr(p.first, b.getI64IntegerAttr(p.second)); });
      kernel.setScheduleAttr(ScheduleAttr::get(&getContext(), strategy, b.getDictionaryAttr(attrs)));
    }
  }
};
} // namespace

} // namespace leat::schedule
