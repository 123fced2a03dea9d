// Artifacts for a GPU on the simulator, against the same functions on the CPU: tensors at the border, what the host program reads and
// writes, kernels without device code, states, errors.
#include "test/unit/device/DeviceModel.h"

using namespace leat;
using namespace leat::rt;

namespace {

using DeviceExecutorTest = leat::test::DeviceModel;

TEST_F(DeviceExecutorTest, HostProgramReadsAndWritesTheDevice) {
  compile(leat::test::kLoop, "cuda");
  auto model = load("sim:checked");
  ASSERT_TRUE(model) << error;
  EXPECT_EQ(model->deviceName(), "GPU simulator with checks");
  auto s = session(model);
  Tensor x = tensor<float>({4}, {0, 0, 0, 0}), n = tensor<int64_t>({}, {3});
  ASSERT_TRUE(run(*s, "main", {&x, &n})) << error;
  EXPECT_EQ(values<float>(s->output(0)), (std::vector<float>{6, 12, 18, 24}));
  EXPECT_EQ(values<int64_t>(s->output(1)), std::vector<int64_t>{6});
  // Buffers of a steady stream do not grow.
  int64_t allocations = s->executor().counters().allocations;
  n = tensor<int64_t>({}, {0});
  ASSERT_TRUE(run(*s, "main", {&x, &n})) << error;
  EXPECT_EQ(values<float>(s->output(0)), (std::vector<float>{0, 0, 0, 0}));
  EXPECT_EQ(s->executor().counters().allocations, allocations);
}

TEST_F(DeviceExecutorTest, KernelsWithoutDeviceCodeRunOnTheHost) {
  const char *source = R"(
    #id = affine_map<(d0) -> (d0)>
    func.func @main(%x: tensor<?xf64>) -> tensor<?xf64> {
      %c0 = arith.constant 0 : index
      %n = tensor.dim %x, %c0 : tensor<?xf64>
      %e = tensor.empty(%n) : tensor<?xf64>
      %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%x : tensor<?xf64>) outs(%e : tensor<?xf64>) {
      ^bb0(%a: f64, %o: f64):
        %0 = math.sin %a : f64
        linalg.yield %0 : f64
      } -> tensor<?xf64>
      return %y : tensor<?xf64>
    }
  )";
  compile(source, "cuda");
  auto model = load("sim:checked");
  ASSERT_TRUE(model) << error;
  ASSERT_EQ(model->manifest().kernels.size(), 1u);
  EXPECT_EQ(model->manifest().kernels[0].kind, "host");
  auto s = session(model);
  Tensor x = tensor<double>({3}, {0, 1, -2});
  ASSERT_TRUE(run(*s, "main", {&x})) << error;
  std::vector<double> got = values<double>(s->output(0));
  for (int i = 0; i < 3; ++i)
    EXPECT_NEAR(got[i], std::sin(x.as<double>()[i]), 1e-15);
}

TEST_F(DeviceExecutorTest, StatesAreSavedLoadedAndForked) {
  compile(leat::test::kStream, "cuda");
  auto model = load("sim:checked");
  ASSERT_TRUE(model) << error;
  SessionOptions options;
  options.context = 5;
  auto s = session(model, options);
  ASSERT_TRUE(s) << error;
  Tensor two = tensor<float>({2, 3}, {1, 2, 3, 10, 20, 30}), one = tensor<float>({1, 3}, {100, 200, 300});
  ASSERT_TRUE(run(*s, "step", {&two})) << error;
  EXPECT_EQ(values<float>(s->output(0)), (std::vector<float>{11, 22, 33}));
  EXPECT_EQ(s->state().tokens(), 2);
  ASSERT_TRUE(s->save(statePath()).ok());
  auto fork = s->fork();
  ASSERT_TRUE(fork.ok()) << fork.status().message();
  const std::vector<float> next{111, 222, 333};
  ASSERT_TRUE(run(*s, "step", {&one})) << error;
  EXPECT_EQ(values<float>(s->output(0)), next);
  ASSERT_TRUE(run(**fork, "step", {&one})) << error;
  EXPECT_EQ(values<float>((*fork)->output(0)), next);
  // A session with another capacity, and the same model on the CPU, go on from the file.
  options.context = 9;
  auto other = session(model, options);
  ASSERT_TRUE(other->load(statePath()).ok());
  ASSERT_TRUE(run(*other, "step", {&one})) << error;
  EXPECT_EQ(values<float>(other->output(0)), next);
  // Going back to a moment, as benchmarks do.
  auto rewind = StateRewind::take(other->state());
  ASSERT_TRUE(rewind.ok());
  ASSERT_TRUE(run(*other, "step", {&two})) << error;
  ASSERT_TRUE((*rewind)().ok());
  EXPECT_EQ(other->state().tokens(), 3);
  ASSERT_TRUE(run(*other, "step", {&one})) << error;
  EXPECT_EQ(values<float>(other->output(0)), (std::vector<float>{211, 422, 633}));
  // Too long for the context: refused, and nothing has changed.
  EXPECT_FALSE(run(*fork->get(), "step", {&two}) && run(*fork->get(), "step", {&two}));
  EXPECT_NE(error.find("cache overflow"), std::string::npos) << error;
  s->reset();
  ASSERT_TRUE(run(*s, "step", {&one})) << error;
  EXPECT_EQ(values<float>(s->output(0)), (std::vector<float>{100, 200, 300}));
}

