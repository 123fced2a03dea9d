// See WeightCoding.h. Loops over blocks of fixed length, so that the compiler vectorises them; sums have a fixed order, so that the same
// model gives the same artifact everywhere.
#include "passes/Schedule/WeightCoding.h"

#include "llvm/ADT/StringSwitch.h"
#include "llvm/ADT/bit.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"

#include <algorithm>
#include <cmath>
#include <cstring>

using namespace mlir;

namespace leat::schedule {

// --- kinds
// ----------------------------------------------------------------------------------------------------------------------------------

llvm::Expected<WeightKind> WeightKind::parse(StringRef text) {
  auto refuse = [&](const Twine &why) { return llvm::createStringError("'" + text + "' " + why); };
  auto [name, rest] = text.split('(');
  WeightKind kind{name.str()};
  kind.bits = llvm::StringSwitch<int>(name).Case("f32", 32).Cases({"bf16", "f16"}, 16).Case("int8", 8).Case("int4", 4).Default(0);
  if (kind.bits == 0)
    return refuse("is no way to store weights: those are f32, bf16, f16, int8, int4, and codes with a group, as in int8(g=64)");
  bool codes = kind.bits < 16;
  if (codes)
    kind.group = kind.bits == 8 ? kInt8Group : kInt4Group;
  if (name.size() == text.size())
    return kind;
  if (!codes)
    return refuse("asks for a group, which only int8 and int4 have");
  if (!rest.consume_front("g=") || !rest.consume_back(")") || rest.getAsInteger(10, kind.group) || kind.group < kLeastGroup ||
      kind.group > kMostGroup || kind.group % kLeastGroup != 0)
    return refuse("has no valid group: (g=N), N a multiple of " + Twine(kLeastGroup) + " up to " + Twine(kMostGroup));
  return kind;
}

int64_t blockFor(int64_t k, int64_t group) {
  int64_t whole = llvm::alignTo(std::max<int64_t>(k, 1), kLeastGroup), widest = std::min(group, whole);
  for (int64_t block = widest; block > kLeastGroup; block -= kLeastGroup)
    if (static_cast<int64_t>(llvm::alignTo(k, block)) <= whole + k / 16)
      return block;
  return kLeastGroup;
}

// --- floats
// ---------------------------------------------------------------------------------------------------------------------------------

uint16_t toBFloat16(float value) {
  uint32_t bits = llvm::bit_cast<uint32_t>(value);
  if (std::isnan(value))
    return static_cast<uint16_t>((bits | 0x400000) >> 16);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

uint16_t toFloat16(float value) {
  uint32_t bits = llvm::bit_cast<uint32_t>(value), sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000)
    return static_cast<uint16_t>(sign | 0x7e00);
  if (magnitude >= 0x47800000)
    return static_cast<uint16_t>(sign | 0x7c00);
  // Below 2^-14 adding 0.5 rounds to multiples of 2^-24; above, half of a step is added, and carries into the exponent.
  if (magnitude < 0x38800000)
    return static_cast<uint16_t>(sign | (llvm::bit_cast<uint32_t>(llvm::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000));
  return static_cast<uint16_t>(sign | ((magnitude + 0xc8000fff + ((magnitude >> 13) & 1)) >> 13));
}

float fromFloat16(uint16_t bits) {
  uint32_t sign = uint32_t(bits & 0x8000) << 16, magnitude = uint32_t(bits & 0x7fff) << 13;
  uint32_t value = llvm::bit_cast<uint32_t>(llvm::bit_cast<float>(magnitude) * 0x1p112f);
  return llvm::bit_cast<float>(sign | value | (magnitude >= 0x7c00u << 13 ? 0x7f800000 : 0));
}

static float fromBFloat16(uint16_t bits) { return llvm::bit_cast<float>(uint32_t(bits) << 16); }

/// To the nearest even, for magnitudes below 2^22, in two additions on every processor.
static float roundEven(float x) { return (x + 0x1.8p23f) - 0x1.8p23f; }

// --- reading
// --------------------------------------------------------------------------------------------------------------------------------

/// Calls `use(decode, size)`: decode(pointer) is the element there.
static void withElements(FloatType element, llvm::function_ref<void(float (*)(const char *), int64_t)> use) {
  if (element.isF32())
    use([](const char *p) { return llvm::bit_cast<float>(llvm::support::endian::read32le(p)); }, 4);
  else if (element.isBF16())
    use([](const char *p) { return fromBFloat16(llvm::support::endian::read16le(p)); }, 2);
  else
    use([](const char *p) { return fromFloat16(llvm::support::endian::read16le(p)); }, 2);
}

/// out[i * stride] = element `first` + i.
static void readRun(const WeightMatrix &weight, int64_t first, int64_t count, float *out, int64_t stride) {
  if (weight.element.isF32()) { // the common case, and the one with the most bytes
    const char *from = weight.bytes.data() + 4 * first;
    for (int64_t i = 0; i < count; ++i)
      out[i * stride] = llvm::bit_cast<float>(llvm::support::endian::read32le(from + 4 * i));
    return;
  }
  withElements(weight.element, [&](float (*decode)(const char *), int64_t size) {
    for (int64_t i = 0; i < count; ++i)
      out[i * stride] = decode(weight.bytes.data() + size * (first + i));
  });
}

void WeightMatrix::readFlat(int64_t first, int64_t count, float *out) const { readRun(*this, first, count, out, 1); }

void WeightMatrix::readBlocks(int64_t n0, int64_t columns, int64_t k0, int64_t block, float *out) const {
  int64_t depth = std::min(block, k - k0);
  if (depth < block)
    std::fill(out, out + columns * block, 0.0f);
  if (transposed)
    for (int64_t j = 0; j < columns; ++j)
      readRun(*this, (n0 + j) * k + k0, depth, out + j * block, 1);
  else
    for (int64_t i = 0; i < depth; ++i)
      readRun(*this, (k0 + i) * n + n0, columns, out + i, block);
}

double CodingError::relative() const { return whole > 0 ? std::sqrt(difference / whole) : 0; }

constexpr int64_t kPiece = 1 << 14; ///< elements that a thread takes at once

std::optional<float> largestMagnitude(const WeightMatrix &weight, ParallelFor parallel, std::pair<int64_t, int64_t> &where) {
  int64_t count = weight.k * weight.n;
  std::vector<float> largest(llvm::divideCeil(count, kPiece));
  parallel(largest.size(), [&](size_t piece) {
    float values[kPiece];
    int64_t first = piece * kPiece, size = std::min(kPiece, count - first);
    weight.readFlat(first, size, values);
    float most = 0;
    for (int64_t i = 0; i < size; ++i)
      most = std::abs(values[i]) <= most ? most : std::abs(values[i]); // keeps what is not a number
    // A later number would hide it.
    largest[piece] = llvm::all_of(ArrayRef(values, size), [](float v) { return std::isfinite(v); }) ? most : INFINITY;
  });
  auto bad = llvm::find_if(largest, [](float v) { return !std::isfinite(v); });
  if (bad == largest.end())
    return largest.empty() ? 0.0f : *std::max_element(largest.begin(), largest.end());
  for (int64_t at = (bad - largest.begin()) * kPiece;; ++at) {
    float value;
    weight.readFlat(at, 1, &value);
    if (!std::isfinite(value)) {
      where = weight.transposed ? std::pair{at % weight.k, at / weight.k} : std::pair{at / weight.n, at % weight.n};
      return std::nullopt;
    }
  }
}

// --- codes
// --------------------------------------------------------------------------------------------------------------------------------

/// Sums in eight lanes: a vector or two on every processor, one order on all.
struct LaneSum {
  float lanes[8] = {};
  float total() const { return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7])); }
};

