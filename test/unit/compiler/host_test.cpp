// Host functions, run: kernels written by hand, compiled and linked in process, called through a frame that this test plays the runtime
// for.
#include "leat/KernelABI.h"
#include "lib/Pipeline/Registration.h"
#include "lib/Target/Codegen.h"
#include "passes/Host/Passes.h"

#include "dialects/Leat/Leat.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"

#include <cstdlib>
#include <dlfcn.h>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace mlir;

namespace {

/// Kernels by name: what a test's IR declares, and the code a generator would have written for it.
/// @twice: y = 2 * x over n elements (buffers x, y; scalars: dims of x, sizes). @append: state[at] = x[0], as f32.
const char *kKernels = R"(
  func.func @twice(%buffers: !llvm.ptr, %scalars: !llvm.ptr, %begin: i64, %end: i64, %scratch: !llvm.ptr, %shared: !llvm.ptr) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %x = llvm.load %buffers : !llvm.ptr -> !llvm.ptr
    %p = llvm.getelementptr %buffers[8] : (!llvm.ptr) -> !llvm.ptr, i8
    %y = llvm.load %p : !llvm.ptr -> !llvm.ptr
    %n = llvm.load %scalars : !llvm.ptr -> i64
    %to = arith.index_cast %n : i64 to index
    scf.for %i = %c0 to %to step %c1 {
      %i64 = arith.index_cast %i : index to i64
      %from = llvm.getelementptr %x[%i64] : (!llvm.ptr, i64) -> !llvm.ptr, f32
      %v = llvm.load %from : !llvm.ptr -> f32
      %w = arith.addf %v, %v : f32
      %into = llvm.getelementptr %y[%i64] : (!llvm.ptr, i64) -> !llvm.ptr, f32
      llvm.store %w, %into : f32, !llvm.ptr
    }
    return
  }
  func.func @twice.tasks(%scalars: !llvm.ptr) -> i64 { %0 = arith.constant 1 : i64  return %0 : i64 }
  func.func @twice.scratch(%scalars: !llvm.ptr) -> i64 { %0 = arith.constant 0 : i64  return %0 : i64 }
  func.func @twice.cost(%scalars: !llvm.ptr, %out: !llvm.ptr) { return }
  func.func @append(%buffers: !llvm.ptr, %scalars: !llvm.ptr, %begin: i64, %end: i64, %scratch: !llvm.ptr, %shared: !llvm.ptr) {
    %state = llvm.load %buffers : !llvm.ptr -> !llvm.ptr
    %p = llvm.getelementptr %buffers[8] : (!llvm.ptr) -> !llvm.ptr, i8
    %x = llvm.load %p : !llvm.ptr -> !llvm.ptr
    %at = llvm.load %scalars : !llvm.ptr -> i64
    %v = llvm.load %x : !llvm.ptr -> f32
    %into = llvm.getelementptr %state[%at] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    llvm.store %v, %into : f32, !llvm.ptr
    return
  }
  func.func @append.tasks(%scalars: !llvm.ptr) -> i64 { %0 = arith.constant 1 : i64  return %0 : i64 }
  func.func @append.scratch(%scalars: !llvm.ptr) -> i64 { %0 = arith.constant 0 : i64  return %0 : i64 }
  func.func @append.cost(%scalars: !llvm.ptr, %out: !llvm.ptr) { return }
)";

const char *kDeclarations = R"(
  leat.kernel_func @twice inputs 1 -> [tensor<?xf32>] {
  ^bb0(%a: tensor<?xf32>):
    leat.yield %a : tensor<?xf32>
  }
  leat.slot @seen : tensor<i64> growth counter
  leat.slot @k : tensor<?xf32> growth append {axis = 0 : i64}
  leat.kernel_func @append inputs 2 -> [!leat.state<tensor<?xf32>>] {
  ^bb0(%s: !leat.state<tensor<?xf32>>, %x: tensor<?xf32>, %at: index):
    %n = leat.cache_append %s, %x at %at : !leat.state<tensor<?xf32>>, tensor<?xf32>
    leat.yield %n : !leat.state<tensor<?xf32>>
  }
)";

