// Forms groups in one walk from consumers to producers, so that each op sees where all of its consumers went. Linear in uses.
#include "passes/Fuse/Grouping.h"

#include "dialects/Leat/Leat.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallPtrSet.h"

using namespace mlir;

namespace leat::fuse {

namespace {

constexpr int64_t maxPaths = 16;  // index expressions under which one value may be computed
constexpr size_t maxMembers = 64; // ops of one kernel: keeps generated code small
constexpr size_t maxCopies = 256; // kernels that repeat one cheap op

/// An op's place in one group.
struct Member {
  unsigned group;
  bool aligned;  // computed at the indices of the group's result
  bool repeated; // an element may be computed more than once
  bool strided;  // read through strides: only windows and permutations may come before it
  int64_t cost;  // of the repeated chain from here to where repetition starts
  int64_t paths;
};

class Grouper {
public:
  explicit Grouper(Block &block) : block(block) {}
  SmallVector<Group> run();

private:
  /// Where the uses of an op ended up, one entry a group.
  struct Consumers {
    SmallVector<Member> members;
    bool outside = false; // some use needs the value in memory
  };
  Consumers consumersOf(Operation *op);
  bool pull(Operation *op, Consumers &consumers);
  bool adopt(Operation *op, const Consumers &consumers);
  bool followsRoot(Operation *op, unsigned depth = 0);
  void startGroup(Operation *op, bool isRoot);
  void evictViews();

