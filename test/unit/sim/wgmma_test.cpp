// wgmma beyond what the compiled kernels use: other types and layouts against double, and the reports of its protocol. The PTX is written
// here: tensor copies bring A and B, descriptors with the same swizzle read them.
#include "Sm90Kernels.h"

#include <algorithm>
#include <functional>

using namespace leat::sim;

namespace {

struct Shape {
  const char *type; // of A and B
  const char *sum;  // of D: f32, f16, s32
  int elementBytes; // of A and B
  int swizzle;      // bytes; also the bytes of a row of the tiles
};

std::string registers(const char *prefix, int count) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += (i ? ", " : "") + std::string(prefix) + std::to_string(i);
  return "{" + text + "}";
}

// D[64, 16] = A[64, k] B[16, k]^T, k of one row of the swizzle; `edit` may break it. Tiles at dynamic offsets 0 and 8192, the mbarrier at
// 16384.
std::string wgmmaText(const Shape &shape, const std::function<void(std::string &)> &edit = nullptr) {
  bool half = std::string(shape.sum) == "f16";
  int sums = half ? 4 : 8, k = 32 / shape.elementBytes, layout = shape.swizzle == 128 ? 1 : shape.swizzle == 64 ? 2 : 3;
  std::string d = registers("%d", sums);
  bool integer = std::string(shape.sum) == "s32";
  std::string scales = integer ? "" : shape.elementBytes == 2 ? ", 1, 1, 0, 0" : ", 1, 1";
  std::string body = R"(.version 8.6
.target sm_90a
.address_size 64
.extern .shared .align 1024 .b8 sm[];
.visible .entry k(.param .align 64 .b8 mapA[128], .param .align 64 .b8 mapB[128], .param .u64 out) .reqntid 128, 1, 1 {
.reg .pred %p<8>; .reg .b32 %r<16>; .reg .b32 %d<8>; .reg .b64 %rd<16>;
mov.u32 %r0, sm; mov.u32 %r1, %tid.x; setp.eq.u32 %p0, %r1, 0;
@%p0 mbarrier.init.shared.b64 [sm+16384], 1;
fence.mbarrier_init.release.cluster;
bar.sync 0;
@!%p0 bra WAIT;
mbarrier.arrive.expect_tx.shared.b64 _, [sm+16384], BYTES;
mov.b64 %rd0, mapA; mov.b64 %rd1, mapB; mov.u32 %r2, 0;
cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [sm], [%rd0, {%r2, %r2}], [sm+16384];
cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [sm+8192], [%rd1, {%r2, %r2}], [sm+16384];
WAIT: mbarrier.try_wait.parity.shared.b64 %p1, [sm+16384], 0;
@!%p1 bra WAIT;
shr.u32 %r3, %r0, 4; and.b32 %r3, %r3, 0x3fff; cvt.u64.u32 %rd2, %r3; or.b64 %rd2, %rd2, LAYOUT; add.u64 %rd3, %rd2, 512;
wgmma.fence.sync.aligned;
STEPS
wgmma.commit_group.sync.aligned;
wgmma.wait_group.sync.aligned 0;
ld.param.u64 %rd4, [out]; mul.wide.u32 %rd5, %r1, SIZE; add.u64 %rd4, %rd4, %rd5;
)";
  for (int i = 0; i < sums; ++i)
    body += "st.global.b32 [%rd4+" + std::to_string(4 * i) + "], %d" + std::to_string(i) + ";\n";
  body += "ret;\n}\n";
  std::string steps;
  for (int step = 0; step < shape.swizzle / 32; ++step)
    steps += "wgmma.mma_async.sync.aligned.m64n16k" + std::to_string(k) + "." + shape.sum + "." + shape.type + "." + shape.type + " " + d +
             ", %rd2, %rd3, " + (step ? "1" : "0") + scales + ";\nadd.u64 %rd2, %rd2, 2; add.u64 %rd3, %rd3, 2;\n";
  auto replace = [&](const std::string &from, const std::string &to) { body.replace(body.find(from), from.size(), to); };
  char layoutText[32];
  std::snprintf(layoutText, sizeof(layoutText), "0x%llx",
                static_cast<unsigned long long>(uint64_t(layout) << 62 | uint64_t(shape.swizzle / 2) << 32 | 1 << 16));
  replace("BYTES", std::to_string(80 * shape.swizzle));
  replace("LAYOUT", layoutText);
  replace("STEPS", steps);
  replace("SIZE", std::to_string(4 * sums));
  if (edit)
    edit(body);
  return body;
}

