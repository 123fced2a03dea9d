#ifndef LEAT_PASSES_HOST
#define LEAT_PASSES_HOST
include "mlir/Pass/PassBase.td"

def LowerHost : Pass<"leat-lower-host", "::mlir::ModuleOp"> {
  let summary = "turn the program around the kernels into functions over a session's frame";
  let description = [{
    Every public `func.func` becomes `llvm.func @leat_<name>(!llvm.ptr) -> i64`, a LeatFunction of include/leat/KernelABI.h. Buffers get scratch slots by lifetime, views are free,
    launches call back into the runtime, branches and loops become control flow. Scalar `arith` and `math` ops stay for the upstream conversions, on i64 instead of index.
    ```mlir
    func.func @main(%x: tensor<?x4xf32> {onnx.name = "x"}) -> (tensor<?x4xf32> {onnx.name = "y"}) {
      %c0 = arith.constant 0 : index
      %n = tensor.dim %x, %c0 : tensor<?x4xf32>
      %y = leat.launch @relu ins(%x : tensor<?x4xf32>) sizes(%n) -> tensor<?x4xf32>
      return %y : tensor<?x4xf32>
    }
    ```
    becomes a function that loads `frame->inputs[0]`, calls `leat.ensure.1(frame, slot 0, 16, n)` for the result, stores the two pointers and `n`, `n` into argument arrays on
    the stack, calls `frame->launch(frame, 0, buffers, scalars)`, returns its code if it is not 0, and fills `frame->outputs[0]`.

    What the artifact must say is left as attributes: on each function `leat.function = {name, kind, slots, launches, groups, inputs, outputs}`; on the module `leat.kernels` (the launch order of kernels, with their
    description and strategy), `leat.params` (the symbols in the order of `frame->params`), `leat.states` (likewise for `frame->states`) and `leat.messages` (run-time check failures).

    States: kernels update the slots they are given in place. `leat.state_write` on the host stores its tensor when the slot is put back or a kernel takes it. A counter holds the number of
    tokens seen; when append and ring slots are put back, their length becomes the new value of the function's counter, and before the first kernel that takes an append slot runs, the new value is compared with the
    slot's capacity, so that a step that does not fit changes nothing.
    A failed `cf.assert` reports its message; when its condition is a comparison, the two sides are the message's arguments {0} and {1}.

    With `device`, tensors are in the memory of a device and only counters and constants can be read where they are: what the host program reads, writes and copies goes through the frame's
    `read`, `write`, `copy` and `constant`.
  }];
  let options = [Option<"device", "device", "bool", "false", "kernels run on a device with memory of its own">];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect"];
}

def GroupLaunches : Pass<"leat-group-launches", "::mlir::ModuleOp"> {
  let summary = "make one group of launches that need not wait for each other";
  let description = [{
    A later launch joins the first one that it does not depend on, if it overtakes few others: then a group of launches is one parallel region on a CPU, and branches of a graph
    on a GPU. What the later launch needs (views, scalars) moves with it.
    ```mlir
    %q = leat.launch @matmul_7 ins(%x, %wq : ...) -> tensor<?x576xf32>
    %r = leat.launch @rotary_8 ins(%q, %t : ...) -> tensor<?x576xf32>
    %k = leat.launch @matmul_9 ins(%x, %wk : ...) -> tensor<?x192xf32>
    ```
    becomes
    ```mlir
    %0:2 = leat.launch_group -> tensor<?x576xf32>, tensor<?x192xf32> {
      %q = leat.launch @matmul_7 ins(%x, %wq : ...) -> tensor<?x576xf32>
      %k = leat.launch @matmul_9 ins(%x, %wk : ...) -> tensor<?x192xf32>
      leat.yield %q, %k : tensor<?x576xf32>, tensor<?x192xf32>
    }
    %r = leat.launch @rotary_8 ins(%0#0, %t : ...) -> tensor<?x576xf32>
    ```
    Of two launches that touch one slot, with one of them changing it, the later stays behind. No launch overtakes a `cf.assert`, since kernels rely on what was checked: the check
    moves, too, or the launch stays. Launches that take the counter stay by themselves.
  }];
  let dependentDialects = ["leat::LeatDialect"];
  let statistics = [Statistic<"numGroups", "groups", "Number of groups formed">];
}

#endif
