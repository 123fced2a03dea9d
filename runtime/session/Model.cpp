// Loading models; the checks around a run.
#include "runtime/session/Model.h"
#include "runtime/device/DeviceExecutor.h"
#include "runtime/device/cuda/CudaDevice.h"
#include "runtime/device/host/HostExecutor.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace leat::rt {

// The device to run on, or null for the CPU.
static Result<std::shared_ptr<Device>> chooseDevice(const DeviceInfo &code, const ModelOptions &options) {
  std::string wanted = options.device.empty() ? code.api.empty() ? "cpu" : code.api : options.device;
  if (wanted == "cpu") {
    if (!code.api.empty())
      return error(Code::InvalidArgument,
                   "it was compiled for %s (%s): run it with --device=%s or --device=sim, or compile it again with --target=cpu",
                   code.api.c_str(), printable(code.gpu).c_str(), code.api.c_str());
    return std::shared_ptr<Device>();
  }
  if (code.api.empty())
    return error(Code::InvalidArgument, "it was compiled for the CPU: compile it with --target=cuda to run it with --device=%s",
                 printable(wanted).c_str());
  if (options.opener) {
    Result<std::shared_ptr<Device>> device = options.opener(wanted, options.threads);
    if (device.ok() || device.status().code() != Code::NotFound)
      return device;
  }
  if (wanted == "cuda")
    return openCudaDevice();
  return error(Code::InvalidArgument, "there is no device '%s' here; there are cpu, cuda%s", printable(wanted).c_str(),
               options.opener ? ", sim (with checks: sim:checked)" : "");
}

Result<std::shared_ptr<Model>> Model::load(const std::string &path, const ModelOptions &options) {
  auto model = std::make_shared<Model>();
  ContainerChecks checks;
  checks.weightsCrc = options.verifyWeights;
  Result<std::unique_ptr<Artifact>> artifact = Artifact::open(path, checks);
  if (!artifact.ok())
    return artifact.takeStatus();
  model->file = std::move(*artifact);
  Result<std::unique_ptr<LoadedCode>> code = LoadedCode::load(*model->file);
  if (!code.ok())
    return code.takeStatus().withContext("'" + printable(path, 400) + "'");
  model->loaded = std::move(*code);
  model->threads = std::make_unique<ThreadPool>(options.threads, options.spinMicroseconds);
  Result<std::shared_ptr<Device>> device = chooseDevice(model->manifest().device, options);
  if (!device.ok())
    return device.takeStatus().withContext("'" + printable(path, 400) + "'");
  if (!*device && options.gemm == GemmChoice::CublasLt)
    return error(Code::InvalidArgument, "products by cuBLASLt were asked for, and the CPU has none: run '%s' on a GPU",
                 printable(path, 400).c_str());
  if (*device) {
    Result<std::unique_ptr<DeviceProgram>> program = DeviceProgram::create(std::move(*device), *model->file, options.gemm);
    if (!program.ok())
      return program.takeStatus().withContext("'" + printable(path, 400) + "'");
    model->onDevice = std::move(*program);
  } else {
    // A model is there within a second, also where the system has to find the memory for a copy first.
    auto inTime = [begin = std::chrono::steady_clock::now()] {
      return std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(500);
    };
    model->inHost = HostWeights::place(*model->file, options.weightPages, SystemMemory::read(), *model->threads, inTime);
  }
  return model;
}

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<Model> model, const SessionOptions &options) {
  if (options.context < 1)
    return error(Code::InvalidArgument, "a session needs a context of at least 1, given %lld", (long long)options.context);
  std::unique_ptr<Session> session(new Session);
  session->owner = std::move(model);
  session->settings = options;
  const ManifestInfo &manifest = session->owner->manifest();
  DeviceProgram *program = session->owner->program();
  if (program) {
    Result<std::unique_ptr<Queue>> queue = program->device().createQueue();
    if (!queue.ok())
      return queue.takeStatus();
    session->queue = std::move(*queue);
  }
  Result<StateSet> states =
      StateSet::create(manifest.states, options.batch, options.context, program ? &program->device() : nullptr, session->queue.get());
  if (!states.ok())
    return states.takeStatus();
  session->states = std::move(*states);
  const Model &of = *session->owner;
  if (program)
    session->runner = std::make_unique<DeviceExecutor>(of.artifact(), of.code(), *program, *session->queue, of.pool(),
                                                       session->states.data(), options.batch, options.profile);
  else
    session->runner = std::make_unique<HostExecutor>(of.artifact(), of.code(), of.weights(), of.pool(), session->states.data(),
                                                     options.batch, options.profile);
  session->runner->reserveBy([set = &session->states](int64_t tokens) { return set->reserve(tokens); });
  size_t mostInputs = 0, mostOutputs = 0, mostSymbols = 0;
  for (const FunctionInfo &function : manifest.functions) {
    session->plans.push_back(session->plan(function));
    mostInputs = std::max(mostInputs, function.inputs.size());
    mostOutputs = std::max(mostOutputs, function.outputs.size());
    mostSymbols = std::max(mostSymbols, session->plans.back().symbols.size());
  }
  session->inputBuffers.resize(mostInputs);
  session->outputBuffers.resize(mostOutputs);
  session->outputs.reserve(mostOutputs);
  session->bound.resize(mostSymbols);
  return session;
}

