// Neighbouring threads of kernels in the generic form touch neighbouring elements: sectors of 32 bytes that the simulator counts, over the
// bytes that threads ask for. A thread that walks along a row of its own would have a ratio of 4 to 32.
#include "DeviceKernels.h"

#include <gtest/gtest.h>

using namespace leat::test;

namespace {

const char *kKernels = R"(
#id = affine_map<(a, b) -> (a, b)>
leat.kernel_func @elements inputs 2 -> [tensor<?x?xf16>] {
^bb0(%x: tensor<?x?xf16>, %y: tensor<?x?xf16>):
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %x, %c0 : tensor<?x?xf16>
  %n = tensor.dim %x, %c1 : tensor<?x?xf16>
  %e = tensor.empty(%m, %n) : tensor<?x?xf16>
  %r = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %y : tensor<?x?xf16>, tensor<?x?xf16>) outs(%e : tensor<?x?xf16>) {
  ^bb0(%a: f16, %b: f16, %o: f16):
    %0 = arith.addf %a, %b : f16
    linalg.yield %0 : f16
  } -> tensor<?x?xf16>
  leat.yield %r : tensor<?x?xf16>
}
leat.kernel_func @rotary inputs 3 -> [tensor<?x9x?x64xf32>] {
^bb0(%x: tensor<?x9x?x64xf32>, %c: tensor<?x?x32xf32>, %s: tensor<?x?x32xf32>):
  %r = leat.rotary %x, %c, %s {rotary_dim = 64 : i64} : (tensor<?x9x?x64xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>) -> tensor<?x9x?x64xf32>
  leat.yield %r : tensor<?x9x?x64xf32>
}
leat.kernel_func @append inputs 4 -> [!leat.state<tensor<?x3x?x64xf32>>] {
^bb0(%x: tensor<?x3x?x64xf32>, %c: tensor<?x?x32xf32>, %s: tensor<?x?x32xf32>, %slot: !leat.state<tensor<?x3x?x64xf32>>, %at: index):
  %r = leat.rotary %x, %c, %s {rotary_dim = 64 : i64} : (tensor<?x3x?x64xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>) -> tensor<?x3x?x64xf32>
  %0 = leat.cache_append %slot, %r at %at {axis = 2 : i64} : !leat.state<tensor<?x3x?x64xf32>>, tensor<?x3x?x64xf32>
  leat.yield %0 : !leat.state<tensor<?x3x?x64xf32>>
}
leat.kernel_func @ring inputs 2 -> [!leat.state<tensor<?x3x?x64xf32>>] {
^bb0(%slot: !leat.state<tensor<?x3x?x64xf32>>, %x: tensor<?x?x3x64xf32>, %at: index):
  %0 = leat.cache_append %slot, %x at %at {axis = 2 : i64, layout = "bshd", ring = 12 : i64, sink = 4 : i64} : !leat.state<tensor<?x3x?x64xf32>>, tensor<?x?x3x64xf32>
  leat.yield %0 : !leat.state<tensor<?x3x?x64xf32>>
}
leat.kernel_func @pages inputs 3 -> [!leat.state<tensor<?x3x16x64xf32>>] {
^bb0(%slot: !leat.state<tensor<?x3x16x64xf32>>, %x: tensor<?x?x3x64xf32>, %table: !leat.state<tensor<?x?xi32>>, %at: index):
  %0 = leat.cache_append %slot, %x at %at table(%table) {axis = 2 : i64, layout = "bshd"} : !leat.state<tensor<?x3x16x64xf32>>, tensor<?x?x3x64xf32>, !leat.state<tensor<?x?xi32>>
  leat.yield %0 : !leat.state<tensor<?x3x16x64xf32>>
}
leat.kernel_func @coded inputs 2 -> [!leat.state<tensor<?x3x?x64xi8>>] {
^bb0(%slot: !leat.state<tensor<?x3x?x64xi8>>, %x: tensor<?x3x?x64xi8>, %at: index):
  %0 = leat.cache_append %slot, %x at %at {axis = 2 : i64} : !leat.state<tensor<?x3x?x64xi8>>, tensor<?x3x?x64xi8>
  leat.yield %0 : !leat.state<tensor<?x3x?x64xi8>>
}
leat.kernel_func @merge inputs 4 -> [tensor<?x?x64xf32>, tensor<?x?xf32>] {
^bb0(%x: tensor<?x?x64xf32>, %y: tensor<?x?x64xf32>, %a: tensor<?x?xf32>, %b: tensor<?x?xf32>):
  %o, %m = leat.attn_merge values(%x, %y) lses(%a, %b) : (tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?xf32>, tensor<?x?xf32>) -> (tensor<?x?x64xf32>, tensor<?x?xf32>)
  leat.yield %o, %m : tensor<?x?x64xf32>, tensor<?x?xf32>
}
leat.kernel_func @columns inputs 1 -> [tensor<1x?xi64>] {
^bb0(%x: tensor<?x?xf32>):
  %0 = leat.arg_reduce %x {axis = 0 : i64, max = true} : (tensor<?x?xf32>) -> tensor<1x?xi64>
  leat.yield %0 : tensor<1x?xi64>
}
leat.kernel_func @sums inputs 1 -> [tensor<?x?x?xf32>] {
^bb0(%x: tensor<?x?x?xf32>):
  %0 = leat.cumsum %x {axis = 1 : i64} : tensor<?x?x?xf32>
  leat.yield %0 : tensor<?x?x?xf32>
}
leat.kernel_func @softmax inputs 1 -> [tensor<?x?x?xf32>] {
^bb0(%x: tensor<?x?x?xf32>):
  %0 = leat.softmax %x {axis = 1 : i64} : tensor<?x?x?xf32>
  leat.yield %0 : tensor<?x?x?xf32>
}
leat.kernel_func @groups inputs 1 -> [tensor<?xf32>] {
^bb0(%x: tensor<?x32xf32>):
  %c0 = arith.constant 0 : index
  %m = tensor.dim %x, %c0 : tensor<?x32xf32>
  %z = arith.constant 0.0 : f32
  %e = tensor.empty(%m) : tensor<?xf32>
  %i = linalg.fill ins(%z : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a)>], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<?x32xf32>) outs(%i : tensor<?xf32>) {
  ^bb0(%v: f32, %o: f32):
    %0 = arith.maxnumf %v, %o : f32
    linalg.yield %0 : f32
  } -> tensor<?xf32>
  leat.yield %r : tensor<?xf32>
}
leat.kernel_func @walk inputs 1 -> [tensor<?x?xf32>] {
^bb0(%x: tensor<?x?xf32>):
  %0 = leat.cumsum %x {axis = 1 : i64} : tensor<?x?xf32>
  leat.yield %0 : tensor<?x?xf32>
}
)";

