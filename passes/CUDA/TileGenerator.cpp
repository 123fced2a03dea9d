// See TileGenerator.h.
#include "passes/CUDA/TileGenerator.h"
#include "passes/CPU/Products.h"
#include "passes/CUDA/Entry.h"
#include "passes/CUDA/Generic.h"
#include "passes/CUDA/SharedPlan.h"
#include "passes/CUDA/TensorMaps.h"

#include "leat/KernelABI.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

#include <numeric>

using namespace mlir;

namespace leat::cuda {

// --- functions around programs
// ---------------------------------------------------------------------------------------------------------------

/// The entry point of a phase calls its program's function, which has the signature of all kernel functions, then tensor maps.
static void emitEntry(KernelFuncOp kernel, unsigned phase, int64_t threads, int64_t sharedBytes, unsigned maps, StringRef callee) {
  Entry entry = createEntry(kernel, phase, threads, sharedBytes, maps);
  ImplicitLocOpBuilder b(kernel.getLoc(), kernel.getContext());
  b.setInsertionPointToEnd(&entry.func.getBody().front());
  Type ptr = LLVM::LLVMPointerType::get(b.getContext());
  auto buffer = [&](unsigned i) -> Value {
    Value at = LLVM::GEPOp::create(b, ptr, ptr, entry.buffers, ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(i)});
    return LLVM::LoadOp::create(b, ptr, at, 8);
  };
  Value none = arith::ConstantOp::create(b, b.getI64IntegerAttr(0));
  unsigned own = bufferCount(kernel) - LEAT_DEVICE_BUFFERS;
  Values arguments{entry.buffers, entry.scalars, none, none, buffer(own), buffer(own + 1)};
  llvm::append_range(arguments, entry.tensorMaps);
  func::CallOp::create(b, callee, TypeRange(), arguments);
  LLVM::ReturnOp::create(b, ValueRange());
}

SmallVector<TensorMap> TileGenerator::tensorMaps(KernelBuilder &, unsigned) { return {}; }

LogicalResult TileGenerator::emit(KernelFuncOp kernel) {
  using Part = KernelBuilder::Part;
  cpu::Target target = threadTarget();
  std::string name = kernel.getSymName().str();
  bool good = true;
  SmallVector<int64_t> sharedBytes;
  for (unsigned phase = 0; phase < phases(); ++phase) {
    std::string function = name + ".program" + std::to_string(phase);
    KernelBuilder k(kernel, target, Part::Run);
    k.func.setSymName(function);
    k.func->setAttr(kProgramAttr, k.b.getUnitAttr());
    int64_t count = threads(k, phase);
    auto op = tile::ProgramOp::create(k.b, count, cluster(phase) > 1 ? k.b.getI64IntegerAttr(cluster(phase)) : IntegerAttr());
    {
      OpBuilder::InsertionGuard guard(k.b);
      k.b.setInsertionPointToStart(&op.getBody().emplaceBlock());
      program(k, phase);
      tile::YieldOp::create(k.b);
    }
    k.finish();
    good &= !k.failed();
    sharedBytes.push_back(planShared(op).bytes);
    emitEntry(kernel, phase, count, sharedBytes.back(), tensorMapCount(k), function);
  }
  { // Like cost, geometry takes scalars and writes numbers.
    KernelBuilder k(kernel, target, Part::Cost);
    k.func.setSymName(name + ".geometry");
    Value out = k.func.getArgument(1);
    auto put = [&](unsigned phase, size_t field, Value v) {
      k.store(v, k.bytePtr(out, k.idx(phase * sizeof(LeatGeometry) + field)), k.b.getIndexType(), k.idx(0));
    };
    for (unsigned phase = 0; phase < phases(); ++phase) {
      Values blocks = grid(k, phase);
      int64_t count = threads(k, phase);
      for (unsigned d = 0; d < 3; ++d) {
        put(phase, offsetof(LeatGeometry, grid) + 8 * d, blocks[d]);
        put(phase, offsetof(LeatGeometry, block) + 8 * d, k.idx(d == 0 ? count : 1));
        put(phase, offsetof(LeatGeometry, cluster) + 8 * d, k.idx(d == 1 ? cluster(phase) : 1));
      }
      put(phase, offsetof(LeatGeometry, dynamic_shared), k.idx(sharedBytes[phase]));
      put(phase, offsetof(LeatGeometry, scratch), k.idx(0));
      put(phase, offsetof(LeatGeometry, joined), joined(k));
      put(phase, offsetof(LeatGeometry, resident), k.idx(resident(k, phase)));
      storeTensorMaps(k, k.bytePtr(out, k.idx(phase * sizeof(LeatGeometry))), tensorMaps(k, phase));
    }
    k.finish();
  }
  KernelBuilder k(kernel, target, Part::Cost);
  cpu::storeCost(k, cost(k));
  k.finish();
  return success(good);
}

// --- operands
// ---------------------------------------------------------------------------------------------------------------------------------

