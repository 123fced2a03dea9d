"""The results of a run as a Markdown table, in the form of the other tables in bench/results."""
import datetime


def microseconds(times):
    return f"{times['ns'] / 1e3:.1f} [{times['low'] / 1e3:.1f}..{times['high'] / 1e3:.1f}]"


def clock(result):
    clocks = result.get("clocks") or {}
    return " ".join(f"{clocks[key]} {unit}" for key, unit in (("sm_mhz", "MHz"), ("watts", "W")) if key in clocks) or "-"


def ending(result):
    return result["status"] + (f": {result['why']}" if result.get("why") else "")


def table(titles, rows):
    """Lines of a table, none if it has no rows."""
    show = lambda cells: "| " + " | ".join(" ".join(str(c).split()).replace("|", "/") for c in cells) + " |"
    return ["", show(titles), "|" + "---|" * len(titles), *map(show, rows)] if rows else []


class Report:
    """`machine` is what a worker said of it; `bundle` what was compiled, and what the compiler warned of."""

    def __init__(self, machine, bundle, results, options):
        self.machine, self.bundle, self.results, self.options = machine, bundle, results, options
        copies = self.of("copy")
        self.copy = copies[0]["bytes_per_second"] if copies and copies[0]["status"] == "passed" else None

    def of(self, *parts):
        return [r for r in self.results if r["part"] in parts]

    def head(self):
        m, done = self.machine, [r["status"] for r in self.results]
        versions = "; ".join(f"{k} {v}" for k, v in m.get("versions", {}).items()) or "PyTorch is not there: no peers"
        facts = [f"{m['facts']['multiprocessors']} multiprocessors" if m["facts"] else "", f"{m['memory'] / 2**30:.0f} GiB" if m["memory"] else "",
                 f"CUDA {m['cuda']}" if m["cuda"] else "", f"driver {m['driver']}" if m["driver"] else ""]
        yield f"# {m['name']}, {datetime.date.today()}"
        yield ""
        yield ", ".join(x for x in [m["architecture"], *facts, f"Leat {self.bundle['leat']}"] if x) + f"; {versions}."
        yield f"{done.count('passed')} passed, {done.count('failed')} failed, {done.count('skipped')} left out. " + (
            "Tiny sizes: the times below mean nothing." if self.options["tiny"] else
            "Times are of the device, by events, each run with cold caches; engines in turns, the order reversed every other turn: the median of all "
            "runs, and in brackets the range of the turns' medians. Clocks are read after the last turn.")
        if self.copy:
            copy = self.of("copy")[0]
            yield (f"A copy in the GPU's memory reads and writes {self.copy / 1e9:.0f} GB/s [{copy['low'] / 1e9:.0f}..{copy['high'] / 1e9:.0f}]: "
                   "the ceiling of what moves bytes.")
        if self.bundle["warnings"]:
            yield f"The compiler warned of: {'; '.join(self.bundle['warnings'])}."

    def correctness(self):
        number = lambda r, key: f"{r[key]:.1e}" if isinstance(r.get(key), float) else ""
        return table(["correctness", "code", "largest error", "allowed", "apart from the simulator", ""],
                     [[r["name"], r["code"], number(r, "error"), number(r, "tolerance"), number(r, "simulator"), ending(r)] for r in self.of("kernel", "cublaslt", "decoder")])

    def models(self):
        return table(["model", "code", "apart from the CPU", "a run, us", "clock", ""],
                     [[r["name"], r["code"], f"{r['error']:.1e}" if "error" in r else "", microseconds(r["time"]) if r.get("time") else "", clock(r), ending(r)]
                      for r in self.of("model")])

    def sanitizers(self):
        return table(["compute-sanitizer", "code", "kernels", "findings", ""],
                     [[r["name"], r["code"], r.get("kernels", ""), r.get("findings", ""), ending(r)] for r in self.of("sanitizer")])

    def of_copy(self, rate):
        return f"{rate / self.copy * 100:.0f}%" if self.copy else ""

    def benchmarks(self):
        rows = []
        for r in self.of("bench"):
            cells = [r["name"], r["code"], *[""] * 7, ending(r)]
            if "times" in r:
                ours, others = r["times"]["Leat"], {n: t for n, t in r["times"].items() if n != "Leat"}
                theirs = [t["ns"] for n, t in others.items() if not n.startswith("Leat")]
                flops = lambda t: f"{r['operations'] / t['ns'] / 1e3:.3g}"
                rate = 1e9 * r["bytes"] / ours["ns"]
                peers = [f"{n} {microseconds(t)}, {flops(t)} TFLOP/s" for n, t in others.items()] + [f"{n}: {why}" for n, why in r["absent"].items()]
                ratio = f"{ours['ns'] / min(theirs):.2f}" if theirs else ""
                cells[2:9] = [microseconds(ours), flops(ours), f"{rate / 1e9:.0f}", self.of_copy(rate), "; ".join(peers), ratio, clock(r)]
            rows.append(cells)
        return table(["kernel", "code", "Leat, us", "TFLOP/s", "GB/s", "of a copy", "peers, us", "Leat / best peer", "clock", ""], rows)

    def tokens(self):
        rows = []
        for r in self.of("tokens"):
            cells = [r["name"], r["code"], *[""] * 7, ending(r)]
            if "times" in r:
                ours = r["times"]["Leat"]
                rate = 1e9 * r["weight_bytes"] / ours["ns"]
                cells[2:9] = [r["context"], microseconds(ours), f"{1e9 / ours['ns']:.0f}", f"{r['weight_bytes'] / 1e9:.2f}", f"{rate / 1e9:.0f}", self.of_copy(rate), clock(r)]
            rows.append(cells)
        return table(["decoder, random weights, one stream", "code", "after", "a step, us", "tokens/s", "weights, GB", "read at, GB/s", "of the bound by a copy", "clock", ""], rows)

    def text(self):
        lines = [*self.head(), *self.correctness(), *self.models(), *self.sanitizers(), *self.benchmarks(), *self.tokens()]
        return "\n".join(lines) + "\n"