Session::Plan Session::plan(const FunctionInfo &function) const {
  Plan plan;
  auto number = [&](const std::string &symbol) {
    auto at = std::find(plan.symbols.begin(), plan.symbols.end(), symbol);
    if (at == plan.symbols.end())
      at = plan.symbols.insert(at, symbol);
    return static_cast<int>(at - plan.symbols.begin());
  };
  const auto &slots = owner->manifest().states;
  bool batched = function.kind == "step" && std::any_of(slots.begin(), slots.end(), [](const StateInfo &slot) {
                   return slot.batchAxis >= 0 && slot.dims[slot.batchAxis] < 0;
                 });
  for (const TensorInfo &input : function.inputs) {
    std::vector<int> &dims = plan.symbolOfDim.emplace_back();
    for (const DimInfo &dim : input.dims)
      dims.push_back(dim.value < 0 && !dim.symbol.empty() ? number(dim.symbol) : -1);
    // The rows of a step are the session's rows: the first axis of the first matrix-like input says which symbol that is.
    if (batched && plan.batchSymbol < 0 && dims.size() >= 2)
      plan.batchSymbol = dims[0];
  }
  return plan;
}

Status Session::checkShape(const FunctionInfo &function, const Plan &plan, size_t index, const Tensor &tensor) {
  const TensorInfo &info = function.inputs[index];
  if (tensor.dtype() != info.dtype)
    return error(Code::InvalidArgument, "input '%s': expected elements of type %s, given %s", printable(info.name).c_str(),
                 dtypeName(info.dtype), dtypeName(tensor.dtype()));
  auto mismatch = [&](const std::string &why) {
    return error(Code::InvalidArgument, "input '%s': expected shape %s, given %s%s", printable(info.name).c_str(), shapeText(info).c_str(),
                 shapeText(tensor.shape()).c_str(), why.c_str());
  };
  if (tensor.rank() != static_cast<int>(info.dims.size()))
    return mismatch("");
  for (int i = 0; i < tensor.rank(); ++i) {
    int64_t given = tensor.dim(i);
    if (given < 0 || (info.dims[i].value >= 0 && given != info.dims[i].value))
      return mismatch("");
    int symbol = plan.symbolOfDim[index][i];
    if (symbol < 0)
      continue;
    if (symbol == plan.batchSymbol && given != settings.batch)
      return mismatch(formatText(": '%s' is %lld, the session was made for a batch of %lld", printable(plan.symbols[symbol]).c_str(),
                                 (long long)given, (long long)settings.batch));
    Bound &seen = bound[symbol];
    if (seen.value < 0)
      seen = {given, index};
    else if (seen.value != given && seen.input == index)
      return mismatch(
          formatText(": '%s' is both %lld and %lld", printable(plan.symbols[symbol]).c_str(), (long long)seen.value, (long long)given));
    else if (seen.value != given)
      return error(Code::InvalidArgument, "the inputs disagree on '%s': input '%s' has %lld, input '%s' has %lld",
                   printable(plan.symbols[symbol]).c_str(), printable(function.inputs[seen.input].name).c_str(), (long long)seen.value,
                   printable(info.name).c_str(), (long long)given);
  }
  int64_t bytes;
  if (!byteSize(tensor.shape().dims, tensor.rank(), dtypeSize(info.dtype), bytes))
    return mismatch(": too large");
  if (bytes > 0 && !tensor.data())
    return error(Code::InvalidArgument, "input '%s' has no data", printable(info.name).c_str());
  if (reinterpret_cast<uintptr_t>(tensor.data()) % std::min<int64_t>(dtypeSize(info.dtype), 8) != 0)
    return error(Code::InvalidArgument, "input '%s': the data is not aligned to its elements", printable(info.name).c_str());
  return {};
}