static float clampCode(float q, int bits) {
  float low = -static_cast<float>(1 << (bits - 1)), high = -low - 1;
  return std::min(std::max(roundEven(q), low), high);
}

/// Steps per weight; zero where the scale is.
static float inverseOf(float scale) { return std::abs(scale) < 1e-30f ? 0 : 1 / scale; }

static float squaredError(ArrayRef<float> block, float scale, int bits) {
  LaneSum sum;
  float inverse = inverseOf(scale);
  for (int64_t i = 0, size = block.size(); i < size; i += 8)
    for (int64_t l = 0; l < 8; ++l) {
      float off = block[i + l] - clampCode(block[i + l] * inverse, bits) * scale;
      sum.lanes[l] += off * off;
    }
  return sum.total();
}

/// The best scale for the codes that `inverse` gives.
static float leastSquares(ArrayRef<float> block, float inverse, int bits) {
  LaneSum mixed, squares;
  for (int64_t i = 0, size = block.size(); i < size; i += 8)
    for (int64_t l = 0; l < 8; ++l) {
      float q = clampCode(block[i + l] * inverse, bits);
      mixed.lanes[l] += block[i + l] * q;
      squares.lanes[l] += q * q;
    }
  return mixed.total() / squares.total();
}

BlockCoding BlockCoding::forWeights(int bits, int64_t block, float largest) {
  float scale = largest / static_cast<float>((1 << (bits - 1)) - 1);
  return {bits, block, scale == 0 || (scale >= 0x1p-14f && scale <= 65000)};
}

float BlockCoding::scaleOf(const float *values) const {
  ArrayRef<float> all(values, block);
  auto stored = [&](float scale) { return halfScales ? fromFloat16(toFloat16(scale)) : scale; };
  float most = 0;
  for (float value : all)
    most = std::abs(value) > std::abs(most) ? value : most;
  if (std::abs(most) < 1e-30f)
    return 0;
  if (bits == 8)
    return stored(std::abs(most) / 127);
  constexpr float steps[] = {-8, 7, -7, -7.25f, -7.5f, -7.75f, -8.25f, -8.5f, -8.75f, 6.5f, 6.75f, 7.25f, 7.5f};
  float best = 0, least = INFINITY;
  for (float step : steps) {
    float scale = stored(leastSquares(all, step / most, bits)), error = squaredError(all, scale, bits);
    if (error < least)
      best = scale, least = error;
  }
  return best;
}

