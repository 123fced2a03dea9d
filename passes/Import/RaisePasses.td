// Raising: idioms of exporters, back to the operators they stand for. onnx.node in, onnx.node out.
#ifndef LEAT_PASSES_IMPORT_RAISE
#define LEAT_PASSES_IMPORT_RAISE
include "mlir/Pass/PassBase.td"

def LeatRefineTypes : Pass<"leat-refine-types", "::mlir::func::FuncOp"> {
  let summary = "fill in ranks and sizes of intermediate values that the front end's inference left open";
  let description = [{
    ```mlir
    %1 = onnx.node "Reshape"(%0, %shape) : (tensor<?x?x32xf32>, tensor<4xi64>) -> tensor<*xf32>
    // becomes, with %shape = Concat(batch, length, 4, 8)
    %1 = onnx.node "Reshape"(%0, %shape) : (tensor<?x?x32xf32>, tensor<4xi64>) -> tensor<?x?x4x8xf32>
    ```
  }];
}

def LeatRaiseNorm : Pass<"leat-raise-norm", "::mlir::func::FuncOp"> {
  let summary = "decomposed normalisations become RMSNormalization and LayerNormalization";
  let description = [{
    `x / sqrt(mean(x^2) + eps) * w` (Pow or Mul, Div or Reciprocal or Pow, casts around the statistics) becomes RMSNormalization (23);
    `(x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps) * w + b` becomes LayerNormalization (17). The scale may be missing in the first.

    ```mlir
    %2 = onnx.node "Pow"(%x, %two) ...            %y = onnx.node "RMSNormalization"(%x, %w) ... version = 23, attrs = {axis = -1, epsilon = 1.0e-5}
    %3 = onnx.node "ReduceMean"(%2, %axes) ...
    ...
    ```
  }];
  let dependentDialects = ["::leat::onnxir::ONNXDialect"];
}

def LeatResolveSequences : Pass<"leat-resolve-sequences", "::mlir::func::FuncOp"> {
  let summary = "sequences of known length become their tensors";
  let description = [{
    ```mlir
    %s = onnx.node "SplitToSequence"(%x, %two) : (tensor<?x4xf32>, tensor<i64>) -> !onnx.opaque<"seq(tensor(float))"> attributes {attrs = {axis = 1 : i64}}
    %0 = onnx.node "SequenceAt"(%s, %one) : ... -> tensor<?x2xf32>
    // becomes
    %p:2 = onnx.node "Split"(%x, %sizes) : (tensor<?x4xf32>, tensor<2xi64>) -> (tensor<?x2xf32>, tensor<?x2xf32>)
    // and %0 is %p#1
    ```
  }];
  let dependentDialects = ["::leat::onnxir::ONNXDialect"];
}

def LeatRaiseGelu : Pass<"leat-raise-gelu", "::mlir::func::FuncOp"> {
  let summary = "decomposed GELU, SiLU and QuickGelu become Gelu and Swish";
  let description = [{
    `0.5 x (1 + erf(x / sqrt 2))` becomes Gelu (20), `0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))` Gelu with approximate = "tanh",
    `x sigmoid(a x)` Swish (24) with alpha = a; factors in any order.
  }];
  let dependentDialects = ["::leat::onnxir::ONNXDialect"];
}

def LeatRaiseRotary : Pass<"leat-raise-rotary", "::mlir::func::FuncOp"> {
  let summary = "decomposed rotary embeddings become RotaryEmbedding";
  let description = [{
    `x cos + concat(-x2, x1) sin` becomes RotaryEmbedding (23) of x [B, H, S, D] with cos and sin [B or 1, S, D/2], if the two halves of cos and of
    sin are provably equal; so does `concat(x1 cos - x2 sin, x2 cos + x1 sin)`, whose tables are halves already.
    Neighbours instead of halves give interleaved = 1; x may be [B, S, H, D]. `concat(rotary(x[..., :R]), x[..., R:])` becomes one with
    rotary_embedding_dim = R.
  }];
  let dependentDialects = ["::leat::onnxir::ONNXDialect"];
}

def LeatRaiseAttention : Pass<"leat-raise-attention", "::mlir::func::FuncOp"> {
  let summary = "decomposed attention becomes Attention";
  let description = [{
    `softmax(q k^T scale + mask) v` over [B, H, S, D] becomes Attention (23): scales of q, k or the product are multiplied out, transposes of k
    are undone, repeated key and value heads are read from the narrow tensors, products of [B * H, S, D] get their heads back, Einsum counts as MatMul, masks (Add, Where) become the operand attn_mask, `c tanh(x / c)` the
    attribute softcap. It stays as it is when the weights are used elsewhere, or a Where hides scores with a number that a sum cannot stand for.
  }];
  let dependentDialects = ["::leat::onnxir::ONNXDialect"];
}

#endif
