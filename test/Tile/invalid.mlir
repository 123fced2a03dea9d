// RUN: leat-opt %s -split-input-file -verify-diagnostics

// One case for each message of the dialect's verifiers; those of barriers and roles are in invalid-roles.mlir.

// expected-error @+1 {{knows no layout 'nothing'}}
func.func private @f(!tile.reg<16x8xf32, #tile.layout<nothing, 1x1>>)

// -----
// expected-error @+1 {{needs the warps of a layout as rows x columns}}
func.func private @f(!tile.reg<16x8xf32, #tile.layout<acc, 4>>)

// -----
// expected-error @+1 {{needs 1 to 32 warps, got 8x8}}
func.func private @f(!tile.reg<16x8xf32, #tile.layout<acc, 8x8>>)

// -----
// expected-error @+1 {{needs groups of four warps below each other for wgmma_acc, got 2x1}}
func.func private @f(!tile.reg<64x8xf32, #tile.layout<wgmma_acc, 2x1>>)

// -----
// expected-error @+1 {{a tile in shared memory has swizzle, pad and stages, but no 'spread'}}
func.func private @f(!tile.shared<8x8xf16, spread = 2>)

// -----
// expected-error @+1 {{needs rows x columns, got 1 dimensions}}
func.func private @f(!tile.shared<8xf16>)

// -----
// expected-error @+1 {{needs elements of whole bytes in shared memory}}
func.func private @f(!tile.shared<8x8xi4>)

// -----
// expected-error @+1 {{needs at least one row, one column and one stage}}
func.func private @f(!tile.shared<8x8xf16, stages = 0>)

// -----
// expected-error @+1 {{knows swizzles of 32, 64 and 128 bytes, got 48}}
func.func private @f(!tile.shared<8x8xf16, swizzle = 48>)

// -----
// expected-error @+1 {{needs rows of whole swizzle spans of 64 bytes, got 80 bytes}}
func.func private @f(!tile.shared<8x40xf16, swizzle = 64>)

// -----
// expected-error @+1 {{needs rows in multiples of 8 to swizzle them, got 4}}
func.func private @f(!tile.shared<4x32xf16, swizzle = 64>)

// -----
// expected-error @+1 {{has either a swizzle or padding}}
func.func private @f(!tile.shared<8x32xf16, swizzle = 64, pad = 16>)

// -----
// expected-error @+1 {{needs padded rows in multiples of 16 bytes, got 64 and 6}}
func.func private @f(!tile.shared<8x32xf16, pad = 6>)

// -----
// expected-error @+1 {{needs rows x columns, got 1 dimensions}}
func.func private @f(!tile.reg<8xf32, #tile.layout<acc, 1x1>>)

// -----
// expected-error @+1 {{needs 32-bit elements in an accumulator}}
func.func private @f(!tile.reg<16x8xf16, #tile.layout<acc, 1x1>>)

// -----
// expected-error @+1 {{needs whole fragments of 16x8 for each of 1x1 warps, got 24x8}}
func.func private @f(!tile.reg<24x8xf32, #tile.layout<acc, 1x1>>)

// -----
// expected-error @+1 {{needs 16-bit elements in an operand, or bytes in layouts a and b, got 'f32'}}
func.func private @f(!tile.reg<16x16xf32, #tile.layout<a, 1x1>>)

// -----
// expected-error @+1 {{needs 16-bit elements in an operand, or bytes in layouts a and b, got 'i8'}}
func.func private @f(!tile.reg<64x32xi8, #tile.layout<wgmma_a, 4x1>>)

// -----
// expected-error @+1 {{needs 16-bit elements in an operand, or bytes in layouts a and b, got 'si8'}}
func.func private @f(!tile.reg<16x32xsi8, #tile.layout<a, 1x1>>)

// -----
// expected-error @+1 {{needs whole fragments of 16x32 for each of 1 warps, got 16x16}}
func.func private @f(!tile.reg<16x16xi8, #tile.layout<a, 1x1>>)

// -----
// expected-error @+1 {{needs whole fragments of 16x16 for each of 1 warps, got 16x8}}
func.func private @f(!tile.reg<16x8xf16, #tile.layout<a, 1x1>>)

// -----
// expected-error @+1 {{needs whole fragments of 8x16 for each of 1 warps, got 8x8}}
func.func private @f(!tile.reg<8x8xf16, #tile.layout<b, 1x1>>)

// -----
// expected-error @+1 {{needs one column and 16 rows for each of 1 warps, got 16x2}}
func.func private @f(!tile.reg<16x2xf32, #tile.layout<row, 1x1>>)

// -----
// expected-error @+1 {{needs 32-bit elements in a row slice}}
func.func private @f(!tile.reg<16x1xf16, #tile.layout<row, 1x1>>)

// -----
// expected-error @+1 {{needs elements of 1 to 8 bytes}}
func.func private @f(!tile.reg<16x16xi4, #tile.layout<vector, 1x1>>)

// -----
// expected-error @+1 {{needs 16 bytes for each thread of 1 warps}}
func.func private @f(!tile.reg<1x16xf32, #tile.layout<vector, 1x1>>)

// -----
func.func @f() {
  // expected-error @+1 {{needs whole warps, 32 to 1024 threads, got 48}}
  tile.program threads 48 {
  }
  return
}

// -----
func.func @f() {
  tile.program threads 32 {
  // expected-error @+1 {{cannot stand inside another program}}
  tile.program threads 32 {
  }
  }
  return
}

// -----
func.func @f(%x: f32) {
  tile.program threads 64 {
  // expected-error @+1 {{has a tile of 1 warps in a program of 64 threads}}
  %0 = tile.splat %x : f32 -> !tile.reg<16x8xf32, #tile.layout<acc, 1x1>>
  }
  return
}

// -----
func.func @f() {
  // expected-error @+1 {{has dimension 0, 1 or 2, got 3}}
  %0 = tile.block_id 3
  return
}

// -----
func.func @f(%x: i64, %n: index) {
  // expected-error @+1 {{needs a pointer}}
  %0 = tile.view %x rows %n cols %n stride %n align 16 : i64 -> !tile.view<f16>
  return
}

// -----
func.func @f(%x: !llvm.ptr, %n: index) {
  // expected-error @+1 {{needs rows aligned to a power of two from its elements' 2 to 16 bytes, got 6}}
  %0 = tile.view %x rows %n cols %n stride %n align 6 : !llvm.ptr -> !tile.view<f16>
  return
}

// -----
func.func @f(%x: !llvm.ptr, %t: i64, %n: index) {
  // expected-error @+1 {{needs a pointer, got 'i64'}}
  %0 = tile.paged_view %x table %t first %n rows %n cols %n stride %n page_stride %n page 16 : !llvm.ptr, i64 -> !tile.view<f16>
  return
}

// -----
func.func @f(%x: !llvm.ptr, %n: index) {
  // expected-error @+1 {{needs pages of a power of two of rows, got 24}}
  %0 = tile.paged_view %x table %x first %n rows %n cols %n stride %n page_stride %n page 24 : !llvm.ptr, !llvm.ptr -> !tile.view<f16>
  return
}

// -----
func.func @f() {
  // expected-error @+1 {{needs a place aligned to 128 bytes, got 64}}
  %0 = tile.alloc at 64 : !tile.shared<8x8xf16>
  return
}

// -----
func.func @f(%t: !tile.shared<8x8xf16, stages = 2>, %i: index) {
  // expected-error @+1 {{gives one stage of its tile}}
  %0 = tile.slot %t[%i] : !tile.shared<8x8xf16, stages = 2> -> !tile.shared<8x16xf16>
  return
}

// -----
func.func @f(%v: !tile.view<f32>, %t: !tile.shared<8x8xf16>, %i: index) {
  // expected-error @+1 {{copies without conversion, but goes from 'f32' to 'f16'}}
  tile.copy_async %v[%i, %i] to %t : !tile.view<f32> to !tile.shared<8x8xf16>
  return
}

// -----
func.func @f(%v: !tile.view<f16>, %t: !tile.shared<8x12xf16>, %i: index) {
  // expected-error @+1 {{copies 16 bytes at a time, but rows of the tile have 24 bytes}}
  tile.copy_async %v[%i, %i] to %t : !tile.view<f16> to !tile.shared<8x12xf16>
  return
}

// -----
func.func @f(%x: !llvm.ptr, %t: !tile.shared<8x8xf16>, %n: index) {
  %v = tile.view %x rows %n cols %n stride %n align 2 : !llvm.ptr -> !tile.view<f16>
  // expected-error @+1 {{needs a view aligned to 16 bytes, got 2}}
  tile.copy_async %v[%n, %n] to %t : !tile.view<f16> to !tile.shared<8x8xf16>
  return
}

// -----
func.func @f(%v: !tile.view<f16>, %t: !tile.shared<8x8xf16, stages = 2>, %i: index) {
  // expected-error @+1 {{needs one stage of a tile}}
  tile.copy_async %v[%i, %i] to %t : !tile.view<f16> to !tile.shared<8x8xf16, stages = 2>
  return
}

// -----
func.func @f() {
  // expected-error @+1 {{cannot leave -1 groups in flight}}
  "tile.wait"() {pending = -1 : i64} : () -> ()
  return
}

// -----
func.func @f(%t: !tile.shared<8x8xf16>, %x: f32) {
  // expected-error @+1 {{needs arguments of types ('index', 'index') in its region, got ('index')}}
  tile.fill %t : !tile.shared<8x8xf16> {
  ^bb0(%i: index):
  tile.yield %x : f32
  }
  return
}

// -----
func.func @f(%t: !tile.shared<8x8xf16>, %x: f32) {
  // expected-error @+1 {{needs a tile.yield of types ('f16') at the end of its region}}
  tile.fill %t : !tile.shared<8x8xf16> {
  ^bb0(%i: index, %j: index):
  tile.yield %x : f32
  }
  return
}

// -----
func.func @f(%t: !tile.shared<16x16xf16>) {
  // expected-error @+1 {{reads 16x16 elements, not 32x16}}
  %0 = tile.load %t : !tile.shared<16x16xf16> -> !tile.reg<32x16xf16, #tile.layout<a, 1x1>>
  return
}

// -----
func.func @f(%t: !tile.shared<16x16xf32>) {
  // expected-error @+1 {{reads operands of products, layouts a and b, not acc}}
  %0 = tile.load %t : !tile.shared<16x16xf32> -> !tile.reg<16x16xf32, #tile.layout<acc, 1x1>>
  return
}

// -----
func.func @f(%t: !tile.shared<16x16xf32>) {
  // expected-error @+1 {{rounds f32 to an operand in layout a, not 'f32' to 'f16' in layout b}}
  %0 = tile.load %t : !tile.shared<16x16xf32> -> !tile.reg<16x16xf16, #tile.layout<b, 1x1>>
  return
}

// -----
func.func @f(%t: !tile.shared<16x16xf16>) {
  // expected-error @+1 {{has a residual only where it rounds}}
  %0 = tile.load %t {residual = 1 : i64} : !tile.shared<16x16xf16> -> !tile.reg<16x16xf16, #tile.layout<a, 1x1>>
  return
}

// -----
func.func @f(%t: !tile.shared<16x16xf32>) {
  // expected-error @+1 {{takes residuals twice at most, got 3}}
  %0 = tile.load %t {residual = 3 : i64} : !tile.shared<16x16xf32> -> !tile.reg<16x16xbf16, #tile.layout<a, 1x1>>
  return
}

// -----
func.func @f(%r: !tile.reg<16x1xf32, #tile.layout<row, 1x1>>, %v: !tile.view<f32>, %i: index) {
  // expected-error @+1 {{writes accumulators, not layout row}}
  tile.store %r, %v[%i, %i] : !tile.reg<16x1xf32, #tile.layout<row, 1x1>>, !tile.view<f32>
  return
}

// -----
func.func @f(%r: !tile.reg<16x8xf32, #tile.layout<acc, 1x1>>, %v: !tile.view<f64>, %i: index) {
  // expected-error @+1 {{rounds f32 to f16 or bf16, not 'f32' to 'f64'}}
  tile.store %r, %v[%i, %i] : !tile.reg<16x8xf32, #tile.layout<acc, 1x1>>, !tile.view<f64>
  return
}

// -----
func.func @f(%r: !tile.reg<16x1xf32, #tile.layout<row, 1x1>>, %t: !tile.shared<16x8xf32>) {
  // expected-error @+1 {{writes accumulators, not layout row}}
  tile.store_shared %r, %t : !tile.reg<16x1xf32, #tile.layout<row, 1x1>>, !tile.shared<16x8xf32>
  return
}

// -----
func.func @f(%r: !tile.reg<16x8xf32, #tile.layout<acc, 1x1>>, %t: !tile.shared<8x8xf32>) {
  // expected-error @+1 {{writes 16x8 elements to a tile of 8x8}}
  tile.store_shared %r, %t : !tile.reg<16x8xf32, #tile.layout<acc, 1x1>>, !tile.shared<8x8xf32>
  return
}

// -----
func.func @f(%r: !tile.reg<16x8xf32, #tile.layout<acc, 1x1>>, %t: !tile.shared<16x8xi32>) {
  // expected-error @+1 {{rounds f32 to f16 or bf16, not 'f32' to 'i32'}}
  tile.store_shared %r, %t : !tile.reg<16x8xf32, #tile.layout<acc, 1x1>>, !tile.shared<16x8xi32>
  return
}

// -----
func.func @f(%x: f16) {
  // expected-error @+1 {{fills a tile of 'f32' with a value of type 'f16'}}
  %0 = tile.splat %x : f16 -> !tile.reg<16x8xf32, #tile.layout<acc, 1x1>>
  return
}

// -----
func.func @f(%x: f16) {
  // expected-error @+1 {{cannot fill packed operands, layout a}}
  %0 = tile.splat %x : f16 -> !tile.reg<16x16xf16, #tile.layout<a, 1x1>>
  return
}

// -----
func.func @f(%a: !tile.shared<16x16xf16>, %c: !tile.reg<16x16xi32, #tile.layout<acc, 1x1>>) {
  // expected-error @+1 {{sums products of bytes in i32 and those of floats in f32, not 'f16' by 'f16' in 'i32'}}
  %0 = tile.dot %a, %a, %c : !tile.shared<16x16xf16>, !tile.shared<16x16xf16>, !tile.reg<16x16xi32, #tile.layout<acc, 1x1>>
  return
}

// -----
func.func @f(%a: !tile.shared<16x16xf16>, %c: !tile.reg<16x16xf64, #tile.layout<vector, 1x1>>) {
  // expected-error @+1 {{sums in f32 or i32 in layout acc or wgmma_acc}}
  %0 = tile.dot %a, %a, %c : !tile.shared<16x16xf16>, !tile.shared<16x16xf16>, !tile.reg<16x16xf64, #tile.layout<vector, 1x1>>
  return
}

// -----
func.func @f(%a: !tile.shared<16x32xi8>, %b: !tile.shared<8x32xui8>, %c: !tile.reg<16x8xf32, #tile.layout<acc, 1x1>>) {
  // expected-error @+1 {{sums products of bytes in i32 and those of floats in f32, not 'i8' by 'ui8' in 'f32'}}
  %0 = tile.dot %a, %b, %c {trans_b} : !tile.shared<16x32xi8>, !tile.shared<8x32xui8>, !tile.reg<16x8xf32, #tile.layout<acc, 1x1>>
  return
}

// -----
func.func @f(%a: !tile.shared<16x32xi8>, %b: !tile.shared<32x16xi8>, %c: !tile.reg<16x16xi32, #tile.layout<acc, 1x1>>) {
  // expected-error @+1 {{reads a right operand of bytes as [columns, depth] (trans_b): ldmatrix transposes pairs of them}}
  %0 = tile.dot %a, %b, %c : !tile.shared<16x32xi8>, !tile.shared<32x16xi8>, !tile.reg<16x16xi32, #tile.layout<acc, 1x1>>
  return
}

// -----
func.func @f(%a: !tile.shared<16x16xi8>, %b: !tile.shared<8x16xi8>, %c: !tile.reg<16x8xi32, #tile.layout<acc, 1x1>>) {
  // expected-error @+1 {{needs a depth in multiples of 32, got 16}}
  %0 = tile.dot %a, %b, %c {trans_b} : !tile.shared<16x16xi8>, !tile.shared<8x16xi8>, !tile.reg<16x8xi32, #tile.layout<acc, 1x1>>
  return
}

// -----
func.func @f(%a: !tile.shared<64x64xi8, swizzle = 64>, %c: !tile.reg<64x64xi32, #tile.layout<wgmma_acc, 4x1>>) {
  // expected-error @+1 {{reads operands of a group of warps from swizzled shared memory, in 16 bits}}
  %0 = tile.dot %a, %a, %c {trans_b} : !tile.shared<64x64xi8, swizzle = 64>, !tile.shared<64x64xi8, swizzle = 64>, !tile.reg<64x64xi32, #tile.layout<wgmma_acc, 4x1>>
  return
}

// -----
func.func @f(%t: !tile.shared<32x16xi8>) {
  // expected-error @+1 {{transposes elements of 16 bits, not 'i8'}}
  %0 = tile.load %t {transposed} : !tile.shared<32x16xi8> -> !tile.reg<16x32xi8, #tile.layout<a, 1x1>>
  return
}

// -----
func.func @f(%a: !tile.reg<16x16xf16, #tile.layout<b, 1x1>>, %b: !tile.shared<16x16xf16>, %c: !tile.reg<16x16xf32, #tile.layout<acc, 1x1>>) {
  // expected-error @+1 {{needs its left operand in layout a of the accumulator's warps}}
  %0 = tile.dot %a, %b, %c : !tile.reg<16x16xf16, #tile.layout<b, 1x1>>, !tile.shared<16x16xf16>, !tile.reg<16x16xf32, #tile.layout<acc, 1x1>>
  return
}

// -----
func.func @f(%a: f32, %b: !tile.shared<16x16xf16>, %c: !tile.reg<16x16xf32, #tile.layout<acc, 1x1>>) {
  // expected-error @+1 {{needs its left operand in registers or shared memory, got 'f32'}}
  %0 = tile.dot %a, %b, %c : f32, !tile.shared<16x16xf16>, !tile.reg<16x16xf32, #tile.layout<acc, 1x1>>
  return
}

// -----
func.func @f(%a: !tile.shared<16x16xf16>, %b: !tile.shared<32x16xf16>, %c: !tile.reg<16x16xf32, #tile.layout<acc, 1x1>>) {
  // expected-error @+1 {{multiplies 16x16 by 32x16, which does not give 16x16}}
  %0 = tile.dot %a, %b, %c : !tile.shared<16x16xf16>, !tile.shared<32x16xf16>, !tile.reg<16x16xf32, #tile.layout<acc, 1x1>>
  return
}

// -----
func.func @f(%a: !tile.shared<16x16xf16>, %b: !tile.shared<16x16xbf16>, %c: !tile.reg<16x16xf32, #tile.layout<acc, 1x1>>) {
  // expected-error @+1 {{multiplies f16, bf16 or f32 by the same, or bytes by bytes, not 'f16' by 'bf16'}}
  %0 = tile.dot %a, %b, %c : !tile.shared<16x16xf16>, !tile.shared<16x16xbf16>, !tile.reg<16x16xf32, #tile.layout<acc, 1x1>>
  return
}

// -----
func.func @f(%a: !tile.shared<16x8xf16>, %b: !tile.shared<8x16xf16>, %c: !tile.reg<16x16xf32, #tile.layout<acc, 1x1>>) {
  // expected-error @+1 {{needs a depth in multiples of 16, got 8}}
  %0 = tile.dot %a, %b, %c : !tile.shared<16x8xf16>, !tile.shared<8x16xf16>, !tile.reg<16x16xf32, #tile.layout<acc, 1x1>>
  return
}

// -----
func.func @f(%c: !tile.reg<16x16xf32, #tile.layout<acc, 1x1>>) {
  // expected-error @+1 {{renames an accumulator whose warps hold whole rows to the left operand of the same warps}}
  %0 = tile.convert %c : !tile.reg<16x16xf32, #tile.layout<acc, 1x1>> -> !tile.reg<16x16xf16, #tile.layout<b, 1x1>>
  return
}

// -----
func.func @f(%c: !tile.reg<16x16xf32, #tile.layout<acc, 1x1>>) {
  // expected-error @+1 {{keeps the shape, but goes from 16x16 to 16x32}}
  %0 = tile.convert %c : !tile.reg<16x16xf32, #tile.layout<acc, 1x1>> -> !tile.reg<16x32xf16, #tile.layout<a, 1x1>>
  return
}

// -----
func.func @f(%c: !tile.reg<16x16xi32, #tile.layout<acc, 1x1>>) {
  // expected-error @+1 {{rounds f32 to f16 or bf16, not 'i32' to 'f16'}}
  %0 = tile.convert %c : !tile.reg<16x16xi32, #tile.layout<acc, 1x1>> -> !tile.reg<16x16xf16, #tile.layout<a, 1x1>>
  return
}

// -----
func.func @f() {
  // expected-error @+1 {{needs a result; tile.for_each has none}}
  "tile.map"() ({
  ^bb0(%i: index, %j: index):
  "tile.yield"() : () -> ()
  }) : () -> ()
  return
}

// -----
func.func @f() {
  // expected-error @+1 {{needs results of one shape and layout}}
  %0:2 = tile.map -> !tile.reg<16x16xf32, #tile.layout<acc, 1x1>>, !tile.reg<16x8xf32, #tile.layout<acc, 1x1>> {
  ^bb0(%i: index, %j: index):
  %x = arith.constant 0.0 : f32
  tile.yield %x, %x : f32, f32
  }
  return
}

// -----
func.func @f() {
  // expected-error @+1 {{does not work on packed operands, layout a}}
  %0 = tile.map -> !tile.reg<16x16xf16, #tile.layout<a, 1x1>> {
  ^bb0(%i: index, %j: index):
  %x = arith.constant 0.0 : f16
  tile.yield %x : f16
  }
  return
}

// -----
func.func @f(%c: !tile.reg<16x8xf32, #tile.layout<acc, 1x1>>) {
  // expected-error @+1 {{needs operands of its result's shape and layout, or the row slice of that}}
  %0 = tile.map ins(%c : !tile.reg<16x8xf32, #tile.layout<acc, 1x1>>) -> !tile.reg<16x16xf32, #tile.layout<acc, 1x1>> {
  ^bb0(%e: f32, %i: index, %j: index):
  tile.yield %e : f32
  }
  return
}

// -----
func.func @f(%c: !tile.reg<16x16xf16, #tile.layout<a, 1x1>>) {
  // expected-error @+1 {{does not work on packed operands, layout a}}
  tile.for_each %c : !tile.reg<16x16xf16, #tile.layout<a, 1x1>> {
  ^bb0(%e: f16, %i: index, %j: index):
  tile.yield
  }
  return
}

// -----
func.func @f(%c: !tile.reg<16x16xf32, #tile.layout<acc, 1x2>>) {
  // expected-error @+1 {{needs an accumulator whose warps hold whole rows}}
  %0 = tile.reduce add %c : !tile.reg<16x16xf32, #tile.layout<acc, 1x2>> -> !tile.reg<16x1xf32, #tile.layout<row, 1x2>>
  return
}

// -----
func.func @f(%c: !tile.reg<16x16xi32, #tile.layout<acc, 1x1>>) {
  // expected-error @+1 {{combines f32, got 'i32'}}
  %0 = tile.reduce add %c : !tile.reg<16x16xi32, #tile.layout<acc, 1x1>> -> !tile.reg<16x1xi32, #tile.layout<row, 1x1>>
  return
}

// -----
func.func @f(%c: !tile.reg<16x16xf32, #tile.layout<acc, 1x1>>) {
  // expected-error @+1 {{gives one element for each row of}}
  %0 = tile.reduce add %c : !tile.reg<16x16xf32, #tile.layout<acc, 1x1>> -> !tile.reg<32x1xf32, #tile.layout<row, 1x1>>
  return
}

// -----
func.func @f(%c: !tile.reg<16x16xf32, #tile.layout<acc, 1x1>>) {
  // expected-error @+1 {{joins a row slice, got layout acc}}
  %0 = tile.join add %c : !tile.reg<16x16xf32, #tile.layout<acc, 1x1>>
  return
}

// -----
func.func @f(%n: index) {
  // expected-error @+1 {{needs buffers to bring tiles into}}
  "tile.pipeline"(%n, %n, %n) <{operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0>}> ({
  ^bb0(%i: index):
  "tile.yield"() : () -> ()
  }, {
  ^bb0(%i: index):
  "tile.yield"() : () -> ()
  }, {}) : (index, index, index) -> ()
  return
}

// -----
func.func @f(%n: index, %t: !tile.shared<16x16xf16>) {
  // expected-error @+1 {{needs buffers of one number of stages, two at least}}
  tile.pipeline %n to %n step %n buffers(%t : !tile.shared<16x16xf16>) produce {
  ^bb0(%i: index, %s: !tile.shared<16x16xf16>):
  tile.yield
  } consume {
  ^bb0(%i: index, %s: !tile.shared<16x16xf16>):
  tile.yield
  }
  return
}

// -----
func.func @f(%n: index, %t: !tile.shared<16x16xf16, stages = 2>, %x: f32) {
  // expected-error @+1 {{carries values of the types of its results}}
  "tile.pipeline"(%n, %n, %n, %t, %x) <{operandSegmentSizes = array<i32: 1, 1, 1, 0, 1, 1>}> ({
  ^bb0(%i: index, %s: !tile.shared<16x16xf16>):
  "tile.yield"() : () -> ()
  }, {
  ^bb0(%i: index, %s: !tile.shared<16x16xf16>, %y: f32):
  "tile.yield"(%y) : (f32) -> ()
  }, {}) : (index, index, index, !tile.shared<16x16xf16, stages = 2>, f32) -> ()
  return
}

// -----
func.func @f(%n: index, %t: !tile.shared<16x16xf16, stages = 2>, %x: f32) {
  // expected-error @+1 {{in its produce region, got}}
  tile.pipeline %n to %n step %n buffers(%t : !tile.shared<16x16xf16, stages = 2>) produce {
  ^bb0(%i: index):
  tile.yield
  } consume {
  ^bb0(%i: index, %s: !tile.shared<16x16xf16>):
  tile.yield
  }
  return
}

// -----
func.func @f(%n: index, %t: !tile.shared<16x16xf16, stages = 2>, %x: f32) {
  // expected-error @+1 {{needs a tile.yield of types () at the end of its consume region}}
  tile.pipeline %n to %n step %n buffers(%t : !tile.shared<16x16xf16, stages = 2>) produce {
  ^bb0(%i: index, %s: !tile.shared<16x16xf16>):
  tile.yield
  } consume {
  ^bb0(%i: index, %s: !tile.shared<16x16xf16>):
  tile.yield %x : f32
  }
  return
}

// -----
func.func @f(%n: index, %t: !tile.shared<16x16xf16, stages = 2>) {
  // expected-error @+1 {{needs a first value and a region that makes the next one of it, or neither}}
  tile.pipeline %n to %n step %n first %n buffers(%t : !tile.shared<16x16xf16, stages = 2>) produce {
  ^bb0(%i: index, %s: !tile.shared<16x16xf16>):
  tile.yield
  } consume {
  ^bb0(%i: index, %s: !tile.shared<16x16xf16>):
  tile.yield
  }
  return
}

// -----
func.func @f(%n: index, %t: !tile.shared<16x16xf16, stages = 2>) {
  // expected-error @+1 {{needs a tile.yield of types ('index') at the end of its next region}}
  tile.pipeline %n to %n step %n first %n buffers(%t : !tile.shared<16x16xf16, stages = 2>) next {
  ^bb0(%i: index):
  tile.yield
  } produce {
  ^bb0(%i: index, %s: !tile.shared<16x16xf16>):
  tile.yield
  } consume {
  ^bb0(%i: index, %s: !tile.shared<16x16xf16>):
  tile.yield
  }
  return
}

// -----
func.func @f(%t: !tile.shared<8x8xf16>, %i: index) {
  // expected-error @+1 {{needs an element or a vector of elements of the tile, 'f16', got 'f32'}}
  %0 = tile.read %t[%i, %i] : !tile.shared<8x8xf16> -> f32
  return
}

// -----
func.func @f(%t: !tile.shared<8x8xf16>, %i: index) {
  // expected-error @+1 {{needs vectors of a power of two, at most 16 bytes, that rows are a multiple of}}
  %0 = tile.read %t[%i, %i] : !tile.shared<8x8xf16> -> vector<16xf16>
  return
}

// -----
func.func @f(%t: !tile.shared<8x8xf16, stages = 2>, %i: index, %x: f16) {
  // expected-error @+1 {{needs one stage of a tile}}
  tile.write %x, %t[%i, %i] : f16, !tile.shared<8x8xf16, stages = 2>
  return
}

// -----
func.func @f(%x: f32) {
  // expected-error @+1 {{needs groups of 2, 4, 8, 16 or 32 lanes, got 3}}
  %0 = tile.lanes add %x width 3
  return
}

// -----
func.func @f(%a: !tile.shared<128x64xf16, swizzle = 128>, %b: !tile.shared<64x64xf16, swizzle = 128>, %c: !tile.reg<128x64xf32, #tile.layout<wgmma_acc, 4x1>>) {
  // expected-error @+1 {{needs 64 rows and at most 256 columns for each group of four warps, got 128x64}}
  %0 = tile.dot %a, %b, %c : !tile.shared<128x64xf16, swizzle = 128>, !tile.shared<64x64xf16, swizzle = 128>, !tile.reg<128x64xf32, #tile.layout<wgmma_acc, 4x1>>
  return
}

// -----
func.func @f(%a: !tile.shared<64x64xf16, swizzle = 128>, %b: !tile.shared<64x64xf16, pad = 16>, %c: !tile.reg<64x64xf32, #tile.layout<wgmma_acc, 4x1>>) {
  // expected-error @+1 {{reads operands of a group of warps from swizzled shared memory}}
  %0 = tile.dot %a, %b, %c : !tile.shared<64x64xf16, swizzle = 128>, !tile.shared<64x64xf16, pad = 16>, !tile.reg<64x64xf32, #tile.layout<wgmma_acc, 4x1>>
  return
}

// -----
func.func @f(%a: !tile.reg<64x16xf16, #tile.layout<a, 4x1>>, %b: !tile.shared<16x64xf16, swizzle = 128>, %c: !tile.reg<64x64xf32, #tile.layout<wgmma_acc, 4x1>>) {
  // expected-error @+1 {{needs its left operand in layout wgmma_a of the accumulator's warps}}
  %0 = tile.dot %a, %b, %c : !tile.reg<64x16xf16, #tile.layout<a, 4x1>>, !tile.shared<16x64xf16, swizzle = 128>, !tile.reg<64x64xf32, #tile.layout<wgmma_acc, 4x1>>
  return
}

// -----
func.func @f(%a: !tile.shared<64x64xf16, swizzle = 128>, %c: !tile.reg<64x64xf32, #tile.layout<wgmma_acc, 4x1>>, %t: !tile.shared<64x64xf32, pad = 32>) {
  // expected-error @+1 {{is in flight where 'tile.store_shared' uses it: put a tile.dot_wait between}}
  %0 = tile.dot %a, %a, %c : !tile.shared<64x64xf16, swizzle = 128>, !tile.shared<64x64xf16, swizzle = 128>, !tile.reg<64x64xf32, #tile.layout<wgmma_acc, 4x1>>
  tile.store_shared %0, %t : !tile.reg<64x64xf32, #tile.layout<wgmma_acc, 4x1>>, !tile.shared<64x64xf32, pad = 32>
  return
}

// -----
func.func @f(%c: !tile.reg<64x64xf32, #tile.layout<acc, 4x1>>) {
  // expected-error @+1 {{takes tiles of products of groups of warps, not layout acc}}
  %0 = "tile.dot_fence"(%c) : (!tile.reg<64x64xf32, #tile.layout<acc, 4x1>>) -> !tile.reg<64x64xf32, #tile.layout<acc, 4x1>>
  return
}

// -----
func.func @f(%c: !tile.reg<64x64xf32, #tile.layout<wgmma_acc, 4x1>>) {
  // expected-error @+1 {{gives the tiles that it takes}}
  "tile.dot_fence"(%c) : (!tile.reg<64x64xf32, #tile.layout<wgmma_acc, 4x1>>) -> ()
  return
}

// -----
func.func @f(%c: !tile.reg<64x16xf16, #tile.layout<wgmma_a, 4x1>>) {
  // expected-error @+1 {{takes tiles of products of groups of warps, not layout wgmma_a}}
  %0 = "tile.dot_wait"(%c) {pending = 0 : i64} : (!tile.reg<64x16xf16, #tile.layout<wgmma_a, 4x1>>) -> !tile.reg<64x16xf16, #tile.layout<wgmma_a, 4x1>>
  return
}

// -----
func.func @f() {
  // expected-error @+1 {{leaves 0 to 7 products in flight, got 9}}
  tile.dot_wait pending 9
  return
}