/// A session in miniature.
struct Frame : LeatFrame {
  Frame() : LeatFrame{} {
    LeatFrame::params = parameters.data();
    LeatFrame::slots = room.data();
    LeatFrame::states = stateArray;
    LeatFrame::inputs = in;
    LeatFrame::outputs = out;
    LeatFrame::grow = [](LeatFrame *frame, int64_t slot, int64_t bytes) -> void * {
      auto &self = *static_cast<Frame *>(frame);
      ++self.grown;
      if (bytes > (1 << 20))
        return nullptr;
      self.memory.push_back(std::vector<char>(bytes));
      self.room[slot] = {self.memory.back().data(), bytes};
      return self.room[slot].data;
    };
    LeatFrame::launch = [](LeatFrame *frame, int64_t index, void *const *buffers, const int64_t *scalars) -> int64_t {
      auto &self = *static_cast<Frame *>(frame);
      ++self.launches;
      self.kernels[index].run(buffers, scalars, 0, self.kernels[index].tasks(scalars), nullptr, nullptr);
      return self.launchCode;
    };
    LeatFrame::launch_group = [](LeatFrame *frame, const LeatLaunch *launches, int64_t count) -> int64_t {
      auto &self = *static_cast<Frame *>(frame);
      ++self.groups;
      // Any order is right; the last first shows who relies on another one.
      for (int64_t i = count - 1; i >= 0; --i)
        if (int64_t code = frame->launch(frame, launches[i].kernel, launches[i].buffers, launches[i].scalars))
          return code;
      return 0;
    };
    LeatFrame::fail = [](LeatFrame *frame, int64_t message, int64_t a, int64_t b) -> int64_t {
      auto &self = *static_cast<Frame *>(frame);
      self.message = message;
      self.a = a;
      self.b = b;
      return 7;
    };
  }
  void input(unsigned i, void *data, std::vector<int64_t> dims) {
    in[i].data = data;
    in[i].rank = dims.size();
    std::copy(dims.begin(), dims.end(), in[i].dims);
  }
  std::vector<float> floats(unsigned i) {
    auto *data = static_cast<float *>(out[i].data);
    return std::vector<float>(data, data + out[i].dims[0]);
  }

  std::vector<void *> parameters = std::vector<void *>(8);
  std::vector<LeatSlot> room = std::vector<LeatSlot>(64);
  LeatState stateArray[4] = {};
  LeatBuffer in[4] = {}, out[4] = {};
  std::vector<std::vector<char>> memory;
  const LeatKernel *kernels = nullptr;
  int64_t launchCode = 0, message = -1, a = 0, b = 0;
  int grown = 0, launches = 0, groups = 0;
};

