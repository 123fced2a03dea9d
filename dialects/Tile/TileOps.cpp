// Verifiers of the tile ops. Messages name what an op needs and what it got.
#include "dialects/Tile/Tile.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"

using namespace mlir;

namespace leat::tile {

LogicalResult ProgramOp::verify() {
  int64_t threads = getThreads();
  if (threads < 32 || threads > 1024 || threads % 32 != 0)
    return emitOpError("needs whole warps, 32 to 1024 threads, got ") << threads;
  if (getCluster() && (clusterSize() < 2 || clusterSize() > 8))
    return emitOpError("has a cluster of 2 to 8 blocks, got ") << clusterSize();
  if ((*this)->getParentOfType<ProgramOp>())
    return emitOpError("cannot stand inside another program");
  // A tile in registers is spread over all of the block's warps, or over those of its role.
  LogicalResult result = success();
  getBody().walk([&](Operation *op) {
    auto roles = op->getParentOfType<RolesOp>();
    int64_t here = roles ? int64_t(roles.getConsumers()) : threads;
    for (Type type : op->getResultTypes())
      if (auto reg = dyn_cast<RegType>(type); reg && reg.getWarps() * 32 != here && succeeded(result))
        result = op->emitOpError("has a tile of ") << reg.getWarps() << " warps in a program of " << here << " threads";
  });
  return result;
}

LogicalResult BlockIdOp::verify() {
  if (getDim() > 2)
    return emitOpError("has dimension 0, 1 or 2, got ") << int64_t(getDim());
  return success();
}

LogicalResult ViewOp::verify() {
  if (!isa<LLVM::LLVMPointerType>(getBase().getType()))
    return emitOpError("needs a pointer, got ") << getBase().getType();
  int64_t align = getAlign(), bytes = cast<ViewType>(getView().getType()).getElement().getIntOrFloatBitWidth() / 8;
  if (align < bytes || align > 16 || (align & (align - 1)))
    return emitOpError("needs rows aligned to a power of two from its elements' ") << bytes << " to 16 bytes, got " << align;
  return success();
}

LogicalResult PagedViewOp::verify() {
  for (Value pointer : {getBase(), getTable()})
    if (!isa<LLVM::LLVMPointerType>(pointer.getType()))
      return emitOpError("needs a pointer, got ") << pointer.getType();
  if (int64_t page = getPage(); page < 1 || (page & (page - 1)))
    return emitOpError("needs pages of a power of two of rows, got ") << page;
  return success();
}

LogicalResult AllocOp::verify() {
  if (std::optional<uint64_t> at = getAt(); at && *at % cast<SharedType>(getTile().getType()).getAlignment() != 0)
    return emitOpError("needs a place aligned to ") << cast<SharedType>(getTile().getType()).getAlignment() << " bytes, got " << *at;
  return success();
}

LogicalResult SlotOp::verify() {
  auto tile = cast<SharedType>(getTile().getType());
  if (getSlot().getType() != tile.oneStage())
    return emitOpError("gives one stage of its tile, ") << tile.oneStage() << ", not " << getSlot().getType();
  return success();
}

static LogicalResult verifyOneStage(Operation *op, SharedType tile) {
  if (tile.getStages() != 1)
    return op->emitOpError("needs one stage of a tile (tile.slot), got ") << tile;
  return success();
}

LogicalResult CopyAsyncOp::verify() {
  auto tile = cast<SharedType>(getTile().getType());
  auto view = cast<ViewType>(getView().getType());
  if (view.getElement() != tile.getElement())
    return emitOpError("copies without conversion, but goes from ") << view.getElement() << " to " << tile.getElement();
  if ((tile.getCols() * tile.getElementBytes()) % 16 != 0 || tile.getRowBytes() % 16 != 0)
    return emitOpError("copies 16 bytes at a time, but rows of the tile have ") << tile.getRowBytes() << " bytes";
  if (auto op = getView().getDefiningOp<ViewOp>(); op && op.getAlign() != 16)
    return emitOpError("needs a view aligned to 16 bytes, got ") << int64_t(op.getAlign()) << ": write the tile with tile.fill instead";
  return verifyOneStage(*this, tile);
}

LogicalResult WaitOp::verify() {
  if (int64_t(getPending()) < 0)
    return emitOpError("cannot leave ") << int64_t(getPending()) << " groups in flight";
  return success();
}

/// The region's arguments are `types`, and it yields `results`.
static LogicalResult verifyRegion(Operation *op, Region &region, ArrayRef<Type> types, ArrayRef<Type> results, StringRef name = "region") {
  if (region.getArgumentTypes() != TypeRange(types)) {
    auto diagnostic = op->emitOpError("needs arguments of types (");
    llvm::interleaveComma(types, diagnostic);
    diagnostic << ") in its " << name << ", got (";
    llvm::interleaveComma(region.getArgumentTypes(), diagnostic);
    return diagnostic << ")";
  }
  auto yield = dyn_cast<YieldOp>(region.front().getTerminator());
  if (!yield || yield.getOperandTypes() != TypeRange(results)) {
    auto diagnostic = op->emitOpError("needs a tile.yield of types (");
    llvm::interleaveComma(results, diagnostic);
    return diagnostic << ") at the end of its " << name;
  }
  return success();
}

LogicalResult FillOp::verify() {
  auto tile = cast<SharedType>(getTile().getType());
  Type index = IndexType::get(getContext());
  if (failed(verifyOneStage(*this, tile)))
    return failure();
  return verifyRegion(*this, getBody(), {index, index}, {tile.getElement()});
}

LogicalResult VisitOp::verify() {
  auto tile = cast<SharedType>(getTile().getType());
  Type index = IndexType::get(getContext()), element = tile.getElement();
  if (failed(verifyOneStage(*this, tile)))
    return failure();
  int64_t width = getWidth();
  if (width < 1 || (width & (width - 1)) || tile.getCols() % width != 0)
    return emitOpError("needs a width that is a power of two and divides the columns, ") << tile.getCols() << ", got " << width;
  // A swizzle moves 16 bytes as they are.
  if (width > 1 && (tile.getSwizzle() ? width * tile.getElementBytes() > 16 : tile.getRowBytes() % 16 != 0))
    return emitOpError("reads runs in rows of 16 bytes, and of 16 bytes where they are swizzled, not ")
           << width << " elements of " << Type(tile);
  if (width > 1)
    element = VectorType::get({width}, element);
  return verifyRegion(*this, getBody(), {element, index, index}, {});
}

LogicalResult LoadOp::verify() {
  auto tile = cast<SharedType>(getTile().getType());
  auto reg = cast<RegType>(getResult().getType());
  if (failed(verifyOneStage(*this, tile)))
    return failure();
  int64_t rows = getTransposed() ? tile.getCols() : tile.getRows(), cols = getTransposed() ? tile.getRows() : tile.getCols();
  if (reg.getRows() != rows || reg.getCols() != cols)
    return emitOpError("reads ") << rows << "x" << cols << " elements, not " << reg.getRows() << "x" << reg.getCols();
  bool rounds = tile.getElement() != reg.getElement();
  if (reg.getKind() != LayoutKind::A && reg.getKind() != LayoutKind::B)
    return emitOpError("reads operands of products, layouts a and b, not ") << stringifyLayoutKind(reg.getKind());
  if (rounds && (!tile.getElement().isF32() || reg.getKind() != LayoutKind::A || getTransposed()))
    return emitOpError("rounds f32 to an operand in layout a, not ")
           << tile.getElement() << " to " << reg.getElement() << " in layout " << stringifyLayoutKind(reg.getKind());
  if (getTransposed() && reg.getElement().getIntOrFloatBitWidth() != 16)
    return emitOpError("transposes elements of 16 bits, not ") << reg.getElement();
  if (getResidual() != 0 && !rounds)
    return emitOpError("has a residual only where it rounds");
  if (getResidual() > 2)
    return emitOpError("takes residuals twice at most, got ") << int64_t(getResidual());
  return success();
}

LogicalResult StoreOp::verify() {
  auto reg = cast<RegType>(getValue().getType());
  if (reg.getKind() != LayoutKind::Acc && reg.getKind() != LayoutKind::WgmmaAcc)
    return emitOpError("writes accumulators, not layout ") << stringifyLayoutKind(reg.getKind());
  Type element = cast<ViewType>(getView().getType()).getElement();
  if (element != reg.getElement() && !(reg.getElement().isF32() && isa<Float16Type, BFloat16Type>(element)))
    return emitOpError("rounds f32 to f16 or bf16, not ") << reg.getElement() << " to " << element;
  return success();
}

LogicalResult StoreSharedOp::verify() {
  auto reg = cast<RegType>(getValue().getType());
  auto tile = cast<SharedType>(getTile().getType());
  if (reg.getKind() != LayoutKind::Acc && reg.getKind() != LayoutKind::WgmmaAcc)
    return emitOpError("writes accumulators, not layout ") << stringifyLayoutKind(reg.getKind());
  if (reg.getRows() != tile.getRows() || reg.getCols() != tile.getCols())
    return emitOpError("writes ") << reg.getRows() << "x" << reg.getCols() << " elements to a tile of " << tile.getRows() << "x"
                                  << tile.getCols();
  if (tile.getElement() != reg.getElement() && !(reg.getElement().isF32() && isa<Float16Type, BFloat16Type>(tile.getElement())))
    return emitOpError("rounds f32 to f16 or bf16, not ") << reg.getElement() << " to " << tile.getElement();
  return verifyOneStage(*this, tile);
}

LogicalResult SplatOp::verify() {
  auto reg = cast<RegType>(getResult().getType());
  if (getValue().getType() != reg.getElement())
    return emitOpError("fills a tile of ") << reg.getElement() << " with a value of type " << getValue().getType();
  if (reg.getPerRegister() > 1)
    return emitOpError("cannot fill packed operands, layout ") << stringifyLayoutKind(reg.getKind());
  return success();
}

LogicalResult DotOp::verify() {
  auto acc = cast<RegType>(getInit().getType());
  auto b = cast<SharedType>(getB().getType());
  bool group = acc.getKind() == LayoutKind::WgmmaAcc;
  if ((acc.getKind() != LayoutKind::Acc && !group) || (!acc.getElement().isF32() && !acc.getElement().isInteger(32)))
    return emitOpError("sums in f32 or i32 in layout acc or wgmma_acc, got ") << Type(acc);
  if (group && (acc.getWarpRows() != 16 || acc.getCols() > 256))
    return emitOpError("needs 64 rows and at most 256 columns for each group of four warps, got ") << acc.getRows() << "x" << acc.getCols();
  auto leftTile = dyn_cast<SharedType>(getA().getType());
  if (group && ((leftTile && !leftTile.getSwizzle()) || !b.getSwizzle() || b.getElementBytes() != 2))
    return emitOpError("reads operands of a group of warps from swizzled shared memory, in 16 bits, got ")
           << getA().getType() << " and " << Type(b);
  if (group)
    for (OpOperand &use : getResult().getUses()) {
      Operation *user = use.getOwner();
      bool chained = isa<DotOp>(user) && cast<DotOp>(user).getInit() == getResult();
      bool carried = user->hasTrait<OpTrait::IsTerminator>() || isa<RegionBranchOpInterface>(user);
      if (!chained && !carried && !isa<DotWaitOp>(user))
        return emitOpError("is in flight where '") << user->getName() << "' uses it: put a tile.dot_wait between";
    }
  int64_t m, depth;
  Type element;
  if (auto reg = dyn_cast<RegType>(getA().getType())) {
    m = reg.getRows(), depth = reg.getCols(), element = reg.getElement();
    LayoutKind needed = group ? LayoutKind::WgmmaA : LayoutKind::A;
    if (reg.getKind() != needed || reg.getLayout().getWarpsM() != acc.getLayout().getWarpsM() ||
        reg.getLayout().getWarpsN() != acc.getLayout().getWarpsN())
      return emitOpError("needs its left operand in layout ")
             << stringifyLayoutKind(needed) << " of the accumulator's warps, got " << reg.getLayout();
  } else if (auto tile = dyn_cast<SharedType>(getA().getType())) {
    m = tile.getRows(), depth = tile.getCols(), element = tile.getElement();
    if (failed(verifyOneStage(*this, tile)))
      return failure();
  } else {
    return emitOpError("needs its left operand in registers or shared memory, got ") << getA().getType();
  }
  if (failed(verifyOneStage(*this, b)))
    return failure();
  int64_t n = getTransB() ? b.getRows() : b.getCols(), depthB = getTransB() ? b.getCols() : b.getRows();
  if (m != acc.getRows() || n != acc.getCols() || depth != depthB)
    return emitOpError("multiplies ") << m << "x" << depth << " by " << depthB << "x" << n << ", which does not give " << acc.getRows()
                                      << "x" << acc.getCols();
  bool bytes = isByte(element) && isByte(b.getElement());
  bool floats = element == b.getElement() && (isa<Float16Type, BFloat16Type>(element) || element.isF32());
  if (!bytes && !floats)
    return emitOpError("multiplies f16, bf16 or f32 by the same, or bytes by bytes, not ") << element << " by " << b.getElement();
  if (bytes != acc.getElement().isInteger(32))
    return emitOpError("sums products of bytes in i32 and those of floats in f32, not ")
           << element << " by " << b.getElement() << " in " << acc.getElement();
  if (bytes && !getTransB())
    return emitOpError("reads a right operand of bytes as [columns, depth] (trans_b): ldmatrix transposes pairs of them");
  int64_t steps = element.isF32() ? 4 : bytes ? 32 : 16;
  if (depth % steps != 0)
    return emitOpError("needs a depth in multiples of ") << steps << ", got " << depth;
  if (!element.isF32() && (b.getRowBytes() % 16 != 0))
    return emitOpError("reads rows of 16 bytes, but those of its right operand have ") << b.getRowBytes() << " bytes";
  return success();
}

/// What products of groups of warps have in registers.
static LogicalResult verifyInFlight(Operation *op, TypeRange tiles, TypeRange results, bool operands) {
  if (tiles != results)
    return op->emitOpError("gives the tiles that it takes");
  for (Type type : tiles) {
    LayoutKind kind = cast<RegType>(type).getKind();
    if (kind != LayoutKind::WgmmaAcc && !(operands && kind == LayoutKind::WgmmaA))
      return op->emitOpError("takes tiles of products of groups of warps, not layout ") << stringifyLayoutKind(kind);
  }
  return success();
}

LogicalResult DotFenceOp::verify() { return verifyInFlight(*this, getTiles().getTypes(), getResultTypes(), /*operands=*/true); }

LogicalResult DotWaitOp::verify() {
  if (int64_t(getPending()) < 0 || int64_t(getPending()) > 7)
    return emitOpError("leaves 0 to 7 products in flight, got ") << int64_t(getPending());
  return verifyInFlight(*this, getTiles().getTypes(), getResultTypes(), /*operands=*/false);
}

LogicalResult ConvertOp::verify() {
  auto from = cast<RegType>(getValue().getType()), to = cast<RegType>(getResult().getType());
  bool layouts = (from.getKind() == LayoutKind::Acc && to.getKind() == LayoutKind::A) ||
                 (from.getKind() == LayoutKind::WgmmaAcc && to.getKind() == LayoutKind::WgmmaA);
  if (!layouts || from.getLayout().getWarpsN() != 1 || to.getLayout().getWarpsN() != 1 ||
      from.getLayout().getWarpsM() != to.getLayout().getWarpsM())
    return emitOpError("renames an accumulator whose warps hold whole rows to the left operand of the same warps, not ")
           << from.getLayout() << " to " << to.getLayout();
  if (from.getRows() != to.getRows() || from.getCols() != to.getCols())
    return emitOpError("keeps the shape, but goes from ")
           << from.getRows() << "x" << from.getCols() << " to " << to.getRows() << "x" << to.getCols();
  if (!from.getElement().isF32() || !isa<Float16Type, BFloat16Type>(to.getElement()))
    return emitOpError("rounds f32 to f16 or bf16, not ") << from.getElement() << " to " << to.getElement();
  return success();
}

LogicalResult MapOp::verify() {
  if (getResults().empty())
    return emitOpError("needs a result; tile.for_each has none");
  auto first = cast<RegType>(getResults().front().getType());
  SmallVector<Type> arguments, yields;
  for (Value v : getResults()) {
    auto type = cast<RegType>(v.getType());
    if (type.getRows() != first.getRows() || type.getCols() != first.getCols() || type.getLayout() != first.getLayout())
      return emitOpError("needs results of one shape and layout, got ") << Type(first) << " and " << Type(type);
    yields.push_back(type.getElement());
  }
  if (first.getPerRegister() > 1)
    return emitOpError("does not work on packed operands, layout ") << stringifyLayoutKind(first.getKind());
  for (Value v : getTiles()) {
    auto type = cast<RegType>(v.getType());
    bool row = type.getKind() == LayoutKind::Row && type.getRows() == first.getRows() &&
               (first.getKind() == LayoutKind::Acc || first.getKind() == LayoutKind::WgmmaAcc) &&
               type.getLayout().getWarpsM() == first.getLayout().getWarpsM() &&
               type.getLayout().getWarpsN() == first.getLayout().getWarpsN();
    bool same = type.getRows() == first.getRows() && type.getCols() == first.getCols() && type.getLayout() == first.getLayout();
    if (!row && !same)
      return emitOpError("needs operands of its result's shape and layout, or the row slice of that, got ")
             << Type(type) << " for " << Type(first);
    arguments.push_back(type.getElement());
  }
  arguments.append(2, IndexType::get(getContext()));
  return verifyRegion(*this, getBody(), arguments, yields);
}

LogicalResult ForEachOp::verify() {
  auto type = cast<RegType>(getTile().getType());
  if (type.getPerRegister() > 1)
    return emitOpError("does not work on packed operands, layout ") << stringifyLayoutKind(type.getKind());
  Type index = IndexType::get(getContext());
  return verifyRegion(*this, getBody(), {type.getElement(), index, index}, {});
}

LogicalResult ReduceOp::verify() {
  auto from = cast<RegType>(getTile().getType()), to = cast<RegType>(getResult().getType());
  bool acc = from.getKind() == LayoutKind::Acc || from.getKind() == LayoutKind::WgmmaAcc;
  if (!acc || from.getLayout().getWarpsN() != 1)
    return emitOpError("needs an accumulator whose warps hold whole rows, got ") << from.getLayout();
  if (!from.getElement().isF32())
    return emitOpError("combines f32, got ") << from.getElement();
  if (to != RegType::get(getContext(), from.getRows(), 1, from.getElement(),
                         LayoutAttr::get(getContext(), LayoutKind::Row, from.getLayout().getWarpsM(), 1)))
    return emitOpError("gives one element for each row of ") << Type(from) << ", not " << Type(to);
  return success();
}

LogicalResult JoinOp::verify() {
  auto type = cast<RegType>(getTile().getType());
  if (type.getKind() != LayoutKind::Row)
    return emitOpError("joins a row slice, got layout ") << stringifyLayoutKind(type.getKind());
  return success();
}

/// `value` is an element of the tile or a vector of them.
static LogicalResult verifyAccess(Operation *op, Type value, SharedType tile) {
  auto vector = dyn_cast<VectorType>(value);
  if (getElementTypeOrSelf(value) != tile.getElement() || (vector && vector.getRank() != 1))
    return op->emitOpError("needs an element or a vector of elements of the tile, ") << tile.getElement() << ", got " << value;
  int64_t bytes = vector ? vector.getNumElements() * tile.getElementBytes() : 0;
  if (bytes > 16 || (bytes & (bytes - 1)) || (bytes && tile.getRowBytes() % bytes != 0))
    return op->emitOpError("needs vectors of a power of two, at most 16 bytes, that rows are a multiple of, got ")
           << value << " of " << Type(tile);
  return verifyOneStage(op, tile);
}

LogicalResult ReadOp::verify() { return verifyAccess(*this, getValue().getType(), cast<SharedType>(getTile().getType())); }
LogicalResult WriteOp::verify() { return verifyAccess(*this, getValue().getType(), cast<SharedType>(getTile().getType())); }

LogicalResult LanesOp::verify() {
  int64_t width = getWidth();
  if (width < 2 || width > 32 || (width & (width - 1)))
    return emitOpError("needs groups of 2, 4, 8, 16 or 32 lanes, got ") << width;
  return success();
}

LogicalResult PipelineOp::verify() {
  if (getBuffers().empty())
    return emitOpError("needs buffers to bring tiles into");
  SmallVector<Type> produce{IndexType::get(getContext())};
  int64_t stages = cast<SharedType>(getBuffers().front().getType()).getStages();
  for (Value v : getBuffers()) {
    auto type = cast<SharedType>(v.getType());
    if (type.getStages() != stages || stages < 2)
      return emitOpError("needs buffers of one number of stages, two at least, got ") << Type(type);
    produce.push_back(type.oneStage());
  }
  SmallVector<Type> consume(produce);
  llvm::append_range(consume, getInits().getTypes());
  if (getInits().getTypes() != getResultTypes())
    return emitOpError("carries values of the types of its results");
  if (bool(getFirst()) == getNext().empty())
    return emitOpError("needs a first value and a region that makes the next one of it, or neither");
  Type index = produce.front();
  if (getFirst() && failed(verifyRegion(*this, getNext(), index, index, "next region")))
    return failure();
  if (failed(verifyRegion(*this, getProduce(), produce, {}, "produce region")))
    return failure();
  return verifyRegion(*this, getConsume(), consume, SmallVector<Type>(getInits().getTypes()), "consume region");
}

} // namespace leat::tile
