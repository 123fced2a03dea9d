// Stream state: typed slots that live in a session, and the KV cache handle over them.
//
// leat.cache_append and leat.cache_view decompose into leat.state_read and leat.state_write and plain tensor ops. Reading and writing are the interface of
// values to a session's memory; `leat-state-to-values` makes that memory operands and results of the function, and both the identity. The oracles of single
// ops are in test/oracles/test_ops_cache.py; that of a whole stream is the same computation without state (test/oracles/decoder_oracle.py).
include "dialects/Leat/LeatDialect.td"

def Leat_StateType : Leat_Type<"State", "state"> {
  let summary = "handle of a state slot; threaded linearly, updated in place after lowering";
  let description = "`!leat.state<tensor<?x3x?x64xf32>>`: the slot's content as a tensor. Every op that changes it returns the handle to use from there on.";
  let parameters = (ins "::mlir::RankedTensorType":$content);
  let assemblyFormat = "`<` $content `>`";
}

def Leat_GrowthAttr : I32EnumAttr<"Growth", "how a state slot grows", [
  I32EnumAttrCase<"Append", 0, "append">, I32EnumAttrCase<"Ring", 1, "ring">, I32EnumAttrCase<"Fixed", 2, "fixed">, I32EnumAttrCase<"Counter", 3, "counter">,
  I32EnumAttrCase<"Table", 4, "table">]> {
  let cppNamespace = "::leat";
}

def Leat_SlotOp : Leat_Op<"slot", [Symbol]> {
  let summary = "declares a state slot of the stream";
  let description = [{
    `type` is the content seen by the program. `append`: grows along `axis` with each step up to the session's capacity. `ring`: `sink` fixed entries, then a ring of `ring` entries along `axis`.
    `fixed`: overwritten. `counter`: i64, tensor<i64>; holds the number of tokens seen so far. Initial value is zero. `batch_axis` is the axis of the session's batch size (-1: none).
    `input_name`, `output_name`: the ONNX input and output that the slot replaces.

    `page` > 0: entries lie in pages of so many (a power of two from 8 to 256). `type` is then the pool [pages, H, page, D] of the pages of all rows, and where entry i of row b
    is says a table: in page table[b, i / page], at i mod page. `table`: the slot of that table, i32 [batch, pages of a row]; the session fills it in, at the start of a step, with the
    numbers of pages that no other row and no other entry has. Pools of one session share their table, so a page number stands for a page in each of them.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttr:$type, Leat_GrowthAttr:$growth, DefaultValuedAttr<I64Attr, "-1">:$axis, DefaultValuedAttr<I64Attr, "-1">:$batch_axis,
                       DefaultValuedAttr<I64Attr, "0">:$sink, DefaultValuedAttr<I64Attr, "0">:$ring, DefaultValuedAttr<I64Attr, "0">:$page,
                       DefaultValuedAttr<StrAttr, "\"\"">:$input_name, DefaultValuedAttr<StrAttr, "\"\"">:$output_name);
  let assemblyFormat = "$sym_name `:` $type `growth` $growth attr-dict";
  let hasVerifier = 1;
}

def Leat_StateGetOp : Leat_Op<"state_get", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the slot's handle at the start of a step";
  let arguments = (ins FlatSymbolRefAttr:$slot);
  let results = (outs Leat_StateType:$state);
  let assemblyFormat = "$slot attr-dict `:` type($state)";
}

def Leat_StatePutOp : Leat_Op<"state_put", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the slot's handle at the end of a step";
  let arguments = (ins FlatSymbolRefAttr:$slot, Leat_StateType:$state);
  let assemblyFormat = "$slot `,` $state attr-dict `:` type($state)";
}

def Leat_CacheAppendOp : Leat_ComputeOp<"cache_append", [AllTypesMatch<["state", "next"]>]> {
  let summary = "append entries along the slot's axis";
  let description = [{
    `update` has the content's shape with S new entries along the axis (layout "bhsd"; "bshd" if the first two inner axes are swapped in the operand). `at` is the number of tokens seen before this step (index).
    append: entry s goes to at + s. ring: entry t = at + s goes to t if t < sink, else sink + (t - sink) mod ring. On values: `next` is `state` with these
    entries replaced, in the order of s, so that of entries that meet in a place the last stays.
    `table`: the state is a pool of pages; place i of row b is in page table[b, i / page], at i mod page.
  }];
  let arguments = (ins Leat_StateType:$state, AnyRankedTensor:$update, Index:$at, Optional<Leat_StateType>:$table, DefaultValuedAttr<StrAttr, "\"bhsd\"">:$layout);
  let results = (outs Leat_StateType:$next);
  let assemblyFormat = "$state `,` $update `at` $at (`table` `(` $table^ `)`)? attr-dict `:` type($state) `,` type($update) (`,` type($table)^)?";
  let hasVerifier = 1;
}

def Leat_CacheViewOp : Leat_ComputeOp<"cache_view"> {
  let summary = "a range of the slot as a tensor, without a copy where the consumer is a kernel that reads slots";
  let description = [{
    `length` entries from `offset` on along the axis, in slot order. The result is a value: later appends do not change it (a compiler that cannot prove that copies).
    `table`: the state is a pool of pages, and entry i of row b of the result is in page table[b, (offset + i) / page], at (offset + i) mod page. Entries of the table behind
    those pages are not read.
  }];
  let arguments = (ins Leat_StateType:$state, Index:$offset, Index:$length, Optional<Leat_StateType>:$table);
  let results = (outs AnyRankedTensor:$output);
  let assemblyFormat = "$state `[` $offset `,` $length `]` (`table` `(` $table^ `)`)? attr-dict `:` type($state) (`,` type($table)^)? `->` type($output)";
  let hasVerifier = 1;
}

def Leat_StateReadOp : Leat_Op<"state_read", [Pure]> {
  let summary = "the content of a slot";
  let description = "On values: the identity. Kernels read growing slots by leat.cache_view.";
  let arguments = (ins Leat_StateType:$state);
  let results = (outs AnyRankedTensor:$output);
  let assemblyFormat = "$state attr-dict `:` type($state) `->` type($output)";
  let hasVerifier = 1;
}

def Leat_StateWriteOp : Leat_Op<"state_write", [Pure, AllTypesMatch<["state", "next"]>]> {
  let summary = "overwrite the content of a slot";
  let description = "On values: `next` is `value`. Kernels change growing slots by leat.cache_append.";
  let arguments = (ins Leat_StateType:$state, AnyRankedTensor:$value);
  let results = (outs Leat_StateType:$next);
  let assemblyFormat = "$state `,` $value attr-dict `:` type($state) `,` type($value)";
  let hasVerifier = 1;
}
