// The entry points around the functions of a kernel: thread t takes tasks t, t + threads, ...; the second phase is a second launch.
#include "passes/CUDA/Generic.h"
#include "passes/CUDA/Entry.h"

#include "leat/KernelABI.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace leat::cuda {

cpu::Target threadTarget() {
  cpu::Target target;
  target.vectorBits = 32;
  target.fma = target.f16c = target.sse41 = true;
  return target;
}

std::unique_ptr<cpu::Generator> createGenericGenerator(KernelFuncOp kernel) {
  Operation *root = cpu::findRoot(kernel);
  if (auto matmul = dyn_cast_or_null<MatmulOp>(root))
    return createMatmulElements(matmul);
  if (auto product = dyn_cast_or_null<MatmulNBitsOp>(root))
    return createNBitsElements(product);
  if (auto conv = dyn_cast_or_null<ConvOp>(root))
    return createConvElements(conv);
  if (auto attend = dyn_cast_or_null<KVAttendOp>(root))
    return createAttendRows(attend);
  return cpu::createGenerator(kernel, threadTarget());
}

bool needsLibrary(Operation *root) {
  return root
      ->walk([](Operation *op) -> WalkResult {
        if (!isa<math::MathDialect>(op->getDialect()))
          return WalkResult::advance();
        if (isa<math::AbsFOp, math::AbsIOp, math::CeilOp, math::FloorOp, math::TruncOp, math::RoundEvenOp, math::RoundOp, math::CopySignOp,
                math::FmaOp, math::SqrtOp, math::RsqrtOp, math::CountLeadingZerosOp, math::CountTrailingZerosOp, math::CtPopOp>(op))
          return WalkResult::advance();
        // Those that leat-cpu-expand-math writes as arithmetic.
        bool expanded = isa<math::ExpOp, math::Exp2Op, math::ExpM1Op, math::LogOp, math::Log2Op, math::Log10Op, math::Log1pOp, math::TanhOp,
                            math::ErfOp, math::SinOp, math::CosOp, math::TanOp>(op);
        if (auto power = dyn_cast<math::PowFOp>(op)) {
          FloatAttr exponent;
          expanded = matchPattern(power.getRhs(), m_Constant(&exponent)) &&
                     llvm::is_contained({0.0, 1.0, 2.0, 3.0, 4.0, 0.5, -0.5, -1.0, -2.0}, exponent.getValueAsDouble());
        }
        Type type = cpu::KernelBuilder::carriedType(op->getResult(0).getType());
        return (expanded && type.isF32()) || (isa<math::ExpOp>(op) && type.isF64()) ? WalkResult::advance() : WalkResult::interrupt();
      })
      .wasInterrupted();
}

namespace {

constexpr int64_t kBlock = 128;         ///< threads of a block
constexpr int64_t kSmallBlock = 32;     ///< where there are too few tasks to fill a GPU with whole blocks
constexpr int64_t kFewTasks = 8192;     ///< "few"
constexpr int64_t kMaxBlocks = 1 << 16; ///< more tasks than threads are taken in turns
constexpr int64_t kScratch = 256 << 20; ///< bytes of scratch for all threads: fewer threads where each needs much

/// Arithmetic on i64 in the LLVM functions around.
struct Numbers {
  ImplicitLocOpBuilder &b;
  Value c(int64_t v) { return arith::ConstantOp::create(b, b.getI64IntegerAttr(v)); }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, x, y); }
  Value mul(Value x, Value y) { return arith::MulIOp::create(b, x, y); }
  Value div(Value x, Value y) { return arith::DivUIOp::create(b, x, y); }
  Value min(Value x, Value y) { return arith::MinSIOp::create(b, x, y); }
  Value max(Value x, Value y) { return arith::MaxSIOp::create(b, x, y); }
  Value select(Value cond, Value x, Value y) { return arith::SelectOp::create(b, cond, x, y); }
  Value less(Value x, Value y) { return arith::CmpIOp::create(b, arith::CmpIPredicate::slt, x, y); }
  Value alignUp(Value x, int64_t to) { return arith::AndIOp::create(b, add(x, c(to - 1)), c(-to)); }
  Value call(StringRef callee, ValueRange arguments) {
    return func::CallOp::create(b, callee, TypeRange(b.getI64Type()), arguments).getResult(0);
  }
};

