// The code that talks to CUDA's driver, with a stand-in for libcuda: results, graphs, memory, and what it says when something is missing.
#include "test/unit/device/DeviceModel.h"
#include "test/unit/device/fake_cuda.h"

#include "runtime/device/cuda/CudaDevice.h"

#include <dlfcn.h>
#include <thread>

using namespace leat;
using namespace leat::rt;

namespace {

FakeCuda &fake() {
  static FakeCuda *state = [] {
    void *library = dlopen(FAKE_CUDA, RTLD_NOW | RTLD_LOCAL);
    return library ? reinterpret_cast<FakeCudaState>(dlsym(library, "leat_fake_cuda_state"))() : nullptr;
  }();
  return *state;
}

Result<std::shared_ptr<Device>> openFake(const std::string &, int) { return openCudaDevice(FAKE_CUDA); }

class CudaTest : public leat::test::DeviceModel {
protected:
  CudaTest() { fake() = FakeCuda(); }
};

const char *kSoftmax = R"(
  leat.param @w : tensor<3xf32> {value = dense<[1.0, 2.0, 4.0]> : tensor<3xf32>}
  #id = affine_map<(d0, d1) -> (d0, d1)>
  #row = affine_map<(d0, d1) -> (d1)>
  func.func @main(%x: tensor<?x3xf32>) -> tensor<?x3xf32> {
    %c0 = arith.constant 0 : index
    %n = tensor.dim %x, %c0 : tensor<?x3xf32>
    %w = leat.param_ref @w : tensor<3xf32>
    %s = leat.softmax %x {axis = 1 : i64} : tensor<?x3xf32>
    %t = leat.softmax %s {axis = 1 : i64} : tensor<?x3xf32>
    %e = tensor.empty(%n) : tensor<?x3xf32>
    %y = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
        ins(%t, %w : tensor<?x3xf32>, tensor<3xf32>) outs(%e : tensor<?x3xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %0 = arith.mulf %a, %b : f32
      linalg.yield %0 : f32
    } -> tensor<?x3xf32>
    return %y : tensor<?x3xf32>
  }
)";

TEST_F(CudaTest, SaysThatThereIsNoDriver) {
  auto device = openCudaDevice("libcuda_of_another_machine.so");
  ASSERT_FALSE(device.ok());
  EXPECT_EQ(device.status().code(), Code::Unsupported);
  EXPECT_NE(device.status().message().find("no NVIDIA driver"), std::string::npos) << device.status().message();
  EXPECT_NE(device.status().message().find("--device=sim"), std::string::npos) << device.status().message();
}

TEST_F(CudaTest, SaysThatThereIsNoGpu) {
  fake().gpus = 0;
  auto device = openCudaDevice(FAKE_CUDA);
  ASSERT_FALSE(device.ok());
  EXPECT_EQ(device.status().code(), Code::Unsupported);
  EXPECT_NE(device.status().message().find("sees no GPU"), std::string::npos) << device.status().message();
}

TEST_F(CudaTest, RunsAsTheSimulatorAndTheCpu) {
  Tensor x = tensor<float>({2, 3}, {1, 2, 3, 0.5f, -1, 4});
  compile(kSoftmax, "cpu");
  auto onCpu = session(load(""));
  ASSERT_TRUE(run(*onCpu, "main", {&x})) << error;
  std::vector<float> want = values<float>(onCpu->output(0));
  for (auto [device, opener] : {std::pair<const char *, DeviceOpener>("sim:checked", openSimDevice), {"cuda", openFake}}) {
    compile(kSoftmax, "cuda");
    auto s = session(load(device, opener));
    ASSERT_TRUE(s) << error;
    ASSERT_TRUE(run(*s, "main", {&x})) << error;
    std::vector<float> got = values<float>(s->output(0));
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_NEAR(got[i], want[i], 1e-6) << device;
  }
}

