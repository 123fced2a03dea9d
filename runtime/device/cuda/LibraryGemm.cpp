// See LibraryGemm.h. The library's matrices have their columns' elements adjacent, ours their rows': what it sees of ours is the transposed
// matrix, so it is asked for output^T = right^T * left^T, with the right operand as its first.
#include "runtime/device/cuda/LibraryGemm.h"

#include <algorithm>

namespace leat::rt::cuda {

using namespace blaslt;

// What NVIDIA recommends for Hopper, where parts of sums need the most.
static constexpr int64_t workspaceBytes = 32 << 20;
// Shapes of a stream whose lengths never repeat would add up.
static constexpr size_t mostPlans = 256;
static constexpr float one = 1, zero = 0;

static uint8_t *addressOf(const LeatGemmMatrix &matrix, void *const *buffers) {
  return static_cast<uint8_t *>(buffers[matrix.buffer]) + matrix.offset;
}

// The largest power of two, up to what the library assumes of memory, that an address is a multiple of.
static uint32_t alignmentOf(const void *address) {
  auto bits = reinterpret_cast<uintptr_t>(address) | 256;
  return static_cast<uint32_t>(bits & -bits);
}

static int32_t typeOf(const LeatGemmMatrix &matrix) { return matrix.dtype == 1 ? typeF32 : matrix.dtype == 10 ? typeF16 : typeBF16; }

LibraryGemm::Key LibraryGemm::keyOf(const LeatGemm &gemm, void *const *buffers) {
  Key key{gemm.m, gemm.n, gemm.k, gemm.batch, gemm.bias < 0 ? 0 : alignmentOf(buffers[gemm.bias])};
  int64_t *next = &key[5];
  for (const LeatGemmMatrix *matrix : {&gemm.left, &gemm.right, &gemm.output})
    for (int64_t part : {matrix->dtype, matrix->transposed, matrix->stride, matrix->batch_stride,
                         static_cast<int64_t>(alignmentOf(addressOf(*matrix, buffers)))})
      *next++ = part;
  return key;
}

Status LibraryGemm::check(Code code, const char *what) const {
  return code == done ? Status() : error(rt::Code::Failed, "cuBLASLt failed %s: %s", what, library.describe(code).c_str());
}

LibraryGemm::Plan *LibraryGemm::find(const LeatGemm &gemm, void *const *buffers) {
  auto found = plans.find(keyOf(gemm, buffers));
  return found == plans.end() ? nullptr : &found->second;
}

rt::Result<LibraryGemm::Plan *> LibraryGemm::add(const LeatGemm &gemm, void *const *buffers) {
  if (plans.size() >= mostPlans)
    clear();
  if (!workspace.data())
    LEAT_RETURN_IF_ERROR(workspace.allocate(device, workspaceBytes, "cuBLASLt's workspace"));
  auto plan = plans.try_emplace(keyOf(gemm, buffers)).first;
  Status status = describe(gemm, buffers, plan->second);
  if (status.ok())
    status = choose(gemm, buffers, plan->second);
  if (status.ok())
    return &plan->second;
  forget(plan);
  return status;
}

Status LibraryGemm::describe(const LeatGemm &gemm, void *const *buffers, Plan &plan) {
  int32_t compute = gemm.left.dtype == 1 ? computeF32Pedantic : computeF32;
  LEAT_RETURN_IF_ERROR(check(library.createOperation(&plan.operation, compute, typeF32), "to describe a product"));
  auto set = [&](int32_t attribute, auto value) {
    return check(library.setOperation(plan.operation, attribute, &value, sizeof(value)), "to describe a product");
  };
  if (gemm.right.transposed)
    LEAT_RETURN_IF_ERROR(set(operationTransA, transposed));
  if (gemm.left.transposed)
    LEAT_RETURN_IF_ERROR(set(operationTransB, transposed));
  if (gemm.bias >= 0) {
    LEAT_RETURN_IF_ERROR(set(operationEpilogue, epilogueBias));
    LEAT_RETURN_IF_ERROR(set(operationBias, buffers[gemm.bias]));
  }
  auto layout = [&](Layout *&made, const LeatGemmMatrix &matrix, int64_t rows, int64_t columns) -> Status {
    if (matrix.transposed)
      std::swap(rows, columns);
    LEAT_RETURN_IF_ERROR(
        check(library.createLayout(&made, typeOf(matrix), static_cast<uint64_t>(columns), static_cast<uint64_t>(rows), matrix.stride),
              "to describe a matrix"));
    auto batch = static_cast<int32_t>(gemm.batch);
    LEAT_RETURN_IF_ERROR(check(library.setLayout(made, layoutBatchCount, &batch, sizeof(batch)), "to describe a matrix"));
    return check(library.setLayout(made, layoutBatchStride, &matrix.batch_stride, sizeof(matrix.batch_stride)), "to describe a matrix");
  };
  LEAT_RETURN_IF_ERROR(layout(plan.left, gemm.left, gemm.m, gemm.k));
  LEAT_RETURN_IF_ERROR(layout(plan.right, gemm.right, gemm.k, gemm.n));
  return layout(plan.output, gemm.output, gemm.m, gemm.n);
}

Status LibraryGemm::choose(const LeatGemm &gemm, void *const *buffers, Plan &plan) {
  Preference *preference = nullptr;
  LEAT_RETURN_IF_ERROR(check(library.createPreference(&preference), "to say what it may do"));
  Code code = done;
  auto set = [&](int32_t attribute, auto value) {
    if (code == done)
      code = library.setPreference(preference, attribute, &value, sizeof(value));
  };
  set(preferWorkspaceBytes, static_cast<uint64_t>(workspaceBytes));
  set(preferReductions, reductionInComputeType);
  set(preferAlignmentA, alignmentOf(addressOf(gemm.right, buffers)));
  set(preferAlignmentB, alignmentOf(addressOf(gemm.left, buffers)));
  set(preferAlignmentC, alignmentOf(addressOf(gemm.output, buffers)));
  set(preferAlignmentD, alignmentOf(addressOf(gemm.output, buffers)));
  Found found = {};
  int32_t count = 0;
  if (code == done)
    code = library.findAlgorithms(library.handle, plan.operation, plan.right, plan.left, plan.output, plan.output, preference, 1, &found,
                                  &count);
  library.destroyPreference(preference);
  if (code != notSupported)
    LEAT_RETURN_IF_ERROR(check(code, "to choose an algorithm"));
  plan.usable = code == done && count > 0 && found.state == done && found.workspaceBytes <= static_cast<size_t>(workspaceBytes);
  plan.algorithm = found.algorithm;
  return {};
}

Code LibraryGemm::run(const Plan &plan, const LeatGemm &gemm, void *const *buffers, StreamHandle *stream) const {
  if (gemm.bias >= 0)
    if (Code code = library.setOperation(plan.operation, operationBias, &buffers[gemm.bias], sizeof(void *)))
      return code;
  void *output = addressOf(gemm.output, buffers);
  return library.multiply(library.handle, plan.operation, &one, addressOf(gemm.right, buffers), plan.right, addressOf(gemm.left, buffers),
                          plan.left, &zero, output, plan.output, output, plan.output, &plan.algorithm, workspace.data(),
                          static_cast<size_t>(workspace.bytes()), stream);
}

void LibraryGemm::forget(std::map<Key, Plan>::iterator plan) {
  if (plan->second.operation)
    library.destroyOperation(plan->second.operation);
  for (Layout *layout : {plan->second.left, plan->second.right, plan->second.output})
    if (layout)
      library.destroyLayout(layout);
  plans.erase(plan);
}

void LibraryGemm::clear() {
  while (!plans.empty())
    forget(plans.begin());
}

} // namespace leat::rt::cuda
