// leat.matmul against double loops: all operand forms, element types and edge sizes, at each vector width.
#include "KernelTest.h"

#include "gtest/gtest.h"

#include <cmath>
#include <functional>

using namespace leat::test;

namespace {

using Matrix = std::function<double(int64_t row, int64_t column)>;

/// Compares with sums in double, relative to the size of the summands.
void expectProduct(const Array &got, int64_t offset, int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, double epsilon,
                   Matrix after = nullptr, std::function<double(double)> finish = nullptr) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0, size = 1;
      for (int64_t p = 0; p < k; ++p) {
        sum += a(i, p) * b(p, j);
        size += std::abs(a(i, p) * b(p, j));
      }
      if (after)
        sum += after(i, j);
      if (finish)
        sum = finish(sum);
      ASSERT_NEAR(got.at(offset + i * n + j), sum, size * epsilon) << "at " << i << ", " << j << " of " << m << "x" << n << "x" << k;
    }
}

Matrix rowMajor(const Array &a, int64_t columns, int64_t offset = 0) {
  return [&a, columns, offset](int64_t i, int64_t j) { return a.at(offset + i * columns + j); };
}
Matrix transposed(Matrix m) {
  return [m](int64_t i, int64_t j) { return m(j, i); };
}

/// [K, N] in panels of 64 columns.
Array panels(const Array &b, int64_t k, int64_t n) {
  Array out(b.type, {(n + 63) / 64, k, 64});
  for (int64_t p = 0; p < out.dims[0]; ++p)
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = 0; j < 64; ++j)
        out.set((p * k + i) * 64 + j, p * 64 + j < n ? b.at(i * n + p * 64 + j) : 0);
  out.dims = {k, n};
  return out;
}

