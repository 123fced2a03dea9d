// RUN: leat-opt %s -leat-schedule-cuda=int8-activations -leat-lower-kernels-cuda -canonicalize -cse | FileCheck %s
// RUN: leat-opt %s -leat-schedule-cuda -leat-lower-kernels-cuda | FileCheck %s --check-prefix=EXACT

// Activations in 8 bits: a launch codes rows in the blocks of the weight, and another multiplies bytes.

// Few rows stay as they are.
// CHECK-LABEL: func.func @wide.program0
// CHECK: tile.fill

// A block's codes follow from its peak. Half a warp has its 64 values, four a lane, which are written as one word.
// CHECK-LABEL: func.func @wide.program1
// CHECK: tile.lanes max %{{.*}} width 16
// CHECK-COUNT-4: llvm.call_intrinsic "llvm.nvvm.f2i.rn"
// CHECK: llvm.store %{{.*}} {alignment = 4 : i64} : i32, !llvm.ptr
// CHECK: tile.lanes add %{{.*}} width 16
// CHECK-COUNT-2: llvm.store %{{.*}} : f32, !llvm.ptr

// Codes of 8 bits are copied as they are: unsigned bytes meet signed ones. Sums begin with the bits of 1.5 * 2^23, so that they are those
// of a float in the end, less what the middle of the codes' range adds to a row. A step is a block, whose sums are scaled.
// CHECK-LABEL: func.func @wide.program2
// CHECK: tile.program threads 256
// CHECK: tile.pipeline {{.*}} step %c64
// CHECK:   tile.copy_async {{.*}} : <i8> to <128x64xi8, swizzle = 64>
// CHECK:   tile.copy_async {{.*}} : <ui8> to <128x64xui8, swizzle = 64>
// CHECK-COUNT-2: tile.copy_async {{.*}} : <f32> to <1x128xf32>
// CHECK-NOT: scf.if
// CHECK:   tile.write
// CHECK:   tile.yield
// CHECK:   %[[FIRST:.*]] = tile.map ins(%{{.*}} : !tile.reg<128x1xf32, #tile.layout<row, 2x4>>) -> !tile.reg<128x128xi32, #tile.layout<acc, 2x4>>
// CHECK:     arith.subi %c1262485504_i32,
// CHECK:   %[[SUMS:.*]] = tile.dot %{{.*}}, %{{.*}}, %[[FIRST]] {trans_b} : !tile.shared<128x64xi8, swizzle = 64>, <128x64xui8, swizzle = 64>
// CHECK:   %[[TOTALS:.*]] = tile.map ins(%[[SUMS]],
// CHECK:     arith.bitcast %{{.*}} : i32 to f32
// CHECK-NOT: arith.sitofp
// CHECK:     math.fma
// CHECK:   tile.yield %[[SUMS]], %[[TOTALS]]
// EXACT-LABEL: func.func @wide.program1
// EXACT: tile.dot {{.*}}bf16
// EXACT-NOT: wide.program2
leat.kernel_func @wide inputs 3 -> [tensor<?x1024xf32>] {
^bb0(%x: tensor<?x512xf32>, %codes: tensor<1024x8x64xi8>, %scales: tensor<1024x8xf16>):
  %y = leat.matmul_nbits %x, %codes, %scales {int8_activations, k = 512, n = 1024, bits = 8, block = 64} : (tensor<?x512xf32>, tensor<1024x8x64xi8>, tensor<1024x8xf16>) -> tensor<?x1024xf32>
  leat.yield %y : tensor<?x1024xf32>
}

// Codes of 4 bits become bytes on the way. A block of several steps is scaled in its last one; sums of that many products of codes may be
// larger than a float's bits take, and are converted.
// CHECK-LABEL: func.func @long.program2
// CHECK: tile.pipeline {{.*}} step %c128
// CHECK:   tile.copy_async
// CHECK-NOT: tile.copy_async
// CHECK:   llvm.call_intrinsic "llvm.nvvm.prmt"
// CHECK:   tile.write %{{.*}} : vector<16xi8>, <64x128xi8, swizzle = 128>
// CHECK-COUNT-2: tile.copy_async
// CHECK:   scf.if
// CHECK:     tile.write
// CHECK:   %[[FIRST:.*]] = scf.if
// CHECK:     arith.subi %c0_i32,
// CHECK:   } else {
// CHECK:   %[[SUMS:.*]] = tile.dot %{{.*}}, %{{.*}}, %[[FIRST]]
// CHECK:   %[[TOTALS:.*]] = scf.if
// CHECK:     tile.map ins(%[[SUMS]],
// CHECK:       arith.sitofp
// CHECK:   tile.yield %[[SUMS]], %[[TOTALS]]
leat.kernel_func @long inputs 3 -> [tensor<?x64xf32>] {
^bb0(%x: tensor<?x8192xf32>, %codes: tensor<64x1x4096xi8>, %scales: tensor<64x1xf16>):
  %y = leat.matmul_nbits %x, %codes, %scales {int8_activations, k = 8192, n = 64, bits = 4, block = 8192} : (tensor<?x8192xf32>, tensor<64x1x4096xi8>, tensor<64x1xf16>) -> tensor<?x64xf32>
  leat.yield %y : tensor<?x64xf32>
}

// What the op does not allow is not done, nor where blocks are shorter than a step of the tensor cores.
// CHECK-LABEL: func.func @exact.program1
// CHECK: tile.dot {{.*}}bf16
// CHECK-NOT: exact.program2
leat.kernel_func @exact inputs 3 -> [tensor<?x64xf32>] {
^bb0(%x: tensor<?x64xf32>, %codes: tensor<64x1x64xi8>, %scales: tensor<64x1xf16>):
  %y = leat.matmul_nbits %x, %codes, %scales {k = 64, n = 64, bits = 8, block = 64} : (tensor<?x64xf32>, tensor<64x1x64xi8>, tensor<64x1xf16>) -> tensor<?x64xf32>
  leat.yield %y : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @short.program1
// CHECK: tile.dot {{.*}}bf16
// CHECK-NOT: short.program2
leat.kernel_func @short inputs 3 -> [tensor<?x64xf32>] {
^bb0(%x: tensor<?x64xf32>, %codes: tensor<64x4x16xi8>, %scales: tensor<64x4xf16>):
  %y = leat.matmul_nbits %x, %codes, %scales {int8_activations, k = 64, n = 64, bits = 8, block = 16} : (tensor<?x64xf32>, tensor<64x4x16xi8>, tensor<64x4xf16>) -> tensor<?x64xf32>
  leat.yield %y : tensor<?x64xf32>
}
