// Writes artifacts around the hand-made shared object of tiny_model.c.
#ifndef LEAT_TEST_UNIT_RUNTIME_TINYMODEL_H
#define LEAT_TEST_UNIT_RUNTIME_TINYMODEL_H

#include "leat/KernelABI.h"
#include "runtime/artifact/Artifact.h"
#include "runtime/artifact/Manifest_generated.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <random>
#include <string>
#include <unistd.h>
#include <vector>

namespace leat::test {

// A file name that is removed at the end.
struct TemporaryFile {
  explicit TemporaryFile(const std::string &suffix) {
    static int number = 0;
    path = "/tmp/leat_test." + std::to_string(getpid()) + "." + std::to_string(number++) + suffix;
  }
  TemporaryFile(const TemporaryFile &) = delete;
  ~TemporaryFile() { std::remove(path.c_str()); }
  std::string path;
};

inline fb::ManifestT tinyManifest() {
  auto dim = [](const char *symbol, int64_t value = -1) {
    auto out = std::make_unique<fb::DimT>();
    out->symbol = symbol;
    out->value = value;
    return out;
  };
  auto tensor = [&](const char *name, rt::DType dtype, std::initializer_list<std::pair<const char *, int64_t>> dims) {
    auto out = std::make_unique<fb::TensorInfoT>();
    out->name = name;
    out->dtype = static_cast<int>(dtype);
    for (auto [symbol, value] : dims)
      out->dims.push_back(dim(symbol, value));
    return out;
  };
  auto function = [](const char *name, const char *symbol, const char *kind) {
    auto out = std::make_unique<fb::FunctionT>();
    out->name = name;
    out->symbol = symbol;
    out->kind = kind;
    out->slots = 2;
    return out;
  };
  auto state = [](const char *name, std::vector<int64_t> dims, fb::Growth growth, int axis, int batchAxis) {
    auto out = std::make_unique<fb::StateInfoT>();
    out->name = name;
    out->dtype = static_cast<int>(rt::DType::I64);
    out->dims = std::move(dims);
    out->growth = growth;
    out->axis = axis;
    out->batch_axis = batchAxis;
    return out;
  };
  fb::ManifestT manifest;
  manifest.kernel_abi = LEAT_KERNEL_ABI;
  manifest.compiler = "hand-made";
  manifest.model = "tiny";
  auto main = function("main", "leat_main", "main");
  main->inputs.push_back(tensor("x", rt::DType::F32, {{"rows", -1}, {"cols", -1}}));
  main->inputs.push_back(tensor("y", rt::DType::F32, {{"rows", -1}, {"cols", -1}}));
  main->outputs.push_back(tensor("sum", rt::DType::F32, {{"rows", -1}, {"cols", -1}}));
  main->outputs.push_back(tensor("weight", rt::DType::F32, {{"", 1}}));
  main->outputs.push_back(tensor("same", rt::DType::F32, {{"rows", -1}, {"cols", -1}}));
  auto step = function("step", "leat_step", "step");
  step->inputs.push_back(tensor("input_ids", rt::DType::I64, {{"batch", -1}, {"seq", -1}}));
  step->outputs.push_back(tensor("logits", rt::DType::F32, {{"batch", -1}, {"seq", -1}, {"", 7}}));
  manifest.functions.push_back(std::move(main));
  manifest.functions.push_back(std::move(step));
  for (const char *name : {"axpy", "append", "logits"}) {
    auto kernel = std::make_unique<fb::KernelT>();
    kernel->name = name;
    manifest.kernels.push_back(std::move(kernel));
  }
  for (int i = 0; i < 2; ++i) {
    auto param = std::make_unique<fb::ParamT>();
    param->name = i ? "weight" : "unused";
    param->dtype = static_cast<int>(rt::DType::F32);
    param->dims = {1};
    param->offset = 64 * i;
    param->length = 4;
    manifest.params.push_back(std::move(param));
  }
  manifest.states.push_back(state("cache", {-1, -1}, fb::Growth::Append, 1, 0));
  manifest.states.push_back(state("seen", {}, fb::Growth::Counter, -1, -1));
  manifest.messages = {"the context is full: {0} tokens do not fit into {1}", "{0} columns in {1} rows bring bad luck"};
  return manifest;
}

inline std::vector<uint8_t> readAll(const std::string &path) {
  auto bytes = rt::readFile(path);
  return bytes.ok() ? *bytes : std::vector<uint8_t>();
}

// Writes the tiny artifact, its manifest changed by `change`. With `weightBytes`, its weight is the last of as many, random otherwise.
inline void writeTiny(const std::string &path, const std::function<void(fb::ManifestT &)> &change = {},
                      std::vector<uint8_t> code = readAll(TINY_MODEL), size_t weightBytes = 68) {
  fb::ManifestT manifest = tinyManifest();
  uint64_t at = (weightBytes - 4) & ~uint64_t(63);
  manifest.params[1]->offset = at;
  if (change)
    change(manifest);
  flatbuffers::FlatBufferBuilder builder;
  fb::FinishManifestBuffer(builder, fb::Manifest::Pack(builder, &manifest));
  std::vector<uint8_t> weights(weightBytes);
  std::minstd_rand random(1);
  std::generate(weights.begin(), weights.end(), [&] { return static_cast<uint8_t>(random() >> 16); });
  float weight = 3;
  std::memcpy(weights.data() + at, &weight, 4);
  rt::SectionToWrite sections[] = {{rt::SectionKind::Manifest, {builder.GetBufferPointer(), builder.GetSize()}},
                                   {rt::SectionKind::HostCode, code, 4096},
                                   {rt::SectionKind::Weights, weights, 4096}};
  rt::Status status = rt::writeContainer(path, rt::artifactMagic, rt::artifactFormat, sections);
  if (!status.ok())
    std::fprintf(stderr, "%s\n", status.message().c_str());
}

} // namespace leat::test

#endif
