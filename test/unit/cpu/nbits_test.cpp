// leat.matmul_nbits against double loops: bits, blocks, zero points, packed and plain weights, edge sizes.
#include "KernelJit.h"
#include "lib/Artifact/Layouts.h"

#include "mlir/IR/Builders.h"

#include "gtest/gtest.h"

#include <cmath>
#include <map>

using namespace leat::test;

namespace {

struct Case {
  int64_t bits, block, k, n;
  std::string scale, zero; ///< zero: "", "i8" (packed) or a float type
  std::string lhs = "f32";
  std::string name() const {
    std::string text = "q" + std::to_string(bits) + "_" + std::to_string(block) + "_" + std::to_string(k) + "_" + scale + zero + lhs;
    return text;
  }
  int64_t blocks() const { return (k + block - 1) / block; }
  int64_t zeroBytes() const { return (blocks() * bits + 7) / 8; }
};

const Case cases[] = {
    {4, 32, 96, 130, "f32", ""},  {4, 32, 64, 64, "f16", "i8"}, {4, 128, 640, 70, "f32", "f32"},   {4, 16, 48, 65, "f32", "i8"},
    {4, 32, 50, 5, "f32", ""},    {8, 32, 96, 66, "f32", ""},   {8, 64, 128, 3, "f16", "i8"},      {8, 16, 32, 64, "f32", "f16"},
    {2, 32, 64, 80, "f32", "i8"}, {2, 16, 80, 64, "f32", ""},   {4, 1024, 2048, 20, "f32", "i8"},  {8, 96, 576, 70, "f16", ""},
    {8, 768, 700, 3, "f32", ""},  {4, 96, 96, 66, "f16", "i8"}, {4, 32, 96, 40, "f16", "", "f16"}, {4, 32, 96, 40, "bf16", "bf16", "bf16"}};

std::string kernel(const Case &c, bool packed) {
  auto n = std::to_string(c.n), k = std::to_string(c.k), blocks = std::to_string(c.blocks());
  std::string lhs = "tensor<?x2x" + k + "x" + c.lhs + ">", out = "tensor<?x2x" + n + "x" + c.lhs + ">";
  std::string codes = "tensor<" + n + "x" + blocks + "x" + std::to_string(c.block * c.bits / 8) + "xi8>",
              scales = "tensor<" + n + "x" + blocks + "x" + c.scale + ">";
  std::string zeros =
      c.zero == "i8" ? "tensor<" + n + "x" + std::to_string(c.zeroBytes()) + "xi8>" : "tensor<" + n + "x" + blocks + "x" + c.zero + ">";
  std::string text =
      "leat.kernel_func @" + c.name() + (packed ? "_packed" : "") + " inputs " + (c.zero.empty() ? "3" : "4") + " -> [" + out + "]";
  if (packed)
    text += " attributes {leat.layouts = [\"\", \"nbits64." + std::to_string(c.bits) + "." +
            std::to_string(std::min<int64_t>(c.block, 32)) + "\", \"panel64t\", \"z\"]}";
  text += " {\n^bb0(%a: " + lhs + ", %c: " + codes + ", %s: " + scales + (c.zero.empty() ? "" : ", %z: " + zeros) + "):\n";
  text += "  %y = leat.matmul_nbits %a, %c, %s" + std::string(c.zero.empty() ? "" : ", %z") + " {k = " + k + ", n = " + n +
          ", bits = " + std::to_string(c.bits) + ", block = " + std::to_string(c.block) + "} : (" + lhs + ", " + codes + ", " + scales +
          (c.zero.empty() ? "" : ", " + zeros) + ") -> " + out + "\n";
  return text + "  leat.yield %y : " + out + "\n}\n";
}

int64_t codeAt(const Array &codes, const Case &c, int64_t n, int64_t k) {
  int64_t bit = (k % c.block) * c.bits, byte = (n * c.blocks() + k / c.block) * (c.block * c.bits / 8) + bit / 8;
  return (uint8_t(codes.bytes[byte]) >> (bit % 8)) & ((1 << c.bits) - 1);
}

/// As the artifact holds it.
Array packed(const Array &a, const std::string &layout) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  mlir::Builder b(&context);
  mlir::Type element = a.type == "i8"    ? mlir::Type(b.getI8Type())
                       : a.type == "f32" ? b.getF32Type()
                       : a.type == "f16" ? b.getF16Type()
                                         : b.getBF16Type();
  Array out = a;
  out.bytes.clear();
  auto append = [&](llvm::ArrayRef<char> bytes) { out.bytes.insert(out.bytes.end(), bytes.begin(), bytes.end()); };
  const leat::artifact::Layout *known = leat::artifact::findLayout(layout);
  EXPECT_TRUE(known) << layout;
  llvm::ArrayRef<char> source(reinterpret_cast<const char *>(a.bytes.data()), a.bytes.size());
  llvm::cantFail(known->pack(mlir::RankedTensorType::get(a.dims, element), source, append));
  return out;
}