TEST_F(CudaTest, SendsAStepAsOneGraph) {
  compile(kSoftmax, "cuda");
  {
    auto model = load("cuda", openFake);
    ASSERT_TRUE(model) << error;
    EXPECT_EQ(model->deviceName(), "Fake GPU (sm_80)");
    auto s = session(model);
    Tensor x = tensor<float>({1, 3}, {1, 2, 3}), more = tensor<float>({2, 3}, {3, 2, 1, 1, 2, 3});
    // The first run allocates, which cuts its launches in two; from the second on they are one graph.
    for (int i = 0; i < 2; ++i)
      ASSERT_TRUE(run(*s, "main", {&x})) << error;
    FakeCuda before = fake();
    for (int i = 0; i < 3; ++i)
      ASSERT_TRUE(run(*s, "main", {&x})) << error;
    EXPECT_EQ(fake().graphsMade, before.graphsMade);
    EXPECT_EQ(fake().graphsUpdated, before.graphsUpdated + 3);
    EXPECT_EQ(fake().graphLaunches, before.graphLaunches + 3);
    EXPECT_EQ(fake().launches, s->executor().counters().launches);
    std::vector<float> first = values<float>(s->output(0));
    // Other sizes are other arguments of the same graph.
    ASSERT_TRUE(run(*s, "main", {&more})) << error;
    std::vector<float> both = values<float>(s->output(0));
    EXPECT_EQ(std::vector<float>(both.begin() + 3, both.end()), first);
    EXPECT_EQ(fake().streams, 1);
  }
  // Nothing is left behind.
  EXPECT_EQ(fake().held, 0);
  EXPECT_EQ(fake().streams, 0);
  EXPECT_EQ(fake().modules, 0);
  EXPECT_EQ(fake().contexts, 0);
}

/// Two softmaxes of one operand, by rows and by columns, and their sum: a group of two launches and one behind it.
const char *kTwice = R"(
  #id = affine_map<(d0, d1) -> (d0, d1)>
  func.func @main(%x: tensor<?x3xf32>) -> tensor<?x3xf32> {
    %c0 = arith.constant 0 : index
    %n = tensor.dim %x, %c0 : tensor<?x3xf32>
    %s = leat.softmax %x {axis = 1 : i64} : tensor<?x3xf32>
    %t = leat.softmax %x {axis = 0 : i64} : tensor<?x3xf32>
    %st = leat.softmax %s {axis = 0 : i64} : tensor<?x3xf32>
    %tt = leat.softmax %t {axis = 1 : i64} : tensor<?x3xf32>
    %e = tensor.empty(%n) : tensor<?x3xf32>
    %y = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%st, %tt : tensor<?x3xf32>, tensor<?x3xf32>) outs(%e : tensor<?x3xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %0 = arith.addf %a, %b : f32
      linalg.yield %0 : f32
    } -> tensor<?x3xf32>
    %z = leat.softmax %y {axis = 1 : i64} : tensor<?x3xf32>
    return %z : tensor<?x3xf32>
  }
)";

TEST_F(CudaTest, MembersOfAGroupAreBranches) {
  Tensor x = tensor<float>({2, 3}, {1, 2, 3, 0.5f, -1, 4});
  compile(kTwice, "cuda");
  auto checked = session(load("sim:checked"));
  ASSERT_TRUE(checked) << error;
  ASSERT_TRUE(run(*checked, "main", {&x})) << error;
  std::vector<float> want = values<float>(checked->output(0));
  EXPECT_LT(checked->executor().counters().groups, checked->executor().counters().launches);
  {
    auto s = session(load("cuda", openFake));
    ASSERT_TRUE(s) << error;
    for (int i = 0; i < 3; ++i) {
      FakeCuda before = fake();
      ASSERT_TRUE(run(*s, "main", {&x})) << error;
      EXPECT_EQ(values<float>(s->output(0)), want) << i;
      if (i == 0)
        continue; // memory and streams are made
      // Of each group, the member that runs first here has others before it in the program.
      EXPECT_EQ(fake().branches - before.branches, s->executor().counters().launches / (i + 1) - s->executor().counters().groups / (i + 1));
      EXPECT_EQ(fake().graphLaunches, before.graphLaunches + 1);
      EXPECT_EQ(fake().graphsMade, before.graphsMade + (i == 1)); // the first was cut where memory was made
    }
    EXPECT_GT(fake().streams, 1);
  }
  EXPECT_EQ(fake().held, 0);
  EXPECT_EQ(fake().streams, 0);
}

TEST_F(CudaTest, MeasuredMembersRunByThemselves) {
  Tensor x = tensor<float>({2, 3}, {1, 2, 3, 0.5f, -1, 4});
  compile(kTwice, "cuda");
  SessionOptions options;
  options.profile = true;
  auto s = session(load("cuda", openFake), options);
  ASSERT_TRUE(s) << error;
  for (int i = 0; i < 2; ++i)
    ASSERT_TRUE(run(*s, "main", {&x})) << error;
  EXPECT_EQ(fake().branches, 0);
  int64_t calls = 0;
  for (const KernelProfile &profile : s->executor().profile()) {
    calls += profile.calls;
    EXPECT_GT(profile.nanoseconds, 0);
  }
  EXPECT_EQ(calls, s->executor().counters().launches);
}

