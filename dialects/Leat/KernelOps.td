// Kernels: what is computed in one parallel region, without temporaries in memory.
include "dialects/Leat/LeatDialect.td"

def Leat_ScheduleAttr : Leat_Attr<"Schedule", "schedule"> {
  let summary = "how a kernel is executed: strategy name and its parameters; written by passes/Schedule, read by code generators";
  let parameters = (ins StringRefParameter<"strategy">:$strategy, "::mlir::DictionaryAttr":$params);
  let assemblyFormat = "`<` $strategy `,` $params `>`";
}

def Leat_YieldOp : Leat_Op<"yield", [Pure, Terminator, ReturnLike]> {
  let summary = "results of a region";
  let arguments = (ins Variadic<AnyType>:$results);
  let builders = [OpBuilder<(ins), [{ build($_builder, $_state, ::mlir::ValueRange()); }]>];
  let assemblyFormat = "attr-dict ($results^ `:` type($results))?";
}

def Leat_KernelOp : Leat_Op<"kernel", [IsolatedFromAbove, AttrSizedOperandSegments, SingleBlockImplicitTerminator<"YieldOp">]> {
  let summary = "a fused kernel, still in place";
  let description = [{
    The region computes the results from its block arguments: one per `inputs` operand (tensors, states), then one per `scalars` operand
    (index, integers, floats). `sizes` are the dynamic dimensions of the results, in order, known to the host.
    Values inside the region never reach memory unless the generator needs scratch; results do.
    A result is a ranked tensor, or a state that the kernel changed (leat.cache_append, leat.state_write): that one is the handle of the state
    operand it was made from, updated in place. It has no buffer and no size of its own; the host drops it once its order is settled.
  }];
  let arguments = (ins Variadic<AnyType>:$inputs, Variadic<AnyType>:$scalars, Variadic<Index>:$sizes,
                       OptionalAttr<StrAttr>:$hint, OptionalAttr<Leat_ScheduleAttr>:$schedule);
  let results = (outs Variadic<AnyType>:$outputs);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    (`ins` `(` $inputs^ `:` type($inputs) `)`)? (`scalars` `(` $scalars^ `:` type($scalars) `)`)? (`sizes` `(` $sizes^ `)`)? (`->` type($outputs)^)?
    attr-dict-with-keyword $body
  }];
  let hasVerifier = 1;
}

def Leat_KernelFuncOp : Leat_Op<"kernel_func", [IsolatedFromAbove, Symbol, SingleBlockImplicitTerminator<"YieldOp">]> {
  let summary = "a kernel outlined by structure: identical kernels of a model share one";
  let description = "Block arguments and results as in leat.kernel: tensors are written to fresh buffers, states are updated in place.";
  let arguments = (ins SymbolNameAttr:$sym_name, TypeArrayAttr:$result_types, I64Attr:$num_inputs, OptionalAttr<Leat_ScheduleAttr>:$schedule);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name `inputs` $num_inputs `->` $result_types attr-dict-with-keyword $body";
  let hasVerifier = 1;
}

def Leat_LaunchOp : Leat_Op<"launch", [AttrSizedOperandSegments, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "run an outlined kernel; operands as in leat.kernel";
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<AnyType>:$inputs, Variadic<AnyType>:$scalars, Variadic<Index>:$sizes);
  let results = (outs Variadic<AnyType>:$outputs);
  let assemblyFormat = [{
    $kernel (`ins` `(` $inputs^ `:` type($inputs) `)`)? (`scalars` `(` $scalars^ `:` type($scalars) `)`)? (`sizes` `(` $sizes^ `)`)? (`->` type($outputs)^)? attr-dict
  }];
  let extraClassDeclaration = [{
    /// The input whose state result `result` is, where the kernel is still IR.
    std::optional<unsigned> getChangedInput(unsigned result);
  }];
}

def Leat_LaunchGroupOp : Leat_Op<"launch_group", [SingleBlockImplicitTerminator<"YieldOp">, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "launches that do not depend on each other: they run at once, or in any order";
  let description = [{
    The region holds two launches or more, at most LEAT_MAX_GROUP of include/leat/KernelABI.h, and yields all of their results, in order. No member takes a result of another,
    nor a state that another changes.
    ```mlir
    %q, %k = leat.launch_group -> tensor<4xf32>, tensor<4xf32> {
      %0 = leat.launch @matmul_1 ins(%x, %wq : tensor<4xf32>, tensor<4x4xf32>) -> tensor<4xf32>
      %1 = leat.launch @matmul_1 ins(%x, %wk : tensor<4xf32>, tensor<4x4xf32>) -> tensor<4xf32>
      leat.yield %0, %1 : tensor<4xf32>, tensor<4xf32>
    }
    ```
  }];
  let results = (outs Variadic<AnyType>:$outputs);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "(`->` type($outputs)^)? attr-dict-with-keyword $body";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The launches, in order.
    auto getMembers() { return getBody().getOps<LaunchOp>(); }
  }];
}
