// atom, red and memory fences. Atomics of different host threads exclude each other by address.
#include "runtime/device/sim/Access.h"
#include "runtime/device/sim/Handlers.h"
#include "runtime/device/sim/Lanes.h"
#include "runtime/device/sim/Numbers.h"

namespace leat::sim {

enum AtomicOperation { Add, Min, Max, And, Or, Xor, Exchange, CompareAndSwap, Increment, Decrement };

template <class T> static T integerResult(int operation, T old, T b, T c) {
  switch (operation) {
  case Add:
    return T(u64(old) + u64(b));
  case Min:
    return old < b ? old : b;
  case Max:
    return old > b ? old : b;
  case And:
    return old & b;
  case Or:
    return old | b;
  case Xor:
    return old ^ b;
  case Exchange:
    return b;
  case CompareAndSwap:
    return old == b ? c : old;
  case Increment:
    return old >= b ? T(0) : T(u64(old) + 1);
  default:
    return old == 0 || old > b ? b : T(u64(old) - 1);
  }
}

template <class F> static double floatResult(int operation, double old, double b, F add) {
  if (operation == Add)
    return add(old, b);
  if (old != old || b != b)
    return old != old ? b : old;
  return operation == Min ? std::fmin(old, b) : std::fmax(old, b);
}

static u16 halfResult(int operation, u16 old, u16 b, bool bf16) {
  auto widen = [bf16](u16 x) { return bf16 ? double(bf16ToFloat(x)) : double(f16ToFloat(x)); };
  double r = floatResult(operation, widen(old), widen(b), [](double x, double y) { return x + y; });
  return bf16 ? doubleToBf16(r) : doubleToF16(r);
}

static u64 atomicResult(int operation, Type type, u64 old, u64 b, u64 c) {
  if (operation == Exchange)
    return b;
  if (operation == CompareAndSwap)
    return old == b ? c : old;
  switch (type) {
  case Type::S32:
    return u32(integerResult<i32>(operation, i32(old), i32(b), i32(c)));
  case Type::S64:
    return u64(integerResult<i64>(operation, i64(old), i64(b), i64(c)));
  case Type::U64:
  case Type::B64:
    return integerResult<u64>(operation, old, b, c);
  case Type::F32:
    return floatBits(operation == Add
                         ? bitsFloat(u32(old)) + bitsFloat(u32(b))
                         : float(floatResult(operation, bitsFloat(u32(old)), bitsFloat(u32(b)), [](double x, double) { return x; })));
  case Type::F64:
    return bitsTo<u64>(floatResult(operation, bitsTo<double>(old), bitsTo<double>(b), [](double x, double y) { return x + y; }));
  case Type::F16:
  case Type::BF16:
    return halfResult(operation, u16(old), u16(b), type == Type::BF16);
  case Type::F16X2:
  case Type::BF16X2:
    return u64(halfResult(operation, u16(old), u16(b), type == Type::BF16X2)) |
           u64(halfResult(operation, u16(old >> 16), u16(b >> 16), type == Type::BF16X2)) << 16;
  default:
    return integerResult<u32>(operation, u32(old), u32(b), u32(c));
  }
}

Flow atomic(Warp &warp, const Op &op, u32 mask) {
  const Aux &x = *op.aux;
  u8 *at[32];
  u32 ok = resolveLanes(warp, op, mask, u32(op.size) * op.count, Access::Atomic, at);
  Cluster &cluster = *warp.cta->cluster;
  bool changed = false;
  for (u32 rest = ok; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    auto lock = cluster.launch->lockAddress(at[l]);
    for (int i = 0; i < op.count; ++i) {
      u8 *p = at[l] + op.size * i;
      u64 old = 0, b = laneValue(warp, x.a[i], l), c = x.b.empty() ? 0 : laneValue(warp, x.b[i], l);
      std::memcpy(&old, p, op.size);
      u64 result = atomicResult(op.mode, x.from, old, b, c);
      changed |= std::memcmp(&result, &old, op.size) != 0;
      std::memcpy(p, &result, op.size);
      if (!x.d.empty() && x.d[i].width)
        std::memcpy(lanes<u8>(warp, x.d[i].slot) + l * x.d[i].width, &old, x.d[i].width);
    }
  }
  if (changed)
    ++cluster.progress;
  else
    ++warp.polls;
  return cluster.aborted ? Flow::Abort : Flow::Next;
}

Flow memoryFence(Warp &warp, const Op &op, u32 mask) {
  if (GlobalRaces *races = warp.cta->cluster->launch->races)
    races->fence(warp, op, mask);
  return Flow::Next;
}

} // namespace leat::sim
