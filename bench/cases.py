"""What is measured, beside whom, and how near it should come."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Case:
    """`target`: Leat's time over the best peer's. `flags` go to `leat compile`; `tokens` per run after `context` tokens in the cache."""

    name: str
    model: str
    peers: tuple
    target: float
    tokens: int
    context: int = 0
    batch: int = 1
    function: str = "step"
    flags: tuple = ()
    peer_models: dict = dataclasses.field(default_factory=dict)
    against: "Case" = None  # another case of Leat's own, in place of a peer


FOUR_BIT = dict(model="smollm2-4bit", peers=("onnxruntime", "llama.cpp"), flags=("--int8-activations",), peer_models={"llama.cpp": "smollm2-q4_0"})

CASES = [
    Case("MiniLM f32, 1 x 16", "minilm", ("onnxruntime", "openvino"), 0.9, 16, function="main"),
    Case("MiniLM f32, 1 x 128", "minilm", ("onnxruntime", "openvino"), 0.9, 128, function="main"),
    Case("MiniLM f32, 8 x 128", "minilm", ("onnxruntime", "openvino"), 0.9, 128, batch=8, function="main"),
    Case("SmolLM2 f32, prefill 512", "smollm2", ("onnxruntime",), 0.9, 512),
    Case("SmolLM2 f32, decode at 512", "smollm2", ("onnxruntime",), 0.85, 1, 512),
    Case("SmolLM2 4-bit, prefill 512", target=0.9, tokens=512, **FOUR_BIT),
    Case("SmolLM2 4-bit, decode at 512", target=0.8, tokens=1, context=512, **FOUR_BIT),
    Case("SmolLM2 4-bit, decode at 4096", target=0.8, tokens=1, context=4096, **FOUR_BIT),
    Case("Llama 12 layers f32, prefill 512", "llama", ("onnxruntime", "openvino"), 0.9, 512),
    Case("Llama 12 layers f32, decode at 512", "llama", ("onnxruntime", "openvino"), 0.9, 1, 512),
    Case("sink(4)+recent(1020), decode at 8192", "smollm2", (), 1.05, 1, 8192, flags=("--kv=sink(4)+recent(1020)",),
         against=Case("full cache, decode at 1024", "smollm2", (), 1, 1, 1024)),
]

@dataclasses.dataclass(frozen=True)
class Kernel:
    """One kernel against the ceiling of its own process: `ceiling` is read, or fma, bf16, int8 operations; no target: it says how it is, not how it should be.
    With a `context` it is a token of a stream after as many; only kernels whose name contains `counted` are looked at."""

    name: str
    model: str
    sizes: tuple  # (symbol, size) of the dynamic dimensions
    ceiling: str
    target: float = None
    flags: tuple = ()
    context: int = 0
    counted: str = ""


KINDS = {  # how weights and activations are multiplied: flags, the arithmetic's ceiling
    "f32": ((), "fma"),
    "bf16, f32 activations": (("--weights=bf16",), "fma"),
    "bf16": (("--weights=bf16", "--bf16-activations"), "bf16"),
    "int8 in groups of 256": (("--weights=int8", "--int8-activations"), "int8"),
    "int4 in groups of 32": (("--weights=int4", "--int8-activations"), "int8"),
}
PRODUCTS = {"GEMM 1024^3": ("gemm_1024", 1024), "SmolLM2 up 512 x 576 x 1536": ("smollm2_up", 512), "SmolLM2 down 512 x 1536 x 576": ("smollm2_down", 512),
            "MiniLM up 128 x 384 x 1536": ("minilm_up", 128), "8 rows 8 x 1024 x 1024": ("gemm_1024", 8)}

KERNELS = [
    *(Kernel(f"{name}, {kind}", model, (("m", rows),), ceiling, 0.92 if name.startswith("GEMM") else None, flags)
      for name, (model, rows) in PRODUCTS.items() for kind, (flags, ceiling) in KINDS.items()),
    # A vector times weights that no cache holds, and weights that may lie in the last one.
    *(Kernel(f"GEMV {shape}, {kind}", model, (("m", 1),), "read", target, flags)
      for shape, model, target in (("4096 x 32768", "gemv_large", 0.9), ("4096 x 4096", "gemv_4096", None)) for kind, (flags, _) in KINDS.items()),
    *(Kernel(f"attention 9 heads on 3, {n} causal f32", "attention", (("s", n),), "fma", 0.8) for n in (512, 1024, 2048)),
    Kernel("attention 9 heads on 3, 1 row on 65536 f32", "attention_decode", (("s", 1), ("t", 65536)), "read", 0.9),
    *(Kernel(f"a token on a cache of 65536 in {prec or 'f32'}", "cached_layer", (), "read", flags=(f"--kv=prec={prec}",) if prec else (), context=65536, counted="attend")
      for prec in ("", "f16", "i8", "i4", "f8")),
]
