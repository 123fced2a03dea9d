// Compiles IR for a device and runs it: what the tests of this folder share.
#ifndef LEAT_TEST_UNIT_DEVICE_DEVICEMODEL_H
#define LEAT_TEST_UNIT_DEVICE_DEVICEMODEL_H

#include "lib/Pipeline/CompileFile.h"
#include "runtime/device/simdevice/SimDevice.h"
#include "runtime/session/Model.h"

#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

namespace leat::test {

class DeviceModel : public testing::Test {
protected:
  DeviceModel() : base(testing::TempDir() + "leat_device_test_" + std::to_string(getpid())) {}
  ~DeviceModel() override {
    for (const char *suffix : {".mlir", ".leat", ".state", ".schedule"})
      unlink((base + suffix).c_str());
  }

  /// Compiles functions of leat-level IR for `target`; the artifact is at path().
  void compile(const std::string &source, const std::string &target, const std::string &gpu = "sm_80") {
    std::ofstream(base + ".mlir") << source;
    CompileOptions options;
    options.target = target;
    options.gpu = gpu;
    options.targetCpu = "native";
    options.verifyEach = true;
    options.groupLaunches = group;
    if (!schedule.empty()) {
      std::ofstream(base + ".schedule") << schedule;
      options.scheduleFile = base + ".schedule";
    }
    std::string errors;
    Outcome outcome = compileFile(base + ".mlir", {}, options, path(), [&](const Message &message) {
      if (message.error)
        errors += message.text + "\n";
    });
    ASSERT_EQ(outcome, Outcome::Done) << errors;
  }
  std::string path() const { return base + ".leat"; }
  std::string statePath() const { return base + ".state"; }

  /// Loads the artifact; on failure null, with the reason in `error`.
  std::shared_ptr<rt::Model> load(const std::string &device, rt::DeviceOpener opener = rt::openSimDevice) {
    rt::ModelOptions options;
    options.device = device;
    options.opener = opener;
    options.threads = threads;
    options.gemm = gemm;
    auto model = rt::Model::load(path(), options);
    if (!model.ok()) {
      error = model.status().message();
      return nullptr;
    }
    return *model;
  }
  std::unique_ptr<rt::Session> session(std::shared_ptr<rt::Model> model, const rt::SessionOptions &options = {}) {
    auto made = rt::Session::create(std::move(model), options);
    if (!made.ok()) {
      error = made.status().message();
      return nullptr;
    }
    return std::move(*made);
  }

  /// Runs a function on tensors in order; a failure is in `error`.
  bool run(rt::Session &session, const char *function, std::initializer_list<const rt::Tensor *> inputs) {
    std::vector<rt::NamedTensor> named;
    for (const rt::Tensor *tensor : inputs)
      named.push_back({nullptr, tensor});
    auto index = session.functionIndex(function);
    rt::Status status = index.ok() ? session.run(*index, named) : index.takeStatus();
    error = status.message();
    return status.ok();
  }

  template <typename T> static rt::Tensor tensor(std::initializer_list<int64_t> dims, std::vector<T> values) {
    rt::Shape shape;
    for (int64_t dim : dims)
      shape.dims[shape.rank++] = dim;
    constexpr auto dtype = std::is_same_v<T, float> ? rt::DType::F32 : std::is_same_v<T, double> ? rt::DType::F64 : rt::DType::I64;
    auto made = rt::Tensor::create(dtype, shape);
    std::copy(values.begin(), values.end(), made->template as<T>());
    return std::move(*made);
  }
  template <typename T> static std::vector<T> values(const rt::Tensor &tensor) {
    return std::vector<T>(tensor.as<T>(), tensor.as<T>() + tensor.count());
  }

