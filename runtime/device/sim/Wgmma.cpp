// The protocol of wgmma: fence, issue by the four warps of a group, commit, wait. Registers of an operation in flight are tracked; so are
// accesses to them since the last wgmma.fence. Shared memory is read when the operation lands, by default at the first wait.
#include "runtime/device/sim/Wgmma.h"
#include "runtime/device/sim/Handlers.h"
#include "runtime/device/sim/Lanes.h"

namespace leat::sim {

static Flow next(const Warp &warp) { return warp.cta->cluster->aborted ? Flow::Abort : Flow::Next; }

// An ordinary instruction that touches registers of some wgmma.
Flow trackRegisters(Warp &warp, const Op &op, u32 mask) {
  const Tracking &touched = *op.tracking;
  for (u16 r : touched.reads) {
    if (warp.pendingAccumulator[r])
      report(warp, op, -1, Kind::WgmmaResultEarly, "a source register is the accumulator of an unfinished wgmma");
    warp.readAt[r] = warp.fenceEpoch;
  }
  for (u16 r : touched.writes) {
    if (warp.pendingAccumulator[r] || warp.pendingFragment[r])
      report(warp, op, -1, Kind::WgmmaRegisterWrite, "the destination register is used by an unfinished wgmma");
    warp.writtenAt[r] = warp.fenceEpoch;
  }
  return touched.inner(warp, op, mask);
}

Flow wgmmaFence(Warp &warp, const Op &op, u32 mask) {
  Flow flow;
  if (!converged(warp, op, mask, warp.live, flow))
    return flow;
  ++warp.fenceEpoch;
  return Flow::Next;
}

static void checkRegisters(Warp &warp, const Op &op, bool scaleD) {
  const Aux &x = *op.aux;
  if (warp.fenceEpoch == 1)
    report(warp, op, -1, Kind::WgmmaFence, "there is no wgmma.fence before the first wgmma");
  for (u16 r : x.accumulators) {
    bool written = warp.writtenAt[r] == warp.fenceEpoch, read = warp.readAt[r] == warp.fenceEpoch;
    if (read || (written && scaleD)) {
      report(warp, op, -1, Kind::WgmmaFence, "an accumulator was %s by another instruction since the last wgmma.fence",
             written ? "written" : "read");
      break;
    }
    if (written) {
      report(warp, op, -1, Kind::WgmmaFenceWrite, "an accumulator was written by another instruction since the last wgmma.fence");
      break;
    }
  }
  for (u16 r : x.fragments) {
    if (warp.writtenAt[r] == warp.fenceEpoch) {
      report(warp, op, -1, Kind::WgmmaFence, "a register of A was written since the last wgmma.fence");
      break;
    }
    if (warp.pendingAccumulator[r]) {
      report(warp, op, -1, Kind::WgmmaHazard, "a register of A is the accumulator of an unfinished wgmma");
      break;
    }
  }
  for (u16 r : x.accumulators) {
    warp.writtenAt[r] = warp.readAt[r] = 0;
    ++warp.pendingAccumulator[r];
    if (warp.pendingFragment[r])
      report(warp, op, -1, Kind::WgmmaHazard, "an accumulator is a register of A of an unfinished wgmma");
  }
  for (u16 r : x.fragments)
    ++warp.pendingFragment[r];
}

static void checkDescriptor(Warp &warp, const Op &op, Descriptor d, char operand) {
  if (d.reservedBits())
    report(warp, op, -1, Kind::WgmmaDescriptor, "descriptor %c 0x%llx has reserved bits set", operand, (unsigned long long)d.bits);
  if (d.baseOffset())
    report(warp, op, -1, Kind::WgmmaDescriptor, "descriptor %c 0x%llx has a base offset, which is not modelled", operand,
           (unsigned long long)d.bits);
  u32 rows = d.layout() == 1 ? 8 : d.layout() == 2 ? 4 : d.layout() == 3 ? 2 : 1; // of 128 bytes, until the swizzle's pattern repeats
  if (d.start() >> 7 & (rows - 1))
    report(warp, op, -1, Kind::SwizzleMisaligned, "descriptor %c begins at shared 0x%x, where the swizzle's pattern of %u bytes does not",
           operand, d.start(), rows * 128);
}

Flow wgmmaIssue(Warp &warp, const Op &op, u32 mask) {
  Flow flow;
  if (!converged(warp, op, mask, warp.live, flow))
    return flow;
  const Aux &x = *op.aux;
  const MatrixShape &shape = x.matrix;
  Cta &cta = *warp.cta;
  Cluster &cluster = *cta.cluster;
  int group = warp.id / 4, member = warp.id % 4;
  if (warp.live != allLanes || size_t(group) * 4 + 3 >= cta.warps.size()) {
    report(warp, op, -1, Kind::WgmmaPartial, "the warpgroup is not complete");
    return next(warp);
  }
  const u64 *a = shape.registersA ? nullptr : lanes<u64>(warp, x.c[0].slot), *b = lanes<u64>(warp, x.c[1].slot);
  for (int l = 1; l < 32; ++l)
    if (b[l] != b[0] || (a && a[l] != a[0])) {
      report(warp, op, l, Kind::WgmmaDivergent, "the lanes have different descriptors");
      break;
    }
  bool scaleD = shape.scaleD >= 0 ? shape.scaleD : predicate(warp, x.c[2].slot, op.negateA) & 1;

  Warpgroup &g = cta.warpgroups[group];
  u32 sequence = g.issued[member]++;
  bool first = sequence - g.first >= g.ops.size();
  if (first)
    g.ops.push_back({&op, a ? a[0] : 0, b[0], scaleD});
  WgmmaOp &operation = g.ops[sequence - g.first];
  if (operation.op != &op || operation.descriptorA != (a ? a[0] : 0) || operation.descriptorB != b[0] || operation.scaleD != scaleD)
    report(warp, op, -1, Kind::WgmmaDivergent, "the warps of the warpgroup disagree: another has %s",
           cluster.launch->reports.where(operation.op->index).c_str());
  operation.issued |= u8(1 << member);

  checkRegisters(warp, op, scaleD);
  if (a)
    checkDescriptor(warp, op, {a[0]}, 'A');
  checkDescriptor(warp, op, {b[0]}, 'B');
  bool outside = false;
  forOperandChunks(x, operation, -1, [&](u32 address, Descriptor) { outside |= address < sharedStart || address + 16 > cta.sharedEnd; });
  if (outside) {
    report(warp, op, -1, Kind::SharedBounds, "descriptors A 0x%llx, B 0x%llx lead outside of the CTA's [0x%x, 0x%x)",
           (unsigned long long)(a ? a[0] : 0), (unsigned long long)b[0], sharedStart, cta.sharedEnd);
  } else if (cluster.checks) {
    forOperandChunks(x, operation, member,
                     [&](u32 address, Descriptor d) { cta.shadow.asyncReadCheck(warp, op, address, 16, d.layout() ? d.rowBytes() : 0); });
    if (!operation.reading)
      forOperandChunks(x, operation, -1, [&](u32 address, Descriptor) { cta.shadow.asyncReadBegin(address, 16); });
    operation.reading = true;
  }
  ++cluster.progress;
  if (operation.issued == 15 && !cluster.landLate()) { // early: now, with what came before it
    bool complete = true;
    for (u32 i = g.first; i < sequence; ++i)
      complete &= g.ops[i - g.first].issued == 15;
    if (complete)
      computeWgmma(cta, group, g.first, sequence + 1);
  }
  return next(warp);
}

Flow wgmmaCommit(Warp &warp, const Op &op, u32 mask) {
  Flow flow;
  if (!converged(warp, op, mask, warp.live, flow))
    return flow;
  Warpgroup &g = warp.cta->warpgroups[warp.id / 4];
  int member = warp.id % 4;
  u32 number = g.committed[member]++;
  if (number >= g.groupEnd.size())
    g.groupEnd.push_back(g.issued[member]);
  else if (g.groupEnd[number] != g.issued[member])
    report(warp, op, -1, Kind::WgmmaDivergent, "the commit group holds different operations in the warps of the warpgroup");
  return next(warp);
}

bool wgmmaReady(const Warp &warp, u32 end) {
  const Warpgroup &g = warp.cta->warpgroups[warp.id / 4];
  for (u32 i = g.waited[warp.id % 4]; i < end; ++i)
    if (i - g.first >= g.ops.size() || g.ops[i - g.first].issued != 15)
      return false;
  return true;
}

// The operations are over: results are in registers, shared memory may be written again.
static void land(Cta &cta, int group, u32 from, u32 to) {
  computeWgmma(cta, group, from, to);
  if (!cta.cluster->checks)
    return;
  Warpgroup &g = cta.warpgroups[group];
  for (u32 i = from; i < to; ++i) {
    WgmmaOp &operation = g.ops[i - g.first];
    Record record(operation.op->index, i + 1, cta.rank * agentsPerCta + firstWarpgroupAgent + u32(group), everyLane, true);
    if (operation.reading)
      forOperandChunks(*operation.op->aux, operation, -1, [&](u32 address, Descriptor) { cta.shadow.asyncReadDone(address, 16, record); });
    operation.reading = false;
  }
}

// wait_group n: all but the n latest groups. Waits until the other warps have issued the same operations.
Flow wgmmaWait(Warp &warp, const Op &op, u32 mask) {
  Flow flow;
  if (!converged(warp, op, mask, warp.live, flow))
    return flow;
  Cta &cta = *warp.cta;
  Cluster &cluster = *cta.cluster;
  int group = warp.id / 4, member = warp.id % 4;
  Warpgroup &g = cta.warpgroups[group];
  i64 groups = i64(g.committed[member]) - op.immediate;
  if (groups <= 0)
    return Flow::Next;
  u32 end = g.groupEnd[groups - 1];
  if (end <= g.waited[member])
    return Flow::Next;
  if (!wgmmaReady(warp, end)) {
    warp.path().state = PathState::AtWgmma;
    warp.path().waitInfo = end;
    return Flow::Block;
  }
  u32 landedTo = *std::max_element(g.waited, g.waited + 4);
  if (end > landedTo)
    land(cta, group, landedTo, end);
  for (u32 i = g.waited[member]; i < end; ++i) {
    const Aux &x = *g.ops[i - g.first].op->aux;
    for (u16 r : x.accumulators) {
      --warp.pendingAccumulator[r];
      warp.writtenAt[r] = warp.readAt[r] = 0;
    }
    for (u16 r : x.fragments)
      --warp.pendingFragment[r];
  }
  g.waited[member] = end;
  if (cluster.checks) {
    u32 &entry = warp.clocks.generic.at[cta.rank * agentsPerCta + firstWarpgroupAgent + u32(group)];
    entry = std::max(entry, end << 6 | everyLane);
    warp.tick();
  }
  cluster.event();
  u32 everyoneWaited = *std::min_element(g.waited, g.waited + 4);
  if (everyoneWaited > g.first + 64) { // forget what is over
    g.ops.erase(g.ops.begin(), g.ops.begin() + (everyoneWaited - g.first));
    g.first = everyoneWaited;
  }
  return next(warp);
}

void checkWgmmaFinished(Warp &warp, const Op &op, u32 leaving) {
  if (warp.cta->warpgroups.empty() || (warp.live & ~leaving))
    return;
  const Warpgroup &g = warp.cta->warpgroups[warp.id / 4];
  if (g.issued[warp.id % 4] > g.waited[warp.id % 4])
    report(warp, op, -1, Kind::WgmmaUnwaited, "the warp exits with %u unfinished wgmma", g.issued[warp.id % 4] - g.waited[warp.id % 4]);
}

} // namespace leat::sim