float element(const Shape &shape, const std::vector<uint8_t> &bytes, int index) {
  std::string type = shape.type;
  uint16_t h;
  uint32_t w;
  std::memcpy(&h, &bytes[index * shape.elementBytes & ~1], 2);
  std::memcpy(&w, &bytes[index * shape.elementBytes & ~3], 4);
  if (type == "bf16")
    return fromBf16(h);
  if (type == "f16")
    return leat::rt::halfToFloat(h);
  if (type == "tf32") {
    w &= ~0x1fffu;
    float f;
    std::memcpy(&f, &w, 4);
    return f;
  }
  uint8_t b = bytes[index];
  if (type == "s8")
    return int8_t(b);
  if (type == "u8")
    return b;
  int mantissaBits = type == "e4m3" ? 3 : 2, bias = type == "e4m3" ? 7 : 15, exponent = (b & 127) >> mantissaBits,
      mantissa = b & ((1 << mantissaBits) - 1);
  float value = exponent ? std::ldexp(1 + mantissa / float(1 << mantissaBits), exponent - bias)
                         : std::ldexp(mantissa / float(1 << mantissaBits), 1 - bias);
  return b & 128 ? -value : value;
}

// `difference`: of the results from `expected` of the sums of products, relative.
LaunchResult run(
    const Shape &shape, const std::string &ptx, std::vector<double> *difference = nullptr, int mapSwizzle = -1, uint32_t threads = 128,
    double (*expected)(double) = [](double sum) { return sum; }) {
  Bench bench(ptx);
  int columns = shape.swizzle / shape.elementBytes, sums = std::string(shape.sum) == "f16" ? 4 : 8;
  std::vector<uint8_t> a(64 * shape.swizzle), b(16 * shape.swizzle);
  Random random(31);
  auto fill = [&](std::vector<uint8_t> &bytes) {
    for (size_t i = 0; i < bytes.size() / shape.elementBytes; ++i) {
      float f = random.real();
      uint32_t bits;
      std::memcpy(&bits, &f, 4);
      std::string type = shape.type;
      if (type == "bf16")
        bits = toBf16(f);
      else if (type == "f16")
        bits = leat::rt::floatToHalf(f);
      else if (shape.elementBytes == 1)
        bits = random.word() & (type[0] == 'e' ? 0xb7 : 0xff); // no NaN
      std::memcpy(&bytes[i * shape.elementBytes], &bits, shape.elementBytes);
    }
  };
  fill(a);
  fill(b);
  auto deviceA = bench.buffer<uint8_t>(a.size(), "A"), deviceB = bench.buffer<uint8_t>(b.size(), "B");
  std::memcpy(deviceA, a.data(), a.size());
  std::memcpy(deviceB, b.data(), b.size());
  auto out = bench.buffer<uint32_t>(128 * sums, "out");
  auto map = [&](void *base, int rows) {
    TensorMapSpec spec;
    spec.base = base;
    spec.rank = 2;
    spec.elementBytes = shape.elementBytes;
    spec.dims[0] = uint64_t(columns), spec.dims[1] = uint64_t(rows);
    spec.strides[0] = uint64_t(shape.swizzle);
    spec.box[0] = uint32_t(columns), spec.box[1] = uint32_t(rows);
    spec.swizzleBytes = mapSwizzle >= 0 ? mapSwizzle : shape.swizzle;
    TensorMapBytes bytes;
    EXPECT_TRUE(encodeTensorMap(spec, bytes.bytes).ok());
    return bytes;
  };
  TensorMapBytes mapA = map(deviceA, 64), mapB = map(deviceB, 16);
  LaunchResult result = bench.launch("k", {.grid = {}, .block = {threads}, .dynamicSharedBytes = 16392}, mapA, mapB, out);
  if (!difference)
    return result;
  for (int thread = 0; thread < 128; ++thread)
    for (int i = 0; i < 8; ++i) {
      int row = thread / 32 * 16 + thread % 32 / 4 + (i >> 1 & 1) * 8, column = (i >> 2) * 8 + thread % 4 * 2 + (i & 1);
      double sum = 0, value;
      for (int k = 0; k < columns; ++k)
        sum += double(element(shape, a, row * columns + k)) * element(shape, b, column * columns + k);
      if (sums == 4) { // two columns in a register
        value = leat::rt::halfToFloat(uint16_t(out[thread * 4 + i / 2] >> 16 * (i & 1)));
      } else if (std::string(shape.sum) == "s32") {
        value = int32_t(out[thread * 8 + i]);
      } else {
        float f;
        std::memcpy(&f, &out[thread * 8 + i], 4);
        value = f;
      }
      sum = expected(sum);
      difference->push_back(std::fabs(value - sum) / (1 + std::fabs(sum)));
    }
  return result;
}

