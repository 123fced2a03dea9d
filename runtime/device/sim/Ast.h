// PTX as it is written: instructions, operands, variables, functions. The parser makes it, the decoder reads it.
#ifndef LEAT_RUNTIME_DEVICE_SIM_AST_H
#define LEAT_RUNTIME_DEVICE_SIM_AST_H

#include "runtime/device/sim/Types.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace leat::sim {

// All string_views of the tree point into the module's text (or into string literals).
struct Operand {
  enum Kind : u8 { None, Register, Integer, Float32Bits, Float64Bits, Decimal, Symbol, Vector, Address, Sink };
  Kind kind = None;
  bool negated = false;      // !p or -x
  int reg = -1;              // Register; base of an Address
  int second = -1;           // the second destination in a|b
  i64 integer = 0;           // Integer, bits of a float, offset of an Address or a Symbol
  double decimal = 0;        // Decimal
  std::string_view symbol;   // Symbol, or an Address' base
  std::vector<Operand> list; // members of a Vector; further components of an Address: coordinates
};

struct Instruction {
  std::string_view full;               // as written: "ld.global.v4.f32"
  std::vector<std::string_view> parts; // split at the dots
  int guard = -1;                      // predicate register
  bool guardNegated = false;
  std::vector<Operand> operands;
  std::vector<int> labels; // targets of bra, or of a branch table: indices of Function::labels
  int line = 0;
  int location = -1; // index of Ast::locations
  bool has(std::string_view modifier) const {
    for (std::string_view part : parts)
      if (part == modifier)
        return true;
    return false;
  }
};

struct RegisterInfo {
  std::string_view name; // without the number of a range
  int number = -1;
  Type type = Type::None;
  bool special = false;
  std::string text() const { return std::string(name) + (number < 0 ? "" : std::to_string(number)); }
};

struct Variable {
  std::string_view name, space;
  Type type = Type::None;
  u32 alignment = 1;
  u64 bytes = 0;
  bool isExtern = false; // sized by the launch, or defined elsewhere
  int line = 0;
  std::vector<u8> initial;
  struct Relocation {
    u64 offset;
    std::string_view symbol;
    i64 addend;
  };
  std::vector<Relocation> relocations;
};

struct Function {
  std::string_view name;
  bool isKernel = false, isDeclaration = false;
  int line = 0;
  std::vector<Variable> parameters, results, locals, shareds, callParameters;
  std::vector<RegisterInfo> registers;
  std::vector<Instruction> code;
  std::vector<int> labels; // position in code
  u32 maximumBlock[3] = {0, 0, 0}, requiredBlock[3] = {0, 0, 0}, requiredCluster[3] = {0, 0, 0};
};

struct Location {
  int file, line, column;
};

struct Ast {
  std::string text;
  std::string_view target;
  std::vector<Variable> variables;
  std::vector<std::unique_ptr<Function>> functions;
  std::vector<Location> locations;
  std::map<int, std::string> files;
  Function *find(std::string_view name) const {
    for (const auto &function : functions)
      if (function->name == name)
        return function.get();
    return nullptr;
  }
};

} // namespace leat::sim

#endif
