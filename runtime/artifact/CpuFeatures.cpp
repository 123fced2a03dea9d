// CPUID for x86-64, with the operating system's part (XCR0) for the vector state.
#include "runtime/artifact/CpuFeatures.h"

#include <string_view>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace leat::rt {

#if defined(__x86_64__)
namespace {

enum Register { A, B, C, D };
enum SavedState : uint64_t { None = 0, Avx = 0x6, Avx512 = 0xe6, Amx = 0x60000 };
struct Bit {
  std::string_view name;
  uint32_t leaf, subleaf;
  Register reg;
  int bit;
  SavedState needs = None;
};

constexpr uint32_t ext1 = 0x80000001, ext8 = 0x80000008;
constexpr Bit bits[] = {
    {"cmov", 1, 0, D, 15},
    {"mmx", 1, 0, D, 23},
    {"fxsr", 1, 0, D, 24},
    {"sse", 1, 0, D, 25},
    {"sse2", 1, 0, D, 26},
    {"cx8", 1, 0, D, 8},
    {"sse3", 1, 0, C, 0},
    {"pclmul", 1, 0, C, 1},
    {"ssse3", 1, 0, C, 9},
    {"fma", 1, 0, C, 12, Avx},
    {"cx16", 1, 0, C, 13},
    {"sse4.1", 1, 0, C, 19},
    {"sse4.2", 1, 0, C, 20},
    {"crc32", 1, 0, C, 20},
    {"movbe", 1, 0, C, 22},
    {"popcnt", 1, 0, C, 23},
    {"aes", 1, 0, C, 25},
    {"xsave", 1, 0, C, 27},
    {"avx", 1, 0, C, 28, Avx},
    {"f16c", 1, 0, C, 29, Avx},
    {"rdrnd", 1, 0, C, 30},
    {"fsgsbase", 7, 0, B, 0},
    {"sgx", 7, 0, B, 2},
    {"bmi", 7, 0, B, 3},
    {"avx2", 7, 0, B, 5, Avx},
    {"bmi2", 7, 0, B, 8},
    {"invpcid", 7, 0, B, 10},
    {"rtm", 7, 0, B, 11},
    {"avx512f", 7, 0, B, 16, Avx512},
    {"avx512dq", 7, 0, B, 17, Avx512},
    {"rdseed", 7, 0, B, 18},
    {"adx", 7, 0, B, 19},
    {"avx512ifma", 7, 0, B, 21, Avx512},
    {"clflushopt", 7, 0, B, 23},
    {"clwb", 7, 0, B, 24},
    {"avx512cd", 7, 0, B, 28, Avx512},
    {"sha", 7, 0, B, 29},
    {"avx512bw", 7, 0, B, 30, Avx512},
    {"avx512vl", 7, 0, B, 31, Avx512},
    {"avx512vbmi", 7, 0, C, 1, Avx512},
    {"pku", 7, 0, C, 4},
    {"waitpkg", 7, 0, C, 5},
    {"avx512vbmi2", 7, 0, C, 6, Avx512},
    {"shstk", 7, 0, C, 7},
    {"gfni", 7, 0, C, 8},
    {"vaes", 7, 0, C, 9, Avx},
    {"vpclmulqdq", 7, 0, C, 10, Avx},
    {"avx512vnni", 7, 0, C, 11, Avx512},
    {"avx512bitalg", 7, 0, C, 12, Avx512},
    {"avx512vpopcntdq", 7, 0, C, 14, Avx512},
    {"rdpid", 7, 0, C, 22},
    {"kl", 7, 0, C, 23},
    {"cldemote", 7, 0, C, 25},
    {"movdiri", 7, 0, C, 27},
    {"movdir64b", 7, 0, C, 28},
    {"enqcmd", 7, 0, C, 29},
    {"uintr", 7, 0, D, 5},
    {"avx512vp2intersect", 7, 0, D, 8, Avx512},
    {"serialize", 7, 0, D, 14},
    {"tsxldtrk", 7, 0, D, 16},
    {"pconfig", 7, 0, D, 18},
    {"amx-bf16", 7, 0, D, 22, Amx},
    {"avx512fp16", 7, 0, D, 23, Avx512},
    {"amx-tile", 7, 0, D, 24, Amx},
    {"amx-int8", 7, 0, D, 25, Amx},
    {"avxvnni", 7, 1, A, 4, Avx},
    {"avx512bf16", 7, 1, A, 5, Avx512},
    {"cmpccxadd", 7, 1, A, 7},
    {"amx-fp16", 7, 1, A, 21, Amx},
    {"hreset", 7, 1, A, 22},
    {"avxifma", 7, 1, A, 23, Avx},
    {"avxvnniint8", 7, 1, D, 4, Avx},
    {"avxneconvert", 7, 1, D, 5, Avx},
    {"avxvnniint16", 7, 1, D, 10, Avx},
    {"prefetchi", 7, 1, D, 14},
    {"xsaveopt", 13, 1, A, 0},
    {"xsavec", 13, 1, A, 1},
    {"xsaves", 13, 1, A, 3},
    {"sahf", ext1, 0, C, 0},
    {"lzcnt", ext1, 0, C, 5},
    {"sse4a", ext1, 0, C, 6},
    {"prfchw", ext1, 0, C, 8},
    {"xop", ext1, 0, C, 11, Avx},
    {"lwp", ext1, 0, C, 15},
    {"fma4", ext1, 0, C, 16, Avx},
    {"tbm", ext1, 0, C, 21},
    {"mwaitx", ext1, 0, C, 29},
    {"64bit", ext1, 0, D, 29},
    {"clzero", ext8, 0, B, 0},
    {"rdpru", ext8, 0, B, 4},
    {"wbnoinvd", ext8, 0, B, 9},
};

uint64_t savedStates() {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 27))) // OSXSAVE
    return 0;
  asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  return uint64_t(d) << 32 | a;
}

