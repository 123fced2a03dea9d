// Plain products by cuBLASLt, with stand-ins for it and for libcuda: which kernels are such products, what the library is asked for,
// graphs, and who multiplies where there is no library, or it does not want to.
#include "test/unit/device/DeviceModel.h"
#include "test/unit/device/fake_cublaslt.h"
#include "test/unit/device/fake_cuda.h"

#include "runtime/device/cuda/BlasLt.h"
#include "runtime/device/cuda/CudaDevice.h"

#include <cmath>
#include <cstring>
#include <dlfcn.h>

using namespace leat;
using namespace leat::rt;
using namespace leat::rt::cuda::blaslt;

namespace {

template <typename State> State &stateOf(const char *library, const char *symbol) {
  void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  return *reinterpret_cast<State *(*)()>(dlsym(handle, symbol))();
}
FakeCuda &fakeCuda() {
  static FakeCuda &state = stateOf<FakeCuda>(FAKE_CUDA, "leat_fake_cuda_state");
  return state;
}
FakeBlas &blas() {
  static FakeBlas &state = stateOf<FakeBlas>(FAKE_CUBLASLT, "leat_fake_cublaslt_state");
  return state;
}

Result<std::shared_ptr<Device>> openWithBlas(const std::string &, int) { return openCudaDevice(FAKE_CUDA, FAKE_CUBLASLT); }
Result<std::shared_ptr<Device>> openWithout(const std::string &, int) {
  return openCudaDevice(FAKE_CUDA, "libcublasLt_of_another_machine.so");
}

class GemmTest : public leat::test::DeviceModel {
protected:
  GemmTest() { fakeCuda() = FakeCuda(), blas() = FakeBlas(); }

  std::shared_ptr<Model> forced() {
    gemm = GemmChoice::CublasLt;
    return load("cuda", openWithBlas);
  }

  static float number(DType type, const Tensor &t, int64_t i) {
    if (type == DType::F32)
      return t.as<float>()[i];
    uint16_t bits = t.as<uint16_t>()[i];
    if (type == DType::F16) {
      _Float16 value;
      return std::memcpy(&value, &bits, 2), static_cast<float>(value);
    }
    uint32_t wide = static_cast<uint32_t>(bits) << 16;
    float value;
    return std::memcpy(&value, &wide, 4), value;
  }
  /// Numbers from -1 to 1 that 8 bits of mantissa hold.
  static Tensor numbers(DType type, std::initializer_list<int64_t> dims, uint32_t seed) {
    Shape shape;
    for (int64_t dim : dims)
      shape.dims[shape.rank++] = dim;
    auto made = Tensor::create(type, shape);
    for (int64_t i = 0; i < made->count(); ++i) {
      seed = seed * 1664525 + 1013904223;
      float value = static_cast<float>(static_cast<int32_t>(seed >> 25) - 64) / 64;
      if (type == DType::F32) {
        made->as<float>()[i] = value;
      } else if (type == DType::F16) {
        auto half = static_cast<_Float16>(value);
        std::memcpy(&made->as<uint16_t>()[i], &half, 2);
      } else {
        uint32_t bits;
        std::memcpy(&bits, &value, 4);
        made->as<uint16_t>()[i] = static_cast<uint16_t>(bits >> 16);
      }
    }
    return std::move(*made);
  }

