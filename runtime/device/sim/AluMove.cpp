// Moves, packing and unpacking of vectors, and logic on predicates.
#include "runtime/device/sim/LaneTemplates.h"

namespace leat::sim::LEAT_SIM_ISA {

namespace {

template <class T> Flow move(Warp &warp, const Op &op, u32 mask) {
  T *d = lanes<T>(warp, op.d);
  const T *a = lanes<T>(warp, op.a);
  forLanes(mask, [=](int l) { d[l] = a[l]; });
  return Flow::Next;
}

Flow movePredicate(Warp &warp, const Op &op, u32 mask) {
  setPredicate(warp, op.d, mask, predicate(warp, op.a, op.negateA));
  return Flow::Next;
}
Flow andPredicate(Warp &warp, const Op &op, u32 mask) {
  setPredicate(warp, op.d, mask, predicate(warp, op.a, op.negateA) & predicate(warp, op.b, op.negateB));
  return Flow::Next;
}
Flow orPredicate(Warp &warp, const Op &op, u32 mask) {
  setPredicate(warp, op.d, mask, predicate(warp, op.a, op.negateA) | predicate(warp, op.b, op.negateB));
  return Flow::Next;
}
Flow xorPredicate(Warp &warp, const Op &op, u32 mask) {
  setPredicate(warp, op.d, mask, predicate(warp, op.a, op.negateA) ^ predicate(warp, op.b, op.negateB));
  return Flow::Next;
}

// mov.b64 d, {a, b}: width bytes from equal parts.
Flow pack(Warp &warp, const Op &op, u32 mask) {
  u8 *d = lanes<u8>(warp, op.d);
  int width = op.width, part = op.size;
  const RegRef *sources = op.aux->a.data();
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    for (int i = 0; i < op.count; ++i) {
      u64 value = laneValue(warp, sources[i], l);
      std::memcpy(d + l * width + i * part, &value, part);
    }
  }
  return Flow::Next;
}

Flow unpack(Warp &warp, const Op &op, u32 mask) {
  int width = op.width, part = op.size;
  u8 from[32 * 16]; // destinations may overlap the source
  std::memcpy(from, lanes<u8>(warp, op.a), 32 * width);
  for (int i = 0; i < op.count; ++i) {
    RegRef to = op.aux->d[i];
    if (!to.width)
      continue;
    u8 *d = lanes<u8>(warp, to.slot);
    for (u32 rest = mask; rest; rest &= rest - 1) {
      int l = firstLane(rest);
      u64 value = 0;
      std::memcpy(&value, from + l * width + i * part, part);
      std::memcpy(d + l * to.width, &value, to.width);
    }
  }
  return Flow::Next;
}

const NamedHandler table[] = {
    {"mov.2", move<u16>},
    {"mov.4", move<u32>},
    {"mov.8", move<u64>},
    {"mov.16", move<unsigned __int128>},
    {"mov.pred", movePredicate},
    {"and.pred", andPredicate},
    {"or.pred", orPredicate},
    {"xor.pred", xorPredicate},
    {"pack", pack},
    {"unpack", unpack},
};

} // namespace

std::span<const NamedHandler> moveHandlers() { return table; }

} // namespace leat::sim::LEAT_SIM_ISA