int64_t knownMultiple(Value index) {
  constexpr int64_t kEnough = 1 << 20;
  if (std::optional<int64_t> constant = getConstantIntValue(index))
    return *constant == 0 ? kEnough : std::min<int64_t>(std::abs(*constant), kEnough);
  Operation *op = index.getDefiningOp();
  if (isa_and_nonnull<arith::MulIOp>(op))
    return std::min(kEnough, knownMultiple(op->getOperand(0)) * knownMultiple(op->getOperand(1)));
  if (isa_and_nonnull<arith::AddIOp, arith::SubIOp, arith::MinSIOp, arith::MaxSIOp>(op))
    return std::gcd(knownMultiple(op->getOperand(0)), knownMultiple(op->getOperand(1)));
  return 1;
}

std::optional<Matrix> matrixOf(KernelBuilder &k, Value tensor, ArrayRef<Value> at, unsigned rowDim, unsigned colDim) {
  auto s = cpu::traceStrided(k, tensor);
  if (!s || s->knownStrides[colDim] != 1 || !isa<FloatType>(s->element))
    return std::nullopt;
  Value offset = s->offset;
  for (auto [d, stride] : llvm::enumerate(s->strides))
    if (d != rowDim && d != colDim)
      offset = k.add(offset, k.mul(at[d], stride));
  int64_t chunk = 16 / KernelBuilder::byteWidth(s->element);
  if (knownMultiple(offset) % chunk != 0 || knownMultiple(s->strides[rowDim]) % chunk != 0)
    return std::nullopt;
  return Matrix{k.elementPtr(k.buffer(s->argument), s->element, offset), s->strides[rowDim], s->element};
}

Value toElement(KernelBuilder &k, Value carried, Type type) {
  Value converted = cpu::convertCarried(k, carried, KernelBuilder::carriedType(type));
  return converted.getType() == type ? converted : arith::TruncFOp::create(k.b, type, converted).getResult();
}

void buildRegion(KernelBuilder &k, Region &region, TypeRange arguments, llvm::function_ref<Values(ValueRange)> body) {
  OpBuilder::InsertionGuard guard(k.b);
  Block &block = region.empty() ? region.emplaceBlock() : region.front();
  block.addArguments(arguments, SmallVector<Location>(arguments.size(), k.b.getLoc()));
  k.b.setInsertionPointToEnd(&block);
  Values results = body(block.getArguments());
  tile::YieldOp::create(k.b, results);
}

Values mapTiles(KernelBuilder &k, ValueRange tiles, TypeRange types, llvm::function_ref<Values(ValueRange)> body) {
  auto op = tile::MapOp::create(k.b, types, tiles);
  SmallVector<Type> arguments;
  for (Value v : tiles)
    arguments.push_back(cast<tile::RegType>(v.getType()).getElement());
  arguments.append(2, k.b.getIndexType());
  buildRegion(k, op.getBody(), arguments, body);
  return Values(op.getResults());
}

void fillTile(KernelBuilder &k, Value tile, Value rows, Value cols, bool byRows, llvm::function_ref<Value(Value, Value)> element) {
  Type type = cast<tile::SharedType>(tile.getType()).getElement(), index = k.b.getIndexType();
  auto op = tile::FillOp::create(k.b, tile, byRows);
  buildRegion(k, op.getBody(), {index, index}, [&](ValueRange at) -> Values {
    Value inside =
        arith::AndIOp::create(k.b, k.compare(arith::CmpIPredicate::slt, at[0], rows), k.compare(arith::CmpIPredicate::slt, at[1], cols));
    return k.ifElse(
        inside, [&]() -> Values { return {toElement(k, element(at[0], at[1]), type)}; },
        [&]() -> Values { return {arith::ConstantOp::create(k.b, k.b.getZeroAttr(type))}; });
  });
}

std::optional<unsigned> plainResult(KernelBuilder &k, Value root) {
  SmallVector<unsigned> results = cpu::epilogueResults(k, root);
  return results.size() == 1 && k.result(results[0]) == root ? std::optional(results[0]) : std::nullopt;
}

void storeRun(KernelBuilder &k, unsigned result, ArrayRef<Value> at, Value vector) {
  Value offset = k.idx(0);
  for (auto [position, size] : llvm::zip_equal(at, k.resultDims(result)))
    offset = k.add(k.mul(offset, size), position);
  Type element = k.resultType(result).getElementType();
  LLVM::StoreOp::create(k.b, vector, k.elementPtr(k.resultBuffer(result), element, offset), 16);
}

void emitElement(KernelBuilder &k, Value root, ArrayRef<Value> at, Value sum) {
  Type element = cast<RankedTensorType>(root.getType()).getElementType();
  Puller pull(k, 1);
  SmallVector<Idx> coordinates = pull.at(at);
  auto shape = cast<RankedTensorType>(root.getType()).getShape();
  pull.bind(root, [&](Puller &, ArrayRef<Idx> asked) {
    for (auto [here, there, size] : llvm::zip_equal(coordinates, asked, shape))
      if (size != 1 && here.base != there.base)
        k.fail("the epilogue reads the result of the product at another place", root.getDefiningOp());
    return k.roundTo(cpu::convertCarried(k, sum, KernelBuilder::carriedType(element)), element);
  });
  for (unsigned result : cpu::epilogueResults(k, root))
    pull.emitResult(result, coordinates);
}

} // namespace leat::cuda