void BlockCoding::encode(const float *values, float scale, uint8_t *codes) const {
  float inverse = inverseOf(scale), zero = static_cast<float>(1 << (bits - 1));
  for (int64_t i = 0; i < block; ++i)
    codes[i] = static_cast<uint8_t>(static_cast<int>(clampCode(values[i] * inverse, bits) + zero));
}

constexpr int64_t kColumns = 64; ///< that a thread takes at once: whole cache lines of a row

std::vector<float> BlockCoding::scales(const WeightMatrix &weight, ParallelFor parallel, CodingError &error) const {
  int64_t blocks = llvm::divideCeil(weight.k, block), parts = llvm::divideCeil(weight.n, kColumns);
  std::vector<float> result(weight.n * blocks);
  std::vector<CodingError> errors(parts);
  parallel(parts, [&](size_t part) {
    std::vector<float> tile(kColumns * block);
    int64_t n0 = part * kColumns, columns = std::min(kColumns, weight.n - n0);
    for (int64_t b = 0; b < blocks; ++b) {
      weight.readBlocks(n0, columns, b * block, block, tile.data());
      for (int64_t j = 0; j < columns; ++j) {
        ArrayRef<float> values = ArrayRef(tile).slice(j * block, block);
        float scale = scaleOf(values.data());
        result[(n0 + j) * blocks + b] = scale;
        errors[part].difference += squaredError(values, scale, bits);
        for (float value : values)
          errors[part].whole += double(value) * value;
      }
    }
  });
  for (const CodingError &part : errors)
    error.difference += part.difference, error.whole += part.whole;
  return result;
}

std::string BlockCoding::codes(const WeightMatrix &weight, ArrayRef<float> scales, ParallelFor parallel) const {
  int64_t blocks = llvm::divideCeil(weight.k, block), blockBytes = block * bits / 8;
  std::string result(weight.n * blocks * blockBytes, '\0');
  parallel(llvm::divideCeil(weight.n, kColumns), [&](size_t part) {
    std::vector<float> tile(kColumns * block);
    std::vector<uint8_t> codes(block);
    int64_t n0 = part * kColumns, columns = std::min(kColumns, weight.n - n0);
    for (int64_t b = 0; b < blocks; ++b) {
      weight.readBlocks(n0, columns, b * block, block, tile.data());
      for (int64_t j = 0; j < columns; ++j) {
        int64_t cell = (n0 + j) * blocks + b;
        encode(&tile[j * block], scales[cell], codes.data());
        char *out = result.data() + cell * blockBytes;
        if (bits == 8)
          std::memcpy(out, codes.data(), block);
        else
          for (int64_t i = 0; i < block; i += 2)
            out[i / 2] = static_cast<char>(codes[i] | codes[i + 1] << 4);
      }
    }
  });
  return result;
}

// --- 16-bit floats
// ---------------------------------------------------------------------------------------------------------------------------------

static void eachPiece(const WeightMatrix &weight, ParallelFor parallel, llvm::function_ref<void(int64_t first, ArrayRef<float>)> use) {
  int64_t count = weight.k * weight.n;
  parallel(llvm::divideCeil(count, kPiece), [&](size_t piece) {
    float values[kPiece];
    int64_t first = piece * kPiece, size = std::min(kPiece, count - first);
    weight.readFlat(first, size, values);
    use(first, ArrayRef(values, size));
  });
}

static uint16_t toShort(float value, ShortFloat format) { return format == ShortFloat::Float16 ? toFloat16(value) : toBFloat16(value); }

std::string toShortFloat(const WeightMatrix &weight, ShortFloat format, ParallelFor parallel) {
  std::string result(2 * weight.k * weight.n, '\0');
  eachPiece(weight, parallel, [&](int64_t first, ArrayRef<float> values) {
    for (auto [i, value] : llvm::enumerate(values))
      llvm::support::endian::write16le(result.data() + 2 * (first + i), toShort(value, format));
  });
  return result;
}

CodingError shortFloatError(const WeightMatrix &weight, ShortFloat format, ParallelFor parallel) {
  std::vector<CodingError> errors(llvm::divideCeil(weight.k * weight.n, kPiece));
  eachPiece(weight, parallel, [&](int64_t first, ArrayRef<float> values) {
    CodingError &sum = errors[first / kPiece];
    for (float value : values) {
      uint16_t stored = toShort(value, format);
      double off = double(value) - (format == ShortFloat::Float16 ? fromFloat16(stored) : fromBFloat16(stored));
      sum.difference += off * off;
      sum.whole += double(value) * value;
    }
  });
  CodingError all;
  for (const CodingError &part : errors)
    all.difference += part.difference, all.whole += part.whole;
  return all;
}

} // namespace leat::schedule
