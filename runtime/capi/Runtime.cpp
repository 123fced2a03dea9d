// The C border: opaque handles around the C++ objects, options read by their struct_size, statuses handed out.
#include "leat/Runtime.h"
#include "runtime/decode/Generator.h"
#ifdef LEAT_WITH_SIMULATOR // a build for tests
#include "runtime/device/simdevice/SimDevice.h"
#endif

#include <algorithm>
#include <cmath>
#include <cstring>

using namespace leat::rt;

struct leat_status {
  Status status;
};
struct leat_model {
  std::shared_ptr<Model> model;
  std::string device;
};
struct leat_session {
  std::unique_ptr<Session> session;
  std::vector<Tensor> tensors; // of the call in progress, kept so that a steady stream allocates nothing
  std::vector<NamedTensor> named;
};
struct leat_generator {
  std::unique_ptr<Generator> generator;
};

namespace {

leat_status *give(Status status) { return status.ok() ? nullptr : new leat_status{std::move(status)}; }

leat_status *null(const char *what) { return give(error(Code::InvalidArgument, "%s is NULL", what)); }

// A copy of a caller's struct of any age: fields it does not have yet are zero.
template <typename T> Status read(const T *from, const char *what, T &to) {
  std::memset(&to, 0, sizeof(to));
  if (!from)
    return {};
  if (from->struct_size < sizeof(size_t) || from->struct_size > 4096)
    return error(Code::InvalidArgument, "%s: struct_size is not set; use LEAT_INIT", what);
  std::memcpy(&to, from, std::min(from->struct_size, sizeof(T)));
  return {};
}

// Fills a caller's struct as far as it knows the fields.
template <typename T> leat_status *write(T value, T *to, const char *what) {
  if (!to)
    return null(what);
  if (to->struct_size < sizeof(size_t) || to->struct_size > 4096)
    return give(error(Code::InvalidArgument, "%s: struct_size is not set; use LEAT_INIT", what));
  value.struct_size = to->struct_size;
  std::memcpy(to, &value, std::min(to->struct_size, sizeof(T)));
  return nullptr;
}

const FunctionInfo *functionOf(const leat_model *model, size_t function) {
  return model && function < model->model->manifest().functions.size() ? &model->model->manifest().functions[function] : nullptr;
}

leat_status *describe(const std::vector<TensorInfo> *list, size_t index, leat_tensor_info *to) {
  if (!list || index >= list->size())
    return give(error(Code::NotFound, "there is no such function, input or output"));
  const TensorInfo &from = (*list)[index];
  leat_tensor_info info = {};
  info.name = from.name.c_str();
  info.dtype = static_cast<int32_t>(from.dtype);
  info.rank = static_cast<int32_t>(from.dims.size());
  for (size_t i = 0; i < from.dims.size(); ++i) {
    info.dims[i] = from.dims[i].value;
    info.symbols[i] = from.dims[i].symbol.c_str();
  }
  return write(info, to, "info");
}

const char *lookUp(const std::vector<std::pair<std::string, std::string>> &list, const char *key) {
  for (const auto &[name, value] : list)
    if (key && name == key)
      return value.c_str();
  return nullptr;
}

} // namespace

uint32_t leat_runtime_api_version(void) { return LEAT_RUNTIME_API_VERSION; }

const char *leat_runtime_describe(void) {
  static const std::string text = formatText("leat runtime, artifact format %u, kernel ABI %d", artifactFormat, LEAT_KERNEL_ABI);
  return text.c_str();
}

leat_code leat_status_code(const leat_status *status) { return status ? static_cast<leat_code>(status->status.code()) : LEAT_OK; }
const char *leat_status_message(const leat_status *status) { return status ? status->status.message().c_str() : ""; }
void leat_status_free(leat_status *status) { delete status; }

size_t leat_dtype_size(int32_t dtype) { return static_cast<size_t>(dtypeSize(static_cast<DType>(dtype))); }

