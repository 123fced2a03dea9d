// Verifiers of attention, merge and rotary embedding.
#include "dialects/Leat/Verifiers.h"

using namespace mlir;

namespace leat {

LogicalResult RotaryOp::verify() {
  auto x = rankedType(getInput());
  if (x.getRank() != 4)
    return emitOpError("needs an input [B, H, S, D], got ") << x;
  int64_t d = x.getDimSize(3), r = getRotaryDim();
  if (r <= 0 || r % 2 || (!ShapedType::isDynamic(d) && r > d))
    return emitOpError("needs an even rotary_dim in (0, ") << d << "], got " << r;
  for (Value v : {getCos(), getSin()}) {
    auto t = rankedType(v);
    if (t.getRank() != 3 || !mayBeEqual(t.getDimSize(2), r / 2))
      return emitOpError("needs cos and sin [B, S, ") << r / 2 << "], got " << t;
  }
  if (rankedType(getOutput()).getShape() != x.getShape())
    return emitOpError("needs a result of the operand's shape");
  return success();
}

LogicalResult KVAttendOp::verify() {
  size_t n = getK().size();
  if (n == 0)
    return emitOpError("needs at least one segment");
  if (getQ().size() != n || getV().size() != n)
    return emitOpError("needs one q, k and v per segment, got ") << getQ().size() << ", " << n << ", " << getV().size();
  if (!getKPos().empty() && getKPos().size() != n)
    return emitOpError("needs k_pos for none or all of ") << n << " segments, got " << getKPos().size();
  if (!getBias().empty() && getBias().size() != n)
    return emitOpError("needs bias for none or all of ") << n << " segments, got " << getBias().size();
  bool bounded = getCausal() || static_cast<int64_t>(getWindowLeft()) >= 0 || static_cast<int64_t>(getWindowRight()) >= 0;
  if (n > 1 && getKPos().empty() && bounded)
    return emitOpError("needs k_pos to mask by position over several segments");
  for (StringRef layout : {getQLayout(), getKvLayout(), getOLayout()})
    if (layout != "bhsd" && layout != "bshd")
      return emitOpError("knows the layouts bhsd and bshd, got ") << layout;
  unsigned qh = getQLayout() == "bhsd" ? 1 : 2, kh = getKvLayout() == "bhsd" ? 1 : 2;
  for (size_t a = 0; a < n; ++a) {
    auto q = rankedType(getQ()[a]), k = rankedType(getK()[a]), v = rankedType(getV()[a]);
    if (q.getRank() != 4 || k.getRank() != 4 || v.getRank() != 4)
      return emitOpError("needs q, k and v of rank 4, segment ") << a << " has " << q << ", " << k << ", " << v;
    if (!mayBeEqual(q.getDimSize(3), k.getDimSize(3)))
      return emitOpError("has queries of head size ") << q.getDimSize(3) << " and keys of head size " << k.getDimSize(3);
    int64_t hq = q.getDimSize(qh), hk = k.getDimSize(kh);
    if (!ShapedType::isDynamic(hq) && !ShapedType::isDynamic(hk) && (hk == 0 || hq % hk))
      return emitOpError("needs a multiple of ") << hk << " query heads, got " << hq;
    if (!mayBeEqual(k.getDimSize(3 - kh), v.getDimSize(3 - kh)))
      return emitOpError("has ") << k.getDimSize(3 - kh) << " keys and " << v.getDimSize(3 - kh) << " values in segment " << a;
  }
  if (getSoftcap().isNegative())
    return emitOpError("needs a softcap >= 0");
  return success();
}

LogicalResult AttnMergeOp::verify() {
  if (getValues().empty() || getValues().size() != getLses().size())
    return emitOpError("needs one lse per value and at least one of each");
  for (auto [v, l] : llvm::zip(getValues(), getLses()))
    if (rankedType(v).getRank() != rankedType(l).getRank() + 1)
      return emitOpError("needs an lse of one rank less than its value, got ") << v.getType() << " and " << l.getType();
  return success();
}

} // namespace leat
