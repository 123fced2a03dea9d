// Modules: what is read, and errors that name the line.
#include "SimTest.h"

using namespace leat::sim;

namespace {

std::string failure(const std::string &text) {
  auto module = Module::parse(text);
  if (!module.ok())
    return module.status().message();
  for (const KernelInfo &kernel : (*module)->kernels())
    if (auto status = (*module)->check(kernel.name); !status.ok())
      return status.message();
  return "";
}

std::string inKernel(const std::string &body) {
  return ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u32 n) {\n.reg .pred %p<4>; .reg .b32 %r<8>; .reg .b64 "
         "%rd<8>; .reg "
         ".b16 %h<4>; .reg .f32 %f<4>;\n" +
         body + "\nret;\n}\n";
}

TEST(Parser, DescribesKernels) {
  auto module = Module::parse(R"(.version 8.0
.target sm_90a
.address_size 64
.global .align 8 .u64 table[2] = {first, 0};
.global .align 4 .u32 first = 7;
.visible .entry one(.param .u64 .ptr .global .align 16 a, .param .u8 b, .param .align 8 .b8 c[24]) .reqntid 128, 1, 1 .reqnctapercluster 2, 1, 1
{ .shared .align 16 .b8 s[100]; ret; }
.visible .entry two() .maxntid 64 { ret; }
)");
  ASSERT_TRUE(module.ok()) << module.status().message();
  ASSERT_EQ((*module)->kernels().size(), 2u);
  const KernelInfo &one = (*module)->kernels()[0];
  EXPECT_EQ(one.name, "one");
  ASSERT_EQ(one.parameters.size(), 3u);
  EXPECT_EQ(one.parameters[1].offset, 8u);
  EXPECT_EQ(one.parameters[2].offset, 16u);
  EXPECT_EQ(one.parameters[2].bytes, 24u);
  EXPECT_EQ(one.parameterBytes, 40u);
  EXPECT_EQ(one.staticSharedBytes, 100u);
  EXPECT_EQ(one.requiredBlock.x, 128u);
  EXPECT_EQ(one.requiredCluster.x, 2u);
  EXPECT_EQ((*module)->kernels()[1].maximumBlock.x, 64u);
  size_t bytes = 0;
  auto table = static_cast<uint64_t *>((*module)->variable("table", &bytes));
  ASSERT_TRUE(table);
  EXPECT_EQ(bytes, 16u);
  EXPECT_EQ(*reinterpret_cast<uint32_t *>(table[0]), 7u); // the address of `first`
}

TEST(Parser, ErrorsNameTheLine) {
  EXPECT_EQ(failure(".version 8.0\nnonsense"), "PTX line 2: this is no directive of PTX that is known here, found 'nonsense'");
  EXPECT_EQ(failure(inKernel("add.u32 %r1, %r2")), "PTX line 7: expected ';', found 'ret'");
  EXPECT_EQ(failure(inKernel("bra nowhere;")), "PTX line 6: no label 'nowhere' can be seen from here");
  EXPECT_EQ(failure(inKernel("frobnicate.u32 %r1, %r2;")), "PTX line 6: 'frobnicate.u32': this instruction is not known");
  EXPECT_EQ(failure(inKernel("add.u32 %rd1, %r2, %r3;")), "PTX line 6: 'add.u32': register %rd1 has 64 bits, the result 32");
  EXPECT_EQ(failure(inKernel("mov.u32 %r1, %nothing;")), "kernel 'k': there is no register '%nothing'");
  EXPECT_EQ(failure(inKernel("mov.u64 %rd1, missing;")), "PTX line 6: 'mov.u64': 'missing' is not declared");
  EXPECT_EQ(failure(inKernel("ld.param.u64 %rd1, [n];")), "PTX line 6: 'ld.param.u64': the load leaves the parameter 'n'");
  EXPECT_EQ(failure(inKernel("@%r1 bra L; L:")), "PTX line 6: '%r1' is no predicate register, found 'bra'");
  EXPECT_EQ(failure(inKernel("L: L: bra L;")), "PTX line 6: label 'L' is defined twice, found 'bra'");
  EXPECT_EQ(failure(inKernel("max.xorsign.abs.f32 %f1, %f2, %f3;")),
            "PTX line 6: 'max.xorsign.abs.f32': the modifier .xorsign is not supported here");
  EXPECT_EQ(failure(".visible .entry k() {"), "PTX line 1: expected '}' at the end of the text");
  EXPECT_NE(failure(".global .b8 x[99999999999999];"), "");
  EXPECT_NE(failure(inKernel(".reg .b32 %q<2000000000>;")), "");
  EXPECT_NE(failure(inKernel(".local .b8 big[1000000];")), "");
}

TEST(Parser, RefusesMatrixProductsThatPtxHasNot) {
  auto mma = [](const std::string &form, const char *a = "{%r1,%r2,%r3,%r4}", const char *b = "{%r1,%r2}") {
    std::string sums = form.find(".f32.") == std::string::npos ? "{%r4,%r5,%r6,%r7}" : "{%f0,%f1,%f2,%f3}";
    return failure(inKernel("mma.sync.aligned." + form + " " + sums + ", " + a + ", " + b + ", " + sums + ";"));
  };
  auto wgmma = [](int n, const std::string &types, const std::string &scales = "") {
    std::string d;
    for (int i = 0; i < n / 2; ++i)
      d += (i ? ",%d" : "%d") + std::to_string(i);
    return failure(inKernel(".reg .b32 %d<128>; wgmma.mma_async.sync.aligned.m64n" + std::to_string(n) + "k32." + types + " {" + d +
                            "}, %rd1, %rd2, 1" + scales + ";"));
  };
  auto refused = [](const std::string &opcode) { return "PTX line 6: '" + opcode + "': this shape or type is not supported"; };
  EXPECT_EQ(mma("m16n8k32.row.col.s32.s8.u8.s32"), "");
  EXPECT_EQ(mma("m16n8k32.row.col.satfinite.s32.u8.u8.s32"), "");
  EXPECT_EQ(mma("m16n8k32.row.col.f32.e4m3.e5m2.f32"), "");
  for (const char *form :
       {"m16n8k32.row.col.s32.s8.e4m3.s32", "m16n8k16.row.col.f32.f16.bf16.f32", "m16n8k64.row.col.s32.s8.s8.s32",
        "m16n8k32.row.row.s32.s8.s8.s32", "m16n8k32.row.col.f32.s8.s8.f32", "m16n8k16.row.col.satfinite.f32.f16.f16.f32"})
    EXPECT_EQ(mma(form), refused("mma.sync.aligned." + std::string(form)));
  EXPECT_EQ(mma("m16n8k32.row.col.s32.s8.s8.s32", "{%r1,%r2}", "{%r1}"),
            "PTX line 6: 'mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32': the number of registers does not fit the shape");
  for (int n : {8, 24, 48, 256})
    EXPECT_EQ(wgmma(n, "s32.u8.s8"), "");
  EXPECT_EQ(wgmma(40, "f32.e4m3.e5m2", ", 1, 1"), "");
  EXPECT_EQ(wgmma(40, "s32.s8.s8"), refused("wgmma.mma_async.sync.aligned.m64n40k32.s32.s8.s8"));
  EXPECT_EQ(wgmma(64, "s32.s8.e4m3"), refused("wgmma.mma_async.sync.aligned.m64n64k32.s32.s8.e4m3"));
}

TEST(Parser, ScopesHideNames) {
  EXPECT_EQ(failure(inKernel("{ .reg .b32 x; L: add.u32 x, x, 1; bra L; } { .reg .b64 x; L: add.u64 x, x, 1; bra L; }")), "");
}

TEST(Launches, AreChecked) {
  auto module = Module::parse(inKernel(".shared .b8 s[1024];"));
  ASSERT_TRUE(module.ok());
  Simulator simulator;
  int n = 0;
  const void *argument[] = {&n};
  auto message = [&](const char *kernel, const LaunchConfig &config, size_t count) {
    auto result = simulator.launch(**module, kernel, config, std::span<const void *const>(argument, count));
    return result.ok() ? std::string() : result.status().message();
  };
  EXPECT_EQ(message("k", {}, 1), "");
  EXPECT_EQ(message("none", {}, 0), "the module has no kernel 'none'; it has: k");
  EXPECT_EQ(message("k", {}, 0), "kernel 'k' takes 1 arguments, 0 were given");
  EXPECT_EQ(message("k", {.grid = {}, .block = {2048}}, 1), "kernel 'k': a block of 2048 x 1 x 1 threads; 1 to 1024 are possible");
  EXPECT_EQ(message("k", {.grid = {3}, .block = {}, .cluster = {2}}, 1),
            "kernel 'k': clusters of 2 x 1 x 1 blocks do not fit (at most 16 blocks, dividing the grid)");
  EXPECT_EQ(message("k", {.grid = {}, .block = {}, .dynamicSharedBytes = 240000}, 1),
            "kernel 'k' needs 1024 + 240000 bytes of shared memory a block; at most 232448 are possible");
}

TEST(Memory, RangesAreChecked) {
  Simulator simulator;
  char memory[256];
  EXPECT_TRUE(simulator.registerMemory(memory, 128, "a").ok());
  EXPECT_EQ(simulator.registerMemory(memory + 64, 128, "b").message(), "memory 'b' overlaps 'a', which is registered");
  EXPECT_TRUE(simulator.registerMemory(memory + 128, 128, "b").ok());
  EXPECT_TRUE(simulator.unregisterMemory(memory).ok());
  EXPECT_FALSE(simulator.unregisterMemory(memory).ok());
}

} // namespace
