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

# Single kernels against the ceilings of their own process: name, model, threads, tokens, flags, ceiling ("fma" or "read"), target.
KERNELS = [
    ("GEMM 1024^3 f32, 1 thread", "gemm_1024", 1, 1024, (), "fma", 0.92),
    ("GEMM 1024^3 f32, 2 threads", "gemm_1024", 2, 1024, (), "fma", 0.92),
    ("GEMV 4096 x 8192 f32, 2 threads", "gemv", 2, 1, (), "read", 0.9),
    ("attention 9 heads, 512 causal f32, 2 threads", "attention", 2, 512, (), "fma", 0.8),
    ("attention 9 heads, 2048 causal f32, 2 threads", "attention", 2, 2048, (), "fma", 0.8),
]