TEST_F(DeviceExecutorTest, KernelsAreMeasured) {
  compile(leat::test::kLoop, "cuda");
  SessionOptions options;
  options.profile = true;
  auto s = session(load("sim"), options);
  ASSERT_TRUE(s) << error;
  Tensor x = tensor<float>({4}, {0, 0, 0, 0}), n = tensor<int64_t>({}, {2});
  ASSERT_TRUE(run(*s, "main", {&x, &n})) << error;
  int64_t calls = 0, time = 0;
  for (const KernelProfile &profile : s->executor().profile())
    calls += profile.calls, time += profile.nanoseconds;
  EXPECT_EQ(calls, 5);
  EXPECT_GT(time, 0);
  s->executor().measure(false);
  ASSERT_TRUE(run(*s, "main", {&x, &n})) << error;
  EXPECT_EQ(s->executor().profile()[0].calls, 1);
}

// What the device hears of a group; legal ones, of whole models, are run checked by CudaTest.MembersOfAGroupAreBranches.
TEST(SimQueueTest, BranchesMayNotShareWhatOneWrites) {
  const char *ptx =
      ".version 8.6\n.target sm_80\n.address_size 64\n"
      ".visible .entry fill(.param .u64 out) { .reg .b64 %rd<4>; ld.param.u64 %rd0, [out]; st.global.u32 [%rd0], 1; ret; }\n"
      ".visible .entry clear(.param .u64 out) { .reg .b64 %rd<4>; ld.param.u64 %rd0, [out]; st.global.u32 [%rd0], 0; ret; }\n";
  auto device = openSimDevice("sim:checked", 1);
  ASSERT_TRUE(device.ok());
  ModuleCode code;
  code.ptx = ptx;
  auto module = (*device)->load(code, "test");
  ASSERT_TRUE(module.ok()) << module.status().message();
  auto fill = (*device)->entry(*module, "fill"), clear = (*device)->entry(*module, "clear");
  auto queue = (*device)->createQueue();
  DeviceMemory one, two;
  ASSERT_TRUE(one.allocate(**device, 4, "one").ok() && two.allocate(**device, 4, "two").ok());
  auto group = [&](void *first, void *second) {
    void *a = &first, *b = &second;
    EXPECT_TRUE((*queue)->beginBranches(2).ok());
    EXPECT_TRUE((*queue)->launch(*fill, {}, {&a, 1}, "fill").ok());
    EXPECT_TRUE((*queue)->branch(1).ok());
    Status status = (*queue)->launch(*clear, {}, {&b, 1}, "clear");
    EXPECT_TRUE((*queue)->endBranches().ok());
    return status;
  };
  EXPECT_TRUE(group(one.data(), two.data()).ok());
  EXPECT_TRUE(group(two.data(), one.data()).ok()); // a group comes after the one before
  std::string message = group(one.data(), one.data()).message();
  EXPECT_NE(message.find("defect in kernel 'clear': error: branch-race"), std::string::npos) << message;
  EXPECT_NE(message.find("byte 0 of 'one' (4 bytes)"), std::string::npos) << message;
  EXPECT_NE(message.find("is written in branch 0 by fill"), std::string::npos) << message;
}

TEST_F(DeviceExecutorTest, SaysWhereAModelRuns) {
  compile(leat::test::kLoop, "cuda");
  EXPECT_FALSE(load("cpu"));
  EXPECT_NE(error.find("compiled for cuda (sm_80)"), std::string::npos) << error;
  EXPECT_NE(error.find("--target=cpu"), std::string::npos) << error;
  EXPECT_FALSE(load("tpu"));
  EXPECT_NE(error.find("there is no device 'tpu' here"), std::string::npos) << error;
  compile(leat::test::kLoop, "cpu");
  EXPECT_FALSE(load("sim"));
  EXPECT_NE(error.find("compile it with --target=cuda"), std::string::npos) << error;
  EXPECT_TRUE(load("cpu")) << error;
  EXPECT_TRUE(load("")) << error;
}

} // namespace
