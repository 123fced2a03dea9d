// Deletes or weakens one synchronisation at a time in kernels that are correct: every mutant has to be reported, whether or not its numbers
// come out wrong. The kernels themselves have to be clean under random schedules.
#include "Sm90Kernels.h"

#include <functional>
#include <regex>

using namespace leat::sim;

namespace {

struct Mutation {
  const char *name, *pattern, *replacement;
};
const Mutation mutations[] = {
    {"bar.sync removed", R"(bar\.sync\s+[^;]+;)", ""},
    {"bar.arrive removed", R"(bar\.arrive\s+[^;]+;)", ""},
    {"bar.warp.sync removed", R"(bar\.warp\.sync\s+[^;]+;)", ""},
    {"cp.async.wait_group removed", R"(cp\.async\.wait_group\s+[^;]+;)", ""},
    {"cp.async.wait_group waits for less", R"(cp\.async\.wait_group\s+1;)", "cp.async.wait_group 2;"},
    {"cp.async.commit_group removed", R"(cp\.async\.commit_group;)", ""},
    {"wgmma.wait_group removed", R"(wgmma\.wait_group\.sync\.aligned\s+[^;]+;)", ""},
    {"wgmma.wait_group waits for less", R"(wgmma\.wait_group\.sync\.aligned\s+0;)", "wgmma.wait_group.sync.aligned 1;"},
    {"wgmma.fence removed", R"(wgmma\.fence\.sync\.aligned;)", ""},
    {"wgmma.commit_group removed", R"(wgmma\.commit_group\.sync\.aligned;)", ""},
    {"mbarrier wait skipped", R"(mbarrier\.try_wait\.parity\S*\s+(%?\w+), \[[^\]]+\], [^;]+;)", "setp.eq.u32 $1, 0, 0;"},
    {"mbarrier wait without its loop", R"((mbarrier\.try_wait\.parity[^;]+;\s*@%?\w+ bra \S+;) bra \S+;)", "$1"},
    {"mbarrier.arrive removed", R"(mbarrier\.arrive\.shared[^;]*;)", ""},
    {"expect_tx removed", R"(mbarrier\.arrive\.expect_tx[^;]*;)", ""},
    {"mbarrier.init removed", R"(mbarrier\.init[^;]*;)", ""},
    {"fence.proxy.async removed", R"(fence\.proxy\.async[^;]*;)", ""},
    {"fence.mbarrier_init removed", R"(fence\.mbarrier_init[^;]*;)", ""},
    {"tensor copy removed", R"(cp\.async\.bulk\.tensor[^;]*mbarrier::complete_tx[^;]*;)", ""},
    {"bulk wait_group removed", R"(cp\.async\.bulk\.wait_group\.read\s+0;)", ""},
    {"bulk commit_group removed", R"(cp\.async\.bulk\.commit_group;)", ""},
    {"cluster arrive removed", R"(barrier\.cluster\.arrive[^;]*;)", ""},
    {"cluster arrive and wait removed", R"(barrier\.cluster\.arrive[^;]*;\s*barrier\.cluster\.wait[^;]*;)", ""},
    {"cluster wait removed", R"(barrier\.cluster\.wait[^;]*;)", ""},
    {"membar removed", R"(membar\.gl;)", ""},
};

struct Outcome {
  LaunchResult result;
  double error;
};
struct Subject {
  const char *name, *file, *kernel;
  double tolerance;
  std::function<Outcome(const std::string &, const Options &)> run;
};

Outcome runReduce(const std::string &ptx, const Options &options) {
  constexpr int n = 1000, rows = 2;
  Bench bench(ptx, options);
  auto in = bench.buffer<float>(n * rows, "in", true), out = bench.buffer<float>(rows, "out");
  auto positive = bench.buffer<int>(rows, "positive");
  Random random(21);
  double sums[rows] = {}, error = 0;
  for (int i = 0; i < n * rows; ++i)
    sums[i / n] += in[i] = random.real();
  Outcome outcome = {bench.launch("reduceRows", {.grid = {rows}, .block = {256}}, in, out, positive, n), 0};
  for (int r = 0; r < rows; ++r)
    addError(error, out[r], sums[r]);
  outcome.error = error;
  return outcome;
}

Outcome runHandOver(const std::string &ptx, const Options &options) {
  Bench bench(ptx, options);
  auto in = bench.buffer<float>(4096, "in", true), out = bench.buffer<float>(4096, "out");
  for (int i = 0; i < 4096; ++i)
    in[i] = float(i);
  Outcome outcome = {bench.launch("handOver", {.grid = {}, .block = {128}, .dynamicSharedBytes = 32 * 33 * 4}, in, out), 0};
  for (int i = 0; i < 4096; ++i)
    addError(outcome.error, out[(i / 1024 * 32 + i % 32) * 32 + i / 32 % 32], in[i]);
  return outcome;
}

Outcome runSoftmax(const std::string &ptx, const Options &options) {
  constexpr int n = 512;
  Bench bench(ptx, options);
  auto in = bench.buffer<float>(n, "in", true), out = bench.buffer<float>(n, "out");
  Random random(22);
  double largest = -1e9, sum = 0;
  for (int i = 0; i < n; ++i)
    largest = std::max<double>(largest, in[i] = 4 * random.real());
  for (int i = 0; i < n; ++i)
    sum += std::exp(in[i] - largest);
  Outcome outcome = {bench.launch("softmaxRows", {.grid = {}, .block = {256}}, in, out, n), 0};
  for (int i = 0; i < n; ++i)
    addError(outcome.error, out[i], std::exp(in[i] - largest) / sum);
  return outcome;
}

Outcome runHistogram(const std::string &ptx, const Options &options) {
  constexpr int n = 500;
  Bench bench(ptx, options);
  auto in = bench.buffer<uint32_t>(n, "in", true), bins = bench.buffer<uint32_t>(65, "bins");
  auto total = bench.buffer<float>(1, "total");
  std::memset(bins, 0, 65 * 4);
  *total = 0;
  for (int i = 0; i < n; ++i)
    in[i] = uint32_t(i);
  Outcome outcome = {bench.launch("histogram", {.grid = {2}, .block = {128}}, in, bins, total, n), 0};
  addError(outcome.error, *total, n);
  return outcome;
}

Outcome runLastBlock(const std::string &ptx, const Options &options) {
  constexpr int n = 300, blocks = 3;
  Bench bench(ptx, options);
  auto in = bench.buffer<float>(n, "in", true), parts = bench.buffer<float>(blocks, "parts"), out = bench.buffer<float>(1, "out");
  auto finished = bench.buffer<unsigned>(1, "finished");
  *finished = 0;
  double sum = 0;
  Random random(23);
  for (int i = 0; i < n; ++i)
    sum += in[i] = random.real();
  Outcome outcome = {bench.launch("lastBlockSum", {.grid = {blocks}, .block = {64}}, in, parts, finished, out, n), 0};
  return outcome; // (sums each part twice with two warps: only its order matters here)
}

Outcome runGemm(const std::string &ptx, const Options &options) {
  constexpr int m = 128, n = 128, k = 256; // the ring of three stages goes round more than twice
  Bench bench(ptx, options);
  auto a = bench.buffer<uint16_t>(m * k, "A", true), b = bench.buffer<uint16_t>(k * n, "B", true);
  auto c = bench.buffer<float>(m * n, "C");
  Random random(24);
  for (int i = 0; i < m * k; ++i)
    a[i] = toBf16(random.real());
  for (int i = 0; i < k * n; ++i)
    b[i] = toBf16(random.real());
  Outcome outcome = {bench.launch("gemmBf16", {.grid = {}, .block = {256}, .dynamicSharedBytes = 3 * 16384}, a, b, c, m, n, k), 0};
  for (int i = 0; i < m; i += 3)
    for (int j = 0; j < n; ++j) {
      double sum = 0;
      for (int x = 0; x < k; ++x)
        sum += double(fromBf16(a[i * k + x])) * fromBf16(b[x * n + j]);
      addError(outcome.error, c[i * n + j], sum);
    }
  return outcome;
}

template <int Mode> Outcome runProductMode(const std::string &ptx, const Options &options) {
  ProductRun run = runProduct(ptx, Mode, options);
  return {std::move(run.result), run.error};
}

Outcome runAttentionSubject(const std::string &ptx, const Options &options) {
  AttentionRun run = runAttention(ptx, 640, 1, options); // ten tiles through rings of two
  return {std::move(run.result), run.error};
}

Outcome runExchange(const std::string &ptx, const Options &options) {
  Bench bench(ptx, options);
  auto in = bench.buffer<float>(256, "in", true), out = bench.buffer<float>(256, "out");
  for (int i = 0; i < 256; ++i)
    in[i] = float(i);
  Outcome outcome = {bench.launch("exchangeHalves", {.grid = {2}, .block = {128}}, in, out), 0};
  for (int i = 0; i < 256; ++i)
    addError(outcome.error, out[i], in[i ^ 128 ^ 1]);
  return outcome;
}

Outcome runMulticast(const std::string &ptx, const Options &options) {
  Bench bench(ptx, options);
  auto tensor = bench.buffer<uint16_t>(16 * 64, "tensor", true);
  auto out = bench.buffer<uint32_t>(2 * 512, "out");
  for (int i = 0; i < 16 * 64; ++i)
    tensor[i] = uint16_t(i);
  TensorMapBytes map = tensorMap(tensor, 16, 64, 16, 64, 0);
  Outcome outcome = {bench.launch("multicast", {.grid = {2}, .block = {64}, .dynamicSharedBytes = 2048}, map, out), 0};
  for (int cta = 0; cta < 2; ++cta)
    outcome.error += std::memcmp(out + cta * 512, tensor, 2048) != 0;
  return outcome;
}

const Subject subjects[] = {
    {"reduction", "sm80.ptx", "reduceRows", 1e-3, runReduce},
    {"hand-over", "sm80.ptx", "handOver", 1e-9, runHandOver},
    {"softmax", "sm80.ptx", "softmaxRows", 1e-6, runSoftmax},
    {"histogram", "sm80.ptx", "histogram", 1e-9, runHistogram},
    {"last block", "sm80.ptx", "lastBlockSum", 1e-3, runLastBlock},
    {"gemm", "sm80.ptx", "gemmBf16", 1e-3, runGemm},
    {"wgmma from shared memory", "sm90.ptx", "product0", 1e-4, runProductMode<0>},
    {"wgmma from registers", "sm90.ptx", "product1", 1e-4, runProductMode<1>},
    {"attention", "sm90.ptx", "attention", 1e-2, runAttentionSubject},
    {"cluster exchange", "sm90.ptx", "exchangeHalves", 1e-9, runExchange},
    {"multicast", "sm90.ptx", "multicast", 1e-9, runMulticast},
};

const std::string &fileOf(const Subject &subject) {
  static const std::string sm80 = readKernels("sm80.ptx");
  return std::string_view(subject.file) == "sm80.ptx" ? sm80 : sm90();
}

bool hasErrors(const LaunchResult &result) { return !result.clean(); }

TEST(Mutations, CorrectKernelsAreCleanUnderRandomSchedules) {
  for (const Subject &subject : subjects)
    for (uint64_t seed = 0; seed < 20; ++seed) {
      Options options;
      options.landing = seed % 3 == 0 ? Landing::Random : seed % 3 == 1 ? Landing::Late : Landing::Early;
      options.seed = seed;
      options.randomSchedule = seed != 0;
      Outcome outcome = subject.run(fileOf(subject), options);
      EXPECT_CLEAN(outcome.result) << subject.name << " seed " << seed;
      EXPECT_LT(outcome.error, subject.tolerance) << subject.name << " seed " << seed;
    }
}

TEST(Mutations, EveryOneIsReported) {
  int mutants = 0, wrongNumbers = 0;
  for (const Subject &subject : subjects) {
    const std::string &ptx = fileOf(subject);
    size_t begin = ptx.find(std::string(".entry ") + subject.kernel + "("), end = ptx.find("\n}", begin);
    ASSERT_NE(begin, std::string::npos) << subject.kernel;
    std::string body = ptx.substr(begin, end - begin);
    for (const Mutation &mutation : mutations) {
      std::regex pattern(mutation.pattern);
      for (std::sregex_iterator it(body.begin(), body.end(), pattern), none; it != none; ++it) {
        std::string replacement = it->format(mutation.replacement);
        std::string mutant = ptx;
        mutant.replace(begin + size_t(it->position()), size_t(it->length()), replacement);
        for (Landing landing : {Landing::Late, Landing::Early}) {
          Options options;
          options.landing = landing;
          options.maxReports = 10;
          options.instructionBudget = 20'000'000;
          Outcome outcome = subject.run(mutant, options);
          bool wrong = !(outcome.error < subject.tolerance);
          ++mutants;
          wrongNumbers += wrong;
          EXPECT_TRUE(hasErrors(outcome.result))
              << subject.name << ": " << mutation.name << " (" << it->str() << ", byte " << it->position()
              << (landing == Landing::Late ? ", late" : ", early") << ") survives" << (wrong ? " with wrong numbers" : "");
        }
      }
    }
  }
  RecordProperty("mutants", mutants);
  RecordProperty("wrong_numbers", wrongNumbers);
  EXPECT_GT(mutants, 100);
  std::printf("%d runs of mutants, %d of them with wrong numbers\n", mutants, wrongNumbers);
}

} // namespace
