// Asynchronous copies, mbarriers, tensor copies, and the tensor core instructions.
#include "runtime/device/sim/Decoder.h"
#include "runtime/device/sim/Handlers.h"

#include <cstdlib>

namespace leat::sim {

using rt::formatText;

// cp.async: aux.address[0] destination, [1] source; aux.a: the number of bytes to read, if given. size: bytes.
void Decoder::decodeCp() {
  if (has("bulk"))
    return decodeCpBulk();
  if (!has("async"))
    return fail("this form is not supported");
  if (has("commit_group")) {
    op.run = copyCommit;
  } else if (has("wait_group")) {
    op.run = copyWait;
    op.immediate = integerArg(0);
  } else if (has("wait_all")) {
    op.run = copyWait;
    op.mode = 1;
  } else if (has("mbarrier")) {
    op.run = copyArrive;
    op.mode = has("noinc");
    op.address = sharedAddress(0);
  } else {
    op.run = copyAsync;
    Aux &x = aux();
    x.address[0] = sharedAddress(0);
    Space global = Space::Global;
    x.address[1] = address(arg(1), global);
    i64 bytes = integerArg(2);
    if (bytes != 4 && bytes != 8 && bytes != 16)
      return fail("4, 8 or 16 bytes are copied");
    op.size = u8(bytes);
    bool hint = false;
    for (std::string_view modifier : in->parts)
      hint |= modifier == "L2::cache_hint";
    size_t expected = hint ? 4 : 3;
    if (operandCount() > expected) {
      const Operand &extra = arg(3);
      if (registerWidth(extra) == 1)
        return fail("the ignore-src predicate is not supported");
      x.a = {reference(extra, 4)};
    }
  }
}

// Loads: address[0] shared, [1] global or tensor map, [2] mbarrier; a: coordinates, or the size; b: the CTA mask of a multicast.
// Stores: address[0] shared, [1] global or tensor map. mode: 1 linear, 2 reduction (add).
void Decoder::decodeCpBulk() {
  if (has("prefetch")) {
    op.run = noOperation;
    return;
  }
  if (has("commit_group")) {
    op.run = bulkCommit;
    return;
  }
  if (has("wait_group")) {
    op.run = bulkWait;
    op.mode = has("read");
    op.immediate = integerArg(0);
    return;
  }
  bool tensor = has("tensor"), load = false, multicast = false;
  for (std::string_view modifier : in->parts) {
    load |= modifier.starts_with("mbarrier::");
    multicast |= modifier.starts_with("multicast");
    if (modifier.starts_with("im2col") || modifier.starts_with("tile::"))
      return fail("the mode ." + std::string(modifier) + " is not supported");
  }
  op.mode = (tensor ? 0 : 1) | (has("reduce") ? 2 : 0);
  Aux &x = aux();
  auto coordinates = [&](const Operand &o) {
    if (o.list.empty() || o.list[0].kind != Operand::Vector || o.list.size() > 1)
      return fail("coordinates in braces are needed");
    x.a = references(o.list[0], 4);
    if (x.a.empty() || x.a.size() > 5)
      return fail("one to five coordinates are needed");
    for (const RegRef &r : x.a)
      if (r.width != 4)
        return fail("coordinates have 32 bits");
  };
  auto generic = [&](size_t index) {
    Space space = Space::Generic;
    return address(arg(index), space);
  };
  if (load) {
    if (in->parts.size() > 3 && part(0) != "" && !has("global"))
      return fail("copies between shared memories are not supported");
    op.run = bulkLoad;
    x.address[0] = sharedAddress(0);
    x.address[1] = generic(1);
    size_t next = 2;
    if (tensor)
      coordinates(arg(1));
    else
      x.a = {reference(arg(next++), 4)};
    x.address[2] = sharedAddress(next++);
    if (multicast)
      x.b = {reference(arg(next), 2)};
    if (multicast && x.b[0].width != 2)
      fail("the mask of CTAs has 16 bits");
    return;
  }
  if (has("reduce")) {
    if (!has("add"))
      return fail("only reductions by .add are supported");
    x.from = Type::None;
    for (std::string_view modifier : in->parts)
      if (Type type = typeFromName(modifier); type != Type::None)
        x.from = type;
    if (!tensor && x.from == Type::None)
      return fail("a type is needed");
  }
  op.run = bulkStore;
  x.address[1] = generic(0);
  x.address[0] = sharedAddress(1);
  if (tensor)
    coordinates(arg(0));
  else
    x.a = {reference(arg(2), 4)};
  if (!tensor && x.a[0].width != 4)
    fail("the size has 32 bits");
}

// init, inval: address, a = count. arrive and its kin: mode 1 arrive, 2 expect_tx, 4 complete_tx, 8 drop; a = count or bytes, d = state.
// Waits: mode 1 parity, 2 may suspend; a = parity or state, d = predicate.
void Decoder::decodeMbarrier() {
  if (has("init") || has("inval")) {
    op.run = has("init") ? mbarrierInit : mbarrierInvalidate;
    op.address = sharedAddress(0);
    if (has("init"))
      op.a = source(arg(1), 4);
    return;
  }
  if (has("test_wait") || has("try_wait")) {
    op.run = mbarrierWait;
    op.mode = (has("parity") ? 1 : 0) | (has("try_wait") ? 2 : 0);
    op.d = destination(arg(0), 1);
    op.address = sharedAddress(1);
    op.a = source(arg(2), has("parity") ? 4 : 8);
    return;
  }
  bool arrives = has("arrive") || has("arrive_drop");
  if (!arrives && !has("expect_tx") && !has("complete_tx"))
    return fail("this form is not supported");
  if (has("noComplete"))
    return fail("arrivals that must not complete are not supported");
  op.run = mbarrierArrive;
  op.mode = (arrives ? 1 : 0) | (has("expect_tx") ? 2 : 0) | (has("complete_tx") ? 4 : 0) | (has("arrive_drop") ? 8 : 0);
  size_t next = 0;
  if (arg(0).kind != Operand::Address) {
    if (arg(0).kind == Operand::Register)
      op.d = destination(arg(0), 8);
    next = 1;
  }
  op.address = sharedAddress(next);
  if (operandCount() > next + 1)
    op.a = source(arg(next + 1), 4);
  else if (op.mode & 6)
    fail("the number of bytes is needed");
}

// "m16n8k16", and the types at the end of the opcode in the order d, a, b, c (or d, a, b).
MatrixShape Decoder::matrixShape(std::string_view prefix, size_t types) {
  MatrixShape shape;
  for (std::string_view modifier : in->parts) {
    size_t k = modifier.find('k');
    if (!modifier.starts_with(prefix) || k == std::string_view::npos)
      continue;
    shape.n = std::atoi(std::string(modifier.substr(prefix.size(), k - prefix.size())).c_str());
    shape.k = std::atoi(std::string(modifier.substr(k + 1)).c_str());
  }
  if (shape.n == 0 || shape.k == 0)
    fail("this shape is not supported");
  shape.d = typeFromName(part(types - 1));
  shape.a = typeFromName(part(types - 2));
  shape.b = typeFromName(part(types - 3));
  shape.c = types > 3 ? typeFromName(part(0)) : shape.d;
  return shape;
}

static int bytesOf(Type type) { return type == Type::TF32 ? 4 : (type == Type::F16 || type == Type::BF16) ? 2 : 1; }
static bool isMatrixType(Type type) {
  return type == Type::TF32 || type == Type::F16 || type == Type::BF16 || type == Type::E4M3 || type == Type::E5M2 || isInteger8(type);
}
// Signed bytes meet unsigned ones and floats of 8 bits each other; all other types meet only themselves.
static bool canMultiply(Type a, Type b) {
  return isMatrixType(a) && isMatrixType(b) && (a == b || (bytesOf(a) == 1 && bytesOf(b) == 1 && isInteger8(a) == isInteger8(b)));
}

// aux: d, a, b, c fragments.
void Decoder::decodeMma() {
  if (has("sp") || has("sp::ordered_metadata"))
    return fail("sparse matrices are not supported");
  MatrixShape shape = matrixShape("m16n", 4);
  if (failed())
    return;
  bool integer = isInteger8(shape.a);
  if (shape.n != 8 || !canMultiply(shape.a, shape.b) || (has("satfinite") && !integer) || !has("row") || !has("col"))
    return fail("this shape or type is not supported");
  Type sum = integer ? Type::S32 : Type::F32;
  auto isSum = [&](Type t) { return t == sum || (!integer && t == Type::F16); };
  int rowBytes = shape.k * bytesOf(shape.a); // of one row of A: 16 or 32 bytes
  if (!isSum(shape.c) || !isSum(shape.d) || (rowBytes != 16 && rowBytes != 32))
    return fail("this shape or type is not supported");
  op.run = mma;
  Aux &x = aux();
  x.matrix = shape;
  x.saturate = has("satfinite");
  x.d = references(arg(0), 4);
  x.a = references(arg(1), 4);
  x.b = references(arg(2), 4);
  x.c = references(arg(3), 4);
  size_t factor = size_t(rowBytes) / 16;
  if (x.a.size() != 2 * factor || x.b.size() != factor || x.c.size() != (shape.c == Type::F16 ? 2u : 4u) ||
      x.d.size() != (shape.d == Type::F16 ? 2u : 4u))
    return fail("the number of registers does not fit the shape");
  for (const auto *list : {&x.d, &x.a, &x.b, &x.c})
    for (const RegRef &r : *list)
      if (r.width != 4)
        return fail("the registers have 32 bits");
}

// aux: d accumulators, a fragments (or address none), c[0] = descriptor A, c[1] = descriptor B, c[2] = scale-d predicate.
void Decoder::decodeWgmma() {
  program->usesWgmma = true;
  op.aligned = true;
  if (has("fence") || has("commit_group")) {
    op.run = has("fence") ? wgmmaFence : wgmmaCommit;
    return;
  }
  if (has("wait_group")) {
    op.run = wgmmaWait;
    op.immediate = integerArg(0);
    return;
  }
  if (has("sp"))
    return fail("sparse matrices are not supported");
  MatrixShape shape = matrixShape("m64n", 3);
  if (failed())
    return;
  bool integer = isInteger8(shape.a);
  bool sums =
      integer ? shape.d == Type::S32 : shape.d == Type::F32 || (shape.d == Type::F16 && bytesOf(shape.a) <= 2 && shape.a != Type::BF16);
  bool columns = shape.n >= 8 && shape.n <= 256 && shape.n % (integer && shape.n > 32 ? 16 : 8) == 0;
  if (!columns || !canMultiply(shape.a, shape.b) || shape.k * bytesOf(shape.a) != 32 || !sums || (has("satfinite") && !integer))
    return fail("this shape or type is not supported");
  op.run = wgmmaIssue;
  Aux &x = aux();
  x.d = references(arg(0), 4);
  if (int(x.d.size()) != shape.n / (shape.d == Type::F16 ? 4 : 2))
    return fail("the number of accumulators does not fit the shape");
  for (const RegRef &r : x.d)
    if (r.width != 4)
      return fail("the accumulators have 32 bits");
  shape.registersA = arg(1).kind == Operand::Vector;
  RegRef none;
  if (shape.registersA) {
    x.a = references(arg(1), 4);
    if (x.a.size() != 4)
      return fail("A has four registers");
    for (const RegRef &r : x.a)
      if (r.width != 4)
        return fail("the registers of A have 32 bits");
  }
  x.c = {shape.registersA ? none : RegRef{source(arg(1), 8), 8}, RegRef{source(arg(2), 8), 8}, none};
  if (arg(3).kind == Operand::Integer)
    shape.scaleD = arg(3).integer != 0;
  else
    x.c[2] = {predicateSource(arg(3), op.negateA), 1};
  if (operandCount() > 4 && !integer) {
    shape.scaleA = int(integerArg(4));
    shape.scaleB = int(integerArg(5));
    if (shape.registersA)
      shape.transposeB = operandCount() > 6 && integerArg(6);
    else if (operandCount() > 6) {
      shape.transposeA = integerArg(6);
      shape.transposeB = integerArg(7);
    }
  }
  if ((shape.transposeA || shape.transposeB) && bytesOf(shape.a) != 2)
    return fail("only 16-bit operands can be transposed");
  x.saturate = has("satfinite");
  x.matrix = shape;
}

} // namespace leat::sim
