// leat run: one call of a compiled function on tensors from the command line.
#include "lib/Driver/Commands.h"
#include "lib/Driver/TensorSpec.h"

#include "runtime/core/Npy.h"
#include "runtime/session/Model.h"

#include <cstdio>
#include <sys/stat.h>

using namespace leat::rt;

namespace leat::driver {

namespace {

struct Input {
  std::string name;
  Tensor tensor;
};

/// Splits `NAME=SPEC` by the names that the function has; an input without a name is the next one in graph order.
Status readInputs(const Args &args, const FunctionInfo &function, std::vector<Input> &inputs) {
  size_t next = 0;
  std::vector<bool> given(function.inputs.size());
  for (const std::string &text : args.list("input")) {
    size_t chosen = function.inputs.size();
    std::string spec = text;
    for (size_t i = 0; i < function.inputs.size(); ++i) {
      const std::string &name = function.inputs[i].name;
      if (text.compare(0, name.size() + 1, name + "=") == 0)
        chosen = i, spec = text.substr(name.size() + 1);
    }
    if (chosen == function.inputs.size()) {
      size_t equals = text.find('=');
      if (equals != std::string::npos && text[0] != '@' && !parseTensorSpec(text.substr(0, equals), DType::Undefined).ok()) {
        std::vector<std::string> names;
        for (const TensorInfo &t : function.inputs)
          names.push_back(t.name);
        std::string name = text.substr(0, equals), guess = closest(name, names);
        return error(Code::InvalidArgument, "the function '%s' has no input '%s'%s", function.name.c_str(), printable(name).c_str(),
                     guess.empty() ? "" : (", did you mean '" + guess + "'?").c_str());
      }
      while (next < given.size() && given[next])
        ++next;
      if (next == given.size())
        return error(Code::InvalidArgument, "the function '%s' has %zu inputs, more are given", function.name.c_str(), given.size());
      chosen = next;
    }
    const TensorInfo &info = function.inputs[chosen];
    if (given[chosen])
      return error(Code::InvalidArgument, "input '%s' is given twice", info.name.c_str());
    given[chosen] = true;
    auto tensor = parseTensorSpec(spec, info.dtype);
    if (!tensor)
      return tensor.takeStatus().withContext("input '" + info.name + "'");
    inputs.push_back({info.name, std::move(*tensor)});
  }
  return {};
}

int run(const Args &args) {
  std::string bad;
  ModelOptions modelGiven = modelOptions(args, bad);
  SessionOptions sessionOptions;
  sessionOptions.batch = args.integer("batch", 1, 1, 1 << 20, bad);
  sessionOptions.context = args.integer("context", 2048, 1, int64_t(1) << 32, bad);
  int64_t limit = args.integer("print", 32, 0, int64_t(1) << 40, bad);
  if (!bad.empty())
    return fail(kUsage, bad);
  auto model = Model::load(args.positional[0], modelGiven);
  if (!model)
    return fail(model.status());
  auto session = Session::create(*model, sessionOptions);
  if (!session)
    return fail(session.status());
  auto index = (*session)->functionIndex(args.get("function"));
  if (!index)
    return fail(index.status());
  const FunctionInfo &function = (*model)->manifest().functions[*index];
  std::vector<Input> inputs;
  if (Status s = readInputs(args, function, inputs); !s.ok())
    return fail(s);
  if (args.has("state-load"))
    if (Status s = (*session)->load(args.get("state-load")); !s.ok())
      return fail(s);
  std::vector<NamedTensor> named;
  for (const Input &input : inputs)
    named.push_back({input.name.c_str(), &input.tensor});
  if (Status s = (*session)->run(*index, named); !s.ok())
    return fail(s);
  if (args.has("state-save"))
    if (Status s = (*session)->save(args.get("state-save")); !s.ok())
      return fail(s);
  std::string folder = args.get("output-dir");
  if (!folder.empty() && mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST)
    return fail(kFailed, "cannot make the folder " + folder + ": " + strerror(errno));
  for (size_t i = 0; i < function.outputs.size(); ++i) {
    const Tensor &output = (*session)->output(i);
    if (folder.empty()) {
      printf("%s: %s\n", function.outputs[i].name.c_str(), tensorText(output, limit).c_str());
    } else if (Status s = writeNpy(folder + "/" + percentEncode(function.outputs[i].name) + ".npy", output); !s.ok()) {
      return fail(s);
    }
  }
  return kOk;
}

} // namespace

Command runCommand() {
  Command command{
      {"run",
       "MODEL.leat",
       "run a compiled model once on tensors from files or the command line",
       {{"input", "[NAME=]TENSOR",
         "@FILE.npy, 2x3xf32=1,2,3,4,5,6, 4xi64=7, 2xf32=@RAW, 8xf32=rand(SEED,LOW,HIGH); without NAME the next input",
         "Inputs and outputs"},
        {"output-dir", "DIR", "write one NAME.npy per output (name percent-encoded); otherwise outputs are printed", "Inputs and outputs"},
        {"print", "N", "elements to print per output (32)", "Inputs and outputs"},
        {"function", "NAME", "which function: main (the ONNX signature, the default) or step (state in place)", "Execution"},
        {"batch", "N", "rows of the session's state, for step (1)", "Stream state"},
        {"context", "N", "tokens that growing caches have room for (2048)", "Stream state"},
        {"state-load", "FILE", "start from a saved state", "Stream state"},
        {"state-save", "FILE", "save the state afterwards", "Stream state"}},
       1,
       1},
      run};
  std::vector<OptionSpec> shared = modelOptionSpecs();
  command.spec.options.insert(command.spec.options.end(), shared.begin(), shared.end());
  return command;
}

} // namespace leat::driver
