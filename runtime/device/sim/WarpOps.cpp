// Instructions by which the lanes of a warp exchange values.
#include "runtime/device/sim/Handlers.h"
#include "runtime/device/sim/Lanes.h"

namespace leat::sim {

// The lanes that the instruction's member mask names have to be here.
static bool membersConverged(Warp &warp, const Op &op, u32 mask, Flow &flow) {
  return converged(warp, op, mask, lanes<u32>(warp, op.e)[firstLane(mask)] & warp.live, flow);
}

// mode: up, down, bfly, idx. c holds the segment mask (bits 8 to 12) and the clamp (bits 0 to 4).
Flow shuffle(Warp &warp, const Op &op, u32 mask) {
  Flow flow;
  if (!membersConverged(warp, op, mask, flow))
    return flow;
  u32 *d = lanes<u32>(warp, op.d), from[32], inRange = 0;
  const u32 *b = lanes<u32>(warp, op.b), *c = lanes<u32>(warp, op.c);
  std::memcpy(from, lanes<u32>(warp, op.a), sizeof(from));
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    int delta = int(b[l] & 31), clamp = int(c[l] & 31), segment = int(c[l] >> 8 & 31);
    int highest = (l & segment) | (clamp & ~segment), lowest = l & segment, source;
    bool ok;
    switch (op.mode) {
    case 0:
      source = l - delta;
      ok = source >= highest;
      break;
    case 1:
      source = l + delta;
      ok = source <= highest;
      break;
    case 2:
      source = l ^ delta;
      ok = source <= highest;
      break;
    default:
      source = lowest | (delta & ~segment & 31);
      ok = source <= highest;
    }
    if (!ok)
      source = l;
    if (mask >> source & 1) {
      d[l] = from[source];
    } else {
      report(warp, op, l, Kind::ShuffleInactive, "the value comes from lane %d, which does not take part", source);
      d[l] = 0xdeadbeef;
    }
    inRange |= u32(ok) << l;
  }
  if (op.immediate >= 0)
    setPredicate(warp, u32(op.immediate), mask, inRange);
  return Flow::Next;
}

// mode: all, any, uni, ballot
Flow vote(Warp &warp, const Op &op, u32 mask) {
  Flow flow;
  if (!membersConverged(warp, op, mask, flow))
    return flow;
  u32 p = predicate(warp, op.a, op.negateA) & mask;
  if (op.mode == 3) {
    u32 *d = lanes<u32>(warp, op.d);
    forLanes(mask, [=](int l) { d[l] = p; });
    return Flow::Next;
  }
  bool result = op.mode == 0 ? p == mask : op.mode == 1 ? p != 0 : p == 0 || p == mask;
  setPredicate(warp, op.d, mask, result ? allLanes : 0);
  return Flow::Next;
}

Flow activeMask(Warp &warp, const Op &op, u32 mask) {
  u32 *d = lanes<u32>(warp, op.d);
  forLanes(mask, [=](int l) { d[l] = mask; });
  return Flow::Next;
}

Flow match(Warp &warp, const Op &op, u32 mask) {
  Flow flow;
  if (!membersConverged(warp, op, mask, flow))
    return flow;
  u32 *d = lanes<u32>(warp, op.d), same[32] = {};
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    for (u32 others = mask; others; others &= others - 1)
      if (laneValue(warp, op.a, op.width, firstLane(others)) == laneValue(warp, op.a, op.width, l))
        same[l] |= 1u << firstLane(others);
  }
  if (op.mode) { // all: the mask where all agree, else 0
    u32 all = same[firstLane(mask)] == mask ? mask : 0;
    forLanes(mask, [=](int l) { d[l] = all; });
    if (op.immediate >= 0)
      setPredicate(warp, u32(op.immediate), mask, all ? allLanes : 0);
  } else {
    for (u32 rest = mask; rest; rest &= rest - 1)
      d[firstLane(rest)] = same[firstLane(rest)];
  }
  return Flow::Next;
}

// mode: add, min, max of unsigned, min, max of signed, and, or, xor
Flow reduce(Warp &warp, const Op &op, u32 mask) {
  Flow flow;
  if (!membersConverged(warp, op, mask, flow))
    return flow;
  const u32 *a = lanes<u32>(warp, op.a);
  u32 *d = lanes<u32>(warp, op.d), result = a[firstLane(mask)];
  for (u32 rest = mask & (mask - 1); rest; rest &= rest - 1) {
    u32 x = a[firstLane(rest)];
    switch (op.mode) {
    case 0:
      result += x;
      break;
    case 1:
      result = std::min(result, x);
      break;
    case 2:
      result = std::max(result, x);
      break;
    case 3:
      result = u32(std::min(i32(result), i32(x)));
      break;
    case 4:
      result = u32(std::max(i32(result), i32(x)));
      break;
    case 5:
      result &= x;
      break;
    case 6:
      result |= x;
      break;
    default:
      result ^= x;
    }
  }
  forLanes(mask, [=](int l) { d[l] = result; });
  return Flow::Next;
}

Flow elect(Warp &warp, const Op &op, u32 mask) {
  Flow flow;
  if (!membersConverged(warp, op, mask, flow))
    return flow;
  u32 leader = u32(firstLane(mask));
  if (op.d != noSlot) {
    u32 *d = lanes<u32>(warp, op.d);
    forLanes(mask, [=](int l) { d[l] = leader; });
  }
  if (op.immediate >= 0)
    setPredicate(warp, u32(op.immediate), mask, 1u << leader);
  return Flow::Next;
}

// There is no clock: a number that grows.
Flow readClock(Warp &warp, const Op &op, u32 mask) {
  u64 now = op.mode ? 0 : warp.cta->cluster->events * 16 + warp.executed;
  if (op.width == 8) {
    u64 *d = lanes<u64>(warp, op.d);
    forLanes(mask, [=](int l) { d[l] = now; });
  } else {
    u32 *d = lanes<u32>(warp, op.d);
    forLanes(mask, [=](int l) { d[l] = u32(now); });
  }
  return Flow::Next;
}

} // namespace leat::sim
