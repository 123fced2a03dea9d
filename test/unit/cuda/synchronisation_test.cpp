// Whether the tests of tuned kernels would notice a missing wait: each instruction that orders something is deleted (or weakened) by itself
// in the PTX text, and the simulator has to report it. A survivor is either a hole in the tests or an instruction that is not needed.
#include "DeviceKernels.h"

#include <gtest/gtest.h>
#include <regex>

using namespace leat::test;

namespace {

const char *kKernels = R"(
leat.kernel_func @gemm inputs 2 -> [tensor<?x72xf16>] {
^bb0(%x: tensor<?x1104xf16>, %w: tensor<1104x72xf16>):
  %y = leat.matmul %x, %w : (tensor<?x1104xf16>, tensor<1104x72xf16>) -> tensor<?x72xf16>
  leat.yield %y : tensor<?x72xf16>
}
leat.kernel_func @mixed inputs 2 -> [tensor<?x64xf32>] {
^bb0(%x: tensor<?x1104xf32>, %w: tensor<64x1104xbf16>):
  %y = leat.matmul %x, %w {trans_b} : (tensor<?x1104xf32>, tensor<64x1104xbf16>) -> tensor<?x64xf32>
  leat.yield %y : tensor<?x64xf32>
}
leat.kernel_func @exact inputs 2 -> [tensor<?x33xf32>] {
^bb0(%x: tensor<?x130xf32>, %w: tensor<130x33xf32>):
  %y = leat.matmul %x, %w : (tensor<?x130xf32>, tensor<130x33xf32>) -> tensor<?x33xf32>
  leat.yield %y : tensor<?x33xf32>
}
leat.kernel_func @coded inputs 4 -> [tensor<?x64xf32>] {
^bb0(%x: tensor<?x544xf32>, %codes: tensor<64x17x16xi8>, %scales: tensor<64x17xf32>, %zeros: tensor<64x17xf32>):
  %y = leat.matmul_nbits %x, %codes, %scales, %zeros {k = 544 : i64, n = 64 : i64, bits = 4 : i64, block = 32 : i64} : (tensor<?x544xf32>, tensor<64x17x16xi8>, tensor<64x17xf32>, tensor<64x17xf32>) -> tensor<?x64xf32>
  leat.yield %y : tensor<?x64xf32>
}
leat.kernel_func @bytes inputs 3 -> [tensor<?x64xf32>] {
^bb0(%x: tensor<?x896xf32>, %codes: tensor<64x7x128xi8>, %scales: tensor<64x7xf32>):
  %y = leat.matmul_nbits %x, %codes, %scales {int8_activations, k = 896 : i64, n = 64 : i64, bits = 8 : i64, block = 128 : i64} : (tensor<?x896xf32>, tensor<64x7x128xi8>, tensor<64x7xf32>) -> tensor<?x64xf32>
  leat.yield %y : tensor<?x64xf32>
}
leat.kernel_func @halfbytes inputs 3 -> [tensor<?x64xf32>] {
^bb0(%x: tensor<?x512xf32>, %codes: tensor<64x8x32xi8>, %scales: tensor<64x8xf32>):
  %y = leat.matmul_nbits %x, %codes, %scales {int8_activations, k = 512 : i64, n = 64 : i64, bits = 4 : i64, block = 64 : i64} : (tensor<?x512xf32>, tensor<64x8x32xi8>, tensor<64x8xf32>) -> tensor<?x64xf32>
  leat.yield %y : tensor<?x64xf32>
}
leat.kernel_func @attend inputs 3 -> [tensor<1x4x?x64xbf16>] {
^bb0(%q: tensor<1x4x?x64xbf16>, %k: tensor<1x2x?x64xbf16>, %v: tensor<1x2x?x64xbf16>):
  %0 = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.125 : f64, causal} : (tensor<1x4x?x64xbf16>, tensor<1x2x?x64xbf16>, tensor<1x2x?x64xbf16>) -> tensor<1x4x?x64xbf16>
  leat.yield %0 : tensor<1x4x?x64xbf16>
}
leat.kernel_func @pages inputs 4 -> [tensor<1x4x?x64xbf16>] {
^bb0(%q: tensor<1x4x?x64xbf16>, %k: !leat.state<tensor<?x2x128x64xbf16>>, %v: !leat.state<tensor<?x2x128x64xbf16>>, %t: !leat.state<tensor<?x?xi32>>, %n: index):
  %c0 = arith.constant 0 : index
  %x = leat.cache_view %k[%c0, %n] table(%t) : !leat.state<tensor<?x2x128x64xbf16>>, !leat.state<tensor<?x?xi32>> -> tensor<1x2x?x64xbf16>
  %y = leat.cache_view %v[%c0, %n] table(%t) : !leat.state<tensor<?x2x128x64xbf16>>, !leat.state<tensor<?x?xi32>> -> tensor<1x2x?x64xbf16>
  %0 = leat.kv_attend q(%q) k(%x) v(%y) {scale = 0.125 : f64, causal} : (tensor<1x4x?x64xbf16>, tensor<1x2x?x64xbf16>, tensor<1x2x?x64xbf16>) -> tensor<1x4x?x64xbf16>
  leat.yield %0 : tensor<1x4x?x64xbf16>
}
leat.kernel_func @argmax inputs 1 -> [tensor<1x1xi64>] {
^bb0(%x: tensor<1x5000xf32>):
  %0 = leat.arg_reduce %x {axis = 1 : i64, max = true} : (tensor<1x5000xf32>) -> tensor<1x1xi64>
  leat.yield %0 : tensor<1x1xi64>
}
leat.kernel_func @sample inputs 2 -> [tensor<?xi64>] {
^bb0(%x: tensor<?x200xf32>, %h: tensor<?x?xi64>, %step: index):
  %0 = leat.sample %x history %h : tensor<?x?xi64> step %step {seed = 3 : i64, temperature = 0.8 : f64, top_k = 40 : i64, top_p = 0.9 : f64, repetition_penalty = 1.5 : f64} : tensor<?x200xf32> -> tensor<?xi64>
  leat.yield %0 : tensor<?xi64>
}
leat.kernel_func @softmax inputs 1 -> [tensor<?x300xf32>] {
^bb0(%x: tensor<?x300xf32>):
  %0 = leat.softmax %x {axis = 1 : i64} : tensor<?x300xf32>
  leat.yield %0 : tensor<?x300xf32>
}
leat.kernel_func @ring inputs 4 -> [tensor<1x4x?x16xf32>] {
^bb0(%q: tensor<1x4x?x16xf32>, %k: tensor<1x2x?x16xf32>, %v: tensor<1x2x?x16xf32>, %at: tensor<?xi64>):
  %0 = leat.kv_attend q(%q) k(%k) v(%v) k_pos(%at) {scale = 0.25 : f64, causal} : (tensor<1x4x?x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>, tensor<?xi64>) -> tensor<1x4x?x16xf32>
  leat.yield %0 : tensor<1x4x?x16xf32>
}
leat.kernel_func @stream inputs 10 -> [tensor<1x4x?x64xf16>] {
^bb0(%q0: tensor<1x4x?x64xf16>, %q1: tensor<1x4x?x64xf16>, %k0: tensor<1x2x?x64xf16>, %k1: tensor<1x2x?x64xf16>, %v0: tensor<1x2x?x64xf16>, %v1: tensor<1x2x?x64xf16>, %at: tensor<?xi64>, %p0: tensor<?xi64>, %p1: tensor<?xi64>, %n: tensor<?xi64>):
  %0 = leat.kv_attend q(%q0, %q1) k(%k0, %k1) v(%v0, %v1) q_pos(%at) k_pos(%p0, %p1) kv_len(%n) {scale = 0.25 : f64, causal} : (tensor<1x4x?x64xf16>, tensor<1x4x?x64xf16>, tensor<1x2x?x64xf16>, tensor<1x2x?x64xf16>, tensor<1x2x?x64xf16>, tensor<1x2x?x64xf16>, tensor<?xi64>, tensor<?xi64>, tensor<?xi64>, tensor<?xi64>) -> tensor<1x4x?x64xf16>
  leat.yield %0 : tensor<1x4x?x64xf16>
}
)";

