// How weights are packed in the artifact.
#include "lib/Artifact/Layouts.h"

#include "llvm/ADT/STLExtras.h"

#include <cstring>

using namespace mlir;

namespace leat::artifact {

static llvm::Error refuse(StringRef layout, RankedTensorType type) {
  std::string text;
  llvm::raw_string_ostream(text) << "internal error: a weight of type " << type << " cannot be packed as '" << layout << "'";
  return llvm::createStringError(llvm::inconvertibleErrorCode(), text);
}

int64_t sourceBytes(RankedTensorType type) {
  Type element = type.getElementType();
  if (!element.isIntOrIndexOrFloat())
    return -1;
  int64_t bits = element.isIndex() ? 64 : element.getIntOrFloatBitWidth();
  return bits == 1 ? type.getNumElements() : (type.getNumElements() * bits + 7) / 8;
}

/// Row major; kernels see one element per byte at least, so packed sub-byte types are spread out.
static llvm::Error packRowMajor(RankedTensorType type, ArrayRef<char> source, ByteSink out) {
  unsigned bits = type.getElementType().isIndex() ? 64 : type.getElementTypeBitWidth();
  if (bits >= 8 || bits == 1) {
    out(source);
    return llvm::Error::success();
  }
  std::vector<char> wide;
  constexpr int64_t piece = 1 << 16;
  for (int64_t i = 0, count = type.getNumElements(); i < count; ++i) {
    wide.push_back(static_cast<char>((static_cast<unsigned char>(source[i * bits / 8]) >> (i * bits % 8)) & ((1u << bits) - 1)));
    if (static_cast<int64_t>(wide.size()) == piece || i + 1 == count) {
      out(wide);
      wide.clear();
    }
  }
  return llvm::Error::success();
}

/// [ceil(N/64)][K/group][64][group], zero padded: the 64 columns that one register tile reads are next to each other for every k, or for
/// `group` neighbours of k. Batched weights [..., K, N] are packed matrix by matrix.
template <bool transposed, int64_t group = 1> static llvm::Error packPanel64(RankedTensorType type, ArrayRef<char> source, ByteSink out) {
  if (type.getRank() < 2 || type.getElementTypeBitWidth() % 8 != 0 || type.getDimSize(type.getRank() - (transposed ? 1 : 2)) % group != 0)
    return refuse("panel64", type);
  constexpr int64_t width = 64;
  int64_t size = type.getElementTypeBitWidth() / 8, rank = type.getRank();
  int64_t k = type.getDimSize(rank - (transposed ? 1 : 2)), n = type.getDimSize(rank - (transposed ? 2 : 1));
  int64_t matrices = k * n == 0 ? 0 : type.getNumElements() / (k * n);
  std::vector<char> panel(k * width * size);
  for (int64_t m = 0; m < matrices; ++m) {
    const char *matrix = source.data() + m * k * n * size;
    for (int64_t first = 0; first < n; first += width) {
      int64_t columns = std::min(width, n - first);
      if (columns < width)
        std::fill(panel.begin(), panel.end(), 0);
      auto cell = [&](int64_t i, int64_t j) { return &panel[((i / group * width + j) * group + i % group) * size]; };
      if constexpr (transposed) {
        for (int64_t j = 0; j < columns; ++j)
          for (int64_t i = 0; i < k; i += group)
            std::memcpy(cell(i, j), matrix + ((first + j) * k + i) * size, group * size);
      } else if constexpr (group > 1) {
        for (int64_t i = 0; i < k; ++i)
          for (int64_t j = 0; j < columns; ++j)
            std::memcpy(cell(i, j), matrix + (i * n + first + j) * size, size);
      } else {
        for (int64_t i = 0; i < k; ++i)
          std::memcpy(&panel[i * width * size], matrix + (i * n + first) * size, columns * size);
      }
      out(panel);
    }
  }
  return llvm::Error::success();
}

/// Codes of MatMulNBits, [N, blocks, block * bits / 8] bytes with low bits first, as [ceil(N/64)][K/group][words][64][4 bytes]. In a group
/// of values of k, byte b of word q holds, i-th bits from below, the code of k = i * group / (8 / bits) + 4 q + b: four neighbours of k in
/// a word, 64 columns side by side.
template <int bits, int group> static llvm::Error packNBits(RankedTensorType type, ArrayRef<char> source, ByteSink out) {
  constexpr int64_t width = 64, perByte = 8 / bits, words = group / (4 * perByte), mask = (1 << bits) - 1;
  int64_t n = type.getRank() == 3 ? type.getDimSize(0) : 0, row = n ? int64_t(source.size()) / n : 0, groups = row / (group / perByte);
  if (n == 0 || row % (group / perByte) != 0)
    return refuse("nbits64", type);
  std::vector<char> panel(groups * words * width * 4);
  for (int64_t first = 0; first < n; first += width) {
    std::fill(panel.begin(), panel.end(), 0);
    for (int64_t j = 0; j < std::min(width, n - first); ++j)
      for (int64_t g = 0; g < groups; ++g) {
        const char *codes = source.data() + (first + j) * row + g * (group / perByte);
        for (int64_t k = 0; k < group; ++k) {
          int64_t code = (uint8_t(codes[k / perByte]) >> (k % perByte * bits)) & mask;
          int64_t i = k / (group / perByte), rest = k % (group / perByte);
          panel[((g * words + rest / 4) * width + j) * 4 + rest % 4] |= static_cast<char>(code << (i * bits));
        }
      }
    out(panel);
  }
  return llvm::Error::success();
}

/// Packed zero points, [N, bytes], as [ceil(N/64)][bytes * 8 / bits][64], one byte each.
template <int bits> static llvm::Error packZeros(RankedTensorType type, ArrayRef<char> source, ByteSink out) {
  if (type.getRank() != 2 || type.getElementTypeBitWidth() != 8)
    return refuse("zeros64", type);
  constexpr int64_t width = 64, perByte = 8 / bits;
  int64_t n = type.getDimSize(0), bytes = type.getDimSize(1);
  std::vector<char> panel(bytes * perByte * width);
  for (int64_t first = 0; first < n; first += width) {
    std::fill(panel.begin(), panel.end(), 0);
    for (int64_t j = 0; j < std::min(width, n - first); ++j)
      for (int64_t block = 0; block < bytes * perByte; ++block)
        panel[block * width + j] = (uint8_t(source[(first + j) * bytes + block / perByte]) >> (block % perByte * bits)) & ((1 << bits) - 1);
    out(panel);
  }
  return llvm::Error::success();
}

static constexpr Layout kLayouts[] = {
    {"", packRowMajor},
    {"panel64", packPanel64<false>}, // from [.., K, N]
    {"panel64t", packPanel64<true>}, // from [.., N, K]
    {"panel64.2", packPanel64<false, 2>},
    {"panel64t.2", packPanel64<true, 2>},
    {"nbits64.2.16", packNBits<2, 16>},
    {"nbits64.2.32", packNBits<2, 32>},
    {"nbits64.4.16", packNBits<4, 16>},
    {"nbits64.4.32", packNBits<4, 32>},
    {"nbits64.8.16", packNBits<8, 16>},
    {"nbits64.8.32", packNBits<8, 32>},
    {"zeros64.2", packZeros<2>},
    {"zeros64.4", packZeros<4>},
};

const Layout *findLayout(StringRef name) {
  auto *found = llvm::find_if(kLayouts, [&](const Layout &layout) { return layout.name == name; });
  return found == std::end(kLayouts) ? nullptr : found;
}

} // namespace leat::artifact
