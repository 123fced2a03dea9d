// How weights of products are stored in fewer bits: codes of 4 or 8 bits with a scale per block of k, or bf16. Apart from the IR, so that
// it can be tested as arithmetic.
#pragma once

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace leat::schedule {

/// How weights of products are stored, as options say it: f32, bf16, f16, int8, int4; codes also with the number of values of k that may
/// share a scale, as in int8(g=64).
struct WeightKind {
  std::string name = "f32";
  int bits = 32;     ///< of an element
  int64_t group = 0; ///< of codes

  /// Errors say what is understood.
  static llvm::Expected<WeightKind> parse(llvm::StringRef text);
  bool isCodes() const { return group > 0; }
};

constexpr int64_t kLeastGroup = 32;                  ///< and what groups are multiples of
constexpr int64_t kMostGroup = 1 << 16;              ///< 32-bit sums of products of codes do not overflow
constexpr int64_t kInt8Group = 256, kInt4Group = 32; ///< where nothing is said

/// The length of blocks in a sum of `k` values: at most `group`, and shorter where k is not a multiple, so that little or nothing is
/// filled up with zeros. 576 values in groups of 256 are 3 blocks of 192.
int64_t blockFor(int64_t k, int64_t group);

/// A weight as the model holds it: k x n floats of 16 or 32 bits, columns of the product adjacent, or rows of k with `transposed`.
struct WeightMatrix {
  llvm::ArrayRef<char> bytes;
  std::shared_ptr<const void> owner; ///< keeps the bytes
  mlir::FloatType element;
  int64_t k = 0, n = 0;
  bool transposed = false;

  /// out[column][block] = columns [n0, n0 + columns) at k0 and on, zero beyond k.
  void readBlocks(int64_t n0, int64_t columns, int64_t k0, int64_t block, float *out) const;
  /// Elements [first, first + count) in the order of the source.
  void readFlat(int64_t first, int64_t count, float *out) const;
};

/// Runs a body for each index, on as many threads as there are. Every index writes its own results: their order does not matter.
using ParallelFor = llvm::function_ref<void(size_t count, llvm::function_ref<void(size_t)>)>;

/// Square sums that say how far the stored weights are from the model's.
struct CodingError {
  double difference = 0, whole = 0;
  /// Of the Frobenius norms.
  double relative() const;
};

/// The largest magnitude. Null if a value is infinite or not a number: `where` is then its (k, n).
std::optional<float> largestMagnitude(const WeightMatrix &weight, ParallelFor parallel, std::pair<int64_t, int64_t> &where);

// --- codes
// --------------------------------------------------------------------------------------------------------------------------------

/// Weights are (code - 2^(bits - 1)) * scale, without a zero point.
struct BlockCoding {
  int bits;        ///< 4 or 8
  int64_t block;   ///< values of k with one scale, a multiple of 32
  bool halfScales; ///< scales are rounded to f16

  /// Scales are f16 where that costs nothing: the largest must be a normal number.
  static BlockCoding forWeights(int bits, int64_t block, float largest);

  /// The scale of one block of values. 8 bits: the largest magnitude is 127. 4 bits: of some scales around -8 and +-7 steps to
  /// the largest magnitude, each refined by least squares, the one with the smallest squared error.
  float scaleOf(const float *values) const;
  /// code[i] = w / scale to the nearest even, within the codes there are.
  void encode(const float *values, float scale, uint8_t *codes) const;

  /// Scales [n][blocks] as f32, and how good they are.
  std::vector<float> scales(const WeightMatrix &weight, ParallelFor parallel, CodingError &error) const;
  /// Codes [n][blocks][block * bits / 8], low bits first; beyond k the code of zero.
  std::string codes(const WeightMatrix &weight, llvm::ArrayRef<float> scales, ParallelFor parallel) const;
};

// --- 16-bit floats
// ---------------------------------------------------------------------------------------------------------------------------------

/// To the nearest even.
uint16_t toBFloat16(float value);
uint16_t toFloat16(float value);
float fromFloat16(uint16_t bits);
constexpr float kLargestFloat16 = 65504;

enum class ShortFloat { BFloat16, Float16 };
/// All values in the order of the source, little endian, and the error.
std::string toShortFloat(const WeightMatrix &weight, ShortFloat format, ParallelFor parallel);
CodingError shortFloatError(const WeightMatrix &weight, ShortFloat format, ParallelFor parallel);

} // namespace leat::schedule
