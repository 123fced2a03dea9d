// Loads, stores, atomics and the matrix moves of shared memory.
#include "runtime/device/sim/Decoder.h"
#include "runtime/device/sim/Handlers.h"

namespace leat::sim {

using rt::printable;

// Strong accesses: they do not race, and with acquire or release they order others.
void Decoder::memoryOrder() {
  op.relaxed = has("volatile") || has("relaxed") || has("acquire") || has("release") || has("acq_rel") || has("mmio");
  op.order = (has("acquire") || has("acq_rel") ? orderAcquire : 0) | (has("release") || has("acq_rel") ? orderRelease : 0);
  op.scope = has("cta") ? 0 : has("cluster") ? 1 : 2;
}

void Decoder::decodeLd() {
  Type type = typeFromName(part(0));
  if (type == Type::None || type == Type::Pred)
    return fail("a type is needed");
  op.space = spaceOf();
  op.size = u8(typeBytes(type));
  op.signExtend = isSigned(type);
  auto results = references(arg(0), 0);
  if (results.empty() || results.size() > 8 || op.size * results.size() > 32)
    return fail("a vector of this size cannot be loaded");
  for (const RegRef &r : results)
    if (r.width == 1 || (r.width && r.width < op.size))
      return fail("a destination is narrower than the type");
  op.count = u8(results.size());
  aux().d = std::move(results);
  memoryOrder();
  const Operand &from = arg(1);
  if (op.space == Space::Param) {
    if (from.reg < 0) {
      if (auto it = program->parameters.find(from.symbol); it != program->parameters.end()) {
        u64 end = u64(from.integer) + op.size * op.count;
        if (from.integer < 0 || end > it->second.second)
          return fail("the load leaves the parameter '" + printable(std::string(from.symbol)) + "'");
        op.run = loadParameter;
        op.immediate = it->second.first + from.integer;
        return;
      }
      if (auto it = callParameters.find(from.symbol); it != callParameters.end()) {
        op.run = load;
        op.space = Space::Local;
        op.address = {noSlot, 8, i64(it->second) + from.integer};
        return;
      }
      return fail("there is no parameter '" + printable(std::string(from.symbol)) + "'");
    }
    op.space = Space::Global; // the address of a parameter is a generic one
  }
  op.run = load;
  op.address = address(from, op.space);
}

void Decoder::decodeSt() {
  if (has("async") || has("bulk"))
    return fail("asynchronous stores are not supported");
  Type type = typeFromName(part(0));
  if (type == Type::None || type == Type::Pred)
    return fail("a type is needed");
  op.space = spaceOf();
  op.size = u8(typeBytes(type));
  auto values = references(arg(1), std::max<int>(op.size, 2));
  if (values.empty() || values.size() > 8 || op.size * values.size() > 32)
    return fail("a vector of this size cannot be stored");
  for (const RegRef &r : values)
    if (r.width < op.size || r.width == 1)
      return fail("a source is narrower than the type");
  op.count = u8(values.size());
  aux().a = std::move(values);
  memoryOrder();
  op.run = store;
  const Operand &to = arg(0);
  if (op.space == Space::Param) {
    auto it = callParameters.find(to.symbol);
    if (it == callParameters.end()) { // the result of a kernel or of a function that is not called
      op.run = noOperation;
      return;
    }
    op.space = Space::Local;
    op.address = {noSlot, 8, i64(it->second) + to.integer};
    return;
  }
  op.address = address(to, op.space);
}

// mode: add, min, max, and, or, xor, exch, cas, inc, dec
void Decoder::decodeAtom() {
  static constexpr std::string_view operations[] = {"add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec"};
  if (has("async"))
    return fail("asynchronous reductions are not supported");
  int found = -1;
  for (int i = 0; i < 10; ++i)
    if (has(operations[i]))
      found = i;
  Type type = typeFromName(part(0));
  if (found < 0 || type == Type::None || typeBytes(type) > 8)
    return fail("this form is not supported");
  op.run = atomic;
  op.mode = u8(found);
  op.space = spaceOf();
  op.size = u8(typeBytes(type));
  memoryOrder();
  op.relaxed = true;
  Aux &x = aux();
  x.from = type;
  bool returns = in->parts[0] == "atom";
  if (returns && arg(0).kind != Operand::Sink)
    x.d = references(arg(0), 0);
  size_t next = returns ? 1 : 0;
  op.address = address(arg(next), op.space);
  int width = std::max<int>(op.size, 2);
  x.a = references(arg(next + 1), width);
  if (found == 7)
    x.b = references(arg(next + 2), width);
  op.count = u8(x.a.size());
  if (x.a.empty() || x.a.size() > 8 || (!x.d.empty() && x.d.size() != x.a.size()))
    return fail("a vector of this size is not supported");
  for (const auto *list : {&x.d, &x.a, &x.b})
    for (const RegRef &r : *list)
      if (r.width == 1 || (r.width && r.width < op.size) || (!r.width && list != &x.d))
        return fail("an operand has the wrong width");
}

void Decoder::decodeLdmatrix() {
  if (!has("m8n8") || !has("b16"))
    return fail("only m8n8.b16 is supported");
  op.run = loadMatrix;
  op.mode = has("trans");
  aux().d = references(arg(0), 4);
  op.space = Space::Shared;
  op.address = sharedAddress(1);
  op.count = u8(aux().d.size());
  for (const RegRef &r : aux().d)
    if (r.width != 4)
      return fail("the results have to be 32-bit registers");
  if (op.count != 1 && op.count != 2 && op.count != 4)
    fail("one, two or four matrices are loaded");
}

void Decoder::decodeStmatrix() {
  if (!has("m8n8") || !has("b16"))
    return fail("only m8n8.b16 is supported");
  op.run = storeMatrix;
  op.mode = has("trans");
  aux().a = references(arg(1), 4);
  op.space = Space::Shared;
  op.address = sharedAddress(0);
  op.count = u8(aux().a.size());
  for (const RegRef &r : aux().a)
    if (r.width != 4)
      return fail("the sources have to be 32-bit registers");
  if (op.count != 1 && op.count != 2 && op.count != 4)
    fail("one, two or four matrices are stored");
}

void Decoder::decodeMovmatrix() {
  op.run = transposeMatrix;
  op.d = destination(arg(0), 4);
  op.a = source(arg(1), 4);
}

} // namespace leat::sim
