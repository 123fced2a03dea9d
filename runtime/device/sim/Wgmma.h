// Between the protocol of wgmma (Wgmma.cpp) and its arithmetic (WgmmaCompute.cpp).
#ifndef LEAT_RUNTIME_DEVICE_SIM_WGMMA_H
#define LEAT_RUNTIME_DEVICE_SIM_WGMMA_H

#include "runtime/device/sim/Descriptor.h"
#include "runtime/device/sim/Machine.h"

namespace leat::sim {

inline int elementBytes(Type type) { return type == Type::TF32 ? 4 : (type == Type::F16 || type == Type::BF16) ? 2 : 1; }

// Runs the operations [from, to) of a warpgroup that have not been run yet, in order.
void computeWgmma(Cta &cta, int group, u32 from, u32 to);

// Calls f(address, descriptor) for each chunk of shared memory that an operation reads; `slice`: of A only the 16 rows of this warp (-1:
// all).
template <class F> void forOperandChunks(const Aux &x, const WgmmaOp &operation, int slice, F f) {
  const MatrixShape &shape = x.matrix;
  Descriptor a = {operation.descriptorA}, b = {operation.descriptorB};
  if (!shape.registersA)
    forChunks(a, shape.transposeA, 64, elementBytes(shape.a), [&](u32 address, int mn, int) {
      if (slice < 0 || mn / 16 == slice)
        f(address, a);
    });
  forChunks(b, shape.transposeB, shape.n, elementBytes(shape.b), [&](u32 address, int, int) { f(address, b); });
}

} // namespace leat::sim

#endif
