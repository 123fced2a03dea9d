// Arithmetic on lanes. These files are compiled once for any CPU and once for x86-64-v3 (vectors of 8 floats, fused multiply-add); which
// one runs is decided once. So everything in them has internal linkage, and they use nothing of the standard library that is not inlined.
#ifndef LEAT_RUNTIME_DEVICE_SIM_LANEHANDLERS_H
#define LEAT_RUNTIME_DEVICE_SIM_LANEHANDLERS_H

#include "runtime/device/sim/Program.h"

#include <span>

namespace leat::sim {

struct NamedHandler {
  const char *name; // "add.s32": operation, modifiers that matter, type
  Handler handler;
};

// The tile that wgmma multiplies: C[64][n] += A[64][k] * B[k][n].
struct WgmmaTile {
  alignas(64) float a[64][32], b[32][256], c[64][256];
  alignas(64) i32 integer[64][256];
};

// The matrix products behind mma.sync and wgmma.
struct MatrixKernels {
  // m16n8k8 and k16 with 16-bit operands and f32 sums, straight from the fragments: d, a, b, c are registers of 32 lanes.
  void (*mma16)(float *const *d, const u32 *const *a, const u32 *const *b, const float *const *c, int k, bool bf16);
  // m16n8k16 and k32 of bytes with i32 sums, which wrap around unless they saturate.
  void (*mmaBytes)(u32 *const *d, const u32 *const *a, const u32 *const *b, const u32 *const *c, const MatrixShape &shape, bool saturate);
  void (*wgmma)(WgmmaTile &tile, int n, int k);
  void (*wgmmaBytes)(WgmmaTile &tile, int n, int k, bool saturate);
  // Converts 16 bytes of `type` to floats.
  void (*widen)(const u8 *bytes, Type type, float *out);
};

#define LEAT_SIM_TABLES(isa)                                                                                                               \
  namespace isa {                                                                                                                          \
  std::span<const NamedHandler> integerHandlers();                                                                                         \
  std::span<const NamedHandler> bitHandlers();                                                                                             \
  std::span<const NamedHandler> floatHandlers();                                                                                           \
  std::span<const NamedHandler> halfHandlers();                                                                                            \
  std::span<const NamedHandler> compareHandlers();                                                                                         \
  std::span<const NamedHandler> convertHandlers();                                                                                         \
  std::span<const NamedHandler> moveHandlers();                                                                                            \
  const MatrixKernels &matrixKernels();                                                                                                    \
  }
LEAT_SIM_TABLES(generic)
LEAT_SIM_TABLES(v3)

// Null: there is no such operation.
Handler laneHandler(std::string_view name);
const MatrixKernels &matrixKernels();

} // namespace leat::sim

#endif