const char *kAttend = R"(
  func.func @main(%q: tensor<1x4x?x64xf16>, %k: tensor<1x2x?x64xf16>, %v: tensor<1x2x?x64xf16>) -> tensor<1x4x?x64xf16> {
    %0 = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.125 : f64, causal} : (tensor<1x4x?x64xf16>, tensor<1x2x?x64xf16>, tensor<1x2x?x64xf16>) -> tensor<1x4x?x64xf16>
    return %0 : tensor<1x4x?x64xf16>
  }
)";

/// Numbers from -2 to 2 in f16.
Tensor halves(int64_t heads, int64_t length, uint32_t seed) {
  auto made = Tensor::create(DType::F16, Shape({1, heads, length, 64}));
  for (int64_t i = 0; i < made->count(); ++i) {
    seed = seed * 1664525 + 1013904223;
    made->as<uint16_t>()[i] = static_cast<uint16_t>((seed >> 16 & 0x8000) | (0x3400 + (seed >> 8 & 0xbff)));
  }
  return std::move(*made);
}

TEST_F(CudaTest, RunsBlocksThatStayOnHopper) {
  // Ten tiles of the grid, which the one multiprocessor of the stand-in and the four of the simulator take in turns; tensor maps; graphs.
  Tensor q = halves(4, 400, 1), k = halves(2, 400, 2), v = halves(2, 400, 3), shorter = halves(4, 390, 4);
  compile(kAttend, "cuda", "sm_90a");
  auto simulated = session(load("sim:checked"));
  ASSERT_TRUE(simulated) << error;
  ASSERT_TRUE(run(*simulated, "main", {&q, &k, &v})) << error;
  std::vector<uint16_t> want = values<uint16_t>(simulated->output(0));
  fake().major = 9, fake().sharedBytes = 227 << 10;
  auto s = session(load("cuda", openFake));
  ASSERT_TRUE(s) << error;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(run(*s, "main", {&q, &k, &v})) << error;
    EXPECT_EQ(values<uint16_t>(s->output(0)), want) << "run " << i;
    ASSERT_TRUE(run(*s, "main", {&shorter, &k, &v})) << error;
  }
  EXPECT_GT(fake().graphsUpdated, 0);
}

const char *kProduct = R"(
  func.func @main(%a: tensor<1x1x?x64xf16>, %b: tensor<1x1x64x64xf16>) -> tensor<1x1x?x64xf16> {
    %0 = leat.matmul %a, %b : (tensor<1x1x?x64xf16>, tensor<1x1x64x64xf16>) -> tensor<1x1x?x64xf16>
    return %0 : tensor<1x1x?x64xf16>
  }
)";

TEST_F(CudaTest, LaunchesClusters) {
  // Two rows of blocks are a cluster, one is none.
  Tensor a = halves(1, 200, 1), b = halves(1, 64, 2), shorter = halves(1, 100, 1);
  compile(kProduct, "cuda", "sm_90a");
  auto simulated = session(load("sim:checked"));
  ASSERT_TRUE(simulated) << error;
  ASSERT_TRUE(run(*simulated, "main", {&a, &b})) << error;
  std::vector<uint16_t> want = values<uint16_t>(simulated->output(0));
  fake().major = 9, fake().sharedBytes = 227 << 10;
  auto s = session(load("cuda", openFake));
  ASSERT_TRUE(s) << error;
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(run(*s, "main", {&a, &b})) << error;
    EXPECT_EQ(values<uint16_t>(s->output(0)), want) << "run " << i;
    EXPECT_EQ(fake().clusters, i);
  }
  EXPECT_GT(fake().graphsUpdated, 0);
  ASSERT_TRUE(run(*s, "main", {&shorter, &b})) << error;
  EXPECT_EQ(fake().clusters, 3);
}

TEST_F(CudaTest, StreamsWithState) {
  compile(leat::test::kStream, "cuda");
  auto s = session(load("cuda", openFake));
  ASSERT_TRUE(s) << error;
  Tensor one = tensor<float>({1, 3}, {1, 2, 3});
  FakeCuda before;
  for (int i = 1; i <= 5; ++i) {
    if (i == 3)
      before = fake();
    ASSERT_TRUE(run(*s, "step", {&one})) << error;
    EXPECT_EQ(values<float>(s->output(0)), (std::vector<float>{1.f * i, 2.f * i, 3.f * i}));
  }
  // The counter is with the host: a step reads nothing back but its result.
  EXPECT_EQ(fake().copiesOut, before.copiesOut + 3);
  EXPECT_EQ(fake().graphLaunches, before.graphLaunches + 3);
  EXPECT_EQ(fake().graphsMade, before.graphsMade);
}

