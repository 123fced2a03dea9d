// RUN: leat-opt %s -leat-cuda-expand-pipelines | FileCheck %s

// Two steps are on their way before the loop; in it the third is begun before the first is worked on.
// CHECK-LABEL: func.func @copies
// CHECK: scf.if
// CHECK:   tile.copy_async
// CHECK: tile.commit
// CHECK: scf.if
// CHECK:   tile.copy_async
// CHECK: tile.commit
// CHECK: scf.for {{.*}} iter_args(%{{.*}} = %{{.*}}, %[[READ:.*]] = %c0{{.*}}, %[[WRITE:.*]] = %c2{{.*}}) -> (f32, index, index)
// CHECK:   tile.wait pending 1
// CHECK-NEXT: tile.barrier
// CHECK:   scf.if
// CHECK:     tile.slot %{{.*}}[%[[WRITE]]]
// CHECK:     tile.copy_async
// CHECK:   tile.commit
// CHECK:   tile.slot %{{.*}}[%[[READ]]]
// CHECK:   tile.read
// CHECK:   scf.yield
func.func @copies(%v: !tile.view<f32>, %t: !tile.shared<8x8xf32, stages = 3>, %n: index, %x: f32) -> f32 {
  %c0 = arith.constant 0 : index
  %c8 = arith.constant 8 : index
  %r = tile.pipeline %c0 to %n step %c8 buffers(%t : !tile.shared<8x8xf32, stages = 3>) carry(%x : f32) -> f32 produce {
  ^bb0(%i: index, %s: !tile.shared<8x8xf32>):
    tile.copy_async %v[%i, %c0] to %s : !tile.view<f32> to !tile.shared<8x8xf32>
    tile.yield
  } consume {
  ^bb0(%i: index, %s: !tile.shared<8x8xf32>, %sum: f32):
    %e = tile.read %s[%c0, %c0] : !tile.shared<8x8xf32> -> f32
    %next = arith.addf %sum, %e : f32
    tile.yield %next : f32
  }
  return %r : f32
}

// Where nothing is copied asynchronously the barrier is enough.
// CHECK-LABEL: func.func @fills
// CHECK-NOT: tile.commit
// CHECK-NOT: tile.wait
// CHECK: tile.barrier
func.func @fills(%t: !tile.shared<8x8xf32, stages = 2>, %n: index, %x: f32) {
  %c0 = arith.constant 0 : index
  %c8 = arith.constant 8 : index
  tile.pipeline %c0 to %n step %c8 buffers(%t : !tile.shared<8x8xf32, stages = 2>) produce {
  ^bb0(%i: index, %s: !tile.shared<8x8xf32>):
    tile.fill %s : !tile.shared<8x8xf32> {
    ^bb0(%a: index, %b: index):
      tile.yield %x : f32
    }
    tile.yield
  } consume {
  ^bb0(%i: index, %s: !tile.shared<8x8xf32>):
    tile.yield
  }
  return
}
