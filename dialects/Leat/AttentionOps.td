// Attention over segments, its merge, and rotary embedding (specs: streaming attention with cache policies).
include "dialects/Leat/LeatDialect.td"

def Leat_RotaryOp : Leat_ComputeOp<"rotary"> {
  let summary = "rotary position embedding";
  let description = [{
    `input` [B, H, S, D]; `cos`, `sin` [B or 1, S, R/2] already gathered for each position, R = rotary_dim <= D. Half form: (x1, x2) are the halves of the first R elements;
    with `interleaved` the even and odd ones. y1 = x1*cos - x2*sin, y2 = x2*cos + x1*sin; elements from R on are copied.
  }];
  let arguments = (ins AnyRankedTensor:$input, AnyRankedTensor:$cos, AnyRankedTensor:$sin, UnitAttr:$interleaved, I64Attr:$rotary_dim);
  let results = (outs AnyRankedTensor:$output);
  let assemblyFormat = "$input `,` $cos `,` $sin attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Leat_KVAttendOp : Leat_ComputeOp<"kv_attend", [AttrSizedOperandSegments]> {
  let summary = "attention: one softmax over the disjoint union of key segments";
  let description = [{
    Segment a has its own query `q[a]` [B, Hq, S, D] (the same query under another rotation, or the same value), keys `k[a]` [B, Hkv, T_a, D], values `v[a]` [B, Hkv, T_a, Dv];
    query head h reads KV head floor(h / (Hq/Hkv)). Logit x = scale * <q_i, k_j>, then softcap (cap*tanh(x/cap)) if `softcap` > 0, then + bias.
    Visibility of key j to query i, all that are given must hold:
      - `causal`: kpos_j <= qpos_i, with positions as below;
      - `window_left` >= 0: qpos_i - kpos_j <= window_left; `window_right` >= 0: kpos_j - qpos_i <= window_right;
      - `k_pos[a]` given: kpos_j >= 0 (empty ring slots hold -1);
      - `kv_len` given [B] i64: j < kv_len[b];
      - `visible` given: the region yields true for (batch, query head, query position, key position);
      - bias of -inf.
    Positions: `k_pos[a]` i64 [T_a] or by default 0..T_a-1; `q_pos` i64 [S] or [B, S], or by default i + (T - S) for one segment (bottom right), or i + kv_len[b] - S if kv_len is given.
    `bias[a]` is broadcastable to [B, Hq, S, T_a], right aligned, float. `sink_bias` [Hq] is one more logit per head, without a value.
    A row that sees nothing gives 0 and lse = -inf. Softmax in f32 or wider. Results: `output` [B, Hq, S, Dv], `lse` f32 [B, Hq, S] (log-sum-exp, natural log).
    Operand lists `k_pos` and `bias` have either zero or one entry per segment.
    `visible` is a mask as a program instead of a tensor: integer arithmetic of arith on four block arguments of type index, and on scalars from outside. Divisors are positive
    constants. It is never asked about empty slots (k_pos -1). Kernels run it on intervals first, so that blocks of keys that it hides are not read, and blocks that it lets through
    whole are not asked about each pair. Chunks of 16 that see themselves and what lies before:
    ```mlir
    leat.kv_attend q(%q) k(%k) v(%v) visible(%b, %h, %i, %j) {
      %qc = arith.divsi %i, %c16 : index
      %kc = arith.divsi %j, %c16 : index
      %seen = arith.cmpi sle, %kc, %qc : index
      leat.yield %seen : i1
    } {scale = 0.125} : ...
    ```
    `q_layout`, `kv_layout`, `o_layout`: "bhsd" (default) or "bshd": the order in which the axes of these operands are stored; shapes are then [B, S, H, D].
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$q, Variadic<AnyRankedTensor>:$k, Variadic<AnyRankedTensor>:$v, Optional<AnyRankedTensor>:$q_pos,
                       Variadic<AnyRankedTensor>:$k_pos, Variadic<AnyRankedTensor>:$bias, Optional<AnyRankedTensor>:$kv_len, Optional<AnyRankedTensor>:$sink_bias,
                       F64Attr:$scale, UnitAttr:$causal, DefaultValuedAttr<I64Attr, "-1">:$window_left, DefaultValuedAttr<I64Attr, "-1">:$window_right,
                       DefaultValuedAttr<F64Attr, "0.0">:$softcap,
                       DefaultValuedAttr<StrAttr, "\"bhsd\"">:$q_layout, DefaultValuedAttr<StrAttr, "\"bhsd\"">:$kv_layout, DefaultValuedAttr<StrAttr, "\"bhsd\"">:$o_layout);
  let results = (outs AnyRankedTensor:$output, Optional<AnyRankedTensor>:$lse);
  let regions = (region AnyRegion:$visible);
  let assemblyFormat = [{
    `q` `(` $q `)` `k` `(` $k `)` `v` `(` $v `)` (`q_pos` `(` $q_pos^ `)`)? (`k_pos` `(` $k_pos^ `)`)? (`bias` `(` $bias^ `)`)? (`kv_len` `(` $kv_len^ `)`)? (`sink_bias` `(` $sink_bias^ `)`)?
    (`visible` custom<VisibleRegion>($visible)^)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Leat_AttnMergeOp : Leat_ComputeOp<"attn_merge", [AttrSizedOperandSegments]> {
  let summary = "join partial attention results: associative, commutative up to rounding";
  let description = [{
    `values[a]` [..., D], `lses[a]` f32 [...]. lse = logsumexp_a lse_a; output = sum_a exp(lse_a - lse) value_a; a part with lse = -inf contributes nothing.
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$values, Variadic<AnyRankedTensor>:$lses);
  let results = (outs AnyRankedTensor:$output, AnyRankedTensor:$lse);
  let assemblyFormat = "`values` `(` $values `)` `lses` `(` $lses `)` attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}
