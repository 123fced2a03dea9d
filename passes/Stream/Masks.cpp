// What the bias of an attention hides, read with the analysis of IndexAnalysis.h.
#include "passes/Stream/IndexAnalysis.h"

using namespace mlir;

namespace leat::stream {

namespace {

/// A function of the distance as a mask: every piece is 0 or so low that softmax gives 0.
MaskClass maskOf(const Pieces &pieces) {
  // What lies beyond the last and before the first key of the sequence does not matter, nor does d > 0 if hidden.
  auto &p = pieces.pieces;
  for (auto &piece : p)
    if (piece.value != 0 && !(piece.value <= kHidden))
      return {};
  MaskClass result;
  if (p.size() == 1 && p[0].value == 0) {
    result.kind = MaskClass::None;
  } else if (p.size() == 2 && p[0].value == 0 && p[1].from == 1) {
    result.kind = MaskClass::Causal;
  } else if (p.size() == 3 && p[1].value == 0 && p[0].value != 0 && p[2].value != 0 && p[2].from == 1) {
    result.kind = MaskClass::Window;
    result.left = -p[1].from;
  }
  return result;
}

} // namespace

IndexAnalysis biasAnalysis(Value bias, const Linear &queries, const Linear &keys, bool withinTables) {
  Linear q = Linear::formal(2), k = Linear::formal(3);
  auto type = cast<RankedTensorType>(bias.getType());
  auto limit = [&](int64_t dim) { // of the batch and the heads
    int64_t axis = dim - 4 + type.getRank();
    return axis >= 0 ? IndexAnalysis({}, {}, withinTables).size(bias, axis) : Linear(1);
  };
  // d = k - (q + T - S)
  return IndexAnalysis(k - q - keys + queries, {limit(0), limit(1), queries, keys}, withinTables);
}

Formula biasFormula(IndexAnalysis &analysis, Value bias) {
  auto type = cast<RankedTensorType>(bias.getType());
  SmallVector<Linear> at;
  for (int64_t i = 0, r = type.getRank(); i < r; ++i) {
    int64_t dim = 4 - r + i;
    at.push_back(type.getDimSize(i) == 1 ? Linear(0) : Linear::formal(dim));
  }
  return analysis.element(bias, at);
}

MaskClass classifyMask(Value bias, const Linear &queries, const Linear &keys, bool withinTables) {
  IndexAnalysis analysis = biasAnalysis(bias, queries, keys, withinTables);
  Formula f = biasFormula(analysis, bias);
  return f.pieces ? maskOf(*f.pieces) : MaskClass();
}

MaskClass classifyMask(KVAttendOp op) {
  for (bool withinTables : {false, true}) {
    auto [queries, keys] = lengths(op, withinTables);
    MaskClass mask = classifyMask(op.getBias()[0], queries, keys, withinTables);
    if (mask.kind != MaskClass::Unknown)
      return mask;
  }
  return {};
}

BiasClass classifyBias(KVAttendOp op) {
  for (bool withinTables : {false, true}) {
    auto [queries, keys] = lengths(op, withinTables);
    IndexAnalysis analysis = biasAnalysis(op.getBias()[0], queries, keys, withinTables);
    analysis.setHead(1);
    Formula f = biasFormula(analysis, op.getBias()[0]);
    if (!f.slope && !f.pieces)
      continue;
    BiasClass result{maskOf(f.pieces.value_or(Pieces::constant(0))), f.slope};
    bool causal = op.getCausal() || result.mask.kind == MaskClass::Causal || result.mask.kind == MaskClass::Window;
    if (result.mask.kind == MaskClass::Unknown || (analysis.onlyBehind() && !causal))
      continue;
    return result;
  }
  return {};
}

std::pair<Linear, Linear> lengths(KVAttendOp op, bool withinTables) {
  auto axis = [](StringRef layout) { return layout == "bhsd" ? 2 : 1; };
  IndexAnalysis sizes({}, {}, withinTables);
  return {sizes.size(op.getQ()[0], axis(op.getQLayout())), sizes.size(op.getK()[0], axis(op.getKvLayout()))};
}

bool isCausal(KVAttendOp op) {
  if (op.getK().size() != 1 || op.getQPos() || !op.getKPos().empty())
    return false;
  if (op.getCausal() || op.getBias().empty())
    return op.getCausal();
  MaskClass mask = classifyMask(op);
  return mask.kind == MaskClass::Causal || mask.kind == MaskClass::Window;
}

} // namespace leat::stream
