// RUN: leat-opt %s -leat-decompose -canonicalize -cse -split-input-file | FileCheck %s

// CHECK-LABEL: @rotary
func.func @rotary(%x: tensor<?x4x?x16xf32>, %cos: tensor<1x?x4xf32>, %sin: tensor<1x?x4xf32>) -> tensor<?x4x?x16xf32> {
  // One formula an element: the lane, its partner, the pair's angle; lanes from 8 on are copied.
  // CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "parallel", "parallel"]{{.*}} ins(%arg0
  // CHECK: %[[LANE:.*]] = linalg.index 3
  // CHECK: arith.cmpi slt, %[[LANE]], %c8
  // CHECK: tensor.extract %arg0
  // CHECK: tensor.extract %arg1[%c0
  // CHECK: tensor.extract %arg2[%c0
  // CHECK: arith.addf
  // CHECK: arith.subf
  %0 = leat.rotary %x, %cos, %sin {rotary_dim = 8 : i64} : (tensor<?x4x?x16xf32>, tensor<1x?x4xf32>, tensor<1x?x4xf32>) -> tensor<?x4x?x16xf32>
  return %0 : tensor<?x4x?x16xf32>
}

// -----

// CHECK-LABEL: @attend
func.func @attend(%q: tensor<?x4x?x8xf32>, %k: tensor<?x2x?x8xf32>, %v: tensor<?x2x?x8xf32>) -> (tensor<?x4x?x8xf32>, tensor<?x4x?xf32>) {
  // CHECK: %[[DOTS:.*]] = linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]{{.*}} ins(%arg0
  // CHECK: tensor.extract %arg1
  // CHECK: %[[LOGITS:.*]] = linalg.generic {{.*}}ins(%[[DOTS]]
  // CHECK: math.tanh
  // CHECK: %[[CAUSAL:.*]] = arith.cmpi sle
  // CHECK: %[[WINDOW:.*]] = arith.cmpi sle
  // CHECK: %[[VISIBLE:.*]] = arith.andi %[[CAUSAL]], %[[WINDOW]]
  // CHECK: arith.select %[[VISIBLE]]
  // CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "parallel", "reduction"]{{.*}} ins(%[[LOGITS]]
  // CHECK: arith.maximumf
  // CHECK: %[[P:.*]] = linalg.generic {{.*}}ins(%[[LOGITS]]
  // CHECK: math.exp
  // CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "parallel", "reduction"]{{.*}} ins(%[[P]]
  // CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]{{.*}} ins(%[[P]]
  // CHECK: tensor.extract %arg2
  // CHECK: arith.divf
  // CHECK: math.log
  %o, %l = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.5, causal, window_left = 60 : i64, softcap = 30.0}
      : (tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> (tensor<?x4x?x8xf32>, tensor<?x4x?xf32>)
  return %o, %l : tensor<?x4x?x8xf32>, tensor<?x4x?xf32>
}

// -----

// Without masks nothing is compared but the rows' emptiness, and without lse there is no logarithm.
// CHECK-LABEL: @plain
func.func @plain(%q: tensor<1x2x3x8xf16>, %k: tensor<1x2x4x8xf16>) -> tensor<1x2x3x8xf16> {
  // CHECK-NOT: arith.cmpi
  // CHECK-NOT: math.log
  // CHECK: arith.truncf %{{.*}} : f32 to f16
  // CHECK-NOT: math.log
  %o = leat.kv_attend q(%q) k(%k) v(%k) {scale = 0.5} : (tensor<1x2x3x8xf16>, tensor<1x2x4x8xf16>, tensor<1x2x4x8xf16>) -> tensor<1x2x3x8xf16>
  return %o : tensor<1x2x3x8xf16>
}

// -----

// CHECK-LABEL: @merge
func.func @merge(%a: tensor<?x4xf32>, %b: tensor<?x4xf32>, %la: tensor<?xf32>, %lb: tensor<?xf32>) -> (tensor<?x4xf32>, tensor<?xf32>) {
  // CHECK: %[[LSE:.*]] = linalg.generic {{.*}}ins(%arg2, %arg3 : tensor<?xf32>, tensor<?xf32>)
  // CHECK: arith.maximumf
  // CHECK-COUNT-2: math.exp
  // CHECK: math.log
  // CHECK: linalg.generic {{.*}}ins(%arg0, %arg1, %arg2, %arg3, %[[LSE]]
  // CHECK-COUNT-2: math.exp
  %o, %l = leat.attn_merge values(%a, %b) lses(%la, %lb) : (tensor<?x4xf32>, tensor<?x4xf32>, tensor<?xf32>, tensor<?xf32>) -> (tensor<?x4xf32>, tensor<?xf32>)
  return %o, %l : tensor<?x4xf32>, tensor<?xf32>
}
