// See AttendClasses.h.
#include "passes/CUDA/AttendClasses.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace leat::cuda {

constexpr int64_t kLanes = 32;

static Value wordOf(KernelBuilder &k, int64_t bits) {
  uint32_t word = 0;
  for (int64_t i = 0; i < AttendClasses::kWord; ++i)
    word |= uint32_t(bits) << 8 * i;
  return k.constantInt(k.b.getI32Type(), static_cast<int32_t>(word));
}

// --- where classes lie

bool AttendClasses::heedsHeads() {
  return llvm::any_of(op.getBias(), [](Value bias) {
    auto shape = cast<RankedTensorType>(bias.getType()).getShape();
    return shape.size() >= 3 && shape[shape.size() - 3] != 1;
  });
}

bool AttendClasses::heedsBatch() {
  auto type = op.getQPos() ? cast<RankedTensorType>(op.getQPos().getType()) : RankedTensorType();
  return op.getKvLen() || (type && type.getRank() == 2 && type.getDimSize(0) != 1) || llvm::any_of(op.getBias(), [](Value bias) {
           auto shape = cast<RankedTensorType>(bias.getType()).getShape();
           return shape.size() == 4 && shape[0] != 1;
         });
}

Value AttendClasses::rowBytes() {
  Value sum = k.idx(0);
  for (unsigned s = 0; s < op.getK().size(); ++s)
    sum = k.add(sum, paddedBlocks(s));
  return sum;
}

Values AttendClasses::classifyGrid() {
  Value of = heedsHeads() ? owners() : heedsBatch() ? k.dim(op.getQ()[0], 0) : k.idx(1);
  return {k.mul(k.div(rowBytes(), k.idx(kWord)), tiles()), of, k.idx(1)};
}

Value AttendClasses::classBytes() {
  Values grid = classifyGrid();
  return k.mul(k.mul(grid[0], grid[1]), k.idx(kWord));
}

Value AttendClasses::classesOf(Value owner, Value number) {
  Value row = heedsHeads() ? owner : heedsBatch() ? batch : k.idx(0);
  return k.bytePtr(k.shared(), k.mul(k.add(k.mul(row, tiles()), number), rowBytes()));
}

// --- how they are found

void AttendClasses::classify() {
  Value x = tile::BlockIdOp::create(b, index, 0), row = tile::BlockIdOp::create(b, index, 1);
  Value words = k.div(rowBytes(), k.idx(kWord)), word = k.rem(x, words), number = k.div(x, words);
  // The first of the owners that have the same classes.
  Value owner = heedsHeads() ? row : k.mul(row, k.div(owners(), k.max(k.dim(op.getQ()[0], 0), k.idx(1))));
  chooseTile(owner, number);
  Value warp = k.div(tile::ThreadIdOp::create(b, index), k.idx(kLanes)), at = k.add(k.mul(word, k.idx(kWord)), warp);
  Value classes = classesOf(owner, number), begin = k.idx(0);
  for (unsigned s = 0; s < op.getK().size(); ++s) {
    Value end = k.add(begin, paddedBlocks(s));
    Value inside = arith::AndIOp::create(b, k.compare(arith::CmpIPredicate::sge, at, begin), k.compare(arith::CmpIPredicate::slt, at, end));
    k.ifThen(inside, [&] {
      Extent extent = extentOf(s);
      Value t0 = k.mul(k.sub(at, begin), k.idx(tileKeys));
      storeClasses(classesOf(s, extent, positionsOfRows(), t0, extent.to, 1), k.bytePtr(classes, at));
    });
    begin = end;
  }
}

void AttendClasses::storeClasses(ValueRange classes, Value at) {
  Value lane = k.rem(tile::ThreadIdOp::create(b, index), k.idx(kLanes));
  k.ifThen(k.compare(arith::CmpIPredicate::eq, lane, k.idx(0)), [&] {
    for (auto [i, value] : llvm::enumerate(classes))
      k.store(arith::TruncIOp::create(b, b.getI8Type(), value), at, b.getI8Type(), k.idx(i));
  });
}

