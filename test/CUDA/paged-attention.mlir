// RUN: leat-opt %s --leat-schedule-cuda --leat-lower-kernels-cuda | FileCheck %s
// RUN: leat-opt %s --leat-schedule-cuda=gpu=sm_90a --leat-lower-kernels-cuda=gpu=sm_90a | FileCheck %s --check-prefix=HOPPER

// Keys and values in pages. Blocks of keys are parts of pages: one number is read for each.

// CHECK-LABEL: func.func @parts.program0
// CHECK: tile.pipeline {{.*}} produce {
// CHECK: %[[NUMBER:.*]] = llvm.load {{.*}} : !llvm.ptr -> i32
// CHECK: %[[KEYS:.*]] = tile.view {{.*}} rows %{{.*}} cols %c64 stride %c64 align 16
// CHECK: tile.copy_async %[[KEYS]][%c0, %c0] to {{.*}}<64x64xbf16, swizzle = 128>
// CHECK: llvm.load {{.*}} : !llvm.ptr -> i32
// CHECK: tile.copy_async
// CHECK: } consume {
// HOPPER-LABEL: func.func @parts.program0
// HOPPER: produce registers
// HOPPER: %[[PAGE:.*]] = scf.if %{{.*}} -> (index) {
// HOPPER-NEXT: arith.muli
// HOPPER-NEXT: arith.divui %{{.*}}, %c128 : index
// HOPPER: llvm.load {{.*}} : !llvm.ptr -> i32
// HOPPER: tile.copy_tensor %{{.*}}[%c0, %{{.*}}, %{{.*}}, %[[PAGE]]] to {{.*}}<64x64xbf16, swizzle = 128>
leat.kernel_func @parts inputs 4 -> [tensor<1x4x?x64xbf16>] {
^bb0(%q: tensor<1x4x?x64xbf16>, %k: !leat.state<tensor<?x2x128x64xbf16>>, %v: !leat.state<tensor<?x2x128x64xbf16>>, %t: !leat.state<tensor<?x?xi32>>, %n: index):
  %c0 = arith.constant 0 : index
  %x = leat.cache_view %k[%c0, %n] table(%t) : !leat.state<tensor<?x2x128x64xbf16>>, !leat.state<tensor<?x?xi32>> -> tensor<1x2x?x64xbf16>
  %y = leat.cache_view %v[%c0, %n] table(%t) : !leat.state<tensor<?x2x128x64xbf16>>, !leat.state<tensor<?x?xi32>> -> tensor<1x2x?x64xbf16>
  %0 = leat.kv_attend q(%q) k(%x) v(%y) {scale = 0.125 : f64, causal} : (tensor<1x4x?x64xbf16>, tensor<1x2x?x64xbf16>, tensor<1x2x?x64xbf16>) -> tensor<1x4x?x64xbf16>
  leat.yield %0 : tensor<1x4x?x64xbf16>
}

// Where they are not, each thread looks up the rows that it copies, also on Hopper.
// CHECK-LABEL: func.func @rows.program0
// CHECK: tile.pipeline {{.*}} produce {
// CHECK: tile.paged_view %{{.*}} table %{{.*}} first %{{.*}} rows %{{.*}} cols %c64 stride %c64 page_stride %{{.*}} page 16
// CHECK: tile.copy_async
// HOPPER-LABEL: func.func @rows.program0
// HOPPER-NOT: tile.copy_tensor
// HOPPER: tile.paged_view
leat.kernel_func @rows inputs 4 -> [tensor<1x4x?x64xf16>] {
^bb0(%q: tensor<1x4x?x64xf16>, %k: !leat.state<tensor<?x2x16x64xf16>>, %v: !leat.state<tensor<?x2x16x64xf16>>, %t: !leat.state<tensor<?x?xi32>>, %n: index):
  %c4 = arith.constant 4 : index
  %x = leat.cache_view %k[%c4, %n] table(%t) : !leat.state<tensor<?x2x16x64xf16>>, !leat.state<tensor<?x?xi32>> -> tensor<1x2x?x64xf16>
  %y = leat.cache_view %v[%c4, %n] table(%t) : !leat.state<tensor<?x2x16x64xf16>>, !leat.state<tensor<?x?xi32>> -> tensor<1x2x?x64xf16>
  %0 = leat.kv_attend q(%q) k(%x) v(%y) {scale = 0.125 : f64, causal} : (tensor<1x4x?x64xf16>, tensor<1x2x?x64xf16>, tensor<1x2x?x64xf16>) -> tensor<1x4x?x64xf16>
  leat.yield %0 : tensor<1x4x?x64xf16>
}