TEST_F(CudaTest, SessionsMoveBetweenThreads) {
  compile(leat::test::kStream, "cuda");
  auto s = session(load("cuda", openFake));
  Tensor one = tensor<float>({1, 3}, {1, 2, 3});
  bool good = run(*s, "step", {&one});
  std::thread([&] { good &= run(*s, "step", {&one}) && s->save(statePath()).ok(); }).join();
  std::thread([&] {
    s->reset();
    good &= s->load(statePath()).ok() && run(*s, "step", {&one});
  }).join();
  ASSERT_TRUE(good) << error;
  EXPECT_EQ(values<float>(s->output(0)), (std::vector<float>{3, 6, 9}));
}

TEST_F(CudaTest, WhatTheHostReadsCutsAGraph) {
  compile(leat::test::kLoop, "cuda");
  auto s = session(load("cuda", openFake));
  ASSERT_TRUE(s) << error;
  Tensor x = tensor<float>({4}, {0, 0, 0, 0});
  // The number of iterations, which a kernel computes, changes what is launched.
  for (int64_t n : {1, 3, 0, 2, 2}) {
    Tensor count = tensor<int64_t>({}, {n});
    ASSERT_TRUE(run(*s, "main", {&x, &count})) << error;
    EXPECT_EQ(values<float>(s->output(0))[1], 4.f * n);
    EXPECT_EQ(values<int64_t>(s->output(1))[0], 2 * n);
  }
  FakeCuda before = fake();
  Tensor count = tensor<int64_t>({}, {2});
  ASSERT_TRUE(run(*s, "main", {&x, &count})) << error;
  EXPECT_EQ(fake().graphLaunches, before.graphLaunches + 2);
  EXPECT_EQ(fake().graphsUpdated, before.graphsUpdated + 2);
}

TEST_F(CudaTest, TensorMapsAreTheSimulators) {
  auto cuda = openCudaDevice(FAKE_CUDA), sim = openSimDevice("sim", 1);
  ASSERT_TRUE(cuda.ok() && sim.ok());
  alignas(128) static uint8_t base[4096];
  LeatTensorMap map = {};
  map.dtype = 16; // bf16
  map.rank = 3;
  int64_t dims[] = {64, 10, 3}, strides[] = {2, 128, 1280}, box[] = {64, 8, 1};
  std::copy_n(dims, 3, map.dims), std::copy_n(strides, 3, map.strides), std::copy_n(box, 3, map.box);
  for (int64_t swizzle : {0, 128}) {
    map.swizzle = swizzle;
    uint8_t a[128] = {}, b[128] = {};
    Status first = (*cuda)->encodeTensorMap(map, base, a), second = (*sim)->encodeTensorMap(map, base, b);
    ASSERT_TRUE(first.ok() && second.ok()) << first.message() << second.message();
    EXPECT_EQ(std::memcmp(a, b, sizeof(a)), 0);
  }
  map.rank = 6;
  uint8_t bytes[128];
  EXPECT_FALSE((*cuda)->encodeTensorMap(map, base, bytes).ok());
}

TEST_F(CudaTest, MeasuresWithoutGraphs) {
  compile(kSoftmax, "cuda");
  SessionOptions options;
  options.profile = true;
  auto s = session(load("cuda", openFake), options);
  Tensor x = tensor<float>({1, 3}, {1, 2, 3});
  ASSERT_TRUE(run(*s, "main", {&x})) << error;
  EXPECT_EQ(fake().graphLaunches, 0);
  EXPECT_GT(s->executor().profile()[0].nanoseconds, 0);
}

TEST_F(CudaTest, RepeatsWithoutCopiesAndWithColdCaches) {
  compile(kSoftmax, "cuda");
  SessionOptions options;
  options.profile = true;
  auto s = session(load("cuda", openFake), options);
  ASSERT_TRUE(s) << error;
  Tensor x = tensor<float>({1, 3}, {1, 2, 3});
  ASSERT_TRUE(run(*s, "main", {&x})) << error;
  std::vector<float> want = values<float>(s->output(0));
  std::vector<KernelProfile> profile = s->executor().profile();
  FakeCuda before = fake();
  int64_t times[4] = {};
  Status status = s->repeat(times);
  ASSERT_TRUE(status.ok()) << status.message();
  for (int64_t time : times)
    EXPECT_GT(time, 0);
  EXPECT_EQ(values<float>(s->output(0)), want);
  // A graph and a write that clears the cache for each; inputs stay, and only the last result comes to the host.
  EXPECT_EQ(fake().graphLaunches, before.graphLaunches + 4);
  EXPECT_EQ(fake().fills, before.fills + 4);
  EXPECT_EQ(fake().copiesIn, before.copiesIn);
  EXPECT_EQ(fake().copiesOut, before.copiesOut + 1);
  // Measuring kernels is another matter, and goes on afterwards.
  EXPECT_EQ(s->executor().profile()[0].calls, profile[0].calls);
  ASSERT_TRUE(run(*s, "main", {&x})) << error;
  EXPECT_GT(s->executor().profile()[0].calls, profile[0].calls);
}

