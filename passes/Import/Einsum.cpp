// Einsum: sums over labels that no one else needs, then products two operands at a time, each one a transposed matrix product.
#include "passes/Import/Handlers.h"

#include "dialects/Leat/Leat.h"

using namespace mlir;

namespace leat::import {

namespace {
/// A tensor whose axes have labels: letters, and for the ellipsis negative numbers counted from its last axis (-1, -2, ...).
struct Term {
  Value v;
  SmallVector<int> labels;
  int64_t find(int label) const {
    auto it = llvm::find(labels, label);
    return it == labels.end() ? -1 : it - labels.begin();
  }
};
} // namespace

static SmallVector<int> parseLabels(StringRef text, int64_t ellipsisRank) {
  SmallVector<int> labels;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("...")) {
      for (int64_t k = ellipsisRank; k > 0; --k)
        labels.push_back(-k);
      i += 2;
    } else if (text[i] != ' ') {
      labels.push_back(text[i]);
    }
  }
  return labels;
}

/// A repeated label reads the diagonal.
static void takeDiagonals(GraphBuilder &b, Term &t) {
  SmallVector<int> unique;
  for (int l : t.labels)
    if (!llvm::is_contained(unique, l))
      unique.push_back(l);
  if (unique.size() == t.labels.size())
    return;
  Dims own = b.dims(t.v), result;
  SmallVector<int64_t> from;
  for (int l : unique)
    result.push_back(own[t.find(l)]);
  for (int l : t.labels)
    from.push_back(llvm::find(unique, l) - unique.begin());
  t.v = b.generate(result, GraphBuilder::elem(t.v), [&](OpBuilder &ob, Location l, ValueRange at) -> Value {
    return tensor::ExtractOp::create(ob, l, t.v, llvm::map_to_vector(from, [&](int64_t i) { return at[i]; }));
  });
  t.labels = unique;
}

static void sumAway(GraphBuilder &b, Term &t, llvm::function_ref<bool(int)> needed) {
  SmallVector<int64_t> axes;
  SmallVector<int> rest;
  for (auto [i, l] : llvm::enumerate(t.labels)) {
    if (needed(l))
      rest.push_back(l);
    else
      axes.push_back(i);
  }
  if (axes.empty())
    return;
  Type elem = GraphBuilder::elem(t.v);
  auto f = dyn_cast<FloatType>(elem);
  Type wide = f && f.getWidth() < 32 ? Type(b.ops.getF32Type()) : elem;
  Value sum = b.reduce(
      t.v, axes, false, b.attr(wide, static_cast<int64_t>(0)),
      [](OpBuilder &ob, Location l, ValueRange a) -> Value {
        if (isa<FloatType>(a[0].getType()))
          return arith::AddFOp::create(ob, l, a[0], a[1]);
        return arith::AddIOp::create(ob, l, a[0], a[1]);
      },
      [&](OpBuilder &ob, Location l, ValueRange a) { return convertScalar(ob, l, a[0], wide); });
  t.v = b.convert(sum, elem);
  t.labels = rest;
}

/// The term with its axes in the order of `labels`; labels it lacks get size 1.
static Value arrange(GraphBuilder &b, const Term &t, ArrayRef<int> labels) {
  SmallVector<int64_t> perm, missing;
  for (auto [i, l] : llvm::enumerate(labels)) {
    int64_t at = t.find(l);
    if (at < 0)
      missing.push_back(i);
    else
      perm.push_back(at);
  }
  return b.unsqueeze(b.transpose(t.v, perm), missing);
}