bool has(const Bit &bit, uint64_t saved) {
  uint32_t regs[4];
  if (!__get_cpuid_count(bit.leaf, bit.subleaf, &regs[A], &regs[B], &regs[C], &regs[D]))
    return false;
  return (regs[bit.reg] >> bit.bit & 1) && (saved & bit.needs) == bit.needs;
}

} // namespace

Status checkCpuFeatures(std::span<const std::string> features) {
  uint64_t saved = savedStates();
  for (const std::string &feature : features) {
    std::string_view name = feature;
    if (name.empty() || name[0] == '-')
      continue;
    if (name[0] == '+')
      name.remove_prefix(1);
    // EVEX-512 says that 512-bit registers may be used: what AVX512F means on every CPU that has it so far.
    if (name == "evex512")
      name = "avx512f";
    const Bit *found = nullptr;
    for (const Bit &bit : bits)
      if (bit.name == name)
        found = &bit;
    if (!found)
      return error(
          Code::Unsupported,
          "the artifact needs the CPU feature '%s', which this runtime does not know: recompile with leat compile for this machine",
          printable(feature).c_str());
    if (!has(*found, saved))
      return error(Code::Unsupported,
                   "the artifact needs the CPU feature '%s', which this machine lacks: recompile with leat compile --target-cpu=native "
                   "here, or --target-cpu=x86-64",
                   printable(feature).c_str());
  }
  return {};
}
#else
Status checkCpuFeatures(std::span<const std::string> features) {
  for (const std::string &feature : features)
    if (!feature.empty() && feature[0] != '-' && feature != "neon" && feature != "+neon" && feature != "fp-armv8" && feature != "+fp-armv8")
      return error(Code::Unsupported,
                   "the artifact needs the CPU feature '%s', which this machine is not known to have: recompile with leat compile here",
                   printable(feature).c_str());
  return {};
}
#endif

} // namespace leat::rt