TEST(Wgmma, TypesAndSwizzles) {
  for (int swizzle : {32, 64, 128})
    for (Shape shape : {Shape{"bf16", "f32", 2, swizzle}, Shape{"f16", "f32", 2, swizzle}, Shape{"f16", "f16", 2, swizzle},
                        Shape{"tf32", "f32", 4, swizzle}, Shape{"e4m3", "f32", 1, swizzle}, Shape{"e5m2", "f32", 1, swizzle},
                        Shape{"s8", "s32", 1, swizzle}, Shape{"u8", "s32", 1, swizzle}}) {
      std::vector<double> difference;
      LaunchResult result = run(shape, wgmmaText(shape), &difference);
      EXPECT_CLEAN(result) << shape.type << " " << swizzle;
      double tolerance = std::string(shape.sum) == "f16" ? 3e-3 : std::string(shape.sum) == "s32" ? 0 : 2e-6;
      EXPECT_LE(*std::max_element(difference.begin(), difference.end()), tolerance)
          << shape.type << " to " << shape.sum << " swizzle " << swizzle;
    }
}

TEST(Wgmma, IntegerSumsWrapOrSaturate) {
  Shape shape = {"s8", "s32", 1, 32};
  auto wrapped = +[](double sum) { return sum > 0 ? sum - 2147483649 : sum + 2147483647; };
  auto saturated = +[](double sum) { return std::min(sum, 0.0) + 2147483647; };
  for (bool saturate : {false, true}) { // about half of the sums leave the range
    std::string ptx = wgmmaText(shape, [&](std::string &text) {
      auto change = [&](const char *from, const std::string &to) {
        size_t at = text.find(from);
        ASSERT_NE(at, std::string::npos) << from;
        text.replace(at, std::strlen(from), to);
      };
      std::string first;
      for (int i = 0; i < 8; ++i)
        first += "mov.b32 %d" + std::to_string(i) + ", 0x7fffffff;\n";
      change("wgmma.fence.sync.aligned;", first + "wgmma.fence.sync.aligned;");
      change("rd3, 0", "rd3, 1");
      if (saturate)
        change(".s32.s8.s8", ".satfinite.s32.s8.s8");
    });
    std::vector<double> difference;
    EXPECT_CLEAN(run(shape, ptx, &difference, -1, 128, saturate ? saturated : wrapped));
    EXPECT_EQ(*std::max_element(difference.begin(), difference.end()), 0) << saturate;
  }
}

struct Broken {
  const char *kind, *from, *to;
};
class WgmmaProtocol : public testing::TestWithParam<Broken> {};

TEST_P(WgmmaProtocol, IsReported) {
  const Broken &broken = GetParam();
  Shape shape = {"bf16", "f32", 2, 128};
  std::string ptx = wgmmaText(shape, [&](std::string &text) {
    size_t at = text.find(broken.from);
    ASSERT_NE(at, std::string::npos) << broken.from;
    text.replace(at, std::strlen(broken.from), broken.to);
  });
  LaunchResult result = run(shape, ptx);
  EXPECT_TRUE(found(result, broken.kind)) << "expected " << broken.kind << ", got:\n" << text(result);
}

