// Where weights are placed: the decision, what the system says, and that results do not depend on it.
#include "runtime/session/Model.h"
#include "test/unit/runtime/TinyModel.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/resource.h>

using namespace leat::rt;
using namespace leat::test;

namespace {

constexpr int64_t MB = int64_t(1) << 20;

TEST(WeightPages, Decision) {
  SystemMemory plenty{1000 * MB, true}, without{1000 * MB, false};
  using enum WeightPages;
  auto wants = [](WeightPages asked, int64_t bytes, const SystemMemory &system) { return HostWeights::wantsCopy(asked, bytes, system); };
  EXPECT_TRUE(wants(Auto, 100 * MB, plenty));
  EXPECT_TRUE(wants(Auto, 500 * MB, plenty));
  EXPECT_FALSE(wants(Auto, 501 * MB, plenty)); // as much must be left
  EXPECT_FALSE(wants(Auto, 31 * MB, plenty));  // a cache may hold it
  EXPECT_FALSE(wants(Auto, 100 * MB, without));
  EXPECT_TRUE(wants(Huge, 2 * MB, plenty));
  EXPECT_TRUE(wants(Huge, 875 * MB, plenty));
  EXPECT_FALSE(wants(Huge, 876 * MB, plenty));
  EXPECT_FALSE(wants(Huge, 2 * MB - 1, plenty)); // no huge page is filled
  EXPECT_FALSE(wants(Huge, 100 * MB, without));
  EXPECT_FALSE(wants(Mapped, 100 * MB, plenty));
  EXPECT_FALSE(wants(Auto, 0, plenty));
  EXPECT_FALSE(wants(Huge, 100 * MB, SystemMemory()));
}

// A tree in place of /proc and /sys.
struct FakeSystem {
  FakeSystem() { std::filesystem::create_directories(root.path); }
  ~FakeSystem() { std::filesystem::remove_all(root.path); }
  void write(const std::string &path, const std::string &text) {
    std::filesystem::create_directories(std::filesystem::path(root.path + path).parent_path());
    std::ofstream(root.path + path) << text;
  }
  SystemMemory read() const { return SystemMemory::read(root.path); }
  TemporaryFile root{".system"};
};

TEST(SystemMemory, ReadsWhatTheMachineHas) {
  FakeSystem system;
  EXPECT_EQ(system.read().available, 0);
  EXPECT_FALSE(system.read().hugePages);
  system.write("/proc/meminfo", "MemTotal:       24684084 kB\nMemFree:        11280156 kB\nMemAvailable:   2000 kB\n");
  EXPECT_EQ(system.read().available, 2000 * 1024);
  for (auto [setting, offered] :
       {std::pair("always madvise [never]\n", false), {"always [madvise] never\n", true}, {"[always] madvise never\n", true}}) {
    system.write("/sys/kernel/mm/transparent_hugepage/enabled", setting);
    EXPECT_EQ(system.read().hugePages, offered) << setting;
  }
  system.write("/proc/meminfo", "MemAvailable: lots\n");
  EXPECT_EQ(system.read().available, 0);
}

TEST(SystemMemory, ControlGroupsLimitIt) {
  FakeSystem system;
  system.write("/proc/meminfo", "MemAvailable:   1000000 kB\n");
  // Version 2: the least of the group and those above it; the page cache it is charged for can go.
  system.write("/proc/self/cgroup", "0::/a/b\n");
  system.write("/sys/fs/cgroup/a/b/memory.max", "max\n");
  system.write("/sys/fs/cgroup/a/b/memory.current", "5000\n");
  EXPECT_EQ(system.read().available, 1000000 * 1024);
  system.write("/sys/fs/cgroup/a/memory.max", "9000\n");
  system.write("/sys/fs/cgroup/a/memory.current", "7000\n");
  EXPECT_EQ(system.read().available, 2000);
  system.write("/sys/fs/cgroup/a/memory.stat", "anon 4000\nfile 3000\nactive_file 2500\ninactive_file 500\n");
  EXPECT_EQ(system.read().available, 2500);
  system.write("/sys/fs/cgroup/a/b/memory.max", "4000\n"); // over its limit
  EXPECT_EQ(system.read().available, 0);
  // In a container the path may be the host's: the mount's root is the group.
  system.write("/proc/self/cgroup", "0::/elsewhere/..\n");
  system.write("/sys/fs/cgroup/memory.max", "9000\n");
  system.write("/sys/fs/cgroup/memory.current", "1000\n");
  EXPECT_EQ(system.read().available, 8000);
  // Version 1, among other controllers.
  system.write("/proc/self/cgroup", "7:cpu,memory:/c\n3:cpuset:/\n0::/none\n");
  system.write("/sys/fs/cgroup/memory/c/memory.limit_in_bytes", "6000\n");
  system.write("/sys/fs/cgroup/memory/c/memory.usage_in_bytes", "2000\n");
  system.write("/sys/fs/cgroup/memory/c/memory.stat", "inactive_file 1\ntotal_inactive_file 100\n");
  EXPECT_EQ(system.read().available, 4100);
}

struct PlacementTest : testing::Test {
  static constexpr size_t bytes = 5 * MB + 1234; // the last huge page is filled in part
  TemporaryFile file{".leat"};
  ThreadPool pool{3};
  std::unique_ptr<Artifact> artifact;

