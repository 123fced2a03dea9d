// Products by cuBLASLt, which a stream has in place of a kernel's launch.
#ifndef LEAT_RUNTIME_DEVICE_CUDA_LIBRARYGEMM_H
#define LEAT_RUNTIME_DEVICE_CUDA_LIBRARYGEMM_H

#include "runtime/device/Device.h"
#include "runtime/device/cuda/BlasLt.h"

#include <array>
#include <map>

namespace leat::rt::cuda {

// Descriptions for the library, and the algorithm that it names first, are made when a shape is new, and kept: products of a shape run by
// the same algorithm. Sums are in f32, those of parts of a sum too, so that nothing is rounded that our kernels do not round. For one
// thread at a time.
class LibraryGemm {
public:
  LibraryGemm(const blaslt::Library &library, Device &device) : library(library), device(device) {}
  ~LibraryGemm() { clear(); }
  LibraryGemm(const LibraryGemm &) = delete;
  LibraryGemm &operator=(const LibraryGemm &) = delete;

  struct Plan {
    blaslt::Operation *operation = nullptr;
    blaslt::Layout *left = nullptr, *right = nullptr, *output = nullptr;
    blaslt::Algorithm algorithm = {};
    bool usable = false; // the library has an algorithm
  };
  // The plan for a product; null if its shape is new.
  Plan *find(const LeatGemm &gemm, void *const *buffers);
  // Makes it. May allocate, and forget other plans.
  rt::Result<Plan *> add(const LeatGemm &gemm, void *const *buffers);
  // To be checked by `check`.
  blaslt::Code run(const Plan &plan, const LeatGemm &gemm, void *const *buffers, StreamHandle *stream) const;
  Status check(blaslt::Code code, const char *what) const;

private:
  using Key = std::array<int64_t, 20>;
  static Key keyOf(const LeatGemm &gemm, void *const *buffers);
  Status describe(const LeatGemm &gemm, void *const *buffers, Plan &plan);
  Status choose(const LeatGemm &gemm, void *const *buffers, Plan &plan);
  void forget(std::map<Key, Plan>::iterator plan);
  void clear();

  const blaslt::Library &library;
  Device &device;
  DeviceMemory workspace;
  std::map<Key, Plan> plans;
};

} // namespace leat::rt::cuda

#endif
