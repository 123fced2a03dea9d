// Stands in for libcublasLt in tests: products of column-major matrices as the library defines them, in f32, on the memory of the stand-in
// for libcuda. A product is sent to its stream by cuLaunchHostFunc, so that it is a part of a graph where the stream is captured.
#include "test/unit/device/fake_cublaslt.h"

#include "runtime/device/cuda/BlasLt.h"

#include <algorithm>
#include <cstring>
#include <dlfcn.h>
#include <memory>

using namespace leat::rt::cuda;
using namespace leat::rt::cuda::blaslt;

namespace {

FakeBlas state;

constexpr Code notInitialized = 1, invalidValue = 7;
constexpr size_t workspaceNeeded = 1 << 20;

struct FakeOperation {
  FakeBlasProduct product;
  const void *bias = nullptr;
};
struct FakePreference {
  uint64_t workspace = 0;
  uint32_t reductions = 7, alignments[4] = {256, 256, 256, 256};
};

float read(int32_t type, const void *memory, int64_t index) {
  if (type == typeF32)
    return static_cast<const float *>(memory)[index];
  if (type == typeF16)
    return static_cast<float>(static_cast<const _Float16 *>(memory)[index]);
  uint32_t bits = static_cast<uint32_t>(static_cast<const uint16_t *>(memory)[index]) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

void write(int32_t type, void *memory, int64_t index, float value) {
  if (type == typeF32) {
    static_cast<float *>(memory)[index] = value;
  } else if (type == typeF16) {
    static_cast<_Float16 *>(memory)[index] = static_cast<_Float16>(value);
  } else {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    static_cast<uint16_t *>(memory)[index] = static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
}

/// A product that was sent, with all that it needs.
struct Sent {
  FakeBlasProduct of;
  const void *a, *b, *bias;
  void *d;

  void run() const {
    auto element = [](const FakeBlasMatrix &m, const void *memory, int64_t batch, uint64_t row, uint64_t column) {
      return read(m.type, memory, batch * m.batchStride + static_cast<int64_t>(column) * m.stride + static_cast<int64_t>(row));
    };
    uint64_t depth = of.transA ? of.a.rows : of.a.columns, rows = of.d.rows;
    std::vector<float> left(rows * depth), sums(rows);
    for (int64_t i = 0; i < of.d.batch; ++i) {
      for (uint64_t k = 0; k < depth; ++k)
        for (uint64_t row = 0; row < rows; ++row)
          left[k * rows + row] = of.transA ? element(of.a, a, i, k, row) : element(of.a, a, i, row, k);
      for (uint64_t column = 0; column < of.d.columns; ++column) {
        std::fill(sums.begin(), sums.end(), 0.0f);
        for (uint64_t k = 0; k < depth; ++k) {
          float factor = of.transB ? element(of.b, b, i, column, k) : element(of.b, b, i, k, column);
          for (uint64_t row = 0; row < rows; ++row)
            sums[row] += left[k * rows + row] * factor;
        }
        for (uint64_t row = 0; row < rows; ++row)
          write(of.d.type, d, i * of.d.batchStride + static_cast<int64_t>(column) * of.d.stride + static_cast<int64_t>(row),
                of.alpha * sums[row] + (of.epilogue == epilogueBias ? read(of.d.type, bias, static_cast<int64_t>(row)) : 0));
      }
    }
    ++state.executed;
  }
};

std::vector<std::unique_ptr<Sent>> allSent; ///< graphs run them again and again

using LaunchHost = int32_t (*)(StreamHandle *stream, void (*function)(void *), void *data);
LaunchHost launchHost() {
  static auto found = reinterpret_cast<LaunchHost>(dlsym(dlopen(FAKE_CUDA, RTLD_NOW | RTLD_LOCAL), "cuLaunchHostFunc"));
  return found;
}

/// Whether the sizes of a product agree.
bool agree(const FakeBlasProduct &p) {
  auto shape = [](const FakeBlasMatrix &m, bool transposed) {
    return transposed ? std::pair(m.columns, m.rows) : std::pair(m.rows, m.columns);
  };
  auto [rows, depth] = shape(p.a, p.transA);
  auto [depthToo, columns] = shape(p.b, p.transB);
  for (const FakeBlasMatrix *m : {&p.a, &p.b, &p.d})
    if (m->stride < static_cast<int64_t>(m->rows) || m->batch != p.d.batch)
      return false;
  return depth == depthToo && p.d.rows == rows && p.d.columns == columns && p.d.batchStride >= 0;
}

template <typename T> Code take(T &field, const void *value, size_t bytes) {
  if (bytes != sizeof(T))
    return invalidValue;
  return std::memcpy(&field, value, bytes), done;
}

template <typename T, typename Handle> Code open(Handle **handle, T *made) {
  return *handle = reinterpret_cast<Handle *>(made), ++state.open, done;
}
template <typename T> Code close(void *handle) { return delete static_cast<T *>(handle), --state.open, done; }

} // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT FakeBlas *leat_fake_cublaslt_state() { return &state; }

EXPORT const char *cublasLtGetStatusName(Code code) {
  return code == notInitialized ? "CUBLAS_STATUS_NOT_INITIALIZED"
         : code == notSupported ? "CUBLAS_STATUS_NOT_SUPPORTED"
                                : "CUBLAS_STATUS_EXECUTION_FAILED";
}
EXPORT Code cublasLtCreate(int **handle) { return state.createCode ? state.createCode : open(handle, new int); }
EXPORT Code cublasLtDestroy(int *handle) { return close<int>(handle); }
EXPORT Code cublasLtMatmulDescCreate(void **operation, int32_t compute, int32_t scale) {
  auto *made = new FakeOperation;
  made->product.compute = compute, made->product.scale = scale;
  return open(operation, made);
}
EXPORT Code cublasLtMatmulDescSetAttribute(FakeOperation *operation, int32_t attribute, const void *value, size_t bytes) {
  switch (attribute) {
  case operationTransA:
    return take(operation->product.transA, value, bytes);
  case operationTransB:
    return take(operation->product.transB, value, bytes);
  case operationEpilogue:
    return take(operation->product.epilogue, value, bytes);
  case operationBias:
    return take(operation->bias, value, bytes);
  default:
    return invalidValue;
  }
}
EXPORT Code cublasLtMatmulDescDestroy(void *operation) { return close<FakeOperation>(operation); }
EXPORT Code cublasLtMatrixLayoutCreate(void **layout, int32_t type, uint64_t rows, uint64_t columns, int64_t stride) {
  return open(layout, new FakeBlasMatrix{type, rows, columns, stride});
}
EXPORT Code cublasLtMatrixLayoutSetAttribute(FakeBlasMatrix *layout, int32_t attribute, const void *value, size_t bytes) {
  return attribute == layoutBatchCount    ? take(layout->batch, value, bytes)
         : attribute == layoutBatchStride ? take(layout->batchStride, value, bytes)
                                          : invalidValue;
}
EXPORT Code cublasLtMatrixLayoutDestroy(void *layout) { return close<FakeBlasMatrix>(layout); }
EXPORT Code cublasLtMatmulPreferenceCreate(void **preference) { return open(preference, new FakePreference); }
EXPORT Code cublasLtMatmulPreferenceSetAttribute(FakePreference *preference, int32_t attribute, const void *value, size_t bytes) {
  if (attribute >= preferAlignmentA && attribute <= preferAlignmentD)
    return take(preference->alignments[attribute - preferAlignmentA], value, bytes);
  return attribute == preferWorkspaceBytes ? take(preference->workspace, value, bytes)
         : attribute == preferReductions   ? take(preference->reductions, value, bytes)
                                           : invalidValue;
}
EXPORT Code cublasLtMatmulPreferenceDestroy(void *preference) { return close<FakePreference>(preference); }

// The algorithm remembers what memory it was promised.
EXPORT Code cublasLtMatmulAlgoGetHeuristic(void *, FakeOperation *operation, FakeBlasMatrix *a, FakeBlasMatrix *b, FakeBlasMatrix *c,
                                           FakeBlasMatrix *d, FakePreference *preference, int32_t wanted, Found *found, int32_t *count) {
  ++state.searches;
  state.reductions = preference->reductions;
  if (state.findCode)
    return state.findCode;
  operation->product.a = *a, operation->product.b = *b, operation->product.d = *d;
  if (wanted < 1 || !(*c == *d) || !agree(operation->product) || preference->workspace < workspaceNeeded)
    return invalidValue;
  *count = state.algorithms;
  if (*count) {
    *found = {};
    found->workspaceBytes = workspaceNeeded;
    for (int i = 0; i < 4; ++i)
      found->algorithm.data[i] = preference->alignments[i];
  }
  return done;
}

EXPORT Code cublasLtMatmul(void *, FakeOperation *operation, const float *alpha, const void *a, FakeBlasMatrix *layoutA, const void *b,
                           FakeBlasMatrix *layoutB, const float *beta, const void *c, FakeBlasMatrix *layoutC, void *d,
                           FakeBlasMatrix *layoutD, const Algorithm *algorithm, void *workspace, size_t workspaceBytes,
                           StreamHandle *stream) {
  if (state.multiplyCode)
    return state.multiplyCode;
  auto aligned = [&](const void *memory, int i) { return reinterpret_cast<uintptr_t>(memory) % algorithm->data[i] == 0; };
  if (!aligned(a, 0) || !aligned(b, 1) || !aligned(c, 2) || !aligned(d, 3) || !workspace || workspaceBytes < workspaceNeeded ||
      *beta != 0 || !(*layoutC == *layoutD))
    return invalidValue;
  Sent *sent = allSent.emplace_back(new Sent{operation->product, a, b, operation->bias, d}).get();
  sent->of.a = *layoutA, sent->of.b = *layoutB, sent->of.d = *layoutD;
  sent->of.alpha = *alpha, sent->of.beta = *beta;
  state.products.push_back(sent->of);
  return launchHost()(stream, [](void *data) { static_cast<const Sent *>(data)->run(); }, sent) ? invalidValue : done;
}