leat_status *leat_model_load(const char *path, const leat_model_options *options, leat_model **model) {
  if (!path || !model)
    return null(path ? "model" : "path");
  leat_model_options given;
  if (Status status = read(options, "model options", given); !status.ok())
    return give(std::move(status));
  if (given.threads < 0)
    return give(error(Code::InvalidArgument, "threads must be 0 (one per CPU) or more, given %d", given.threads));
  if (given.weight_pages < LEAT_WEIGHT_PAGES_AUTO || given.weight_pages > LEAT_WEIGHT_PAGES_HUGE)
    return give(error(Code::InvalidArgument, "weight_pages must be a leat_weight_pages (0 to 2), given %d", given.weight_pages));
  if (given.gemm < LEAT_GEMM_SCHEDULED || given.gemm > LEAT_GEMM_CUBLASLT)
    return give(error(Code::InvalidArgument, "gemm must be a leat_gemm (0 to 2), given %d", given.gemm));
  ModelOptions internal;
  internal.gemm = static_cast<GemmChoice>(given.gemm);
  internal.weightPages = static_cast<WeightPages>(given.weight_pages);
  internal.threads = given.threads;
  internal.verifyWeights = !given.skip_weight_checksum;
  internal.device = given.device ? given.device : "";
#ifdef LEAT_WITH_SIMULATOR
  internal.opener = openSimDevice;
#endif
  Result<std::shared_ptr<Model>> loaded = Model::load(path, internal);
  if (!loaded.ok())
    return give(loaded.takeStatus());
  std::string device = (*loaded)->deviceName();
  *model = new leat_model{std::move(*loaded), std::move(device)};
  return nullptr;
}

void leat_model_release(leat_model *model) { delete model; }

size_t leat_model_function_count(const leat_model *model) { return model ? model->model->manifest().functions.size() : 0; }

const char *leat_model_function_name(const leat_model *model, size_t function) {
  const FunctionInfo *info = functionOf(model, function);
  return info ? info->name.c_str() : nullptr;
}

leat_status *leat_model_find_function(const leat_model *model, const char *name, size_t *function) {
  if (!model || !name || !function)
    return null(!model ? "model" : !name ? "name" : "function");
  Result<size_t> found = functionIndex(model->model->manifest(), name);
  if (!found.ok())
    return give(found.takeStatus());
  *function = *found;
  return nullptr;
}

size_t leat_model_input_count(const leat_model *model, size_t function) {
  const FunctionInfo *info = functionOf(model, function);
  return info ? info->inputs.size() : 0;
}

size_t leat_model_output_count(const leat_model *model, size_t function) {
  const FunctionInfo *info = functionOf(model, function);
  return info ? info->outputs.size() : 0;
}

leat_status *leat_model_input_info(const leat_model *model, size_t function, size_t input, leat_tensor_info *info) {
  const FunctionInfo *from = functionOf(model, function);
  return describe(from ? &from->inputs : nullptr, input, info);
}

leat_status *leat_model_output_info(const leat_model *model, size_t function, size_t output, leat_tensor_info *info) {
  const FunctionInfo *from = functionOf(model, function);
  return describe(from ? &from->outputs : nullptr, output, info);
}

const char *leat_model_device(const leat_model *model) { return model ? model->device.c_str() : nullptr; }
leat_weight_pages leat_model_weight_pages(const leat_model *model) {
  return model && !model->model->program() ? static_cast<leat_weight_pages>(model->model->weights().pages()) : LEAT_WEIGHT_PAGES_MAPPED;
}
const char *leat_model_option(const leat_model *model, const char *key) {
  return model ? lookUp(model->model->manifest().options, key) : nullptr;
}
const char *leat_model_metadata(const leat_model *model, const char *key) {
  return model ? lookUp(model->model->manifest().metadata, key) : nullptr;
}

leat_status *leat_session_create(const leat_model *model, const leat_session_options *options, leat_session **session) {
  if (!model || !session)
    return null(model ? "session" : "model");
  leat_session_options given;
  if (Status status = read(options, "session options", given); !status.ok())
    return give(std::move(status));
  SessionOptions internal;
  if (given.batch)
    internal.batch = given.batch;
  if (given.context)
    internal.context = given.context;
  internal.profile = given.profile != 0;
  Result<std::unique_ptr<Session>> made = Session::create(model->model, internal);
  if (!made.ok())
    return give(made.takeStatus());
  *session = new leat_session{std::move(*made), {}, {}};
  return nullptr;
}

void leat_session_destroy(leat_session *session) { delete session; }

