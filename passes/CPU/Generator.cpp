// What generators share, and the choice of the generator.
#include "passes/CPU/Generator.h"

#include "leat/KernelABI.h"
#include "passes/CPU/Attention.h"
#include "passes/CPU/Products.h"
#include "passes/CPU/State.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace leat::cpu {

void Generator::runRange(KernelBuilder &k, Value begin, Value end) {
  k.forLoop(begin, end, k.idx(1), [&](Value task) { run(k, task); });
}

Value Generator::scratch(KernelBuilder &k) { return k.idx(0); }

Cost Generator::cost(KernelBuilder &k) {
  Value bytes = k.idx(0), operations = k.idx(0);
  for (BlockArgument arg : k.body().getArguments().take_front(k.kernel.getNumInputs())) {
    // A table that is only indexed moves no more than what is looked up, which the results count.
    bool indexed = llvm::all_of(arg.getUsers(), [](Operation *user) { return isa<tensor::ExtractOp>(user); });
    if (isa<RankedTensorType>(arg.getType()) && !indexed)
      bytes = k.add(bytes, k.bytes(arg));
  }
  Value results = k.idx(0);
  for (unsigned i = 0; i < k.numResults(); ++i) {
    Value count = k.product(k.resultDims(i));
    results = k.add(results, count);
    bytes = k.add(bytes, k.mul(count, k.idx(KernelBuilder::byteWidth(k.resultType(i).getElementType()))));
  }
  for (Operation &op : k.body())
    if (auto generic = dyn_cast<linalg::GenericOp>(op)) {
      int64_t perElement = std::max<int64_t>(std::distance(generic.getBody()->begin(), generic.getBody()->end()) - 1, 0);
      Value count = generic.getNumReductionLoops() ? k.product(Puller(k, 1).loopBounds(generic)) : results;
      operations = k.add(operations, k.mul(count, k.idx(perElement)));
    }
  return {bytes, operations};
}

/// What the op reads and writes as a kernel of its own. Views, sizes and constants move nothing; states move what is appended to them.
static Value unfusedBytes(KernelBuilder &k, Operation &op) {
  Value sum = k.idx(0);
  if (isa<tensor::EmptyOp, tensor::ExtractSliceOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp, tensor::DimOp,
          tensor::ExtractOp, CacheViewOp, YieldOp>(op) ||
      op.hasTrait<OpTrait::ConstantLike>())
    return sum;
  SmallVector<Value> tensors(op.getOperands());
  if (auto dps = dyn_cast<DestinationStyleOpInterface>(op))
    tensors.assign(dps.getDpsInputs());
  llvm::append_range(tensors, op.getResults());
  for (Value v : tensors)
    if (isa<RankedTensorType>(v.getType()))
      sum = k.add(sum, k.bytes(v));
  // A state's new rows are read and written.
  if (auto append = dyn_cast<CacheAppendOp>(op))
    sum = k.add(sum, k.bytes(append.getUpdate()));
  if (auto attend = dyn_cast<KVAttendOp>(op))
    sum = k.add(sum, logitBytes(attend, k));
  return sum;
}

void storeCost(KernelBuilder &k, const Cost &cost) {
  Value unfused = k.idx(0);
  for (Operation &op : k.body())
    unfused = k.add(unfused, unfusedBytes(k, op));
  Value out = k.func.getArgument(1);
  auto put = [&](int64_t field, Value v) { k.store(v, out, k.b.getIndexType(), k.idx(field)); };
  put(LEAT_COST_BYTES, cost.bytes);
  put(LEAT_COST_OPERATIONS, cost.operations);
  put(LEAT_COST_REQUESTED, cost.requested ? k.max(cost.requested, cost.bytes) : cost.bytes);
  put(LEAT_COST_UNFUSED, k.max(unfused, cost.bytes));
}

/// Ops that Puller computes on demand, and changes of states, which store what is pulled.
static bool isPullable(Operation &op) {
  if (auto generic = dyn_cast<linalg::GenericOp>(op))
    return generic.getNumReductionLoops() == 0;
  return !isa<LeatDialect>(op.getDialect()) || isa<CacheViewOp, StateReadOp, RotaryOp, YieldOp, CacheAppendOp, StateWriteOp>(op);
}

Operation *findRoot(KernelFuncOp kernel) {
  // The last one: a reduction that an earlier one depends on is pulled.
  Operation *root = nullptr;
  for (Operation &op : kernel.getBody().front())
    if (!isPullable(op))
      root = &op;
  return root;
}

std::unique_ptr<Generator> createGenerator(KernelFuncOp kernel, const Target &target) {
  Operation *root = findRoot(kernel);
  if (!root)
    return createMapGenerator(kernel);
  if (auto matmul = dyn_cast<MatmulOp>(root))
    return createGemmGenerator(matmul);
  if (auto product = dyn_cast<MatmulNBitsOp>(root))
    return createNBitsGenerator(product, target);
  if (auto attend = dyn_cast<KVAttendOp>(root))
    return createAttendGenerator(attend);
  if (auto conv = dyn_cast<ConvOp>(root))
    return createConvGenerator(conv);
  if (!stateChanges(kernel).empty()) {
    root->emitError("cannot generate code for kernel @")
        << kernel.getSymName() << ": it changes a state beside its root op '" << root->getName() << "'";
    return nullptr;
  }
  if (isa<linalg::GenericOp>(root))
    return createReduceGenerator(root);
  if (isa<SoftmaxOp>(root))
    return createSoftmaxGenerator(root);
  if (isa<LayerNormOp>(root))
    return createNormGenerator(root);
  if (isa<AttnMergeOp>(root))
    return createMergeGenerator(root);
  if (isa<CumSumOp>(root))
    return createCumSumGenerator(root);
  if (isa<ArgReduceOp>(root))
    return createArgReduceGenerator(root);
  if (isa<NonZeroOp>(root))
    return createNonZeroGenerator(root);
  if (isa<TopKOp>(root))
    return createTopKGenerator(root);
  if (isa<SampleOp>(root))
    return createSampleGenerator(root);
  if (isa<ScatterElementsOp, ScatterNDOp>(root))
    return createScatterGenerator(root);
  kernel.emitError("cannot generate code for kernel @") << kernel.getSymName() << ": no generator for '" << root->getName() << "'";
  return nullptr;
}

int64_t scheduled(KernelFuncOp kernel, StringRef parameter, int64_t otherwise) {
  auto schedule = kernel.getScheduleAttr();
  auto value = schedule ? schedule.getParams().getAs<IntegerAttr>(parameter) : IntegerAttr();
  return value ? value.getInt() : otherwise;
}

SmallVector<Value> delinearize(KernelBuilder &k, Value linear, ValueRange dims) {
  SmallVector<Value> at(dims.size(), k.idx(0));
  std::optional<unsigned> first;
  for (unsigned d = 0; d < dims.size(); ++d)
    if (!first && getConstantIntValue(dims[d]) != 1)
      first = d;
  for (unsigned d = dims.size(); first && d-- > *first;) {
    at[d] = d == *first ? linear : k.rem(linear, dims[d]);
    if (d != *first)
      linear = k.div(linear, dims[d]);
  }
  return at;
}

SmallVector<unsigned> resultsLike(KernelBuilder &k, Value like) {
  SmallVector<unsigned> same;
  for (unsigned i = 0; i < k.numResults(); ++i)
    if (k.sameShape(k.result(i), like))
      same.push_back(i);
  return same;
}

} // namespace leat::cpu
