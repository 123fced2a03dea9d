// RUN: leat-opt %s -split-input-file -verify-diagnostics

// Messages of barriers, roles, copies of tensors, tickets and clusters; those of tiles are in invalid.mlir.

// expected-error @+1 {{needs at least one barrier, got 0}}
func.func private @f(!tile.mbarriers<0>)

// -----
func.func @f() {
  tile.program threads 128 {
    // expected-error @+1 {{counts at least one arrival, got 0}}
    %0 = tile.mbarriers arrivals 0 : !tile.mbarriers<2>
  }
  return
}

// -----
func.func @f() {
  // expected-error @+1 {{stands directly in a tile.program, in front of the roles}}
  %0 = tile.mbarriers arrivals 1 : !tile.mbarriers<2>
  return
}

// -----
func.func @f() {
  // expected-error @+1 {{stands directly in a tile.program, where all threads come by}}
  tile.roles consume 128 registers 240 {
  } produce registers 24 {
  }
  return
}

// -----
func.func @f() {
  tile.program threads 256 {
    // expected-error @+1 {{needs groups of 128 consumers and 128 threads for the producer in a program of 256, got 256 consumers}}
    tile.roles consume 256 registers 240 {
    } produce registers 24 {
    }
  }
  return
}

// -----
func.func @f() {
  tile.program threads 256 {
    // expected-error @+1 {{gives a thread 24 to 256 registers, a multiple of 8, not 100}}
    tile.roles consume 128 registers 240 {
    } produce registers 100 {
    }
  }
  return
}

// -----
func.func @f() {
  tile.program threads 512 {
    // expected-error @+1 {{needs 95232 registers and a multiprocessor has 65536}}
    tile.roles consume 384 registers 240 {
    } produce registers 24 {
    }
  }
  return
}

// -----
func.func @f() {
  tile.program threads 256 {
    tile.roles consume 128 registers 240 {
    } produce registers 24 {
      // expected-error @+1 {{works with more than one thread: it cannot stand in the produce region of tile.roles}}
      tile.barrier
    }
  }
  return
}

// -----
func.func @f(%i: index) {
  tile.program threads 256 {
    %0 = tile.mbarriers arrivals 1 : !tile.mbarriers<2>
    tile.roles consume 128 registers 240 {
      // expected-error @+1 {{stands in the produce region of tile.roles}}
      tile.expect %0[%i] bytes 16 : !tile.mbarriers<2>
    } produce registers 24 {
    }
  }
  return
}

// -----
func.func @f(%b: !tile.mbarriers<2>, %i: index) {
  // expected-error @+1 {{announces 0 to 2^20 - 1 bytes, got 1048576}}
  tile.expect %b[%i] bytes 1048576 : !tile.mbarriers<2>
  return
}

// -----
func.func @f(%b: !tile.mbarriers<2>, %i: index) {
  // expected-error @+1 {{stands in the consume region of tile.roles}}
  tile.arrive %b[%i] : !tile.mbarriers<2>
  return
}

// -----
func.func @f() {
  // expected-error @+1 {{stands in the consume region of tile.roles}}
  tile.take_turn
  return
}

// -----
func.func @f() {
  // expected-error @+1 {{stands in the consume region of tile.roles}}
  tile.give_turn
  return
}

// -----
func.func @f(%m: index, %t: !tile.shared<64x64xf16, swizzle = 128>, %b: !tile.mbarriers<2>, %i: index) {
  // expected-error @+1 {{needs a pointer to a tensor map, got 'index'}}
  tile.copy_tensor %m[%i, %i] to %t signal %b[%i] : index to !tile.shared<64x64xf16, swizzle = 128> signal !tile.mbarriers<2>
  return
}

// -----
func.func @f(%m: !llvm.ptr, %t: !tile.shared<64x64xf16, swizzle = 128>, %b: !tile.mbarriers<2>, %i: index) {
  // expected-error @+1 {{needs two to five coordinates, got 1}}
  tile.copy_tensor %m[%i] to %t signal %b[%i] : !llvm.ptr to !tile.shared<64x64xf16, swizzle = 128> signal !tile.mbarriers<2>
  return
}

// -----
func.func @f(%m: !llvm.ptr, %t: !tile.shared<64x64xf16>, %b: !tile.mbarriers<2>, %i: index) {
  // expected-error @+1 {{needs one stage of a tile with a swizzle, got}}
  tile.copy_tensor %m[%i, %i] to %t signal %b[%i] : !llvm.ptr to !tile.shared<64x64xf16> signal !tile.mbarriers<2>
  return
}