const char *kernels = R"(
leat.kernel_func @plain inputs 2 -> [tensor<?x?xf32>] {
^bb0(%a: tensor<?x?xf32>, %b: tensor<?x?xf32>):
  %y = leat.matmul %a, %b : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  leat.yield %y : tensor<?x?xf32>
}
leat.kernel_func @trans_b inputs 2 -> [tensor<?x?xf32>] {
^bb0(%a: tensor<?x?xf32>, %b: tensor<?x?xf32>):
  %y = leat.matmul %a, %b {trans_b} : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  leat.yield %y : tensor<?x?xf32>
}
leat.kernel_func @trans_a inputs 2 -> [tensor<?x?xf32>] {
^bb0(%a: tensor<?x?xf32>, %b: tensor<?x?xf32>):
  %y = leat.matmul %a, %b {trans_a} : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  leat.yield %y : tensor<?x?xf32>
}
leat.kernel_func @f64 inputs 2 -> [tensor<?x?xf64>] {
^bb0(%a: tensor<?x?xf64>, %b: tensor<?x?xf64>):
  %y = leat.matmul %a, %b {trans_b} : (tensor<?x?xf64>, tensor<?x?xf64>) -> tensor<?x?xf64>
  leat.yield %y : tensor<?x?xf64>
}
leat.kernel_func @f16 inputs 2 -> [tensor<?x?xf16>] {
^bb0(%a: tensor<?x?xf16>, %b: tensor<?x?xf16>):
  %y = leat.matmul %a, %b {trans_b} : (tensor<?x?xf16>, tensor<?x?xf16>) -> tensor<?x?xf16>
  leat.yield %y : tensor<?x?xf16>
}
leat.kernel_func @bf16 inputs 2 -> [tensor<?x?xbf16>] {
^bb0(%a: tensor<?x?xbf16>, %b: tensor<?x?xbf16>):
  %y = leat.matmul %a, %b : (tensor<?x?xbf16>, tensor<?x?xbf16>) -> tensor<?x?xbf16>
  leat.yield %y : tensor<?x?xbf16>
}
leat.kernel_func @i8 inputs 2 -> [tensor<?x?xi32>] {
^bb0(%a: tensor<?x?xi8>, %b: tensor<?x?xi8>):
  %y = leat.matmul %a, %b : (tensor<?x?xi8>, tensor<?x?xi8>) -> tensor<?x?xi32>
  leat.yield %y : tensor<?x?xi32>
}
leat.kernel_func @i64 inputs 2 -> [tensor<?x?xi64>] {
^bb0(%a: tensor<?x?xi64>, %b: tensor<?x?xi64>):
  %y = leat.matmul %a, %b : (tensor<?x?xi64>, tensor<?x?xi64>) -> tensor<?x?xi64>
  leat.yield %y : tensor<?x?xi64>
}
leat.kernel_func @batch inputs 2 -> [tensor<?x3x?x?xf32>] {
^bb0(%a: tensor<?x3x?x?xf32>, %b: tensor<?x1x?x?xf32>):
  %y = leat.matmul %a, %b : (tensor<?x3x?x?xf32>, tensor<?x1x?x?xf32>) -> tensor<?x3x?x?xf32>
  leat.yield %y : tensor<?x3x?x?xf32>
}
leat.kernel_func @batch_rhs inputs 2 -> [tensor<?x?x?xf32>] {
^bb0(%a: tensor<?x?xf32>, %b: tensor<?x?x?xf32>):
  %y = leat.matmul %a, %b : (tensor<?x?xf32>, tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  leat.yield %y : tensor<?x?x?xf32>
}
leat.kernel_func @packed inputs 3 -> [tensor<?x?x130xf32>] attributes {leat.layouts = ["", "panel64", ""]} {
^bb0(%a: tensor<?x?x70xf32>, %b: tensor<70x130xf32>, %r: tensor<?x?x130xf32>):
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %d0 = tensor.dim %a, %c0 : tensor<?x?x70xf32>
  %d1 = tensor.dim %a, %c1 : tensor<?x?x70xf32>
  %y = leat.matmul %a, %b : (tensor<?x?x70xf32>, tensor<70x130xf32>) -> tensor<?x?x130xf32>
  %e = tensor.empty(%d0, %d1) : tensor<?x?x130xf32>
  %zero = arith.constant 0.0 : f32
  %z = linalg.generic {indexing_maps = [affine_map<(b, i,j)->(b, i,j)>, affine_map<(b, i,j)->(b, i,j)>, affine_map<(b, i,j)->(b,i,j)>], iterator_types = ["parallel", "parallel", "parallel"]}
    ins(%y, %r : tensor<?x?x130xf32>, tensor<?x?x130xf32>) outs(%e : tensor<?x?x130xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %s = arith.addf %p, %q : f32
    %t = arith.maximumf %s, %zero : f32
    linalg.yield %t : f32
  } -> tensor<?x?x130xf32>
  leat.yield %z : tensor<?x?x130xf32>
}
leat.kernel_func @long inputs 3 -> [tensor<?x64xf32>] attributes {leat.layouts = ["", "panel64", ""]} {
^bb0(%a: tensor<?x70xf32>, %b: tensor<70x64xf32>, %r: tensor<?x64xf32>):
  %c0 = arith.constant 0 : index
  %d0 = tensor.dim %a, %c0 : tensor<?x70xf32>
  %y = leat.matmul %a, %b : (tensor<?x70xf32>, tensor<70x64xf32>) -> tensor<?x64xf32>
  %e = tensor.empty(%d0) : tensor<?x64xf32>
  %z = linalg.generic {indexing_maps = [affine_map<(i,j)->(i,j)>, affine_map<(i,j)->(i,j)>, affine_map<(i,j)->(i,j)>], iterator_types = ["parallel", "parallel"]}
    ins(%y, %r : tensor<?x64xf32>, tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) {
  ^bb0(%s0: f32, %q: f32, %o: f32):
  %s1 = arith.addf %s0, %q : f32
  %s2 = arith.addf %s1, %q : f32
  %s3 = arith.addf %s2, %q : f32
  %s4 = arith.addf %s3, %q : f32
  %s5 = arith.addf %s4, %q : f32
  %s6 = arith.addf %s5, %q : f32
  %s7 = arith.addf %s6, %q : f32
  %s8 = arith.addf %s7, %q : f32
  %s9 = arith.addf %s8, %q : f32
  %s10 = arith.addf %s9, %q : f32
  %s11 = arith.addf %s10, %q : f32
  %s12 = arith.addf %s11, %q : f32
  %s13 = arith.addf %s12, %q : f32
  %s14 = arith.addf %s13, %q : f32
  %s15 = arith.addf %s14, %q : f32
  %s16 = arith.addf %s15, %q : f32
  %s17 = arith.addf %s16, %q : f32
  %s18 = arith.addf %s17, %q : f32
  %s19 = arith.addf %s18, %q : f32
  %s20 = arith.addf %s19, %q : f32
  %s21 = arith.addf %s20, %q : f32
  %s22 = arith.addf %s21, %q : f32
  %s23 = arith.addf %s22, %q : f32
    linalg.yield %s23 : f32
  } -> tensor<?x64xf32>
  leat.yield %z : tensor<?x64xf32>
}
leat.kernel_func @deep inputs 2 -> [tensor<?x64xf32>] attributes {leat.layouts = ["", "panel64"]} {
^bb0(%a: tensor<?x2100xf32>, %b: tensor<2100x64xf32>):
  %y = leat.matmul %a, %b : (tensor<?x2100xf32>, tensor<2100x64xf32>) -> tensor<?x64xf32>
  leat.yield %y : tensor<?x64xf32>
}
leat.kernel_func @experts inputs 2 -> [tensor<5x?x70xf16>] attributes {leat.layouts = ["", "panel64"]} {
^bb0(%a: tensor<?x33xf16>, %b: tensor<5x33x70xf16>):
  %y = leat.matmul %a, %b : (tensor<?x33xf16>, tensor<5x33x70xf16>) -> tensor<5x?x70xf16>
  leat.yield %y : tensor<5x?x70xf16>
}
leat.kernel_func @computed inputs 2 -> [tensor<?x?xf32>] {
^bb0(%a: tensor<?x?xf32>, %b: tensor<?x?xf32>):
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %a, %c0 : tensor<?x?xf32>
  %k = tensor.dim %a, %c1 : tensor<?x?xf32>
  %n = tensor.dim %b, %c1 : tensor<?x?xf32>
  %ea = tensor.empty(%m, %k) : tensor<?x?xf32>
  %eb = tensor.empty(%k, %n) : tensor<?x?xf32>
  %aa = linalg.generic {indexing_maps = [affine_map<(i,j)->(i,j)>, affine_map<(i,j)->(i,j)>], iterator_types = ["parallel", "parallel"]} ins(%a : tensor<?x?xf32>) outs(%ea : tensor<?x?xf32>) {
  ^bb0(%p: f32, %o: f32):
    %s = arith.addf %p, %p : f32
    linalg.yield %s : f32
  } -> tensor<?x?xf32>
  %bb = linalg.generic {indexing_maps = [affine_map<(i,j)->(i,j)>, affine_map<(i,j)->(i,j)>], iterator_types = ["parallel", "parallel"]} ins(%b : tensor<?x?xf32>) outs(%eb : tensor<?x?xf32>) {
  ^bb0(%p: f32, %o: f32):
    %s = arith.mulf %p, %p : f32
    linalg.yield %s : f32
  } -> tensor<?x?xf32>
  %y = leat.matmul %aa, %bb : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  leat.yield %y : tensor<?x?xf32>
}
leat.kernel_func @strided inputs 2 -> [tensor<?x4x?x?xf32>] {
^bb0(%q: tensor<?x?x4x8xf32>, %k: tensor<?x?x4x8xf32>):
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = tensor.dim %q, %c0 : tensor<?x?x4x8xf32>
  %s = tensor.dim %q, %c1 : tensor<?x?x4x8xf32>
  %t = tensor.dim %k, %c1 : tensor<?x?x4x8xf32>
  %eq = tensor.empty(%n, %s) : tensor<?x4x?x8xf32>
  %ek = tensor.empty(%n, %t) : tensor<?x4x8x?xf32>
  %qt = linalg.generic {indexing_maps = [affine_map<(b,h,s,d)->(b,s,h,d)>, affine_map<(b,h,s,d)->(b,h,s,d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%q : tensor<?x?x4x8xf32>) outs(%eq : tensor<?x4x?x8xf32>) {
  ^bb0(%p: f32, %o: f32):
    linalg.yield %p : f32
  } -> tensor<?x4x?x8xf32>
  %kt = linalg.generic {indexing_maps = [affine_map<(b,h,d,s)->(b,s,h,d)>, affine_map<(b,h,d,s)->(b,h,d,s)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%k : tensor<?x?x4x8xf32>) outs(%ek : tensor<?x4x8x?xf32>) {
  ^bb0(%p: f32, %o: f32):
    linalg.yield %p : f32
  } -> tensor<?x4x8x?xf32>
  %y = leat.matmul %qt, %kt : (tensor<?x4x?x8xf32>, tensor<?x4x8x?xf32>) -> tensor<?x4x?x?xf32>
  leat.yield %y : tensor<?x4x?x?xf32>
}
)";

class Gemm : public KernelTest {
  const char *text() const override { return kernels; }
};

struct Shape {
  int64_t m, n, k;
};
const Shape shapes[] = {{1, 1, 1},   {1, 64, 64},  {1, 130, 33},  {2, 63, 1}, {5, 65, 16}, {6, 64, 15}, {7, 1, 17},   {47, 66, 3},
                        {48, 64, 8}, {49, 128, 9}, {100, 40, 40}, {0, 5, 5},  {5, 0, 5},   {3, 70, 0},  {3, 5, 1030}, {1, 16, 2048}};

TEST_P(Gemm, RuntimeOperands) {
  for (auto [m, n, k] : shapes) {
    Array a = Array::random("f32", {m, k}, 1), b = Array::random("f32", {k, n}, 2), y("f32", {m, n});
    jit->run("plain", {&a, &b}, {&y});
    expectProduct(y, 0, m, n, k, rowMajor(a, k), rowMajor(b, n), 3e-6);
    EXPECT_EQ(jit->lastCost[1], 2 * m * n * k);
    Array bt = Array::random("f32", {n, k}, 3);
    jit->run("trans_b", {&a, &bt}, {&y});
    expectProduct(y, 0, m, n, k, rowMajor(a, k), transposed(rowMajor(bt, k)), 3e-6);
    Array at = Array::random("f32", {k, m}, 4);
    jit->run("trans_a", {&at, &b}, {&y});
    expectProduct(y, 0, m, n, k, transposed(rowMajor(at, m)), rowMajor(b, n), 3e-6);
    jit->run("computed", {&a, &b}, {&y});
    expectProduct(
        y, 0, m, n, k, [&](int64_t i, int64_t j) { return 2 * a.at(i * k + j); },
        [&](int64_t i, int64_t j) { return std::pow(b.at(i * n + j), 2); }, 3e-6);
  }
}

TEST_P(Gemm, ElementTypes) {
  for (auto [m, n, k] : shapes) {
    for (auto [type, epsilon] : {std::pair("f64", 1e-14), std::pair("f16", 1e-3), std::pair("bf16", 1e-2)}) {
      bool transposedB = std::string(type) != "bf16";
      Array a = Array::random(type, {m, k}, 5),
            b = Array::random(type, transposedB ? std::vector<int64_t>{n, k} : std::vector<int64_t>{k, n}, 6);
      Array y(type, {m, n});
      jit->run(type, {&a, &b}, {&y});
      expectProduct(y, 0, m, n, k, rowMajor(a, k), transposedB ? transposed(rowMajor(b, k)) : rowMajor(b, n), epsilon);
    }
    Array a = Array::random("i8", {m, k}, 7, -128, 127), b = Array::random("i8", {k, n}, 8, -128, 127), y("i32", {m, n});
    jit->run("i8", {&a, &b}, {&y});
    expectProduct(y, 0, m, n, k, rowMajor(a, k), rowMajor(b, n), 0);
    Array a64 = Array::random("i64", {m, k}, 9, -100000, 100000), b64 = Array::random("i64", {k, n}, 10, -100000, 100000),
          y64("i64", {m, n});
    jit->run("i64", {&a64, &b64}, {&y64});
    expectProduct(y64, 0, m, n, k, rowMajor(a64, k), rowMajor(b64, n), 0);
  }
}

TEST_P(Gemm, Batches) {
  for (auto [m, n, k] : shapes) {
    Array a = Array::random("f32", {2, 3, m, k}, 11), b = Array::random("f32", {2, 1, k, n}, 12), y("f32", {2, 3, m, n});
    jit->run("batch", {&a, &b}, {&y});
    for (int64_t i = 0; i < 6; ++i)
      expectProduct(y, i * m * n, m, n, k, rowMajor(a, k, i * m * k), rowMajor(b, n, i / 3 * k * n), 3e-6);
    Array shared = Array::random("f32", {m, k}, 13), each = Array::random("f32", {4, k, n}, 14), z("f32", {4, m, n});
    jit->run("batch_rhs", {&shared, &each}, {&z});
    for (int64_t i = 0; i < 4; ++i)
      expectProduct(z, i * m * n, m, n, k, rowMajor(shared, k), rowMajor(each, n, i * k * n), 3e-6);
  }
}

TEST_P(Gemm, PackedWeightsAndEpilogue) {
  Array w = Array::random("f32", {70, 130}, 15), packed = panels(w, 70, 130);
  for (int64_t batch : {1, 2})
    for (int64_t m : {0, 1, 2, 6, 25, 48, 49}) {
      Array a = Array::random("f32", {batch, m, 70}, 16), r = Array::random("f32", {batch, m, 130}, 17), y("f32", {batch, m, 130});
      jit->run("packed", {&a, &packed, &r}, {&y});
      expectProduct(y, 0, batch * m, 130, 70, rowMajor(a, 70), rowMajor(w, 130), 3e-6, rowMajor(r, 130),
                    [](double v) { return std::max(v, 0.0); });
    }
  Array experts = Array::random("f16", {5, 33, 70}, 18), all("f16", {5, 2, 33, 64});
  for (int64_t e = 0; e < 5; ++e) {
    Array one("f16", {33, 70});
    for (int64_t i = 0; i < 33 * 70; ++i)
      one.set(i, experts.at(e * 33 * 70 + i));
    Array p = panels(one, 33, 70);
    for (int64_t i = 0; i < p.elementBytes() * 2 * 33 * 64; ++i)
      all.bytes[e * 2 * 33 * 64 * 2 + i] = p.bytes[i];
  }
  all.dims = {5, 33, 70};
  for (int64_t m : {1, 7}) {
    Array a = Array::random("f16", {m, 33}, 19), y("f16", {5, m, 70});
    jit->run("experts", {&a, &all}, {&y});
    for (int64_t e = 0; e < 5; ++e)
      expectProduct(y, e * m * 70, m, 70, 33, rowMajor(a, 33), rowMajor(experts, 70, e * 33 * 70), 1e-3);
  }
}

// Too long to be written for every vector of a tile: by way of scratch.
TEST_P(Gemm, LongEpilogue) {
  Array w = Array::random("f32", {70, 64}, 25), packed = panels(w, 70, 64);
  for (int64_t m : {1, 6, 25}) {
    Array a = Array::random("f32", {m, 70}, 26), r = Array::random("f32", {m, 64}, 27), y("f32", {m, 64});
    jit->run("long", {&a, &packed, &r}, {&y});
    expectProduct(y, 0, m, 64, 70, rowMajor(a, 70), rowMajor(w, 64), 3e-6, [&](int64_t i, int64_t j) { return 23 * r.at(i * 64 + j); });
  }
}

TEST_P(Gemm, RowsDoNotDependOnTheRowsAround) {
  Array w = Array::random("f32", {2100, 64}, 20), packed = panels(w, 2100, 64);
  Array all = Array::random("f32", {61, 2100}, 21), y("f32", {61, 64});
  jit->run("deep", {&all, &packed}, {&y});
  expectProduct(y, 0, 61, 64, 2100, rowMajor(all, 2100), rowMajor(w, 64), 3e-6);
  for (int64_t m : {1, 2, 3, 4, 5, 8}) {
    Array some("f32", {m, 2100}), z("f32", {m, 64});
    std::memcpy(some.bytes.data(), all.bytes.data() + 50 * 2100 * 4, some.bytes.size());
    jit->run("deep", {&some, &packed}, {&z});
    if (!Kernels::oneForm())
      expectProduct(z, 0, m, 64, 2100, rowMajor(all, 2100, 50 * 2100), rowMajor(w, 64), 3e-6);
    else
      EXPECT_EQ(std::memcmp(z.bytes.data(), y.bytes.data() + 50 * 64 * 4, z.bytes.size()), 0) << m << " rows";
  }
}

TEST_P(Gemm, StridedOperands) {
  for (auto [s, t] : {std::pair(1, 1), std::pair(7, 65), std::pair(50, 64), std::pair(1, 130)}) {
    Array q = Array::random("f32", {2, s, 4, 8}, 22), key = Array::random("f32", {2, t, 4, 8}, 23), y("f32", {2, 4, s, t});
    jit->run("strided", {&q, &key}, {&y});
    for (int64_t b = 0; b < 2; ++b)
      for (int64_t h = 0; h < 4; ++h)
        expectProduct(
            y, (b * 4 + h) * s * t, s, t, 8, [&, s = s](int64_t i, int64_t d) { return q.at(((b * s + i) * 4 + h) * 8 + d); },
            [&, t = t](int64_t d, int64_t j) { return key.at(((b * t + j) * 4 + h) * 8 + d); }, 3e-6);
  }
}

INSTANTIATE_TEST_SUITE_P(VectorBits, Gemm, testing::ValuesIn(Kernels::widths()));

} // namespace
