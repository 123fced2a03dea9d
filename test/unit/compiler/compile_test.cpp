// The whole way: leat-level IR through every stage to an artifact, loaded and run by the runtime.
#include "lib/Pipeline/Compile.h"
#include "lib/Pipeline/Registration.h"
#include "runtime/session/Model.h"

#include "dialects/Leat/Leat.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include <gtest/gtest.h>
#include <unistd.h>

using namespace mlir;

namespace {

struct CompileTest : testing::Test {
  CompileTest() : path(testing::TempDir() + "leat_compile_test_" + std::to_string(getpid()) + ".leat") {
    DialectRegistry registry;
    leat::registerDialects(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }
  ~CompileTest() override { unlink(path.c_str()); }

  /// Compiles `source` for `cpu`; returns a session, or null with the reported problem in `error`.
  std::unique_ptr<leat::rt::Session> compile(const std::string &source, const std::string &cpu = "native") {
    ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) { llvm::raw_string_ostream(error) << diagnostic << "\n"; });
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(source, &context);
    if (!module)
      return nullptr;
    leat::CompileOptions options;
    options.targetCpu = cpu;
    options.verifyEach = true;
    if (failed(leat::compileModule(*module, options, path)))
      return nullptr;
    leat::rt::ModelOptions modelOptions;
    modelOptions.threads = 2;
    auto model = leat::rt::Model::load(path, modelOptions);
    if (!model.ok()) {
      error = model.status().message();
      return nullptr;
    }
    auto session = leat::rt::Session::create(*model, {});
    return session.ok() ? std::move(*session) : nullptr;
  }

  MLIRContext context;
  std::string path, error;
};

const char *kAddParam = R"(
  #map = affine_map<(d0, d1) -> (d0, d1)>
  #row = affine_map<(d0, d1) -> (d1)>
  leat.param @w : tensor<4xf32> {value = dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>}
  func.func @main(%x: tensor<?x4xf32> {onnx.name = "x", onnx.dims = ["n", ""]}) -> (tensor<?x4xf32> {onnx.name = "y"}, tensor<2xi64> {onnx.name = "shape"}) {
    %c0 = arith.constant 0 : index
    %c4 = arith.constant 4 : i64
    %n = tensor.dim %x, %c0 : tensor<?x4xf32>
    %w = leat.param_ref @w : tensor<4xf32>
    %e = tensor.empty(%n) : tensor<?x4xf32>
    %0 = linalg.generic {indexing_maps = [#map, #row, #map], iterator_types = ["parallel", "parallel"]} ins(%x, %w : tensor<?x4xf32>, tensor<4xf32>) outs(%e : tensor<?x4xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %s = arith.addf %a, %b : f32
      linalg.yield %s : f32
    } -> tensor<?x4xf32>
    %n64 = arith.index_cast %n : index to i64
    %shape = tensor.from_elements %n64, %c4 : tensor<2xi64>
    return %0, %shape : tensor<?x4xf32>, tensor<2xi64>
  })";

TEST_F(CompileTest, RunsOnEachInstructionSet) {
  for (const char *cpu : {"generic", "x86-64-v3", "x86-64-v4", "native"}) {
    error.clear();
    auto session = compile(kAddParam, cpu);
    if (!session && error.find("which this machine lacks") != std::string::npos)
      continue;
    ASSERT_TRUE(session) << cpu << ": " << error;
    for (int64_t n : {0, 1, 3, 5000}) {
      std::vector<float> x(n * 4);
      for (size_t i = 0; i < x.size(); ++i)
        x[i] = i;
      auto tensor = leat::rt::Tensor::borrow(leat::rt::DType::F32, {n, 4}, x.data());
      leat::rt::NamedTensor input{"x", &tensor};
      auto status = session->run(0, {&input, 1});
      ASSERT_TRUE(status.ok()) << status.message();
      ASSERT_EQ(session->output(0).shape(), (leat::rt::Shape{n, 4}));
      for (size_t i = 0; i < x.size(); ++i)
        ASSERT_EQ(session->output(0).as<float>()[i], x[i] + 1 + i % 4) << cpu;
      EXPECT_EQ(session->output(1).as<int64_t>()[0], n);
      EXPECT_EQ(session->output(1).as<int64_t>()[1], 4);
    }
  }
}

TEST_F(CompileTest, TheSameInputGivesTheSameFile) {
  auto read = [&] {
    std::string bytes;
    if (FILE *file = fopen(path.c_str(), "rb")) {
      char buffer[4096];
      while (size_t n = fread(buffer, 1, sizeof(buffer), file))
        bytes.append(buffer, n);
      fclose(file);
    }
    return bytes;
  };
  ASSERT_TRUE(compile(kAddParam, "generic")) << error;
  std::string first = read();
  ASSERT_TRUE(compile(kAddParam, "generic")) << error;
  EXPECT_FALSE(first.empty());
  EXPECT_EQ(read(), first);
}

TEST_F(CompileTest, ReportsAnUnknownProcessor) {
  EXPECT_FALSE(compile(kAddParam, "z80"));
  EXPECT_NE(error.find("unknown processor 'z80'"), std::string::npos) << error;
}

} // namespace