// -----
func.func @f(%m: !llvm.ptr, %t: !tile.shared<64x64xf16, swizzle = 128>, %b: !tile.mbarriers<2>, %i: index) {
  // expected-error @+1 {{stands in the produce region of tile.roles}}
  tile.copy_tensor %m[%i, %i] to %t signal %b[%i] : !llvm.ptr to !tile.shared<64x64xf16, swizzle = 128> signal !tile.mbarriers<2>
  return
}

// -----
func.func @f(%t: !tile.shared<8x24xf16>) {
  // expected-error @+1 {{needs a width that is a power of two and divides the columns, 24, got 16}}
  tile.visit %t {width = 16 : i64} : !tile.shared<8x24xf16> {
  ^bb0(%e: vector<16xf16>, %i: index, %j: index):
    tile.yield
  }
  return
}

// -----
func.func @f(%t: !tile.shared<8x32xf16, swizzle = 64>) {
  // expected-error @+1 {{reads runs in rows of 16 bytes, and of 16 bytes where they are swizzled, not 16 elements of}}
  tile.visit %t {width = 16 : i64} : !tile.shared<8x32xf16, swizzle = 64> {
  ^bb0(%e: vector<16xf16>, %i: index, %j: index):
    tile.yield
  }
  return
}

// -----
func.func @f(%t: !tile.shared<8x36xf16>) {
  // expected-error @+1 {{reads runs in rows of 16 bytes, and of 16 bytes where they are swizzled, not 4 elements of}}
  tile.visit %t {width = 4 : i64} : !tile.shared<8x36xf16> {
  ^bb0(%e: vector<4xf16>, %i: index, %j: index):
    tile.yield
  }
  return
}

// -----
func.func @f(%n: index) {
  // expected-error @+1 {{needs a pointer to a counter, got 'index'}}
  %0 = tile.ticket %n of %n : index
  return
}

// -----
func.func @f(%p: !llvm.ptr, %n: index) {
  // expected-error @+1 {{stands in the produce region of tile.roles}}
  %0 = tile.ticket %p of %n : !llvm.ptr
  return
}

// -----
func.func @f() {
  // expected-error @+1 {{has a cluster of 2 to 8 blocks, got 9}}
  tile.program threads 128 cluster 9 {
  }
  return
}

// -----
func.func @f(%i: index) {
  tile.program threads 256 {
    %b = tile.mbarriers arrivals 2 : !tile.mbarriers<2>
    tile.roles consume 128 registers 240 {
      // expected-error @+1 {{is `everywhere` in a program without a cluster}}
      tile.arrive %b[%i] {everywhere} : !tile.mbarriers<2>
    } produce registers 24 {
    }
  }
  return
}

// -----
func.func @f(%i: index) {
  tile.program threads 256 {
    %b = tile.mbarriers arrivals 2 : !tile.mbarriers<2>
    tile.roles consume 128 registers 240 {
    } produce registers 24 {
      // expected-error @+1 {{is `everywhere` in a program without a cluster}}
      tile.await %b[%i] parity %i {everywhere} : !tile.mbarriers<2>
    }
  }
  return
}

// -----
func.func @f(%map: !llvm.ptr, %i: index) {
  tile.program threads 256 {
    %t = tile.alloc : !tile.shared<64x64xbf16, swizzle = 128>
    %b = tile.mbarriers arrivals 2 : !tile.mbarriers<2>
    tile.roles consume 128 registers 240 {
    } produce registers 24 {
      // expected-error @+1 {{is `multicast` in a program without a cluster}}
      tile.copy_tensor %map[%i, %i] to %t signal %b[%i] {multicast} : !llvm.ptr to !tile.shared<64x64xbf16, swizzle = 128> signal !tile.mbarriers<2>
    }
  }
  return
}

// -----
func.func @f(%map: !llvm.ptr, %i: index) {
  tile.program threads 256 cluster 2 {
    %t = tile.alloc : !tile.shared<24x64xbf16, swizzle = 128>
    %b = tile.mbarriers arrivals 2 : !tile.mbarriers<2>
    tile.roles consume 128 registers 240 {
    } produce registers 24 {
      // expected-error @+1 {{cannot share 24 rows out to 2 blocks in multiples of 8}}
      tile.copy_tensor %map[%i, %i] to %t signal %b[%i] {multicast} : !llvm.ptr to !tile.shared<24x64xbf16, swizzle = 128> signal !tile.mbarriers<2>
    }
  }
  return
}
