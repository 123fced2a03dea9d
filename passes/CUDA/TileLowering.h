// Lowers the tile ops of one function: what a tile is to a thread, and how each family of ops is written. LowerTile.cpp walks the program
// and its control flow; LowerTileMemory.cpp has shared and global memory; LowerTileCompute.cpp products, elementwise ops and rows;
// LowerTileHopper.cpp products of groups of warps; LowerTileRoles.cpp roles of warps and what they wait for.
#pragma once

#include "dialects/Tile/Tile.h"
#include "passes/CUDA/SharedPlan.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace leat::cuda {

using Values = llvm::SmallVector<mlir::Value>;

/// Address spaces of NVPTX.
constexpr unsigned kGlobalSpace = 1, kSharedSpace = 3;

class TileLowering {
public:
  explicit TileLowering(tile::ProgramOp program);
  mlir::LogicalResult run();

private:
  // --- LowerTile.cpp: structure
  void lowerBlock(mlir::Block &block);
  void lower(mlir::Operation *op);
  void lowerFor(mlir::scf::ForOp op);
  void lowerIf(mlir::scf::IfOp op);
  void lowerWhile(mlir::scf::WhileOp op);
  Values expand(mlir::ValueRange values);
  bool carriesTiles(mlir::Operation *op);
  /// Takes over `results` for the results of `op`: registers for tiles, values for the rest.
  void replace(mlir::Operation *op, mlir::ValueRange results);

  // --- LowerTileMemory.cpp
  void lowerCopy(tile::CopyAsyncOp op);
  void lowerFill(tile::FillOp op);
  void lowerVisit(tile::VisitOp op);
  void lowerLoad(tile::LoadOp op);
  void lowerStore(tile::StoreOp op);
  void lowerStoreShared(tile::StoreSharedOp op);
  void lowerRead(tile::ReadOp op);
  void lowerWrite(tile::WriteOp op);
  /// Address (i32) of byte `byteCol` of row `row`, both i32.
  mlir::Value sharedAddress(mlir::Value tile, mlir::Value row, mlir::Value byteCol);
  mlir::Value sharedPointer(mlir::Value address);
  /// ldmatrix of 8x8 matrices: lane l addresses row `laneRow` and chunk `laneChunk` of a block of the tile. Prepared once for many blocks.
  struct MatrixLoader {
    mlir::Value base, lane;
    tile::SharedType type;
  };
  MatrixLoader matrixLoader(mlir::Value tile, mlir::Value laneRow, mlir::Value laneChunk, mlir::Value row, mlir::Value byteCol,
                            int64_t spanBytes);
  Values loadMatrices(const MatrixLoader &loader, int64_t row, int64_t byteCol, int64_t count, bool transposed);

  // --- LowerTileCompute.cpp
  void lowerDot(tile::DotOp op);
  void dotTensor(tile::DotOp op);
  void dotScalar(tile::DotOp op);
  void lowerMap(tile::MapOp op);
  void lowerForEach(tile::ForEachOp op);
  void lowerReduce(tile::ReduceOp op);
  void lowerJoin(tile::JoinOp op);
  mlir::Value joinLanes(tile::Combine kind, mlir::Value x, int64_t width);
  void lowerConvert(tile::ConvertOp op);
  mlir::Value lowerExp2(mlir::Value x);
  /// One mma.sync of fragments whose elements have these types.
  Values mma(mlir::Type left, mlir::Type right, mlir::ValueRange a, mlir::ValueRange b, mlir::ValueRange c);
  mlir::Value combine(tile::Combine kind, mlir::Value x, mlir::Value y);
  /// Row and column (index) within the tile of each element that the thread holds, in the order of registers.
  struct Place {
    mlir::Value row, col;
  };
  llvm::SmallVector<Place> places(tile::RegType type);
  Values cloneBody(mlir::Region &region, mlir::ValueRange arguments);

  // --- LowerTileHopper.cpp
  void dotGroup(tile::DotOp op);
  /// An instruction that the registers of `tiles` go through: they are not moved across it. Returns them all.
  Values passThrough(llvm::StringRef text, mlir::ValueRange tiles);

