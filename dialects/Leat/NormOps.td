// Row-wise normalisations: one pass structure over the last axes.
include "dialects/Leat/LeatDialect.td"

def Leat_SoftmaxOp : Leat_ComputeOp<"softmax", [SameOperandsAndResultType]> {
  let summary = "softmax (or log-softmax) along one axis; reductions in f32 or wider; a row of -inf gives NaN as ONNX does, unless zero_empty_rows";
  let arguments = (ins AnyRankedTensor:$input, I64Attr:$axis, UnitAttr:$log, UnitAttr:$zero_empty_rows);
  let results = (outs AnyRankedTensor:$output);
  let assemblyFormat = "$input attr-dict `:` type($input)";
  let hasVerifier = 1;
}

def Leat_LayerNormOp : Leat_ComputeOp<"layer_norm", [AttrSizedOperandSegments]> {
  let summary = "layer normalisation over the axes from `axis` on";
  let description = [{
    y = (x - mean) / sqrt(var + eps) * scale + bias; with `rms`: y = x / sqrt(mean(x^2) + eps) * scale. `scale` and `bias` are broadcastable to x's trailing axes, right aligned.
    Statistics in f32 (f64 for f64). Results: `output`, and optionally `mean` and `inv_std` [leading axes..., 1...].
  }];
  let arguments = (ins AnyRankedTensor:$input, Optional<AnyRankedTensor>:$scale, Optional<AnyRankedTensor>:$bias, I64Attr:$axis, F64Attr:$epsilon, UnitAttr:$rms);
  let results = (outs AnyRankedTensor:$output);
  let assemblyFormat = "$input (`scale` $scale^ `:` type($scale))? (`bias` $bias^ `:` type($bias))? attr-dict `:` type($input) `->` type($output)";
  let hasVerifier = 1;
}