  Block &block;
  SmallVector<Group> groups; // members in reverse program order while this runs
  llvm::DenseMap<Operation *, SmallVector<Member, 1>> places;
  llvm::DenseMap<Operation *, bool> following; // answers of followsRoot
};

} // namespace

Grouper::Consumers Grouper::consumersOf(Operation *op) {
  Consumers out;
  llvm::SmallDenseMap<unsigned, unsigned> entry;
  for (OpOperand &use : op->getUses()) {
    Operation *user = block.findAncestorOpInBlock(*use.getOwner());
    auto it = user ? places.find(user) : places.end();
    if (it == places.end()) {
      out.outside = true;
      continue;
    }
    if (isa<CacheViewOp, StateReadOp>(op) && !isa<CacheAppendOp, StateWriteOp>(user))
      continue; // read in place by any kernel that does not change the state
    bool direct = user == use.getOwner();
    ReadKind read = readOf(use, user, direct);
    if (read == ReadKind::Buffer) {
      out.outside = true;
      continue;
    }
    bool aligned = direct && isAlignedRead(use);
    for (const Member &place : it->second) {
      bool repeated = place.repeated || read == ReadKind::Many;
      Member now{place.group, place.aligned && aligned, repeated, place.strided || read == ReadKind::Strided, repeated ? place.cost : 0,
                 place.paths};
      auto [at, isNew] = entry.try_emplace(place.group, out.members.size());
      if (isNew) {
        out.members.push_back(now);
        continue;
      }
      Member &sum = out.members[at->second];
      // At the same indices the value is computed once for all of its uses.
      sum.paths = sum.aligned && now.aligned ? std::max(sum.paths, now.paths) : sum.paths + now.paths;
      sum.aligned &= now.aligned;
      sum.repeated |= now.repeated;
      sum.strided |= now.strided;
      sum.cost = std::max(sum.cost, now.cost);
    }
  }
  return out;
}

/// A shape that is read from memory keeps a reshape outside: kernels know shapes as scalars.
static bool hasOpaqueShape(Operation *op) {
  auto reshape = dyn_cast<tensor::ReshapeOp>(op);
  return reshape && !reshape.getShape().getDefiningOp<tensor::FromElementsOp>() && !matchPattern(reshape.getShape(), m_Constant());
}

bool Grouper::pull(Operation *op, Consumers &consumers) {
  if (consumers.outside || consumers.members.empty() || consumers.members.size() > maxCopies)
    return false;
  // What can end a product's kernel belongs there, and not in front of a consumer that reads each element several times.
  bool canBeEpilogue = consumers.members.size() == 1 && consumers.members.front().aligned && !groups[consumers.members.front().group].root;
  if (!canBeEpilogue && followsRoot(op))
    return false;
  int64_t cost = elementCost(op);
  bool copied = consumers.members.size() > 1;
  if (copied && largeOperands(op) > 1)
    return false;
  for (Member &place : consumers.members) {
    if (isa<CacheAppendOp>(groups[place.group].last) &&
        llvm::any_of(op->getOperands(), [](Value v) { return isa_and_nonnull<CacheViewOp, StateReadOp>(v.getDefiningOp()); }))
      return false; // it might read what the kernel overwrites
    bool attends = isa_and_nonnull<KVAttendOp>(groups[place.group].root);
    if (place.strided && !isStridedView(op) && !(attends && isCacheDecode(op)))
      return false;
    if (place.paths > maxPaths || groups[place.group].members.size() >= maxMembers)
      return false;
    place.repeated |= copied;
    place.cost = place.repeated ? place.cost + cost : 0;
    if (place.repeated && place.cost > cheapCost)
      return false;
  }
  for (const Member &place : consumers.members)
    groups[place.group].members.push_back(op);
  places[op].append(consumers.members.begin(), consumers.members.end());
  return true;
}

/// An elementwise op whose operand, through nothing but such ops, is a root that nobody else needs: the root will take it as its epilogue.
bool Grouper::followsRoot(Operation *op, unsigned depth) {
  if (!isPointwise(op) || depth > 32)
    return false;
  auto [known, isNew] = following.try_emplace(op, false);
  if (!isNew)
    return known->second;
  bool follows = false;
  for (OpOperand &use : op->getOpOperands()) {
    Operation *def = use.get().getDefiningOp();
    if (!def || def->getBlock() != &block || !isAlignedRead(use) ||
        !llvm::all_of(def->getUsers(), [&](Operation *user) { return user == op; }))
      continue;
    follows |= takesEpilogue(def) || followsRoot(def, depth + 1);
  }
  return following[op] = follows;
}

bool Grouper::adopt(Operation *op, const Consumers &consumers) {
  if (!takesEpilogue(op) || consumers.outside || consumers.members.size() != 1)
    return false;
  const Member &place = consumers.members.front();
  Group &group = groups[place.group];
  if (!place.aligned || place.repeated || place.strided || group.root)
    return false;
  group.root = op;
  group.members.push_back(op);
  places[op].push_back(place);
  return true;
}

void Grouper::startGroup(Operation *op, bool isRoot) {
  places[op].push_back(Member{static_cast<unsigned>(groups.size()), true, false, false, 0, 1});
  groups.push_back(Group{op, isRoot ? op : nullptr, {op}});
}

/// A view of a buffer costs nothing outside of a kernel; inside it would be an index computation.
void Grouper::evictViews() {
  for (Group &group : groups) {
    llvm::SmallPtrSet<Operation *, 16> inside;
    llvm::erase_if(group.members, [&](Operation *op) {
      Operation *source = kindOf(op) == OpKind::View ? op->getOperand(0).getDefiningOp() : nullptr;
      bool evict = kindOf(op) == OpKind::View && !(source && (inside.contains(source) || kindOf(source) == OpKind::Sink));
      if (!evict)
        inside.insert(op);
      return evict;
    });
  }
}

SmallVector<Group> Grouper::run() {
  for (Operation &op : llvm::reverse(block)) {
    OpKind kind = kindOf(&op);
    if (kind == OpKind::Host)
      continue;
    Consumers consumers = consumersOf(&op);
    switch (kind) {
    case OpKind::Host:
      break;
    case OpKind::View:
      if (!hasOpaqueShape(&op))
        pull(&op, consumers);
      break;
    case OpKind::Sink:
      // Inside it is copied on demand; whoever needs it in memory gets it from a kernel of its own. Constants are in memory already.
      if (consumers.outside && isa<tensor::SplatOp, CacheViewOp, StateReadOp>(op))
        startGroup(&op, false);
      break;
    case OpKind::Element:
      if (!pull(&op, consumers))
        startGroup(&op, false);
      break;
    case OpKind::Root:
      if (!adopt(&op, consumers))
        startGroup(&op, true);
      break;
    }
  }
  for (Group &group : groups)
    std::reverse(group.members.begin(), group.members.end());
  std::reverse(groups.begin(), groups.end());
  evictViews();
  return std::move(groups);
}

SmallVector<Group> formGroups(Block &block) { return Grouper(block).run(); }

} // namespace leat::fuse
