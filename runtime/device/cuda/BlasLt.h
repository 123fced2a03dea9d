// The part of cuBLASLt that the runtime uses, declared here and opened where a model wants it: nothing links to it, and nothing needs it.
// Names, numbers and layouts are the library's.
#ifndef LEAT_RUNTIME_DEVICE_CUDA_BLASLT_H
#define LEAT_RUNTIME_DEVICE_CUDA_BLASLT_H

#include "runtime/device/cuda/Driver.h"

namespace leat::rt::cuda::blaslt {

using Code = int32_t; // cublasStatus_t
constexpr Code done = 0, notSupported = 15;

struct Handle;
struct Operation;
struct Layout;
struct Preference;

// cudaDataType_t, cublasComputeType_t. The pedantic one multiplies and adds in f32 whatever the environment says of faster formats.
constexpr int32_t typeF32 = 0, typeF16 = 2, typeBF16 = 14, computeF32 = 68, computeF32Pedantic = 69;
constexpr int32_t transposed = 1;                                                                     // cublasOperation_t
constexpr int32_t operationTransA = 3, operationTransB = 4, operationEpilogue = 7, operationBias = 8; // cublasLtMatmulDescAttributes_t
constexpr uint32_t epilogueBias = 4;
constexpr int32_t layoutBatchCount = 5, layoutBatchStride = 6; // cublasLtMatrixLayoutAttribute_t
constexpr int32_t preferWorkspaceBytes = 1, preferReductions = 3, preferAlignmentA = 5, preferAlignmentB = 6, preferAlignmentC = 7,
                  preferAlignmentD = 8;        // cublasLtMatmulPreferenceAttributes_t
constexpr uint32_t reductionInComputeType = 2; // cublasLtReductionScheme_t

struct Algorithm {
  uint64_t data[8];
};
struct Found {
  Algorithm algorithm;
  size_t workspaceBytes;
  Code state;
  float waves;
  int32_t reserved[4];
};

// Every function that is used: field, symbol, parameters.
#define LEAT_BLASLT_FUNCTIONS(F)                                                                                                           \
  F(create, "cublasLtCreate", (Handle * *handle))                                                                                          \
  F(destroy, "cublasLtDestroy", (Handle * handle))                                                                                         \
  F(createOperation, "cublasLtMatmulDescCreate", (Operation * *operation, int32_t compute, int32_t scale))                                 \
  F(setOperation, "cublasLtMatmulDescSetAttribute", (Operation * operation, int32_t attribute, const void *value, size_t bytes))           \
  F(destroyOperation, "cublasLtMatmulDescDestroy", (Operation * operation))                                                                \
  F(createLayout, "cublasLtMatrixLayoutCreate", (Layout * *layout, int32_t type, uint64_t rows, uint64_t columns, int64_t stride))         \
  F(setLayout, "cublasLtMatrixLayoutSetAttribute", (Layout * layout, int32_t attribute, const void *value, size_t bytes))                  \
  F(destroyLayout, "cublasLtMatrixLayoutDestroy", (Layout * layout))                                                                       \
  F(createPreference, "cublasLtMatmulPreferenceCreate", (Preference * *preference))                                                        \
  F(setPreference, "cublasLtMatmulPreferenceSetAttribute", (Preference * preference, int32_t attribute, const void *value, size_t bytes))  \
  F(destroyPreference, "cublasLtMatmulPreferenceDestroy", (Preference * preference))                                                       \
  F(findAlgorithms, "cublasLtMatmulAlgoGetHeuristic",                                                                                      \
    (Handle * handle, Operation * operation, Layout * a, Layout * b, Layout * c, Layout * d, Preference * preference, int32_t wanted,      \
     Found *found, int32_t *count))                                                                                                        \
  F(multiply, "cublasLtMatmul",                                                                                                            \
    (Handle * handle, Operation * operation, const void *alpha, const void *a, Layout *layoutA, const void *b, Layout *layoutB,            \
     const void *beta, const void *c, Layout *layoutC, void *d, Layout *layoutD, const Algorithm *algorithm, void *workspace,              \
     size_t workspaceBytes, StreamHandle *stream))

struct Library {
#define LEAT_BLASLT_FIELD(field, symbol, parameters) Code(*field) parameters = nullptr;
  LEAT_BLASLT_FUNCTIONS(LEAT_BLASLT_FIELD)
#undef LEAT_BLASLT_FIELD
  const char *(*statusName)(Code code) = nullptr;
  Handle *handle = nullptr; // of the context that was current

  // The library's name of a code: "CUBLAS_STATUS_EXECUTION_FAILED".
  std::string describe(Code code) const;
};

// Opens cuBLASLt, the newest version that starts with this driver, or `library` if it is not null; the context of its handle is current.
// The library stays open for the life of the process, the handle is the caller's. An error says what was looked for.
rt::Result<Library> open(const char *library = nullptr);

} // namespace leat::rt::cuda::blaslt

#endif