  /// Runs main on the library, twice, and on the simulator, and compares.
  void expectAsSimulated(DType type, std::initializer_list<const Tensor *> inputs, size_t products) {
    gemm = GemmChoice::Scheduled;
    auto simulated = session(load("sim:checked"));
    ASSERT_TRUE(simulated) << error;
    ASSERT_TRUE(run(*simulated, "main", inputs)) << error;
    auto s = session(forced());
    ASSERT_TRUE(s) << error;
    for (int turn = 0; turn < 2; ++turn) {
      ASSERT_TRUE(run(*s, "main", inputs)) << error;
      const Tensor &got = s->output(0), &want = simulated->output(0);
      ASSERT_EQ(got.count(), want.count());
      for (int64_t i = 0; i < got.count(); ++i) {
        float expected = number(type, want, i);
        ASSERT_NEAR(number(type, got, i), expected, (type == DType::F32 ? 1e-5f : 1e-2f) * (1 + std::fabs(expected)))
            << i << ", turn " << turn;
      }
    }
    EXPECT_EQ(blas().products.size(), 2 * products);
    EXPECT_EQ(blas().executed, static_cast<int>(2 * products));
    EXPECT_EQ(blas().searches, static_cast<int>(products));
  }
};

std::string product(const std::string &left, const std::string &right, const std::string &out, const std::string &words = "") {
  std::string l = "tensor<" + left + ">", r = "tensor<" + right + ">", o = "tensor<" + out + ">";
  return "func.func @main(%a: " + l + ", %b: " + r + ") -> " + o + " {\n  %y = leat.matmul %a, %b" + words + " : (" + l + ", " + r +
         ") -> " + o + "\n  return %y : " + o + "\n}\n";
}

TEST_F(GemmTest, AsksForTheTransposedProduct) {
  compile(product("?x40xbf16", "40x24xbf16", "?x24xbf16"), "cuda");
  Tensor a = numbers(DType::BF16, {17, 40}, 1), b = numbers(DType::BF16, {40, 24}, 2);
  expectAsSimulated(DType::BF16, {&a, &b}, 1);
  const FakeBlasProduct &p = blas().products[0];
  EXPECT_EQ(p.a, (FakeBlasMatrix{typeBF16, 24, 40, 24, 1, 0}));
  EXPECT_EQ(p.b, (FakeBlasMatrix{typeBF16, 40, 17, 40, 1, 0}));
  EXPECT_EQ(p.d, (FakeBlasMatrix{typeBF16, 24, 17, 24, 1, 17 * 24}));
  EXPECT_EQ(p.transA, 0);
  EXPECT_EQ(p.transB, 0);
  EXPECT_EQ(p.compute, computeF32);
  EXPECT_EQ(p.scale, typeF32);
  EXPECT_EQ(p.alpha, 1);
  EXPECT_EQ(p.beta, 0);
  EXPECT_EQ(p.epilogue, 1u);
  EXPECT_EQ(blas().reductions, reductionInComputeType); // nothing is summed in 16 bits
}

TEST_F(GemmTest, TransposedWeights) {
  compile(product("?x40xf16", "24x40xf16", "?x24xf16", " {trans_b}"), "cuda");
  Tensor a = numbers(DType::F16, {17, 40}, 1), b = numbers(DType::F16, {24, 40}, 2);
  expectAsSimulated(DType::F16, {&a, &b}, 1);
  EXPECT_EQ(blas().products[0].a, (FakeBlasMatrix{typeF16, 40, 24, 40, 1, 0}));
  EXPECT_EQ(blas().products[0].transA, transposed);
}

// No format with fewer bits may stand in for f32.
TEST_F(GemmTest, NumbersOf32BitsStayExact) {
  compile(product("?x40xf32", "40x24xf32", "?x24xf32"), "cuda");
  Tensor a = numbers(DType::F32, {17, 40}, 1), b = numbers(DType::F32, {40, 24}, 2);
  expectAsSimulated(DType::F32, {&a, &b}, 1);
  EXPECT_EQ(blas().products[0].compute, computeF32Pedantic);
  EXPECT_EQ(blas().products[0].d.type, typeF32);
}

TEST_F(GemmTest, Batches) {
  compile(product("?x?x40xbf16", "?x40x24xbf16", "?x?x24xbf16"), "cuda");
  Tensor a = numbers(DType::BF16, {3, 17, 40}, 1), b = numbers(DType::BF16, {3, 40, 24}, 2);
  expectAsSimulated(DType::BF16, {&a, &b}, 1);
  EXPECT_EQ(blas().products[0].a, (FakeBlasMatrix{typeBF16, 24, 40, 24, 3, 40 * 24}));
  EXPECT_EQ(blas().products[0].b, (FakeBlasMatrix{typeBF16, 40, 17, 40, 3, 17 * 40}));
  EXPECT_EQ(blas().products[0].d, (FakeBlasMatrix{typeBF16, 24, 17, 24, 3, 17 * 24}));
}

TEST_F(GemmTest, RowsOfAllBatchesAreOneMatrix) {
  compile(product("?x?x40xbf16", "40x24xbf16", "?x?x24xbf16"), "cuda");
  Tensor a = numbers(DType::BF16, {3, 17, 40}, 1), b = numbers(DType::BF16, {40, 24}, 2);
  expectAsSimulated(DType::BF16, {&a, &b}, 1);
  EXPECT_EQ(blas().products[0].b, (FakeBlasMatrix{typeBF16, 40, 51, 40, 1, 0}));
}

// Heads that lie between those of other positions: rows and batches of any distance.
TEST_F(GemmTest, StridedHeads) {
  compile(R"(
    func.func @main(%a: tensor<?x3x40xbf16>, %b: tensor<3x40x24xbf16>) -> tensor<3x?x24xbf16> {
      %c0 = arith.constant 0 : index
      %n = tensor.dim %a, %c0 : tensor<?x3x40xbf16>
      %e = tensor.empty(%n) : tensor<3x?x40xbf16>
      %h = linalg.generic {indexing_maps = [affine_map<(h, i, j) -> (i, h, j)>, affine_map<(h, i, j) -> (h, i, j)>],
                           iterator_types = ["parallel", "parallel", "parallel"]}
          ins(%a : tensor<?x3x40xbf16>) outs(%e : tensor<3x?x40xbf16>) {
      ^bb0(%x: bf16, %o: bf16):
        linalg.yield %x : bf16
      } -> tensor<3x?x40xbf16>
      %y = leat.matmul %h, %b : (tensor<3x?x40xbf16>, tensor<3x40x24xbf16>) -> tensor<3x?x24xbf16>
      return %y : tensor<3x?x24xbf16>
    })",
          "cuda");
  Tensor a = numbers(DType::BF16, {17, 3, 40}, 1), b = numbers(DType::BF16, {3, 40, 24}, 2);
  expectAsSimulated(DType::BF16, {&a, &b}, 1);
  EXPECT_EQ(blas().products[0].b, (FakeBlasMatrix{typeBF16, 40, 17, 120, 3, 40}));
}

