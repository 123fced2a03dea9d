// Groups of launches change when kernels run, never what they compute: an attention block, compiled with groups and without.
#include "test/unit/device/DeviceModel.h"

using namespace leat;
using namespace leat::rt;

namespace {

/// Attention with four heads over two: the products of q, k and v are a group.
const char *kBlock = R"(
  func.func @main(%x: tensor<?x64xf32>, %wq: tensor<64x64xf32>, %wk: tensor<64x32xf32>, %wv: tensor<64x32xf32>, %wo: tensor<64x64xf32>) -> tensor<?x64xf32> {
    %c0 = arith.constant 0 : index
    %zero = arith.constant 0.0 : f32
    %n = tensor.dim %x, %c0 : tensor<?x64xf32>
    %ew = tensor.empty(%n) : tensor<?x64xf32>
    %en = tensor.empty(%n) : tensor<?x32xf32>
    %fw = linalg.fill ins(%zero : f32) outs(%ew : tensor<?x64xf32>) -> tensor<?x64xf32>
    %fn = linalg.fill ins(%zero : f32) outs(%en : tensor<?x32xf32>) -> tensor<?x32xf32>
    %q = linalg.matmul ins(%x, %wq : tensor<?x64xf32>, tensor<64x64xf32>) outs(%fw : tensor<?x64xf32>) -> tensor<?x64xf32>
    %k = linalg.matmul ins(%x, %wk : tensor<?x64xf32>, tensor<64x32xf32>) outs(%fn : tensor<?x32xf32>) -> tensor<?x32xf32>
    %v = linalg.matmul ins(%x, %wv : tensor<?x64xf32>, tensor<64x32xf32>) outs(%fn : tensor<?x32xf32>) -> tensor<?x32xf32>
    %qh = tensor.expand_shape %q [[0, 1], [2, 3]] output_shape [1, %n, 4, 16] : tensor<?x64xf32> into tensor<1x?x4x16xf32>
    %kh = tensor.expand_shape %k [[0, 1], [2, 3]] output_shape [1, %n, 2, 16] : tensor<?x32xf32> into tensor<1x?x2x16xf32>
    %vh = tensor.expand_shape %v [[0, 1], [2, 3]] output_shape [1, %n, 2, 16] : tensor<?x32xf32> into tensor<1x?x2x16xf32>
    %oh = leat.kv_attend q(%qh) k(%kh) v(%vh) {scale = 0.25 : f64, causal, q_layout = "bshd", kv_layout = "bshd", o_layout = "bshd"}
        : (tensor<1x?x4x16xf32>, tensor<1x?x2x16xf32>, tensor<1x?x2x16xf32>) -> tensor<1x?x4x16xf32>
    %o = tensor.collapse_shape %oh [[0, 1], [2, 3]] : tensor<1x?x4x16xf32> into tensor<?x64xf32>
    %y = linalg.matmul ins(%o, %wo : tensor<?x64xf32>, tensor<64x64xf32>) outs(%fw : tensor<?x64xf32>) -> tensor<?x64xf32>
    return %y : tensor<?x64xf32>
  }
)";

/// Numbers of [-1, 1) that look drawn.
Tensor noise(int64_t rows, int64_t columns, uint32_t seed) {
  Shape shape;
  shape.dims[shape.rank++] = rows;
  shape.dims[shape.rank++] = columns;
  Tensor tensor = std::move(*Tensor::create(DType::F32, shape));
  for (int64_t i = 0; i < rows * columns; ++i) {
    seed = seed * 1664525 + 1013904223;
    tensor.as<float>()[i] = static_cast<float>(static_cast<int32_t>(seed)) / 2147483648.0f;
  }
  return tensor;
}

class GroupTest : public leat::test::DeviceModel {
protected:
  struct Ran {
    std::vector<float> result;
    int64_t launches = 0, groups = 0;
  };

  Ran block(const std::string &device) {
    Ran ran;
    auto model = load(device);
    EXPECT_TRUE(model) << error;
    auto s = model ? session(model) : nullptr;
    EXPECT_TRUE(s) << error;
    if (!s)
      return ran;
    EXPECT_TRUE(run(*s, "main", {&x, &wq, &wk, &wv, &wo})) << error;
    ran.result = values<float>(s->output(0));
    ran.launches = s->executor().counters().launches;
    ran.groups = s->executor().counters().groups;
    EXPECT_EQ(model->manifest().functions[0].launches, ran.launches);
    EXPECT_EQ(model->manifest().functions[0].groups, group ? 1 : 0);
    return ran;
  }

  /// With as many threads as given, one after the other: the same bits with groups and without.
  void check(const std::string &target, const std::string &device, std::initializer_list<int> threadCounts) {
    std::vector<Ran> together, apart;
    for (bool grouped : {true, false}) {
      group = grouped;
      compile(kBlock, target);
      for (int count : threadCounts) {
        threads = count;
        (grouped ? together : apart).push_back(block(device));
      }
    }
    for (size_t i = 0; i < together.size(); ++i) {
      EXPECT_EQ(together[i].result, apart[i].result) << i;
      EXPECT_EQ(together[i].result, together[0].result) << i;
      EXPECT_EQ(together[i].launches, apart[i].launches);
      EXPECT_EQ(together[i].groups, apart[i].groups - 2) << "q, k and v are not one group";
      EXPECT_EQ(apart[i].groups, apart[i].launches);
    }
    float most = 0;
    for (float value : together[0].result)
      most = std::max(most, std::abs(value));
    EXPECT_GT(most, 0.1f);
  }

  Tensor x = noise(40, 64, 1), wq = noise(64, 64, 2), wk = noise(64, 32, 3), wv = noise(64, 32, 4), wo = noise(64, 64, 5);
};

TEST_F(GroupTest, SameBitsOnTheCPU) { check("cpu", "cpu", {1, 2, 3}); }
TEST_F(GroupTest, SameBitsOnTheSimulator) { check("cuda", "sim:checked", {1, 2}); }

} // namespace