TEST(Coalescing, NeighboursTouchNeighbours) {
  auto kernels = DeviceKernels::compile(kKernels);
  ASSERT_TRUE(kernels);
  auto wasteOf = [&](const std::string &name, std::vector<Array> inputs, std::vector<Array> results, std::vector<int64_t> scalars = {}) {
    std::vector<Array *> in, out;
    for (Array &a : inputs)
      in.push_back(&a);
    for (Array &a : results)
      out.push_back(&a);
    auto outcome = kernels->run(name, in, out, scalars);
    for (const std::string &error : outcome.errors)
      ADD_FAILURE() << "@" << name << ": " << error;
    const auto &c = outcome.counters;
    return 32.0 * double(c.globalLoadSectors + c.globalStoreSectors) / double(c.globalLoadBytes + c.globalStoreBytes);
  };
  auto random = [](const char *type, std::vector<int64_t> dims) { return Array::random(type, std::move(dims), 7); };
  // Seven tokens behind six that the cache has.
  Array cache = random("f32", {1, 3, 16, 64}), bytes("i8", {1, 3, 16, 64}), pool = random("f32", {4, 3, 16, 64});
  cache.length = bytes.length = pool.length = 6;
  Array table = Array("i32", {1, 4});
  for (int64_t i = 0; i < 4; ++i)
    table.set(i, 3 - i);
  Array angles = random("f32", {1, 7, 32}), heads = random("f32", {1, 7, 3, 64});
  EXPECT_LE(wasteOf("elements", {random("f16", {3, 512}), random("f16", {3, 512})}, {Array("f16", {3, 512})}), 1.0);
  EXPECT_LE(wasteOf("rotary", {random("f32", {1, 9, 7, 64}), angles, angles}, {Array("f32", {1, 9, 7, 64})}), 1.0);
  EXPECT_LE(wasteOf("append", {random("f32", {1, 3, 7, 64}), angles, angles, cache}, {}, {6}), 1.0);
  EXPECT_LE(wasteOf("ring", {cache, heads}, {}, {6}), 1.0);
  EXPECT_LE(wasteOf("pages", {pool, heads, table}, {}, {6}), 1.3); // and a number of the table for each element, from one sector
  EXPECT_LE(wasteOf("coded", {bytes, Array("i8", {1, 3, 7, 64})}, {}, {6}), 1.0);
  EXPECT_LE(wasteOf("merge", {random("f32", {2, 5, 64}), random("f32", {2, 5, 64}), random("f32", {2, 5}), random("f32", {2, 5})},
                    {Array("f32", {2, 5, 64}), Array("f32", {2, 5})}),
            1.1);
  EXPECT_LE(wasteOf("columns", {random("f32", {9, 512})}, {Array("i64", {1, 512})}), 1.0);
  EXPECT_LE(wasteOf("sums", {random("f32", {2, 9, 256})}, {Array("f32", {2, 9, 256})}), 1.0);
  EXPECT_LE(wasteOf("softmax", {random("f32", {2, 9, 256})}, {Array("f32", {2, 9, 256})}), 5.0); // scratch lies thread by thread
  EXPECT_LE(wasteOf("groups", {random("f32", {64, 32})}, {Array("f32", {64})}), 1.3);            // one result of eight lanes
  // What this test is there to find.
  EXPECT_GE(wasteOf("walk", {random("f32", {64, 100})}, {Array("f32", {64, 100})}), 4.0);
}

} // namespace
