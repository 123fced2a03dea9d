/* Compiles a model and shows what it became, in plain C:
 *
 *     compile MODEL.onnx MODEL.leat [POLICY]
 *
 * POLICY is what caches keep, for example "sink(4)+recent(1020)". */
#include "leat/Compiler.h"
#include "leat/Runtime.h"

#include <stdio.h>

static void progress(void *context, const char *stage, double fraction) {
  (void)context;
  if (fraction == 0)
    fprintf(stderr, "compile: %s\n", stage);
}

int main(int argc, char **argv) {
  if (argc != 3 && argc != 4) {
    fprintf(stderr, "usage: compile MODEL.onnx MODEL.leat [POLICY]\n");
    return LEAT_COMPILE_USAGE;
  }
  if (leat_compiler_api_version() < LEAT_COMPILER_API_VERSION || leat_runtime_api_version() < LEAT_RUNTIME_API_VERSION) {
    fprintf(stderr, "compile: the Leat libraries are older than this program\n");
    return LEAT_COMPILE_FAILED;
  }
  leat_compile_options options = LEAT_COMPILER_INIT(leat_compile_options);
  options.kv = argc == 4 ? argv[3] : NULL;
  options.progress = progress;
  leat_compile_report *report;
  leat_compile_code code = leat_compile(argv[1], argv[2], &options, &report);
  for (size_t i = 0; i < leat_compile_report_count(report); ++i)
    fprintf(stderr, "compile: %s: %s\n", leat_compile_report_is_error(report, i) ? "error" : "warning",
            leat_compile_report_message(report, i));
  leat_compile_report_free(report);
  if (code != LEAT_COMPILE_OK)
    return code;

  leat_model *model;
  leat_status *status = leat_model_load(argv[2], NULL, &model);
  if (status) {
    fprintf(stderr, "compile: %s\n", leat_status_message(status));
    leat_status_free(status);
    return LEAT_COMPILE_FAILED;
  }
  for (size_t f = 0; f < leat_model_function_count(model); ++f)
    printf("%s: %zu inputs, %zu outputs\n", leat_model_function_name(model, f), leat_model_input_count(model, f),
           leat_model_output_count(model, f));
  leat_model_release(model);
  return LEAT_COMPILE_OK;
}
