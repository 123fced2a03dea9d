"""The GPU beside Leat: what it is, how fast it runs at the moment, what a copy in its memory reaches. NVIDIA's libraries through ctypes."""
import ctypes as c


class Missing(Exception):
    """What is not here, in words."""


class Gpu:
    """The first GPU, by CUDA's driver, in the context that Leat's runtime and PyTorch use too."""

    ATTRIBUTES = {"multiprocessors": 16, "memory_clock_khz": 36, "cache_bytes": 38, "major": 75, "minor": 76}

    def __init__(self):
        try:
            self.cuda = c.CDLL("libcuda.so.1")
        except OSError:
            raise Missing("there is no NVIDIA driver on this machine") from None
        if self.cuda.cuInit(0):
            raise Missing("the NVIDIA driver sees no GPU")
        device, context, name, version = c.c_int(), c.c_void_p(), c.create_string_buffer(256), c.c_int()
        for call in (lambda: self.cuda.cuDeviceGet(c.byref(device), 0), lambda: self.cuda.cuDeviceGetName(name, 256, device),
                     lambda: self.cuda.cuDriverGetVersion(c.byref(version)), lambda: self.cuda.cuDevicePrimaryCtxRetain(c.byref(context), device),
                     lambda: self.cuda.cuCtxSetCurrent(context)):
            self.check(call())
        self.name, self.version = name.value.decode(errors="replace"), f"{version.value // 1000}.{version.value % 1000 // 10}"
        self.facts = {}
        for key, number in self.ATTRIBUTES.items():
            value = c.c_int()
            if self.cuda.cuDeviceGetAttribute(c.byref(value), number, device) == 0:
                self.facts[key] = value.value
        self.architecture = f"sm_{self.facts['major']}{self.facts['minor']}"

    def check(self, code):
        if code:
            text = c.c_char_p()
            self.cuda.cuGetErrorName(code, c.byref(text))
            raise RuntimeError(f"CUDA's driver says {text.value.decode() if text.value else code}")

    def memory(self):
        """(free, total) bytes."""
        free, total = c.c_size_t(), c.c_size_t()
        self.check(self.cuda.cuMemGetInfo_v2(c.byref(free), c.byref(total)))
        return free.value, total.value

    def copy_rate(self, size, repetitions):
        """Bytes per second of copies of `size` bytes within its memory, read and written bytes counted: one number a copy."""
        cuda, blocks, events, rates = self.cuda, [c.c_uint64() for _ in range(2)], [c.c_void_p() for _ in range(2)], []
        try:
            for block in blocks:
                self.check(cuda.cuMemAlloc_v2(c.byref(block), c.c_size_t(size)))
            for event in events:
                self.check(cuda.cuEventCreate(c.byref(event), 0))
            for i in range(repetitions + 2):  # the first two warm up
                self.check(cuda.cuEventRecord(events[0], None))
                self.check(cuda.cuMemcpyDtoDAsync_v2(blocks[1], blocks[0], c.c_size_t(size), None))
                self.check(cuda.cuEventRecord(events[1], None))
                self.check(cuda.cuEventSynchronize(events[1]))
                milliseconds = c.c_float()
                self.check(cuda.cuEventElapsedTime(c.byref(milliseconds), *events))
                rates.append(2e3 * size / max(milliseconds.value, 1e-6))
        finally:
            for event in events:
                if event:
                    cuda.cuEventDestroy_v2(event)
            for block in blocks:
                if block:
                    cuda.cuMemFree_v2(block)
        return rates[2:]


class Clocks:
    """Clocks and power of the first GPU at the moment, by NVML; nothing where it cannot be read."""

    def __init__(self):
        self.handle = None
        try:
            self.nvml = c.CDLL("libnvidia-ml.so.1")
        except OSError:
            return
        handle = c.c_void_p()
        if self.nvml.nvmlInit_v2() == 0 and self.nvml.nvmlDeviceGetHandleByIndex_v2(0, c.byref(handle)) == 0:
            self.handle = handle

    def driver(self):
        text = c.create_string_buffer(96)
        return text.value.decode() if self.handle and self.nvml.nvmlSystemGetDriverVersion(text, 96) == 0 else None

    def now(self):
        """{"sm_mhz", "memory_mhz", "watts", "celsius"}, as far as they can be read."""
        if not self.handle:
            return {}
        found, value = {}, c.c_uint()
        for key, call, scale in (("sm_mhz", lambda: self.nvml.nvmlDeviceGetClockInfo(self.handle, 1, c.byref(value)), 1),
                                 ("memory_mhz", lambda: self.nvml.nvmlDeviceGetClockInfo(self.handle, 2, c.byref(value)), 1),
                                 ("watts", lambda: self.nvml.nvmlDeviceGetPowerUsage(self.handle, c.byref(value)), 1e-3),
                                 ("celsius", lambda: self.nvml.nvmlDeviceGetTemperature(self.handle, 0, c.byref(value)), 1)):
            if call() == 0:
                found[key] = round(value.value * scale)
        return found