std::string shifted(const std::string &body) {
  return R"(
    #all = affine_map<(i, j) -> (i, j)>
    #row = affine_map<(i, j) -> (j)>
    func.func @main(%a: tensor<?x40xbf16>, %b: tensor<40x24xbf16>, %c: tensor<24xbf16>) -> tensor<?x24xbf16> {
      %c0 = arith.constant 0 : index
      %n = tensor.dim %a, %c0 : tensor<?x40xbf16>
      %y = leat.matmul %a, %b : (tensor<?x40xbf16>, tensor<40x24xbf16>) -> tensor<?x24xbf16>
      %e = tensor.empty(%n) : tensor<?x24xbf16>
      %z = linalg.generic {indexing_maps = [#row, #all, #all], iterator_types = ["parallel", "parallel"]}
          ins(%c, %y : tensor<24xbf16>, tensor<?x24xbf16>) outs(%e : tensor<?x24xbf16>) {
      ^bb0(%shift: bf16, %sum: bf16, %o: bf16):
        )" +
         body + R"(
        linalg.yield %z : bf16
      } -> tensor<?x24xbf16>
      return %z : tensor<?x24xbf16>
    })";
}

TEST_F(GemmTest, Bias) {
  compile(shifted("%z = arith.addf %sum, %shift : bf16"), "cuda");
  Tensor a = numbers(DType::BF16, {17, 40}, 1), b = numbers(DType::BF16, {40, 24}, 2), c = numbers(DType::BF16, {24}, 3);
  expectAsSimulated(DType::BF16, {&a, &b, &c}, 1);
  EXPECT_EQ(blas().products[0].epilogue, epilogueBias);
}

TEST_F(GemmTest, WhatIsFusedIsGenerated) {
  compile(shifted("%z = arith.mulf %sum, %shift : bf16"), "cuda");
  Tensor a = numbers(DType::BF16, {17, 40}, 1), b = numbers(DType::BF16, {40, 24}, 2), c = numbers(DType::BF16, {24}, 3);
  expectAsSimulated(DType::BF16, {&a, &b, &c}, 0);
  compile(product("?x40xf32", "40x24xbf16", "?x24xf32"), "cuda");
  Tensor wide = numbers(DType::F32, {17, 40}, 1);
  expectAsSimulated(DType::F32, {&wide, &b}, 0);
}

TEST_F(GemmTest, FewRowsAreGenerated) {
  compile(product("?x40xbf16", "40x24xbf16", "?x24xbf16"), "cuda");
  Tensor a = numbers(DType::BF16, {8, 40}, 1), none = numbers(DType::BF16, {0, 40}, 1), b = numbers(DType::BF16, {40, 24}, 2);
  expectAsSimulated(DType::BF16, {&a, &b}, 0);
  expectAsSimulated(DType::BF16, {&none, &b}, 0);
}

