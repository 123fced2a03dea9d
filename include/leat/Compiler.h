/* Leat's compiler: ONNX models to artifacts (.leat) that Runtime.h runs. C99. Lives in libleat_compiler, which needs LLVM; the runtime does
 * not.
 *
 * Conventions
 * - leat_compile() answers with a code, the same numbers as the exit codes of the leat tool, and puts what it has to say into a report:
 * errors, and also on success warnings and what was done to weights. Nothing is printed.
 * - Structs begin with struct_size, so that they can grow: LEAT_COMPILER_INIT(type) fills it in and zeroes the rest; zero or NULL means the
 * default.
 * - Text is UTF-8. Text that a report returns belongs to the report.
 * - Any thread may compile; several at once are independent. No environment variables, no global state.
 */
#ifndef LEAT_COMPILER_H
#define LEAT_COMPILER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
template <typename T> inline T leat_compiler_init() {
  T value{};
  value.struct_size = sizeof(T);
  return value;
}
#define LEAT_COMPILER_INIT(type) (leat_compiler_init<type>())
extern "C" {
#else
#define LEAT_COMPILER_INIT(type) ((type){.struct_size = sizeof(type)})
#endif

#if defined(__GNUC__)
#define LEAT_COMPILER_API __attribute__((visibility("default")))
#else
#define LEAT_COMPILER_API
#endif

/* The version of this interface: grows when functions or fields are added; nothing is removed or changed within 0xMM0000. */
#define LEAT_COMPILER_API_VERSION 0x000102u

/* What the loaded library implements; at least LEAT_COMPILER_API_VERSION of the header you compiled with, or do not go on. */
LEAT_COMPILER_API uint32_t leat_compiler_api_version(void);

typedef enum leat_compile_code {
  LEAT_COMPILE_OK = 0,
  LEAT_COMPILE_FAILED = 1,      /* the work failed: disk full, a bug in Leat */
  LEAT_COMPILE_USAGE = 2,       /* an option makes no sense */
  LEAT_COMPILE_UNSUPPORTED = 3, /* an operator or a policy that cannot be compiled; the report names every one and its node */
  LEAT_COMPILE_BAD_INPUT = 4    /* no such file, damaged, not a valid model */
} leat_compile_code;

typedef struct leat_compile_options {
  size_t struct_size;
  const char *target_cpu; /* "native" (default), "generic", "x86-64-v3", "x86-64-v4", or a processor's name as LLVM knows it */
  const char *kv; /* what caches keep: "retain=all" (default), "recent(R)", "sink(S)+recent(R)"; ",prec=f16" stores them in 16 bits */
  const char *const *shapes; /* shape_count texts: "batch=1" fixes a symbol, "input=1x128" an input's shape */
  size_t shape_count;
  const char *states;       /* file with pairs of past and present tensors that are not recognised by name */
  const char *emit;         /* "artifact" (default), or the text of a level: "onnx", "leat", "kernels", "llvm", "asm", "ptx" */
  const char *dump_stages;  /* folder that gets the IR after each stage */
  const char *model_name;   /* recorded in the artifact; default: the model's file name */
  int32_t int8_activations; /* nonzero: products that allow it quantise their activations to 8 bits */
  int32_t embed_ir;         /* nonzero: keep the leat-level IR in the artifact */
  int32_t threads;          /* threads to compile with; 0: all */
  /* Called at the beginning of a stage and on the way, from the calling thread; `fraction` in [0, 1] is that of the stage. */
  void (*progress)(void *context, const char *stage, double fraction);
  void *progress_context;
  const char *weights; /* how weights of products are stored: "f32" (default: as the model has them), "bf16", "f16", "int8", "int4",
                          "int8(g=N)", "int4(g=N)": N values share a scale (a multiple of 32) */
  const char *const *keep_weights; /* keep_weights_count patterns of names of weights that stay as they are */
  size_t keep_weights_count;
  const char *target;       /* where kernels run: "cpu" (default), "cuda" */
  const char *gpu;          /* for cuda: "sm_80" (default: Ampere and later), "sm_90a" (Hopper only), ... */
  const char *ptxas;        /* for cuda: NVIDIA's assembler; default: where it usually is, if it is there */
  const char *schedule;     /* file with sizes of kernels, as leat inspect --schedule prints them and leat tune finds them */
  int32_t bf16_activations; /* nonzero: products with bf16 weights may round their activations to bf16 */
} leat_compile_options;

typedef struct leat_compile_report leat_compile_report;

/* Compiles the model at `model` (ONNX, or leat-level IR as .mlir) and writes `output`. `options` may be NULL. If `report` is not NULL it
 * gets a report, whatever the outcome; free it with leat_compile_report_free(). A failed compilation leaves no file behind. */
LEAT_COMPILER_API leat_compile_code leat_compile(const char *model, const char *output, const leat_compile_options *options,
                                                 leat_compile_report **report);

/* Messages in the order they came. NULL is an empty report. */
LEAT_COMPILER_API size_t leat_compile_report_count(const leat_compile_report *report);
/* One line; NULL for an index out of range. */
LEAT_COMPILER_API const char *leat_compile_report_message(const leat_compile_report *report, size_t index);
/* Nonzero for an error, zero for a warning or a note. */
LEAT_COMPILER_API int32_t leat_compile_report_is_error(const leat_compile_report *report, size_t index);
LEAT_COMPILER_API void leat_compile_report_free(leat_compile_report *report);

#ifdef __cplusplus
}
#endif
#endif
