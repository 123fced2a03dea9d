// Kernels as the GPU gets them: every variant of the list below, tuned unless it says otherwise, is assembled for Ampere and for Hopper.
// Registers that spill, and notices of the assembler that it serialised something, fail; what each kernel needs of a multiprocessor is
// written to kernel-resources-<gpu>.txt. Skipped where there is no ptxas.
#include "DeviceKernels.h"

#include "lib/Target/Ptx.h"

#include <fstream>
#include <gtest/gtest.h>

using namespace leat::test;

namespace {

std::string product(const std::string &name, const std::string &lhs, const std::string &rhs, const std::string &out, bool trans) {
  std::string weight = trans ? "tensor<768x512x" + rhs + ">" : "tensor<512x768x" + rhs + ">";
  return "leat.kernel_func @" + name + " inputs 3 -> [tensor<?x768x" + out + ">] {\n^bb0(%a: tensor<?x512x" + lhs + ">, %w: " + weight +
         ", %r: tensor<?x768x" + out + ">):\n  %c0 = arith.constant 0 : index\n  %m = tensor.dim %a, %c0 : tensor<?x512x" + lhs +
         ">\n  %y = leat.matmul %a, %w" + (trans ? " {trans_b}" : "") + " : (tensor<?x512x" + lhs + ">, " + weight + ") -> tensor<?x768x" +
         out + ">\n  %e = tensor.empty(%m) : tensor<?x768x" + out +
         ">\n  %z = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, "
         "j)>], "
         "iterator_types = [\"parallel\", \"parallel\"]} ins(%y, %r : tensor<?x768x" +
         out + ">, tensor<?x768x" + out + ">) outs(%e : tensor<?x768x" + out + ">) {\n  ^bb0(%p: " + out + ", %q: " + out + ", %o: " + out +
         "):\n    %s = arith.addf %p, %q : " + out + "\n    linalg.yield %s : " + out + "\n  } -> tensor<?x768x" + out +
         ">\n  leat.yield %z : tensor<?x768x" + out + ">\n}\n";
}

/// `options`: further attributes of the product.
std::string quantised(const std::string &name, int bits, int block = 32, int n = 768, const std::string &options = "") {
  std::string columns = std::to_string(n), shape = columns + "x" + std::to_string(512 / block), out = "tensor<?x" + columns + "xf32>";
  std::string codes = "tensor<" + shape + "x" + std::to_string(block * bits / 8) + "xi8>", scales = "tensor<" + shape + "xf16>";
  return "leat.kernel_func @" + name + " inputs 3 -> [" + out + "] {\n^bb0(%a: tensor<?x512xf32>, %c: " + codes + ", %s: " + scales +
         "):\n  %y = leat.matmul_nbits %a, %c, %s {k = 512, n = " + columns + ", bits = " + std::to_string(bits) +
         ", block = " + std::to_string(block) + options + "} : (tensor<?x512xf32>, " + codes + ", " + scales + ") -> " + out +
         "\n  leat.yield %y : " + out + "\n}\n";
}

/// A ring beside its sinks, of queries under two rotations, as far as a length in memory goes.
std::string stream(const std::string &name, const std::string &type, int size, int valueSize) {
  auto tensor = [&](const char *heads, int columns) {
    return std::string("tensor<?x") + heads + "x?x" + std::to_string(columns) + "x" + type + ">";
  };
  std::string q = tensor("8", size), k = tensor("2", size), v = tensor("2", valueSize), o = tensor("8", valueSize), p = "tensor<?xi64>";
  return "leat.kernel_func @" + name + " inputs 10 -> [" + o + "] {\n^bb0(%q0: " + q + ", %q1: " + q + ", %k0: " + k + ", %k1: " + k +
         ", %v0: " + v + ", %v1: " + v + ", %at: " + p + ", %p0: " + p + ", %p1: " + p + ", %n: " + p +
         "):\n  %o = leat.kv_attend q(%q0, %q1) k(%k0, %k1) v(%v0, %v1) q_pos(%at) k_pos(%p0, %p1) kv_len(%n) {scale = 0.125 : f64, "
         "causal, "
         "window_left = 1024 : i64} : (" +
         q + ", " + q + ", " + k + ", " + k + ", " + v + ", " + v + ", " + p + ", " + p + ", " + p + ", " + p + ") -> " + o +
         "\n  leat.yield %o : " + o + "\n}\n";
}

/// `list`: k_pos, kv_len, bias or nothing, of type `listType`. `valueSize` 0: as large as the head.
std::string attention(const std::string &name, const std::string &type, int size, const std::string &options, const char *list,
                      int valueSize = 0, const std::string &listType = "tensor<?xi64>") {
  auto tensor = [&](const std::string &heads, int columns) {
    return "tensor<?x" + heads + "x?x" + std::to_string(columns) + "x" + type + ">";
  };
  int last = valueSize ? valueSize : size;
  std::string q = tensor("8", size), k = tensor("2", size), v = tensor("2", last), o = tensor("8", last);
  return "leat.kernel_func @" + name + " inputs " + (*list ? "4" : "3") + " -> [" + o + "] {\n^bb0(%q: " + q + ", %k: " + k + ", %v: " + v +
         (*list ? ", %at: " + listType : "") + "):\n  %o = leat.kv_attend q(%q) k(%k) v(%v) " +
         (*list ? std::string(list) + "(%at) " : "") + "{scale = 0.125 : f64" + options + "} : (" + q + ", " + k + ", " + v +
         (*list ? ", " + listType : "") + ") -> " + o + "\n  leat.yield %o : " + o + "\n}\n";
}

/// Keys and values in pages.
std::string pages(const std::string &name, const std::string &type, int size, int page) {
  std::string columns = "x" + std::to_string(size) + "x" + type + ">", q = "tensor<?x8x?" + columns, rows = "tensor<?x2x?" + columns,
              pool = "!leat.state<tensor<?x2x" + std::to_string(page) + columns + ">", table = "!leat.state<tensor<?x?xi32>>";
  std::string view = "leat.cache_view %", by = "[%c0, %n] table(%t) : " + pool + ", " + table + " -> " + rows + "\n";
  return "leat.kernel_func @" + name + " inputs 4 -> [" + q + "] {\n^bb0(%q: " + q + ", %k: " + pool + ", %v: " + pool + ", %t: " + table +
         ", %n: index):\n  %c0 = arith.constant 0 : index\n  %x = " + view + "k" + by + "  %y = " + view + "v" + by +
         "  %o = leat.kv_attend q(%q) k(%x) v(%y) {scale = 0.125 : f64, causal} : (" + q + ", " + rows + ", " + rows + ") -> " + q +
         "\n  leat.yield %o : " + q + "\n}\n";
}

/// Along a row that is known, or of any length.
std::string argmax(const std::string &name, const std::string &length) {
  std::string x = "tensor<?x" + length + "xf32>";
  return "leat.kernel_func @" + name + " inputs 1 -> [tensor<?x1xi64>] {\n^bb0(%x: " + x +
         "):\n  %y = leat.arg_reduce %x {axis = 1 : i64, max = true} : (" + x +
         ") -> tensor<?x1xi64>\n  leat.yield %y : tensor<?x1xi64>\n}\n";
}

/// With all filters, or greedy.
std::string sample(const std::string &name, const std::string &tokens, bool greedy) {
  std::string x = "tensor<?x" + tokens + "xf32>";
  std::string how =
      greedy ? "temperature = 0.0 : f64"
             : "temperature = 0.8 : f64, top_k = 50 : i64, top_p = 0.9 : f64, min_p = 0.01 : f64, repetition_penalty = 1.1 : f64";
  return "leat.kernel_func @" + name + " inputs 2 -> [tensor<?xi64>] {\n^bb0(%x: " + x +
         ", %h: tensor<?x?xi64>, %step: index):\n  %y = leat.sample %x history %h : tensor<?x?xi64> step %step {seed = 1 : i64, " + how +
         "} : " + x + " -> tensor<?xi64>\n  leat.yield %y : tensor<?xi64>\n}\n";
}

std::string rows(const std::string &name, const std::string &op) {
  return "leat.kernel_func @" + name + " inputs 1 -> [tensor<?x768xf32>] {\n^bb0(%x: tensor<?x768xf32>):\n  %y = " + op +
         " : tensor<?x768xf32>\n  leat.yield %y : tensor<?x768xf32>\n}\n";
}

std::vector<std::pair<std::string, std::string>> variants() {
  std::vector<std::pair<std::string, std::string>> all;
  for (bool trans : {false, true}) {
    std::string end = trans ? "_trans" : "";
    for (const char *type : {"f16", "bf16", "f32"})
      all.push_back({std::string("gemm_") + type + end, product(std::string("gemm_") + type + end, type, type, type, trans)});
    for (const char *weight : {"f16", "bf16"}) {
      std::string name = std::string("gemm_f32_") + weight + end;
      all.push_back({name, product(name, "f32", weight, "f32", trans)});
    }
  }
  for (int bits : {4, 8})
    all.push_back({"nbits_" + std::to_string(bits), quantised("nbits_" + std::to_string(bits), bits)});
  // Activations in 8 bits, too: blocks of several steps and of one, few columns and many.
  for (auto [bits, block, n] : {std::tuple(8, 256, 1536), {8, 256, 768}, {8, 64, 1536}, {4, 32, 1536}, {4, 32, 768}, {4, 128, 1536}}) {
    std::string name = "nbits_" + std::to_string(bits) + "_int8_g" + std::to_string(block) + "_" + std::to_string(n);
    all.push_back({name, quantised(name, bits, block, n, ", int8_activations")});
  }
  for (int size : {64, 96, 128, 256})
    for (const char *type : {"f16", "bf16"}) {
      std::string name = std::string("attend_") + type + "_" + std::to_string(size);
      all.push_back({name, attention(name, type, size, ", causal", "")});
    }
  for (int size : {64, 128})
    all.push_back({"attend_f32_" + std::to_string(size), attention("attend_f32_" + std::to_string(size), "f32", size, ", causal", "")});
  for (int size : {64, 128, 256}) {
    std::string name = "attend_full_" + std::to_string(size);
    all.push_back({name, attention(name, "bf16", size, "", "")});
  }
  all.push_back({"attend_192_128", attention("attend_192_128", "bf16", 192, ", causal", "", 128)});
  all.push_back({"attend_window_softcap",
                 attention("attend_window_softcap", "bf16", 128, ", causal, window_left = 1024 : i64, softcap = 30.0 : f64", "")});
  all.push_back({"attend_ring", attention("attend_ring", "f16", 64, ", causal", "k_pos")});
  // Masks of keys, of queries and keys, of heads.
  for (int size : {64, 96, 128, 256})
    for (auto [shape, options] : {std::pair("?x1x1x?", ""), {"?x1x?x?", ", causal"}, {"1x8x?x?", ""}}) {
      std::string name = "attend_biased_" + std::to_string(size) + "_" + (*options ? "queries" : shape[0] == '1' ? "heads" : "keys");
      all.push_back({name, attention(name, "bf16", size, options, "bias", 0, std::string("tensor<") + shape + "xf32>")});
    }
  all.push_back({"attend_ring_full", attention("attend_ring_full", "bf16", 128, "", "k_pos")});
  for (int size : {64, 128}) {
    std::string name = "attend_length_" + std::to_string(size);
    all.push_back({name, attention(name, "bf16", size, ", causal", "kv_len")});
  }
  for (auto [size, valueSize] : {std::pair(64, 64), {96, 96}, {128, 128}, {192, 128}, {256, 256}}) {
    std::string name = "attend_stream_" + std::to_string(size);
    all.push_back({name, stream(name, size == 96 ? "f16" : "bf16", size, valueSize)});
  }
  // Blocks of keys that are parts of pages, and pages that are parts of blocks.
  for (auto [type, size, page] : {std::tuple("bf16", 64, 128),
                                  {"f16", 128, 128},
                                  {"bf16", 256, 128},
                                  {"f16", 64, 16},
                                  {"bf16", 128, 16},
                                  {"f32", 64, 64},
                                  {"f32", 64, 16}}) {
    std::string name = std::string("attend_pages_") + type + "_" + std::to_string(size) + "_" + std::to_string(page);
    all.push_back({name, pages(name, type, size, page)});
  }
  all.push_back({"softmax", rows("softmax", "leat.softmax %x {axis = 1 : i64}")});
  for (const char *length : {"64", "49152", "?"}) {
    std::string name = std::string("argmax_") + (*length == '?' ? "any" : length);
    all.push_back({name, argmax(name, length)});
  }
  for (const char *tokens : {"1000", "49152", "?"})
    for (bool greedy : {true, false}) {
      std::string name = std::string(greedy ? "greedy_" : "sample_") + (*tokens == '?' ? "any" : tokens);
      all.push_back({name, sample(name, tokens, greedy)});
    }
  // In the generic form: the assembler once spilled what it has room for, so that more blocks would fit.
  all.push_back({"cumsum", rows("cumsum", "leat.cumsum %x {axis = 1 : i64}")});
  return all;
}

/// Blocks that fit a multiprocessor.
int64_t blocksPerSM(int64_t threads, int64_t registers, int64_t sharedBytes, bool hopper) {
  int64_t shared = hopper ? 228 << 10 : 164 << 10, perWarp = (registers * 32 + 255) / 256 * 256;
  int64_t blocks = std::min<int64_t>(32, 2048 / threads);
  blocks = std::min(blocks, 65536 / (perWarp * (threads / 32)));
  return std::min(blocks, shared / (sharedBytes + 1024));
}

class Assembly : public testing::TestWithParam<const char *> {};

TEST_P(Assembly, NothingSpillsOrIsSerialised) {
  std::string ptxas = leat::target::findPtxas(""), gpu = GetParam();
  if (ptxas.empty())
    GTEST_SKIP() << "ptxas is not installed";
  auto spec = leat::target::resolveGpu(gpu);
  ASSERT_TRUE(bool(spec));
  std::ofstream table(LEAT_BUILD_DIR "/kernel-resources-" + gpu + ".txt");
  table << "kernel                          threads  registers  shared bytes  blocks per SM  warps per SM  seconds\n";
  for (auto &[name, text] : variants()) {
    SCOPED_TRACE(name);
    auto kernels = DeviceKernels::compile(text, gpu);
    ASSERT_TRUE(kernels);
    ASSERT_EQ(kernels->ptx.size(), 1u);
    std::vector<int64_t> ones(64, 1);
    auto launches = kernels->geometry(name, ones);
    auto assembled = leat::target::assemblePtx(ptxas, *spec, kernels->ptx[0]);
    ASSERT_TRUE(bool(assembled)) << llvm::toString(assembled.takeError());
    // The processor's time: the machine may be busy with other things.
    double seconds = assembled->seconds;
    EXPECT_GT(seconds, 0);
    EXPECT_LT(seconds / launches.size(), 1) << "seconds for one entry";
    EXPECT_TRUE(assembled->notices.empty()) << assembled->notices.front();
    for (size_t phase = 0; phase < launches.size(); ++phase)
      for (const auto &entry : assembled->entries) {
        if (entry.name != kernels->entries(name)[phase])
          continue;
        EXPECT_EQ(entry.spillBytes, 0) << entry.name << " spills registers";
        int64_t threads = launches[phase].block[0], shared = launches[phase].dynamic_shared + entry.sharedBytes;
        int64_t blocks = blocksPerSM(threads, entry.registers, shared, gpu == "sm_90a");
        EXPECT_GT(blocks, 0) << entry.name << " does not fit a multiprocessor";
        char line[200];
        std::snprintf(line, sizeof line, "%-32s %6lld %10lld %13lld %14lld %13lld %8.2f\n", entry.name.c_str() + 5, (long long)threads,
                      (long long)entry.registers, (long long)shared, (long long)blocks, (long long)(blocks * threads / 32), seconds);
        table << line;
      }
  }
}

INSTANTIATE_TEST_SUITE_P(Gpus, Assembly, testing::Values("sm_80", "sm_90a"));

} // namespace