struct Weights {
  const Case &c;
  Array codes, scales, zeros, packedCodes, packedScales, packedZeros;
  std::vector<double> decoded; ///< [n][k]

  explicit Weights(const Case &c) : c(c) {
    codes = Array::random("i8", {c.n, c.blocks(), c.block * c.bits / 8}, 1, -128, 127);
    scales = Array::random(c.scale, {c.n, c.blocks()}, 2, 0.01, 0.1);
    if (c.zero == "i8")
      zeros = Array::random("i8", {c.n, c.zeroBytes()}, 3, -128, 127);
    else if (!c.zero.empty())
      zeros = Array::random(c.zero, {c.n, c.blocks()}, 3, 0, 1 << c.bits);
    std::string bits = std::to_string(c.bits);
    packedCodes = packed(codes, "nbits64." + bits + "." + std::to_string(std::min<int64_t>(c.block, 32)));
    packedScales = packed(scales, "panel64t");
    if (!c.zero.empty())
      packedZeros = packed(zeros, c.zero == "i8" && c.bits < 8 ? "zeros64." + bits : "panel64t");
    for (int64_t n = 0; n < c.n; ++n)
      for (int64_t k = 0; k < c.k; ++k)
        decoded.push_back(decode(n, k));
  }
  double weight(int64_t n, int64_t k) const { return decoded[n * c.k + k]; }

private:
  double decode(int64_t n, int64_t k) const {
    double zero = 1 << (c.bits - 1);
    int64_t block = k / c.block;
    if (c.zero == "i8")
      zero = (uint8_t(zeros.bytes[n * c.zeroBytes() + block * c.bits / 8]) >> (block * c.bits % 8)) & ((1 << c.bits) - 1);
    else if (!c.zero.empty())
      zero = zeros.at(n * c.blocks() + block);
    return (codeAt(codes, c, n, k) - zero) * scales.at(n * c.blocks() + block);
  }
};

class NBits : public testing::TestWithParam<unsigned> {
protected:
  void SetUp() override {
    if (!Kernels::supported(GetParam()))
      GTEST_SKIP() << "this processor has no vectors of " << GetParam() << " bits";
    std::string text;
    for (const Case &c : cases)
      text += kernel(c, false) + (Kernels::readsPacked() ? kernel(c, true) : "");
    jit = Kernels::compile(text, GetParam());
    ASSERT_TRUE(jit);
  }
  std::unique_ptr<Kernels> jit;
};

