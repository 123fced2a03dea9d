"""The same models on every device: compiled for a GPU and run on the simulator, and on a GPU where there is one, against ONNX Runtime or the CPU.

test/run.py --device=... runs the whole suite on a device; these are the few that always run.
"""
import ctypes
import functools
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from conftest import BUILD
from leat_runtime import LeatError, Library
from models import zoo, zoo_decoders, zoo_encoders
from models.decoder import STYLES, Config, RandomWeights, export
from operator_case import Case, Const, expected, make_model, typed
import test_core_operators as core
import test_spatial_operators as spatial
import test_transformer_operators as transformer
from test_zoo import make_inputs, reference


def gpu():
    """Why there is no GPU to run on; nothing if there is one."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "there is no NVIDIA driver"
    return None if driver.cuInit(0) == 0 else "the NVIDIA driver sees no GPU"


def needs_gpu(device):
    reason = gpu() if device == "cuda" else None
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="module", params=["sim:checked", "cuda"])
def device(request):
    needs_gpu(request.param)
    return Library(BUILD, request.param)


@pytest.fixture(scope="module", params=["sim", "cuda"])
def fast(request):
    """For whole models: without the simulator's checks."""
    needs_gpu(request.param)
    return Library(BUILD, request.param)


@pytest.fixture(scope="session")
def cpu():
    return Library(BUILD, "cpu")


def both(compile_model, path, *options):
    return compile_model(path, "--target=cpu", *options), compile_model(path, "--target=cuda", *options)


# Every eighth case: all run with test/run.py --device.
CASES = (core.UNARY + core.BINARY + core.CONVERT + core.REDUCE + core.SHAPES + core.MOVES + core.INDEXED + spatial.CONV + spatial.POOL + spatial.RESIZE
         + transformer.EXPERTS + transformer.PRODUCTS + transformer.NORMS + transformer.ACTIVATIONS + transformer.ATTENTION + transformer.CONTRIB)


def check_operator(device, leat, tmp_path, case, *options):
    model, values, outputs = make_model(case)
    want = expected(case, model, values, outputs)
    typed(model, outputs, want)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    leat("compile", tmp_path / "model.onnx", "-o", tmp_path / "model.leat", "--target=cuda", "--quiet", *options)
    got = device.load(tmp_path / "model.leat").session().run("main", values)
    for name, w in zip(outputs, want):
        w, g = np.asarray(w), got[name]
        assert g.shape == w.shape and g.dtype == w.dtype
        if w.dtype.kind in "fV":
            np.testing.assert_allclose(g.astype(np.float64), w.astype(np.float64), rtol=case.tolerance, atol=case.tolerance, err_msg=name)
        else:
            np.testing.assert_array_equal(g, w, err_msg=name)


@pytest.mark.parametrize("case", CASES[::8], ids=str)
def test_operator(device, leat, tmp_path, case):
    check_operator(device, leat, tmp_path, case)


def half(*shape):
    return np.random.default_rng(11).standard_normal(shape).astype(np.float16)


# With tensor maps, whose sizes are the launch's: dimensions are dynamic.
HOPPER = [
    Case("MatMul", [(half(2, 70, 64), ["b", "s", 64]), Const(half(64, 96))], tolerance=3e-2, name="weights"),
    Case("MatMul", [(half(2, 3, 70, 64), ["b", 3, "s", 64]), (half(2, 3, 64, 72), ["b", 3, 64, 72])], tolerance=3e-2, name="batch"),
    Case("Attention", [(half(2, 4, 40, 64), ["b", 4, "s", 64]), (half(2, 2, 300, 64), ["b", 2, "t", 64]), (half(2, 2, 300, 64), ["b", 2, "t", 64])], tolerance=5e-3,
         name="groups"),
    Case("Attention", [(half(2, 4, 40, 64), ["b", 4, "s", 64]), (half(2, 2, 300, 64), ["b", 2, "t", 64]), (half(2, 2, 300, 64), ["b", 2, "t", 64]), None, None, None,
                       (np.array([290, 131]), ["b"])], {"is_causal": 1}, opset=24, reference="onnx", tolerance=5e-3, name="lengths"),
]


@pytest.mark.parametrize("case", HOPPER, ids=str)
def test_operator_on_hopper(leat, tmp_path, case):
    check_operator(Library(BUILD, "sim:checked"), leat, tmp_path, case, "--gpu=sm_90a")
    shown = leat("inspect", tmp_path / "model.leat", "--schedule").stdout
    assert "group_rows" in shown


