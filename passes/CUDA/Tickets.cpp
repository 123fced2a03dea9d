// See Tickets.h.
#include "passes/CUDA/Tickets.h"
#include "passes/CUDA/Entry.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;

namespace leat::cuda {

Tickets::Tickets(KernelBuilder &k, Value total) : k(k), total(total) {
  MLIRContext *context = k.b.getContext();
  Type pointer = LLVM::LLVMPointerType::get(context);
  auto last = static_cast<int32_t>(bufferCount(k.kernel) - 1);
  Value at = LLVM::GEPOp::create(k.b, pointer, pointer, k.func.getArgument(0), ArrayRef<LLVM::GEPArg>{last});
  counter = LLVM::LoadOp::create(k.b, pointer, at, 8);
  slot = tile::AllocOp::create(k.b, tile::SharedType::get(context, 1, 4, k.b.getI32Type(), 0, 0, 1), IntegerAttr());
  full = tile::MBarriersOp::create(k.b, tile::MBarriersType::get(context, 1), 1);
}

void Tickets::loop(llvm::function_ref<Values(Value, Value, Value)> body) {
  k.whileLoop({tile::BlockIdOp::create(k.b, k.b.getIndexType(), 0), k.idx(0), k.idx(0)},
              [&](ValueRange at) { return k.compare(arith::CmpIPredicate::slt, at[0], total); },
              [&](ValueRange at) -> Values {
                Values next = body(at[0], at[1], at[2]);
                return {next[0], k.add(at[1], k.idx(1)), next[1]};
              });
}

void Tickets::produce(Body body) {
  Value zero = k.idx(0);
  loop([&](Value tile, Value round, Value step) -> Values {
    Value after = body(tile, round, step);
    // Every block draws once for each tile it had, so the counter ends where it began.
    Value number = tile::TicketOp::create(k.b, k.b.getIndexType(), counter, total);
    Value next = k.add(tile::BlockCountOp::create(k.b, k.b.getIndexType()), number);
    tile::WriteOp::create(k.b, arith::IndexCastOp::create(k.b, k.b.getI32Type(), next), slot, zero, zero);
    tile::ExpectOp::create(k.b, full, zero, 0);
    return {next, after};
  });
}

void Tickets::consume(Body body, llvm::function_ref<void(Value)> release) {
  Value zero = k.idx(0);
  loop([&](Value tile, Value round, Value step) -> Values {
    Value after = body(tile, round, step);
    tile::AwaitOp::create(k.b, full, zero, k.rem(round, k.idx(2)));
    Value next = tile::ReadOp::create(k.b, k.b.getI32Type(), slot, zero, zero);
    tile::BarrierOp::create(k.b, /*products=*/true);
    release(round);
    return {arith::IndexCastOp::create(k.b, k.b.getIndexType(), next), after};
  });
}

} // namespace leat::cuda
