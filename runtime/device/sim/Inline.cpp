// Expands calls of device functions in place. Registers, labels, local and shared arrays and parameters of the callee are renamed into the
// caller. Recursion is refused, as is growth without end.
#include "runtime/device/sim/Decoder.h"

namespace leat::sim {

using rt::Code;
using rt::printable;

static constexpr int deepestCall = 16;
static constexpr size_t mostInstructions = size_t(1) << 20;

namespace {

class Inliner {
public:
  Inliner(const Ast &ast, std::vector<std::unique_ptr<std::string>> &names) : ast(ast), names(names) {}

  rt::Status expand(Function &function, int depth) {
    for (size_t at = 0; at < function.code.size(); ++at) {
      const Instruction &call = function.code[at];
      if (call.parts[0] != "call" || call.operands[1].kind != Operand::Symbol)
        continue;
      const Function *declared = ast.find(call.operands[1].symbol);
      if (!declared || declared->isDeclaration)
        continue; // reported when it is executed
      if (depth >= deepestCall)
        return rt::error(Code::Unsupported, "PTX line %d: calls of '%s' are recursive or more than %d deep", call.line,
                         printable(std::string(declared->name)).c_str(), deepestCall);
      if (call.guard >= 0)
        return rt::error(Code::Unsupported, "PTX line %d: predicated calls are not supported", call.line);
      Function callee = *declared;
      LEAT_RETURN_IF_ERROR(expand(callee, depth + 1));
      if (function.code.size() + callee.code.size() > mostInstructions)
        return rt::error(Code::Unsupported, "PTX line %d: expanding calls makes the kernel too large", call.line);
      size_t length = callee.code.size();
      insert(function, at, callee);
      at += length;
      --at;
    }
    return {};
  }

private:
  std::string_view rename(const std::string &tag, std::string_view name) {
    names.push_back(std::make_unique<std::string>(tag + std::string(name)));
    return *names.back();
  }

  void insert(Function &caller, size_t at, Function &callee) {
    Instruction call = caller.code[at];
    std::string tag = "$" + std::to_string(++serial) + "$";
    int firstRegister = int(caller.registers.size()), firstLabel = int(caller.labels.size());
    caller.registers.insert(caller.registers.end(), callee.registers.begin(), callee.registers.end());

    std::map<std::string_view, Operand> renamed; // what stands for a name of the callee
    auto adopt = [&](std::vector<Variable> &from, std::vector<Variable> &to) {
      for (Variable v : from) {
        Operand symbol;
        symbol.kind = Operand::Symbol;
        symbol.symbol = rename(tag, v.name);
        renamed[v.name] = symbol;
        v.name = symbol.symbol;
        to.push_back(std::move(v));
      }
    };
    adopt(callee.locals, caller.locals);
    adopt(callee.shareds, caller.shareds);
    adopt(callee.callParameters, caller.callParameters);
    auto bind = [&](const std::vector<Variable> &formal, const Operand &actual) {
      for (size_t i = 0; i < formal.size() && i < actual.list.size(); ++i)
        renamed[formal[i].name] = actual.list[i];
    };
    bind(callee.parameters, call.operands[2]);
    bind(callee.results, call.operands[0]);

    std::map<std::string_view, std::string_view> tables;
    for (Instruction &i : callee.code)
      if (i.parts[0] == "$branchtargets") {
        std::string_view name = rename(tag, i.full);
        tables[i.full] = name;
        i.full = name;
      }

    auto fix = [&](auto &self, Operand &o) -> void {
      if (o.reg >= 0)
        o.reg += firstRegister;
      if (o.second >= 0)
        o.second += firstRegister;
      if (auto it = renamed.find(o.symbol); !o.symbol.empty() && it != renamed.end()) {
        if (it->second.kind == Operand::Symbol)
          o.symbol = it->second.symbol;
      } else if (auto table = tables.find(o.symbol); !o.symbol.empty() && table != tables.end()) {
        o.symbol = table->second;
      }
      for (Operand &member : o.list)
        self(self, member);
    };
    int end = firstLabel + int(callee.labels.size());
    for (Instruction &i : callee.code) {
      if (i.guard >= 0)
        i.guard += firstRegister;
      for (Operand &o : i.operands)
        fix(fix, o);
      for (int &label : i.labels)
        label += firstLabel;
      if (i.parts[0] == "ret") {
        i.parts = {"bra"};
        i.full = "bra";
        i.operands.clear();
        i.labels = {end};
      }
    }

    int growth = int(callee.code.size()) - 1, place = int(at);
    for (int &position : caller.labels)
      if (position > place)
        position += growth;
    for (int position : callee.labels)
      caller.labels.push_back(place + position);
    caller.labels.push_back(place + int(callee.code.size()));
    caller.code.erase(caller.code.begin() + place);
    caller.code.insert(caller.code.begin() + place, std::make_move_iterator(callee.code.begin()),
                       std::make_move_iterator(callee.code.end()));
  }

  const Ast &ast;
  std::vector<std::unique_ptr<std::string>> &names;
  int serial = 0;
};

} // namespace

rt::Status expandCalls(const Ast &ast, Function &function, std::vector<std::unique_ptr<std::string>> &names) {
  return Inliner(ast, names).expand(function, 0);
}

} // namespace leat::sim
