// Products of warp groups: wgmma reads both operands from swizzled shared memory by descriptors, and its sums are in registers that nobody
// may touch until it is waited for. So the sums go through the wait as operands, or LLVM would move their uses across it.
#include "passes/CUDA/TileLowering.h"

using namespace mlir;

namespace leat::cuda {

/// What a descriptor says beside the address: strides in 16 bytes, and the swizzle.
static int64_t descriptorBits(tile::SharedType type, int64_t leading, int64_t stride) {
  int64_t layout = type.getSwizzle() == 128 ? 1 : type.getSwizzle() == 64 ? 2 : 3;
  return int64_t(uint64_t(leading >> 4) << 16 | uint64_t(stride >> 4) << 32 | uint64_t(layout) << 62);
}

void TileLowering::dotGroup(tile::DotOp op) {
  auto acc = cast<tile::RegType>(op.getInit().getType());
  auto left = cast<tile::SharedType>(op.getA().getType()), right = cast<tile::SharedType>(op.getB().getType());
  bool trans = op.getTransB();
  Type i64 = b.getI64Type(), f32 = b.getF32Type();
  int64_t count = acc.getThreadElements(), n = acc.getCols();
  auto descriptor = [&](tile::SharedType type, Value address, int64_t leading, int64_t stride) -> Value {
    Value place = arith::AndIOp::create(b, arith::ShRUIOp::create(b, address, i32(4)), i32(0x3fff));
    Value bits = arith::ConstantOp::create(b, b.getI64IntegerAttr(descriptorBits(type, leading, stride)));
    return arith::OrIOp::create(b, arith::ExtUIOp::create(b, i64, place), bits);
  };
  // Rows of 16-bit elements along the depth: a step is 32 bytes further in the slab, or in the next one.
  auto alongDepth = [&](tile::SharedType type, Value base, int64_t step) {
    int64_t span = type.getSwizzle(), byte = step * 32;
    return descriptor(type, add(base, byte / span * type.getRows() * span + byte % span), 16, 8 * span);
  };
  Value leftBase = add(addresses[op.getA()], mul(div(warp, 4), 64 * left.getSwizzle())), rightBase = addresses[op.getB()];

  // What threads wrote, or copied, is seen by wgmma behind this fence.
  NVVM::FenceProxyOp::create(b, NVVM::ProxyKind::async_shared, NVVM::SharedSpaceAttr::get(b.getContext(), NVVM::SharedSpace::shared_cta));
  std::string name = right.getElement().isBF16() ? "bf16" : "f16", sums, outputs, tied;
  for (int64_t i = 0; i < count; ++i) {
    sums += (i ? ", $" : "$") + std::to_string(i);
    outputs += i ? ",=f" : "=f";
    tied += "," + std::to_string(i);
  }
  Values values = registers(op.getInit());
  SmallVector<Type> types(count, f32);
  // The sums go through the fence as well: moves of registers have to be in front of it.
  values = inlineAsm("wgmma.fence.sync.aligned;", outputs + tied, values, types, /*sideEffects=*/true);
  for (int64_t step = 0; step < left.getCols() / 16; ++step) {
    Value a = alongDepth(left, leftBase, step), bDescriptor;
    if (trans)
      bDescriptor = alongDepth(right, rightBase, step);
    else // slabs of columns: 8 rows of the depth after 8
      bDescriptor =
          descriptor(right, add(rightBase, step * 16 * right.getSwizzle()), right.getRows() * right.getSwizzle(), 8 * right.getSwizzle());
    std::string text = "wgmma.mma_async.sync.aligned.m64n" + std::to_string(n) + "k16.f32." + name + "." + name + " {" + sums + "}, $" +
                       std::to_string(count) + ", $" + std::to_string(count + 1) + ", 1, 1, 1, 0, " + (trans ? "0" : "1") + ";";
    Values operands{a, bDescriptor};
    llvm::append_range(operands, values);
    values = inlineAsm(text, outputs + ",l,l" + tied, operands, types, /*sideEffects=*/true);
  }
  NVVM::WgmmaGroupSyncAlignedOp::create(b);
  values = inlineAsm("wgmma.wait_group.sync.aligned 0;", outputs + tied, values, types, /*sideEffects=*/true);
  replace(op, values);
}

} // namespace leat::cuda
