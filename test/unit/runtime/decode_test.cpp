// The sampler against a brute-force oracle in double precision, and the decoding loop on the hand-made step function.
#include "runtime/core/Philox.h"
#include "runtime/decode/Generator.h"
#include "test/unit/runtime/TinyModel.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <numeric>
#include <random>

using namespace leat;
using namespace leat::rt;
using namespace leat::test;

// The definition, word by word: whole distribution, full sorts, no shortcuts.
static std::vector<double> oracle(const SamplerOptions &options, const std::vector<float> &logits, const std::vector<int64_t> &history) {
  size_t size = logits.size();
  std::vector<double> value(logits.begin(), logits.end());
  for (size_t i = 0; i < size; ++i)
    if (std::find(history.begin(), history.end(), static_cast<int64_t>(i)) != history.end()) {
      auto factor = static_cast<float>(options.repetitionPenalty);
      value[i] = logits[i] > 0 ? logits[i] / factor : logits[i] * factor;
    }
  std::vector<size_t> order(size);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return value[a] != value[b] ? value[a] > value[b] : a < b; });
  std::vector<double> p(size, 0);
  if (options.temperature == 0) {
    p[order[0]] = 1;
    return p;
  }
  for (size_t i = 0; i < size; ++i)
    p[i] = std::exp((value[i] - value[order[0]]) / options.temperature);
  auto normalise = [&] {
    double sum = std::accumulate(p.begin(), p.end(), 0.0);
    for (double &x : p)
      x /= sum;
  };
  if (options.topK > 0)
    for (size_t i = options.topK; i < size; ++i)
      p[order[i]] = 0;
  normalise();
  if (options.topP < 1) {
    double sum = 0;
    for (size_t i = 0; i < size; ++i) {
      double mine = p[order[i]];
      if (i > 0 && sum >= options.topP)
        p[order[i]] = 0;
      sum += mine;
    }
    normalise();
  }
  double best = *std::max_element(p.begin(), p.end());
  for (double &x : p)
    if (x < options.minP * best)
      x = 0;
  normalise();
  return p;
}

TEST(Sampler, MatchesTheOracle) {
  std::mt19937 random(5);
  auto uniform = [&](double low, double high) { return std::uniform_real_distribution<double>(low, high)(random); };
  for (int round = 0; round < 3000; ++round) {
    SamplerOptions options;
    options.seed = random();
    options.temperature = round % 5 == 0 ? 0 : uniform(0.2, 2);
    options.topK = round % 2 ? random() % 12 : 0;
    options.topP = round % 3 ? uniform(0.05, 1) : 1;
    options.minP = round % 4 ? 0 : uniform(0, 0.5);
    options.repetitionPenalty = round % 7 ? 1 : uniform(0.5, 2);
    std::vector<float> logits(1 + random() % 40);
    for (float &x : logits)
      x = static_cast<float>(round % 6 ? uniform(-4, 4) : static_cast<int>(uniform(-3, 3))); // sometimes with ties
    std::vector<int64_t> history = {-1, static_cast<int64_t>(random() % logits.size()), 3, 3, 1000};
    Sampler sampler(options);
    std::vector<double> p = oracle(options, logits, history);
    for (uint64_t step = 0; step < 5; ++step) {
      auto token = sampler.sample(logits.data(), logits.size(), history, round, step);
      ASSERT_TRUE(token.ok());
      ASSERT_GT(p[*token], 0) << "round " << round;
      double u = philoxUniform(options.seed, round, step), below = std::accumulate(p.begin(), p.begin() + *token, 0.0);
      ASSERT_LE(below, u + 1e-9) << "round " << round;
      ASSERT_GE(below + p[*token], u - 1e-9) << "round " << round;
    }
  }
}

