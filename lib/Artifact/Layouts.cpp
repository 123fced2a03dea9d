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

/// [ceil(N/64)][K][64], zero padded: the 64 columns that one register tile reads are next to each other for every k. Batched weights
/// [..., K, N] are packed matrix by matrix.
template <bool transposed> static llvm::Error packPanel64(RankedTensorType type, ArrayRef<char> source, ByteSink out) {
  if (type.getRank() < 2 || type.getElementTypeBitWidth() % 8 != 0)
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
      if constexpr (transposed) {
        for (int64_t j = 0; j < columns; ++j)
          for (int64_t i = 0; i < k; ++i)
            std::memcpy(&panel[(i * width + j) * size], matrix + ((first + j) * k + i) * size, size);
      } else {
        for (int64_t i = 0; i < k; ++i)
          std::memcpy(&panel[i * width * size], matrix + (i * n + first) * size, columns * size);
      }
      out(panel);
    }
  }
  return llvm::Error::success();
}

static constexpr Layout kLayouts[] = {
    {"", packRowMajor},
    {"panel64", packPanel64<false>}, // from [.., K, N]
    {"panel64t", packPanel64<true>}, // from [.., N, K]
};

const Layout *findLayout(StringRef name) {
  auto *found = llvm::find_if(kLayouts, [&](const Layout &layout) { return layout.name == name; });
  return found == std::end(kLayouts) ? nullptr : found;
}

} // namespace leat::artifact