struct Case {
  std::string kernel;
  std::vector<Array> inputs, results;
  std::vector<int64_t> scalars = {};
};

/// Operands with which every ring of stages is gone through twice, and every phase of a kernel runs in one of its cases.
std::vector<Case> cases() {
  std::vector<Case> all;
  auto random = [](const char *type, std::vector<int64_t> dims) { return Array::random(type, std::move(dims), 7); };
  // On Hopper 140 rows are two blocks, a cluster.
  all.push_back({"gemm", {random("f16", {140, 1104}), random("f16", {1104, 72})}, {Array("f16", {140, 72})}});
  for (int64_t rows : {40, 3}) {
    all.push_back({"gemm", {random("f16", {rows, 1104}), random("f16", {1104, 72})}, {Array("f16", {rows, 72})}});
    all.push_back({"mixed", {random("f32", {rows, 1104}), random("bf16", {64, 1104})}, {Array("f32", {rows, 64})}});
    all.push_back(
        {"coded",
         {random("f32", {rows, 544}), Array::random("i8", {64, 17, 16}, 3, -128, 127), random("f32", {64, 17}), random("f32", {64, 17})},
         {Array("f32", {rows, 64})}});
  }
  all.push_back({"bytes",
                 {random("f32", {40, 896}), Array::random("i8", {64, 7, 128}, 3, -128, 127), random("f32", {64, 7})},
                 {Array("f32", {40, 64})}});
  all.push_back({"halfbytes",
                 {random("f32", {40, 512}), Array::random("i8", {64, 8, 32}, 3, -128, 127), random("f32", {64, 8})},
                 {Array("f32", {40, 64})}});
  all.push_back({"exact", {random("f32", {40, 130}), random("f32", {130, 33})}, {Array("f32", {40, 33})}});
  // On Hopper also tiles of two blocks of keys: as many as have memory, so that the first of the next tile follows at once.
  for (auto [queries, keys] : {std::pair<int64_t, int64_t>(70, 700), {2, 700}, {70, 200}})
    all.push_back({"attend",
                   {random("bf16", {1, 4, queries, 64}), random("bf16", {1, 2, keys, 64}), random("bf16", {1, 2, keys, 64})},
                   {Array("bf16", {1, 4, queries, 64})}});
  // Six pages, the last with some entries or all, and again two blocks of keys; the table is not in their order.
  for (auto [queries, keys] : {std::pair<int64_t, int64_t>(70, 700), {2, 700}, {70, 100}, {70, 768}}) {
    Array table("i32", {1, 6});
    for (int64_t i = 0; i < 6; ++i)
      table.set(i, (i * 5 + 2) % 7);
    all.push_back({"pages",
                   {random("bf16", {1, 4, queries, 64}), random("bf16", {7, 2, 128, 64}), random("bf16", {7, 2, 128, 64}), table},
                   {Array("bf16", {1, 4, queries, 64})},
                   {keys}});
  }
  all.push_back({"argmax", {random("f32", {1, 5000})}, {Array("i64", {1, 1})}});
  // Also with ties at the end of what is kept, whose order is looked for.
  Array tied("f32", {2, 200});
  for (int64_t i = 0; i < 200; ++i)
    tied.set(i, i % 5), tied.set(200 + i, i % 97);
  Array history = Array::i64({2, 3}, {7, 150, -1, 199, 96, 0});
  for (const Array &x : {Array::random("f32", {2, 200}, 7, -2, 2), tied})
    all.push_back({"sample", {x, history}, {Array("i64", {2})}, {5}});
  all.push_back({"softmax", {random("f32", {2, 300})}, {Array("f32", {2, 300})}});
  // The last block is nobody's and left out; the one before is in the stage whose memory results take.
  for (int64_t queries : {20, 1}) {
    Array positions("i64", {230});
    for (int64_t i = 0; i < 230; ++i)
      positions.set(i, i < 215 ? (i + 37) % 215 : -1);
    all.push_back({"ring",
                   {random("f32", {1, 4, queries, 16}), random("f32", {1, 2, 230, 16}), random("f32", {1, 2, 230, 16}), positions},
                   {Array("f32", {1, 4, queries, 16})}});
  }
  // Blocks with and without keys that are nobody's, in the middle of the list and at its end; and one block of each segment.
  for (auto [first, second, length] : {std::tuple<int64_t, int64_t, int64_t>(300, 220, 290), {300, 220, 210}, {60, 60, 60}}) {
    Case c{"stream", {random("f16", {1, 4, 70, 64}), random("f16", {1, 4, 70, 64})}, {Array("f16", {1, 4, 70, 64})}};
    Array at("i64", {70});
    for (int64_t i = 0; i < 70; ++i)
      at.set(i, 480 + i);
    for (int64_t keys : {first, second, first, second}) // keys of both segments, then values
      c.inputs.push_back(random("f16", {1, 2, keys, 64}));
    c.inputs.push_back(at);
    for (int64_t keys : {first, second}) {
      Array positions("i64", {keys});
      for (int64_t i = 0; i < keys; ++i)
        positions.set(i, i == 120 ? -1 : i);
      c.inputs.push_back(positions);
    }
    c.inputs.push_back(Array::i64({1}, {length}));
    all.push_back(c);
  }
  return all;
}

