// leat inspect: what a model file or an artifact holds.
#include "lib/Driver/Commands.h"
#include "lib/Driver/Traffic.h"

#include "lib/Frontend/Frontend.h"
#include "lib/Frontend/FunctionBodies.h"
#include "lib/Pipeline/Registration.h"
#include "passes/Import/Coverage.h"
#include "passes/Import/Passes.h"
#include "runtime/artifact/Artifact.h"
#include "runtime/core/File.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

#include <map>

using llvm::formatv;
using llvm::outs;

namespace leat::driver {

namespace {

std::string humanBytes(uint64_t n) {
  if (n < 10000)
    return formatv("{0} bytes", n).str();
  if (n < 10000000)
    return formatv("{0:f1} kB", n / 1e3).str();
  return formatv("{0:f1} MB", n / 1e6).str();
}

llvm::json::Array tensorsJson(const std::vector<rt::TensorInfo> &tensors) {
  llvm::json::Array list;
  for (const rt::TensorInfo &t : tensors) {
    llvm::json::Array dims;
    for (const rt::DimInfo &d : t.dims) {
      if (d.value >= 0)
        dims.push_back(d.value);
      else
        dims.push_back(d.symbol);
    }
    list.push_back(llvm::json::Object{{"name", t.name}, {"dtype", rt::dtypeName(t.dtype)}, {"dims", std::move(dims)}});
  }
  return list;
}

const char *growthName(rt::Growth g) {
  static const char *names[] = {"append", "ring", "fixed", "counter", "table"};
  return names[static_cast<int>(g)];
}

struct DeviceBytes {
  uint64_t ptx = 0, cubin = 0;
};
DeviceBytes deviceBytes(const rt::ManifestInfo &m) {
  DeviceBytes sum;
  for (const rt::DeviceModuleInfo &module : m.device.modules)
    sum.ptx += module.ptxLength, sum.cubin += module.cubinLength;
  return sum;
}

/// The device code of a kernel in a line: what it is, its entries, and what an assembler said about them.
std::string entriesText(const rt::KernelInfo &k) {
  std::string text = k.kind;
  for (const rt::EntryInfo &e : k.entries) {
    text += " " + e.symbol;
    std::vector<std::string> facts;
    if (e.threads > 0)
      facts.push_back(formatv("{0} threads", e.threads));
    if (e.registers >= 0)
      facts.push_back(formatv("{0} registers", e.registers));
    if (e.sharedBytes > 0)
      facts.push_back(formatv("{0} bytes shared", e.sharedBytes));
    if (!facts.empty())
      text += " (" + llvm::join(facts, ", ") + ")";
  }
  return text;
}

llvm::json::Value artifactJson(const rt::Artifact &a) {
  const rt::ManifestInfo &m = a.manifest();
  llvm::json::Array functions, kernels, states, params;
  for (const rt::FunctionInfo &f : m.functions)
    functions.push_back(llvm::json::Object{{"name", f.name},
                                           {"kind", f.kind},
                                           {"launches", f.launches},
                                           {"groups", f.groups},
                                           {"inputs", tensorsJson(f.inputs)},
                                           {"outputs", tensorsJson(f.outputs)}});
  for (const rt::KernelInfo &k : m.kernels) {
    llvm::json::Object kernel{{"name", k.name}, {"description", k.description}, {"strategy", k.strategy}};
    if (!m.device.api.empty()) {
      llvm::json::Array entries;
      for (const rt::EntryInfo &e : k.entries)
        entries.push_back(
            llvm::json::Object{{"symbol", e.symbol}, {"threads", e.threads}, {"registers", e.registers}, {"shared_bytes", e.sharedBytes}});
      kernel["kind"] = k.kind;
      kernel["entries"] = std::move(entries);
      if (!k.gemm.empty()) {
        kernel["gemm"] = k.gemm;
        kernel["cublaslt"] = k.cublaslt;
      }
    }
    kernels.push_back(std::move(kernel));
  }
  for (const rt::StateInfo &s : m.states)
    states.push_back(llvm::json::Object{
        {"name", s.name}, {"dtype", rt::dtypeName(s.dtype)}, {"growth", growthName(s.growth)}, {"sink", s.sink}, {"ring", s.ring}});
  uint64_t bytes = 0;
  for (const rt::ParamInfo &p : m.params) {
    bytes += p.length;
    params.push_back(llvm::json::Object{
        {"name", p.name}, {"dtype", rt::dtypeName(p.dtype)}, {"layout", p.layout}, {"bytes", static_cast<int64_t>(p.length)}});
  }
  llvm::json::Object options, metadata;
  for (auto &[k, v] : m.options)
    options[k] = v;
  for (auto &[k, v] : m.metadata)
    metadata[llvm::json::fixUTF8(k)] = llvm::json::fixUTF8(v);
  llvm::json::Array features;
  for (const std::string &f : m.features)
    features.push_back(f);
  llvm::json::Object device;
  if (!m.device.api.empty()) {
    DeviceBytes code = deviceBytes(m);
    device = llvm::json::Object{{"api", m.device.api},
                                {"gpu", m.device.gpu},
                                {"modules", static_cast<int64_t>(m.device.modules.size())},
                                {"ptx_bytes", static_cast<int64_t>(code.ptx)},
                                {"cubin_bytes", static_cast<int64_t>(code.cubin)}};
  }
  return llvm::json::Object{{"schema", 1},
                            {"model", llvm::json::fixUTF8(m.model)},
                            {"compiler", m.compiler},
                            {"target_cpu", m.targetCpu},
                            {"features", std::move(features)},
                            {"device", m.device.api.empty() ? llvm::json::Value(nullptr) : llvm::json::Value(std::move(device))},
                            {"file_bytes", static_cast<int64_t>(a.fileSize())},
                            {"weight_bytes", static_cast<int64_t>(bytes)},
                            {"functions", std::move(functions)},
                            {"states", std::move(states)},
                            {"kernels", std::move(kernels)},
                            {"params", std::move(params)},
                            {"options", std::move(options)},
                            {"metadata", std::move(metadata)}};
}

void printTensors(const char *title, const std::vector<rt::TensorInfo> &tensors) {
  for (const rt::TensorInfo &t : tensors)
    outs() << formatv("    {0} {1}: {2} {3}\n", title, t.name, rt::dtypeName(t.dtype), rt::shapeText(t));
}

int inspectArtifact(const Args &args, const std::string &path) {
  auto opened = rt::Artifact::open(path);
  if (!opened)
    return fail(opened.status());
  const rt::Artifact &a = **opened;
  if (args.has("traffic"))
    return printTraffic(args, path, !a.manifest().device.api.empty());
  if (args.get("format", "table") == "json") {
    outs() << formatv("{0:2}\n", artifactJson(a));
    return kOk;
  }
  const rt::ManifestInfo &m = a.manifest();
  if (args.has("schedule")) {
    for (const rt::KernelInfo &k : m.kernels)
      outs() << formatv("{0} {1}\n", k.name, k.strategy);
    return kOk;
  }
  std::string features = m.features.empty() ? "none" : "";
  for (const std::string &f : m.features)
    features += (features.empty() ? "" : " ") + f;
  uint64_t weights = 0;
  for (const rt::ParamInfo &p : m.params)
    weights += p.length;
  outs() << formatv("model     {0}\ncompiler  {1}\ntarget    {2}; CPU features needed: {3}\nfile      {4}, weights {5} in {6} tensors\n",
                    m.model, m.compiler, m.targetCpu, features, humanBytes(a.fileSize()), humanBytes(weights), m.params.size());
  if (!m.device.api.empty()) {
    DeviceBytes code = deviceBytes(m);
    bool exact = llvm::StringRef(m.device.gpu).ends_with("a");
    outs() << formatv("device    {0}, {1} {2}; {3} modules, PTX {4}, machine code {5}\n", m.device.api, m.device.gpu,
                      exact ? "only" : "or later", m.device.modules.size(), humanBytes(code.ptx),
                      code.cubin ? humanBytes(code.cubin) : "none");
    size_t host = llvm::count_if(m.kernels, [](const rt::KernelInfo &k) { return k.kind == "host"; });
    if (host)
      outs() << formatv("          {0} of {1} kernels run on the host: they need functions that device code does not have\n", host,
                        m.kernels.size());
  }
  for (auto &[k, v] : m.options)
    outs() << formatv("option    {0} = {1}\n", k, v);
  outs() << "functions\n";
  for (const rt::FunctionInfo &f : m.functions) {
    outs() << formatv("  {0} ({1})", f.name, f.kind);
    if (f.launches >= 0)
      outs() << formatv(", {0} launches, {1} groups", f.launches, f.groups);
    outs() << "\n";
    printTensors("in ", f.inputs);
    printTensors("out", f.outputs);
  }
  if (!m.states.empty())
    outs() << "state\n";
  for (const rt::StateInfo &s : m.states) {
    std::string size = s.growth == rt::Growth::Ring ? formatv(" sink {0} + ring {1}", s.sink, s.ring).str() : "";
    if (s.page)
      size += formatv(", pages of {0}", s.page);
    outs() << formatv("  {0}: {1} {2} {3}{4}\n", s.name, rt::dtypeName(s.dtype), rt::shapeText(s.dims), growthName(s.growth), size);
  }
  outs() << formatv("kernels   {0}\n", m.kernels.size());
  for (const rt::KernelInfo &k : m.kernels) {
    outs() << formatv("  {0}  {1}  {2}\n", k.name, k.strategy, k.description);
    if (!k.kind.empty())
      outs() << "      " << entriesText(k) << "\n";
    if (!k.gemm.empty())
      outs() << formatv("      plain product {0}: {1}\n", k.gemm,
                        k.cublaslt ? "by cuBLASLt, where it can be opened" : "generated, cuBLASLt can be asked for");
  }
  if (args.has("params")) {
    outs() << "parameters\n";
    for (const rt::ParamInfo &p : m.params)
      outs() << formatv("  {0}: {1} {2} {3}{4}\n", p.name, rt::dtypeName(p.dtype), rt::shapeText(p.dims), humanBytes(p.length),
                        p.layout.empty() ? "" : " " + p.layout);
  }
  return kOk;
}

const char *statusName(import::NodeStatus s) {
  switch (s) {
  case import::NodeStatus::Handled:
    return "handled";
  case import::NodeStatus::Expanded:
    return "expanded";
  case import::NodeStatus::Failed:
    return "unsupported";
  case import::NodeStatus::Blocked:
    return "blocked";
  }
  return "";
}

int coverage(const Args &args, mlir::ModuleOp module) {
  // As in a compilation, sequences whose length is known are gone before nodes are asked for.
  mlir::PassManager early(module.getContext());
  early.nest<mlir::func::FuncOp>().addPass(import::createLeatRefineTypes());
  early.nest<mlir::func::FuncOp>().addPass(import::createLeatResolveSequences());
  (void)early.run(module);
  std::vector<import::NodeReport> nodes = import::coverage(module, expandFunctionBody);
  bool json = args.get("format", "table") == "json";
  size_t missing = 0;
  std::map<std::string, std::pair<size_t, size_t>> byOperator; // all, not supported
  llvm::json::Array list;
  for (const import::NodeReport &n : nodes) {
    bool bad = n.status == import::NodeStatus::Failed || n.status == import::NodeStatus::Blocked;
    missing += n.status == import::NodeStatus::Failed;
    auto &count = byOperator[(n.domain.empty() ? "" : n.domain + ".") + n.op + " " + std::to_string(n.version)];
    ++count.first, count.second += bad;
    if (json)
      list.push_back(llvm::json::Object{{"node", llvm::json::fixUTF8(n.node)},
                                        {"op", n.op},
                                        {"domain", n.domain},
                                        {"version", n.version},
                                        {"status", statusName(n.status)},
                                        {"reason", llvm::json::fixUTF8(n.reason)}});
  }
  if (json) {
    outs() << formatv("{0:2}\n", llvm::json::Value(llvm::json::Object{{"schema", 1}, {"nodes", std::move(list)}}));
  } else {
    for (auto &[name, count] : byOperator)
      outs() << formatv("{0,-44} {1,6} nodes{2}\n", name, count.first,
                        count.second ? formatv(", {0} not supported", count.second).str() : "");
    for (const import::NodeReport &n : nodes)
      if (n.status == import::NodeStatus::Failed || n.status == import::NodeStatus::Blocked)
        outs() << formatv("{0}: {1}{2} version {3} at node \"{4}\": {5}\n", statusName(n.status), n.domain.empty() ? "" : n.domain + ".",
                          n.op, n.version, n.node, n.reason);
    outs() << formatv("{0} nodes, {1} not supported\n", nodes.size(), missing);
  }
  return missing ? kUnsupported : kOk;
}

int inspectModel(const Args &args, const std::string &path) {
  mlir::DialectRegistry registry;
  registerDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  context.getDiagEngine().registerHandler([](mlir::Diagnostic &) { return mlir::success(); }); // reasons are collected, not printed
  FrontendOptions options;
  options.shapes = args.list("shape");
  std::string error;
  auto module = importOnnx(context, path, options, error);
  if (mlir::failed(module))
    return fail(kBadInput, error);
  if (args.has("coverage"))
    return coverage(args, **module);
  auto main = (*module)->lookupSymbol("main");
  outs() << "model     " << path << "\n";
  for (mlir::NamedAttribute a : (*module).get()->getAttrs())
    if (a.getName().strref().starts_with("onnx."))
      outs() << formatv("{0,-9} ", a.getName().strref().drop_front(5)) << a.getValue() << "\n";
  auto function = llvm::cast<mlir::FunctionOpInterface>(main);
  auto print = [&](const char *title, mlir::DictionaryAttr attrs, mlir::Type type) {
    auto name = attrs ? attrs.getAs<mlir::StringAttr>("onnx.name") : mlir::StringAttr();
    auto dims = attrs ? attrs.getAs<mlir::ArrayAttr>("onnx.dims") : mlir::ArrayAttr();
    outs() << title << " " << (name ? name.getValue() : "") << ": " << type;
    if (dims)
      outs() << " " << dims;
    outs() << "\n";
  };
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    print("input    ", function.getArgAttrDict(i), function.getArgument(i).getType());
  for (unsigned i = 0; i < function.getNumResults(); ++i)
    print("output   ", function.getResultAttrDict(i), function.getResultTypes()[i]);
  std::map<std::string, size_t> operators;
  size_t nodes = 0;
  main->walk([&](onnxir::NodeOp node) {
    ++operators[(node.getDomain().empty() ? "" : node.getDomain().str() + ".") + node.getOpType().str()];
    ++nodes;
  });
  outs() << formatv("nodes     {0}\n", nodes);
  for (auto &[name, count] : operators)
    outs() << formatv("  {0,6} {1}\n", count, name);
  return kOk;
}

int inspect(const Args &args) {
  const std::string &path = args.positional[0];
  std::string format = args.get("format", "table");
  if (format != "table" && format != "json")
    return fail(kUsage, "--format is table or json, got '" + format + "'");
  auto head = rt::MappedFile::open(path);
  if (!head)
    return fail(head.status());
  bool artifact = head->size() >= 7 && memcmp(head->data(), "LEATART", 7) == 0;
  return artifact ? inspectArtifact(args, path) : inspectModel(args, path);
}

} // namespace

Command inspectCommand() {
  Command command{
      {"inspect",
       "MODEL.onnx|MODEL.leat",
       "show what a model or a compiled model holds; only --traffic runs it",
       {{"coverage", nullptr, "for a .onnx file: every node that Leat cannot compile, with the reason; exit code 3 if there is one",
         "Options"},
        {"schedule", nullptr, "for a .leat file: only the kernels' strategies and sizes, as compile --schedule reads them", "Options"},
        {"params", nullptr, "for a .leat file: list the parameters too", "Options"},
        {"shape", "NAME=VALUE", "fix a symbolic dimension or an input's shape, as in leat compile", "Options"},
        {"format", "table|json", "how to print (table)", "Options"}},
       1,
       1},
      inspect};
  llvm::append_range(command.spec.options, trafficOptions());
  return command;
}

} // namespace leat::driver
