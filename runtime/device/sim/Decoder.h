// A function of the tree to a Program. Each opcode has a method; what they share are ways to turn operands into slots. The first error is
// kept and ends the work; methods go on with harmless values after it.
#ifndef LEAT_RUNTIME_DEVICE_SIM_DECODER_H
#define LEAT_RUNTIME_DEVICE_SIM_DECODER_H

#include "runtime/core/Status.h"
#include "runtime/device/sim/LaneHandlers.h"
#include "runtime/device/sim/Program.h"

namespace leat::sim {

// Addresses of module variables.
using GlobalTable = std::map<std::string_view, std::pair<void *, u64>>;

rt::Result<std::unique_ptr<Program>> decodeKernel(const Ast &ast, const Function &kernel, const GlobalTable &globals);
// Sizes and offsets of the parameters; the same for the decoder and for those who ask about a kernel.
u32 layOutParameters(const Function &kernel, std::map<std::string_view, std::pair<u32, u32>> &offsets);
u32 staticSharedBytes(const Ast &ast, const Function &kernel);

class Decoder {
public:
  Decoder(const Ast &ast, const Function &source, const GlobalTable &globals);
  rt::Result<std::unique_ptr<Program>> run();

private:
  using Method = void (Decoder::*)();
  static const std::unordered_map<std::string_view, Method> &methods();

  // Layout (Decoder.cpp).
  void layOutRegisters();
  void layOutShared();
  void layOutLocal();
  void decodeAll();
  void decodeOne();
  void trackWgmmaRegisters();

  // Errors.
  void fail(const std::string &what);
  bool failed() const { return !failure.ok(); }

  // Operands (DecodeOperands.cpp).
  bool has(std::string_view modifier) const { return in->has(modifier); }
  std::string_view part(size_t fromEnd) const; // 0: the last
  size_t operandCount() const { return in->operands.size(); }
  const Operand &arg(size_t index);
  i64 integerArg(size_t index);
  static int widthOf(Type type); // bytes of a register of this type; 1: predicate
  int registerWidth(const Operand &o) const;
  u32 constant(int bytes, u64 value);
  u32 launchConstant(LaunchConstant::Kind kind, u64 value);
  u32 symbolAddress(const Operand &o, int bytes);
  u32 source(const Operand &o, int bytes);
  u32 destination(const Operand &o, int bytes);
  u32 secondDestination(const Operand &o);
  u32 predicateSource(const Operand &o, bool &negated);
  RegRef reference(const Operand &o, int bytes);
  std::vector<RegRef> references(const Operand &o, int bytes);
  Address address(const Operand &o, Space &space);
  Address sharedAddress(size_t index);
  Space spaceOf() const;
  Aux &aux();
  Round roundOf() const;
  void handler(const std::string &name);
  void elementwise(const std::string &name, std::initializer_list<int> widths); // d, then sources

  // Control (DecodeControl.cpp).
  void decodeBra();
  void decodeBrx();
  void decodeExit();
  void decodeTrap();
  void decodeCall();
  void decodeBar();
  void decodeFence();
  void decodeNothing();
  void decodeSetmaxnreg();
  void decodeShfl();
  void decodeVote();
  void decodeActivemask();
  void decodeMatch();
  void decodeRedux();
  void decodeElect();

  // Arithmetic (DecodeArithmetic.cpp).
  void decodeArithmetic();
  void decodeLogic();
  void decodeShift();
  void decodeBitField();
  void decodeBitInsert();
  void decodeBitCount();
  void decodeLop3();
  void decodePrmt();
  void decodeFunnel();
  void decodeMul();
  void decodeDot();
  void decodeCarry();
  void decodeCompare();
  void decodeSelp();
  void decodeSlct();
  void decodeCvt();
  void decodeMov();
  void decodeCvta();
  void decodeMapa();
  void decodeIsspacep();
  void decodeTestp();
  void decodeCreatepolicy();
  void arithmetic(const std::string &name, Type type);

  // Memory (DecodeMemory.cpp).
  void decodeLd();
  void decodeSt();
  void decodeAtom();
  void decodeLdmatrix();
  void decodeStmatrix();
  void decodeMovmatrix();
  void memoryOrder();

  // Asynchronous copies, barriers in memory and matrices (DecodeAsync.cpp).
  void decodeCp();
  void decodeCpBulk();
  void decodeMbarrier();
  void decodeWgmma();
  void decodeMma();
  MatrixShape matrixShape(std::string_view prefix, size_t types);

  const Ast &ast;
  std::unique_ptr<Function> function; // a copy with device calls expanded
  const GlobalTable &globals;
  std::unique_ptr<Program> program;
  rt::Status failure;
  const Instruction *in = nullptr;
  Op op;
  Aux *currentAux = nullptr;
  std::vector<u32> slots;
  u32 carrySlot = 0;
  std::map<std::tuple<int, int, u64>, u32> constants;
  std::map<std::string_view, u64> shared; // dynamicShared: laid out by the launch
  std::map<std::string_view, u64> local;
  std::map<std::string_view, u64> callParameters;
  static constexpr u64 dynamicShared = ~u64(0);
};

// Inline.cpp: replaces calls of device functions by their bodies.
rt::Status expandCalls(const Ast &ast, Function &function, std::vector<std::unique_ptr<std::string>> &names);

} // namespace leat::sim

#endif