TEST(Sampler, DrawsTheDistribution) {
  SamplerOptions options;
  options.temperature = 1;
  options.seed = 11;
  Sampler sampler(options);
  std::vector<float> logits = {0, 1, 2, -1, 0.5f, 1.5f, -2, 1};
  std::vector<double> p = oracle(options, logits, {});
  std::vector<int> count(8, 0);
  const int draws = 20000;
  for (int i = 0; i < draws; ++i)
    ++count[*sampler.sample(logits.data(), 8, {}, i % 3, i / 3)];
  double chi = 0;
  for (int i = 0; i < 8; ++i)
    chi += (count[i] - draws * p[i]) * (count[i] - draws * p[i]) / (draws * p[i]);
  EXPECT_LT(chi, 29.88); // 7 degrees of freedom, p = 1e-4
}

TEST(Sampler, EdgeCases) {
  float nan = NAN, inf = INFINITY;
  float none[] = {nan, -inf, nan}, some[] = {nan, 1, 1, nan}, sure[] = {0, inf, 5};
  SamplerOptions options;
  options.temperature = 1;
  for (Sampler sampler : {Sampler(), Sampler(options)}) {
    EXPECT_FALSE(sampler.sample(none, 3, {}, 0, 0).ok());
    EXPECT_FALSE(sampler.sample(none, 0, {}, 0, 0).ok());
    auto token = sampler.sample(some, 4, {}, 0, 0);
    ASSERT_TRUE(token.ok());
    EXPECT_TRUE(*token == 1 || *token == 2);
    EXPECT_EQ(*sampler.sample(sure, 3, {}, 0, 0), 1);
  }
  EXPECT_EQ(*Sampler().sample(some, 4, {}, 0, 0), 1); // ties to the lower token
  for (auto change : {+[](SamplerOptions &o) { o.temperature = -1; }, +[](SamplerOptions &o) { o.topP = 0; },
                      +[](SamplerOptions &o) { o.topP = NAN; }, +[](SamplerOptions &o) { o.topK = -1; },
                      +[](SamplerOptions &o) { o.minP = 2; }, +[](SamplerOptions &o) { o.repetitionPenalty = 0; }}) {
    SamplerOptions bad;
    change(bad);
    EXPECT_FALSE(bad.check().ok());
  }
}

TEST(Sampler, NllIsStable) {
  float large[] = {1000, 1001, 999}, ruled[] = {0, -INFINITY};
  double expected = std::log(std::exp(-1.0) + 1 + std::exp(-2.0));
  EXPECT_NEAR(tokenNll(large, 3, 1), expected, 1e-9);
  EXPECT_NEAR(tokenNll(large, 3, 0), expected + 1, 1e-9);
  EXPECT_EQ(tokenNll(ruled, 2, 1), INFINITY);
  EXPECT_EQ(tokenNll(ruled, 2, 0), 0);
}

namespace {

struct GeneratorTest : testing::Test {
  TemporaryFile file{".leat"};
  std::unique_ptr<Session> session;

