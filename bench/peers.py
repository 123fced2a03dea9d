"""The peers, each timed in a process of its own: python peers.py ENGINE SPEC, where SPEC is a Job as JSON. Prints {"seconds": median, "version": ...}.

Each peer runs as its own documentation advises for one request at a time: state stays in the engine's buffers, nothing is copied that need not be.
"""
import json
import statistics
import sys
import time

import numpy as np

BATCH, BEFORE, TOTAL = ("batch", "batch_size"), ("past_sequence_length",), ("total_sequence_length",)


def measure(job, step):
    times = []
    for n in range(job["warmup"] + job["repetitions"]):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times[job["warmup"]:])


def feeds(job, inputs):
    """Values for inputs (name, dimensions, dtype): ones as masks, positions that follow the context, zeros otherwise."""
    values = {}
    for name, dims, dtype in inputs:
        shape = [d if isinstance(d, int) else job["batch"] if d in BATCH else job["context"] if d in BEFORE
                 else job["context"] + job["tokens"] if d in TOTAL else job["tokens"] for d in dims]
        values[name] = (np.ones(shape, dtype) if "mask" in name else
                        np.broadcast_to(np.arange(job["context"], job["context"] + job["tokens"], dtype=dtype), shape).copy()
                        if "position" in name else np.zeros(shape, dtype))
    return values


def onnxruntime(job):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = job["threads"], 1
    session = ort.InferenceSession(job["model"], options, providers=["CPUExecutionProvider"])
    kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32}
    values = feeds(job, [(i.name, i.shape, kinds[i.type]) for i in session.get_inputs()])
    binding = session.io_binding()
    shared = {}
    if job.get("shared_cache"):  # GroupQueryAttention appends in place where past and present are one buffer
        for name in [n for n in values if n.startswith("past_key_values")]:
            shape = list(values[name].shape)
            shape[2] = job["context"] + job["tokens"]
            shared[name] = ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32))
    for name, value in values.items():
        binding.bind_ortvalue_input(name, shared[name] if name in shared else ort.OrtValue.ortvalue_from_numpy(value))
    for output in session.get_outputs():
        twin = shared.get(output.name.replace("present", "past_key_values"))
        binding.bind_ortvalue_output(output.name, twin) if twin is not None else binding.bind_output(output.name)
    return measure(job, lambda: session.run_with_iobinding(binding)), ort.__version__


def openvino(job):
    import openvino as ov

    core = ov.Core()
    config = {"INFERENCE_NUM_THREADS": job["threads"], "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    model = core.read_model(job["model"])
    request = core.compile_model(model, "CPU", config).create_infer_request()
    import onnx

    graph = onnx.load(job["model"], load_external_data=False).graph
    inputs = [(i.name, [d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim],
               onnx.helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type)) for i in graph.input]
    values = feeds(job, inputs)
    return measure(job, lambda: request.infer(values, share_inputs=True, share_outputs=True)), ov.__version__


def llama_cpp(job):
    import llama_cpp as llama

    model = llama.Llama(job["model"], n_ctx=job["context"] + job["tokens"] + (job["warmup"] + job["repetitions"]) * job["tokens"] + 8, n_batch=2048,
                        n_ubatch=512, n_threads=job["threads"], n_threads_batch=job["threads"], flash_attn=True, verbose=False)
    if not job["context"]:
        def step():
            model.reset()
            model.eval(list(range(1000, 1000 + job["tokens"])))
        return measure(job, step), llama.__version__
    model.eval([1000 + n % 5000 for n in range(job["context"])])
    return measure(job, lambda: model.eval([1000] * job["tokens"])), llama.__version__


if __name__ == "__main__":
    seconds, version = {"onnxruntime": onnxruntime, "openvino": openvino, "llama.cpp": llama_cpp}[sys.argv[1]](json.loads(sys.argv[2]))
    print(json.dumps({"seconds": seconds, "version": version.split("-")[0]}))
