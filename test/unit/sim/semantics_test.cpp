// Single instructions against values worked out from the PTX ISA: what C has no operator for, and edges where C's are undefined.
#include "SimTest.h"

using namespace leat::sim;

namespace {

struct Instruction {
  const char *text; // result in %a; operands %b, %c, %d (32 bits), %wa to %wd (64 bits), %ha, %hb (16 bits), %p
  uint64_t b, c, d, expected;
};

uint64_t evaluate(const Instruction &i) {
  bool wide = std::string(i.text).find("%wa") != std::string::npos;
  std::string ptx = R"(.version 8.6
.target sm_90a
.address_size 64
.visible .entry k(.param .u64 out, .param .u64 pb, .param .u64 pc, .param .u64 pd) {
.reg .b32 %a, %b, %c, %d, %t; .reg .b64 %o, %wa, %wb, %wc, %wd; .reg .b16 %ha, %hb, %hc; .reg .pred %p, %q;
ld.param.u64 %o, [out]; ld.param.u64 %wb, [pb]; ld.param.u64 %wc, [pc]; ld.param.u64 %wd, [pd];
cvt.u32.u64 %b, %wb; cvt.u32.u64 %c, %wc; cvt.u32.u64 %d, %wd; cvt.u16.u64 %hb, %wb; cvt.u16.u64 %hc, %wc;
mov.u32 %a, 0; mov.u64 %wa, 0;
)" + std::string(i.text) +
                    (wide ? "\n" : "\ncvt.u64.u32 %wa, %a;\n") + "st.global.u64 [%o], %wa;\nret;\n}\n";
  Bench bench(ptx);
  auto out = bench.buffer<uint64_t>(1, "out");
  EXPECT_CLEAN(bench.launch("k", {}, out, i.b, i.c, i.d)) << i.text;
  return *out;
}

constexpr uint32_t one = 0x3f800000, nan32 = 0x7fc00000, infinity = 0x7f800000;

const Instruction instructions[] = {
    // Bytes and bits.
    {"prmt.b32 %a, %b, %c, %d;", 0x33221100, 0x77665544, 0x7531, 0x77553311},
    {"prmt.b32 %a, %b, %c, %d;", 0x80221180, 0, 0x8b98, 0xffff00ff}, // bit 3 of a selector: the byte's sign
    {"prmt.b32.f4e %a, %b, %c, %d;", 0x33221100, 0x77665544, 1, 0x44332211},
    {"prmt.b32.b4e %a, %b, %c, %d;", 0x33221100, 0x77665544, 1, 0x66770011},
    {"prmt.b32.rc8 %a, %b, %c, %d;", 0x33221100, 0, 2, 0x22222222},
    {"prmt.b32.rc16 %a, %b, %c, %d;", 0x33221100, 0, 1, 0x33223322},
    {"lop3.b32 %a, %b, %c, %d, 0x96;", 0xff00ff00, 0xf0f0f0f0, 0xcccccccc, 0xff00ff00 ^ 0xf0f0f0f0 ^ 0xcccccccc},
    {"lop3.b32 %a, %b, %c, %d, 0xe8;", 0xff00ff00, 0xf0f0f0f0, 0xcccccccc, 0xfcc0fcc0}, // majority
    {"bfe.u32 %a, %b, %c, %d;", 0xdeadbeef, 8, 12, 0xdbe},
    {"bfe.s32 %a, %b, %c, %d;", 0xdeadbeef, 8, 12, 0xfffffdbe},
    {"bfe.s32 %a, %b, %c, %d;", 0x80000000, 40, 4, 0xffffffff}, // past the end: the sign
    {"bfe.u32 %a, %b, %c, %d;", 0xffffffff, 28, 32, 0xf},
    {"bfe.u32 %a, %b, %c, %d;", 0xffffffff, 3, 0, 0},
    {"bfe.u64 %wa, %wb, %c, %d;", 0x123456789abcdef0, 36, 16, 0x4567},
    {"bfi.b32 %a, %b, %c, 8, 12;", 0xabc, 0xffffffff, 0, 0xffabcff + 0xf0000000},
    {"bfi.b32 %a, %b, %c, 28, 12;", 0xabc, 0, 0, 0xc0000000},
    {"bfi.b64 %wa, %wb, %wc, 60, 8;", 0xa5, 1, 0, 0x5000000000000001},
    {"shf.l.wrap.b32 %a, %b, %c, %d;", 0x80000001, 0x12345678, 36, 0x23456788},
    {"shf.l.clamp.b32 %a, %b, %c, %d;", 0x80000001, 0x12345678, 36, 0x80000001},
    {"shf.r.wrap.b32 %a, %b, %c, %d;", 0x80000001, 0x12345678, 36, 0x88000000},
    {"shf.r.clamp.b32 %a, %b, %c, %d;", 0x80000001, 0x12345678, 36, 0x12345678},
    {"shl.b32 %a, %b, %c;", 0xffffffff, 32, 0, 0},
    {"shr.s32 %a, %b, %c;", 0x80000000, 99, 0, 0xffffffff},
    {"shr.u64 %wa, %wb, %c;", 0x8000000000000000, 63, 0, 1},
    {"max.relu.s32 %a, %b, %c;", 0xfffffffe, 0xfffffffd, 0, 0},
    {"max.relu.s32 %a, %b, %c;", 0xfffffffe, 7, 0, 7},
    {"min.relu.s32 %a, %b, %c;", 0xfffffffe, 7, 0, 0},
    {"min.relu.s32 %a, %b, %c;", 9, 7, 0, 7},
    {"bfind.u32 %a, %b;", 0x00010000, 0, 0, 16},
    {"bfind.s32 %a, %b;", 0xfffffffe, 0, 0, 0},
    {"bfind.u32 %a, %b;", 0, 0, 0, 0xffffffff},
    {"bfind.shiftamt.u32 %a, %b;", 0x00010000, 0, 0, 15},
    {"clz.b32 %a, %b;", 0, 0, 0, 32},
    {"clz.b64 %a, %wb;", 1, 0, 0, 63},
    {"popc.b64 %a, %wb;", 0xf0f0f0f0f0f0f0f0, 0, 0, 32},
    {"brev.b32 %a, %b;", 0x00000005, 0, 0, 0xa0000000},
    {"brev.b64 %wa, %wb;", 1, 0, 0, 0x8000000000000000},
    {"bmsk.clamp.b32 %a, %b, %c;", 4, 8, 0, 0xff0},
    {"cnot.b32 %a, %b;", 0, 0, 0, 1},
    // Integers.
    {"mul24.lo.s32 %a, %b, %c;", 0x00ffffff, 5, 0, 0xfffffffb},
    {"mad24.lo.u32 %a, %b, %c, %d;", 0xff000002, 5, 7, 17},
    {"sad.s32 %a, %b, %c, %d;", 0xfffffffb, 7, 100, 112},
    {"dp4a.s32.s32 %a, %b, %c, %d;", 0xff02fe01, 0x01020304, 10, 10 + 4 - 6 + 4 - 1},
    {"dp4a.u32.s32 %a, %b, %c, %d;", 0x000000ff, 0x000000ff, 0, 0xffffff01},
    {"add.sat.s32 %a, %b, %c;", 0x7fffffff, 5, 0, 0x7fffffff},
    {"sub.sat.s32 %a, %b, %c;", 0x80000000, 5, 0, 0x80000000},
    {"add.cc.u32 %t, %b, %c; addc.u32 %a, 0, 0;", 0xffffffff, 1, 0, 1},
    {"sub.cc.u32 %t, %b, %c; subc.u32 %a, 5, 0;", 0, 1, 0, 4},
    {"mad.lo.cc.u32 %t, %b, %c, %d; madc.hi.u32 %a, %b, %c, 0;", 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
    {"abs.s32 %a, %b;", 0x80000000, 0, 0, 0x80000000},
    {"mul.hi.s64 %wa, %wb, %wc;", 0xffffffffffffffff, 2, 0, 0xffffffffffffffff},
    {"slct.u32.s32 %a, %b, %c, %d;", 1, 2, 0xffffffff, 2},
    {"setp.hi.u32 %p, %b, %c; selp.u32 %a, 1, 0, %p;", 0xffffffff, 1, 0, 1},
    {"setp.gt.s32 %p, %b, %c; selp.u32 %a, 1, 0, %p;", 0xffffffff, 1, 0, 0},
    {"setp.lt.and.u32 %p|%q, %b, %c, 1; selp.u32 %a, 1, 0, %q;", 1, 2, 0, 0},
    {"set.lt.u32.u32 %a, %b, %c;", 1, 2, 0, 0xffffffff},
    {"set.lt.f32.u32 %a, %b, %c;", 1, 2, 0, one},
    // Floats.
    {"setp.eq.f32 %p, %b, %c; selp.u32 %a, 1, 0, %p;", nan32, nan32, 0, 0},
    {"setp.equ.f32 %p, %b, %c; selp.u32 %a, 1, 0, %p;", nan32, one, 0, 1},
    {"setp.ne.f32 %p, %b, %c; selp.u32 %a, 1, 0, %p;", nan32, one, 0, 0},
    {"setp.nan.f32 %p, %b, %c; selp.u32 %a, 1, 0, %p;", nan32, one, 0, 1},
    {"setp.eq.ftz.f32 %p, %b, %c; selp.u32 %a, 1, 0, %p;", 1, 0, 0, 1}, // a subnormal is zero
    {"min.f32 %a, %b, %c;", nan32, one, 0, one},
    {"min.NaN.f32 %a, %b, %c;", nan32, one, 0, 0x7fffffff},
    {"min.f32 %a, %b, %c;", 0x80000000, 0, 0, 0x80000000},
    {"max.f32 %a, %b, %c;", 0x80000000, 0, 0, 0},
    {"add.ftz.f32 %a, %b, %c;", 1, 1, 0, 0},
    {"add.f32 %a, %b, %c;", 1, 1, 0, 2},
    {"add.rz.f32 %a, %b, %c;", one, 0x33ffffff, 0, one},
    {"add.rp.f32 %a, %b, %c;", one, 1, 0, one + 1},
    {"add.sat.f32 %a, %b, %c;", one, one, 0, one},
    {"fma.rn.relu.f16 %ha, %hb, %hc, %hc; cvt.u32.u16 %a, %ha;", 0x3c00, 0xbc00, 0, 0},
    {"fma.rn.f16 %ha, %hb, %hb, %hc; cvt.u32.u16 %a, %ha;", 0x4000, 0x3c00, 0, 0x4500},
    {"fma.rn.bf16 %ha, %hb, %hb, %hc; cvt.u32.u16 %a, %ha;", 0x4000, 0x3f80, 0, 0x40a0},
    {"add.f16x2 %a, %b, %c;", 0x3c004000, 0x3c003c00, 0, 0x40004200},
    {"max.bf16x2 %a, %b, %c;", 0x3f80c000, 0x40003f80, 0, 0x40003f80},
    {"ex2.approx.f32 %a, %b;", 0x40400000, 0, 0, 0x41000000}, // 2^3
    {"ex2.approx.ftz.f32 %a, %b;", 0xff800000, 0, 0, 0},      // 2^-inf
    {"ex2.approx.f32 %a, %b;", infinity, 0, 0, infinity},
    {"lg2.approx.f32 %a, %b;", 0x41000000, 0, 0, 0x40400000},
    {"rcp.approx.f32 %a, %b;", 0x40000000, 0, 0, 0x3f000000},
    {"rsqrt.approx.f32 %a, %b;", 0x40800000, 0, 0, 0x3f000000},
    {"sqrt.rn.f64 %wa, %wb;", 0x4010000000000000, 0, 0, 0x4000000000000000},
    {"copysign.f32 %a, %b, %c;", 0x80000000, one, 0, 0xbf800000},
    {"testp.subnormal.f32 %p, %b; selp.u32 %a, 1, 0, %p;", 5, 0, 0, 1},
    {"testp.finite.f32 %p, %b; selp.u32 %a, 1, 0, %p;", infinity, 0, 0, 0},
    // Conversions.
    {"cvt.rni.s32.f32 %a, %b;", 0x40200000, 0, 0, 2},          // 2.5 to even
    {"cvt.rzi.s32.f32 %a, %b;", 0xc0200000, 0, 0, 0xfffffffe}, // -2.5
    {"cvt.rmi.s32.f32 %a, %b;", 0xc0200000, 0, 0, 0xfffffffd},
    {"cvt.rpi.s32.f32 %a, %b;", 0xc0200000, 0, 0, 0xfffffffe},
    {"cvt.rzi.s32.f32 %a, %b;", 0x4f800000, 0, 0, 0x7fffffff}, // too large
    {"cvt.rzi.u32.f32 %a, %b;", 0xbf800000, 0, 0, 0},          // negative
    {"cvt.rzi.s32.f32 %a, %b;", nan32, 0, 0, 0},
    {"cvt.rzi.s64.f32 %wa, %b;", nan32, 0, 0, 0x8000000000000000},
    {"cvt.rn.f32.u64 %a, %wb;", 0xffffffffffffffff, 0, 0, 0x5f800000},
    {"cvt.rz.f32.u64 %a, %wb;", 0xffffffffffffffff, 0, 0, 0x5f7fffff},
    {"cvt.sat.u8.s32 %a, %b;", 300, 0, 0, 255},
    {"cvt.sat.s8.s32 %a, %b;", 0xffffff00, 0, 0, 0xffffff80},
    {"cvt.u32.u8 %a, %b;", 0x1ff, 0, 0, 0xff},
    {"cvt.s32.s8 %a, %b;", 0x1ff, 0, 0, 0xffffffff},
    {"cvt.rn.f16.f32 %ha, %b; cvt.u32.u16 %a, %ha;", 0x477ff000, 0, 0, 0x7c00}, // 65520 rounds to infinity
    {"cvt.rz.f16.f32 %ha, %b; cvt.u32.u16 %a, %ha;", 0x477ff000, 0, 0, 0x7bff},
    {"cvt.rn.f16.f32 %ha, %b; cvt.u32.u16 %a, %ha;", 0x33000000, 0, 0, 0}, // half of the smallest subnormal, to even
    {"cvt.rn.bf16.f32 %ha, %b; cvt.u32.u16 %a, %ha;", 0x3f808000, 0, 0, 0x3f80},
    {"cvt.rn.bf16.f32 %ha, %b; cvt.u32.u16 %a, %ha;", 0x3f818000, 0, 0, 0x3f82},
    {"cvt.rn.bf16x2.f32 %a, %b, %c;", one, 0x40000000, 0, 0x3f804000},
    {"cvt.rn.relu.f16x2.f32 %a, %b, %c;", 0xbf800000, 0x40000000, 0, 0x00004000},
    {"cvt.rna.tf32.f32 %a, %b;", 0x3f801000, 0, 0, 0x3f802000},                                    // ties away from zero
    {"cvt.rn.satfinite.e4m3x2.f32 %ha, %b, %c; cvt.u32.u16 %a, %ha;", 0x44800000, one, 0, 0x7e38}, // 1024 saturates at 448
    {"cvt.rn.satfinite.e5m2x2.f32 %ha, %b, %c; cvt.u32.u16 %a, %ha;", 0xc0000000, one, 0, 0xc03c},
    {"cvt.rn.f16x2.e4m3x2 %a, %hb;", 0x3840, 0, 0, 0x3c004000},
    {"cvt.pack.sat.s8.s32.b32 %a, %b, %c, %d;", 300, 0xfffffff0, 0x1234, 0x12347ff0},
    {"cvt.rn.f64.s64 %wa, %wb;", 0xffffffffffffffff, 0, 0, 0xbff0000000000000},
    {"cvt.f64.f32 %wa, %b;", one, 0, 0, 0x3ff0000000000000},
    {"cvt.rn.f32.f64 %a, %wb;", 0x3ff0000010000000, 0, 0, one},
    // Moves.
    {"mov.b64 %wa, {%b, %c};", 1, 2, 0, 0x200000001},
    {"mov.b64 {%t, %a}, %wb;", 0x0000000500000003, 0, 0, 5},
    {"mov.b32 {%ha, %hb}, %b; mov.b32 %a, {%hb, %ha};", 0x12345678, 0, 0, 0x56781234},
    {"mov.b32 %a, 0f40000000;", 0, 0, 0, 0x40000000},
    {"mov.f64 %wa, 0d4000000000000000;", 0, 0, 0, 0x4000000000000000},
};

TEST(Semantics, SingleInstructions) {
  for (const Instruction &i : instructions) {
    uint64_t value = evaluate(i);
    EXPECT_EQ(value, i.expected) << i.text << std::hex << " with 0x" << i.b << ", 0x" << i.c << ", 0x" << i.d << ": 0x" << value
                                 << ", expected 0x" << i.expected;
  }
}

} // namespace
