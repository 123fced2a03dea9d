// leat.conv: a product of filters [M / group][C / group * kernel] with panels of 64 output positions, whose columns are gathered from the
// input (zero where the window hangs over the edge). Plain: the input is gathered again for every block of 48 filters.
#include "passes/CPU/Generator.h"
#include "passes/CPU/Operands.h"
#include "passes/CPU/Products.h"

using namespace mlir;

namespace leat::cpu {

namespace {

constexpr int64_t kDepth = 512;

class ConvGenerator : public Generator {
public:
  explicit ConvGenerator(ConvOp op) : op(op), spatial(op.getStrides().size()) {
    acc = accumulatorType(cast<RankedTensorType>(op.getInput().getType()).getElementType());
  }

  Value tasks(KernelBuilder &k) override {
    Sizes z = sizes(k);
    return k.product({z.batch, k.idx(op.getGroup()), z.blocks, z.panels});
  }

  Value scratch(KernelBuilder &k) override {
    Sizes z = sizes(k);
    Value filters = traceFilters(k) ? k.idx(0) : k.mul(z.depth, k.idx(kBlockRows * accBytes()));
    return k.add(k.idx(filtersAt()), filters);
  }

  Cost cost(KernelBuilder &k) override {
    Sizes z = sizes(k);
    Value outputs = k.product({z.batch, k.idx(op.getGroup()), z.filters, z.positions});
    return {k.add(k.bytes(op.getInput()), k.add(k.bytes(op.getFilter()), k.bytes(op.getOutput()))),
            k.mul(outputs, k.mul(z.depth, k.idx(2)))};
  }

  void run(KernelBuilder &k, Value task) override {
    checkEpilogue(k, op.getOutput());
    Sizes z = sizes(k);
    Value block = k.rem(task, z.blocks), rest = k.div(task, z.blocks);
    Value panel = k.rem(rest, z.panels);
    rest = k.div(rest, z.panels);
    Value group = k.rem(rest, k.idx(op.getGroup())), batch = k.div(rest, k.idx(op.getGroup()));
    Value row0 = k.mul(block, k.idx(kBlockRows)), rows = k.min(k.sub(z.filters, row0), k.idx(kBlockRows));
    Value p0 = k.mul(panel, k.idx(kPanel)), pEnd = k.min(k.add(p0, k.idx(kPanel)), z.positions);
    Value filter0 = k.add(k.mul(group, z.filters), row0);

    auto [filters, filterType] = prepareFilters(k, z, filter0, rows);
    findWindows(k, z, p0, pEnd);
    Value columns = k.bytePtr(k.scratch(), k.idx(columnsAt()));
    k.forLoop(k.idx(0), k.max(z.depth, k.idx(1)), k.idx(kDepth), [&](Value k0) {
      Value kn = k.min(k.sub(z.depth, k0), k.idx(kDepth));
      gather(k, z, batch, group, k.sub(pEnd, p0), k0, kn, columns);
      Value again = arith::CmpIOp::create(k.b, arith::CmpIPredicate::ne, k0, k.idx(0));
      callProduct(k, {filterType, acc, acc}, k.elementPtr(filters, filterType, k0), z.depth, k.idx(1), columns, k.idx(kPanel), kn,
                  k.scratch(), again, rows);
    });
    k.forLoop(k.idx(0), rows, k.idx(1), [&](Value r) { epilogue(k, z, batch, k.add(filter0, r), k.mul(r, k.idx(kPanel)), p0, pEnd); });
  }

private:
  struct Sizes {
    Value batch, channels, filters, depth, positions, blocks, panels; ///< channels and filters of one group
    SmallVector<Value> in, kernel, out;
  };

  Sizes sizes(KernelBuilder &k) {
    Sizes z;
    z.batch = k.dim(op.getInput(), 0);
    z.channels = k.dim(op.getFilter(), 1);
    z.filters = k.div(k.dim(op.getFilter(), 0), k.idx(op.getGroup()));
    for (int64_t d = 0; d < spatial; ++d) {
      z.in.push_back(k.dim(op.getInput(), d + 2));
      z.kernel.push_back(k.dim(op.getFilter(), d + 2));
      z.out.push_back(k.dim(op.getOutput(), d + 2));
    }
    z.depth = k.mul(z.channels, k.product(z.kernel));
    z.positions = k.product(z.out);
    z.blocks = k.ceilDiv(z.filters, k.idx(kBlockRows));
    z.panels = k.ceilDiv(z.positions, k.idx(kPanel));
    return z;
  }

  // Scratch: sums, columns, first input coordinate of every window per spatial axis, filters.
  int64_t accBytes() { return acc.getIntOrFloatBitWidth() / 8; }
  int64_t columnsAt() { return kBlockRows * kPanel * accBytes(); }
  int64_t windowsAt() { return columnsAt() + kDepth * kPanel * accBytes(); }
  int64_t filtersAt() { return windowsAt() + spatial * kPanel * 8; }

  std::optional<Strided> traceFilters(KernelBuilder &k) {
    auto s = traceStrided(k, op.getFilter());
    return s && s->dense ? s : std::nullopt;
  }

