// Sessions on a hand-made artifact: results, checks on inputs, state in place, save, load, fork, counters.
#include "runtime/session/Model.h"
#include "test/unit/runtime/TinyModel.h"

#include <gtest/gtest.h>
#include <thread>

using namespace leat;
using namespace leat::rt;
using namespace leat::test;

namespace {

struct SessionTest : testing::Test {
  TemporaryFile file{".leat"};
  std::shared_ptr<Model> model;

  void SetUp() override {
    writeTiny(file.path);
    model = load(2);
  }
  std::shared_ptr<Model> load(int threads) {
    ModelOptions options;
    options.threads = threads;
    auto loaded = Model::load(file.path, options);
    EXPECT_TRUE(loaded.ok()) << loaded.status().message();
    return loaded.ok() ? *loaded : nullptr;
  }
  std::unique_ptr<Session> session(int64_t batch = 1, int64_t context = 32, bool profile = false) {
    auto made = Session::create(model, {batch, context, profile});
    EXPECT_TRUE(made.ok()) << made.status().message();
    return std::move(*made);
  }
  static Tensor filled(const Shape &shape, float start) {
    auto tensor = Tensor::create(DType::F32, shape);
    for (int64_t i = 0; i < tensor->count(); ++i)
      tensor->as<float>()[i] = start + i;
    return std::move(*tensor);
  }
  static Status step(Session &session, const std::vector<int64_t> &ids, int64_t batch = 1) {
    Tensor tensor = Tensor::borrow(DType::I64, {batch, static_cast<int64_t>(ids.size()) / batch}, ids.data());
    NamedTensor input{"input_ids", &tensor};
    return session.run(1, {&input, 1});
  }
  static int64_t peak(const Session &session, int64_t row) {
    const float *logits = session.output(0).as<float>() + row * 7;
    return std::max_element(logits, logits + 7) - logits;
  }
};

TEST_F(SessionTest, RunsStateless) {
  auto s = session();
  for (int64_t rows : {1, 2, 5, 40}) {
    Tensor x = filled({rows, 3}, 1), y = filled({rows, 3}, 100);
    NamedTensor inputs[] = {{"y", &y}, {"x", &x}};
    Status status = s->run(0, inputs);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_EQ(s->outputCount(), 3u);
    EXPECT_EQ(s->output(0).shape(), (Shape{rows, 3}));
    for (int64_t i = 0; i < rows * 3; ++i)
      EXPECT_EQ(s->output(0).as<float>()[i], (1 + i) * 3 + 100 + i);
    EXPECT_EQ(s->output(1).as<float>()[0], 3);
    EXPECT_EQ(s->output(2).data(), x.data());
  }
  Tensor none = filled({0, 3}, 0);
  NamedTensor empty[] = {{nullptr, &none}, {nullptr, &none}};
  EXPECT_TRUE(s->run(0, empty).ok());
}

TEST_F(SessionTest, RepeatsTheLastRun) {
  auto s = session(1, 8);
  int64_t times[3] = {-1, -1, -1};
  EXPECT_EQ(s->repeat(times).code(), Code::InvalidArgument);
  Tensor x = filled({2, 3}, 1), y = filled({2, 3}, 100), narrow = filled({2, 2}, 0);
  NamedTensor inputs[] = {{"x", &x}, {"y", &y}}, unequal[] = {{"x", &x}, {"y", &narrow}};
  ASSERT_TRUE(s->run(0, inputs).ok());
  ASSERT_TRUE(s->repeat(times).ok());
  for (int64_t time : times)
    EXPECT_GE(time, 0);
  EXPECT_EQ(s->output(0).as<float>()[5], 6 * 3 + 105);
  ASSERT_TRUE(s->repeat({}).ok());
  EXPECT_EQ(s->outputCount(), 3u);
  EXPECT_EQ(s->executor().counters().runs, 4);
  // What is bound after a refused run belongs to no run.
  EXPECT_FALSE(s->run(0, unequal).ok());
  EXPECT_FALSE(s->repeat(times).ok());
  // A stream goes on, until it is full.
  std::vector<int64_t> ids{1, 2};
  ASSERT_TRUE(step(*s, ids).ok());
  Tensor again = Tensor::borrow(DType::I64, {1, 2}, ids.data());
  NamedTensor input{"input_ids", &again};
  ASSERT_TRUE(s->run(1, {&input, 1}).ok());
  ASSERT_TRUE(s->repeat({times, 1}).ok());
  EXPECT_EQ(s->state().tokens(), 6);
  EXPECT_EQ(peak(*s, 1), (1 + 4 + 3 + 8 + 5 + 12) % 7);
  EXPECT_FALSE(s->repeat(times).ok());
  EXPECT_EQ(s->outputCount(), 0u);
}

TEST_F(SessionTest, ExtendsAStream) {
  auto lived = session(2, 8), extended = session(2, 8);
  auto none = extended->state().extend(5);
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(*none); // nothing to repeat
  ASSERT_TRUE(step(*extended, {1, 2, 3, 4}, 2).ok());
  ASSERT_TRUE(step(*lived, {1, 2, 1, 2, 1, 3, 4, 3, 4, 3}, 2).ok());
  for (int64_t tokens : {1, 9}) { // back, and beyond the context
    auto refused = extended->state().extend(tokens);
    ASSERT_TRUE(refused.ok());
    EXPECT_FALSE(*refused);
    EXPECT_EQ(extended->state().tokens(), 2);
  }
  ASSERT_TRUE(*extended->state().extend(5));
  EXPECT_EQ(extended->state().tokens(), 5);
  for (Session *each : {lived.get(), extended.get()})
    ASSERT_TRUE(step(*each, {6, 5}, 2).ok());
  for (int64_t row : {0, 1})
    EXPECT_EQ(peak(*extended, row), peak(*lived, row));
}

TEST_F(SessionTest, ThreadsDoNotMatter) {
  Tensor x = filled({64, 9}, 0.1f), y = filled({64, 9}, 7);
  NamedTensor inputs[] = {{"x", &x}, {"y", &y}};
  auto one = std::move(*Session::create(load(1))), four = std::move(*Session::create(load(4)));
  ASSERT_TRUE(one->run(0, inputs).ok());
  ASSERT_TRUE(four->run(0, inputs).ok());
  EXPECT_EQ(std::memcmp(one->output(0).data(), four->output(0).data(), one->output(0).bytes()), 0);
}

TEST_F(SessionTest, ModelsKeepTheirOwnCode) {
  TemporaryFile otherFile(".leat");
  writeTiny(otherFile.path, {}, readAll(TINY_MODEL_OTHER));
  Tensor x = filled({1, 2}, 1), y = filled({1, 2}, 10);
  NamedTensor inputs[] = {{"x", &x}, {"y", &y}};
  for (int round = 0; round < 3; ++round) {
    auto other = Model::load(otherFile.path);
    ASSERT_TRUE(other.ok());
    auto plus = session(), minus = std::move(*Session::create(*other));
    ASSERT_TRUE(plus->run(0, inputs).ok());
    ASSERT_TRUE(minus->run(0, inputs).ok());
    EXPECT_EQ(plus->output(0).as<float>()[0], 13);
    EXPECT_EQ(minus->output(0).as<float>()[0], -7);
    model = load(2); // the other model's code goes while this one's comes
  }
}

TEST_F(SessionTest, ChecksInputs) {
  auto s = session();
  Tensor x = filled({2, 3}, 0), wide = filled({2, 4}, 0), flat = filled({6}, 0), unlucky = filled({2, 13}, 0);
  auto ids = Tensor::create(DType::I64, {2, 3});
  Tensor odd = Tensor::borrow(DType::F32, {2, 3}, x.as<char>() + 1), null = Tensor::borrow(DType::F32, {2, 3}, nullptr);
  auto why = [&](std::vector<NamedTensor> inputs) {
    Status status = s->run(0, inputs);
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
    return status.message();
  };
  EXPECT_EQ(why({{"x", &x}, {"y", &wide}}), "the inputs disagree on 'cols': input 'x' has 3, input 'y' has 4");
  EXPECT_EQ(why({{"x", &flat}, {"y", &x}}), "input 'x': expected shape [rows,cols], given [6]");
  EXPECT_EQ(why({{"x", &*ids}, {"y", &x}}), "input 'x': expected elements of type f32, given i64");
  EXPECT_NE(why({{"x", &x}}).find("input 'y' ([rows,cols] f32) is missing"), std::string::npos);
  EXPECT_NE(why({{"x", &x}, {"z", &x}}).find("no input 'z'; its inputs are 'x'"), std::string::npos);
  EXPECT_NE(why({{"x", &x}, {"x", &x}}).find("given twice"), std::string::npos);
  EXPECT_NE(why({{nullptr, &x}, {nullptr, &x}, {nullptr, &x}}).find("takes 2 inputs, given 3"), std::string::npos);
  EXPECT_NE(why({{"x", &odd}, {"y", &x}}).find("aligned"), std::string::npos);
  EXPECT_NE(why({{"x", &null}, {"y", &x}}).find("no data"), std::string::npos);
  EXPECT_EQ(why({{"x", &unlucky}, {"y", &unlucky}}), "13 columns in 2 rows bring bad luck");
  EXPECT_EQ(s->outputCount(), 0u);
  EXPECT_NE(s->functionIndex("nope").status().message().find("main, step"), std::string::npos);
  EXPECT_EQ(*s->functionIndex("step"), 1u);
  EXPECT_EQ(*s->functionIndex(""), 0u);
  auto two = session(2);
  EXPECT_EQ(step(*two, {1, 2, 3}, 1).message(),
            "input 'input_ids': expected shape [batch,seq], given [1,3]: 'batch' is 1, the session was made for a batch of 2");
}

TEST_F(SessionTest, CutsDoNotMatter) {
  std::vector<int64_t> ids = {3, 1, 4, 1, 5, 2, 6, 5, 3, 5};
  auto whole = session();
  ASSERT_TRUE(step(*whole, ids).ok());
  for (size_t cut = 1; cut < ids.size(); ++cut) {
    auto parts = session();
    ASSERT_TRUE(step(*parts, {ids.begin(), ids.begin() + cut}).ok());
    ASSERT_TRUE(step(*parts, {ids.begin() + cut, ids.end()}).ok());
    for (size_t i = cut; i < ids.size(); ++i)
      EXPECT_EQ(peak(*parts, i - cut), peak(*whole, i));
  }
  // A stream that does not carry its state must differ.
  auto reset = session();
  ASSERT_TRUE(step(*reset, {ids.begin(), ids.begin() + 5}).ok());
  reset->reset();
  EXPECT_EQ(reset->state().tokens(), 0);
  ASSERT_TRUE(step(*reset, {ids.begin() + 5, ids.end()}).ok());
  bool differs = false;
  for (size_t i = 5; i < ids.size(); ++i)
    differs |= peak(*reset, i - 5) != peak(*whole, i);
  EXPECT_TRUE(differs);
}

TEST_F(SessionTest, RowsAreIndependent) {
  auto both = session(2), alone = session(1);
  ASSERT_TRUE(step(*both, {1, 2, 3, 6, 5, 4}, 2).ok());
  ASSERT_TRUE(step(*alone, {6, 5, 4}).ok());
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(peak(*both, 3 + i), peak(*alone, i));
}

TEST_F(SessionTest, SteadyStepsAllocateNothing) {
  auto s = session(1, 1000);
  ASSERT_TRUE(step(*s, {1, 2, 3, 4}).ok());
  int64_t allocations = s->executor().counters().allocations, bytes = s->bytes();
  for (int i = 0; i < 500; ++i)
    ASSERT_TRUE(step(*s, {i % 7}).ok());
  EXPECT_EQ(s->executor().counters().allocations, allocations);
  EXPECT_EQ(s->bytes(), bytes);
  EXPECT_EQ(s->state().tokens(), 504);
  EXPECT_EQ(s->state().remaining(), 496);
}

TEST_F(SessionTest, OverflowSaysSo) {
  auto s = session(1, 4);
  ASSERT_TRUE(step(*s, {1, 2, 3}).ok());
  Status status = step(*s, {1, 2});
  EXPECT_EQ(status.code(), Code::Failed);
  EXPECT_EQ(status.message(), "the context is full: 5 tokens do not fit into 4");
  EXPECT_TRUE(step(*s, {1}).ok()); // the failed call changed nothing
}

TEST_F(SessionTest, SaveLoadFork) {
  TemporaryFile saved(".state");
  auto s = session(2, 16);
  ASSERT_TRUE(step(*s, {1, 2, 3, 4, 5, 6}, 2).ok());
  ASSERT_TRUE(s->save(saved.path).ok());
  auto forked = s->fork();
  ASSERT_TRUE(forked.ok());
  auto larger = session(2, 100), other = session(1, 16), small = session(2, 2);
  Status status = larger->load(saved.path);
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_TRUE(step(*s, {2, 6}, 2).ok());
  ASSERT_TRUE(step(**forked, {2, 6}, 2).ok());
  ASSERT_TRUE(step(*larger, {2, 6}, 2).ok());
  for (int row : {0, 1}) {
    EXPECT_EQ(peak(**forked, row), peak(*s, row));
    EXPECT_EQ(peak(*larger, row), peak(*s, row));
  }
  EXPECT_NE(other->load(saved.path).message().find("batch of 2"), std::string::npos);
  EXPECT_NE(small->load(saved.path).message().find("larger context"), std::string::npos);
  EXPECT_NE(s->load(file.path).message().find("compiled artifact"), std::string::npos);
}

TEST_F(SessionTest, StateOfAnotherModel) {
  TemporaryFile saved(".state"), changed(".leat");
  auto s = session();
  ASSERT_TRUE(s->save(saved.path).ok());
  writeTiny(changed.path, [](fb::ManifestT &m) { m.states[0]->name = "other"; });
  auto other = Model::load(changed.path);
  ASSERT_TRUE(other.ok());
  EXPECT_EQ((*Session::create(*other))->load(saved.path).code(), Code::Version);
}

TEST_F(SessionTest, DamagedStateFiles) {
  TemporaryFile saved(".state");
  auto s = session(1, 8);
  ASSERT_TRUE(step(*s, {1, 2, 3}).ok());
  ASSERT_TRUE(s->save(saved.path).ok());
  std::vector<uint8_t> good = readAll(saved.path);
  uint64_t hash = model->artifact().stateHash();
  auto fresh = session(1, 8);
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(fresh->state().load(std::span(good).first(size), hash, 1).ok());
  SectionEntry table;
  std::memcpy(&table, good.data() + sizeof(ContainerHeader), sizeof(table));
  for (size_t at = 0; at < table.offset + table.length; ++at)
    for (int bit = 0; bit < 8; ++bit) {
      std::vector<uint8_t> bad(good);
      bad[at] ^= 1 << bit;
      EXPECT_FALSE(fresh->state().load(bad, hash, 1).ok()) << at;
    }
  EXPECT_EQ(fresh->state().tokens(), 0); // none of it got in
}

TEST_F(SessionTest, Profiles) {
  auto s = session(1, 32, true);
  Tensor x = filled({4, 3}, 0);
  NamedTensor inputs[] = {{"x", &x}, {"y", &x}};
  ASSERT_TRUE(s->run(0, inputs).ok());
  ASSERT_TRUE(s->run(0, inputs).ok());
  ASSERT_EQ(s->executor().profile().size(), 3u);
  EXPECT_EQ(s->executor().profile()[0].calls, 2);
  EXPECT_EQ(s->executor().profile()[0].bytes, 2 * 12 * 12);
  EXPECT_EQ(s->executor().profile()[0].operations, 2 * 2 * 12);
}

TEST_F(SessionTest, SessionsOnManyThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      auto s = session(1, 512);
      int64_t sum = 0;
      for (int i = 0; i < 200; ++i) {
        int64_t id = (i * (t + 1)) % 7;
        sum = (sum + (i + 1) * id) % 7;
        ASSERT_TRUE(step(*s, {id}).ok());
        ASSERT_EQ(peak(*s, 0), sum);
      }
    });
  for (auto &thread : threads)
    thread.join();
}

TEST_F(SessionTest, AbsurdSessions) {
  EXPECT_FALSE(Session::create(model, {0, 16}).ok());
  EXPECT_FALSE(Session::create(model, {1, 0}).ok());
  EXPECT_FALSE(Session::create(model, {1, int64_t(1) << 62}).ok());
  EXPECT_FALSE(Session::create(model, {int64_t(1) << 40, int64_t(1) << 40}).ok());
}

} // namespace