/// Bytes of scratch from thread to thread.
Value scratchStride(Numbers &n, KernelFuncOp kernel, Value scalars) {
  return n.alignUp(n.call((kernel.getSymName() + ".scratch").str(), scalars), 64);
}

void emitEntry(KernelFuncOp kernel, unsigned phase) {
  Entry entry = createEntry(kernel, phase, kBlock);
  ImplicitLocOpBuilder b(kernel.getLoc(), kernel.getContext());
  b.setInsertionPointToEnd(&entry.func.getBody().front());
  Numbers n{b};
  auto special = [&](auto op) -> Value { return arith::ExtUIOp::create(b, b.getI64Type(), op.getResult()); };
  Type i32 = b.getI32Type(), ptr = LLVM::LLVMPointerType::get(b.getContext());
  Value block = special(NVVM::BlockDimXOp::create(b, i32));
  Value thread = n.add(n.mul(special(NVVM::BlockIdXOp::create(b, i32)), block), special(NVVM::ThreadIdXOp::create(b, i32)));
  Value threads = n.mul(special(NVVM::GridDimXOp::create(b, i32)), block);
  auto buffer = [&](unsigned i) -> Value {
    Value at = LLVM::GEPOp::create(b, ptr, ptr, entry.buffers, ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(i)});
    return LLVM::LoadOp::create(b, ptr, at, 8);
  };
  unsigned buffers = bufferCount(kernel);
  Value offset = n.mul(thread, scratchStride(n, kernel, entry.scalars));
  Value scratch = LLVM::GEPOp::create(b, ptr, b.getI8Type(), buffer(buffers - LEAT_DEVICE_BUFFERS), ArrayRef<LLVM::GEPArg>{offset});
  Value shared = buffer(buffers - LEAT_DEVICE_BUFFERS + 1);
  std::string name = (kernel.getSymName() + (phase ? ".finish" : "")).str();
  Value tasks = n.call(phase ? name + "_tasks" : name + ".tasks", entry.scalars);
  auto loop = scf::ForOp::create(b, thread, tasks, threads);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(loop.getBody()->getTerminator());
    Value task = loop.getInductionVar();
    func::CallOp::create(b, name, TypeRange(), ValueRange{entry.buffers, entry.scalars, task, n.add(task, n.c(1)), scratch, shared});
  }
  LLVM::ReturnOp::create(b, ValueRange());
}

