"""What Leat is measured beside, in its own process and on the same inputs: PyTorch's attention backends, set explicitly, and cuBLAS.

A peer is a name and a function without arguments that gives its result. One that is not there, or refuses the shape, says why.
"""
import functools


class Torch:
    """PyTorch with the GPU; `why` says why it is not there."""

    def __init__(self, cache_bytes):
        self.why, self.torch = None, None
        try:
            import torch
        except ImportError as error:
            self.why = f"PyTorch is not installed ({error})"
            return
        if not torch.cuda.is_available():
            self.why = f"PyTorch {torch.__version__} sees no GPU"
            return
        self.torch = torch
        self.displacer = torch.empty(4 * cache_bytes, dtype=torch.uint8, device="cuda")

    def versions(self):
        if not self.torch:
            return {}
        torch = self.torch
        return {"torch": torch.__version__, "CUDA of torch": torch.version.cuda, "cuDNN": str(torch.backends.cudnn.version())}

    def tensor(self, tensor):
        """On the GPU, of the same bits."""
        torch = self.torch
        if tensor.kind == "bf16":
            return torch.from_numpy(tensor.bits.view("int16")).cuda().view(torch.bfloat16)
        return torch.from_numpy(tensor.bits).cuda()

    def measure(self, call, count):
        """Nanoseconds of each of `count` calls, by events, each with cold caches."""
        torch, times = self.torch, []
        for _ in range(count):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            self.displacer.zero_()
            start.record()
            call()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) * 1e6)
        return times

    def forget(self):
        if self.torch:
            self.torch.cuda.empty_cache()

    # --- peers

    def attention(self, q, k, v, causal, flex):
        """scaled_dot_product_attention by each backend, and flex_attention where its compilation is worth the time."""
        from torch.nn.attention import SDPBackend

        q, k, v = (self.tensor(x) for x in (q, k, v))
        peers = dict(self.sdpa(name, getattr(SDPBackend, f"{backend}_ATTENTION"), q, k, v, causal)
                     for name, backend in (("cuDNN", "CUDNN"), ("flash", "FLASH")))
        if flex:
            peers["flex"] = self.flex(q, k, v, causal)
        return peers

    def sdpa(self, name, backend, q, k, v, causal):
        """(name, call). A backend that refuses query heads that share a KV head gets the KV heads repeated, and says so."""
        from torch.nn.attention import sdpa_kernel

        def call(k, v):
            with sdpa_kernel([backend]):
                return self.torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=q.shape[1] != k.shape[1])

        try:
            call(k, v)
            return name, lambda: call(k, v)
        except RuntimeError:
            @functools.cache
            def repeated():
                return [x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v)]

            return f"{name} on repeated KV heads", lambda: call(*repeated())

    def flex(self, q, k, v, causal):
        """Compiled, and its mask made, by the first call."""

        @functools.cache
        def made():
            from torch.nn.attention.flex_attention import create_block_mask, flex_attention

            mask = create_block_mask(lambda b, h, i, j: i >= j, None, None, q.shape[2], k.shape[2]) if causal else None
            return functools.partial(self.torch.compile(flex_attention, dynamic=False), q, k, v, block_mask=mask, enable_gqa=True)

        return lambda: made()()

    def product(self, a, w):
        """cuBLAS, by torch.matmul."""
        a, w = self.tensor(a), self.tensor(w)
        return {"cuBLAS": lambda: self.torch.matmul(a, w)}

    def arg_max(self, x):
        x = self.tensor(x)
        return {"torch.argmax": lambda: self.torch.argmax(x, 1, keepdim=True)}

    @staticmethod
    def take(result):
        """take(index): elements of a result as float64 of NumPy."""
        return lambda index: result[index].double().cpu().numpy()
