// RUN: leat-opt %s --leat-cpu-expand-math="fma=1 round=1" | FileCheck %s
// RUN: leat-opt %s --leat-cpu-expand-math | FileCheck %s --check-prefix=BASE
// RUN: leat-opt %s --leat-cpu-expand-math="fma=1 round=1 tables=1" | FileCheck %s --check-prefix=TABLE

// CHECK-LABEL: @exp
// CHECK-NOT:     math.exp
// CHECK:         math.fma %{{.*}} : vector<16xf32>
// BASE-LABEL:  @exp
// BASE-NOT:      math.fma
func.func @exp(%x: vector<16xf32>) -> vector<16xf32> {
  %0 = math.exp %x : vector<16xf32>
  return %0 : vector<16xf32>
}

// One quotient does where 1 is added to the result, and nothing else becomes of it; or a polynomial that each lane looks up.
// TABLE-LABEL: @gelu
// TABLE-NOT:     arith.divf
// TABLE-COUNT-5: llvm.call_intrinsic "llvm.x86.avx512.permvar.sf.512"
// CHECK-LABEL: @gelu
// CHECK-NOT:     math.erf
// CHECK-NOT:     math.copysign
// CHECK:         arith.divf
func.func @gelu(%x: vector<16xf32>, %y: vector<16xf32>) -> vector<16xf32> {
  %c = arith.constant dense<1.0> : vector<16xf32>
  %0 = math.erf %x : vector<16xf32>
  %1 = arith.addf %0, %c : vector<16xf32>
  %2 = arith.mulf %y, %1 : vector<16xf32>
  return %2 : vector<16xf32>
}
// A scalar gets the bits of a lane.
// TABLE-LABEL: @gelu_of_one
// TABLE:         vector.broadcast %{{.*}} : f32 to vector<16xf32>
// TABLE-COUNT-5: llvm.call_intrinsic "llvm.x86.avx512.permvar.sf.512"
// TABLE:         vector.extract
// CHECK-LABEL: @gelu_of_one
// CHECK:         arith.divf {{.*}} : f32
func.func @gelu_of_one(%x: f32) -> f32 {
  %c = arith.constant 1.0 : f32
  %0 = math.erf %x : f32
  %1 = arith.addf %0, %c : f32
  return %1 : f32
}
// TABLE-LABEL: @erf_itself
// TABLE-NOT:     llvm.call_intrinsic
// CHECK-LABEL: @erf_itself
// CHECK-NOT:     arith.divf
// CHECK:         math.copysign
func.func @erf_itself(%x: vector<16xf32>) -> (vector<16xf32>, vector<16xf32>) {
  %c = arith.constant dense<1.0> : vector<16xf32>
  %0 = math.erf %x : vector<16xf32>
  %1 = arith.addf %0, %c : vector<16xf32>
  return %0, %1 : vector<16xf32>, vector<16xf32>
}
// CHECK-LABEL: @erf_beside_two
// CHECK-NOT:     arith.divf
// CHECK:         math.copysign
func.func @erf_beside_two(%x: f32) -> f32 {
  %c = arith.constant 2.0 : f32
  %0 = math.erf %x : f32
  %1 = arith.addf %0, %c : f32
  return %1 : f32
}

// One instruction where the processor has it.
// CHECK-LABEL: @floor
// CHECK:         math.floor
// BASE-LABEL:  @floor
// BASE-NOT:      math.floor
// BASE:          arith.fptosi
func.func @floor(%x: f32) -> f32 {
  %0 = math.floor %x : f32
  return %0 : f32
}

// CHECK-LABEL: @square
// CHECK-NOT:     math.powf
// CHECK:         arith.mulf
// Doubles go to the library.
// CHECK-LABEL: @double
// CHECK:         math.exp %{{.*}} : f64
func.func @square(%x: f32) -> f32 {
  %c = arith.constant 2.0 : f32
  %0 = math.powf %x, %c : f32
  return %0 : f32
}
func.func @double(%x: f64) -> f64 {
  %0 = math.exp %x : f64
  return %0 : f64
}
