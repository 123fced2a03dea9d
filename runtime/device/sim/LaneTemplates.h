// Handlers of one, two and three operands, made from a function of one lane.
#ifndef LEAT_RUNTIME_DEVICE_SIM_LANETEMPLATES_H
#define LEAT_RUNTIME_DEVICE_SIM_LANETEMPLATES_H

#include "runtime/device/sim/LaneHandlers.h"
#include "runtime/device/sim/Lanes.h"

namespace leat::sim {

template <class D, class A, class F> static Flow unary(Warp &warp, const Op &op, u32 mask) {
  D *d = lanes<D>(warp, op.d);
  const A *a = lanes<A>(warp, op.a);
  forLanes(mask, [=](int l) { d[l] = F::of(a[l]); });
  return Flow::Next;
}

template <class D, class A, class B, class F> static Flow binary(Warp &warp, const Op &op, u32 mask) {
  D *d = lanes<D>(warp, op.d);
  const A *a = lanes<A>(warp, op.a);
  const B *b = lanes<B>(warp, op.b);
  forLanes(mask, [=](int l) { d[l] = F::of(a[l], b[l]); });
  return Flow::Next;
}

template <class D, class A, class B, class C, class F> static Flow ternary(Warp &warp, const Op &op, u32 mask) {
  D *d = lanes<D>(warp, op.d);
  const A *a = lanes<A>(warp, op.a);
  const B *b = lanes<B>(warp, op.b);
  const C *c = lanes<C>(warp, op.c);
  forLanes(mask, [=](int l) { d[l] = F::of(a[l], b[l], c[l]); });
  return Flow::Next;
}

} // namespace leat::sim

#endif