const char *kTwo = R"(
  func.func @main(%x: tensor<?x64xbf16>, %v: tensor<64x64xbf16>, %w: tensor<64x64xbf16>) -> tensor<?x64xbf16> {
    %y = leat.matmul %x, %v : (tensor<?x64xbf16>, tensor<64x64xbf16>) -> tensor<?x64xbf16>
    %s = leat.softmax %y {axis = 1 : i64} : tensor<?x64xbf16>
    %z = leat.matmul %s, %w : (tensor<?x64xbf16>, tensor<64x64xbf16>) -> tensor<?x64xbf16>
    return %z : tensor<?x64xbf16>
  })";

TEST_F(GemmTest, ProductsArePartsOfAGraph) {
  compile(kTwo, "cuda");
  Tensor x = numbers(DType::BF16, {33, 64}, 1), v = numbers(DType::BF16, {64, 64}, 2), w = numbers(DType::BF16, {64, 64}, 3);
  {
    auto s = session(forced());
    ASSERT_TRUE(s) << error;
    for (int i = 0; i < 2; ++i)
      ASSERT_TRUE(run(*s, "main", {&x, &v, &w})) << error;
    std::vector<uint16_t> first = values<uint16_t>(s->output(0));
    FakeCuda before = fakeCuda();
    int executed = blas().executed;
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(run(*s, "main", {&x, &v, &w})) << error;
      EXPECT_EQ(values<uint16_t>(s->output(0)), first);
    }
    EXPECT_EQ(fakeCuda().graphLaunches, before.graphLaunches + 3);
    EXPECT_EQ(fakeCuda().graphsMade, before.graphsMade);
    EXPECT_EQ(blas().executed, executed + 6);
    EXPECT_EQ(fakeCuda().launches, before.launches + 3); // softmax
    // The two products are of one shape.
    EXPECT_EQ(blas().searches, 1);
    Tensor more = numbers(DType::BF16, {40, 64}, 1);
    ASSERT_TRUE(run(*s, "main", {&more, &v, &w})) << error;
    EXPECT_EQ(blas().searches, 2);
  }
  // Nothing is left behind.
  EXPECT_EQ(blas().open, 0);
  EXPECT_EQ(fakeCuda().held, 0);
}

TEST_F(GemmTest, ForgetsShapesThatAreTooMany) {
  compile(product("?x8xf32", "8x4xf32", "?x4xf32"), "cuda");
  Tensor b = numbers(DType::F32, {8, 4}, 2);
  auto s = session(forced());
  ASSERT_TRUE(s) << error;
  for (int64_t rows = 9; rows < 9 + 300; ++rows) {
    Tensor a = numbers(DType::F32, {rows, 8}, 1);
    ASSERT_TRUE(run(*s, "main", {&a, &b})) << error;
  }
  EXPECT_EQ(blas().executed, 300);
  EXPECT_LE(blas().open, 4 * 256 + 1);
}

// --- who multiplies

TEST_F(GemmTest, TheScheduleChooses) {
  Tensor a = numbers(DType::BF16, {17, 40}, 1), b = numbers(DType::BF16, {40, 24}, 2);
  auto productsBy = [&](GemmChoice choice) {
    gemm = choice;
    blas() = FakeBlas();
    auto s = session(load("cuda", openWithBlas));
    EXPECT_TRUE(s && run(*s, "main", {&a, &b})) << error;
    return blas().executed;
  };
  compile(product("?x40xbf16", "40x24xbf16", "?x24xbf16"), "cuda");
  EXPECT_EQ(productsBy(GemmChoice::Scheduled), 0); // nobody has measured
  EXPECT_EQ(productsBy(GemmChoice::CublasLt), 1);
  schedule = "* cublaslt=1\n";
  compile(product("?x40xbf16", "40x24xbf16", "?x24xbf16"), "cuda");
  EXPECT_EQ(productsBy(GemmChoice::Scheduled), 1);
  EXPECT_EQ(productsBy(GemmChoice::Generated), 0);
}