  void SetUp() override { open(); }
  void open(const std::function<void(fb::ManifestT &)> &change = {}, int64_t context = 64) {
    writeTiny(file.path, change);
    ModelOptions options;
    options.threads = 1;
    auto model = Model::load(file.path, options);
    ASSERT_TRUE(model.ok()) << model.status().message();
    auto made = Session::create(*model, {1, context});
    ASSERT_TRUE(made.ok());
    session = std::move(*made);
  }
  // What the hand-made model does, said again.
  static std::vector<int64_t> expected(std::vector<int64_t> tokens, int count) {
    std::vector<int64_t> out;
    for (int i = 0; i < count; ++i) {
      int64_t sum = 0;
      for (size_t t = 0; t < tokens.size(); ++t)
        sum = (sum + static_cast<int64_t>(t + 1) * tokens[t]) % 7;
      tokens.push_back(sum);
      out.push_back(sum);
    }
    return out;
  }
  static std::vector<int64_t> collect(Generator &generator, int64_t limit) {
    std::vector<int64_t> out;
    auto count = generator.generate(
        limit,
        [](void *context, int64_t token) {
          static_cast<std::vector<int64_t> *>(context)->push_back(token);
          return true;
        },
        &out);
    EXPECT_TRUE(count.ok()) << count.status().message();
    return out;
  }
};

TEST_F(GeneratorTest, Greedy) {
  std::vector<int64_t> prompt = {3, 1, 4, 1, 5};
  for (int64_t chunk : {1, 2, 3, 100}) {
    GeneratorOptions options;
    options.chunk = chunk;
    auto generator = Generator::create(*session, options);
    ASSERT_TRUE(generator.ok()) << generator.status().message();
    (*generator)->reset();
    EXPECT_EQ((*generator)->vocabulary(), 7);
    ASSERT_TRUE((*generator)->feed(prompt).ok());
    std::vector<int64_t> all = expected(prompt, 13);
    EXPECT_EQ(collect(**generator, 10), std::vector<int64_t>(all.begin(), all.begin() + 10));
    EXPECT_EQ(collect(**generator, 3), std::vector<int64_t>(all.begin() + 10, all.end()));
    EXPECT_EQ((*generator)->statistics().promptTokens, 5);
    EXPECT_EQ((*generator)->statistics().generatedTokens, 13);
    EXPECT_EQ(session->state().tokens(), 17); // the last token is not fed yet
    ASSERT_TRUE((*generator)->settle().ok());
    EXPECT_EQ(session->state().tokens(), 18);
  }
}

TEST_F(GeneratorTest, Stops) {
  std::vector<int64_t> prompt = {3, 1, 4, 1, 5}, all = expected(prompt, 20);
  GeneratorOptions options;
  options.stopTokens = {all[7]};
  auto generator = std::move(*Generator::create(*session, options));
  ASSERT_TRUE(generator->feed(prompt).ok());
  auto first = std::find(all.begin(), all.end(), all[7]);
  EXPECT_EQ(collect(*generator, 20), (std::vector<int64_t>{all.begin(), first}));
}

TEST_F(GeneratorTest, SamplingIsRepeatable) {
  GeneratorOptions options;
  options.sampling.temperature = 3;
  options.sampling.seed = 9;
  auto generator = std::move(*Generator::create(*session, options));
  std::vector<int64_t> prompt = {1, 2};
  ASSERT_TRUE(generator->feed(prompt).ok());
  auto first = collect(*generator, 30);
  generator->reset();
  ASSERT_TRUE(generator->feed(prompt).ok());
  EXPECT_EQ(collect(*generator, 30), first);
  options.row = 1;
  auto other = std::move(*Generator::create(*session, options));
  other->reset();
  ASSERT_TRUE(other->feed(prompt).ok());
  EXPECT_NE(collect(*other, 30), first);
}

TEST_F(GeneratorTest, Refusals) {
  auto generator = std::move(*Generator::create(*session));
  bool stop;
  EXPECT_NE(generator->next(stop).status().message().find("feed at least one"), std::string::npos);
  int64_t bad[] = {1, 7}, negative[] = {-1};
  EXPECT_EQ(generator->feed(bad).message(), "token 7 (number 2 of those given) is outside the vocabulary of 7 tokens");
  EXPECT_FALSE(generator->feed(negative).ok());
  EXPECT_EQ(session->state().tokens(), 0);
  std::vector<int64_t> many(65, 1);
  Status full = generator->feed(many);
  EXPECT_EQ(full.code(), Code::Capacity);
  EXPECT_NE(full.message().find("--kv=\"sink(4)+recent(1020)\""), std::string::npos) << full.message();
  GeneratorOptions unknown;
  unknown.function = "nope";
  EXPECT_FALSE(Generator::create(*session, unknown).ok());
  auto pair = Session::create(std::move(*Model::load(file.path)), {2, 16});
  EXPECT_FALSE(Generator::create(**pair).ok());
  open([](fb::ManifestT &m) { m.functions[1]->kind = "main"; });
  EXPECT_NE(Generator::create(*session).status().message().find("no step function"), std::string::npos);
  open([](fb::ManifestT &m) {
    auto extra = std::make_unique<fb::TensorInfoT>();
    extra->name = "pixel_values";
    extra->dtype = 1;
    m.functions[1]->inputs.push_back(std::move(extra));
  });
  EXPECT_NE(Generator::create(*session).status().message().find("'pixel_values'"), std::string::npos);
}

TEST_F(GeneratorTest, SuppliesMasksAndPositions) {
  open([](fb::ManifestT &m) {
    for (auto [name, type, rank] : std::initializer_list<std::tuple<const char *, int, int>>{{"attention_mask", 7, 2},
                                                                                             {"position_ids", 7, 2},
                                                                                             {"seqlens_k", 6, 1},
                                                                                             {"total_sequence_length", 6, 0},
                                                                                             {"write_indices", 7, 1}}) {
      auto extra = std::make_unique<fb::TensorInfoT>();
      extra->name = name;
      extra->dtype = type;
      for (int i = 0; i < rank; ++i)
        extra->dims.push_back(std::make_unique<fb::DimT>());
      m.functions[1]->inputs.push_back(std::move(extra));
    }
  });
  auto generator = Generator::create(*session);
  ASSERT_TRUE(generator.ok()) << generator.status().message();
  std::vector<int64_t> prompt = {3, 1, 4};
  ASSERT_TRUE((*generator)->feed(prompt).ok());
  EXPECT_EQ(collect(**generator, 5), expected(prompt, 5));
}

TEST_F(GeneratorTest, PausesAreInvisible) {
  GeneratorOptions options;
  options.sampling.temperature = 3;
  options.sampling.repetitionPenalty = 1.3;
  std::vector<int64_t> prompt = {1, 2, 3};
  auto without = std::move(*Generator::create(*session, options));
  ASSERT_TRUE(without->feed(prompt).ok());
  auto all = collect(*without, 20);
  for (int pause : {0, 1, 7}) {
    TemporaryFile saved(".state");
    std::vector<int64_t> pieces;
    {
      without->reset();
      ASSERT_TRUE(without->feed(prompt).ok());
      pieces = collect(*without, pause);
      ASSERT_TRUE(without->save(saved.path).ok());
    }
    auto other = std::move(*Session::create(std::move(*Model::load(file.path)), {1, 100}));
    auto resumed = std::move(*Generator::create(*other, options));
    Status status = resumed->load(saved.path);
    ASSERT_TRUE(status.ok()) << status.message();
    auto rest = collect(*resumed, 20 - pause);
    pieces.insert(pieces.end(), rest.begin(), rest.end());
    EXPECT_EQ(pieces, all) << pause;
    ASSERT_TRUE(other->load(saved.path).ok()); // a session takes such a file for its state
  }
  TemporaryFile plain(".state");
  ASSERT_TRUE(without->settle().ok());
  int64_t tokens = session->state().tokens();
  ASSERT_TRUE(session->save(plain.path).ok());
  without->reset();
  ASSERT_TRUE(without->load(plain.path).ok());
  EXPECT_EQ(session->state().tokens(), tokens);
  EXPECT_FALSE(without->load(file.path).ok());
  EXPECT_EQ(session->state().tokens(), tokens);
}

TEST_F(GeneratorTest, Scores) {
  std::vector<int64_t> text = {3, 1, 4, 1, 5, 2, 6};
  std::vector<double> whole, parts;
  GeneratorOptions options;
  options.chunk = 3;
  auto generator = std::move(*Generator::create(*session, options));
  ASSERT_TRUE(generator->score(text, whole).ok());
  ASSERT_EQ(whole.size(), 6u);
  generator->reset();
  ASSERT_TRUE(generator->score(std::span(text).first(4), parts).ok());
  ASSERT_TRUE(generator->score(std::span(text).subspan(4), parts).ok());
  EXPECT_EQ(whole, parts);
  for (size_t i = 1; i < text.size(); ++i) {
    int64_t peak = expected({text.begin(), text.begin() + i}, 1)[0];
    double sum = 0;
    for (int v = 0; v < 7; ++v)
      sum += std::exp(-double((v - peak) * (v - peak)));
    EXPECT_NEAR(whole[i - 1], std::log(sum) + double((text[i] - peak) * (text[i] - peak)), 1e-5);
  }
}

} // namespace
