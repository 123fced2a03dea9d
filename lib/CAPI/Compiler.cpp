// The C border of the compiler: options read by their struct_size, messages kept in a report.
#include "leat/Compiler.h"
#include "lib/Pipeline/CompileFile.h"

#include <algorithm>
#include <cstring>

struct leat_compile_report {
  std::vector<leat::Message> messages;
};

extern "C" {

uint32_t leat_compiler_api_version(void) { return LEAT_COMPILER_API_VERSION; }

leat_compile_code leat_compile(const char *model, const char *output, const leat_compile_options *options, leat_compile_report **report) {
  std::vector<leat::Message> messages;
  auto finish = [&](leat::Outcome outcome) {
    if (report)
      *report = new leat_compile_report{std::move(messages)};
    return static_cast<leat_compile_code>(outcome);
  };
  auto misuse = [&](std::string text) {
    messages.push_back({true, std::move(text)});
    return finish(leat::Outcome::Usage);
  };
  if (!model || !output)
    return misuse(model ? "output is NULL" : "model is NULL");
  // A copy of a struct of any age: fields that it does not have yet are zero.
  leat_compile_options given;
  std::memset(&given, 0, sizeof(given));
  if (options) {
    if (options->struct_size < sizeof(size_t) || options->struct_size > 4096)
      return misuse("leat_compile_options: struct_size is not set; use LEAT_COMPILER_INIT");
    std::memcpy(&given, options, std::min(options->struct_size, sizeof(given)));
  }
  auto text = [](const char *value, const char *otherwise) { return std::string(value ? value : otherwise); };
  leat::CompileOptions compile;
  compile.targetCpu = text(given.target_cpu, "native");
  compile.target = text(given.target, "cpu");
  compile.gpu = text(given.gpu, "sm_80");
  compile.ptxas = text(given.ptxas, "");
  compile.kvPolicy = text(given.kv, "retain=all");
  compile.stateOverrides = text(given.states, "");
  compile.dumpStages = text(given.dump_stages, "");
  compile.modelName = text(given.model_name, "");
  compile.weights = text(given.weights, "f32");
  compile.scheduleFile = text(given.schedule, "");
  if (given.keep_weights_count && !given.keep_weights)
    return misuse("keep_weights is NULL");
  for (size_t i = 0; i < given.keep_weights_count; ++i) {
    if (!given.keep_weights[i])
      return misuse("keep_weights has a NULL");
    compile.keepWeights.push_back(given.keep_weights[i]);
  }
  compile.int8Activations = given.int8_activations != 0;
  compile.bf16Activations = given.bf16_activations != 0;
  compile.embedIR = given.embed_ir != 0;
  if (given.threads < 0)
    return misuse("threads is negative");
  compile.threads = static_cast<unsigned>(given.threads);
  auto emit = leat::parseEmit(text(given.emit, "artifact"));
  if (!emit)
    return misuse("emit is one of onnx, leat, kernels, llvm, asm, ptx, artifact; got '" + text(given.emit, "") + "'");
  compile.emit = *emit;
  leat::FrontendOptions frontend;
  if (given.shape_count && !given.shapes)
    return misuse("shapes is NULL");
  for (size_t i = 0; i < given.shape_count; ++i) {
    if (!given.shapes[i])
      return misuse("shapes has a NULL");
    frontend.shapes.push_back(given.shapes[i]);
  }
  if (given.progress)
    compile.progress = [&](llvm::StringRef stage, double fraction) {
      given.progress(given.progress_context, stage.str().c_str(), fraction);
    };
  return finish(leat::compileFile(model, frontend, std::move(compile), output, [&](const leat::Message &m) { messages.push_back(m); }));
}

size_t leat_compile_report_count(const leat_compile_report *report) { return report ? report->messages.size() : 0; }

const char *leat_compile_report_message(const leat_compile_report *report, size_t index) {
  return index < leat_compile_report_count(report) ? report->messages[index].text.c_str() : nullptr;
}

int32_t leat_compile_report_is_error(const leat_compile_report *report, size_t index) {
  return index < leat_compile_report_count(report) && report->messages[index].error;
}

void leat_compile_report_free(leat_compile_report *report) { delete report; }
}
