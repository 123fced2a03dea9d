// The compiler's C interface through its shared library, beside the runtime's: as a program that compiles and runs models links them.
#include "leat/Compiler.h"
#include "leat/leat.hpp"

#include <cstdio>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

extern "C" size_t leat_compiler_header_is_c99(void);

namespace {

const char *kRelu = R"(
  func.func @main(%x: tensor<?x4xf32> {onnx.name = "x", onnx.dims = ["n", ""]}) -> (tensor<?x4xf32> {onnx.name = "y", onnx.dims = ["n", ""]}) attributes {onnx.graph} {
    %0 = onnx.node "OPERATOR"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32> attributes {node_name = "/act", version = 14 : i64}
    return %0 : tensor<?x4xf32>
  })";

struct CompilerCApi : testing::Test {
  std::string base = testing::TempDir() + "leat_capi_" + std::to_string(getpid()), model = base + ".mlir", output = base + ".leat";
  leat_compile_report *report = nullptr;

  void write(const std::string &op) {
    std::string text = kRelu;
    text.replace(text.find("OPERATOR"), 8, op);
    std::ofstream(model) << text;
  }
  leat_compile_code compile(const leat_compile_options *options = nullptr) {
    leat_compile_report_free(report);
    return leat_compile(model.c_str(), output.c_str(), options, &report);
  }
  std::string messages() {
    std::string all;
    for (size_t i = 0; i < leat_compile_report_count(report); ++i)
      all += std::string(leat_compile_report_is_error(report, i) ? "error: " : "warning: ") + leat_compile_report_message(report, i) + "\n";
    return all;
  }
  bool written() { return access(output.c_str(), F_OK) == 0; }
  void TearDown() override {
    leat_compile_report_free(report);
    std::remove(model.c_str());
    std::remove(output.c_str());
  }
};

TEST_F(CompilerCApi, CompilesWhatTheRuntimeRuns) {
  EXPECT_EQ(leat_compiler_api_version(), LEAT_COMPILER_API_VERSION);
  EXPECT_EQ(leat_compiler_header_is_c99(), sizeof(leat_compile_options));
  write("Relu");
  std::vector<std::string> stages;
  auto options = LEAT_COMPILER_INIT(leat_compile_options);
  options.progress = [](void *context, const char *stage, double) { static_cast<std::vector<std::string> *>(context)->push_back(stage); };
  options.progress_context = &stages;
  ASSERT_EQ(compile(&options), LEAT_COMPILE_OK) << messages();
  EXPECT_EQ(leat_compile_report_count(report), 0u) << messages();
  EXPECT_NE(std::find(stages.begin(), stages.end(), "import"), stages.end());
  leat::Model loaded(output);
  leat::Session session(loaded);
  std::vector<float> x{-1, 2, -3, 4};
  auto results = session.run("main", {{"x", leat::view(x, {1, 4})}});
  EXPECT_EQ(std::vector<float>(results[0].data<float>(), results[0].data<float>() + 4), (std::vector<float>{0, 2, 0, 4}));
}

TEST_F(CompilerCApi, ReportsEveryUnsupportedNode) {
  write("NoSuchOperator");
  EXPECT_EQ(compile(), LEAT_COMPILE_UNSUPPORTED);
  EXPECT_NE(messages().find("NoSuchOperator"), std::string::npos) << messages();
  EXPECT_NE(messages().find("/act"), std::string::npos) << messages();
  EXPECT_FALSE(written());
}