Status Session::bind(size_t index, std::span<const NamedTensor> inputs) {
  const FunctionInfo &function = owner->manifest().functions[index];
  auto listed = [&] {
    std::string text;
    for (const TensorInfo &info : function.inputs)
      text += (text.empty() ? "'" : ", '") + printable(info.name) + "' " + shapeText(info) + " " + dtypeName(info.dtype);
    return text.empty() ? std::string("none") : text;
  };
  std::fill(bound.begin(), bound.end(), Bound());
  for (LeatBuffer &buffer : inputBuffers)
    buffer.rank = -1; // not given yet
  for (size_t i = 0; i < inputs.size(); ++i) {
    size_t at = i;
    if (inputs[i].name)
      for (at = 0; at < function.inputs.size() && function.inputs[at].name != inputs[i].name;)
        ++at;
    if (at >= function.inputs.size())
      return inputs[i].name ? error(Code::NotFound, "'%s' has no input '%s'; its inputs are %s", printable(function.name).c_str(),
                                    printable(inputs[i].name, std::strlen(inputs[i].name)).c_str(), listed().c_str())
                            : error(Code::InvalidArgument, "'%s' takes %zu inputs, given %zu; its inputs are %s",
                                    printable(function.name).c_str(), function.inputs.size(), inputs.size(), listed().c_str());
    if (inputBuffers[at].rank >= 0)
      return error(Code::InvalidArgument, "input '%s' is given twice", printable(function.inputs[at].name).c_str());
    const Tensor &tensor = *inputs[i].tensor;
    LEAT_RETURN_IF_ERROR(checkShape(function, plans[index], at, tensor));
    LeatBuffer &buffer = inputBuffers[at];
    buffer.data = const_cast<void *>(tensor.data());
    buffer.rank = tensor.rank();
    std::copy(tensor.shape().dims, tensor.shape().dims + maxRank, buffer.dims);
  }
  for (size_t i = 0; i < function.inputs.size(); ++i)
    if (inputBuffers[i].rank < 0)
      return error(Code::InvalidArgument, "input '%s' (%s %s) is missing; the inputs of '%s' are %s",
                   printable(function.inputs[i].name).c_str(), shapeText(function.inputs[i]).c_str(), dtypeName(function.inputs[i].dtype),
                   printable(function.name).c_str(), listed().c_str());
  return {};
}

Status Session::run(size_t index, std::span<const NamedTensor> inputs) {
  if (index >= plans.size())
    return error(Code::NotFound, "the model has no function %zu; it has %zu", index, plans.size());
  repeatable = none;
  LEAT_RETURN_IF_ERROR(bind(index, inputs));
  outputs.clear();
  LEAT_RETURN_IF_ERROR(runner->run(index, inputBuffers.data(), outputBuffers.data()));
  LEAT_RETURN_IF_ERROR(takeOutputs(owner->manifest().functions[index]));
  repeatable = index;
  return {};
}

Status Session::repeat(std::span<int64_t> nanoseconds) {
  if (repeatable == none)
    return error(Code::InvalidArgument, "there is no run to repeat: the session's last run failed, or it has not run yet");
  if (nanoseconds.empty())
    return {};
  size_t index = std::exchange(repeatable, none);
  outputs.clear();
  LEAT_RETURN_IF_ERROR(runner->repeat(index, inputBuffers.data(), outputBuffers.data(), nanoseconds));
  LEAT_RETURN_IF_ERROR(takeOutputs(owner->manifest().functions[index]));
  repeatable = index;
  return {};
}

Status Session::takeOutputs(const FunctionInfo &function) {
  for (size_t i = 0; i < function.outputs.size(); ++i) {
    const LeatBuffer &buffer = outputBuffers[i];
    const TensorInfo &info = function.outputs[i];
    bool sound = buffer.rank == static_cast<int64_t>(info.dims.size());
    Shape shape;
    for (int64_t d = 0; d < buffer.rank && sound; ++d) {
      sound = buffer.dims[d] >= 0 && (info.dims[d].value < 0 || info.dims[d].value == buffer.dims[d]);
      shape.dims[shape.rank++] = buffer.dims[d];
    }
    int64_t bytes;
    if (!sound || !byteSize(shape.dims, shape.rank, dtypeSize(info.dtype), bytes) || (bytes > 0 && !buffer.data)) {
      outputs.clear();
      return error(Code::Internal, "output '%s' came out as %s, the model declares %s", printable(info.name).c_str(),
                   shapeText(shape).c_str(), shapeText(info).c_str());
    }
    outputs.push_back(Tensor::borrow(info.dtype, shape, buffer.data));
  }
  return {};
}

Result<std::unique_ptr<Session>> Session::fork() const {
  Result<std::unique_ptr<Session>> copy = create(owner, settings);
  if (copy.ok())
    if (Status status = (*copy)->states.copyFrom(states); !status.ok())
      return status;
  return copy;
}

} // namespace leat::rt