struct HostTest : testing::Test {
  HostTest() {
    DialectRegistry registry;
    leat::registerDialects(registry);
    registerBuiltinDialectTranslation(registry);
    registerLLVMDialectTranslation(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }
  ~HostTest() override {
    if (library)
      dlclose(library);
  }

  /// Compiles `source` beside the kernels and loads it. Returns leat_<name>.
  LeatFunction compile(const std::string &source, const std::string &name = "main") {
    module = parseSourceString<ModuleOp>(kDeclarations + source, &context);
    EXPECT_TRUE(module);
    PassManager pm(&context);
    pm.addPass(leat::host::createLowerHost());
    if (!module || failed(pm.run(*module)))
      return nullptr;
    for (auto kernel : llvm::make_early_inc_range(module->getOps<leat::KernelFuncOp>()))
      kernel.erase();
    EXPECT_TRUE(succeeded(parseSourceString(kKernels, module->getBody(), ParserConfig(&context))));
    leat::target::CodegenOptions options;
    options.target = llvm::cantFail(leat::target::resolveTarget("generic"));
    options.verify = true;
    options.kernelPipeline = [](OpPassManager &passes) {
      passes.addPass(createSCFToControlFlowPass());
      passes.addPass(createArithToLLVMConversionPass());
      passes.addPass(createConvertFuncToLLVMPass());
      passes.addPass(createConvertControlFlowToLLVMPass());
      passes.addPass(createReconcileUnrealizedCastsPass());
    };
    auto result = leat::target::generateCode(*module, options);
    if (failed(result))
      return nullptr;
    std::string path = testing::TempDir() + "leat_host_test_" + std::to_string(getpid()) + ".so";
    std::ofstream(path, std::ios::binary) << result->sharedObject;
    library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    unlink(path.c_str());
    EXPECT_TRUE(library) << dlerror();
    frame.kernels = static_cast<const LeatKernel *>(dlsym(library, "leat_kernels"));
    EXPECT_TRUE(frame.kernels);
    return reinterpret_cast<LeatFunction>(dlsym(library, ("leat_" + name).c_str()));
  }
  std::string message() { return cast<StringAttr>((*module)->getAttrOfType<ArrayAttr>("leat.messages")[frame.message]).str(); }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  Frame frame;
  void *library = nullptr;
};

TEST_F(HostTest, LaunchesGrowSlotsOnceAndReportErrors) {
  auto main = compile(R"(func.func @main(%x: tensor<?xf32>) -> (tensor<?xf32>, tensor<2xi64>) {
    %c0 = arith.constant 0 : index
    %n = tensor.dim %x, %c0 : tensor<?xf32>
    %0 = leat.launch @twice ins(%x : tensor<?xf32>) sizes(%n) -> tensor<?xf32>
    %1 = leat.launch @twice ins(%0 : tensor<?xf32>) sizes(%n) -> tensor<?xf32>
    %n64 = arith.index_cast %n : index to i64
    %c7 = arith.constant 7 : i64
    %q = arith.floordivsi %c7, %n64 : i64
    %s = tensor.from_elements %n64, %q : tensor<2xi64>
    return %1, %s : tensor<?xf32>, tensor<2xi64>
  })");
  ASSERT_TRUE(main);
  float x[] = {1, 2, 3};
  frame.input(0, x, {3});
  ASSERT_EQ(main(&frame), 0);
  EXPECT_EQ(frame.floats(0), (std::vector<float>{4, 8, 12}));
  EXPECT_EQ(static_cast<int64_t *>(frame.out[1].data)[0], 3);
  EXPECT_EQ(static_cast<int64_t *>(frame.out[1].data)[1], 2);
  EXPECT_EQ(frame.out[1].rank, 1);
  int grown = frame.grown;
  ASSERT_EQ(main(&frame), 0);
  EXPECT_EQ(frame.grown, grown); // a steady stream allocates nothing

  frame.launchCode = 5;
  EXPECT_EQ(main(&frame), 5);
  frame.launchCode = 0;
  frame.input(0, x, {0});
  EXPECT_EQ(main(&frame), 7);
  EXPECT_EQ(message(), "division by zero in the model's shape arithmetic");
  frame.input(0, x, {-1});
  EXPECT_EQ(main(&frame), 7);
  EXPECT_NE(message().find("out of memory"), std::string::npos);
  frame.input(0, x, {int64_t(1) << 62});
  EXPECT_EQ(main(&frame), 7);
}

TEST_F(HostTest, GroupsAreOneCall) {
  // The group's operands are of different sizes, and what it writes is read behind it.
  auto main = compile(R"(func.func @main(%x: tensor<?xf32>, %y: tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>) {
    %c0 = arith.constant 0 : index
    %n = tensor.dim %x, %c0 : tensor<?xf32>
    %m = tensor.dim %y, %c0 : tensor<?xf32>
    %0:2 = leat.launch_group -> tensor<?xf32>, tensor<?xf32> {
      %a = leat.launch @twice ins(%x : tensor<?xf32>) sizes(%n) -> tensor<?xf32>
      %b = leat.launch @twice ins(%y : tensor<?xf32>) sizes(%m) -> tensor<?xf32>
      leat.yield %a, %b : tensor<?xf32>, tensor<?xf32>
    }
    %c = leat.launch @twice ins(%0#1 : tensor<?xf32>) sizes(%m) -> tensor<?xf32>
    return %0#0, %c : tensor<?xf32>, tensor<?xf32>
  })");
  ASSERT_TRUE(main);
  float x[] = {1, 2, 3}, y[] = {5, 7};
  frame.input(0, x, {3});
  frame.input(1, y, {2});
  ASSERT_EQ(main(&frame), 0);
  EXPECT_EQ(frame.floats(0), (std::vector<float>{2, 4, 6}));
  EXPECT_EQ(frame.floats(1), (std::vector<float>{20, 28}));
  EXPECT_EQ(frame.groups, 1);
  EXPECT_EQ(frame.launches, 3);
  frame.launchCode = 5;
  EXPECT_EQ(main(&frame), 5);
  EXPECT_EQ(frame.launches, 4); // nothing behind what failed
}