/// The text with one instruction changed, and which.
struct Mutant {
  std::string text, what;
};

/// Mutants of one entry of a module.
std::vector<Mutant> mutants(const std::string &ptx, const std::string &entry) {
  std::vector<Mutant> all;
  size_t begin = ptx.find(".entry " + entry + "("), end = ptx.find("\n}", begin);
  if (begin == std::string::npos)
    return all;
  static const std::regex order(
      R"((bar\.sync|barrier\.sync|barrier\.cta\.sync|bar\.arrive|cp\.async\.commit_group|cp\.async\.wait_group|cp\.async\.bulk\.tensor|fence\.proxy|mbarrier\.init|mbarrier\.arrive|again: mbarrier\.try_wait[^;]*;\s*@!done bra|barrier\.cluster\.arrive|barrier\.cluster\.wait|fence\.mbarrier_init|wgmma\.fence|wgmma\.commit_group|wgmma\.wait_group)[^;\n]*;)");
  for (std::sregex_iterator it(ptx.begin() + begin, ptx.begin() + end, order), last; it != last; ++it) {
    size_t at = begin + it->position(), length = it->length();
    std::string where = " in line " + std::to_string(1 + std::count(ptx.begin(), ptx.begin() + at, '\n'));
    all.push_back({ptx.substr(0, at) + std::string(length, ' ') + ptx.substr(at + length), "without '" + it->str() + "'" + where});
    static const std::regex wait(R"((cp\.async\.wait_group\s+|wgmma\.wait_group\.sync\.aligned\s+)(\d+);)");
    std::smatch number;
    std::string text = it->str();
    if (std::regex_search(text, number, wait)) {
      std::string weaker = number[1].str() + std::to_string(std::stoi(number[2]) + 1) + ";";
      all.push_back({ptx.substr(0, at) + weaker + ptx.substr(at + length), "'" + weaker + "' for '" + text + "'" + where});
    }
  }
  return all;
}

