// Tuned kernels: each phase is a launch of one tile program. This is what their generators share: entries and geometry around the programs,
// operands as views where they can be copied as they are, computed elements where not, results through the kernel's own epilogue.
#pragma once

#include "dialects/Tile/Tile.h"
#include "passes/CPU/Generator.h"
#include "passes/CPU/Operands.h"
#include "passes/CUDA/Generator.h"

namespace leat::cuda {

using cpu::Idx;
using cpu::KernelBuilder;
using cpu::Puller;
using Values = llvm::SmallVector<mlir::Value>;

/// A view of an operand in memory whose tiles one thread copies (TensorMaps.h). Dimensions begin with the innermost. Sizes and coordinates
/// are in elements, strides in bytes.
struct TensorMap {
  unsigned buffer;    ///< which of the entry's pointers
  mlir::Value offset; ///< bytes from there on
  mlir::Type element;
  Values dims, strides, box;
  int64_t swizzle;
};

class TileGenerator : public Generator {
public:
  mlir::LogicalResult emit(KernelFuncOp kernel) final;

protected:
  /// Launches of the kernel, in order; one with an empty grid is skipped.
  virtual unsigned phases() { return 1; }
  virtual int64_t threads(KernelBuilder &k, unsigned phase) = 0;
  /// Blocks along x, y, z (index).
  virtual Values grid(KernelBuilder &k, unsigned phase) = 0;
  /// The body of the program; the insertion point of k.b is in it.
  virtual void program(KernelBuilder &k, unsigned phase) = 0;
  /// What the tensor maps of the phase show, in the order in which the program asks for them (tensorMapArgument).
  virtual llvm::SmallVector<TensorMap> tensorMaps(KernelBuilder &k, unsigned phase);
  /// Bytes that all phases share in global memory, k.shared() (index).
  virtual mlir::Value joined(KernelBuilder &k) { return k.idx(0); }
  /// Blocks of a multiprocessor that work on the phase's grid together, where each takes tiles as long as there are some (Tickets.h).
  virtual int64_t resident(KernelBuilder &k, unsigned phase) { return 0; }
  /// Neighbours along y that form a cluster; the grid has whole ones.
  virtual int64_t cluster(unsigned phase) { return 1; }
  /// Bytes moved (a lower bound) and operations.
  virtual cpu::Cost cost(KernelBuilder &k) = 0;
};

// --- parts of programs. All of them build at k.b ------------------------------------------------------------------------------------

/// A number that the index value is known to be a multiple of.
int64_t knownMultiple(mlir::Value index);

/// A matrix whose rows can be copied as they are: `stride` from row to row, columns adjacent, rows aligned to 16 bytes.
struct Matrix {
  mlir::Value pointer, stride;
  mlir::Type element;
};
/// `tensor` at the coordinates `at` (index; those of rowDim and colDim are ignored) as a matrix, if it is one in memory.
std::optional<Matrix> matrixOf(KernelBuilder &k, mlir::Value tensor, mlir::ArrayRef<mlir::Value> at, unsigned rowDim, unsigned colDim);

/// tile.fill with element(row, col) where row < rows and col < cols, zero elsewhere; indices within the tile.
void fillTile(KernelBuilder &k, mlir::Value tile, mlir::Value rows, mlir::Value cols, bool byRows,
              llvm::function_ref<mlir::Value(mlir::Value row, mlir::Value col)> element);
/// A carried value (f32 for the 16-bit floats) as an element of type `type`.
mlir::Value toElement(KernelBuilder &k, mlir::Value carried, mlir::Type type);

/// Runs `body` as a region of an op with these arguments.
void buildRegion(KernelBuilder &k, mlir::Region &region, mlir::TypeRange arguments, llvm::function_ref<Values(mlir::ValueRange)> body);
/// tile.map of `tiles` to `types`.
Values mapTiles(KernelBuilder &k, mlir::ValueRange tiles, mlir::TypeRange types, llvm::function_ref<Values(mlir::ValueRange)> body);

/// The kernel's result that is `root` as it is, if it makes nothing else of it.
std::optional<unsigned> plainResult(KernelBuilder &k, mlir::Value root);
/// Stores a vector of neighbours along the last dimension of a result, of its element type, at the coordinates `at` of the first: a place
/// that is a multiple of 16 bytes.
void storeRun(KernelBuilder &k, unsigned result, mlir::ArrayRef<mlir::Value> at, mlir::Value vector);

/// Stores what the kernel makes of the element `sum` (f32) of `root` at the coordinates `at`.
void emitElement(KernelBuilder &k, mlir::Value root, mlir::ArrayRef<mlir::Value> at, mlir::Value sum);

// --- families, null where the kernel does not fit -----------------------------------------------------------------------------------
std::unique_ptr<Generator> createTiledGemm(MatmulOp op, const GpuTarget &target);
std::unique_ptr<Generator> createTiledNBits(MatmulNBitsOp op, const GpuTarget &target);
std::unique_ptr<Generator> createTiledAttention(KVAttendOp op, const GpuTarget &target);
std::unique_ptr<Generator> createTiledRows(mlir::Operation *root, const GpuTarget &target);
std::unique_ptr<Generator> createTiledReduce(mlir::Operation *root, const GpuTarget &target);
std::unique_ptr<Generator> createTiledSample(SampleOp op, const GpuTarget &target);

} // namespace leat::cuda
