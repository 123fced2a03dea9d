// Verifiers of attention, merge and rotary embedding, and how a mask as a program is written.
#include "dialects/Leat/MaskSyntax.h"
#include "dialects/Leat/Verifiers.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

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

/// What an op of the region `visible` has to be; null if it is that.
static const char *whyNotInMask(Operation &op) {
  if (isa<arith::ConstantOp>(op))
    return op.getResult(0).getType().isIndex() || op.getResult(0).getType().isInteger(1) ? nullptr : "constants of type index or i1";
  if (auto compare = dyn_cast<arith::CmpIOp>(op)) {
    if (!compare.getLhs().getType().isIndex() || compare.getPredicate() >= arith::CmpIPredicate::ult)
      return "signed comparisons of indices";
    return nullptr;
  }
  if (isa<arith::SelectOp>(op))
    return op.getResult(0).getType().isIndex() || op.getResult(0).getType().isInteger(1) ? nullptr : "selects of indices or i1";
  if (isa<arith::AndIOp, arith::OrIOp, arith::XOrIOp>(op))
    return op.getResult(0).getType().isInteger(1) ? nullptr : "and, or and xor of i1";
  if (isa<arith::DivSIOp, arith::FloorDivSIOp, arith::RemSIOp>(op)) {
    APInt divisor;
    if (!op.getResult(0).getType().isIndex() || !matchPattern(op.getOperand(1), m_ConstantInt(&divisor)) || !divisor.isStrictlyPositive())
      return "divisions of indices by positive constants";
    return nullptr;
  }
  if (isa<arith::AddIOp, arith::SubIOp, arith::MulIOp, arith::MinSIOp, arith::MaxSIOp>(op))
    return op.getResult(0).getType().isIndex() ? nullptr : "arithmetic on indices";
  return "addi, subi, muli, divsi, floordivsi, remsi, minsi, maxsi, cmpi, andi, ori, xori, select and constants of arith";
}

static LogicalResult verifyVisible(KVAttendOp op) {
  if (op.getVisible().empty())
    return success();
  if (!op.getVisible().hasOneBlock())
    return op.emitOpError("needs a mask of one block, got ") << op.getVisible().getBlocks().size();
  Block &block = op.getVisible().front();
  if (block.getNumArguments() != 4 || !llvm::all_of(block.getArgumentTypes(), [](Type t) { return t.isIndex(); }))
    return op.emitOpError("needs a mask of (batch, head, query position, key position), each of type index, got (")
           << block.getArgumentTypes() << ")";
  auto yield = block.empty() ? YieldOp() : dyn_cast<YieldOp>(block.back());
  if (!yield || yield.getNumOperands() != 1 || !yield.getOperand(0).getType().isInteger(1))
    return op.emitOpError("needs a mask that yields one i1: whether the key is visible");
  for (Operation &inner : block.without_terminator()) {
    if (const char *known = whyNotInMask(inner))
      return op.emitOpError("knows in a mask ") << known << ", got " << inner.getName();
  }
  return success();
}

ParseResult parseVisibleRegion(OpAsmParser &parser, Region &region) {
  SmallVector<OpAsmParser::Argument> args;
  if (parser.parseArgumentList(args, OpAsmParser::Delimiter::Paren))
    return failure();
  for (auto &arg : args)
    arg.type = parser.getBuilder().getIndexType();
  return parser.parseRegion(region, args);
}

void printVisibleRegion(OpAsmPrinter &printer, KVAttendOp, Region &region) {
  printer << "(";
  llvm::interleaveComma(region.getArguments(), printer,
                        [&](BlockArgument arg) { printer.printRegionArgument(arg, {}, /*omitType=*/true); });
  printer << ") ";
  printer.printRegion(region, /*printEntryBlockArgs=*/false);
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
  bool bounded =
      getCausal() || static_cast<int64_t>(getWindowLeft()) >= 0 || static_cast<int64_t>(getWindowRight()) >= 0 || !getVisible().empty();
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
  return verifyVisible(*this);
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
