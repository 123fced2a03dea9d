// Choosing the next token from a row of logits.
include "dialects/Leat/LeatDialect.td"

def Leat_SampleOp : Leat_ComputeOp<"sample"> {
  let summary = "draw a token per row of logits";
  let description = [{
    `logits` float [B, V]; result i64 [B]. Order: repetition penalty over `history` (i64 [B, H], -1 = none; logit > 0 divided, otherwise multiplied), temperature, top-k, top-p, min-p, draw.
    `temperature` 0 is greedy (ties to the lower index). The draw inverts the cumulative distribution at u, u from Philox4x32-10 with key `seed` and counter (row, `step`): independent of batching.
  }];
  let arguments = (ins AnyRankedTensor:$logits, Optional<AnyRankedTensor>:$history, Index:$step, I64Attr:$seed, F64Attr:$temperature, DefaultValuedAttr<I64Attr, "0">:$top_k,
                       DefaultValuedAttr<F64Attr, "1.0">:$top_p, DefaultValuedAttr<F64Attr, "0.0">:$min_p, DefaultValuedAttr<F64Attr, "1.0">:$repetition_penalty);
  let results = (outs AnyRankedTensor:$token);
  let assemblyFormat = "$logits (`history` $history^ `:` type($history))? `step` $step attr-dict `:` type($logits) `->` type($token)";
  let hasVerifier = 1;
}