INSTANTIATE_TEST_SUITE_P(
    Sim, WgmmaProtocol,
    testing::Values(
        Broken{"wgmma-missing-fence", "wgmma.fence.sync.aligned;", ""},
        Broken{"wgmma-result-early", "wgmma.wait_group.sync.aligned 0;", ""},
        Broken{"wgmma-unwaited", "wgmma.wait_group.sync.aligned 0;", ""},
        Broken{"wgmma-register-write", "wgmma.commit_group.sync.aligned;", "mov.b32 %d0, 0; wgmma.commit_group.sync.aligned;"},
        Broken{"wgmma-register-write", "add.u64 %rd2, %rd2, 2;", "add.u64 %rd2, %rd2, 2; mov.b32 %d0, 0;"},
        Broken{"wgmma-missing-fence-overwritten", "wgmma.fence.sync.aligned;", "wgmma.fence.sync.aligned; mov.b32 %d0, 0;"},
        Broken{"wgmma-register-hazard", "wgmma.commit_group.sync.aligned;",
               "{ .reg .b32 %e<8>; wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 {%e0, %e1, %e2, %e3, %e4, %e5, %e6, %e7},"
               "{%d0, %d1, %d2, %d3}, %rd3, 0, 1, 1, 0; } wgmma.commit_group.sync.aligned;"},
        Broken{"wgmma-divergent", "wgmma.fence.sync.aligned;",
               "wgmma.fence.sync.aligned; setp.lt.u32 %p2, %r1, 32; @%p2 add.u64 %rd2, %rd2, 2;"},
        Broken{"wgmma-descriptor", "wgmma.fence.sync.aligned;", "wgmma.fence.sync.aligned; or.b64 %rd2, %rd2, 0x2000000000000;"},
        Broken{"wgmma-descriptor", "wgmma.fence.sync.aligned;", "wgmma.fence.sync.aligned; or.b64 %rd2, %rd2, 0x8000;"},
        Broken{"swizzle-misaligned", "add.u64 %rd3, %rd2, 512;", "add.u64 %rd2, %rd2, 8; add.u64 %rd3, %rd2, 504;"},
        Broken{"shared-out-of-bounds", "add.u64 %rd3, %rd2, 512;", "add.u64 %rd3, %rd2, 1000;"},
        Broken{"shared-unwritten", "add.u64 %rd3, %rd2, 512;", "add.u64 %rd3, %rd2, 576;"},
        Broken{"tensor-copy", "2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [sm], [%rd0, {%r2, %r2}]",
               "1d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [sm], [%rd0, {%r2}]"},
        Broken{"misaligned", "bytes [sm], [%rd0", "bytes [sm+64], [%rd0"},
        Broken{"bad-tensor-map", "mov.b64 %rd0, mapA;", "mov.b64 %rd0, mapA; add.u64 %rd0, %rd0, 64;"},
        Broken{"bulk-copy-read-early", "@!%p1 bra WAIT;", ""}));

TEST(Wgmma, SwizzleOfTheCopyHasToBeThatOfTheDescriptor) {
  Shape shape = {"bf16", "f32", 2, 64};
  EXPECT_TRUE(found(run(shape, wgmmaText(shape), nullptr, 128), "swizzle-mismatch"));
  EXPECT_TRUE(found(run(shape, wgmmaText(shape), nullptr, 0), "swizzle-mismatch"));
}

TEST(Wgmma, NeedsAWholeWarpgroup) {
  Shape shape = {"bf16", "f32", 2, 64};
  std::string ptx = wgmmaText(shape, [](std::string &text) { text.replace(text.find(".reqntid 128, 1, 1"), 18, ""); });
  EXPECT_TRUE(found(run(shape, ptx, nullptr, -1, 96), "wgmma-partial-warpgroup"));
}

TEST(TensorMaps, AreChecked) {
  alignas(16) static char memory[4096];
  auto message = [](auto change) {
    TensorMapSpec spec;
    spec.base = memory;
    spec.rank = 2;
    spec.elementBytes = 2;
    spec.dims[0] = 64, spec.dims[1] = 16;
    spec.strides[0] = 128;
    spec.box[0] = 64, spec.box[1] = 16;
    spec.swizzleBytes = 128;
    change(spec);
    uint8_t bytes[tensorMapBytes];
    return encodeTensorMap(spec, bytes).message();
  };
  EXPECT_EQ(message([](TensorMapSpec &) {}), "");
  EXPECT_EQ(message([](TensorMapSpec &s) { s.rank = 6; }), "tensor map: the rank is 1 to 5, not 6");
  EXPECT_EQ(message([](TensorMapSpec &s) { s.base = memory + 8; }), "tensor map: the address has to be a multiple of 16");
  EXPECT_EQ(message([](TensorMapSpec &s) { s.strides[0] = 100; }),
            "tensor map: dimension 1: the stride is a multiple of 16 below 2^40, not 100");
  EXPECT_EQ(message([](TensorMapSpec &s) { s.box[1] = 300; }), "tensor map: dimension 1: the box has 1 to 256 elements, not 300");
  EXPECT_EQ(message([](TensorMapSpec &s) { s.swizzleBytes = 64; }),
            "tensor map: dimension 0: the box's rows do not exceed the swizzle's bytes, not 128");
}

} // namespace
