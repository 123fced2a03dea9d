// See Codes.h.
#include "passes/CUDA/Codes.h"
#include "passes/CPU/Products.h"
#include "passes/CUDA/FewRows.h"

using namespace mlir;

namespace leat::cuda {

Values Codes::words(Value column, Value depth, int64_t count) {
  auto shape = cast<RankedTensorType>(op.getCodes().getType()).getShape();
  int64_t bits = op.getBits();
  Value offset = k.add(k.mul(column, k.idx(shape[1] * shape[2])), k.div(k.mul(depth, k.idx(bits)), k.idx(8)));
  return loadWords(k, k.buffer(cast<BlockArgument>(op.getCodes())), k.b.getI8Type(), offset, count * bits / 32);
}

Values Codes::run(Value column, Value depth) {
  auto &b = k.b;
  int64_t bits = op.getBits(), perWord = 32 / bits;
  Type f32 = b.getF32Type(), i32 = b.getI32Type();
  Values codes;
  for (Value word : words(column, depth, kRun))
    for (int64_t i = 0; i < perWord; ++i) {
      // The code as the low bits of a float of exponent 23 is 2^23 + code: exact, and no conversion.
      Value code =
          arith::AndIOp::create(b, arith::ShRUIOp::create(b, word, k.constantInt(i32, i * bits)), k.constantInt(i32, (1 << bits) - 1));
      Value large = arith::BitcastOp::create(b, f32, arith::OrIOp::create(b, code, k.constantInt(i32, 0x4b000000)));
      codes.push_back(arith::SubFOp::create(b, large, k.constant(f32, 8388608.0)));
    }
  return codes;
}

Value Codes::scaleOf(Value column, Value block) {
  Puller pull(k, 1);
  return cpu::convertCarried(k, pull.pull(op.getScales(), pull.at({column, block})), k.b.getF32Type());
}

bool Codes::hasWholeZeros() { return !op.getZeros() || !isa<FloatType>(cast<RankedTensorType>(op.getZeros().getType()).getElementType()); }

Value Codes::zeroOf(Value column, Value block) {
  auto &b = k.b;
  int64_t bits = op.getBits();
  Type f32 = b.getF32Type(), i32 = b.getI32Type();
  if (!op.getZeros())
    return k.constant(f32, 1 << (bits - 1));
  Puller pull(k, 1);
  if (isa<FloatType>(cast<RankedTensorType>(op.getZeros().getType()).getElementType()))
    return cpu::convertCarried(k, pull.pull(op.getZeros(), pull.at({column, block})), f32);
  Value bit = k.mul(block, k.idx(bits));
  Value byte = arith::ExtUIOp::create(b, i32, pull.pull(op.getZeros(), pull.at({column, k.div(bit, k.idx(8))})));
  Value code = arith::ShRUIOp::create(b, byte, arith::IndexCastOp::create(b, i32, k.rem(bit, k.idx(8))));
  return arith::UIToFPOp::create(b, f32, arith::AndIOp::create(b, code, k.constantInt(i32, (1 << bits) - 1)));
}

} // namespace leat::cuda