static Term multiply(GraphBuilder &b, const Term &x, const Term &y, llvm::function_ref<bool(int)> needed) {
  SmallVector<int> batch, left, right, inner;
  for (int l : x.labels) {
    if (y.find(l) < 0)
      left.push_back(l);
    else
      (needed(l) ? batch : inner).push_back(l);
  }
  for (int l : y.labels)
    if (x.find(l) < 0)
      right.push_back(l);
  Term r;
  r.labels = batch;
  r.labels.append(left);
  r.labels.append(right);
  if (inner.empty()) {
    Value xv = arrange(b, x, r.labels), yv = arrange(b, y, r.labels);
    r.v = b.elementwise({xv, yv}, GraphBuilder::elem(x.v), [](OpBuilder &ob, Location l, ValueRange a) -> Value {
      if (isa<FloatType>(a[0].getType()))
        return arith::MulFOp::create(ob, l, a[0], a[1]);
      return arith::MulIOp::create(ob, l, a[0], a[1]);
    });
    return r;
  }
  // Sizes: an axis that is 1 in one operand is spread first, so that both agree.
  auto size = [&](const Term &t, int l) { return b.dim(t.v, t.find(l)); };
  auto shared = [&](int l) {
    OpFoldResult dx = size(x, l), dy = size(y, l);
    return b.math.asConstant(dx) == 1 ? dy : dx;
  };
  Dims batchDims, leftDims, rightDims;
  OpFoldResult k = b.math.constant(1);
  for (int l : batch)
    batchDims.push_back(shared(l));
  for (int l : left)
    leftDims.push_back(size(x, l));
  for (int l : right)
    rightDims.push_back(size(y, l));
  for (int l : inner)
    k = b.math.mul(k, shared(l));
  auto spread = [&](const Term &t, ArrayRef<int> order) {
    Value v = arrange(b, t, order);
    Dims dims = b.dims(v);
    for (auto [i, l] : llvm::enumerate(order))
      if (x.find(l) >= 0 && y.find(l) >= 0)
        dims[i] = shared(l);
    return b.broadcastTo(v, dims);
  };
  SmallVector<int> xOrder(batch), yOrder(batch);
  xOrder.append(left);
  xOrder.append(inner);
  yOrder.append(inner);
  yOrder.append(right);
  auto matrix = [&](Value v, OpFoldResult rows, OpFoldResult columns) {
    Dims dims = batchDims;
    dims.push_back(rows);
    dims.push_back(columns);
    return b.reshape(v, dims);
  };
  OpFoldResult rows = b.math.product(leftDims), columns = b.math.product(rightDims);
  Value xm = matrix(spread(x, xOrder), rows, k), ym = matrix(spread(y, yOrder), k, columns);
  Dims out = batchDims;
  out.push_back(rows);
  out.push_back(columns);
  Type elem = GraphBuilder::elem(x.v);
  Type outElem = elem.isInteger(8) ? Type(b.ops.getI32Type()) : elem; // 8-bit products accumulate in i32
  Value product = b.withDims(b.create<MatmulOp>(b.typeOf(out, outElem), xm, ym, false, false), out);
  product = b.convert(product, elem);
  Dims opened = batchDims;
  opened.append(leftDims);
  opened.append(rightDims);
  r.v = b.reshape(product, opened);
  return r;
}

static LogicalResult einsum(OpContext &c) {
  GraphBuilder &b = c.b;
  std::string equation = c.text("equation");
  auto [lhs, rhs] = StringRef(equation).split("->");
  SmallVector<StringRef> parts;
  lhs.split(parts, ',');
  if (static_cast<int64_t>(parts.size()) != c.numOperands())
    return c.fail("its equation \"" + equation + "\" is for " + Twine(parts.size()) + " operands, not " + Twine(c.numOperands()));
  SmallVector<Term> terms;
  int64_t widest = 0;
  for (auto [i, part] : llvm::enumerate(parts)) {
    int64_t letters = llvm::count_if(part, [](char ch) { return isalpha(ch); });
    bool ellipsis = part.contains("...");
    int64_t extra = c.rank(i) - letters;
    if (extra < 0 || (extra > 0 && !ellipsis))
      return c.fail("its equation \"" + equation + "\" does not fit operand " + Twine(i) + " of rank " + Twine(c.rank(i)));
    widest = std::max(widest, ellipsis ? extra : 0);
    terms.push_back({c.operand(i), parseLabels(part, extra)});
  }
  SmallVector<int> result;
  if (StringRef(equation).contains("->")) {
    result = parseLabels(rhs, widest);
  } else {
    // Without an arrow: the ellipsis, then the letters that occur once, in alphabetical order.
    for (int64_t k = widest; k > 0; --k)
      result.push_back(-k);
    SmallVector<int> letters;
    for (int l = 'A'; l <= 'z'; ++l)
      if (llvm::count(lhs, static_cast<char>(l)) == 1 && isalpha(l))
        letters.push_back(l);
    result.append(letters);
  }
  for (int l : result)
    if (llvm::none_of(terms, [&](const Term &t) { return t.find(l) >= 0; }))
      return c.fail("its equation \"" + equation + "\" has an output label that no operand has");

  for (Term &t : terms)
    takeDiagonals(b, t);
  Term acc = terms[0];
  auto laterNeeds = [&](size_t from) {
    return [&, from](int l) {
      return llvm::is_contained(result, l) || llvm::any_of(llvm::drop_begin(terms, from), [&](const Term &t) { return t.find(l) >= 0; });
    };
  };
  sumAway(b, acc, laterNeeds(1));
  for (size_t i = 1; i < terms.size(); ++i) {
    auto after = laterNeeds(i + 1);
    Term next = terms[i];
    sumAway(b, next, [&](int l) { return after(l) || acc.find(l) >= 0; });
    sumAway(b, acc, [&](int l) { return after(l) || next.find(l) >= 0; });
    acc = multiply(b, acc, next, after);
  }
  sumAway(b, acc, laterNeeds(terms.size()));
  return c.done(arrange(b, acc, result));
}

void registerEinsum(HandlerTable &t) { t.add("", "Einsum", 12, einsum); }

} // namespace leat::import