TEST_F(GemmTest, WithoutALibrary) {
  schedule = "* cublaslt=1\n";
  compile(product("?x40xbf16", "40x24xbf16", "?x24xbf16"), "cuda");
  Tensor a = numbers(DType::BF16, {17, 40}, 1), b = numbers(DType::BF16, {40, 24}, 2);
  // Chosen and not there: the kernel's own code.
  auto s = session(load("cuda", openWithout));
  ASSERT_TRUE(s && run(*s, "main", {&a, &b})) << error;
  EXPECT_EQ(fakeCuda().launches, 1);
  // Asked for and not there: an error.
  gemm = GemmChoice::CublasLt;
  EXPECT_FALSE(load("cuda", openWithout));
  EXPECT_NE(error.find("products by cuBLASLt were asked for: cuBLASLt cannot be opened: libcublasLt_of_another_machine.so"),
            std::string::npos)
      << error;
  EXPECT_FALSE(load("sim"));
  EXPECT_NE(error.find("GPU simulator has no library of products"), std::string::npos) << error;
  blas().createCode = 1;
  EXPECT_FALSE(load("cuda", openWithBlas));
  EXPECT_NE(error.find("does not start: CUBLAS_STATUS_NOT_INITIALIZED"), std::string::npos) << error;
  gemm = GemmChoice::Scheduled;
  EXPECT_TRUE(load("cuda", openWithBlas)) << error;
  schedule = "";
  compile(product("?x40xbf16", "40x24xbf16", "?x24xbf16"), "cpu");
  gemm = GemmChoice::CublasLt;
  EXPECT_FALSE(load(""));
  EXPECT_NE(error.find("the CPU has none"), std::string::npos) << error;
}

TEST_F(GemmTest, NamesWhatItLookedFor) {
  auto opened = cuda::blaslt::open();
  if (opened.ok())
    GTEST_SKIP() << "cuBLASLt is installed and starts";
  for (const char *name : {"libcublasLt.so.13", "libcublasLt.so.12", "/usr/local/cuda/lib64"})
    EXPECT_NE(opened.status().message().find(name), std::string::npos) << opened.status().message();
}

TEST_F(GemmTest, WhatTheLibraryDoesNotWant) {
  compile(product("?x40xbf16", "40x24xbf16", "?x24xbf16"), "cuda");
  Tensor a = numbers(DType::BF16, {17, 40}, 1), b = numbers(DType::BF16, {40, 24}, 2);
  auto launches = [&] {
    int before = fakeCuda().launches;
    auto s = session(forced());
    for (int i = 0; i < 3; ++i)
      EXPECT_TRUE(s && run(*s, "main", {&a, &b})) << error;
    EXPECT_EQ(blas().executed, 0);
    EXPECT_EQ(blas().searches, 1); // once per shape
    return fakeCuda().launches - before;
  };
  blas().algorithms = 0;
  EXPECT_EQ(launches(), 3);
  blas() = FakeBlas(), blas().findCode = notSupported;
  EXPECT_EQ(launches(), 3);
  blas() = FakeBlas(), blas().multiplyCode = notSupported;
  EXPECT_EQ(launches(), 3);
}

TEST_F(GemmTest, ASearchThatFailsIsNotForgotten) {
  compile(product("?x40xbf16", "40x24xbf16", "?x24xbf16"), "cuda");
  Tensor a = numbers(DType::BF16, {17, 40}, 1), b = numbers(DType::BF16, {40, 24}, 2);
  {
    auto s = session(forced());
    ASSERT_TRUE(s) << error;
    blas().findCode = 13;
    for (int i = 0; i < 2; ++i) {
      EXPECT_FALSE(run(*s, "main", {&a, &b}));
      EXPECT_NE(error.find("cuBLASLt failed to choose an algorithm: CUBLAS_STATUS_EXECUTION_FAILED"), std::string::npos) << error;
    }
    EXPECT_EQ(blas().open, 1); // the handle
  }
  EXPECT_EQ(blas().open, 0);
}

TEST_F(GemmTest, SaysThatTheLibraryFailed) {
  compile(product("?x40xbf16", "40x24xbf16", "?x24xbf16"), "cuda");
  Tensor a = numbers(DType::BF16, {17, 40}, 1), b = numbers(DType::BF16, {40, 24}, 2);
  auto s = session(forced());
  ASSERT_TRUE(s) << error;
  blas().multiplyCode = 13;
  EXPECT_FALSE(run(*s, "main", {&a, &b}));
  EXPECT_NE(error.find("cuBLASLt failed to multiply for kernel 'matmul_0': CUBLAS_STATUS_EXECUTION_FAILED"), std::string::npos) << error;
  blas().multiplyCode = 0;
  EXPECT_TRUE(run(*s, "main", {&a, &b})) << error;
  fakeCuda().memory = fakeCuda().held + (1 << 20);
  auto other = session(forced());
  EXPECT_FALSE(other && run(*other, "main", {&a, &b}));
  EXPECT_NE(error.find("33554432 bytes for cuBLASLt's workspace"), std::string::npos) << error;
}

} // namespace