class Synchronisation : public testing::TestWithParam<const char *> {};

TEST_P(Synchronisation, EveryMutantIsReported) {
  auto kernels = DeviceKernels::compile(kKernels, GetParam());
  ASSERT_TRUE(kernels);
  kernels->multiprocessors = 1; // a block that stays comes to every tile, and to memory that it has used before
  std::map<std::string, std::vector<Case>> byKernel;
  for (Case &c : cases())
    byKernel[c.kernel].push_back(c);
  auto run = [&](Case c) {
    std::vector<Array *> inputs, results;
    for (Array &a : c.inputs)
      inputs.push_back(&a);
    for (Array &a : c.results)
      results.push_back(&a);
    return kernels->run(c.kernel, inputs, results, c.scalars);
  };
  // Only in prefill on Hopper, behind the launch that classifies blocks, it has what others have not; elsewhere LLVM leaves an empty group
  // of copies on a path without keys.
  auto isTried = [&](const std::string &name, unsigned phase) {
    if (name == "bytes" || name == "halfbytes") // the form for few rows is that of "coded"
      return phase > 0;
    return name != "stream" || (phase == 1 && GetParam() == std::string("sm_90a"));
  };
  unsigned count = 0;
  const std::vector<std::string> original = kernels->ptx;
  for (auto &[name, list] : byKernel) {
    for (const Case &c : list)
      for (const std::string &error : run(c).errors)
        ADD_FAILURE() << "@" << name << " as it is: " << error;
    for (unsigned phase = 0; phase < kernels->phases(name) && isTried(name, phase); ++phase)
      for (size_t m = 0; m < original.size(); ++m)
        for (const Mutant &mutant : mutants(original[m], "leat_" + name + (phase ? "_phase" + std::to_string(phase) : ""))) {
          kernels->ptx[m] = mutant.text;
          bool found = false;
          for (const Case &c : list)
            found = found || !run(c).errors.empty();
          EXPECT_TRUE(found) << "@" << name << ", phase " << phase << ", " << mutant.what << ": nothing is reported";
          kernels->ptx[m] = original[m];
          ++count;
        }
  }
  EXPECT_GT(count, 30u);
  RecordProperty("mutants", static_cast<int>(count));
  std::cout << count << " mutants\n";
}

INSTANTIATE_TEST_SUITE_P(Gpus, Synchronisation, testing::Values("sm_80", "sm_90a"));

} // namespace