MODELS = zoo.MODELS | zoo_decoders.MODELS | zoo_encoders.MODELS


@pytest.mark.parametrize("name", [n for i, n in enumerate(MODELS) if i % 5 == 0])
def test_model(device, compile_model, tmp_path, name):
    path = tmp_path / "model.onnx"
    sample = MODELS[name](path)
    session = reference(path)
    feed = make_inputs(session, sample, sample.sizes[0], np.random.default_rng(5))
    got = device.load(compile_model(path, "--target=cuda")).session().run("main", feed)
    names = [o.name for o in session.get_outputs()]
    for key, want in zip(names, session.run(names, feed)):
        np.testing.assert_allclose(got[key].astype(np.float64), want.astype(np.float64), rtol=sample.tolerance, atol=sample.tolerance, err_msg=key)


CONFIG = Config(layers=2, hidden=64, ffn=96, heads=4, kv_heads=2, vocab=160, context=512)


@pytest.fixture(scope="module", params=STYLES)
def decoder(request, tmp_path_factory):
    return export(tmp_path_factory.mktemp(request.param) / "model.onnx", request.param, CONFIG, RandomWeights(CONFIG))


def stream(session, tokens, cuts):
    pieces = np.split(tokens, cuts)
    return np.concatenate([session("step", input_ids=piece[None])["logits"][0] for piece in pieces])


def check_decoder(device, cpu, compile_model, decoder, *options):
    """Its stream on the device is that on the CPU, and a steady one allocates nothing."""
    tokens = np.random.default_rng(7).integers(0, CONFIG.vocab, 24)
    on_cpu, on_device = both(compile_model, decoder, *options)
    want = stream(cpu.load(on_cpu).session(), tokens, [9, 17, 18, 19])
    session = device.load(on_device).session()
    got = stream(session, tokens, [9, 17, 18, 19])
    if "prec" in str(options):  # entries may round the other way where keys differ in the last bit
        assert np.square(got - want).mean() < 1e-4 * np.square(want).mean()
    else:
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
    fork = session.fork()
    held = session.counters().allocations, session.bytes()
    session("step", input_ids=tokens[:1][None])
    assert (session.counters().allocations, session.bytes()) == held
    for a, b in zip(session.results().values(), fork("step", input_ids=tokens[:1][None]).values()):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("options", [(), ("--kv=sink(4)+recent(12)",), ("--kv=sink(4)+recent(12),prec=bf16",),
                                     ("--kv=sink(4)+recent(12),layout=paged(8)",)], ids=["all", "sink", "bf16", "pages"])
def test_decoder_streams(device, cpu, compile_model, decoder, options):
    check_decoder(device, cpu, compile_model, decoder, *options)


@pytest.mark.parametrize("policy", ["retain=all", "sink(4)+recent(60)", "layout=paged(64)"])
def test_decoder_streams_on_hopper(leat, cpu, compile_model, tmp_path, monkeypatch, policy):
    """Prefill into caches in 16 bits is that of groups of warps, which bring growing caches, rings and new keys by tensor copies."""
    for name, value in (("D", 64), ("HIDDEN", 4 * 64), ("cache", functools.partial(zoo.cache, size=64))):
        monkeypatch.setattr(zoo_decoders, name, value)
    zoo_decoders.MODELS["dynamo-f16"](tmp_path / "model.onnx")
    on_cpu = compile_model(tmp_path / "model.onnx", f"--kv={policy}")
    on_device = compile_model(tmp_path / "model.onnx", f"--kv={policy}", "--target=cuda", "--gpu=sm_90a")
    kernels = json.loads(leat("inspect", on_device, "--format=json").stdout)["kernels"]
    assert any(entry["threads"] == 512 for k in kernels if "attend" in k["name"] for entry in k["entries"])
    tokens, cuts = np.random.default_rng(7).integers(0, zoo.VOCAB, 100), [40, 75, 76]
    want, got = (stream(lib.load(artifact).session(), tokens, cuts) for lib, artifact in ((cpu, on_cpu), (Library(BUILD, "sim:checked"), on_device)))
    np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("policy", ["prec=f8", "prec=i8", "sink(4)+recent(12),prec=i4", "layout=paged(16),prec=i8"])