TEST_F(HostTest, LoopsCarryTensors) {
  // Two tensors change places in every iteration, one of them doubled.
  auto main = compile(R"(func.func @main(%x: tensor<?xf32>, %y: tensor<?xf32>, %n: tensor<i64>) -> (tensor<?xf32>, tensor<?xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %count = tensor.extract %n[] : tensor<i64>
    %to = arith.index_cast %count : i64 to index
    %r:2 = scf.for %i = %c0 to %to step %c1 iter_args(%a = %x, %b = %y) -> (tensor<?xf32>, tensor<?xf32>) {
      %d = tensor.dim %a, %c0 : tensor<?xf32>
      %t = leat.launch @twice ins(%a : tensor<?xf32>) sizes(%d) -> tensor<?xf32>
      scf.yield %b, %t : tensor<?xf32>, tensor<?xf32>
    }
    return %r#0, %r#1 : tensor<?xf32>, tensor<?xf32>
  })");
  ASSERT_TRUE(main);
  float x[] = {1, 2}, y[] = {10, 20, 30};
  for (int64_t count = 0; count < 6; ++count) {
    frame.input(0, x, {2});
    frame.input(1, y, {3});
    frame.input(2, &count, {});
    ASSERT_EQ(main(&frame), 0);
    std::vector<float> a(x, x + 2), b(y, y + 3);
    for (int64_t i = 0; i < count; ++i) {
      for (float &v : a)
        v *= 2;
      std::swap(a, b);
    }
    EXPECT_EQ(frame.floats(0), a) << count;
    EXPECT_EQ(frame.floats(1), b) << count;
  }
}

TEST_F(HostTest, WhileAndIf) {
  // Doubles until the first element reaches the limit; then passes one of two tensors.
  auto main = compile(R"(func.func @main(%x: tensor<?xf32>, %limit: tensor<f32>, %pick: tensor<i1>) -> tensor<?xf32> {
    %c0 = arith.constant 0 : index
    %l = tensor.extract %limit[] : tensor<f32>
    %w = scf.while (%a = %x) : (tensor<?xf32>) -> tensor<?xf32> {
      %v = tensor.extract %a[%c0] : tensor<?xf32>
      %more = arith.cmpf olt, %v, %l : f32
      scf.condition(%more) %a : tensor<?xf32>
    } do {
    ^bb0(%b: tensor<?xf32>):
      %d = tensor.dim %b, %c0 : tensor<?xf32>
      %t = leat.launch @twice ins(%b : tensor<?xf32>) sizes(%d) -> tensor<?xf32>
      scf.yield %t : tensor<?xf32>
    }
    %p = tensor.extract %pick[] : tensor<i1>
    %r = scf.if %p -> tensor<?xf32> {
      scf.yield %w : tensor<?xf32>
    } else {
      %cst = arith.constant dense<[1.5, 2.5]> : tensor<2xf32>
      %c = tensor.cast %cst : tensor<2xf32> to tensor<?xf32>
      scf.yield %c : tensor<?xf32>
    }
    return %r : tensor<?xf32>
  })");
  ASSERT_TRUE(main);
  float x[] = {1, 3}, limit = 20;
  bool pick = true;
  frame.input(0, x, {2});
  frame.input(1, &limit, {});
  frame.input(2, &pick, {});
  ASSERT_EQ(main(&frame), 0);
  EXPECT_EQ(frame.floats(0), (std::vector<float>{32, 96}));
  EXPECT_EQ(frame.launches, 5);
  pick = false;
  ASSERT_EQ(main(&frame), 0);
  EXPECT_EQ(frame.floats(0), (std::vector<float>{1.5, 2.5}));
  frame.input(0, x, {0});
  EXPECT_EQ(main(&frame), 7);
  EXPECT_EQ(message(), "index {0} is out of range: the dimension has {1} entries");
}