  std::string base, error;
  std::string schedule; ///< of what is compiled
  bool group = true;    ///< launches of what is compiled
  int threads = 1;      ///< of models that are loaded
  rt::GemmChoice gemm = rt::GemmChoice::Scheduled;
};

/// A stream whose step appends its input to a cache and gives the sums of all rows so far; rank 2, capacity decided by the session.
inline const char *kStream = R"(
  #map = affine_map<(d0, d1) -> (d0, d1)>
  #sum = affine_map<(d0, d1) -> (d1)>
  leat.slot @seen : tensor<i64> growth counter
  leat.slot @rows : tensor<?x3xf32> growth append {axis = 0 : i64}
  func.func @step(%x: tensor<?x3xf32> {onnx.name = "x", onnx.dims = ["n", ""]}) -> (tensor<3xf32> {onnx.name = "sum"}) {
    %c0 = arith.constant 0 : index
    %zero = arith.constant 0.0 : f32
    %n = tensor.dim %x, %c0 : tensor<?x3xf32>
    %c = leat.state_get @seen : <tensor<i64>>
    %old = leat.state_read %c : <tensor<i64>> -> tensor<i64>
    %seen = tensor.extract %old[] : tensor<i64>
    %at = arith.index_cast %seen : i64 to index
    %s = leat.state_get @rows : <tensor<?x3xf32>>
    %s1 = leat.cache_append %s, %x at %at {axis = 0 : i64} : <tensor<?x3xf32>>, tensor<?x3xf32>
    %total = arith.addi %at, %n : index
    %view = leat.cache_view %s1[%c0, %total] {axis = 0 : i64} : <tensor<?x3xf32>> -> tensor<?x3xf32>
    %e = tensor.empty() : tensor<3xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<3xf32>) -> tensor<3xf32>
    %sum = linalg.generic {indexing_maps = [#map, #sum], iterator_types = ["reduction", "parallel"]}
        ins(%view : tensor<?x3xf32>) outs(%f : tensor<3xf32>) {
    ^bb0(%a: f32, %acc: f32):
      %0 = arith.addf %acc, %a : f32
      linalg.yield %0 : f32
    } -> tensor<3xf32>
    %n64 = arith.index_cast %n : index to i64
    %next = arith.addi %seen, %n64 : i64
    %new = tensor.from_elements %next : tensor<i64>
    %c1 = leat.state_write %c, %new : <tensor<i64>>, tensor<i64>
    leat.state_put @rows, %s1 : <tensor<?x3xf32>>
    leat.state_put @seen, %c1 : <tensor<i64>>
    return %sum : tensor<3xf32>
  }
)";

/// A loop whose end the host reads from a tensor that a kernel made, and whose body reads a constant tensor.
inline const char *kLoop = R"(
  #id = affine_map<(d0) -> (d0)>
  func.func @main(%x: tensor<4xf32>, %n: tensor<i64>) -> (tensor<4xf32>, tensor<1xi64>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %k = arith.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
    %e64 = tensor.empty() : tensor<i64>
    %twice = linalg.generic {indexing_maps = [affine_map<() -> ()>, affine_map<() -> ()>], iterator_types = []} ins(%n : tensor<i64>) outs(%e64 : tensor<i64>) {
    ^bb0(%a: i64, %o: i64):
      %0 = arith.addi %a, %a : i64
      linalg.yield %0 : i64
    } -> tensor<i64>
    %count = tensor.extract %twice[] : tensor<i64>
    %end = arith.index_cast %count : i64 to index
    %r = scf.for %i = %c0 to %end step %c1 iter_args(%t = %x) -> (tensor<4xf32>) {
      %e = tensor.empty() : tensor<4xf32>
      %y = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]} ins(%t, %k : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) {
      ^bb0(%a: f32, %b: f32, %o: f32):
        %0 = arith.addf %a, %b : f32
        linalg.yield %0 : f32
      } -> tensor<4xf32>
      scf.yield %y : tensor<4xf32>
    }
    %made = tensor.from_elements %count : tensor<1xi64>
    return %r, %made : tensor<4xf32>, tensor<1xi64>
  }
)";

} // namespace leat::test

#endif