TEST_F(CudaTest, TimeStartsWhenWorkIsSent) {
  auto device = openCudaDevice(FAKE_CUDA);
  ASSERT_TRUE(device.ok());
  auto queue = (*device)->createQueue();
  ASSERT_TRUE(queue.ok());
  DeviceMemory memory;
  ASSERT_TRUE(memory.allocate(**device, 256, "a test").ok());
  ASSERT_TRUE((*queue)->startTimer(/*cold=*/true).ok());
  EXPECT_EQ(fake().fills, 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  ASSERT_TRUE((*queue)->zero(memory.data(), 256).ok());
  EXPECT_EQ(fake().fills, 2);
  auto time = (*queue)->stopTimer();
  ASSERT_TRUE(time.ok());
  EXPECT_LT(*time, 100'000'000);
  // Without work there is no time, and no failure.
  ASSERT_TRUE((*queue)->startTimer(/*cold=*/false).ok());
  EXPECT_TRUE((*queue)->stopTimer().ok());
  // A device without room for it says what asked.
  auto other = (*device)->createQueue();
  fake().memory = fake().held + 1000;
  Status status = (*other)->startTimer(/*cold=*/true);
  EXPECT_NE(status.message().find("262144 bytes for what clears the GPU's cache for a measurement"), std::string::npos) << status.message();
}

TEST_F(CudaTest, OlderGpus) {
  compile(kSoftmax, "cuda");
  fake().major = 7, fake().minor = 5;
  EXPECT_FALSE(load("cuda", openFake));
  EXPECT_NE(error.find("Fake GPU (sm_75)"), std::string::npos) << error;
  EXPECT_NE(error.find("older GPUs than sm_80 are not supported"), std::string::npos) << error;
  fake().major = 8, fake().minor = 9;
  EXPECT_TRUE(load("cuda", openFake)) << error;
  compile(kSoftmax, "cuda", "sm_90a");
  EXPECT_FALSE(load("cuda", openFake));
  EXPECT_NE(error.find("sm_90a only"), std::string::npos) << error;
  EXPECT_NE(error.find("--gpu=sm_80"), std::string::npos) << error;
  fake().major = 9, fake().minor = 0;
  EXPECT_TRUE(load("cuda", openFake)) << error;
}

TEST_F(CudaTest, OutOfMemoryNamesWhatAskedForHowMuch) {
  compile(kSoftmax, "cuda");
  fake().memory = 1 << 16;
  auto s = session(load("cuda", openFake));
  ASSERT_TRUE(s) << error;
  Tensor x = tensor<float>({40000, 3}, std::vector<float>(120000));
  EXPECT_FALSE(run(*s, "main", {&x}));
  for (const char *text :
       {"out of memory on Fake GPU (sm_80)", "480000 bytes for an input were asked for", "of 65536 are free", "smaller batch"})
    EXPECT_NE(error.find(text), std::string::npos) << error;
  // The session is good for what fits.
  Tensor small = tensor<float>({1, 3}, {1, 2, 3});
  EXPECT_TRUE(run(*s, "main", {&small})) << error;
}

TEST_F(CudaTest, OutOfMemoryForWeightsAndState) {
  compile(kSoftmax, "cuda");
  fake().memory = 100;
  EXPECT_FALSE(load("cuda", openFake));
  EXPECT_NE(error.find("12 bytes for the weights were asked for, 100 of 100 are free"), std::string::npos) << error;
  compile(leat::test::kStream, "cuda");
  fake().memory = 1 << 16;
  SessionOptions options;
  options.context = 100000;
  EXPECT_FALSE(session(load("cuda", openFake), options));
  EXPECT_NE(error.find("bytes for state were asked for"), std::string::npos) << error;
  EXPECT_NE(error.find("a smaller batch, context or input"), std::string::npos) << error;
}

TEST_F(CudaTest, CodeThatTheDriverRefuses) {
  compile(kSoftmax, "cuda");
  fake().refusePtx = true;
  EXPECT_FALSE(load("cuda", openFake));
  EXPECT_NE(error.find("line 7: the test says no"), std::string::npos) << error;
}

} // namespace