TEST_F(HostTest, StatesAdvanceAndOverflowChangesNothing) {
  auto step = compile(R"(func.func @step(%x: tensor<?xf32>) {
    %c0 = arith.constant 0 : index
    %n = tensor.dim %x, %c0 : tensor<?xf32>
    %c = leat.state_get @seen : !leat.state<tensor<i64>>
    %old = leat.state_read %c : !leat.state<tensor<i64>> -> tensor<i64>
    %seen = tensor.extract %old[] : tensor<i64>
    %at = arith.index_cast %seen : i64 to index
    %s = leat.state_get @k : !leat.state<tensor<?xf32>>
    %s1 = leat.launch @append ins(%s, %x : !leat.state<tensor<?xf32>>, tensor<?xf32>) scalars(%at : index) -> !leat.state<tensor<?xf32>>
    %n64 = arith.index_cast %n : index to i64
    %sum = arith.addi %seen, %n64 : i64
    %new = tensor.from_elements %sum : tensor<i64>
    %c1 = leat.state_write %c, %new : !leat.state<tensor<i64>>, tensor<i64>
    leat.state_put @k, %s1 : !leat.state<tensor<?xf32>>
    leat.state_put @seen, %c1 : !leat.state<tensor<i64>>
    return
  })",
                      "step");
  ASSERT_TRUE(step);
  int64_t seen = 0;
  float cache[3] = {}, x = 0;
  frame.stateArray[0] = {&seen, 1, 0, {}};
  frame.stateArray[1] = {cache, 3, 0, {3}};
  frame.input(0, &x, {1});
  for (int i = 0; i < 3; ++i) {
    x = i + 1;
    ASSERT_EQ(step(&frame), 0);
    EXPECT_EQ(seen, i + 1);
    EXPECT_EQ(frame.stateArray[1].length, i + 1);
  }
  EXPECT_EQ(std::vector<float>(cache, cache + 3), (std::vector<float>{1, 2, 3}));
  int launches = frame.launches;
  EXPECT_EQ(step(&frame), 7);
  EXPECT_NE(message().find("cache overflow"), std::string::npos);
  EXPECT_EQ(frame.a, 4);
  EXPECT_EQ(frame.b, 3);
  EXPECT_EQ(frame.launches, launches);
  EXPECT_EQ(seen, 3);
}

TEST_F(HostTest, ReshapesAreChecked) {
  auto main = compile(R"(func.func @main(%x: tensor<?xf32>, %shape: tensor<2xi64>) -> tensor<?x?xf32> {
    %r = tensor.reshape %x(%shape) : (tensor<?xf32>, tensor<2xi64>) -> tensor<?x?xf32>
    return %r : tensor<?x?xf32>
  })");
  ASSERT_TRUE(main);
  float x[6] = {};
  int64_t shape[] = {2, 3};
  frame.input(0, x, {6});
  frame.input(1, shape, {2});
  ASSERT_EQ(main(&frame), 0);
  EXPECT_EQ(frame.out[0].data, x);
  EXPECT_EQ(frame.out[0].dims[1], 3);
  shape[1] = 4;
  EXPECT_EQ(main(&frame), 7);
  EXPECT_EQ(frame.a, 6);
  EXPECT_EQ(frame.b, 8);
}

TEST(Target, KnowsProcessors) {
  auto generic = leat::target::resolveTarget("generic");
  ASSERT_TRUE(bool(generic));
  EXPECT_EQ(generic->cpu, "x86-64");
  EXPECT_EQ(generic->vectorBits, 128u);
  auto v3 = llvm::cantFail(leat::target::resolveTarget("x86-64-v3"));
  EXPECT_EQ(v3.vectorBits, 256u);
  EXPECT_TRUE(llvm::is_contained(v3.features, "fma"));
  EXPECT_FALSE(llvm::is_contained(v3.features, "avx512f"));
  EXPECT_EQ(llvm::cantFail(leat::target::resolveTarget("x86-64-v4")).vectorBits, 512u);
  EXPECT_FALSE(llvm::cantFail(leat::target::resolveTarget("native")).cpu.empty());
  auto unknown = leat::target::resolveTarget("pdp11");
  ASSERT_FALSE(bool(unknown));
  EXPECT_NE(llvm::toString(unknown.takeError()).find("unknown processor 'pdp11'"), std::string::npos);
}

} // namespace
