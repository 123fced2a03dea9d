// The C interface through the shared library, as a stranger links it: results, statuses, misuse, ages of structs.
#include "leat/leat.hpp"
#include "runtime/core/SystemMemory.h"
#include "test/unit/runtime/TinyModel.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>

using leat::test::TemporaryFile;
using leat::test::writeTiny;

static std::string take(leat_status *status, leat_code code) {
  EXPECT_EQ(leat_status_code(status), code) << leat_status_message(status);
  std::string message = leat_status_message(status);
  leat_status_free(status);
  return message;
}

namespace {

struct CApiTest : testing::Test {
  TemporaryFile file{".leat"};
  leat_model *model = nullptr;
  leat_session *session = nullptr;

  void SetUp() override {
    writeTiny(file.path);
    ASSERT_EQ(leat_model_load(file.path.c_str(), nullptr, &model), nullptr);
    ASSERT_EQ(leat_session_create(model, nullptr, &session), nullptr);
  }
  void TearDown() override {
    leat_session_destroy(session);
    leat_model_release(model);
  }
};

TEST_F(CApiTest, RunsAModel) {
  EXPECT_EQ(leat_runtime_api_version(), LEAT_RUNTIME_API_VERSION);
  ASSERT_EQ(leat_model_function_count(model), 2u);
  size_t main = 9;
  ASSERT_EQ(leat_model_find_function(model, "main", &main), nullptr);
  EXPECT_STREQ(leat_model_function_name(model, main), "main");
  EXPECT_EQ(leat_model_input_count(model, main), 2u);
  leat_tensor_info info = LEAT_INIT(leat_tensor_info);
  ASSERT_EQ(leat_model_input_info(model, main, 1, &info), nullptr);
  EXPECT_STREQ(info.name, "y");
  EXPECT_EQ(info.rank, 2);
  EXPECT_EQ(info.dims[0], -1);
  EXPECT_STREQ(info.symbols[1], "cols");

  float x[] = {1, 2, 3}, y[] = {10, 20, 30};
  leat_tensor a = LEAT_INIT(leat_tensor), b = LEAT_INIT(leat_tensor), out = LEAT_INIT(leat_tensor);
  a.dtype = b.dtype = LEAT_F32;
  a.rank = b.rank = 2;
  a.dims[0] = b.dims[0] = 1;
  a.dims[1] = b.dims[1] = 3;
  a.data = x;
  b.data = y;
  const leat_tensor *tensors[] = {&b, &a};
  const char *names[] = {"y", "x"};
  ASSERT_EQ(leat_session_run(session, main, names, tensors, 2), nullptr);
  ASSERT_EQ(leat_session_output(session, 0, &out), nullptr);
  EXPECT_EQ(out.dims[1], 3);
  EXPECT_EQ(static_cast<float *>(out.data)[2], 39);
  int64_t times[2] = {-1, -1};
  ASSERT_EQ(leat_session_repeat(session, 2, times), nullptr);
  EXPECT_GE(times[1], 0);
  ASSERT_EQ(leat_session_output(session, 0, &out), nullptr);
  EXPECT_EQ(static_cast<float *>(out.data)[2], 39);
  a.dims[1] = 4;
  EXPECT_EQ(take(leat_session_run(session, main, names, tensors, 2), LEAT_INVALID_ARGUMENT),
            "the inputs disagree on 'cols': input 'y' has 3, input 'x' has 4");
}

TEST_F(CApiTest, WeightPages) {
  EXPECT_EQ(leat_model_weight_pages(model), LEAT_WEIGHT_PAGES_MAPPED); // too small to copy
  EXPECT_EQ(leat_model_weight_pages(nullptr), LEAT_WEIGHT_PAGES_MAPPED);
  TemporaryFile large(".leat");
  writeTiny(large.path, {}, leat::test::readAll(TINY_MODEL), (size_t(3) << 20) + 77);
  auto options = LEAT_INIT(leat_model_options);
  for (leat_weight_pages pages : {LEAT_WEIGHT_PAGES_MAPPED, LEAT_WEIGHT_PAGES_HUGE}) {
    options.weight_pages = pages;
    leat_model *loaded = nullptr;
    ASSERT_EQ(leat_model_load(large.path.c_str(), &options, &loaded), nullptr);
    bool offered = leat::rt::SystemMemory::read().hugePages;
    EXPECT_EQ(leat_model_weight_pages(loaded), offered ? pages : LEAT_WEIGHT_PAGES_MAPPED);
    leat_model_release(loaded);
  }
  options.weight_pages = 3;
  leat_model *none = nullptr;
  EXPECT_NE(take(leat_model_load(large.path.c_str(), &options, &none), LEAT_INVALID_ARGUMENT).find("given 3"), std::string::npos);
  EXPECT_EQ(none, nullptr);
  options.weight_pages = 0, options.gemm = 4;
  EXPECT_NE(take(leat_model_load(large.path.c_str(), &options, &none), LEAT_INVALID_ARGUMENT).find("given 4"), std::string::npos);
  options.gemm = LEAT_GEMM_CUBLASLT; // this model runs on the CPU
  EXPECT_NE(take(leat_model_load(large.path.c_str(), &options, &none), LEAT_INVALID_ARGUMENT).find("the CPU has none"), std::string::npos);
  // Callers from before there was a choice.
  options.struct_size = offsetof(leat_model_options, weight_pages);
  ASSERT_EQ(leat_model_load(large.path.c_str(), &options, &none), nullptr);
  leat_model_release(none);
}

TEST_F(CApiTest, Misuse) {
  leat_model *none = nullptr;
  EXPECT_NE(take(leat_model_load("/nonexistent.leat", nullptr, &none), LEAT_NOT_FOUND).find("/nonexistent.leat"), std::string::npos);
  take(leat_model_load(nullptr, nullptr, &none), LEAT_INVALID_ARGUMENT);
  take(leat_model_load("x", nullptr, nullptr), LEAT_INVALID_ARGUMENT);
  EXPECT_EQ(none, nullptr);
  leat_model_options unset;
  std::memset(&unset, 0, sizeof(unset));
  EXPECT_NE(take(leat_model_load(file.path.c_str(), &unset, &none), LEAT_INVALID_ARGUMENT).find("LEAT_INIT"), std::string::npos);
  size_t index;
  EXPECT_NE(take(leat_model_find_function(model, "nope", &index), LEAT_NOT_FOUND).find("main, step"), std::string::npos);
  EXPECT_EQ(leat_model_function_name(model, 7), nullptr);
  EXPECT_EQ(leat_model_input_count(model, 7), 0u);
  EXPECT_EQ(leat_model_option(model, "nope"), nullptr);
  leat_tensor_info info = LEAT_INIT(leat_tensor_info);
  take(leat_model_input_info(model, 0, 7, &info), LEAT_NOT_FOUND);
  leat_tensor tensor = LEAT_INIT(leat_tensor);
  take(leat_session_output(session, 0, &tensor), LEAT_NOT_FOUND);
  tensor.rank = 9;
  const leat_tensor *tensors[] = {&tensor, nullptr};
  take(leat_session_run(session, 0, nullptr, tensors, 1), LEAT_INVALID_ARGUMENT);
  tensor.rank = 0;
  take(leat_session_run(session, 0, nullptr, tensors, 2), LEAT_INVALID_ARGUMENT);
  take(leat_session_run(session, 9, nullptr, nullptr, 0), LEAT_NOT_FOUND);
  take(leat_session_run(nullptr, 0, nullptr, nullptr, 0), LEAT_INVALID_ARGUMENT);
  int64_t time;
  EXPECT_NE(take(leat_session_repeat(session, 1, &time), LEAT_INVALID_ARGUMENT).find("no run to repeat"), std::string::npos);
  take(leat_session_repeat(session, 1, nullptr), LEAT_INVALID_ARGUMENT);
  take(leat_session_repeat(nullptr, 1, &time), LEAT_INVALID_ARGUMENT);
  leat_kernel_profile profile = LEAT_INIT(leat_kernel_profile);
  EXPECT_NE(take(leat_session_kernel_profile(session, 0, &profile), LEAT_INVALID_ARGUMENT).find("profile"), std::string::npos);
  EXPECT_EQ(leat_status_code(nullptr), LEAT_OK);
  EXPECT_STREQ(leat_status_message(nullptr), "");
  leat_status_free(nullptr);
  leat_session_destroy(nullptr);
  leat_model_release(nullptr);
  leat_generator_destroy(nullptr);
}

TEST_F(CApiTest, StructsOfAnotherAge) {
  // A caller from before `profile` existed: what lies behind its struct is not read.
  struct {
    leat_session_options options;
  } old;
  std::memset(&old, 0xff, sizeof(old));
  old.options.struct_size = offsetof(leat_session_options, profile);
  old.options.batch = 2;
  old.options.context = 8;
  leat_session *made = nullptr;
  ASSERT_EQ(leat_session_create(model, &old.options, &made), nullptr);
  leat_session_destroy(made);
  // One from after: what this library does not know stays untouched.
  struct {
    leat_counters counters;
    int64_t more;
  } young;
  std::memset(&young, 0, sizeof(young));
  young.counters.struct_size = sizeof(young);
  young.more = 77;
  ASSERT_EQ(leat_session_counters(session, &young.counters), nullptr);
  EXPECT_EQ(young.more, 77);
  EXPECT_EQ(young.counters.struct_size, sizeof(young));
}

TEST_F(CApiTest, Generates) {
  leat_generator *generator = nullptr;
  ASSERT_EQ(leat_generator_create(session, nullptr, &generator), nullptr);
  int64_t prompt[] = {3, 1}, bad[] = {7}, token, generated;
  int32_t stop;
  EXPECT_NE(take(leat_generator_feed(generator, bad, 1), LEAT_INVALID_ARGUMENT).find("token 7"), std::string::npos);
  ASSERT_EQ(leat_generator_feed(generator, prompt, 2), nullptr);
  ASSERT_EQ(leat_generator_next(generator, &token, &stop), nullptr);
  EXPECT_EQ(token, 5); // 1 * 3 + 2 * 1
  EXPECT_EQ(stop, 0);
  int left = 3;
  auto callback = [](void *context, int64_t) -> int32_t { return --*static_cast<int *>(context) > 0; };
  ASSERT_EQ(leat_generator_run(generator, 100, callback, &left, &generated), nullptr);
  EXPECT_EQ(generated, 3);
  ASSERT_EQ(leat_generator_settle(generator), nullptr);
  EXPECT_EQ(leat_session_tokens(session), 6);
  TemporaryFile saved(".state");
  ASSERT_EQ(leat_session_save(session, saved.path.c_str()), nullptr);
  leat_generator_reset(generator);
  EXPECT_EQ(leat_session_tokens(session), 0);
  ASSERT_EQ(leat_session_load(session, saved.path.c_str()), nullptr);
  leat_generator_state_loaded(generator);
  EXPECT_EQ(leat_session_tokens(session), 6);
  leat_generator_reset(generator);
  double nll[2];
  ASSERT_EQ(leat_generator_score(generator, prompt, 2, nll), nullptr);
  EXPECT_TRUE(std::isnan(nll[0]));
  EXPECT_GT(nll[1], 0);
  leat_generator_statistics statistics = LEAT_INIT(leat_generator_statistics);
  ASSERT_EQ(leat_generator_get_statistics(generator, &statistics), nullptr);
  EXPECT_EQ(statistics.generated_tokens, 4);
  leat_generator_destroy(generator);
}

TEST_F(CApiTest, Devices) {
  leat_model *loaded = nullptr;
  leat_model_options options = LEAT_INIT(leat_model_options);
  options.device = "cpu";
  ASSERT_EQ(leat_model_load(file.path.c_str(), &options, &loaded), nullptr);
  EXPECT_STREQ(leat_model_device(loaded), "CPU");
  leat_model_release(loaded);
  EXPECT_EQ(leat_model_device(nullptr), nullptr);
  // What was compiled for the CPU runs nowhere else, and there is no such device as the last.
  for (const char *device : {"cuda", "tpu"}) {
    options.device = device;
    leat_status *status = leat_model_load(file.path.c_str(), &options, &loaded);
    EXPECT_EQ(leat_status_code(status), LEAT_INVALID_ARGUMENT);
    EXPECT_NE(std::string(leat_status_message(status)).find("compiled for the CPU"), std::string::npos) << leat_status_message(status);
    leat_status_free(status);
  }
  leat::ModelOptions wrapped;
  wrapped.device = "cuda";
  EXPECT_THROW(leat::Model(file.path, wrapped), leat::Error);
}

TEST(RuntimeLibrary, IsSmallAndAlone) {
  std::vector<uint8_t> library = leat::test::readAll(RUNTIME_LIBRARY);
  ASSERT_FALSE(library.empty());
#if !defined(__SANITIZE_ADDRESS__) && !__has_feature(address_sanitizer)
  EXPECT_LT(library.size(), size_t(2) << 20);
#endif
  std::string_view text(reinterpret_cast<const char *>(library.data()), library.size());
  for (const char *name : {"libLLVM", "libMLIR", "libpython", "libprotobuf"})
    EXPECT_EQ(text.find(name), std::string_view::npos) << name;
}

TEST_F(CApiTest, CppWrapper) {
  leat::Model loaded(file.path, {2, true});
  EXPECT_EQ(loaded.functions(), (std::vector<std::string>{"main", "step"}));
  EXPECT_STREQ(loaded.inputs("step")[0].name, "input_ids");
  leat::Session s(loaded);
  std::vector<float> x = {1, 2}, y = {5, 5};
  auto results = s.run("main", {{"x", leat::view(x, {1, 2})}, {"y", leat::view(y, {1, 2})}});
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[0].data<float>()[1], 11);
  EXPECT_THROW(results[0].data<int64_t>(), leat::Error);
  EXPECT_THROW(leat::view(x, {3}), leat::Error);
  EXPECT_THROW(leat::Model("/nonexistent.leat"), leat::Error);
  try {
    s.run("main", {{"x", leat::view(x, {1, 2})}});
    FAIL();
  } catch (const leat::Error &error) {
    EXPECT_EQ(error.code(), LEAT_INVALID_ARGUMENT);
    EXPECT_NE(std::string(error.what()).find("'y'"), std::string::npos);
  }
  leat::Generator generator(s);
  generator.feed({3, 1});
  int64_t token;
  EXPECT_TRUE(generator.next(token));
  EXPECT_EQ(token, 5);
  EXPECT_EQ(s.counters().runs, 2);
}

// The examples are programs of their own; their messages and exit codes are part of what they show.
std::string output(const std::string &command, int &code) {
  FILE *pipe = popen((command + " 2>&1").c_str(), "r");
  std::string text;
  char buffer[256];
  while (size_t got = fread(buffer, 1, sizeof(buffer), pipe))
    text.append(buffer, got);
  code = WEXITSTATUS(pclose(pipe));
  return text;
}

TEST_F(CApiTest, Examples) {
  int code;
  std::string text = output(EXAMPLE_GENERATE " " + file.path + " 3 3 1", code);
  EXPECT_EQ(code, 0);
  EXPECT_EQ(text.substr(0, 6), "5\n6\n2\n") << text;
  EXPECT_NE(output(EXAMPLE_GENERATE " " + file.path + " 3 99", code).find("generate: token 99"), std::string::npos);
  EXPECT_EQ(code, 1);
  output(EXAMPLE_GENERATE, code);
  EXPECT_EQ(code, 2);
  EXPECT_NE(output(EXAMPLE_EMBED " /nonexistent.leat 1", code).find("embed: cannot open"), std::string::npos);
  EXPECT_EQ(code, 1);
}

} // namespace