TEST_P(NBits, ProductsOfAllForms) {
  for (const Case &c : cases) {
    SCOPED_TRACE(c.name());
    Weights w(c);
    Array first;
    for (int64_t rows : {0, 1, 2, 3, 25}) {
      Array a = Array::random(c.lhs, {rows, 2, c.k}, 4), y(c.lhs, {rows, 2, c.n}), plain = y;
      std::vector<Array *> in{&a, &w.packedCodes, &w.packedScales}, raw{&a, &w.codes, &w.scales};
      if (!c.zero.empty()) {
        in.push_back(&w.packedZeros);
        raw.push_back(&w.zeros);
      }
      jit->run(c.name(), raw, {&plain});
      if (Kernels::readsPacked()) {
        jit->run(c.name() + "_packed", in, {&y});
        EXPECT_EQ(y.bytes, plain.bytes) << "packed and plain weights differ, " << rows << " rows";
      } else {
        y = plain;
      }
      std::vector<double> x;
      for (int64_t i = 0; i < 2 * rows * c.k; ++i)
        x.push_back(a.at(i));
      double epsilon = c.lhs == "f32" ? 3e-6 : c.lhs == "f16" ? 1e-3 : 1e-2;
      for (int64_t i = 0; i < 2 * rows; ++i)
        for (int64_t n = 0; n < c.n; ++n) {
          double sum = 0, size = 1;
          for (int64_t k = 0; k < c.k; ++k) {
            double product = x[i * c.k + k] * w.weight(n, k);
            sum += product;
            size += std::abs(product);
          }
          ASSERT_NEAR(y.at(i * c.n + n), sum, size * epsilon) << "at " << i << ", " << n;
        }
      // The same first rows give the same bits whatever follows.
      if (rows == 1)
        first = y;
      else if (rows > 1 && (Kernels::oneForm() || rows < 4))
        EXPECT_EQ(std::memcmp(first.bytes.data(), y.bytes.data(), first.bytes.size()), 0) << rows << " rows";
    }
  }
}

/// A kernel that may code its activations: on a device as its schedule is chosen, on the CPU from packed weights.
std::string int8Kernel(const Case &c, bool device) {
  std::string text = kernel(c, !device);
  if (!device)
    text.replace(text.find("attributes {"), 12, "attributes {schedule = #leat.schedule<\"qgemm\", {int8 = 1 : i64}>, ");
  text.replace(text.find(" {k = "), 6, " {int8_activations, k = ");
  return text;
}

/// The op's sum with activations as round(x * 127 / peak) of each block. On GPUs there are more than 8 rows of these, and runs of 8 codes.
TEST(NBitsInt8, ActivationsInEightBits) {
  bool device = !Kernels::readsPacked();
  if (!device && (!Kernels::supported(512) || !Kernels::hostHas("avx512vnni")))
    GTEST_SKIP() << "this processor has no AVX-512 VNNI";
  std::vector<Case> forms = {{4, 32, 96, 130, "f32", ""},       {4, 32, 64, 64, "f16", "i8"},  {4, 128, 640, 70, "f32", "f32"},
                             {8, 32, 96, 66, "f32", ""},        {8, 64, 128, 3, "f16", "i8"},  {4, 32, 50, 600, "f32", ""},
                             {4, 32, 96, 40, "f16", "", "f16"}, {8, 96, 576, 70, "f16", ""},   {8, 128, 1300, 64, "f32", ""},
                             {8, 768, 700, 3, "f32", "i8"},     {4, 96, 96, 66, "f16", "i8"},  {8, 128, 40, 30, "bf16", "", "bf16"},
                             {8, 256, 600, 70, "f16", ""},      {8, 64, 192, 9, "f32", "f16"}, {8, 768, 1536, 20, "f32", ""}};
  if (!device) // panels in pairs
    forms.insert(forms.end(), {{4, 32, 2048, 200, "f16", ""}, {4, 128, 2100, 330, "f32", "i8"}});
  std::string text;
  for (const Case &c : forms)
    text += int8Kernel(c, device);
  for (size_t at; (at = text.find("?x2x")) != std::string::npos;)
    text.replace(at, 4, "?x?x"); // one row, too
  auto jit = device ? Kernels::compile(text, 128) : Kernels::compile(text, 512, {"avx512vnni"});
  ASSERT_TRUE(jit);
  for (const Case &c : forms) {
    SCOPED_TRACE(c.name());
    Weights w(c);
    Array first;
    for (auto [batch, each] : {std::pair<int64_t, int64_t>{0, 2}, {1, 1}, {1, 2}, {2, 2}, {3, 2}, {13, 2}, {40, 2}}) {
      int64_t rows = batch * each;
      Array a = Array::random(c.lhs, {batch, each, c.k}, 4), y(c.lhs, {batch, each, c.n});
      for (int64_t k = 0; k < std::min<int64_t>(c.block, c.k) && rows; ++k)
        a.set(k, 0); // a block without a peak
      std::vector<Array *> in{&a, device ? &w.codes : &w.packedCodes, device ? &w.scales : &w.packedScales};
      if (!c.zero.empty())
        in.push_back(device ? &w.zeros : &w.packedZeros);
      jit->run(c.name() + (device ? "" : "_packed"), in, {&y});
      bool coded = !device || (rows > 8 && c.k % 8 == 0);
      for (int64_t i = 0; i < rows; ++i) {
        std::vector<double> x(c.k);
        for (int64_t g = 0; g < c.k; g += c.block) {
          int64_t end = std::min(g + c.block, c.k);
          float peak = 0;
          for (int64_t k = g; k < end; ++k)
            peak = std::max(peak, std::abs(float(a.at(i * c.k + k))));
          for (int64_t k = g; k < end; ++k)
            x[k] = !coded ? a.at(i * c.k + k) : peak > 0 ? std::nearbyint(float(a.at(i * c.k + k)) * (127.0f / peak)) * peak / 127 : 0;
        }
        for (int64_t n = 0; n < c.n; ++n) {
          double sum = 0, size = 1;
          for (int64_t k = 0; k < c.k; ++k) {
            sum += x[k] * w.weight(n, k);
            size += std::abs(x[k] * w.weight(n, k));
          }
          ASSERT_NEAR(y.at(i * c.n + n), sum, size * (c.lhs == "f32" ? 2e-5 : c.lhs == "f16" ? 1e-3 : 1e-2)) << "at " << i << ", " << n;
        }
      }
      if (rows == 1)
        first = y;
      else if (rows > 1 && (Kernels::oneForm() || rows < 4))
        EXPECT_EQ(std::memcmp(first.bytes.data(), y.bytes.data(), first.bytes.size()), 0) << rows << " rows";
    }
  }
}