Values AttendClasses::positionsOfRows() {
  if (op.getKPos().empty())
    return {};
  int32_t most = std::numeric_limits<int32_t>::max();
  Value lane = k.rem(tile::ThreadIdOp::create(b, index), k.idx(kLanes));
  Values seen{k.constantInt(i32, most), k.constantInt(i32, -1), k.constantInt(i32, 0), k.constantInt(i32, most)};
  auto join = [&](ValueRange x, Value low, Value high, Value allLow, Value allHigh) -> Values {
    return {arith::MinSIOp::create(b, x[0], low), arith::MaxSIOp::create(b, x[1], high), arith::MaxSIOp::create(b, x[2], allLow),
            arith::MinSIOp::create(b, x[3], allHigh)};
  };
  seen = k.forLoop(k.idx(0), rows, k.idx(kLanes), seen, [&](Value first, ValueRange carried) -> Values {
    auto [low, high] = rangeOf(bounded(k.add(first, lane)));
    return join(carried, low, high, low, high);
  });
  for (int64_t distance = kLanes / 2; distance; distance /= 2) {
    Value partner = arith::XOrIOp::create(b, lane, k.idx(distance));
    auto other = [&](Value x) -> Value { return tile::FromLaneOp::create(b, x, partner); };
    seen = join(seen, other(seen[0]), other(seen[1]), other(seen[2]), other(seen[3]));
  }
  return llvm::map_to_vector(seen, [&](Value x) { return toIndex(x); });
}

