// Tensor computations that linalg and tensor do not name well enough for fused code: products, gathers with order, sorts, scans.
include "dialects/Leat/LeatDialect.td"

def Leat_MatmulOp : Leat_ComputeOp<"matmul"> {
  let summary = "batched matrix product, ONNX MatMul batch rules made explicit";
  let description = [{
    `lhs` [..., M, K] (or [..., K, M] with `trans_a`), `rhs` [..., K, N] (or [..., N, K] with `trans_b`), `output` [..., M, N]. Both have rank >= 2.
    Leading (batch) dimensions are right aligned; a missing one, or a static 1, is broadcast; otherwise they are equal (dynamic ones are known equal, or
    broadcast before). Products accumulate in f32 for f16, bf16, f32; in f64 for f64; in i32 for 8-bit integers (`output` i32); in their own type otherwise.
    Operands have one element type, or are i8 and another 8-bit integer, or are f32 and bf16 or f16 (a weight in fewer bits, which is exact in f32).
  }];
  let arguments = (ins AnyRankedTensor:$lhs, AnyRankedTensor:$rhs, UnitAttr:$trans_a, UnitAttr:$trans_b);
  let results = (outs AnyRankedTensor:$output);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Leat_MatmulNBitsOp : Leat_ComputeOp<"matmul_nbits"> {
  let summary = "product with a block-quantised weight (com.microsoft MatMulNBits)";
  let description = [{
    `output[..., n] = sum_k lhs[..., k] * (code[n, k] - zero[n, k / block]) * scale[n, k / block]`. `codes` i8 storage [N, ceil(K / block), block * bits / 8], unsigned codes, low bits first;
    `scales` [N, ceil(K / block)] float; `zeros` same shape as scales and float, or packed i8 [N, ceil(blocks * bits / 8)]; absent: 2^(bits-1).
    Blocks have 16 values of k, or a multiple of 32. `int8_activations`: activations may be quantised to 8 bits per block (accuracy_level 4); otherwise float.
  }];
  let arguments = (ins AnyRankedTensor:$lhs, AnyRankedTensor:$codes, AnyRankedTensor:$scales, Optional<AnyRankedTensor>:$zeros,
                       I64Attr:$k, I64Attr:$n, I64Attr:$bits, I64Attr:$block, UnitAttr:$int8_activations);
  let results = (outs AnyRankedTensor:$output);
  let assemblyFormat = "$lhs `,` $codes `,` $scales (`,` $zeros^)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Leat_ConvOp : Leat_ComputeOp<"conv"> {
  let summary = "N-d convolution, NCHW";
  let description = [{
    `input` [N, C, D1..Dr], `filter` [M, C/group, K1..Kr], `bias` [M] optional, `output` [N, M, O1..Or], O = (D + pad_begin + pad_end - dilation*(K-1) - 1)/stride + 1.
    `pads` holds r begins then r ends (already resolved from auto_pad).
  }];
  let arguments = (ins AnyRankedTensor:$input, AnyRankedTensor:$filter, Optional<AnyRankedTensor>:$bias,
                       DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$dilations, DenseI64ArrayAttr:$pads, I64Attr:$group);
  let results = (outs AnyRankedTensor:$output);
  let assemblyFormat = "$input `,` $filter (`,` $bias^)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Leat_ScatterKind : I32EnumAttr<"ScatterKind", "how a scatter combines", [
  I32EnumAttrCase<"None", 0, "none">, I32EnumAttrCase<"Add", 1, "add">, I32EnumAttrCase<"Mul", 2, "mul">,
  I32EnumAttrCase<"Max", 3, "max">, I32EnumAttrCase<"Min", 4, "min">]> { let cppNamespace = "::leat"; }

def Leat_ScatterElementsOp : Leat_ComputeOp<"scatter_elements"> {
  let summary = "ScatterElements: output = data, output[.., indices[i], ..] (op)= updates[i] along axis; later indices win";
  let description = "Indices count from the end where negative, and are kept inside the dimension. Updates combine in their order, one rounding each.";
  let arguments = (ins AnyRankedTensor:$data, AnyRankedTensor:$indices, AnyRankedTensor:$updates, I64Attr:$axis, Leat_ScatterKind:$reduction);
  let results = (outs AnyRankedTensor:$output);
  let assemblyFormat = "$data `,` $indices `,` $updates attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Leat_ScatterNDOp : Leat_ComputeOp<"scatter_nd"> {
  let summary = "ScatterND: output = data, output[indices[i]] (op)= updates[i]; later indices win";
  let description = "Indices count from the end where negative, and are kept inside the dimension. Updates combine in their order, one rounding each.";
  let arguments = (ins AnyRankedTensor:$data, AnyRankedTensor:$indices, AnyRankedTensor:$updates, Leat_ScatterKind:$reduction);
  let results = (outs AnyRankedTensor:$output);
  let assemblyFormat = "$data `,` $indices `,` $updates attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Leat_TopKOp : Leat_ComputeOp<"topk"> {
  let summary = "the k largest (or smallest) along axis, with indices (i64); ties go to the lower index; sorted in order of value";
  let description = "`k` is the dynamic or static size of `axis` in the results; it is given as an operand only when dynamic.";
  let arguments = (ins AnyRankedTensor:$input, Optional<Index>:$k, I64Attr:$axis, BoolAttr:$largest);
  let results = (outs AnyRankedTensor:$values, AnyRankedTensor:$indices);
  let assemblyFormat = "$input (`,` $k^)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Leat_CumSumOp : Leat_ComputeOp<"cumsum", [SameOperandsAndResultType]> {
  let summary = "cumulative sum along axis (ONNX CumSum: exclusive, reverse)";
  let arguments = (ins AnyRankedTensor:$input, I64Attr:$axis, UnitAttr:$exclusive, UnitAttr:$reverse);
  let results = (outs AnyRankedTensor:$output);
  let assemblyFormat = "$input attr-dict `:` type($input)";
  let hasVerifier = 1;
}

def Leat_ArgReduceOp : Leat_ComputeOp<"arg_reduce"> {
  let summary = "index (i64) of the maximum or minimum along axis; first or last on ties; the axis is kept with size 1";
  let description = "Which index a row with NaN gives, or an empty one, is not defined.";
  let arguments = (ins AnyRankedTensor:$input, I64Attr:$axis, BoolAttr:$max, UnitAttr:$select_last);
  let results = (outs AnyRankedTensor:$output);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Leat_NonZeroOp : Leat_ComputeOp<"nonzero"> {
  let summary = "coordinates [rank, count] (i64) of non-zero elements in row-major order, and the count; the buffer has room for all elements";
  let description = "`coords` is [rank, numel]: only the first `count` columns of each row are defined. The importer slices it with the count read on the host.";
  let arguments = (ins AnyRankedTensor:$input);
  let results = (outs AnyRankedTensor:$coords, AnyRankedTensor:$count);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}
