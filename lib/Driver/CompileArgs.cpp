#include "lib/Driver/CompileArgs.h"

namespace leat::driver {

std::vector<OptionSpec> compileArgOptions() {
  return {{"target", "DEVICE", "where kernels run: cpu (default), cuda", "Code"},
          {"gpu", "NAME", "for cuda: sm_80 (default: Ampere and later), sm_90a (Hopper only), or another of LLVM's names", "Code"},
          {"ptxas", "FILE",
           "for cuda: NVIDIA's assembler, for machine code beside the PTX (found on the search path or in /usr/local/cuda/bin)", "Code"},
          {"target-cpu", "CPU", "native (default), generic, x86-64-v3, x86-64-v4, or a processor name", "Code"},
          {"int8-activations", nullptr, "let 4- and 8-bit products that allow it quantise their activations: faster, not exact", "Code"},
          {"bf16-activations", nullptr,
           "let products with --weights=bf16 round their activations to bf16 where the processor multiplies such pairs: faster, not exact",
           "Code"},
          {"weights", "KIND",
           "how to store weights of products: f32 (default: as the model has them), bf16, f16, int8, int4; codes also with the number of "
           "values that share a scale, int8(g=256), int4(g=32) by default; prints the error",
           "Code"},
          {"keep", "PATTERN", "weights whose name matches (* ? [a-z]) stay as they are; may be repeated", "Code"},
          {"shape", "NAME=VALUE", "fix a symbolic dimension (batch=1) or an input's shape (input=1x128); may be repeated", "Model"},
          {"kv", "POLICY",
           "what caches keep: retain=all, recent(R), sink(S)+recent(R); with ,prec=f16, bf16, f8, i8 or i4 in fewer bits; with "
           ",layout=paged(P) in pages of P tokens",
           "Model"},
          {"states", "FILE", "pairs of past and present tensors that are not recognised by name: lines INPUT OUTPUT [append AXIS | fixed]",
           "Model"}};
}

void readCompileArgs(const Args &args, CompileOptions &options, FrontendOptions &frontend) {
  options.target = args.get("target", "cpu");
  options.gpu = args.get("gpu", "sm_80");
  options.ptxas = args.get("ptxas");
  options.targetCpu = args.get("target-cpu", "native");
  options.int8Activations = args.has("int8-activations");
  options.bf16Activations = args.has("bf16-activations");
  options.weights = args.get("weights", "f32");
  options.keepWeights = args.list("keep");
  options.kvPolicy = args.get("kv", "retain=all");
  options.stateOverrides = args.get("states");
  frontend.shapes = args.list("shape");
}

} // namespace leat::driver
