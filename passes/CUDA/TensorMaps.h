// Tensor maps of a kernel: views of operands in memory whose tiles one thread copies. The kernel's geometry describes them by the sizes of
// a launch, the runtime encodes them (LeatTensorMap in include/leat/KernelABI.h), and the entry has each as a parameter.
#pragma once

#include "passes/CUDA/TileGenerator.h"

namespace leat::cuda {

/// A dimension of a map over a tensor: which of the tensor's, elements of a tile along it, and its size if that is another than the
/// tensor's (dimensions outside of it are evenly spaced and go on in it).
struct MapDim {
  unsigned dim;
  mlir::Value box, size = {};
};

/// `tensor` in the order of `dims` (innermost first) as a map for tiles of type `tile`, if it is one in memory, of the tile's elements,
/// that begins and steps at multiples of 16 bytes.
std::optional<TensorMap> tensorMapOf(KernelBuilder &k, mlir::Value tensor, llvm::ArrayRef<MapDim> dims, tile::SharedType tile);

/// A pool of pages as a map [size, entries, heads, pages], for tiles of `entries` rows that lie in one page.
TensorMap tensorMapOfPages(KernelBuilder &k, const cpu::Pages &pages, int64_t entries, tile::SharedType tile);

/// The address of the next tensor map, in a program.
mlir::Value tensorMapArgument(KernelBuilder &k);
/// Tensor maps that the program has asked for.
unsigned tensorMapCount(KernelBuilder &k);

/// Writes what `maps` say into the LeatGeometry at `geometry`.
void storeTensorMaps(KernelBuilder &k, mlir::Value geometry, llvm::ArrayRef<TensorMap> maps);

} // namespace leat::cuda