def test_decoder_with_coded_caches(device, cpu, compile_model, tmp_path, policy):
    path = export(tmp_path / "model.onnx", "decomposed", CONFIG, RandomWeights(CONFIG))
    check_decoder(device, cpu, compile_model, path, f"--kv={policy}")


@pytest.mark.parametrize("kind", ["bf16", "f16", "int8", "int4"])
def test_decoder_with_weights_in_fewer_bits(device, cpu, compile_model, tmp_path, kind):
    path = export(tmp_path / "model.onnx", "decomposed", CONFIG, RandomWeights(CONFIG))
    on_cpu, on_device = both(compile_model, path, f"--weights={kind}")
    tokens = np.random.default_rng(7).integers(0, CONFIG.vocab, 6)
    want = stream(cpu.load(on_cpu).session(), tokens, [5])
    np.testing.assert_allclose(stream(device.load(on_device).session(), tokens, [5]), want, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif("avx512_vnni" not in Path("/proc/cpuinfo").read_text(), reason="this processor has no AVX-512 VNNI: its activations stay f32")
@pytest.mark.parametrize("kind, depth", [("int8", 600), ("int8(g=512)", 1024), ("int4", 96)])
def test_coded_activations_give_what_they_give_on_the_cpu(device, cpu, compile_model, tmp_path, kind, depth):
    """Codes are the same, their sums are integers, and blocks are scaled and added in one order."""
    rng = np.random.default_rng(5)
    case = Case("MatMul", [(rng.standard_normal((2, 23, depth)).astype(np.float32), ["b", "s", depth]), Const(rng.standard_normal((depth, 70)).astype(np.float32))])
    model, values, outputs = make_model(case)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    want, got = (library.load(artifact).session().run("main", values)[outputs[0]]
                 for library, artifact in zip((cpu, device), both(compile_model, tmp_path / "model.onnx", f"--weights={kind}", "--int8-activations")))
    np.testing.assert_array_equal(got, want)
    exact = device.load(compile_model(tmp_path / "model.onnx", "--target=cuda", f"--weights={kind}")).session().run("main", values)[outputs[0]]
    assert 1e-3 < np.linalg.norm(got - exact) / np.linalg.norm(exact) < 3e-2


def test_a_state_is_saved_loaded_and_forked(device, compile_model, tmp_path):
    path = export(tmp_path / "model.onnx", "decomposed", CONFIG, RandomWeights(CONFIG))
    model = device.load(compile_model(path, "--target=cuda"))
    tokens = np.random.default_rng(7).integers(0, CONFIG.vocab, 8)
    first = model.session(context=32)
    stream(first, tokens[:6], [])
    first.save(tmp_path / "stream.state")
    want = stream(first.fork(), tokens[6:], [])
    other = model.session(context=64)
    other.load(tmp_path / "stream.state")
    np.testing.assert_array_equal(stream(other, tokens[6:], []), want)
    np.testing.assert_allclose(stream(first, tokens[6:], [1]), want, rtol=1e-5, atol=1e-5)


def test_minilm(fast, cpu, compile_model, minilm):
    on_cpu, on_device = both(compile_model, minilm)
    mask = np.array([[1] * 7, [1] * 4 + [0] * 3])
    feeds = {"input_ids": np.random.default_rng(0).integers(0, 30000, (2, 7)), "attention_mask": mask, "token_type_ids": np.zeros((2, 7), np.int64)}
    want = cpu.load(on_cpu).session().run("main", feeds)["last_hidden_state"]
    np.testing.assert_allclose(fast.load(on_device).session().run("main", feeds)["last_hidden_state"], want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", [(), ("--kv=sink(4)+recent(60)", "--weights=bf16")], ids=["f32", "sink-bf16"])
def test_smollm2_generates(fast, leat, compile_model, smollm2, options):
    path = smollm2("decomposed")
    on_cpu, on_device = both(compile_model, path, *options)
    arguments = ["--tokenizer", path.parent / "tokenizer.json", "--prompt", "The sky is", "--max-tokens", 2, "--ids", "--ignore-eos", "--quiet"]
    want = leat("generate", on_cpu, "--device=cpu", *arguments).stdout
    assert len(want.split()) == 2
    assert leat("generate", on_device, f"--device={fast.device}", *arguments).stdout == want


def test_bench_measures_kernels(leat, compile_model, tmp_path):
    path = export(tmp_path / "model.onnx", "decomposed", CONFIG, RandomWeights(CONFIG))
    text = leat("bench", compile_model(path, "--target=cuda"), "--device=sim", "--function=step", "--context=3", "--repetitions=2", "--warmup=1", "--format=json").stdout
    result = json.loads(text)
    assert result["device"] == "GPU simulator" and all(k["seconds_per_run"] > 0 for k in result["kernels"])
    assert result["device_median_seconds"] > 0


def test_inspect_shows_device_code(leat, compile_model, tmp_path):
    path = export(tmp_path / "model.onnx", "decomposed", CONFIG, RandomWeights(CONFIG))
    artifact = compile_model(path, "--target=cuda")
    shown = json.loads(leat("inspect", artifact, "--format=json").stdout)
    assert shown["device"]["api"] == "cuda" and shown["device"]["gpu"] == "sm_80" and shown["device"]["ptx_bytes"] > 0
    assert all(k["kind"] in ("tuned", "generic", "host") for k in shown["kernels"])
    assert all(k["entries"] for k in shown["kernels"] if k["kind"] in ("tuned", "generic"))
    text = leat("inspect", artifact).stdout
    assert "sm_80 or later" in text
    function = shown["functions"][0]
    assert 0 < function["groups"] < function["launches"]
    assert f"{function['launches']} launches, {function['groups']} groups" in text


def test_a_model_for_a_gpu_says_where_it_runs(leat, library, compile_model, tmp_path):
    path = export(tmp_path / "model.onnx", "decomposed", CONFIG, RandomWeights(CONFIG))
    on_cpu, on_device = both(compile_model, path)
    if gpu():
        done = leat("generate", on_device, "--device=cuda", "--prompt", "x", check=False)
        assert done.returncode == 3 and "--device=sim" in done.stderr
    done = leat("run", on_device, "--device=cpu", check=False)
    assert done.returncode == 4 and "--target=cpu" in done.stderr
    done = leat("run", on_cpu, "--device=sim", check=False)
    assert done.returncode == 4 and "--target=cuda" in done.stderr
    # The library that is shipped does not hold the simulator.
    library = Library(BUILD)
    library.device = "sim"
    with pytest.raises(LeatError, match="there is no device 'sim' here"):
        library.load(on_device)


STREAM = """leat.slot @seen : tensor<4x?x64xf32> growth append {axis = 1 : i64}
func.func @step(%x: tensor<4x?x64xf32> {onnx.name = "x"}) -> (tensor<4x?x64xf32> {onnx.name = "y"}) {
  %c0 = arith.constant 0 : index
  %s = leat.state_get @seen : <tensor<4x?x64xf32>>
  %n = leat.cache_append %s, %x at %c0 {axis = 1 : i64} : <tensor<4x?x64xf32>>, tensor<4x?x64xf32>
  leat.state_put @seen, %n : <tensor<4x?x64xf32>>
  %y = leat.softmax %x {axis = 2 : i64} : tensor<4x?x64xf32>
  return %y : tensor<4x?x64xf32>
}
"""


def test_the_command_line_with_a_driver(leat, fake_gpu, tmp_path):
    """What a stand-in for the driver lets through and what it does not: times, messages, exit codes."""
    (tmp_path / "stream.mlir").write_text(STREAM)
    for name in ("sm_80", "sm_90a"):
        leat("compile", tmp_path / "stream.mlir", "-o", tmp_path / f"{name}.leat", "--target=cuda", f"--gpu={name}", "--quiet")
    arguments = ["--function=step", "--repetitions=2", "--warmup=1"]
    shown = leat("bench", tmp_path / "sm_80.leat", *arguments, env=fake_gpu).stdout
    assert "Fake GPU (sm_80)" in shown and "on the device, without copies and with cold caches: median" in shown
    done = leat("bench", tmp_path / "sm_90a.leat", *arguments, env=fake_gpu, check=False)
    assert done.returncode == 3 and "sm_90a only and this machine has Fake GPU (sm_80): compile it with --target=cuda --gpu=sm_80" in done.stderr
    # The stand-in has 4 GiB.
    done = leat("bench", tmp_path / "sm_80.leat", *arguments, "--context=20000000", env=fake_gpu, check=False)
    assert done.returncode == 1 and "out of memory on Fake GPU (sm_80)" in done.stderr and "bytes for state were asked for" in done.stderr


# Layers of a decoder are alike: two of SmolLM2's sizes have all kernels of the thirty.
SMOLLM2 = Config(layers=2, hidden=576, ffn=1536, heads=9, kv_heads=3, vocab=49152, context=8192, theta=100000.0)
SINK = "--kv=sink(4)+recent(60)"


@pytest.fixture(scope="module")
def smollm2_sizes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("smollm2")
    return {style: export(folder / f"{style}.onnx", style, SMOLLM2, RandomWeights(SMOLLM2)) for style in ("decomposed", "gqa")}


@pytest.fixture
def recording_ptxas(tmp_path):
    """NVIDIA's assembler under a script that keeps what it says and the processor's time: (script, folder of reports)."""
    ptxas = shutil.which("ptxas") or next((str(p) for p in [Path("/usr/local/cuda/bin/ptxas")] if p.exists()), None)
    if not ptxas:
        pytest.skip("there is no ptxas")
    reports, script = tmp_path / "reports", tmp_path / "ptxas"
    reports.mkdir()
    script.write_text(f'#!/bin/sh\n{ptxas} "$@" > {reports}/$$ 2>&1\ncode=$?\ncat {reports}/$$\ntimes >> {reports}/$$\nexit $code\n')
    script.chmod(0o755)
    return script, reports


def assembly_seconds(report):
    """Entry -> seconds: the processor's time for the report's entries, in the proportion of the assembler's own times, which a busy machine stretches."""
    times = {name: float(ms) for name, ms in re.findall(r"entry function '(\w+)'.*?Compile time = ([\d.]+) ms", report, re.DOTALL)}
    user, system = re.findall(r"(\d+)m([\d.]+)s", report)[-2:]
    processor = sum(60 * int(minutes) + float(seconds) for minutes, seconds in (user, system))
    return {name: processor * ms / sum(times.values()) for name, ms in times.items()}


def blocks_of(entry, gpu_name):
    """Blocks of an entry that a multiprocessor holds at a time."""
    warps, shared = entry["threads"] // 32, (228 if gpu_name == "sm_90a" else 164) * 1024
    registers = -(-entry["registers"] * 32 // 256) * 256 * warps
    return min(32, 64 // warps, 65536 // registers, shared // (entry["shared_bytes"] + 1024))


@pytest.mark.parametrize("gpu_name", ["sm_80", "sm_90a"])
def test_ptxas_takes_every_kernel(leat, minilm, smollm2_sizes, recording_ptxas, tmp_path, gpu_name):
    """Machine code of the real models' kernels: no spilled registers, no serialised products, each within a second, and it fits a multiprocessor.

    What each needs is written to build/model-resources-GPU.txt.
    """
    ptxas, reports = recording_ptxas
    decomposed, gqa = smollm2_sizes["decomposed"], smollm2_sizes["gqa"]
    builds = [("minilm", minilm, []), ("smollm2", decomposed, []), ("smollm2", decomposed, ["--weights=f16", SINK]), ("smollm2-gqa", gqa, []),
              ("smollm2-gqa", gqa, [SINK + ",prec=f16"]), ("smollm2", decomposed, ["--weights=int8", "--int8-activations"])]
    table = ["model                                       kernel                                    threads  registers  shared bytes  blocks  warps"]
    for name, model, options in builds:
        done = leat("compile", model, "-o", tmp_path / "model.leat", "--target=cuda", f"--gpu={gpu_name}", "--ptxas", ptxas, *options)
        assert "device code:" not in done.stderr, (name, options)
        shown = json.loads(leat("inspect", tmp_path / "model.leat", "--format=json").stdout)
        entries = [e for k in shown["kernels"] for e in k["entries"]]
        assert entries and shown["device"]["cubin_bytes"] > 0
        for entry in entries:
            assert entry["registers"] > 0 and blocks_of(entry, gpu_name) > 0, (name, options, entry)
            columns = entry["threads"], entry["registers"], entry["shared_bytes"], blocks_of(entry, gpu_name), blocks_of(entry, gpu_name) * entry["threads"] // 32
            table.append("%-44s%-42s%7d %10d %13d %7d %6d" % (" ".join([name, *options]), entry["symbol"].removeprefix("leat_"), *columns))
    (BUILD / f"model-resources-{gpu_name}.txt").write_text("\n".join(table) + "\n")
    said = [path.read_text() for path in reports.iterdir()]
    slow = {name: seconds for report in said for name, seconds in assembly_seconds(report).items() if seconds > 1}
    assert not slow
    assert not any("C75" in text for text in said)
