// See BlockFold.h. Values travel in words of 32 bits, as shuffles do.
#include "passes/CUDA/BlockFold.h"

using namespace mlir;

namespace leat::cuda {

static unsigned bitsOf(Type type) { return type.isIndex() ? 64 : type.getIntOrFloatBitWidth(); }
static unsigned wordsOf(Type type) { return bitsOf(type) > 32 ? 2 : 1; }

static Values toWords(KernelBuilder &k, Value v) {
  auto &b = k.b;
  Type i32 = b.getI32Type(), i64 = b.getI64Type();
  if (v.getType().isIndex())
    v = arith::IndexCastOp::create(b, i64, v);
  unsigned bits = bitsOf(v.getType());
  if (isa<FloatType>(v.getType()))
    v = arith::BitcastOp::create(b, b.getIntegerType(bits), v);
  if (bits < 32)
    return {arith::ExtUIOp::create(b, i32, v)};
  if (bits == 32)
    return {v};
  Value high = arith::ShRUIOp::create(b, v, k.constantInt(i64, 32));
  return {arith::TruncIOp::create(b, i32, v), arith::TruncIOp::create(b, i32, high)};
}

static Value fromWords(KernelBuilder &k, Type type, ValueRange words) {
  auto &b = k.b;
  Type i64 = b.getI64Type();
  unsigned bits = bitsOf(type);
  Value v = words[0];
  if (bits < 32)
    v = arith::TruncIOp::create(b, b.getIntegerType(bits), v);
  if (bits == 64) {
    Value high = arith::ShLIOp::create(b, arith::ExtUIOp::create(b, i64, words[1]), k.constantInt(i64, 32));
    v = arith::OrIOp::create(b, arith::ExtUIOp::create(b, i64, v), high);
  }
  if (type.isIndex())
    return arith::IndexCastOp::create(b, type, v);
  return isa<FloatType>(type) ? arith::BitcastOp::create(b, type, v).getResult() : v;
}

/// Values of the types of `like`, of words that `word` gives one by one.
static Values eachWord(KernelBuilder &k, ValueRange like, llvm::function_ref<Value(unsigned word)> word) {
  Values out;
  unsigned next = 0;
  for (Value v : like) {
    Values words;
    for (unsigned i = 0; i < wordsOf(v.getType()); ++i)
      words.push_back(word(next++));
    out.push_back(fromWords(k, v.getType(), words));
  }
  return out;
}

static Values allWords(KernelBuilder &k, ValueRange values) {
  Values words;
  for (Value v : values)
    llvm::append_range(words, toWords(k, v));
  return words;
}

Values foldLanes(KernelBuilder &k, ValueRange values, int64_t width, JoinValues join) {
  auto &b = k.b;
  Value lane = k.rem(tile::ThreadIdOp::create(b, b.getIndexType()), k.idx(32));
  Values mine(values);
  for (int64_t distance = 1; distance < width; distance *= 2) {
    Value partner = arith::XOrIOp::create(b, lane, k.idx(distance));
    Values words = allWords(k, mine);
    Values others = eachWord(k, mine, [&](unsigned w) -> Value { return tile::FromLaneOp::create(b, b.getI32Type(), words[w], partner); });
    mine = join(mine, others);
  }
  return mine;
}

BlockFold::BlockFold(KernelBuilder &k, Value thread, int64_t threads, TypeRange types) : warps(threads / 32), k(k) {
  warp = k.div(thread, k.idx(32));
  lane = k.rem(thread, k.idx(32));
  int64_t count = 0;
  for (Type type : types)
    count += wordsOf(type);
  auto type = tile::SharedType::get(k.b.getContext(), count, warps, k.b.getI32Type(), 0, 0, 1);
  words = tile::AllocOp::create(k.b, type, IntegerAttr());
}

std::function<Values(Value)> BlockFold::share(ValueRange mine) {
  bool once = isa_and_nonnull<tile::ProgramOp>(k.b.getInsertionBlock()->getParentOp()); // not in a loop
  if (used || !once)
    tile::BarrierOp::create(k.b); // what was shared before may still be read
  used = true;
  k.ifThen(k.compare(arith::CmpIPredicate::eq, lane, k.idx(0)), [&] {
    for (auto [i, word] : llvm::enumerate(allWords(k, mine)))
      tile::WriteOp::create(k.b, word, words, k.idx(i), warp);
  });
  tile::BarrierOp::create(k.b);
  return [this, like = Values(mine)](Value from) {
    return eachWord(k, like, [&](unsigned w) -> Value { return tile::ReadOp::create(k.b, k.b.getI32Type(), words, k.idx(w), from); });
  };
}

Values BlockFold::operator()(ValueRange mine, JoinValues join) {
  auto read = share(foldLanes(k, mine, 32, join));
  return foldLanes(k, read(k.rem(lane, k.idx(warps))), warps, join);
}

} // namespace leat::cuda
