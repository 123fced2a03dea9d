// A kernel ready to run: one Op an instruction, its operands resolved to slots. A slot is a byte offset into the warp's register file,
// or, when odd, into the pool of constants; either way 32 lanes lie there side by side, so handlers see nothing but arrays.
#ifndef LEAT_RUNTIME_DEVICE_SIM_PROGRAM_H
#define LEAT_RUNTIME_DEVICE_SIM_PROGRAM_H

#include "runtime/device/sim/Ast.h"
#include "runtime/device/sim/Simulator.h"

#include <deque>

namespace leat::sim {

struct Warp;
struct Op;

// What the scheduler does after an instruction.
enum class Flow { Next, Leader, Jump, Block, Exit, Abort };
using Handler = Flow (*)(Warp &warp, const Op &op, u32 mask);

enum class Space : u8 { Generic, Global, Shared, Local, Param, Const };

inline constexpr u32 noSlot = ~0u;
inline constexpr u32 allLanes = ~0u;
// Generic addresses carry their window in the top byte; global addresses are host addresses and have none.
inline constexpr u64 sharedWindow = u64(1) << 56, localWindow = u64(2) << 56;
inline constexpr u32 sharedStart = 0x400;   // shared addresses start here, as on hardware
inline constexpr u32 clusterRankShift = 24; // an address of another CTA of the cluster: (rank + 1) << 24 | offset

struct RegRef {
  u32 slot = noSlot;
  u8 width = 0; // bytes a lane; 1: predicate (one bit a lane); 0: no register
};

// slot + offset; without a slot the offset is the address.
struct Address {
  u32 slot = noSlot;
  u8 width = 8;
  i64 offset = 0;
};

enum class Round : u8 { Nearest, Zero, Down, Up, IntNearest, IntZero, IntDown, IntUp };

struct MatrixShape {
  int n = 0, k = 0;
  Type a = Type::None, b = Type::None, c = Type::None, d = Type::None;
  bool transposeA = false, transposeB = false; // wgmma: MN-major
  int scaleA = 1, scaleB = 1;
  int scaleD = -1; // immediate; -1: a predicate
  bool registersA = false;
};

// What does not fit into an Op.
struct Aux {
  std::vector<RegRef> d, a, b, c;
  Address address[3];
  MatrixShape matrix;
  Type from = Type::None, to = Type::None; // cvt
  Round round = Round::Nearest;
  bool saturate = false, flush = false, relu = false;
  Handler inner = nullptr; // what a rounding, saturating or tracking handler wraps
  std::vector<int> targets;
  std::vector<u16> accumulators, fragments; // wgmma: tracked registers
};

struct Op {
  Handler run = nullptr;
  u32 d = noSlot, a = noSlot, b = noSlot, c = noSlot, e = noSlot;
  u32 guard = noSlot;
  bool guardNegated = false, negateA = false, negateB = false;
  Space space = Space::Generic;
  u8 size = 0, count = 1; // bytes of an element, elements
  bool signExtend = false;
  u8 mode = 0; // of the handler: which variant
  u8 width = 0;
  bool aligned = false; // all lanes of the warp take part
  bool relaxed = false; // an access that may race: volatile, relaxed, acquire, release, atomic
  u8 order = 0;         // orderAcquire | orderRelease
  u8 scope = 0;         // 0: CTA, 1: cluster, 2: device and system
  Address address;
  i64 immediate = 0;
  const Aux *aux = nullptr;
  const struct Tracking *tracking = nullptr;
  int target = -1;
  int line = 0, location = -1;
  u32 index = 0;
};

inline constexpr u8 orderAcquire = 1, orderRelease = 2;

// Registers of wgmma that an ordinary instruction touches (kept apart so that wrapping leaves Aux alone).
struct Tracking {
  std::vector<u16> reads, writes;
  Handler inner;
};

enum class Special : u8 {
  TidX,
  TidY,
  TidZ,
  NtidX,
  NtidY,
  NtidZ,
  CtaidX,
  CtaidY,
  CtaidZ,
  NctaidX,
  NctaidY,
  NctaidZ,
  Lane,
  Warp,
  Warps,
  Smid,
  Nsmid,
  Gridid,
  LanemaskEq,
  LanemaskLt,
  LanemaskLe,
  LanemaskGt,
  LanemaskGe,
  DynamicShared,
  TotalShared,
  ClusterIdX,
  ClusterIdY,
  ClusterIdZ,
  NclusterIdX,
  NclusterIdY,
  NclusterIdZ,
  ClusterCtaidX,
  ClusterCtaidY,
  ClusterCtaidZ,
  ClusterNctaidX,
  ClusterNctaidY,
  ClusterNctaidZ,
  ClusterCtarank,
  ClusterNctarank,
  Clock,
  Zero,
};

// A constant that depends on the launch: its place in the pool, and what is added to it.
struct LaunchConstant {
  enum Kind : u8 { DynamicShared32, DynamicShared64, Parameters } kind;
  u32 offset;
};

struct Program {
  const Ast *ast = nullptr;
  std::string name;
  std::vector<Op> code;
  std::deque<Aux> aux;
  std::deque<Tracking> trackings;
  std::vector<u8> constants;
  std::vector<LaunchConstant> launchConstants;
  u32 registerBytes = 0;
  std::vector<std::pair<Special, u32>> specials;              // value, slot
  std::map<std::string_view, std::pair<u32, u32>> parameters; // offset, bytes
  u32 parameterBytes = 0;
  u32 staticShared = 0, dynamicAlignment = 16;
  u32 localBytes = 0;  // a lane
  int granuleLog2 = 2; // of the shared shadow: the smallest shared access
  u32 trackedRegisters = 0;
  bool usesWgmma = false;
  std::vector<std::unique_ptr<std::string>> names; // made where calls were expanded
};

} // namespace leat::sim

#endif
