// See EinsumToMatMul.h.
#include "passes/Import/EinsumToMatMul.h"

using namespace mlir;

namespace leat::import::raise {

bool einsumToMatMul(OpBuilder &builder, NodeOp root) {
  if (root.getOpType() != "Einsum" || !root.getDomain().empty() || root.getInputs().size() != 2)
    return false;
  std::string equation;
  for (char c : stringAttr(root, "equation", ""))
    if (c != ' ')
      equation += c;
  auto [inputs, out] = StringRef(equation).split("->");
  auto [first, second] = inputs.split(',');
  Value a = root.getInputs()[0], b = root.getInputs()[1], result = root->getResult(0);
  auto plain = [](StringRef labels) { return llvm::all_of(labels, [&](char c) { return llvm::isAlpha(c) && labels.count(c) == 1; }); };
  if (out.empty() || !plain(first) || !plain(second) || !plain(out) || rank(a) != int64_t(first.size()) ||
      rank(b) != int64_t(second.size()) || rank(result) != int64_t(out.size()) || elementType(a) != elementType(b) || !isFloat(a))
    return false;
  // The labels of rows, columns and the sum, and those that both have and that stay.
  std::string batch, row, column, sum;
  for (char c : out) {
    bool inFirst = first.contains(c), inSecond = second.contains(c);
    if (!inFirst && !inSecond)
      return false;
    (inFirst && inSecond ? batch : inFirst ? row : column) += c;
  }
  for (char c : first)
    if (!out.contains(c)) {
      if (!second.contains(c))
        return false;
      sum += c;
    }
  bool covered = llvm::all_of(second, [&](char c) { return out.contains(c) || first.contains(c); });
  if (!covered || row.size() != 1 || column.size() != 1 || sum.size() != 1 || batch.empty() || batch.size() > 2)
    return false;
  if (out.find(row[0]) > out.find(column[0])) { // the other way round it needs no transposition behind
    std::swap(a, b), std::swap(first, second), std::swap(row, column);
  }
  auto arranged = [&](Value v, StringRef from, const std::string &to) {
    SmallVector<int64_t> perm;
    for (char c : to)
      perm.push_back(from.find(c));
    return transposed(builder, root, v, perm);
  };
  Value x = arranged(a, first, batch + row + sum), y = arranged(b, second, batch + sum + column);
  std::string order = batch + row + column;
  SmallVector<int64_t> shape;
  for (char c : order)
    shape.push_back(dim(result, out.find(c)));
  Value product = make(builder, root, "MatMul", 13, {x, y}, {RankedTensorType::get(shape, elementType(result))})->getResult(0);
  root->getResult(0).replaceAllUsesWith(arranged(product, order, out.str()));
  return true;
}

} // namespace leat::import::raise