Values AttendClasses::classesOf(unsigned segment, const Extent &extent, ValueRange positions, Value t0, Value end, int64_t count) {
  Value lane = k.rem(tile::ThreadIdOp::create(b, index), k.idx(kLanes)), far = k.idx(std::numeric_limits<int32_t>::max());
  int64_t parts = llvm::divideCeil(tileKeys, kLanes);
  bool given = !op.getKPos().empty(), added = !op.getBias().empty();
  auto both = [&](Value x, Value y) -> Value { return arith::AndIOp::create(b, x, y); };
  auto either = [&](Value x, Value y) -> Value { return arith::OrIOp::create(b, x, y); };
  auto negated = [&](Value x) -> Value { return arith::XOrIOp::create(b, x, arith::ConstantIntOp::create(b, 1, 1)); };
  auto within = [&](Value x, Value low, Value high) {
    return both(k.compare(arith::CmpIPredicate::sge, x, low), k.compare(arith::CmpIPredicate::sle, x, high));
  };
  auto is = [&](arith::CmpFPredicate predicate, Value x, double y) -> Value {
    return arith::CmpFOp::create(b, predicate, x, k.constant(f32, y));
  };

  Value some = both(k.compare(arith::CmpIPredicate::slt, extent.from, end), k.compare(arith::CmpIPredicate::slt, t0, end));
  some = both(some, k.compare(arith::CmpIPredicate::sgt, k.add(t0, k.idx(count * tileKeys)), extent.from));
  return k.ifElse(
      some,
      [&]() -> Values {
        // Lanes hold keys, for each block and part of it: without a branch, so that all are asked for before the first is waited for.
        struct Key {
          Value exists, index, anySee, allSee, least, most;
        };
        SmallVector<Key> keys;
        Value last = k.sub(end, k.idx(1));
        for (int64_t block = 0; block < count; ++block)
          for (int64_t part = 0; part < parts; ++part) {
            Key key;
            key.index = k.add(k.add(t0, k.idx(block * tileKeys + part * kLanes)), lane);
            key.exists = within(key.index, extent.from, last);
            if (tileKeys % kLanes != 0 && part + 1 == parts)
              key.exists = both(key.exists, k.compare(arith::CmpIPredicate::slt, lane, k.idx(tileKeys % kLanes)));
            key.index = k.min(key.index, last);
            if (given) {
              Value position = k.min(toIndex(pullScalar(op.getKPos()[segment], {key.index})), far);
              key.anySee = within(position, positions[0], positions[1]);
              key.allSee = within(position, positions[2], positions[3]);
            } else {
              key.anySee = key.exists;
              key.allSee = within(key.index, extent.allLow, extent.allHigh);
            }
            keys.push_back(key);
          }
        if (added) {
          // Heads that share the bias have it in the same place: one row for each query.
          auto shape = cast<RankedTensorType>(op.getBias()[segment].getType()).getShape();
          bool perRow = shape.size() >= 2 && shape[shape.size() - 2] != 1, perHead = shape.size() >= 3 && shape[shape.size() - 3] != 1;
          Value step = perHead ? k.idx(1) : rowHeads, rowEnd = perRow || perHead ? k.sub(k.add(rows, step), k.idx(1)) : k.idx(1);
          Values inits;
          for (size_t i = 0; i < keys.size(); ++i)
            inits.append({k.constant(f32, kInfinity), k.constant(f32, -kInfinity)});
          auto extremes = k.forLoop(k.idx(0), rowEnd, step, inits, [&](Value r, ValueRange carried) -> Values {
            Values next;
            for (auto [i, key] : llvm::enumerate(keys)) {
              Value bias = pullBias(segment, bounded(r), key.index, 1);
              // NaN is seen, and neither 0 nor evident.
              next.push_back(arith::MinimumFOp::create(b, carried[2 * i], bias));
              next.push_back(arith::MaximumFOp::create(b, carried[2 * i + 1], bias));
            }
            return next;
          });
          for (auto [i, key] : llvm::enumerate(keys))
            key.least = extremes[2 * i], key.most = extremes[2 * i + 1];
        }

        Values classes;
        for (int64_t block = 0; block < count; ++block) {
          Value none = k.constant(f32, 0), sum = none;
          auto add = [&](Class bit, llvm::function_ref<Value(const Key &)> holds) {
            Value found = none;
            for (const Key &key : ArrayRef(keys).slice(block * parts, parts))
              found = arith::SelectOp::create(b, holds(key), k.constant(f32, bit), found);
            sum = arith::AddFOp::create(b, sum, tile::LanesOp::create(b, tile::Combine::Max, found, kLanes));
          };
          add(Seen, [&](const Key &key) {
            Value sees = both(key.exists, key.anySee);
            return added ? both(sees, is(arith::CmpFPredicate::UGT, key.most, kFaint)) : sees;
          });
          // Lanes without a key of the block say nothing here: a block that is not whole is known by its end.
          add(Masked, [&](const Key &key) { return both(key.exists, negated(key.allSee)); });
          if (added) {
            add(Biased, [&](const Key &key) {
              Value zero = both(is(arith::CmpFPredicate::OEQ, key.least, 0), is(arith::CmpFPredicate::OEQ, key.most, 0));
              return both(key.exists, negated(zero));
            });
            add(Faint, [&](const Key &key) {
              Value low = both(is(arith::CmpFPredicate::OLE, key.most, kFaint), is(arith::CmpFPredicate::OGT, key.most, -kInfinity));
              return both(both(key.exists, key.anySee), low);
            });
            add(Evident,
                [&](const Key &key) { return both(both(key.exists, key.allSee), is(arith::CmpFPredicate::OGT, key.least, kEvident)); });
          }
          Value value = arith::FPToSIOp::create(b, i32, sum);
          Value blockEnd = k.add(t0, k.idx((block + 1) * tileKeys));
          Value cut = k.compare(arith::CmpIPredicate::sgt, blockEnd, extent.to);
          classes.push_back(either(value, arith::SelectOp::create(b, cut, k.constantInt(i32, Masked), k.constantInt(i32, 0))));
        }
        return classes;
      },
      [&]() -> Values { return Values(count, k.constantInt(i32, 0)); });
}

// --- how they are walked