  std::pair<Value, Type> prepareFilters(KernelBuilder &k, Sizes &z, Value filter0, Value rows) {
    Value first = k.mul(filter0, z.depth);
    if (auto s = traceFilters(k)) {
      Type type = productType(k, s->element);
      return {k.elementPtr(k.buffer(s->argument), type, first), type};
    }
    Value base = k.bytePtr(k.scratch(), k.idx(filtersAt()));
    k.forLoop(k.idx(0), k.mul(rows, z.depth), k.idx(1), [&](Value i) {
      Puller pull(k, 1);
      k.store(convertCarried(k, pull.pullLinear(op.getFilter(), pull.at(k.add(first, i))), acc), base, acc, i);
    });
    return {base, acc};
  }

  Value windowPtr(KernelBuilder &k, int64_t d) { return k.bytePtr(k.scratch(), k.idx(windowsAt() + d * kPanel * 8)); }

  void findWindows(KernelBuilder &k, Sizes &z, Value p0, Value pEnd) {
    Type i64 = k.b.getI64Type();
    k.forLoop(p0, pEnd, k.idx(1), [&](Value p) {
      SmallVector<Value> at = delinearize(k, p, z.out);
      for (int64_t d = 0; d < spatial; ++d) {
        Value first = k.sub(k.mul(at[d], k.idx(op.getStrides()[d])), k.idx(op.getPads()[d]));
        k.store(k.i64(first), windowPtr(k, d), i64, k.sub(p, p0));
      }
    });
  }

  /// columns[kk][j] = input element kk of the window of position j.
  void gather(KernelBuilder &k, Sizes &z, Value batch, Value group, Value count, Value k0, Value kn, Value columns) {
    Type i64 = k.b.getI64Type();
    SmallVector<Value> depthDims{z.channels};
    depthDims.append(z.kernel);
    k.forLoop(k.idx(0), kn, k.idx(1), [&](Value kk) {
      SmallVector<Value> tap = delinearize(k, k.add(k0, kk), depthDims);
      Value channel = k.add(k.mul(group, z.channels), tap[0]), row = k.mul(kk, k.idx(kPanel));
      k.forLoop(k.idx(0), count, k.idx(1), [&](Value j) {
        SmallVector<Value> at{batch, channel};
        Value inside = arith::ConstantIntOp::create(k.b, 1, 1);
        for (int64_t d = 0; d < spatial; ++d) {
          Value first = arith::IndexCastOp::create(k.b, k.b.getIndexType(), k.load(windowPtr(k, d), i64, j, 1));
          at.push_back(k.add(first, k.mul(tap[d + 1], k.idx(op.getDilations()[d]))));
          // Unsigned: a negative coordinate is large.
          Value within = arith::CmpIOp::create(k.b, arith::CmpIPredicate::ult, at.back(), z.in[d]);
          inside = arith::AndIOp::create(k.b, inside, within);
        }
        Value element = k.ifElse(
            inside,
            [&]() -> SmallVector<Value> {
              Puller pull(k, 1);
              return {convertCarried(k, pull.pull(op.getInput(), pull.at(at)), acc)};
            },
            [&]() -> SmallVector<Value> { return {arith::ConstantOp::create(k.b, k.b.getZeroAttr(acc))}; })[0];
        k.store(element, columns, acc, k.add(row, j));
      });
      k.forLoop(count, k.idx(kPanel), k.idx(1),
                [&](Value j) { k.store(arith::ConstantOp::create(k.b, k.b.getZeroAttr(acc)), columns, acc, k.add(row, j)); });
    });
  }

  /// Positions [p0, pEnd) of one filter, row of the output by row.
  void epilogue(KernelBuilder &k, Sizes &z, Value batch, Value filter, Value sumsAt, Value p0, Value pEnd) {
    Value width = z.out.back();
    if (op.getBias()) {
      Puller scalar(k, 1);
      Value bias = convertCarried(k, scalar.pull(op.getBias(), scalar.at(ValueRange{filter})), acc);
      Type vector = KernelBuilder::vectorOf(acc, k.target.lanes());
      Value all = k.splat(bias, k.target.lanes());
      k.forLoop(k.idx(0), k.idx(kPanel), k.idx(k.target.lanes()), [&](Value j) {
        Value at = k.add(sumsAt, j), sum = k.load(k.scratch(), acc, at, k.target.lanes());
        Value total = isa<FloatType>(acc) ? arith::AddFOp::create(k.b, vector, sum, all).getResult()
                                          : arith::AddIOp::create(k.b, vector, sum, all).getResult();
        k.store(total, k.scratch(), acc, at);
      });
    }
    SmallVector<Value> outer(z.out.begin(), z.out.end() - 1);
    k.forLoop(k.div(p0, width), k.ceilDiv(pEnd, width), k.idx(1), [&](Value line) {
      Value start = k.mul(line, width), from = k.max(p0, start), to = k.min(pEnd, k.add(start, width));
      SmallVector<Value> at{batch, filter};
      if (!outer.empty())
        at.append(delinearize(k, line, outer));
      emitRow(k, op.getOutput(), at, k.sub(from, start), k.sub(to, start), k.scratch(), k.add(sumsAt, k.sub(from, p0)), acc);
    });
  }

  ConvOp op;
  int64_t spatial;
  Type acc;
};

} // namespace

std::unique_ptr<Generator> createConvGenerator(ConvOp op) { return std::make_unique<ConvGenerator>(op); }

} // namespace leat::cpu
