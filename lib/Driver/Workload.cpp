#include "lib/Driver/Workload.h"

#include "runtime/core/Philox.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringRef.h"

#include <algorithm>

using namespace leat::rt;

namespace leat::driver {

using Clock = std::chrono::steady_clock;

static double secondsSince(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<long>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

double percentile(std::vector<double> v, double p) {
  std::sort(v.begin(), v.end());
  return v[std::min(v.size() - 1, static_cast<size_t>(p * static_cast<double>(v.size())))];
}

std::vector<OptionSpec> workloadOptions() {
  std::vector<OptionSpec> options{
      {"function", "NAME", "main (the default) or step", "What"},
      {"tokens", "N", "size of dynamic dimensions other than the first: tokens per run (1)", "What"},
      {"size", "NAME=N", "size of one symbolic dimension", "What"},
      {"context", "N", "tokens that the stream has seen before each run, for step (0); growing caches repeat the first 256", "What"},
      {"warmup", "N", "runs before the measured ones (3)", "How"}};
  llvm::append_range(options, modelOptionSpecs());
  return options;
}

/// Inputs of the asked sizes: integers are zeros (valid as token ids, positions and masks of nothing), floats small random numbers.
Status Workload::makeInputs(const FunctionInfo &function, const Args &args, int64_t tokens, std::vector<Input> &inputs) {
  std::vector<std::pair<std::string, int64_t>> sizes;
  for (const std::string &text : args.list("size")) {
    size_t equals = text.find('=');
    int64_t value = 0;
    if (equals == std::string::npos || llvm::StringRef(text).drop_front(equals + 1).getAsInteger(10, value) || value < 0)
      return error(Code::InvalidArgument, "--size needs NAME=NUMBER, got '%s'", text.c_str());
    sizes.push_back({text.substr(0, equals), value});
  }
  for (const TensorInfo &info : function.inputs) {
    Shape shape;
    shape.rank = static_cast<int32_t>(info.dims.size());
    for (int i = 0; i < shape.rank; ++i) {
      const DimInfo &d = info.dims[static_cast<size_t>(i)];
      int64_t value = d.value;
      if (value < 0) {
        value = i == 0 ? 1 : tokens;
        for (auto &[name, given] : sizes)
          if (name == d.symbol)
            value = given;
      }
      shape.dims[i] = value;
    }
    auto tensor = Tensor::create(info.dtype, shape);
    if (!tensor)
      return tensor.takeStatus();
    auto uniform = [](int64_t i) { return philoxUniform(1, 0, static_cast<uint64_t>(i)); };
    if (info.dtype == DType::F32)
      for (int64_t i = 0; i < tensor->count(); ++i)
        tensor->as<float>()[i] = static_cast<float>(uniform(i) - 0.5);
    // In 16 bits a random sign and mantissa, from 1/4 to 1/2: a GPU is faster on zeros than on numbers.
    if (info.dtype == DType::F16 || info.dtype == DType::BF16) {
      int mantissa = info.dtype == DType::F16 ? 10 : 7, exponent = info.dtype == DType::F16 ? 13 : 125;
      for (int64_t i = 0; i < tensor->count(); ++i) {
        auto bits = static_cast<uint32_t>(uniform(i) * 65536);
        tensor->as<uint16_t>()[i] = static_cast<uint16_t>((bits & 0x8000) | exponent << mantissa | (bits & ((1 << mantissa) - 1)));
      }
    }
    if (info.name.find("mask") != std::string::npos && info.dtype == DType::I64)
      std::fill_n(tensor->as<int64_t>(), tensor->count(), 1);
    inputs.push_back({info.name, std::move(*tensor)});
  }
  return {};
}

Status Workload::call(std::vector<Input> &given) {
  std::vector<NamedTensor> named;
  for (const Input &i : given)
    named.push_back({i.name.c_str(), &i.tensor});
  auto begin = Clock::now();
  LEAT_RETURN_IF_ERROR(session->run(index, named));
  lastSeconds = secondsSince(begin);
  return {};
}

Status Workload::run() {
  LEAT_RETURN_IF_ERROR(call(inputs));
  return (*rewind)();
}

Result<double> Workload::secondsOnDevice() {
  int64_t nanoseconds;
  LEAT_RETURN_IF_ERROR(session->repeat({&nanoseconds, 1}));
  LEAT_RETURN_IF_ERROR((*rewind)());
  return static_cast<double>(nanoseconds) * 1e-9;
}

Result<std::unique_ptr<Workload>> Workload::create(const std::string &artifact, const Args &args, const Defaults &defaults) {
  std::unique_ptr<Workload> w(new Workload);
  std::string bad;
  w->tokens = args.integer("tokens", 1, 1, 1 << 24, bad);
  w->context = args.integer("context", 0, 0, 1 << 28, bad);
  int64_t warmup = args.integer("warmup", defaults.warmup, 0, 1 << 20, bad);
  ModelOptions given = modelOptions(args, bad);
  if (given.device.empty())
    given.device = defaults.device;
  if (!bad.empty())
    return error(Code::InvalidArgument, "%s", bad.c_str());
  auto begin = Clock::now();
  auto model = Model::load(artifact, given);
  if (!model)
    return model.takeStatus();
  w->loaded = std::move(*model);
  w->loadSeconds = secondsSince(begin);
  SessionOptions sessionOptions;
  sessionOptions.profile = true;
  sessionOptions.context = w->context + w->tokens;
  auto session = Session::create(w->loaded, sessionOptions);
  if (!session)
    return session.takeStatus();
  w->session = std::move(*session);
  auto index = w->session->functionIndex(args.get("function"));
  if (!index)
    return index.takeStatus();
  w->index = *index;
  for (int64_t done = 0; done < w->context;) { // what the caches hold before the measured runs, in part lived through
    int64_t piece = std::min<int64_t>(w->context - done, 256);
    std::vector<Input> filling;
    LEAT_RETURN_IF_ERROR(makeInputs(w->function(), args, piece, filling));
    LEAT_RETURN_IF_ERROR(w->call(filling));
    done += piece;
    auto extended = w->session->state().extend(w->context);
    if (!extended)
      return extended.takeStatus();
    if (*extended)
      break;
  }
  auto rewind = StateRewind::take(w->session->state());
  if (!rewind)
    return rewind.takeStatus();
  w->rewind = std::make_unique<StateRewind>(std::move(*rewind));
  LEAT_RETURN_IF_ERROR(makeInputs(w->function(), args, w->tokens, w->inputs));
  for (int64_t i = 0; i < warmup; ++i)
    LEAT_RETURN_IF_ERROR(w->run());
  w->clearProfile();
  return w;
}

} // namespace leat::driver
