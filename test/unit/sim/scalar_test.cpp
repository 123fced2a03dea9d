// Scalar code as nvcc and LLVM make it, against the same source compiled for the host: bit for bit.
#include "SimTest.h"
#include "kernels/scalar.h"

using namespace leat::sim;

static void runScalar(const char *file) {
  constexpr int count = 1000;
  Bench bench(readKernels(file));
  auto in = bench.buffer<uint32_t>(4 * count, "in");
  auto out = bench.buffer<uint64_t>(size_t(SCALAR_OUTPUTS) * count, "out");
  Random random(777);
  const uint32_t special[] = {0,          1,          0xffffffff, 0x80000000, 0x7fffffff, 0x7f800000, 0x7fc00000,
                              0x3f800000, 0xff800000, 0x00000001, 31,         32,         64};
  for (int i = 0; i < 4 * count; ++i)
    in[i] = random.word() % 5 == 0 ? special[random.word() % 13] : random.word() % 4 == 0 ? random.word() % 100 : random.word();
  auto result = bench.launch("scalar", {.grid = {(count + 127) / 128}, .block = {128}}, in, out, count);
  EXPECT_CLEAN(result);
  int wrong = 0;
  uint64_t expected[SCALAR_OUTPUTS];
  for (int i = 0; i < count; ++i) {
    scalarOutputs(in[4 * i], in[4 * i + 1], in[4 * i + 2], in[4 * i + 3], expected);
    for (int k = 0; k < SCALAR_OUTPUTS; ++k)
      if (expected[k] != out[size_t(SCALAR_OUTPUTS) * i + k] && ++wrong < 10)
        ADD_FAILURE() << "output " << k << std::hex << " of (" << in[4 * i] << ", " << in[4 * i + 1] << ", " << in[4 * i + 2] << ", "
                      << in[4 * i + 3] << "): 0x" << out[size_t(SCALAR_OUTPUTS) * i + k] << ", the host has 0x" << expected[k];
  }
  EXPECT_EQ(wrong, 0);
}

TEST(Scalar, NvccEqualsHost) { runScalar("scalar.ptx"); }
TEST(Scalar, UnoptimisedNvccEqualsHost) { runScalar("scalar_unoptimised.ptx"); }
TEST(Scalar, LlvmEqualsHost) { runScalar("scalar_llvm.ptx"); }
TEST(Scalar, UnoptimisedLlvmEqualsHost) { runScalar("scalar_llvm_unoptimised.ptx"); }