/// Rows may be computed in front of the product, element by element.
TEST(NBitsInt8, RowsThatAreComputed) {
  bool device = !Kernels::readsPacked();
  if (!device && (!Kernels::supported(512) || !Kernels::hostHas("avx512vnni")))
    GTEST_SKIP() << "this processor has no AVX-512 VNNI";
  const Case c = {8, 64, 128, 40, "f32", ""};
  std::string plain = int8Kernel(c, device), type = "tensor<?x2x128xf32>", negated = plain;
  auto replace = [&](const std::string &from, const std::string &to) { negated.replace(negated.find(from), from.size(), to); };
  replace("@" + c.name(), "@negated");
  replace("  %y = ",
          "  %c0 = arith.constant 0 : index\n  %d = tensor.dim %a, %c0 : " + type + "\n  %e = tensor.empty(%d) : " + type +
              "\n  %n = linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, j, k)>, affine_map<(i, j, k) -> (i, j, k)>], "
              "iterator_types = [\"parallel\", \"parallel\", \"parallel\"]} ins(%a : " +
              type + ") outs(%e : " + type +
              ") {\n  ^bb0(%p: f32, %o: f32):\n    %q = arith.negf %p : f32\n    linalg.yield %q : f32\n  } -> " + type + "\n  %y = ");
  replace("leat.matmul_nbits %a", "leat.matmul_nbits %n");
  auto jit = device ? Kernels::compile(plain + negated, 128) : Kernels::compile(plain + negated, 512, {"avx512vnni"});
  ASSERT_TRUE(jit);
  Weights w(c);
  Array a = Array::random("f32", {13, 2, c.k}, 4), minus = a, y("f32", {13, 2, c.n}), other = y;
  for (int64_t i = 0; i < 13 * 2 * c.k; ++i)
    minus.set(i, -a.at(i));
  std::vector<Array *> weights{device ? &w.codes : &w.packedCodes, device ? &w.scales : &w.packedScales};
  jit->run(c.name() + (device ? "" : "_packed"), {&a, weights[0], weights[1]}, {&y});
  jit->run(device ? "negated" : "negated_packed", {&minus, weights[0], weights[1]}, {&other});
  EXPECT_EQ(y.bytes, other.bytes);
}

INSTANTIATE_TEST_SUITE_P(VectorBits, NBits, testing::ValuesIn(Kernels::widths()));

} // namespace