leat_status *leat_session_run(leat_session *session, size_t function, const char *const *names, const leat_tensor *const *tensors,
                              size_t count) {
  if (!session || (!tensors && count))
    return null(session ? "tensors" : "session");
  session->tensors.clear();
  session->named.clear();
  session->tensors.reserve(count); // the views below point into it
  for (size_t i = 0; i < count; ++i) {
    leat_tensor given;
    if (!tensors[i])
      return null("a tensor");
    if (Status status = read(tensors[i], "tensor", given); !status.ok())
      return give(std::move(status));
    if (given.rank < 0 || given.rank > LEAT_RANK_MAX)
      return give(error(Code::InvalidArgument, "a tensor has rank %d; from 0 to %d is possible", given.rank, LEAT_RANK_MAX));
    Shape shape;
    shape.rank = given.rank;
    std::copy(given.dims, given.dims + given.rank, shape.dims);
    session->tensors.push_back(Tensor::borrow(static_cast<DType>(given.dtype), shape, given.data));
    session->named.push_back({names ? names[i] : nullptr, &session->tensors.back()});
  }
  return give(session->session->run(function, session->named));
}

leat_status *leat_session_repeat(leat_session *session, size_t count, int64_t *nanoseconds) {
  if (!session || (!nanoseconds && count))
    return null(session ? "nanoseconds" : "session");
  return give(session->session->repeat({nanoseconds, count}));
}

leat_status *leat_session_output(const leat_session *session, size_t output, leat_tensor *tensor) {
  if (!session)
    return null("session");
  if (output >= session->session->outputCount())
    return give(
        error(Code::NotFound, "there is no result %zu: the last run that succeeded left %zu", output, session->session->outputCount()));
  const Tensor &from = session->session->output(output);
  leat_tensor view = {};
  view.dtype = static_cast<int32_t>(from.dtype());
  view.rank = from.rank();
  std::copy(from.shape().dims, from.shape().dims + from.rank(), view.dims);
  view.data = const_cast<void *>(from.data());
  return write(view, tensor, "tensor");
}

void leat_session_reset(leat_session *session) {
  if (session)
    session->session->reset();
}

int64_t leat_session_tokens(const leat_session *session) { return session ? session->session->state().tokens() : 0; }
int64_t leat_session_bytes(const leat_session *session) { return session ? session->session->bytes() : 0; }

leat_status *leat_session_save(const leat_session *session, const char *path) {
  return !session || !path ? null(session ? "path" : "session") : give(session->session->save(path));
}

leat_status *leat_session_load(leat_session *session, const char *path) {
  return !session || !path ? null(session ? "path" : "session") : give(session->session->load(path));
}

leat_status *leat_session_fork(const leat_session *session, leat_session **fork) {
  if (!session || !fork)
    return null(session ? "fork" : "session");
  Result<std::unique_ptr<Session>> made = session->session->fork();
  if (!made.ok())
    return give(made.takeStatus());
  *fork = new leat_session{std::move(*made), {}, {}};
  return nullptr;
}

leat_status *leat_session_counters(const leat_session *session, leat_counters *counters) {
  if (!session)
    return null("session");
  const ExecutionCounters &from = session->session->executor().counters();
  leat_counters out = {};
  out.runs = from.runs;
  out.launches = from.launches;
  out.allocations = from.allocations;
  out.buffer_bytes = from.bufferBytes;
  out.state_bytes = session->session->state().bytes();
  out.pages_taken = session->session->state().pagesTaken();
  return write(out, counters, "counters");
}

size_t leat_session_kernel_count(const leat_session *session) { return session ? session->session->model().manifest().kernels.size() : 0; }

leat_status *leat_session_kernel_profile(const leat_session *session, size_t kernel, leat_kernel_profile *profile) {
  if (!session)
    return null("session");
  const std::vector<KernelProfile> &profiles = session->session->executor().profile();
  if (kernel >= profiles.size())
    return give(profiles.empty() ? error(Code::InvalidArgument, "the session does not measure kernels: set leat_session_options.profile")
                                 : error(Code::NotFound, "there is no kernel %zu; the model has %zu", kernel, profiles.size()));
  const KernelInfo &info = session->session->model().manifest().kernels[kernel];
  leat_kernel_profile out = {};
  out.name = info.name.c_str();
  out.description = info.description.c_str();
  out.calls = profiles[kernel].calls;
  out.nanoseconds = profiles[kernel].nanoseconds;
  out.bytes = profiles[kernel].bytes;
  out.operations = profiles[kernel].operations;
  out.requested = profiles[kernel].requested;
  out.unfused = profiles[kernel].unfused;
  return write(out, profile, "profile");
}

