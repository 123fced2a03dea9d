// See Products.h.
#include "passes/CPU/Products.h"

using namespace mlir;

namespace leat::cpu {

void callProduct(KernelBuilder &k, ProductTypes types, Value a, Value rowStride, Value colStride, Value panel, Value panelStride,
                 Value depth, Value sums, Value accumulate, Value rows, Value sumsStride, Value columns, Value next, Value step,
                 std::optional<int64_t> strip) {
  auto call = [&](int64_t width) {
    auto product = productRows(k.kernel->getParentOfType<ModuleOp>(), k.target, types, width);
    func::CallOp::create(k.b, product,
                         ValueRange{a, k.i64(rowStride), k.i64(colStride), panel, k.i64(panelStride), k.i64(depth), sums,
                                    k.i64(sumsStride ? sumsStride : k.idx(kPanel)), accumulate, k.i64(rows),
                                    k.i64(columns ? columns : k.idx(kPanel)), next ? next : panel, k.i64(step ? step : k.idx(0))});
    return SmallVector<Value>();
  };
  int64_t lanes = lanesOf(k.target, types.acc);
  if (strip || !columns || 4 * lanes < kPanel) { // or strips are narrow as they are
    call(strip.value_or(kPanel));
    return;
  }
  Value few = arith::CmpIOp::create(k.b, arith::CmpIPredicate::sle, columns, k.idx(lanes));
  k.ifElse(few, [&] { return call(lanes); }, [&] { return call(kPanel); });
}

SmallVector<Value> operandBatch(KernelBuilder &k, RankedTensorType operand, RankedTensorType product, ArrayRef<Value> batchAt) {
  SmallVector<Value> at;
  int64_t shift = product.getRank() - operand.getRank();
  for (int64_t d = 0; d < operand.getRank() - 2; ++d)
    at.push_back(operand.getDimSize(d) == 1 || batchAt.empty() ? k.idx(0) : batchAt[d + shift]);
  return at;
}

Emit emitterAt(KernelBuilder &k) {
  Emit e(k.b.getLoc(), k.b.getContext());
  e.setInsertionPoint(k.b.getInsertionBlock(), k.b.getInsertionPoint());
  return e;
}

Value convertCarried(KernelBuilder &k, Value value, Type type) {
  if (getElementTypeOrSelf(value.getType()).isInteger(1))
    return arith::ExtUIOp::create(k.b, type, value);
  return emitterAt(k).convert(value, type);
}

SmallVector<unsigned> epilogueResults(KernelBuilder &k, Value root) {
  auto type = cast<RankedTensorType>(root.getType());
  SmallVector<unsigned> results;
  for (unsigned i = 0; i < k.numResults(); ++i)
    if (succeeded(verifyCompatibleShape(k.resultType(i), type)))
      results.push_back(i);
  return results;
}

void checkEpilogue(KernelBuilder &k, ValueRange roots) {
  for (unsigned i = 0; i < k.numResults(); ++i)
    if (llvm::none_of(roots, [&](Value root) { return root && llvm::is_contained(epilogueResults(k, root), i); }))
      k.fail("result " + Twine(i) + " has another shape than the product before it", roots[0].getDefiningOp());
}

void emitElements(KernelBuilder &k, Value root, ArrayRef<Value> at, Value n, int64_t lanes, Value sums) {
  auto type = cast<RankedTensorType>(root.getType());
  Puller pull(k, lanes);
  SmallVector<Idx> coordinates = pull.at(at);
  coordinates.push_back(pull.at(n, lanes > 1));
  pull.bind(root, [&](Puller &, ArrayRef<Idx> asked) {
    // The sums of this place are all there is.
    for (auto [here, there, size] : llvm::zip_equal(coordinates, asked, type.getShape()))
      if (size != 1 && (here.base != there.base || here.stride != there.stride || there.lanes))
        k.fail("the epilogue reads the result of the product at another place", root.getDefiningOp());
    return k.roundTo(convertCarried(k, sums, KernelBuilder::carriedType(type.getElementType())), type.getElementType());
  });
  for (unsigned result : epilogueResults(k, root))
    pull.emitResult(result, coordinates);
}

bool isShortEpilogue(KernelBuilder &k, Type acc) {
  constexpr int64_t kInlineOps = 24;
  if (lanesOf(k.target, acc) != k.target.lanes())
    return false;
  int64_t count = 0;
  k.kernel.getBody().walk([&](Operation *inner) { count += !inner->hasTrait<OpTrait::IsTerminator>(); });
  return count <= kInlineOps;
}

/// Asks for `count` elements from `at`, n on of a tensor that lies in `buffer` with sizes `dims`; hint: 3 for the first cache, 2 for the
/// second.
static void fetchElements(KernelBuilder &k, Value buffer, Type element, ValueRange dims, ArrayRef<Value> at, Value n, int64_t count,
                          bool write, int hint) {
  Puller pull(k, 1);
  SmallVector<Idx> coordinates = pull.at(at);
  coordinates.push_back(pull.at(n));
  Value first = k.elementPtr(buffer, k.storageType(element), pull.linearize(coordinates, dims).base);
  for (int64_t byte = 0; byte < count * KernelBuilder::byteWidth(element); byte += 64)
    LLVM::Prefetch::create(k.b, k.bytePtr(first, k.idx(byte)), write, hint, /*cache=*/1);
}

void fetchResults(KernelBuilder &k, Value root, ArrayRef<Value> at, Value n, int64_t count) {
  for (unsigned result : epilogueResults(k, root))
    fetchElements(k, k.resultBuffer(result), k.resultType(result).getElementType(), k.resultDims(result), at, n, count, /*write=*/true, 3);
}

void fetchOperands(KernelBuilder &k, Value root, ArrayRef<Value> at, Value n, int64_t count) {
  auto shape = cast<RankedTensorType>(root.getType());
  for (BlockArgument argument : k.kernel.getBody().getArguments()) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    bool read = llvm::any_of(argument.getUsers(), [&](Operation *user) { return user != root.getDefiningOp(); });
    if (read && type && succeeded(verifyCompatibleShape(type, shape)))
      fetchElements(k, k.buffer(argument), type.getElementType(), k.dims(argument), at, n, count, /*write=*/false, 2);
  }
}

void emitRow(KernelBuilder &k, Value root, ArrayRef<Value> at, Value n0, Value nEnd, Value sums, Value offset, Type acc) {
  Value base = k.sub(offset, n0);
  k.forLanes(n0, nEnd, k.target.lanes(),
             [&](Value n, int64_t lanes) { emitElements(k, root, at, n, lanes, k.load(sums, acc, k.add(base, n), lanes)); });
}

} // namespace leat::cpu
