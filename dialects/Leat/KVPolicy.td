// The cache policy: which tokens of a stream stay visible, and at which positions they are read.
include "dialects/Leat/LeatDialect.td"

def Leat_KVAttr : Leat_Attr<"KV", "kv"> {
  let summary = "a cache policy in the policy grammar, as text";
  let description = [{
    `#leat.kv<"retain=sink(4)+recent(1020),pos=sink:rank;local:abs,event=after">`. The grammar has more points than are built; the verifier
    refuses the others and names the dimension and rule. Built:

      - `retain=all`, `retain=recent(R)`, `retain=sink(S)+recent(R)`: with R recent tokens a query sees R past tokens and itself;
      - `pos=SEGMENT:RULE;...` with segments `sink`, `local`, `*` and rules `abs` (position in the text) and `rank` (position in the cache);
        the default is `rank` for sinks and `abs` for the rest, which gives the same scores as ranks everywhere with rotary embeddings;
      - `prec=`: how keys and values are stored; rounded before anyone reads them. `f16`, `bf16`; `f8`: e4m3, values beyond 448 become 448;
        `i8(g=N)`: codes of 8 bits, with an f16 scale for N adjacent values of a head; `i4(g=N)`: codes of 4 bits, with an f16 scale and an f16 minimum.
        `(g=N)` may be left out: 32, or the largest power of two below that divides the head size. The default is the model's type;
      - `layout=paged(P)`, or `paged(P)`: entries lie in pages of P, a power of two from 8 to 256, which a row gets when it needs them. Nothing moves when a cache grows, and
        results are those of the same policy without pages. Of a sink(S)+recent(R) the S + R places of sinks and ring lie in pages. Without: a row's entries lie one behind the other;
      - `event=after`: tokens leave after the step that no longer needs them.

    A policy without `retain=` may be written by its retention alone: `sink(4)+recent(1020)`.
  }];
  let parameters = (ins StringRefParameter<"policy text">:$text);
  let assemblyFormat = "`<` $text `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The parsed policy; the verifier has accepted the text.
    ::leat::KVPolicy getPolicy() const;
  }];
}
