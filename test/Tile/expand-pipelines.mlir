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

// Steps whose values one makes of the other: those on their way are carried, the oldest is worked on, the latest begun.
// CHECK-LABEL: func.func @chain
// CHECK-SAME: %[[FIRST:[a-z0-9]*]]: index
// CHECK: tile.fill
// CHECK: %[[SECOND:.*]] = arith.muli %[[FIRST]], %[[FIRST]]
// CHECK: tile.fill
// CHECK: %[[THIRD:.*]] = arith.muli %[[SECOND]], %[[SECOND]]
// CHECK: scf.for {{.*}} iter_args(%{{.*}} = %{{.*}}, %[[X:.*]] = %[[FIRST]], %[[Y:.*]] = %[[SECOND]], %[[Z:.*]] = %[[THIRD]], %{{.*}} = %c0{{.*}}, %{{.*}} = %c2{{.*}}) -> (f32, index, index, index, index, index)
// CHECK:   tile.fill
// CHECK:     arith.index_cast %[[Z]]
// CHECK:   tile.read %{{.*}}[%{{.*}}, %[[X]]]
// CHECK:   %[[W:.*]] = arith.muli %[[Z]], %[[Z]]
// CHECK:   scf.yield %{{.*}}, %[[Y]], %[[Z]], %[[W]],
func.func @chain(%first: index, %t: !tile.shared<8x8xi32, stages = 3>, %n: index, %x: i32, %sums: f32) -> f32 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %r = tile.pipeline %c0 to %n step %c1 first %first buffers(%t : !tile.shared<8x8xi32, stages = 3>) carry(%sums : f32) -> f32 next {
  ^bb0(%i: index):
    %square = arith.muli %i, %i : index
    tile.yield %square : index
  } produce {
  ^bb0(%i: index, %s: !tile.shared<8x8xi32>):
    tile.fill %s : !tile.shared<8x8xi32> {
    ^bb0(%a: index, %b: index):
      %e = arith.index_cast %i : index to i32
      tile.yield %e : i32
    }
    tile.yield
  } consume {
  ^bb0(%i: index, %s: !tile.shared<8x8xi32>, %sum: f32):
    %e = tile.read %s[%c0, %i] : !tile.shared<8x8xi32> -> i32
    %f = arith.sitofp %e : i32 to f32
    %next = arith.addf %sum, %f : f32
    tile.yield %next : f32
  }
  return %r : f32
}
