// Layout of registers and memory, and the walk over the instructions.
#include "runtime/device/sim/Decoder.h"
#include "runtime/device/sim/Handlers.h"

#include <set>

namespace leat::sim {

using rt::Code;
using rt::formatText;
using rt::printable;

static constexpr size_t mostInstructions = size_t(1) << 20; // a Record holds 20 bits of pc
static constexpr u64 largestLocal = 512 << 10;              // bytes a thread
static u32 alignUp(u64 value, u32 alignment) { return u32((value + alignment - 1) / alignment * alignment); }

u32 layOutParameters(const Function &kernel, std::map<std::string_view, std::pair<u32, u32>> &offsets) {
  u64 end = 0;
  for (const Variable &v : kernel.parameters) {
    end = alignUp(end, std::max(v.alignment, 1u));
    offsets[v.name] = {u32(end), u32(v.bytes)};
    end = std::min<u64>(end + v.bytes, 1 << 20);
  }
  return u32(end);
}

// Calls f(variable, offset) for the shared variables with a size; returns the bytes.
template <class F> static u32 layOutSharedVariables(const Ast &ast, const Function &function, F f) {
  u64 end = sharedStart;
  auto place = [&](const Variable &v) {
    if (v.isExtern || v.bytes == 0) {
      f(v, ~u64(0));
      return;
    }
    end = alignUp(end, std::min(v.alignment, 1u << 16));
    f(v, end);
    end = std::min<u64>(end + v.bytes, 1 << 24);
  };
  for (const Variable &v : ast.variables)
    if (v.space == "shared")
      place(v);
  for (const Variable &v : function.shareds)
    place(v);
  return u32(end) - sharedStart;
}

u32 staticSharedBytes(const Ast &ast, const Function &kernel) {
  return layOutSharedVariables(ast, kernel, [](const Variable &, u64) {});
}

rt::Result<std::unique_ptr<Program>> decodeKernel(const Ast &ast, const Function &kernel, const GlobalTable &globals) {
  return Decoder(ast, kernel, globals).run();
}

Decoder::Decoder(const Ast &ast, const Function &source, const GlobalTable &globals)
    : ast(ast), function(std::make_unique<Function>(source)), globals(globals), program(std::make_unique<Program>()) {}

rt::Result<std::unique_ptr<Program>> Decoder::run() {
  program->ast = &ast;
  program->name = std::string(function->name);
  LEAT_RETURN_IF_ERROR(expandCalls(ast, *function, program->names));
  if (function->code.size() + function->labels.size() > mostInstructions - 2)
    return rt::error(Code::Unsupported, "kernel '%s' has %zu instructions; at most %zu are supported", program->name.c_str(),
                     function->code.size(), mostInstructions);
  layOutRegisters();
  program->parameterBytes = layOutParameters(*function, program->parameters);
  layOutShared();
  layOutLocal();
  if (!failed())
    decodeAll();
  if (!failed() && program->usesWgmma)
    trackWgmmaRegisters();
  if (failed())
    return std::move(failure);
  return std::move(program);
}

void Decoder::fail(const std::string &what) {
  if (!failure.ok())
    return;
  if (in)
    failure = rt::error(Code::Unsupported, "PTX line %d: '%s': %s", in->line, printable(in->full.data(), in->full.size(), 80).c_str(),
                        what.c_str());
  else
    failure = rt::error(Code::Unsupported, "kernel '%s': %s", program->name.c_str(), what.c_str());
}

int Decoder::widthOf(Type type) { return type == Type::Pred ? 1 : std::max(2, typeBytes(type)); }

static const std::map<std::string_view, Special> &specialNames() {
  static const std::map<std::string_view, Special> names = {
      {"%tid.x", Special::TidX},
      {"%tid.y", Special::TidY},
      {"%tid.z", Special::TidZ},
      {"%ntid.x", Special::NtidX},
      {"%ntid.y", Special::NtidY},
      {"%ntid.z", Special::NtidZ},
      {"%ctaid.x", Special::CtaidX},
      {"%ctaid.y", Special::CtaidY},
      {"%ctaid.z", Special::CtaidZ},
      {"%nctaid.x", Special::NctaidX},
      {"%nctaid.y", Special::NctaidY},
      {"%nctaid.z", Special::NctaidZ},
      {"%laneid", Special::Lane},
      {"%warpid", Special::Warp},
      {"%nwarpid", Special::Warps},
      {"%smid", Special::Smid},
      {"%nsmid", Special::Nsmid},
      {"%gridid", Special::Gridid},
      {"%lanemask_eq", Special::LanemaskEq},
      {"%lanemask_lt", Special::LanemaskLt},
      {"%lanemask_le", Special::LanemaskLe},
      {"%lanemask_gt", Special::LanemaskGt},
      {"%lanemask_ge", Special::LanemaskGe},
      {"%dynamic_smem_size", Special::DynamicShared},
      {"%total_smem_size", Special::TotalShared},
      {"%clusterid.x", Special::ClusterIdX},
      {"%clusterid.y", Special::ClusterIdY},
      {"%clusterid.z", Special::ClusterIdZ},
      {"%nclusterid.x", Special::NclusterIdX},
      {"%nclusterid.y", Special::NclusterIdY},
      {"%nclusterid.z", Special::NclusterIdZ},
      {"%cluster_ctaid.x", Special::ClusterCtaidX},
      {"%cluster_ctaid.y", Special::ClusterCtaidY},
      {"%cluster_ctaid.z", Special::ClusterCtaidZ},
      {"%cluster_nctaid.x", Special::ClusterNctaidX},
      {"%cluster_nctaid.y", Special::ClusterNctaidY},
      {"%cluster_nctaid.z", Special::ClusterNctaidZ},
      {"%cluster_ctarank", Special::ClusterCtarank},
      {"%cluster_nctarank", Special::ClusterNctarank},
      {"%clock", Special::Clock},
      {"%clock_hi", Special::Zero},
      {"%clock64", Special::Clock},
      {"%globaltimer", Special::Clock},
      {"%globaltimer_lo", Special::Clock},
      {"%globaltimer_hi", Special::Zero},
      {"%reserved_smem_offset_begin", Special::Zero},
  };
  return names;
}

// Data registers first, 32 lanes each; then predicates, 4 bytes each; then the carry flags.
void Decoder::layOutRegisters() {
  u32 end = 0;
  slots.resize(function->registers.size());
  for (size_t r = 0; r < slots.size(); ++r) {
    const RegisterInfo &info = function->registers[r];
    if (info.type == Type::Pred)
      continue;
    slots[r] = end;
    end += u32(widthOf(info.type)) * 32;
    if (!info.special)
      continue;
    auto it = specialNames().find(info.name);
    if (it == specialNames().end())
      return fail("there is no register '" + printable(std::string(info.name)) + "'");
    program->specials.push_back({it->second, slots[r]});
  }
  for (size_t r = 0; r < slots.size(); ++r)
    if (function->registers[r].type == Type::Pred) {
      slots[r] = end;
      end += 4;
    }
  carrySlot = end;
  program->registerBytes = alignUp(end + 4, 64);
}

void Decoder::layOutShared() {
  program->staticShared = layOutSharedVariables(ast, *function, [&](const Variable &v, u64 offset) {
    shared[v.name] = offset;
    if (offset == dynamicShared)
      program->dynamicAlignment = std::max(program->dynamicAlignment, v.alignment);
  });
}

// A thread's arrays, and the parameters of calls that were expanded.
void Decoder::layOutLocal() {
  u64 end = 0;
  auto place = [&](const Variable &v, std::map<std::string_view, u64> &into, u32 alignment) {
    end = alignUp(end, alignment);
    into[v.name] = end;
    end += v.bytes;
    if (end > largestLocal)
      fail("a thread's local memory is larger than 512 KiB");
    end = std::min(end, largestLocal);
  };
  for (const Variable &v : function->locals)
    place(v, local, std::max(v.alignment, 1u));
  for (const Variable &v : function->callParameters)
    place(v, callParameters, std::max(v.alignment, 8u));
  program->localBytes = alignUp(end, 16);
}

void Decoder::decodeAll() {
  const std::vector<Instruction> &code = function->code;
  std::vector<bool> leader(code.size() + 1);
  for (int position : function->labels)
    leader[position] = true;
  std::vector<int> position(code.size() + 2); // of an instruction in the program
  std::vector<Op> &out = program->code;
  int smallestShared = 4;
  for (size_t i = 0; i <= code.size(); ++i) {
    position[i] = int(out.size());
    if (leader[i]) {
      Op label;
      label.run = fallThrough;
      label.line = i < code.size() ? code[i].line : 0;
      out.push_back(label);
    }
    if (i == code.size())
      break;
    if (code[i].parts[0] == "$branchtargets")
      continue;
    in = &code[i];
    op = Op();
    op.line = in->line;
    op.location = in->location;
    currentAux = nullptr;
    if (in->guard >= 0) {
      op.guard = slots[in->guard];
      op.guardNegated = in->guardNegated;
    }
    decodeOne();
    if (failed())
      return;
    std::string_view name = in->parts[0];
    if ((name == "ld" || name == "st" || name == "atom" || name == "red") && (op.space == Space::Shared || op.space == Space::Generic) &&
        op.size)
      smallestShared = std::min<int>(smallestShared, op.size);
    op.aux = currentAux;
    out.push_back(op);
  }
  Op end;
  end.run = exitLanes;
  end.line = code.empty() ? function->line : code.back().line;
  out.push_back(end);
  for (size_t i = 0; i < out.size(); ++i) {
    out[i].index = u32(i);
    if (out[i].target >= 0)
      out[i].target = position[function->labels[out[i].target]];
  }
  for (Aux &aux : program->aux)
    for (int &target : aux.targets)
      target = position[function->labels[target]];
  program->granuleLog2 = smallestShared == 1 ? 0 : smallestShared == 2 ? 1 : 2;
  in = nullptr;
}

void Decoder::decodeOne() {
  auto it = methods().find(in->parts[0]);
  if (it == methods().end())
    return fail("this instruction is not known");
  (this->*it->second)();
  if (!failed() && !op.run)
    fail("this form is not supported");
}

// Which wgmma registers an ordinary instruction reads or writes: it is wrapped, so that touching one in flight is seen.
void Decoder::trackWgmmaRegisters() {
  std::map<u32, u16> tracked; // slot -> number
  auto number = [&](const RegRef &r) { return tracked.emplace(r.slot, u16(tracked.size())).first->second; };
  for (Op &o : program->code)
    if (o.run == wgmmaIssue) {
      Aux &x = const_cast<Aux &>(*o.aux);
      for (const RegRef &r : x.d)
        x.accumulators.push_back(number(r));
      for (const RegRef &r : x.a)
        x.fragments.push_back(number(r));
    }
  program->trackedRegisters = u32(tracked.size());
  if (tracked.empty())
    return;
  static const std::set<std::string_view> withoutResult = {"st",       "red", "bra",      "brx",      "bar",   "barrier",
                                                           "mbarrier", "cp",  "stmatrix", "prefetch", "fence", "membar"};
  size_t next = 0;
  for (const Instruction &instruction : function->code) {
    if (instruction.parts[0] == "$branchtargets")
      continue;
    while (program->code[next].run == fallThrough)
      ++next;
    Op &o = program->code[next++];
    if (instruction.parts[0] == "wgmma")
      continue;
    Tracking touched;
    bool hasResult = !withoutResult.count(instruction.parts[0]);
    auto visit = [&](auto &self, const Operand &operand, bool written) -> void {
      if (operand.reg >= 0 && function->registers[operand.reg].type != Type::Pred)
        if (auto it = tracked.find(slots[operand.reg]); it != tracked.end())
          (written && operand.kind == Operand::Register ? touched.writes : touched.reads).push_back(it->second);
      for (const Operand &member : operand.list)
        self(self, member, written);
    };
    for (size_t i = 0; i < instruction.operands.size(); ++i)
      visit(visit, instruction.operands[i], hasResult && i == 0);
    if (touched.reads.empty() && touched.writes.empty())
      continue;
    touched.inner = o.run;
    program->trackings.push_back(std::move(touched));
    o.tracking = &program->trackings.back();
    o.run = trackRegisters;
  }
}

} // namespace leat::sim