  void SetUp() override {
    writeTiny(file.path, {}, readAll(TINY_MODEL), bytes);
    artifact = std::move(*Artifact::open(file.path));
  }
};

TEST_F(PlacementTest, CopiesAreEqualAndApart) {
  SystemMemory system{100 * MB, true};
  HostWeights mapped = HostWeights::place(*artifact, WeightPages::Auto, system, pool),
              huge = HostWeights::place(*artifact, WeightPages::Huge, system, pool);
  EXPECT_EQ(mapped.pages(), WeightPages::Mapped);
  EXPECT_EQ(mapped.param(1), artifact->param(1));
  ASSERT_EQ(huge.pages(), WeightPages::Huge);
  EXPECT_NE(huge.param(0), artifact->param(0));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(huge.param(0)) % (2 * MB), 0u); // where a huge page can begin
  EXPECT_EQ(*static_cast<const float *>(huge.param(1)), 3.0f);
  // The mapping's pages were given back: they are read anew.
  EXPECT_EQ(std::memcmp(huge.param(0), artifact->section(SectionKind::Weights).data(), bytes), 0);
  HostWeights moved = std::move(huge);
  EXPECT_EQ(*static_cast<const float *>(moved.param(1)), 3.0f);
}

TEST_F(PlacementTest, WhatIsNotCopiedInTimeStaysMapped) {
  writeTiny(file.path, {}, readAll(TINY_MODEL), 40 * MB);
  artifact = std::move(*Artifact::open(file.path));
  SystemMemory system{100 * MB, true};
  auto all = HostWeights::place(*artifact, WeightPages::Auto, system, pool);
  EXPECT_EQ(all.pages(), WeightPages::Huge);
  EXPECT_NE(all.param(0), artifact->param(0));
  auto none = HostWeights::place(*artifact, WeightPages::Auto, system, pool, [] { return false; });
  EXPECT_EQ(none.pages(), WeightPages::Mapped);
  EXPECT_EQ(none.param(0), artifact->param(0));
  std::atomic<int> left = 5;
  auto some = HostWeights::place(*artifact, WeightPages::Auto, system, pool, [&] { return left-- > 0; });
  EXPECT_EQ(some.pages(), WeightPages::Huge);
  EXPECT_LT(left, 0); // it was asked until it said no
  for (size_t i = 0; i < 2; ++i)
    EXPECT_EQ(std::memcmp(some.param(i), artifact->param(i), artifact->manifest().params[i].length), 0) << i;
  // A copy that was asked for is made whole.
  EXPECT_NE(HostWeights::place(*artifact, WeightPages::Huge, system, pool, [] { return false; }).param(0), artifact->param(0));
}

TEST_F(PlacementTest, RefusedMemoryStaysMapped) {
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  rlimit none{0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &none), 0); // no mapping can be made from here on
  HostWeights placed = HostWeights::place(*artifact, WeightPages::Huge, {100 * MB, true}, pool);
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_EQ(placed.pages(), WeightPages::Mapped);
  EXPECT_EQ(*static_cast<const float *>(placed.param(1)), 3.0f);
}

TEST_F(PlacementTest, ResultsAreTheSameBits) {
  std::vector<Tensor> results;
  for (WeightPages pages : {WeightPages::Mapped, WeightPages::Huge}) {
    ModelOptions options;
    options.threads = 2;
    options.weightPages = pages;
    auto model = std::move(*Model::load(file.path, options));
    EXPECT_EQ(model->weights().pages(), SystemMemory::read().hugePages ? pages : WeightPages::Mapped);
    auto one = std::move(*Session::create(model)), other = std::move(*Session::create(model)); // on the same copy
    auto x = std::move(*Tensor::create(DType::F32, {40, 7})), y = std::move(*Tensor::create(DType::F32, {40, 7}));
    for (int64_t i = 0; i < x.count(); ++i)
      x.as<float>()[i] = 0.1f * i, y.as<float>()[i] = 5 - 0.3f * i;
    NamedTensor inputs[] = {{"x", &x}, {"y", &y}};
    for (Session *session : {one.get(), other.get()}) {
      ASSERT_TRUE(session->run(0, inputs).ok());
      results.push_back(std::move(*session->output(0).clone()));
    }
  }
  for (const Tensor &result : results)
    EXPECT_EQ(std::memcmp(result.data(), results[0].data(), results[0].bytes()), 0);
}

TEST_F(PlacementTest, DamageIsFoundBeforeCopying) {
  std::vector<uint8_t> file = readAll(this->file.path);
  file[file.size() - bytes / 2] ^= 1;
  TemporaryFile damaged(".leat");
  ASSERT_TRUE(writeFile(damaged.path, std::vector<std::span<const uint8_t>>{file}).ok());
  ModelOptions options;
  options.weightPages = WeightPages::Huge;
  auto model = Model::load(damaged.path, options);
  ASSERT_FALSE(model.ok());
  EXPECT_NE(model.status().message().find("checksum of its weights"), std::string::npos) << model.status().message();
}

} // namespace
