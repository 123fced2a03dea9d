// Leat's runtime for C++17 and later: thin, header only, over Runtime.h. Errors are exceptions (leat::Error).
//
//   leat::Model model("model.leat");
//   leat::Session session(model);
//   auto results = session.run("main", {{"x", leat::view(values, {2, 3})}});
#ifndef LEAT_LEAT_HPP
#define LEAT_LEAT_HPP

#include "leat/Runtime.h"

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace leat {

class Error : public std::runtime_error {
public:
  Error(leat_code code, const std::string &message) : std::runtime_error(message), code_(code) {}
  leat_code code() const noexcept { return code_; }

private:
  leat_code code_;
};

// Throws unless `status` is a success; takes it over.
inline void check(leat_status *status) {
  if (!status)
    return;
  Error error(leat_status_code(status), leat_status_message(status));
  leat_status_free(status);
  throw error;
}

template <typename T> constexpr int32_t dtypeOf() {
  using U = std::remove_const_t<T>;
  if constexpr (std::is_same_v<U, float>)
    return LEAT_F32;
  else if constexpr (std::is_same_v<U, double>)
    return LEAT_F64;
  else if constexpr (std::is_same_v<U, bool>)
    return LEAT_BOOL;
  else {
    static_assert(std::is_integral_v<U>, "no Leat element type for this C++ type");
    constexpr bool isSigned = std::is_signed_v<U>;
    switch (sizeof(U)) {
    case 1:
      return isSigned ? LEAT_I8 : LEAT_U8;
    case 2:
      return isSigned ? LEAT_I16 : LEAT_U16;
    case 4:
      return isSigned ? LEAT_I32 : LEAT_U32;
    default:
      return isSigned ? LEAT_I64 : LEAT_U64;
    }
  }
}

// A view of a dense row-major tensor that someone else owns.
class TensorView {
public:
  TensorView() : tensor(LEAT_INIT(leat_tensor)) {}
  TensorView(int32_t dtype, const std::vector<int64_t> &dims, const void *data) : TensorView() {
    if (dims.size() > LEAT_RANK_MAX)
      throw Error(LEAT_INVALID_ARGUMENT, "a tensor has at most 8 dimensions");
    tensor.dtype = dtype;
    tensor.rank = static_cast<int32_t>(dims.size());
    for (size_t i = 0; i < dims.size(); ++i)
      tensor.dims[i] = dims[i];
    tensor.data = const_cast<void *>(data);
  }

  int32_t dtype() const { return tensor.dtype; }
  int32_t rank() const { return tensor.rank; }
  int64_t dim(int32_t axis) const { return tensor.dims[axis]; }
  std::vector<int64_t> dims() const { return {tensor.dims, tensor.dims + tensor.rank}; }
  int64_t size() const {
    int64_t product = 1;
    for (int32_t i = 0; i < tensor.rank; ++i)
      product *= tensor.dims[i];
    return product;
  }
  // The elements, if T is their type.
  template <typename T> const T *data() const {
    if (dtypeOf<T>() != tensor.dtype)
      throw Error(LEAT_INVALID_ARGUMENT, "the tensor's elements are of another type");
    return static_cast<const T *>(tensor.data);
  }
  const void *raw() const { return tensor.data; }
  leat_tensor *c() { return &tensor; }
  const leat_tensor *c() const { return &tensor; }

private:
  leat_tensor tensor;
};

template <typename T> TensorView view(const std::vector<T> &values, const std::vector<int64_t> &dims) {
  static_assert(!std::is_same_v<T, bool>, "std::vector<bool> has no elements to look at: use std::vector<uint8_t> and LEAT_BOOL");
  TensorView made(dtypeOf<T>(), dims, values.data());
  if (made.size() != static_cast<int64_t>(values.size()))
    throw Error(LEAT_INVALID_ARGUMENT, "the shape does not have as many elements as the vector");
  return made;
}

struct ModelOptions {
  int threads = 0; // 0: one per usable CPU
  bool verifyWeights = true;
  std::string device = {}; // "cpu", "cuda"; empty: what the model was compiled for
  leat_weight_pages weightPages = LEAT_WEIGHT_PAGES_AUTO;
  leat_gemm gemm = LEAT_GEMM_SCHEDULED;
};

class Model {
public:
  explicit Model(const std::string &path, const ModelOptions &options = {}) {
    auto given = LEAT_INIT(leat_model_options);
    given.threads = options.threads;
    given.device = options.device.empty() ? nullptr : options.device.c_str();
    given.weight_pages = options.weightPages;
    given.gemm = options.gemm;
    given.skip_weight_checksum = !options.verifyWeights;
    leat_model *made = nullptr;
    check(leat_model_load(path.c_str(), &given, &made));
    handle.reset(made);
  }

  size_t function(const std::string &name) const {
    size_t index = 0;
    check(leat_model_find_function(handle.get(), name.c_str(), &index));
    return index;
  }
  std::vector<std::string> functions() const {
    std::vector<std::string> names;
    for (size_t i = 0; i < leat_model_function_count(handle.get()); ++i)
      names.emplace_back(leat_model_function_name(handle.get(), i));
    return names;
  }
  // The infos' text belongs to the model.
  std::vector<leat_tensor_info> inputs(const std::string &name) const { return infos(name, leat_model_input_count, leat_model_input_info); }
  std::vector<leat_tensor_info> outputs(const std::string &name) const {
    return infos(name, leat_model_output_count, leat_model_output_info);
  }
  leat_model *c() const { return handle.get(); }

private:
  template <typename Count, typename Info> std::vector<leat_tensor_info> infos(const std::string &name, Count count, Info info) const {
    size_t index = function(name);
    std::vector<leat_tensor_info> list(count(handle.get(), index), LEAT_INIT(leat_tensor_info));
    for (size_t i = 0; i < list.size(); ++i)
      check(info(handle.get(), index, i, &list[i]));
    return list;
  }
  struct Release {
    void operator()(leat_model *model) const { leat_model_release(model); }
  };
  std::unique_ptr<leat_model, Release> handle;
};

struct SessionOptions {
  int64_t batch = 1;
  int64_t context = 2048;
  bool profile = false;
};

class Session {
public:
  explicit Session(const Model &model, const SessionOptions &options = {}) {
    auto given = LEAT_INIT(leat_session_options);
    given.batch = options.batch;
    given.context = options.context;
    given.profile = options.profile;
    leat_session *made = nullptr;
    check(leat_session_create(model.c(), &given, &made));
    handle.reset(made);
    this->model = &model;
  }

  // Results are views: valid until the next call on the session, and while the inputs live. The model must outlive this call.
  std::vector<TensorView> run(const std::string &function, const std::vector<std::pair<std::string, TensorView>> &inputs) {
    std::vector<const char *> names;
    std::vector<const leat_tensor *> tensors;
    for (const auto &[name, tensor] : inputs) {
      names.push_back(name.c_str());
      tensors.push_back(tensor.c());
    }
    size_t index = model->function(function);
    check(leat_session_run(handle.get(), index, names.data(), tensors.data(), inputs.size()));
    std::vector<TensorView> results(leat_model_output_count(model->c(), index));
    for (size_t i = 0; i < results.size(); ++i)
      check(leat_session_output(handle.get(), i, results[i].c()));
    return results;
  }

  // Runs the last run again, `count` times, on inputs that still live; nanoseconds of each, on a device its own.
  std::vector<int64_t> repeat(size_t count) {
    std::vector<int64_t> nanoseconds(count);
    check(leat_session_repeat(handle.get(), count, nanoseconds.data()));
    return nanoseconds;
  }
  void reset() { leat_session_reset(handle.get()); }
  int64_t tokens() const { return leat_session_tokens(handle.get()); }
  int64_t bytes() const { return leat_session_bytes(handle.get()); }
  void save(const std::string &path) const { check(leat_session_save(handle.get(), path.c_str())); }
  void load(const std::string &path) { check(leat_session_load(handle.get(), path.c_str())); }
  leat_counters counters() const {
    auto counters = LEAT_INIT(leat_counters);
    check(leat_session_counters(handle.get(), &counters));
    return counters;
  }
  leat_session *c() const { return handle.get(); }

private:
  struct Destroy {
    void operator()(leat_session *session) const { leat_session_destroy(session); }
  };
  const Model *model = nullptr;
  std::unique_ptr<leat_session, Destroy> handle;
};

struct GeneratorOptions {
  double temperature = 0;
  int64_t topK = 0;
  double topP = 1, minP = 0, repetitionPenalty = 1;
  uint64_t seed = 0;
  std::vector<int64_t> stopTokens;
};

class Generator {
public:
  explicit Generator(Session &session, const GeneratorOptions &options = {}) {
    auto given = LEAT_INIT(leat_generator_options);
    given.temperature = options.temperature;
    given.top_k = options.topK;
    given.top_p = options.topP;
    given.min_p = options.minP;
    given.repetition_penalty = options.repetitionPenalty;
    given.seed = options.seed;
    given.stop_tokens = options.stopTokens.data();
    given.stop_token_count = options.stopTokens.size();
    leat_generator *made = nullptr;
    check(leat_generator_create(session.c(), &given, &made));
    handle.reset(made);
  }

  void feed(const std::vector<int64_t> &tokens) { check(leat_generator_feed(handle.get(), tokens.data(), tokens.size())); }
  // The next token; false when it is a stop token.
  bool next(int64_t &token) {
    int32_t stop = 0;
    check(leat_generator_next(handle.get(), &token, &stop));
    return !stop;
  }
  void save(const std::string &path) const { check(leat_generator_save(handle.get(), path.c_str())); }
  void load(const std::string &path) { check(leat_generator_load(handle.get(), path.c_str())); }
  void settle() { check(leat_generator_settle(handle.get())); }
  void reset() { leat_generator_reset(handle.get()); }
  leat_generator_statistics statistics() const {
    auto statistics = LEAT_INIT(leat_generator_statistics);
    check(leat_generator_get_statistics(handle.get(), &statistics));
    return statistics;
  }
  leat_generator *c() const { return handle.get(); }

private:
  struct Destroy {
    void operator()(leat_generator *generator) const { leat_generator_destroy(generator); }
  };
  std::unique_ptr<leat_generator, Destroy> handle;
};

} // namespace leat

#endif