/// @k.geometry(scalars, out): one LeatGeometry per phase.
void emitGeometry(KernelFuncOp kernel, bool hasFinish) {
  ImplicitLocOpBuilder b(kernel.getLoc(), kernel.getContext());
  b.setInsertionPoint(kernel);
  Type ptr = LLVM::LLVMPointerType::get(b.getContext());
  auto function = func::FuncOp::create(b, (kernel.getSymName() + ".geometry").str(), b.getFunctionType({ptr, ptr}, {}));
  Block *body = function.addEntryBlock();
  b.setInsertionPointToEnd(body);
  Numbers n{b};
  Value scalars = body->getArgument(0), out = body->getArgument(1), stride = scratchStride(n, kernel, scalars);
  auto put = [&](unsigned phase, size_t field, Value v) {
    int32_t at = static_cast<int32_t>(phase * sizeof(LeatGeometry) + field);
    Value address = LLVM::GEPOp::create(b, ptr, b.getI8Type(), out, ArrayRef<LLVM::GEPArg>{at});
    LLVM::StoreOp::create(b, v, address, 8);
  };
  for (unsigned phase = 0; phase < (hasFinish ? 2u : 1u); ++phase) {
    Value tasks = n.call((kernel.getSymName() + (phase ? ".finish_tasks" : ".tasks")).str(), scalars);
    Value few = n.less(tasks, n.c(kFewTasks)), threads = n.select(few, n.c(kSmallBlock), n.c(kBlock));
    Value blocks = n.min(n.div(n.add(tasks, n.add(threads, n.c(-1))), threads), n.c(kMaxBlocks));
    Value affordable = n.max(n.div(n.c(kScratch), n.mul(n.max(stride, n.c(1)), threads)), n.c(1));
    blocks = n.min(blocks, affordable);
    put(phase, offsetof(LeatGeometry, grid), blocks);
    put(phase, offsetof(LeatGeometry, block), threads);
    for (size_t field : {offsetof(LeatGeometry, grid) + 8, offsetof(LeatGeometry, grid) + 16, offsetof(LeatGeometry, block) + 8,
                         offsetof(LeatGeometry, block) + 16, offsetof(LeatGeometry, cluster), offsetof(LeatGeometry, cluster) + 8,
                         offsetof(LeatGeometry, cluster) + 16})
      put(phase, field, n.c(1));
    put(phase, offsetof(LeatGeometry, dynamic_shared), n.c(0));
    put(phase, offsetof(LeatGeometry, scratch), n.mul(n.mul(blocks, threads), stride));
    put(phase, offsetof(LeatGeometry, joined), hasFinish ? n.call((kernel.getSymName() + ".shared").str(), scalars) : n.c(0));
    put(phase, offsetof(LeatGeometry, resident), n.c(0));
    put(phase, offsetof(LeatGeometry, tensor_maps), n.c(0));
  }
  func::ReturnOp::create(b);
}

/// @k.extents(scalars, out): size and access of each buffer, for a kernel that runs on the host.
void emitExtents(KernelFuncOp kernel) {
  cpu::Target target = threadTarget();
  cpu::KernelBuilder k(kernel, target, cpu::KernelBuilder::Part::Extents);
  Value out = k.func.getArgument(1);
  unsigned next = 0;
  auto put = [&](Type element, ArrayRef<Value> dims, int64_t access) {
    Value bytes = k.mul(k.product(dims), k.idx(cpu::KernelBuilder::byteWidth(element)));
    k.store(bytes, out, k.b.getIndexType(), k.idx(next++));
    k.store(k.idx(access), out, k.b.getIndexType(), k.idx(next++));
  };
  for (BlockArgument arg : k.body().getArguments().take_front(kernel.getNumInputs())) {
    auto state = dyn_cast<StateType>(arg.getType());
    Type element = state ? state.getContent().getElementType() : cast<RankedTensorType>(arg.getType()).getElementType();
    put(element, k.dims(arg), state ? LEAT_ACCESS_UPDATE : LEAT_ACCESS_READ);
  }
  for (unsigned i = 0; i < k.numResults(); ++i)
    put(k.resultType(i).getElementType(), k.resultDims(i), LEAT_ACCESS_WRITE);
  k.finish();
}

} // namespace

LogicalResult emitGeneric(KernelFuncOp kernel, bool &onHost) {
  cpu::Target target = threadTarget();
  std::unique_ptr<cpu::Generator> generator = createGenericGenerator(kernel);
  if (!generator || failed(cpu::emitFunctions(kernel, *generator, target)))
    return failure();
  auto module = kernel->getParentOfType<ModuleOp>();
  bool hasFinish = generator->hasFinish();
  onHost = false;
  for (auto function : module.getOps<func::FuncOp>())
    if (function.getName() == kernel.getSymName() || (hasFinish && function.getName() == (kernel.getSymName() + ".finish").str()))
      onHost |= needsLibrary(function);
  if (onHost) {
    emitExtents(kernel);
    return success();
  }
  emitEntry(kernel, 0);
  if (hasFinish)
    emitEntry(kernel, 1);
  emitGeometry(kernel, hasFinish);
  return success();
}

} // namespace leat::cuda
