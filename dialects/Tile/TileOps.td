// Ops of one GPU kernel in terms of tiles.
include "dialects/Tile/TileDialect.td"

def Tile_YieldOp : Tile_Op<"yield", [Pure, Terminator, ReturnLike]> {
  let summary = "values of a region";
  let arguments = (ins Variadic<AnyType>:$values);
  let builders = [OpBuilder<(ins), [{ build($_builder, $_state, ::mlir::ValueRange()); }]>];
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

def Tile_ProgramOp : Tile_Op<"program", [SingleBlockImplicitTerminator<"YieldOp">]> {
  let summary = "what one block of threads does";
  let description = [{
    All threads run the region; control flow around tile ops is the same for all of them. Shared memory of its `tile.alloc` ops is the block's dynamic shared
    memory; the lowering writes how much that is on the function, as `tile.shared_bytes`.

    `cluster`: so many neighbours along dimension 1 of the grid run at the same time and reach each other's shared memory (sm_90). They wait for each other at the program's end, and
    in front of its roles.
  }];
  let arguments = (ins I64Attr:$threads, OptionalAttr<I64Attr>:$cluster);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "`threads` $threads (`cluster` $cluster^)? attr-dict-with-keyword $body";
  let extraClassDeclaration = [{
    /// Blocks that form a cluster, 1 if there is none.
    int64_t clusterSize() { return getCluster() ? int64_t(*getCluster()) : 1; }
  }];
  let hasVerifier = 1;
}

def Tile_BlockIdOp : Tile_Op<"block_id", [Pure]> {
  let summary = "which block of the grid this is, along dimension 0, 1 or 2";
  let arguments = (ins I64Attr:$dim);
  let results = (outs Index:$id);
  let assemblyFormat = "$dim attr-dict";
  let hasVerifier = 1;
}

def Tile_BlockCountOp : Tile_Op<"block_count", [Pure]> {
  let summary = "how many blocks the grid has along dimension 0";
  let results = (outs Index:$count);
  let assemblyFormat = "attr-dict";
}

def Tile_ThreadIdOp : Tile_Op<"thread_id", [Pure]> {
  let summary = "which thread of the block this is: for scalar code beside tiles";
  let results = (outs Index:$id);
  let assemblyFormat = "attr-dict";
}

def Tile_LaunderOp : Tile_Op<"launder"> {
  let summary = "a value under another name, of which nothing is known";
  let description = "What follows from the result is computed behind it, and not kept in registers because it followed from the operand as well.";
  let arguments = (ins Index:$value);
  let results = (outs Index:$result);
  let assemblyFormat = "$value attr-dict";
}

def Tile_ViewOp : Tile_Op<"view", [Pure]> {
  let summary = "a matrix in global memory";
  let description = [{
    Element [i, j] is at `base` + i*`stride` + j, for i < `rows`, j < `cols`. Elements outside read as zero and are not written. `align`: bytes that the address of every row
    is a multiple of, at columns that are; 16 lets copies be asynchronous.
  }];
  let arguments = (ins AnyType:$base, Index:$rows, Index:$cols, Index:$stride, I64Attr:$align);
  let results = (outs Tile_ViewType:$view);
  let assemblyFormat = "$base `rows` $rows `cols` $cols `stride` $stride `align` $align attr-dict `:` type($base) `->` type($view)";
  let hasVerifier = 1;
}

def Tile_PagedViewOp : Tile_Op<"paged_view", [Pure]> {
  let summary = "a matrix in global memory whose rows lie in pages";
  let description = [{
    Row i is row (`first` + i) mod `page` of the page with number `table`[(`first` + i) / `page`]; row r of page n begins at `base` + n*`page_stride` + r*`stride`, at a multiple
    of 16 bytes. Elements outside of `rows` and `cols` read as zero, and no number is read for them. It can be copied (tile.copy_async), and is not written.
  }];
  let arguments = (ins AnyType:$base, AnyType:$table, Index:$first, Index:$rows, Index:$cols, Index:$stride, Index:$page_stride, I64Attr:$page);
  let results = (outs Tile_ViewType:$view);
  let assemblyFormat = [{
    $base `table` $table `first` $first `rows` $rows `cols` $cols `stride` $stride `page_stride` $page_stride `page` $page attr-dict
    `:` type($base) `,` type($table) `->` type($view)
  }];
  let hasVerifier = 1;
}

def Tile_AllocOp : Tile_Op<"alloc"> {
  let summary = "a tile in shared memory; its content is undefined";
  let description = [{
    Tiles follow each other in the order of their ops, unless `at` says where in the block's memory: then they may share bytes with others, and a `tile.barrier` has to stand
    between the last use of the one and the first of the other.
  }];
  let arguments = (ins OptionalAttr<I64Attr>:$at);
  let results = (outs Tile_SharedType:$tile);
  let assemblyFormat = "(`at` $at^)? attr-dict `:` type($tile)";
  let hasVerifier = 1;
}

def Tile_SlotOp : Tile_Op<"slot", [Pure]> {
  let summary = "one of the stages of a tile in shared memory";
  let arguments = (ins Tile_SharedType:$tile, Index:$stage);
  let results = (outs Tile_SharedType:$slot);
  let assemblyFormat = "$tile `[` $stage `]` attr-dict `:` type($tile) `->` type($slot)";
  let hasVerifier = 1;
}

def Tile_CopyAsyncOp : Tile_Op<"copy_async"> {
  let summary = "begins to copy a tile from global to shared memory";
  let description = [{
    The tile of `view` whose first element is [row, col]; elements outside of the view arrive as zero. The copy is part of the next `tile.commit` of the block's threads and is seen after
    a `tile.wait` for that and a `tile.barrier`.
  }];
  let arguments = (ins Tile_ViewType:$view, Index:$row, Index:$col, Tile_SharedType:$tile);
  let assemblyFormat = "$view `[` $row `,` $col `]` `to` $tile attr-dict `:` type($view) `to` type($tile)";
  let hasVerifier = 1;
}

def Tile_CommitOp : Tile_Op<"commit"> {
  let summary = "closes a group of copies: all begun since the one before";
  let results = (outs Tile_TokenType:$group);
  let assemblyFormat = "attr-dict `:` type($group)";
}

def Tile_WaitOp : Tile_Op<"wait"> {
  let summary = "waits until at most `pending` groups of copies are in flight, oldest first";
  let description = "A thread waits for its own copies: what others copied is seen after a `tile.barrier` behind the wait.";
  let arguments = (ins I64Attr:$pending);
  let assemblyFormat = "`pending` $pending attr-dict";
  let hasVerifier = 1;
}

def Tile_BarrierOp : Tile_Op<"barrier"> {
  let summary = "all threads of the block meet; what they wrote to shared memory before is seen by all after";
  let description = "`products`: by their products of groups of warps and tensor copies, too, which reach shared memory by a way of their own.";
  let arguments = (ins UnitAttr:$products);
  let assemblyFormat = "(`products` $products^)? attr-dict";
}

def Tile_FillOp : Tile_Op<"fill", [SingleBlock]> {
  let summary = "writes computed elements to a tile in shared memory";
  let description = [{
    The region gives the element at its two arguments, row and column within the tile; neighbouring threads have neighbouring columns, or rows with `by_rows`. What is read of global memory is
    up to the region, bounds too.
  }];
  let arguments = (ins Tile_SharedType:$tile, UnitAttr:$by_rows);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$tile attr-dict `:` type($tile) $body";
  let hasVerifier = 1;
}

def Tile_VisitOp : Tile_Op<"visit", [SingleBlock]> {
  let summary = "runs a region for each element of a tile in shared memory, or for runs of `width` neighbours in a row";
  let description = [{
    Arguments of the region: the element (a vector, where `width` is more than 1), its row and its (first) column within the tile. Neighbouring threads have neighbouring columns, so that what
    the region stores is coalesced.
  }];
  let arguments = (ins Tile_SharedType:$tile, DefaultValuedAttr<I64Attr, "1">:$width);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$tile attr-dict `:` type($tile) $body";
  let hasVerifier = 1;
}

def Tile_LoadOp : Tile_Op<"load"> {
  let summary = "reads a tile from shared memory into the registers of its layout";
  let description = [{
    `a` and `b` of equal elements of 16 bits, or bytes: ldmatrix. f32 elements may be read as f16 or bf16 in layout `a`: rounded on the way; with `residual` 1 what that took away, rounded, with 2 what
    that took away again.
    `transposed`: the tile in shared memory is [columns, rows], of 16-bit elements.
  }];
  let arguments = (ins Tile_SharedType:$tile, UnitAttr:$transposed, DefaultValuedAttr<I64Attr, "0">:$residual);
  let results = (outs Tile_RegType:$result);
  let assemblyFormat = "$tile attr-dict `:` type($tile) `->` type($result)";
  let hasVerifier = 1;
}

def Tile_StoreOp : Tile_Op<"store"> {
  let summary = "writes a tile of registers to global memory, within the bounds of the view, rounded to its elements";
  let arguments = (ins Tile_RegType:$value, Tile_ViewType:$view, Index:$row, Index:$col);
  let assemblyFormat = "$value `,` $view `[` $row `,` $col `]` attr-dict `:` type($value) `,` type($view)";
  let hasVerifier = 1;
}

def Tile_StoreSharedOp : Tile_Op<"store_shared"> {
  let summary = "writes a tile of registers to shared memory, rounded to its elements";
  let arguments = (ins Tile_RegType:$value, Tile_SharedType:$tile);
  let assemblyFormat = "$value `,` $tile attr-dict `:` type($value) `,` type($tile)";
  let hasVerifier = 1;
}

def Tile_SplatOp : Tile_Op<"splat", [Pure]> {
  let summary = "a tile of one value";
  let arguments = (ins AnyType:$value);
  let results = (outs Tile_RegType:$result);
  let assemblyFormat = "$value attr-dict `:` type($value) `->` type($result)";
  let hasVerifier = 1;
}

def Tile_DotOp : Tile_Op<"dot", [AllTypesMatch<["init", "result"]>]> {
  let summary = "init + a * b";
  let description = [{
    `a` [M, K] in registers (layout `a`) or shared memory, `b` in shared memory as [K, N], or [N, K] with `trans_b`. 16-bit operands go to mma.sync m16n8k16 and are accumulated in f32. f32 operands,
    both in shared memory, are multiplied and added one by one in the order of K. Bytes, signed (i8) or not (ui8), go to m16n8k32, `b` as [N, K]; their sums are i32 and wrap around.

    In layout `wgmma_acc` groups of four warps have 64 rows each; `b` comes from swizzled shared memory, `a` from there or from registers (layout `wgmma_a`). Such a product is begun, not
    done: until a `tile.dot_wait` its result may only be the `init` of another one or be carried by a loop, and its operands stay as they are. In front of it stands a `tile.dot_fence`.
  }];
  let arguments = (ins AnyType:$a, Tile_SharedType:$b, Tile_RegType:$init, UnitAttr:$trans_b);
  let results = (outs Tile_RegType:$result);
  let assemblyFormat = "$a `,` $b `,` $init attr-dict `:` type($a) `,` type($b) `,` type($init)";
  let hasVerifier = 1;
}

def Tile_DotFenceOp : Tile_Op<"dot_fence"> {
  let summary = "products of groups of warps that follow see what was done to registers before";
  let description = [{
    `tiles`: accumulators and left operands of those products that have been written since the last fence; the products take the results. One fence serves all products up to the next
    access to their registers.
  }];
  let arguments = (ins Variadic<Tile_RegType>:$tiles);
  let results = (outs Variadic<Tile_RegType>:$results);
  let assemblyFormat = "(`(` $tiles^ `:` custom<SameTypes>(type($tiles), type($results)) `)`)? attr-dict";
  let hasVerifier = 1;
}

def Tile_DotWaitOp : Tile_Op<"dot_wait"> {
  let summary = "waits until at most `pending` products of a group of warps are in flight, oldest first";
  let description = "`tiles`: results of those that are done then, for use by others. What they read of shared memory may be written again.";
  let arguments = (ins I64Attr:$pending, Variadic<Tile_RegType>:$tiles);
  let results = (outs Variadic<Tile_RegType>:$results);
  let assemblyFormat = "`pending` $pending (`(` $tiles^ `:` custom<SameTypes>(type($tiles), type($results)) `)`)? attr-dict";
  let hasVerifier = 1;
}

def Tile_ConvertOp : Tile_Op<"convert", [Pure]> {
  let summary = "an accumulator as the left operand of the next product, rounded: the same registers under another name";
  let arguments = (ins Tile_RegType:$value);
  let results = (outs Tile_RegType:$result);
  let assemblyFormat = "$value attr-dict `:` type($value) `->` type($result)";
  let hasVerifier = 1;
}

def Tile_MapOp : Tile_Op<"map", [SingleBlock, RecursiveMemoryEffects]> {
  let summary = "elementwise: results[i, j] = region(operands[i, j], i, j)";
  let description = [{
    Tiles have one shape and layout; an operand in layout `row` gives the element of its row to every column. Last two arguments of the region: row and column within the tile.
    The region runs for the elements of each thread.
  }];
  let arguments = (ins Variadic<Tile_RegType>:$tiles);
  let results = (outs Variadic<Tile_RegType>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "(`ins` `(` $tiles^ `:` type($tiles) `)`)? `->` type($results) attr-dict-with-keyword $body";
  let hasVerifier = 1;
}

def Tile_ForEachOp : Tile_Op<"for_each", [SingleBlock]> {
  let summary = "runs a region once for each element of a tile";
  let description = "As `tile.map` without results: an element that several lanes hold (layout `row`) is visited by one of them.";
  let arguments = (ins Tile_RegType:$tile);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$tile attr-dict `:` type($tile) $body";
  let hasVerifier = 1;
}

def Tile_Combine : I32EnumAttr<"Combine", "how elements of a row are combined", [I32EnumAttrCase<"Add", 0, "add">, I32EnumAttrCase<"Max", 1, "max">]> {
  let cppNamespace = "::leat::tile";
}

def Tile_ReduceOp : Tile_Op<"reduce", [Pure]> {
  let summary = "combines the elements of each row";
  let description = "`partial`: each lane combines what it holds and `tile.join` ends it: a sum that a loop carries needs no shuffles inside.";
  let arguments = (ins Tile_Combine:$combine, Tile_RegType:$tile, UnitAttr:$partial);
  let results = (outs Tile_RegType:$result);
  let assemblyFormat = "$combine $tile attr-dict `:` type($tile) `->` type($result)";
  let hasVerifier = 1;
}

def Tile_JoinOp : Tile_Op<"join", [Pure, AllTypesMatch<["tile", "result"]>]> {
  let summary = "combines what the four lanes of a row hold";
  let arguments = (ins Tile_Combine:$combine, Tile_RegType:$tile);
  let results = (outs Tile_RegType:$result);
  let assemblyFormat = "$combine $tile attr-dict `:` type($tile)";
  let hasVerifier = 1;
}

def Tile_Exp2Op : Tile_Op<"exp2", [Pure, SameOperandsAndResultType]> {
  let summary = "2^x in one instruction: relative error below 2^-22, denormals become zero";
  let arguments = (ins F32:$x);
  let results = (outs F32:$result);
  let assemblyFormat = "$x attr-dict";
}

def Tile_ReadOp : Tile_Op<"read"> {
  let summary = "an element of a tile in shared memory, or a vector of neighbours in its row: for scalar code beside tiles";
  let description = "A vector has at most 16 bytes, begins at a multiple of its size and does not leave its row.";
  let arguments = (ins Tile_SharedType:$tile, Index:$row, Index:$col);
  let results = (outs AnyType:$value);
  let assemblyFormat = "$tile `[` $row `,` $col `]` attr-dict `:` type($tile) `->` type($value)";
  let hasVerifier = 1;
}

def Tile_WriteOp : Tile_Op<"write"> {
  let summary = "writes an element of a tile in shared memory, or a vector of neighbours in its row";
  let arguments = (ins AnyType:$value, Tile_SharedType:$tile, Index:$row, Index:$col);
  let assemblyFormat = "$value `,` $tile `[` $row `,` $col `]` attr-dict `:` type($value) `,` type($tile)";
  let hasVerifier = 1;
}

def Tile_LanesOp : Tile_Op<"lanes", [Pure, SameOperandsAndResultType]> {
  let summary = "combines a value over groups of neighbouring lanes of each warp; all of them get the result";
  let arguments = (ins Tile_Combine:$combine, F32:$value, I64Attr:$width);
  let results = (outs F32:$result);
  let assemblyFormat = "$combine $value `width` $width attr-dict";
  let hasVerifier = 1;
}

def Tile_FromLaneOp : Tile_Op<"from_lane"> {
  let summary = "the value that another lane of the warp has";
  let description = "All lanes of a warp come by; each may ask another one. `lane` is 0 to 31.";
  let arguments = (ins I32:$value, Index:$lane);
  let results = (outs I32:$result);
  let assemblyFormat = "$value `[` $lane `]` attr-dict";
}

def Tile_PipelineOp : Tile_Op<"pipeline", [AttrSizedOperandSegments]> {
  let summary = "a loop whose next tiles are on their way while it works on the present ones";
  let description = [{
    For i = `lower`, `lower` + `step`, ... below `upper`: `produce`(i, slots) begins to bring what step i needs into one stage of each of `buffers`; `consume`(i, slots, carried) works on it and
    yields what is carried on. `produce` runs `stages` - 1 steps ahead, `stages` as the buffers have (two at least). Memory is ordered by the op: a slot is written after all threads are done with it,
    and read after what was written is there. `produce` may write a slot by tile.copy_async, tile.fill or tile.write; `consume` neither writes nor keeps them.

    With `first`, steps are only counted by i: both regions get `first` in the first step, and in each further one what `next` makes of the value of the step before. `next` is asked for values of
    steps that are not taken, too, and by all threads.
  }];
  let arguments = (ins Index:$lower, Index:$upper, Index:$step, Optional<Index>:$first, Variadic<Tile_SharedType>:$buffers, Variadic<AnyType>:$inits);
  let results = (outs Variadic<AnyType>:$results);
  let regions = (region SizedRegion<1>:$produce, SizedRegion<1>:$consume, AnyRegion:$next);
  let assemblyFormat = [{
    $lower `to` $upper `step` $step (`first` $first^)? `buffers` `(` $buffers `:` type($buffers) `)` (`carry` `(` $inits^ `:` type($inits) `)` `->` type($results))?
    (`next` $next^)? `produce` $produce `consume` $consume attr-dict
  }];
  let hasVerifier = 1;
}

// --- warps with roles, barriers that count, copies of tiles by one thread ----------------------------------------------------------------

def Tile_RolesOp : Tile_Op<"roles", [SingleBlockImplicitTerminator<"YieldOp">]> {
  let summary = "groups of warps that work on tiles, and a thread that brings them";
  let description = [{
    The first `consumers` threads of the program run `consume`, as if they were all there is: tiles in registers are spread over them, `tile.barrier` is among them. Of the last 128 threads one
    runs `produce`: it copies, waits and counts. Each thread gets as many registers as its role says (sm_90a).

    All threads meet in front of the roles: `tile.mbarriers` made before are ready behind.
  }];
  let arguments = (ins I64Attr:$consumers, I64Attr:$consumer_registers, I64Attr:$producer_registers);
  let regions = (region SizedRegion<1>:$consume, SizedRegion<1>:$produce);
  let assemblyFormat = [{
    `consume` $consumers `registers` $consumer_registers $consume `produce` `registers` $producer_registers $produce attr-dict
  }];
  let hasVerifier = 1;
}

def Tile_MBarriersOp : Tile_Op<"mbarriers"> {
  let summary = "barriers in shared memory, in phase 0; for use inside of tile.roles";
  let arguments = (ins I64Attr:$arrivals);
  let results = (outs Tile_MBarriersType:$barriers);
  let assemblyFormat = "`arrivals` $arrivals attr-dict `:` type($barriers)";
  let hasVerifier = 1;
}

def Tile_TicketOp : Tile_Op<"ticket"> {
  let summary = "draws a number that no other block draws: 0, 1, ... up to `count` - 1, then 0 again";
  let description = [{
    `counter` points to 32 bits in global memory. They are 0 before a launch, and again behind one whose blocks draw `count` times in all. Which block gets which number is up to time.
  }];
  let arguments = (ins AnyType:$counter, Index:$count);
  let results = (outs Index:$number);
  let assemblyFormat = "$counter `of` $count attr-dict `:` type($counter)";
  let hasVerifier = 1;
}

def Tile_ExpectOp : Tile_Op<"expect"> {
  let summary = "arrives at a barrier and announces how many bytes the producer's copies of this phase bring";
  let description = "None, where the phase is of what the producer wrote itself: consumers see it behind their wait.";
  let arguments = (ins Tile_MBarriersType:$barriers, Index:$stage, I64Attr:$bytes);
  let assemblyFormat = "$barriers `[` $stage `]` `bytes` $bytes attr-dict `:` type($barriers)";
  let hasVerifier = 1;
}

def Tile_ArriveOp : Tile_Op<"arrive"> {
  let summary = "each group of four consumer warps arrives at a barrier once";
  let description = [{
    One thread arrives for its group: what the group read was read by products that it has waited for, which none of its warps can do before all have begun them.
    `everywhere`: at the barrier of each block of the cluster.
  }];
  let arguments = (ins Tile_MBarriersType:$barriers, Index:$stage, UnitAttr:$everywhere);
  let assemblyFormat = "$barriers `[` $stage `]` attr-dict `:` type($barriers)";
  let hasVerifier = 1;
}

def Tile_AwaitOp : Tile_Op<"await"> {
  let summary = "waits for the end of the phase of a barrier that has this parity";
  let description = "`everywhere`: threads of other blocks of the cluster arrive there, too.";
  let arguments = (ins Tile_MBarriersType:$barriers, Index:$stage, Index:$parity, UnitAttr:$everywhere);
  let assemblyFormat = "$barriers `[` $stage `]` `parity` $parity attr-dict `:` type($barriers)";
  let hasVerifier = 1;
}

def Tile_CopyTensorOp : Tile_Op<"copy_tensor"> {
  let summary = "begins to copy a tile by a tensor map; its bytes are counted by a barrier";
  let description = [{
    `map` points to 128 bytes that the runtime makes of a LeatTensorMap (include/leat/KernelABI.h): a view of memory in up to five dimensions, innermost first. Its box is a tile of at most
    `swizzle` bytes of the innermost dimension and, over the others, the rows of the tile in order; slabs of a tile with more columns are copied one by one. `coordinates` say where the tile
    begins; elements outside of the view arrive as zero.

    `multicast`: all blocks of the cluster want the same tile. Each copies its share of the rows, one after the other in the order of blocks, to the tiles of all of them, where its bytes are counted
    by the barrier in the same place; the box has the rows of a share. Nobody may have a use for what was in these tiles any more.
  }];
  let arguments = (ins AnyType:$map, Variadic<Index>:$coordinates, Tile_SharedType:$tile, Tile_MBarriersType:$barriers, Index:$stage, UnitAttr:$multicast);
  let assemblyFormat = "$map `[` $coordinates `]` `to` $tile `signal` $barriers `[` $stage `]` attr-dict `:` type($map) `to` type($tile) `signal` type($barriers)";
  let hasVerifier = 1;
}

def Tile_TakeTurnOp : Tile_Op<"take_turn"> {
  let summary = "a group of four consumer warps waits until the group before it gives the turn";
  let description = [{
    Groups take turns, the first one first, so that one works on its registers while another multiplies. Nothing is ordered but time: memory may not rely on it. Each group takes and gives as
    often as the others.
  }];
  let assemblyFormat = "attr-dict";
  let hasVerifier = 1;
}

def Tile_GiveTurnOp : Tile_Op<"give_turn"> {
  let summary = "a group of four consumer warps gives the turn to the next";
  let assemblyFormat = "attr-dict";
  let hasVerifier = 1;
}