TEST_F(CompilerCApi, RefusesBadInputAndOptions) {
  std::ofstream(model) << "this is no IR";
  EXPECT_EQ(compile(), LEAT_COMPILE_BAD_INPUT);
  EXPECT_EQ(messages().find("error: "), 0u);
  model = base + ".missing.onnx";
  EXPECT_EQ(compile(), LEAT_COMPILE_BAD_INPUT);
  EXPECT_NE(messages().find("missing.onnx"), std::string::npos) << messages();
  model = base + ".mlir";
  write("Relu");
  auto options = LEAT_COMPILER_INIT(leat_compile_options);
  options.kv = "sink(4)+";
  EXPECT_EQ(compile(&options), LEAT_COMPILE_USAGE);
  EXPECT_NE(messages().find("sink(4)+"), std::string::npos) << messages();
  options.kv = nullptr;
  options.schedule = "/no/such/schedule";
  EXPECT_EQ(compile(&options), LEAT_COMPILE_USAGE);
  EXPECT_NE(messages().find("/no/such/schedule"), std::string::npos) << messages();
  options.schedule = nullptr;
  options.target_cpu = "z80";
  EXPECT_EQ(compile(&options), LEAT_COMPILE_USAGE);
  options.target_cpu = nullptr;
  options.target = "rocm";
  EXPECT_EQ(compile(&options), LEAT_COMPILE_USAGE);
  EXPECT_NE(messages().find("cpu or cuda"), std::string::npos) << messages();
  options.target = "cuda";
  options.gpu = "sm_35";
  EXPECT_EQ(compile(&options), LEAT_COMPILE_USAGE);
  EXPECT_NE(messages().find("sm_35"), std::string::npos) << messages();
  options.target = options.gpu = nullptr;
  options.emit = "wasm";
  EXPECT_EQ(compile(&options), LEAT_COMPILE_USAGE);
  options.emit = nullptr;
  const char *shapes[] = {"n"};
  options.shapes = shapes;
  options.shape_count = 1;
  EXPECT_NE(compile(&options), LEAT_COMPILE_OK);
  options.shapes = nullptr;
  EXPECT_EQ(compile(&options), LEAT_COMPILE_USAGE);
  options.shape_count = 0;
  options.weights = "int3";
  EXPECT_EQ(compile(&options), LEAT_COMPILE_USAGE);
  EXPECT_NE(messages().find("int3"), std::string::npos) << messages();
  options.weights = "int4";
  options.keep_weights_count = 1;
  EXPECT_EQ(compile(&options), LEAT_COMPILE_USAGE);
  const char *keep[] = {"["};
  options.keep_weights = keep;
  EXPECT_EQ(compile(&options), LEAT_COMPILE_USAGE);
  keep[0] = "head*";
  EXPECT_EQ(compile(&options), LEAT_COMPILE_OK) << messages();
  EXPECT_NE(messages().find("no weight can be stored as int4"), std::string::npos) << messages();
  std::remove(output.c_str());
  options.struct_size = 0;
  EXPECT_EQ(compile(&options), LEAT_COMPILE_USAGE);
  EXPECT_EQ(leat_compile(nullptr, output.c_str(), nullptr, nullptr), LEAT_COMPILE_USAGE);
  EXPECT_EQ(leat_compile(model.c_str(), nullptr, nullptr, nullptr), LEAT_COMPILE_USAGE);
  EXPECT_FALSE(written());
  EXPECT_EQ(leat_compile_report_message(nullptr, 0), nullptr);
}

TEST_F(CompilerCApi, ReadsOptionsOfAnOlderProgram) {
  write("Relu");
  // A program that knows only the first fields: what lies behind them is not read.
  auto options = LEAT_COMPILER_INIT(leat_compile_options);
  options.struct_size = offsetof(leat_compile_options, shapes);
  options.target_cpu = "x86-64";
  options.shape_count = 1000;
  options.emit = "wasm";
  EXPECT_EQ(compile(&options), LEAT_COMPILE_OK) << messages();
  EXPECT_TRUE(written());
}

TEST_F(CompilerCApi, WritesText) {
  write("Relu");
  auto options = LEAT_COMPILER_INIT(leat_compile_options);
  options.emit = "kernels";
  ASSERT_EQ(compile(&options), LEAT_COMPILE_OK) << messages();
  std::string text((std::istreambuf_iterator<char>(*std::make_unique<std::ifstream>(output))), {});
  EXPECT_NE(text.find("leat.kernel_func"), std::string::npos) << text;
}

TEST_F(CompilerCApi, ExampleProgram) {
  write("Relu");
  auto run = [&](const std::string &arguments, int &code) {
    FILE *pipe = popen((EXAMPLE_COMPILE " " + arguments + " 2>&1").c_str(), "r");
    std::string text;
    for (int c; (c = fgetc(pipe)) != EOF;)
      text += static_cast<char>(c);
    code = WEXITSTATUS(pclose(pipe));
    return text;
  };
  int code = -1;
  std::string text = run(model + " " + output, code);
  EXPECT_EQ(code, 0) << text;
  EXPECT_NE(text.find("main: 1 inputs, 1 outputs"), std::string::npos) << text;
  text = run("/nonexistent.onnx " + output, code);
  EXPECT_EQ(code, LEAT_COMPILE_BAD_INPUT) << text;
  EXPECT_NE(text.find("compile: error: "), std::string::npos) << text;
  run("", code);
  EXPECT_EQ(code, LEAT_COMPILE_USAGE);
}

} // namespace
