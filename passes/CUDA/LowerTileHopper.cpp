// Products of groups of warps: wgmma reads its right operand from swizzled shared memory by a descriptor, the left one from there or from
// registers, and its sums are in registers that nobody may touch until it is waited for. So the sums go through the fence and the wait as
// operands, or LLVM would move their uses across it.
#include "passes/CUDA/TileLowering.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace leat::cuda {

/// What a descriptor says beside the address: strides in 16 bytes, and the swizzle.
static int64_t descriptorBits(tile::SharedType type, int64_t leading, int64_t stride) {
  int64_t layout = type.getSwizzle() == 128 ? 1 : type.getSwizzle() == 64 ? 2 : 3;
  return int64_t(uint64_t(leading >> 4) << 16 | uint64_t(stride >> 4) << 32 | uint64_t(layout) << 62);
}

/// The tile is zero everywhere.
static bool isZero(Value tile) {
  auto splat = tile.getDefiningOp<tile::SplatOp>();
  return splat && matchPattern(splat.getValue(), m_AnyZeroFloat());
}

Values TileLowering::passThrough(StringRef text, ValueRange tiles) {
  Values values;
  SmallVector<Type> types;
  std::string outputs, tied;
  for (Value tile : tiles) {
    bool sums = cast<tile::RegType>(tile.getType()).getKind() == tile::LayoutKind::WgmmaAcc;
    for (Value v : registers(tile)) {
      outputs += (values.empty() ? "=" : ",=") + std::string(sums ? "f" : "r");
      tied += "," + std::to_string(values.size());
      values.push_back(v);
      types.push_back(v.getType());
    }
  }
  if (values.empty()) {
    instruction(text, "", {});
    return {};
  }
  return inlineAsm(text, outputs + tied, values, types, /*sideEffects=*/true);
}

void TileLowering::dotGroup(tile::DotOp op) {
  auto acc = cast<tile::RegType>(op.getInit().getType());
  auto left = dyn_cast<tile::SharedType>(op.getA().getType());
  auto right = cast<tile::SharedType>(op.getB().getType());
  bool trans = op.getTransB(), fresh = isZero(op.getInit());
  Type i64 = b.getI64Type(), f32 = b.getF32Type();
  int64_t count = acc.getThreadElements(), n = acc.getCols(), depth = trans ? right.getCols() : right.getRows();
  // Addresses are counted in 16 bytes; those of a multiprocessor fit the descriptor's low bits, so that a step adds to them.
  auto descriptor = [&](tile::SharedType type, Value address, int64_t leading, int64_t stride) -> Value {
    Value place = arith::ExtUIOp::create(b, i64, arith::ShRUIOp::create(b, address, i32(4)));
    return arith::OrIOp::create(b, place, arith::ConstantOp::create(b, b.getI64IntegerAttr(descriptorBits(type, leading, stride))));
  };
  auto further = [&](Value descriptor, int64_t bytes) -> Value {
    return bytes ? arith::AddIOp::create(b, descriptor, arith::ConstantOp::create(b, b.getI64IntegerAttr(bytes >> 4))).getResult()
                 : descriptor;
  };
  // Rows of 16-bit elements along the depth: a step is 32 bytes further in the slab, or in the next one.
  auto alongDepth = [&](tile::SharedType type, Value address) { return descriptor(type, address, 16, 8 * type.getSwizzle()); };
  auto depthStep = [](tile::SharedType type, int64_t step) {
    int64_t span = type.getSwizzle(), byte = step * 32;
    return byte / span * type.getRows() * span + byte % span;
  };
  // Slabs of columns: 8 rows of the depth after 8.
  auto acrossDepth = [&](tile::SharedType type, Value address) {
    return descriptor(type, address, type.getRows() * type.getSwizzle(), 8 * type.getSwizzle());
  };
  Value rightAddress = addresses[op.getB()];
  Value rightTile = trans ? alongDepth(right, rightAddress) : acrossDepth(right, rightAddress), leftTile;
  Values leftRegisters;
  if (left)
    leftTile = alongDepth(left, add(addresses[op.getA()], mul(div(warp, 4), 64 * left.getSwizzle())));
  else
    leftRegisters = registers(op.getA());

  std::string name = right.getElement().isBF16() ? "bf16" : "f16", sums, outputs, tied;
  for (int64_t i = 0; i < count; ++i) {
    sums += (i ? ", $" : "$") + std::to_string(i);
    outputs += i ? ",=f" : "=f";
    tied += "," + std::to_string(i);
  }
  Values values;
  if (!fresh)
    values = registers(op.getInit());
  SmallVector<Type> types(count, f32);
  for (int64_t step = 0; step < depth / 16; ++step) {
    Values operands;
    std::string inputs,
        text = "wgmma.mma_async.sync.aligned.m64n" + std::to_string(n) + "k16.f32." + name + "." + name + " {" + sums + "}, ";
    int64_t next = count;
    auto operand = [&](Value v, StringRef kind) {
      operands.push_back(v);
      inputs += "," + kind.str();
      return "$" + std::to_string(next++);
    };
    if (left) {
      text += operand(further(leftTile, depthStep(left, step)), "l");
    } else {
      for (int64_t r = 0; r < 4; ++r)
        text += (r ? ", " : "{") + operand(leftRegisters[step * 4 + r], "r");
      text += "}";
    }
    text += ", " + operand(further(rightTile, trans ? depthStep(right, step) : step * 16 * right.getSwizzle()), "l");
    // A sum that begins with zero is written without being read.
    bool first = fresh && step == 0;
    text += first ? ", 0, 1, 1" : ", 1, 1, 1";
    text += std::string(left ? ", 0" : "") + (trans ? ", 0;" : ", 1;");
    llvm::append_range(operands, values);
    values = inlineAsm(text, outputs + inputs + (first ? "" : tied), operands, types, /*sideEffects=*/true);
  }
  NVVM::WgmmaGroupSyncAlignedOp::create(b);
  replace(op, values);
}

} // namespace leat::cuda
