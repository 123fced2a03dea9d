// Parts of drawing a token (leat.sample) that are the same wherever it is drawn.
#pragma once

#include "passes/CPU/Generator.h"

namespace leat::cpu {

/// The logit of a token, f32.
mlir::Value sampleLogit(KernelBuilder &k, SampleOp op, mlir::Value row, mlir::Value token);
bool isPenalized(SampleOp op);
/// What the repetition penalty makes of the logits (f32) of the tokens at first, first + step, ... of the row's history; a token may come
/// several times, with the same logit.
void penalizeHistory(KernelBuilder &k, SampleOp op, mlir::Value row, mlir::Value first, mlir::Value step,
                     llvm::function_ref<void(mlir::Value token, mlir::Value logit)> store);
/// exp((logit - top) / temperature) in f64; 0 for NaN.
mlir::Value sampleWeight(KernelBuilder &k, SampleOp op, mlir::Value logit, mlir::Value top);
/// 53 random bits in [0, 1) for the row and the op's step.
mlir::Value sampleUniform(KernelBuilder &k, SampleOp op, mlir::Value row);
/// `drawn`, or the best token where infinite logits leave no distribution to draw from.
mlir::Value drawnOrBest(KernelBuilder &k, mlir::Value drawn, mlir::Value best, mlir::Value top);
/// Stores the row's token in the kernel's results.
void storeToken(KernelBuilder &k, mlir::Value row, mlir::Value token);

} // namespace leat::cpu
