// RUN: printf '# tuned\n\n* row grain=1024 # all rows\nproduct gemm kc=512  mc=96\nnorm grain=2048\n* attention keys=96\nproduct nr=64\nproduct_of_yesterday kc=512\ntiled stages=4 rows=64\n' > %t
// RUN: leat-opt %s -leat-override-schedule=file=%t 2>%t.err | FileCheck %s
// RUN: FileCheck %s --check-prefix=WARN < %t.err
// RUN: printf 'product kc=many\n' > %t && not leat-opt %s -leat-override-schedule=file=%t 2>&1 | FileCheck %s --check-prefix=NUMBER
// RUN: printf '\nproduct mc=50\n' > %t && not leat-opt %s -leat-override-schedule=file=%t 2>&1 | FileCheck %s --check-prefix=BOUNDS
// RUN: printf 'product nr=48\n' > %t && not leat-opt %s -leat-override-schedule=file=%t 2>&1 | FileCheck %s --check-prefix=TARGET
// RUN: printf '* keys=64\n' > %t && not leat-opt %s -leat-override-schedule=file=%t 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: printf 'tiled keys=64\n' > %t && not leat-opt %s -leat-override-schedule=file=%t 2>&1 | FileCheck %s --check-prefix=ABSENT
// RUN: printf '[ kc=64\n' > %t && not leat-opt %s -leat-override-schedule=file=%t 2>&1 | FileCheck %s --check-prefix=PATTERN
// RUN: not leat-opt %s -leat-override-schedule=file=%t.none 2>&1 | FileCheck %s --check-prefix=FILE

// WARN-DAG: warning: schedule {{.*}}:6: no kernel is called '*' and has the strategy 'attention'
// WARN-DAG: warning: schedule {{.*}}:8: no kernel is called 'product_of_yesterday'
// NUMBER: error: schedule {{.*}}:1: 'kc=many' is not PARAMETER=NUMBER
// BOUNDS: error: schedule {{.*}}:2: 'mc' of @product is 50, but has to be a multiple of 6 from 6 to 1536
// TARGET: error: schedule {{.*}}:1: 'nr' of @product follows from the target, it is 64
// UNKNOWN: error: schedule {{.*}}:1: no kernel that '*' names has a parameter 'keys'
// ABSENT: error: schedule {{.*}}:1: no kernel that 'tiled' names has a parameter 'keys'
// PATTERN: error: schedule {{.*}}:1: bad pattern '['
// FILE: error: cannot read the schedule '{{.*}}.none': No such file or directory

// CHECK: leat.kernel_func @product
// CHECK-SAME: #leat.schedule<"gemm", {grain = 32768 : i64, kc = 512 : i64, mc = 96 : i64, nr = 64 : i64}>
leat.kernel_func @product inputs 2 -> [tensor<4x4xf32>] attributes {schedule = #leat.schedule<"gemm", {grain = 32768 : i64, kc = 1024 : i64, mc = 48 : i64, nr = 64 : i64}>} {
^bb0(%a: tensor<4x4xf32>, %b: tensor<4x4xf32>):
  %0 = leat.matmul %a, %b : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  leat.yield %0 : tensor<4x4xf32>
}

// A later line wins.
// CHECK: leat.kernel_func @norm
// CHECK-SAME: #leat.schedule<"row", {grain = 2048 : i64}>
leat.kernel_func @norm inputs 1 -> [tensor<4x4xf32>] attributes {schedule = #leat.schedule<"row", {grain = 4096 : i64}>} {
^bb0(%a: tensor<4x4xf32>):
  %0 = leat.softmax %a {axis = 1 : i64} : tensor<4x4xf32>
  leat.yield %0 : tensor<4x4xf32>
}

// CHECK: leat.kernel_func @other
// CHECK-SAME: #leat.schedule<"row", {grain = 1024 : i64}>
leat.kernel_func @other inputs 1 -> [tensor<8x4xf32>] attributes {schedule = #leat.schedule<"row", {grain = 4096 : i64}>} {
^bb0(%a: tensor<8x4xf32>):
  %0 = leat.softmax %a {axis = 1 : i64} : tensor<8x4xf32>
  leat.yield %0 : tensor<8x4xf32>
}

// CHECK: leat.kernel_func @tiled
// CHECK-SAME: #leat.schedule<"tile", {cols = 64 : i64, grain = 1 : i64, rows = 64 : i64, stages = 4 : i64}>
leat.kernel_func @tiled inputs 2 -> [tensor<4x4xf32>] attributes {schedule = #leat.schedule<"tile", {cols = 64 : i64, grain = 1 : i64, rows = 128 : i64, stages = 3 : i64}>} {
^bb0(%a: tensor<4x4xf32>, %b: tensor<4x4xf32>):
  %0 = leat.matmul %a, %b : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  leat.yield %0 : tensor<4x4xf32>
}
