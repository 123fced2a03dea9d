// Branches, barriers, fences, warp-wide operations, and the table of opcodes.
#include "runtime/device/sim/Decoder.h"
#include "runtime/device/sim/Handlers.h"

namespace leat::sim {

using rt::formatText;

const std::unordered_map<std::string_view, Decoder::Method> &Decoder::methods() {
  static const std::unordered_map<std::string_view, Method> table = {
      {"bra", &Decoder::decodeBra},
      {"brx", &Decoder::decodeBrx},
      {"ret", &Decoder::decodeExit},
      {"exit", &Decoder::decodeExit},
      {"trap", &Decoder::decodeTrap},
      {"call", &Decoder::decodeCall},
      {"bar", &Decoder::decodeBar},
      {"barrier", &Decoder::decodeBar},
      {"membar", &Decoder::decodeFence},
      {"fence", &Decoder::decodeFence},
      {"griddepcontrol", &Decoder::decodeNothing},
      {"nanosleep", &Decoder::decodeNothing},
      {"prefetch", &Decoder::decodeNothing},
      {"prefetchu", &Decoder::decodeNothing},
      {"applypriority", &Decoder::decodeNothing},
      {"discard", &Decoder::decodeNothing},
      {"pmevent", &Decoder::decodeNothing},
      {"brkpt", &Decoder::decodeNothing},
      {"setmaxnreg", &Decoder::decodeSetmaxnreg},
      {"shfl", &Decoder::decodeShfl},
      {"vote", &Decoder::decodeVote},
      {"activemask", &Decoder::decodeActivemask},
      {"match", &Decoder::decodeMatch},
      {"redux", &Decoder::decodeRedux},
      {"elect", &Decoder::decodeElect},
      {"add", &Decoder::decodeArithmetic},
      {"sub", &Decoder::decodeArithmetic},
      {"min", &Decoder::decodeArithmetic},
      {"max", &Decoder::decodeArithmetic},
      {"div", &Decoder::decodeArithmetic},
      {"rem", &Decoder::decodeArithmetic},
      {"abs", &Decoder::decodeArithmetic},
      {"neg", &Decoder::decodeArithmetic},
      {"fma", &Decoder::decodeArithmetic},
      {"sad", &Decoder::decodeArithmetic},
      {"sqrt", &Decoder::decodeArithmetic},
      {"rsqrt", &Decoder::decodeArithmetic},
      {"rcp", &Decoder::decodeArithmetic},
      {"ex2", &Decoder::decodeArithmetic},
      {"lg2", &Decoder::decodeArithmetic},
      {"sin", &Decoder::decodeArithmetic},
      {"cos", &Decoder::decodeArithmetic},
      {"tanh", &Decoder::decodeArithmetic},
      {"copysign", &Decoder::decodeArithmetic},
      {"mul", &Decoder::decodeMul},
      {"mad", &Decoder::decodeMul},
      {"mul24", &Decoder::decodeMul},
      {"mad24", &Decoder::decodeMul},
      {"addc", &Decoder::decodeCarry},
      {"subc", &Decoder::decodeCarry},
      {"madc", &Decoder::decodeCarry},
      {"dp4a", &Decoder::decodeDot},
      {"and", &Decoder::decodeLogic},
      {"or", &Decoder::decodeLogic},
      {"xor", &Decoder::decodeLogic},
      {"not", &Decoder::decodeLogic},
      {"cnot", &Decoder::decodeLogic},
      {"shl", &Decoder::decodeShift},
      {"shr", &Decoder::decodeShift},
      {"shf", &Decoder::decodeFunnel},
      {"bfe", &Decoder::decodeBitField},
      {"bmsk", &Decoder::decodeBitField},
      {"bfi", &Decoder::decodeBitInsert},
      {"popc", &Decoder::decodeBitCount},
      {"clz", &Decoder::decodeBitCount},
      {"brev", &Decoder::decodeBitCount},
      {"bfind", &Decoder::decodeBitCount},
      {"lop3", &Decoder::decodeLop3},
      {"prmt", &Decoder::decodePrmt},
      {"setp", &Decoder::decodeCompare},
      {"set", &Decoder::decodeCompare},
      {"selp", &Decoder::decodeSelp},
      {"slct", &Decoder::decodeSlct},
      {"testp", &Decoder::decodeTestp},
      {"cvt", &Decoder::decodeCvt},
      {"mov", &Decoder::decodeMov},
      {"cvta", &Decoder::decodeCvta},
      {"mapa", &Decoder::decodeMapa},
      {"getctarank", &Decoder::decodeMapa},
      {"isspacep", &Decoder::decodeIsspacep},
      {"createpolicy", &Decoder::decodeCreatepolicy},
      {"ld", &Decoder::decodeLd},
      {"ldu", &Decoder::decodeLd},
      {"st", &Decoder::decodeSt},
      {"atom", &Decoder::decodeAtom},
      {"red", &Decoder::decodeAtom},
      {"ldmatrix", &Decoder::decodeLdmatrix},
      {"stmatrix", &Decoder::decodeStmatrix},
      {"movmatrix", &Decoder::decodeMovmatrix},
      {"cp", &Decoder::decodeCp},
      {"mbarrier", &Decoder::decodeMbarrier},
      {"wgmma", &Decoder::decodeWgmma},
      {"mma", &Decoder::decodeMma},
  };
  return table;
}

void Decoder::decodeBra() {
  op.run = branch;
  if (in->labels.size() != 1)
    return fail("a label is needed");
  op.target = in->labels[0];
}

void Decoder::decodeBrx() {
  op.run = branchIndexed;
  op.a = source(arg(0), 4);
  for (const Instruction &table : function->code)
    if (table.parts[0] == "$branchtargets" && table.full == arg(1).symbol)
      aux().targets = table.labels;
  if (aux().targets.empty())
    fail("there is no such branch table");
}

void Decoder::decodeExit() { op.run = exitLanes; }
void Decoder::decodeTrap() { op.run = trap; }
void Decoder::decodeCall() { op.run = externalCall; }
void Decoder::decodeNothing() {
  op.run = noOperation;
  op.mode = in->parts[0] == "nanosleep"; // gives the others a turn
}
void Decoder::decodeActivemask() {
  op.run = activeMask;
  op.d = destination(arg(0), 4);
}

void Decoder::decodeSetmaxnreg() {
  i64 count = integerArg(0);
  if (count < 24 || count > 256 || count % 8)
    return fail("the register count has to be a multiple of 8 from 24 to 256");
  op.run = noOperation;
}

// mode: 0 sync, 1 arrive, 2 popc, 3 and, 4 or.
void Decoder::decodeBar() {
  if (has("warp")) {
    op.run = warpBarrier;
    op.a = source(arg(0), 4);
    return;
  }
  op.aligned = in->parts[0] == "bar" || has("aligned");
  if (has("cluster")) {
    op.run = has("arrive") ? clusterArrive : clusterWait;
    op.order = has("relaxed") ? 0 : orderRelease;
    return;
  }
  op.run = ctaBarrier;
  if (has("red")) {
    op.mode = has("popc") ? 2 : has("and") ? 3 : 4;
    op.d = destination(arg(0), op.mode == 2 ? 4 : 1);
    op.a = source(arg(1), 4);
    if (operandCount() == 4)
      op.b = source(arg(2), 4);
    op.c = predicateSource(arg(operandCount() - 1), op.negateA);
    return;
  }
  op.mode = has("arrive") ? 1 : 0;
  op.a = source(arg(0), 4);
  if (operandCount() > 1)
    op.b = source(arg(1), 4);
  else if (op.mode == 1)
    fail("arrive needs the number of threads");
}

void Decoder::decodeFence() {
  for (std::string_view modifier : in->parts)
    if (modifier.starts_with("async") || modifier == "mbarrier_init") { // the latter is for nothing but mbarriers
      op.run = proxyFence;
      return;
    }
  op.run = memoryFence;
  op.scope = has("cta") ? 0 : has("cluster") ? 1 : 2;
  op.order = has("acquire") ? orderAcquire : has("release") ? orderRelease : orderAcquire | orderRelease;
}

// d[|p], a, b, c[, membermask]
void Decoder::decodeShfl() {
  op.run = shuffle;
  op.mode = has("up") ? 0 : has("down") ? 1 : has("bfly") ? 2 : 3;
  op.d = destination(arg(0), 4);
  u32 second = secondDestination(arg(0));
  op.immediate = second == noSlot ? -1 : i64(second);
  op.a = source(arg(1), 4);
  op.b = source(arg(2), 4);
  op.c = source(arg(3), 4);
  op.e = operandCount() > 4 ? source(arg(4), 4) : constant(4, allLanes);
}

void Decoder::decodeVote() {
  op.run = vote;
  op.mode = has("all") ? 0 : has("any") ? 1 : has("uni") ? 2 : 3;
  op.d = destination(arg(0), op.mode == 3 ? 4 : 1);
  op.a = predicateSource(arg(1), op.negateA);
  op.e = operandCount() > 2 ? source(arg(2), 4) : constant(4, allLanes);
}

void Decoder::decodeMatch() {
  op.run = match;
  op.mode = has("all");
  op.width = u8(widthOf(typeFromName(part(0))));
  op.d = destination(arg(0), 4);
  u32 second = secondDestination(arg(0));
  op.immediate = second == noSlot ? -1 : i64(second);
  op.a = source(arg(1), op.width);
  op.e = source(arg(2), 4);
}

// mode: add, min, max (unsigned), min, max (signed), and, or, xor
void Decoder::decodeRedux() {
  op.run = reduce;
  bool isSignedType = part(0) == "s32";
  if (part(0) == "f32")
    return fail("redux of floats is not supported");
  op.mode = has("add") ? 0 : has("min") ? (isSignedType ? 3 : 1) : has("max") ? (isSignedType ? 4 : 2) : has("and") ? 5 : has("or") ? 6 : 7;
  op.d = destination(arg(0), 4);
  op.a = source(arg(1), 4);
  op.e = source(arg(2), 4);
}

void Decoder::decodeElect() {
  op.run = elect;
  const Operand &d = arg(0);
  if (d.kind == Operand::Register)
    op.d = destination(d, 4);
  u32 second = secondDestination(d);
  op.immediate = second == noSlot ? -1 : i64(second);
  op.e = source(arg(1), 4);
}

} // namespace leat::sim
