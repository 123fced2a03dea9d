// Masks as programs, as text and as C++: of batch b, head h, query position i and key position j.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace leat::test {

struct MaskCase {
  const char *name;
  /// From %b, %h, %i, %j and the constants %c0, %c1, %c3, %c7, %c16, %c37, %c64 to %seen.
  const char *body;
  bool (*seen)(int64_t b, int64_t h, int64_t i, int64_t j);
  bool exact; ///< on intervals
};

inline const std::vector<MaskCase> &maskCases() {
  static const std::vector<MaskCase> cases = {
      {"chunks", "%x = arith.divsi %i, %c16 : index\n%y = arith.divsi %j, %c16 : index\n%seen = arith.cmpi sle, %y, %x : index",
       [](int64_t, int64_t, int64_t i, int64_t j) { return j / 16 <= i / 16; }, true},
      {"blocks", "%x = arith.divsi %i, %c16 : index\n%y = arith.divsi %j, %c16 : index\n%seen = arith.cmpi eq, %y, %x : index",
       [](int64_t, int64_t, int64_t i, int64_t j) { return j / 16 == i / 16; }, true},
      {"chunks_with_left_context",
       "%x = arith.floordivsi %i, %c7 : index\n%y = arith.floordivsi %j, %c7 : index\n%d = arith.subi %x, %y : index\n"
       "%p = arith.cmpi sge, %d, %c0 : index\n%q = arith.cmpi sle, %d, %c3 : index\n%seen = arith.andi %p, %q : i1",
       [](int64_t, int64_t, int64_t i, int64_t j) { return j / 7 <= i / 7 && i / 7 - j / 7 <= 3; }, false},
      {"prefix", "%p = arith.cmpi slt, %j, %c37 : index\n%q = arith.cmpi sle, %j, %i : index\n%seen = arith.ori %p, %q : i1",
       [](int64_t, int64_t, int64_t i, int64_t j) { return j < 37 || j <= i; }, false},
      {"sinks_and_window",
       "%d = arith.subi %i, %j : index\n%w = arith.cmpi slt, %d, %c16 : index\n%s = arith.cmpi slt, %j, %c3 : index\n"
       "%p = arith.ori %w, %s : i1\n%q = arith.cmpi sge, %d, %c0 : index\n%seen = arith.andi %p, %q : i1",
       [](int64_t, int64_t, int64_t i, int64_t j) { return (i - j < 16 || j < 3) && j <= i; }, false},
      {"dilated", "%d = arith.subi %i, %j : index\n%r = arith.remsi %d, %c3 : index\n%seen = arith.cmpi eq, %r, %c0 : index",
       [](int64_t, int64_t, int64_t i, int64_t j) { return (i - j) % 3 == 0; }, false},
      {"strided_blocks",
       "%x = arith.divsi %j, %c64 : index\n%r = arith.remsi %x, %c3 : index\n%m = arith.muli %r, %c16 : index\n"
       "%seen = arith.cmpi ne, %m, %c16 : index",
       [](int64_t, int64_t, int64_t, int64_t j) { return j / 64 % 3 != 1; }, false},
      {"by_head",
       "%o = arith.remsi %h, %c3 : index\n%z = arith.cmpi eq, %o, %c0 : index\n%w = arith.select %z, %c64, %c7 : index\n"
       "%d = arith.subi %i, %j : index\n%a = arith.maxsi %d, %c0 : index\n%n = arith.subi %c0, %d : index\n%e = arith.maxsi %a, %n : "
       "index\n"
       "%seen = arith.cmpi slt, %e, %w : index",
       [](int64_t, int64_t h, int64_t i, int64_t j) { return (i > j ? i - j : j - i) < (h % 3 == 0 ? 64 : 7); }, false},
      {"by_batch",
       "%t = arith.constant true\n%p = arith.cmpi sgt, %j, %i : index\n%z = arith.cmpi eq, %b, %c1 : index\n%x = arith.xori %p, %z : i1\n"
       "%y = arith.minsi %j, %c7 : index\n%s = arith.cmpi slt, %y, %c7 : index\n%seen = arith.select %s, %t, %x : i1",
       [](int64_t b, int64_t, int64_t i, int64_t j) { return j < 7 || (j > i) != (b == 1); }, false},
  };
  return cases;
}

/// The region of leat.kv_attend and the constants that have to stand before the op.
inline std::string maskConstants() {
  std::string text;
  for (const char *c : {"0", "1", "3", "7", "16", "37", "64"})
    text += std::string("  %c") + c + " = arith.constant " + c + " : index\n";
  return text;
}
inline std::string maskText(const MaskCase &mask) {
  return std::string("visible(%b, %h, %i, %j) {\n") + mask.body + "\n  leat.yield %seen : i1\n}";
}

} // namespace leat::test