  // --- LowerTileRoles.cpp
  void lowerMBarriers(tile::MBarriersOp op);
  void lowerRoles(tile::RolesOp op);
  void lowerTicket(tile::TicketOp op);
  void lowerExpect(tile::ExpectOp op);
  void lowerArrive(tile::ArriveOp op);
  void lowerAwait(tile::AwaitOp op);
  void lowerCopyTensor(tile::CopyTensorOp op);
  void lowerTurn(mlir::Operation *op);
  void lowerBarrier(tile::BarrierOp op);
  /// Tensor copies and products of groups of warps see what this thread wrote to shared memory.
  void fenceProducts();
  /// Waits at a barrier of the multiprocessor for `count` threads.
  void meet(mlir::Value barrier, int64_t count);
  /// All threads of the cluster's blocks meet.
  void meetCluster();
  /// Address (i32) of one of several mbarriers.
  mlir::Value mbarrier(mlir::Value barriers, mlir::Value stage);
  void when(mlir::Value condition, llvm::function_ref<void()> body);

  // --- arithmetic on i32 and index
  mlir::Value i32(int64_t value) { return mlir::arith::ConstantOp::create(b, b.getI32IntegerAttr(value)); }
  mlir::Value idx(int64_t value) { return mlir::arith::ConstantIndexOp::create(b, value); }
  mlir::Value add(mlir::Value x, mlir::Value y) { return b.createOrFold<mlir::arith::AddIOp>(x, y); }
  mlir::Value mul(mlir::Value x, mlir::Value y) { return b.createOrFold<mlir::arith::MulIOp>(x, y); }
  mlir::Value add(mlir::Value x, int64_t y) { return y ? add(x, constantLike(x, y)) : x; }
  mlir::Value mul(mlir::Value x, int64_t y) { return y == 1 ? x : mul(x, constantLike(x, y)); }
  mlir::Value div(mlir::Value x, int64_t y) { return y == 1 ? x : b.createOrFold<mlir::arith::DivUIOp>(x, constantLike(x, y)); }
  mlir::Value rem(mlir::Value x, int64_t y) {
    return y == 1 ? constantLike(x, 0) : b.createOrFold<mlir::arith::RemUIOp>(x, constantLike(x, y));
  }
  mlir::Value bitXor(mlir::Value x, mlir::Value y) { return b.createOrFold<mlir::arith::XOrIOp>(x, y); }
  mlir::Value shl(mlir::Value x, int64_t y) { return b.createOrFold<mlir::arith::ShLIOp>(x, constantLike(x, y)); }
  mlir::Value less(mlir::Value x, mlir::Value y) { return mlir::arith::CmpIOp::create(b, mlir::arith::CmpIPredicate::slt, x, y); }
  mlir::Value both(mlir::Value x, mlir::Value y) { return mlir::arith::AndIOp::create(b, x, y); }
  mlir::Value constantLike(mlir::Value x, int64_t y) { return x.getType().isIndex() ? idx(y) : i32(y); }
  mlir::Value toIndex(mlir::Value x) { return mlir::arith::IndexCastUIOp::create(b, b.getIndexType(), x); }
  mlir::Value toI32(mlir::Value x) { return mlir::arith::IndexCastOp::create(b, b.getI32Type(), x); }
  /// f(row) of the swizzle, already in the place of the chunk number.
  mlir::Value swizzleBits(tile::SharedType type, mlir::Value row);
  /// Two f32 rounded to a register of two 16-bit floats.
  mlir::Value pack(mlir::Type element, mlir::Value low, mlir::Value high);
  mlir::Value round(mlir::Value x, mlir::Type element);
  Values inlineAsm(llvm::StringRef text, llvm::StringRef constraints, mlir::ValueRange operands, mlir::TypeRange results,
                   bool sideEffects = false);
  /// Inline PTX without results.
  void instruction(llvm::StringRef text, llvm::StringRef constraints, mlir::ValueRange operands);
  /// `x`, which all lanes have, as one number of the warp: the assembler cannot know that of a thread's.
  mlir::Value uniform(mlir::Value x);
  mlir::Value warpRow(tile::RegType type); ///< first row of the warp's part (i32)
  mlir::Value warpCol(tile::RegType type); ///< first column of it
  const Values &registers(mlir::Value tile) { return regs[tile]; }

  tile::ProgramOp program;
  mlir::ImplicitLocOpBuilder b;
  int64_t threads; ///< of the program, or of the consumers where their role is lowered
  int64_t cluster; ///< blocks that form one
  bool inRole = false;
  SharedPlan plan;
  mlir::Value tid, lane, warp, sharedBase; ///< i32
  llvm::DenseMap<mlir::Value, Values> regs;
  llvm::DenseMap<mlir::Value, mlir::Value> addresses; ///< of tiles in shared memory (i32)
  llvm::DenseMap<mlir::Value, mlir::Value> scalars;   ///< what replaced results that are no tiles
  llvm::SmallVector<mlir::Operation *> dead;
  bool failed = false;
};

} // namespace leat::cuda
