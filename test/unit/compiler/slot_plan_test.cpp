// SlotPlan: buffers share a slot only when their lifetimes do not overlap, also across branches and loops.
#include "lib/Pipeline/Registration.h"
#include "passes/Host/SlotPlan.h"

#include "dialects/Leat/Leat.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Parser/Parser.h"
#include <gtest/gtest.h>
#include <set>

using namespace mlir;

namespace {

struct SlotPlanTest : testing::Test {
  SlotPlanTest() {
    DialectRegistry registry;
    leat::registerDialects(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }

  /// The function's body, with kernels @f: (4xf32) -> 4xf32 and @g: (4xf32, 4xf32) -> 4xf32.
  func::FuncOp parse(const std::string &body) {
    module = parseSourceString<ModuleOp>(R"(
      leat.kernel_func @f inputs 1 -> [tensor<4xf32>] {
      ^bb0(%a: tensor<4xf32>):
        leat.yield %a : tensor<4xf32>
      }
      leat.kernel_func @g inputs 2 -> [tensor<4xf32>] {
      ^bb0(%a: tensor<4xf32>, %b: tensor<4xf32>):
        leat.yield %a : tensor<4xf32>
      }
    )" + body,
                                         &context);
    EXPECT_TRUE(module);
    return *module->getOps<func::FuncOp>().begin();
  }

  /// Slots of the launches in program order.
  std::vector<int64_t> launches(func::FuncOp function, const leat::host::SlotPlan &plan) {
    std::vector<int64_t> slots;
    function.walk<WalkOrder::PreOrder>([&](leat::LaunchOp launch) { slots.push_back(plan.slotOf(launch.getResult(0))); });
    return slots;
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
};

TEST_F(SlotPlanTest, ChainTakesTwoSlotsAndTheOutputItsOwn) {
  auto function = parse(R"(func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
    %0 = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
    %1 = leat.launch @f ins(%0 : tensor<4xf32>) -> tensor<4xf32>
    %2 = leat.launch @f ins(%1 : tensor<4xf32>) -> tensor<4xf32>
    %3 = leat.launch @f ins(%2 : tensor<4xf32>) -> tensor<4xf32>
    return %3 : tensor<4xf32>
  })");
  leat::host::SlotPlan plan(function);
  auto slots = launches(function, plan);
  EXPECT_NE(slots[0], slots[1]); // a kernel's input and output are alive together
  EXPECT_EQ(slots[0], slots[2]);
  for (int i = 0; i < 3; ++i)
    EXPECT_NE(slots[3], slots[i]);
  EXPECT_EQ(plan.numSlots(), 3);
}

TEST_F(SlotPlanTest, AViewKeepsItsBufferAlive) {
  auto function = parse(R"(func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
    %0 = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
    %v = tensor.expand_shape %0 [[0, 1]] output_shape [2, 2] : tensor<4xf32> into tensor<2x2xf32>
    %1 = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
    %w = tensor.collapse_shape %v [[0, 1]] : tensor<2x2xf32> into tensor<4xf32>
    %2 = leat.launch @g ins(%w, %1 : tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    return %2 : tensor<4xf32>
  })");
  leat::host::SlotPlan plan(function);
  auto slots = launches(function, plan);
  EXPECT_NE(slots[0], slots[1]);
}

TEST_F(SlotPlanTest, MembersOfAGroupAreAliveTogether) {
  const std::string before = R"(func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
    %0 = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
    %1 = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
  )",
                    after = R"(
    %3 = leat.launch @g ins(%2#0, %2#1 : tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    return %3 : tensor<4xf32>
  })";
  auto function = parse(before + R"(
    %2:2 = leat.launch_group -> tensor<4xf32>, tensor<4xf32> {
      %a = leat.launch @f ins(%0 : tensor<4xf32>) -> tensor<4xf32>
      %b = leat.launch @f ins(%1 : tensor<4xf32>) -> tensor<4xf32>
      leat.yield %a, %b : tensor<4xf32>, tensor<4xf32>
    }
  )" + after);
  leat::host::SlotPlan plan(function);
  auto slots = launches(function, plan);
  EXPECT_EQ(std::set<int64_t>(slots.begin(), slots.begin() + 4).size(), 4u); // what is read, and what is written

  // One behind the other, the second may write where the first has read.
  function = parse(before + R"(
    %a = leat.launch @f ins(%0 : tensor<4xf32>) -> tensor<4xf32>
    %b = leat.launch @f ins(%1 : tensor<4xf32>) -> tensor<4xf32>
    %2 = leat.launch @g ins(%a, %b : tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    return %2 : tensor<4xf32>
  })");
  leat::host::SlotPlan alone(function);
  slots = launches(function, alone);
  EXPECT_EQ(slots[3], slots[0]);
}