leat_status *leat_generator_create(leat_session *session, const leat_generator_options *options, leat_generator **generator) {
  if (!session || !generator)
    return null(session ? "generator" : "session");
  leat_generator_options given;
  if (Status status = read(options, "generator options", given); !status.ok())
    return give(std::move(status));
  if (given.stop_token_count && !given.stop_tokens)
    return null("stop_tokens");
  GeneratorOptions internal;
  if (given.function)
    internal.function = given.function;
  internal.sampling.temperature = given.temperature;
  internal.sampling.topK = given.top_k;
  internal.sampling.topP = given.top_p == 0 ? 1 : given.top_p;
  internal.sampling.minP = given.min_p;
  internal.sampling.repetitionPenalty = given.repetition_penalty == 0 ? 1 : given.repetition_penalty;
  internal.sampling.seed = given.seed;
  internal.stopTokens.assign(given.stop_tokens, given.stop_tokens + given.stop_token_count);
  if (given.chunk)
    internal.chunk = given.chunk;
  Result<std::unique_ptr<Generator>> made = Generator::create(*session->session, internal);
  if (!made.ok())
    return give(made.takeStatus());
  *generator = new leat_generator{std::move(*made)};
  return nullptr;
}

void leat_generator_destroy(leat_generator *generator) { delete generator; }

leat_status *leat_generator_feed(leat_generator *generator, const int64_t *tokens, size_t count) {
  if (!generator || (!tokens && count))
    return null(generator ? "tokens" : "generator");
  return give(generator->generator->feed({tokens, count}));
}

leat_status *leat_generator_next(leat_generator *generator, int64_t *token, int32_t *stop) {
  if (!generator || !token || !stop)
    return null(!generator ? "generator" : !token ? "token" : "stop");
  bool stopped;
  Result<int64_t> next = generator->generator->next(stopped);
  if (!next.ok())
    return give(next.takeStatus());
  *token = *next;
  *stop = stopped;
  return nullptr;
}

leat_status *leat_generator_run(leat_generator *generator, int64_t limit, leat_token_callback callback, void *context, int64_t *generated) {
  if (!generator || !callback)
    return null(generator ? "callback" : "generator");
  struct Bridge {
    leat_token_callback callback;
    void *context;
  } bridge = {callback, context};
  Result<int64_t> count = generator->generator->generate(
      limit,
      [](void *context, int64_t token) {
        return static_cast<Bridge *>(context)->callback(static_cast<Bridge *>(context)->context, token) != 0;
      },
      &bridge);
  if (!count.ok())
    return give(count.takeStatus());
  if (generated)
    *generated = *count;
  return nullptr;
}

leat_status *leat_generator_score(leat_generator *generator, const int64_t *tokens, size_t count, double *nll) {
  if (!generator || ((!tokens || !nll) && count))
    return null(!generator ? "generator" : !tokens ? "tokens" : "nll");
  std::vector<double> scores;
  if (Status status = generator->generator->score({tokens, count}, scores); !status.ok())
    return give(std::move(status));
  if (scores.size() < count)
    *nll++ = NAN;
  std::copy(scores.begin(), scores.end(), nll);
  return nullptr;
}

leat_status *leat_generator_settle(leat_generator *generator) {
  return generator ? give(generator->generator->settle()) : null("generator");
}

leat_status *leat_generator_save(const leat_generator *generator, const char *path) {
  return !generator || !path ? null(generator ? "path" : "generator") : give(generator->generator->save(path));
}

leat_status *leat_generator_load(leat_generator *generator, const char *path) {
  return !generator || !path ? null(generator ? "path" : "generator") : give(generator->generator->load(path));
}

void leat_generator_reset(leat_generator *generator) {
  if (generator)
    generator->generator->reset();
}

void leat_generator_state_loaded(leat_generator *generator) {
  if (generator)
    generator->generator->stateChanged();
}

leat_status *leat_generator_get_statistics(const leat_generator *generator, leat_generator_statistics *statistics) {
  if (!generator)
    return null("generator");
  const GeneratorStatistics &from = generator->generator->statistics();
  leat_generator_statistics out = {};
  out.prompt_tokens = from.promptTokens;
  out.generated_tokens = from.generatedTokens;
  out.prompt_seconds = from.promptSeconds;
  out.decode_seconds = from.decodeSeconds;
  return write(out, statistics, "statistics");
}
