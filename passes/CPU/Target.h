// What the code generators may assume of the processor: vector width and the instructions whose absence would become a library call.
#pragma once

#include "mlir/Support/LLVM.h"

#include <cstdint>

namespace leat::cpu {

struct Target {
  unsigned vectorBits = 128;
  bool fma = false;        ///< fused multiply-add; without it a*b+c is two operations, never a libcall
  bool f16c = false;       ///< conversions between f16 and f32
  bool sse41 = false;      ///< floor, ceil, round in one instruction
  bool avx512 = false;     ///< F, DQ, BW, VL
  bool avx512vnni = false; ///< vpdpbusd
  bool avx512bf16 = false; ///< vdpbf16ps
  /// Pairs of bf16 are multiplied and both products added to an f32, in full vectors.
  bool hasPairDots() const { return avx512bf16 && vectorBits == 512; }

  /// Lanes of a full vector of 32-bit elements; kernels use this many lanes for every element type.
  int64_t lanes() const { return vectorBits / 32; }

  /// From LLVM feature names ("fma", "f16c", "avx512vnni", ...; a leading '+' is allowed, names that do not matter here are ignored).
  static Target fromFeatures(unsigned vectorBits, llvm::ArrayRef<std::string> features);
};

} // namespace leat::cpu