TEST_F(SlotPlanTest, WhatALoopUsesLivesUntilItEnds) {
  auto function = parse(R"(func.func @main(%x: tensor<4xf32>, %n: tensor<index>) -> tensor<4xf32> {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %to = tensor.extract %n[] : tensor<index>
    %0 = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
    %r = scf.for %i = %c0 to %to step %c1 iter_args(%acc = %x) -> tensor<4xf32> {
      %1 = leat.launch @g ins(%0, %acc : tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
      %2 = leat.launch @f ins(%1 : tensor<4xf32>) -> tensor<4xf32>
      %3 = leat.launch @f ins(%2 : tensor<4xf32>) -> tensor<4xf32>
      scf.yield %3 : tensor<4xf32>
    }
    %4 = leat.launch @f ins(%r : tensor<4xf32>) -> tensor<4xf32>
    return %4 : tensor<4xf32>
  })");
  leat::host::SlotPlan plan(function);
  auto slots = launches(function, plan);
  for (int i = 1; i <= 3; ++i)
    EXPECT_NE(slots[0], slots[i]); // read again by the next iteration
  scf::ForOp loop;
  function.walk([&](scf::ForOp op) { loop = op; });
  int64_t carry = plan.carrySlot(loop, 0);
  ASSERT_GE(carry, 0);
  for (int64_t slot : slots) {
    EXPECT_NE(slot, carry);
    EXPECT_NE(slot, carry + 1);
  }
}

TEST_F(SlotPlanTest, AnUnchangedCarryIsNotCopied) {
  auto function = parse(R"(func.func @main(%x: tensor<4xf32>, %n: tensor<index>) -> tensor<4xf32> {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %to = tensor.extract %n[] : tensor<index>
    %r = scf.for %i = %c0 to %to step %c1 iter_args(%acc = %x) -> tensor<4xf32> {
      scf.yield %acc : tensor<4xf32>
    }
    return %r : tensor<4xf32>
  })");
  leat::host::SlotPlan plan(function);
  function.walk([&](scf::ForOp loop) { EXPECT_EQ(plan.carrySlot(loop, 0), -1); });
  EXPECT_EQ(plan.numSlots(), 0);
}

TEST_F(SlotPlanTest, BothBranchesLiveAsLongAsTheResult) {
  auto function = parse(R"(func.func @main(%x: tensor<4xf32>, %p: tensor<i1>) -> tensor<4xf32> {
    %c = tensor.extract %p[] : tensor<i1>
    %r = scf.if %c -> tensor<4xf32> {
      %0 = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
      scf.yield %0 : tensor<4xf32>
    } else {
      %1 = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
      scf.yield %1 : tensor<4xf32>
    }
    %2 = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
    %3 = leat.launch @g ins(%r, %2 : tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    return %3 : tensor<4xf32>
  })");
  leat::host::SlotPlan plan(function);
  auto slots = launches(function, plan);
  EXPECT_NE(slots[0], slots[2]);
  EXPECT_NE(slots[1], slots[2]);
}

TEST_F(SlotPlanTest, ScalarsNeedNoBuffer) {
  auto function = parse(R"(func.func @main(%x: tensor<4xf32>, %n: tensor<index>) -> tensor<?xf32> {
    %k = tensor.extract %n[] : tensor<index>
    %s = tensor.from_elements %k : tensor<1xindex>
    %r = tensor.reshape %x(%s) : (tensor<4xf32>, tensor<1xindex>) -> tensor<?xf32>
    return %r : tensor<?xf32>
  })");
  EXPECT_EQ(leat::host::SlotPlan(function).numSlots(), 0);
}

} // namespace