AttendClasses::Visits AttendClasses::visitsOf(Value at, Value end) {
  Value zero = k.constantInt(i32, 0);
  auto number = [&](Value bits) -> Value { return math::CtPopOp::create(b, bits); };
  auto with = [&](Value bits, int64_t bit) -> Value { return arith::AndIOp::create(b, bits, wordOf(k, bit)); };
  bool added = !op.getBias().empty();
  Values inits{zero};
  if (added)
    inits.append({zero, zero});
  Values found = k.forLoop(k.idx(0), end, k.idx(kWord), inits, [&](Value i, ValueRange carried) -> Values {
    Value bits = k.load(k.bytePtr(at, i), i32, k.idx(0), 1);
    Values next{arith::AddIOp::create(b, carried[0], number(with(bits, Seen)))};
    if (added) {
      next.push_back(arith::AddIOp::create(b, carried[1], number(with(bits, Faint & ~Seen))));
      next.push_back(arith::OrIOp::create(b, carried[2], with(bits, Evident)));
    }
    return next;
  });
  if (!added)
    return {at, end, wordOf(k, Seen), toIndex(found[0])};
  Value evident = k.compare(arith::CmpIPredicate::ne, found[2], zero);
  Value all = arith::AddIOp::create(b, found[0], found[1]);
  return {at, end, arith::SelectOp::create(b, evident, wordOf(k, Seen), wordOf(k, Seen | Faint)),
          toIndex(arith::SelectOp::create(b, evident, found[0], all))};
}

Value AttendClasses::find(const Visits &visits, Value block) {
  Value zero = k.constantInt(i32, 0), first = k.mul(k.div(block, k.idx(kWord)), k.idx(kWord));
  auto load = [&](Value i) { return k.load(k.bytePtr(visits.at, i), i32, k.idx(0), 1); };
  auto wanted = [&](Value bits) -> Value { return arith::AndIOp::create(b, bits, visits.wanted); };
  auto below = [&](Value i) { return k.compare(arith::CmpIPredicate::slt, i, visits.end); };
  auto loadBelow = [&](Value i) {
    return visits.end ? k.ifElse(below(i), [&]() -> Values { return {load(i)}; }, [&]() -> Values { return {zero}; })[0] : load(i);
  };
  // Without those in front of `block`.
  Value skipped = arith::IndexCastOp::create(b, i32, k.mul(k.sub(block, first), k.idx(8)));
  Value from = arith::ShLIOp::create(b, k.constantInt(i32, -1), skipped);
  Values at = k.whileLoop(
      {first, arith::AndIOp::create(b, loadBelow(first), from)},
      [&](ValueRange carried) -> Value {
        Value nothing = k.compare(arith::CmpIPredicate::eq, wanted(carried[1]), zero);
        return visits.end ? arith::AndIOp::create(b, nothing, below(carried[0])).getResult() : nothing;
      },
      [&](ValueRange carried) -> Values {
        Value next = k.add(carried[0], k.idx(kWord));
        return {next, loadBelow(next)};
      });
  // The first byte with a wanted bit. In a word of 0 there is none: its number is cut to be one of a byte.
  Value place = arith::MinUIOp::create(b, math::CountTrailingZerosOp::create(b, wanted(at[1])), k.constantInt(i32, 31));
  Value shift = arith::AndIOp::create(b, place, k.constantInt(i32, ~int64_t(7)));
  Value bits = arith::AndIOp::create(b, arith::ShRUIOp::create(b, at[1], shift), k.constantInt(i32, kClasses - 1));
  Value number = k.add(at[0], k.div(toIndex(shift), k.idx(8)));
  return k.add(k.mul(number, k.idx(kClasses)), toIndex(bits));
}

Value AttendClasses::isOf(Value found, Class bit) {
  return k.compare(arith::CmpIPredicate::ne, arith::AndIOp::create(b, found, k.idx(bit)), k.idx(0));
}

// --- what is done with a block

Value AttendClasses::biased(unsigned segment, Value logits, Value t0, Value count, Value found) {
  if (!transforms())
    return logits;
  auto with = [&](bool added) -> Values { return {transformLogits(segment, logits, t0, count, added)}; };
  if (op.getBias().empty())
    return with(false)[0];
  return k.ifElse(isOf(found, Biased), [&] { return with(true); }, [&] { return with(false); })[0];
}

Value AttendClasses::masked(Value partial, Value logits, ArrayRef<Value> ranges, Value t0, Value count,
                            llvm::function_ref<Value(Value)> position) {
  return k.ifElse(
      partial, [&]() -> Values { return {maskLogits(logits, ranges, t0, count, position)}; }, [&]() -> Values { return {logits}; })[0];
}

} // namespace leat::cuda
