/* Leat's runtime: runs compiled models (.leat). C99; C++ users may prefer leat.hpp.
 *
 * Conventions
 * - A function that can fail returns leat_status*: NULL is success, anything else says why and must be freed with leat_status_free().
 *   Results come through the last parameters and are set only on success. Only a caller's mistake that no check can see (a dangling
 * pointer) is undefined; everything else is a status.
 * - Handles are opaque. What a call returns as `const` belongs to the handle it came from and lives as long as that handle, unless said
 * otherwise.
 * - Structs begin with struct_size, so that they can grow: LEAT_INIT(type) fills it in and zeroes the rest; zero means the default.
 * - Text is UTF-8. Paths are passed to the operating system as they are.
 * - Threads: each function says what may run at the same time. Different sessions are independent. No function uses global state or
 *   environment variables.
 * - Trust: an artifact holds machine code, and loading it means running it. Files are checked against damage, not against malice. Open only
 *   artifacts that you or someone you trust compiled, and do not overwrite one in place while it is loaded.
 */
#ifndef LEAT_RUNTIME_H
#define LEAT_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
template <typename T> inline T leat_init() {
  T value{};
  value.struct_size = sizeof(T);
  return value;
}
#define LEAT_INIT(type) (leat_init<type>())
extern "C" {
#endif

#if defined(__GNUC__)
#define LEAT_API __attribute__((visibility("default")))
#else
#define LEAT_API
#endif

/* The version of this interface: grows when functions or fields are added; nothing is removed or changed within 0xMM0000. */
#define LEAT_RUNTIME_API_VERSION 0x000104u

#ifndef __cplusplus
#define LEAT_INIT(type) ((type){.struct_size = sizeof(type)})
#endif

/* What the loaded library implements; at least LEAT_RUNTIME_API_VERSION of the header you compiled with, or do not go on. Any thread. */
LEAT_API uint32_t leat_runtime_api_version(void);
/* The kernel ABI and artifact format that this library reads, in words. Any thread. */
LEAT_API const char *leat_runtime_describe(void);

/* ---- Status ---- */

typedef struct leat_status leat_status;

typedef enum leat_code {
  LEAT_OK = 0,
  LEAT_INVALID_ARGUMENT = 1, /* shapes, names, ranges, options */
  LEAT_NOT_FOUND = 2,        /* no such file, function or input */
  LEAT_BAD_FILE = 3,         /* truncated, damaged, of another kind */
  LEAT_VERSION = 4,          /* made for another version, or a state of another model */
  LEAT_UNSUPPORTED = 5,      /* this machine or library cannot */
  LEAT_CAPACITY = 6,         /* memory or context is used up */
  LEAT_IO = 7,               /* the operating system refused */
  LEAT_FAILED = 8,           /* a check inside the model failed */
  LEAT_INTERNAL = 9          /* a bug in Leat: please report */
} leat_code;

/* One line for people, and the code for programs. NULL is a valid status: LEAT_OK and "". Any thread. */
LEAT_API leat_code leat_status_code(const leat_status *status);
LEAT_API const char *leat_status_message(const leat_status *status);
LEAT_API void leat_status_free(leat_status *status);

/* ---- Tensors ---- */

#define LEAT_RANK_MAX 8

/* Element types: the numbers of ONNX. LEAT_BOOL is one byte; types below a byte take one byte each, too. */
typedef enum leat_dtype {
  LEAT_F32 = 1,
  LEAT_U8 = 2,
  LEAT_I8 = 3,
  LEAT_U16 = 4,
  LEAT_I16 = 5,
  LEAT_I32 = 6,
  LEAT_I64 = 7,
  LEAT_BOOL = 9,
  LEAT_F16 = 10,
  LEAT_F64 = 11,
  LEAT_U32 = 12,
  LEAT_U64 = 13,
  LEAT_C64 = 14,
  LEAT_C128 = 15,
  LEAT_BF16 = 16,
  LEAT_F8E4M3FN = 17,
  LEAT_F8E4M3FNUZ = 18,
  LEAT_F8E5M2 = 19,
  LEAT_F8E5M2FNUZ = 20,
  LEAT_U4 = 21,
  LEAT_I4 = 22,
  LEAT_F4E2M1 = 23,
  LEAT_F8E8M0 = 24
} leat_dtype;

/* A view of a dense row-major tensor: who owns `data` is said where one is used. */
typedef struct leat_tensor {
  size_t struct_size;
  int32_t dtype; /* leat_dtype */
  int32_t rank;  /* at most LEAT_RANK_MAX */
  int64_t dims[LEAT_RANK_MAX];
  void *data; /* aligned to its elements */
} leat_tensor;

/* Bytes of one element in memory; 0 for a number that is no type. Any thread. */
LEAT_API size_t leat_dtype_size(int32_t dtype);

/* ---- Models: loaded artifacts ---- */

typedef struct leat_model leat_model;

/* What a CPU reads weights from. The file's own pages are small: kernels that wait for memory read huge pages faster. */
typedef enum leat_weight_pages {
  LEAT_WEIGHT_PAGES_AUTO =
      0, /* huge for weights that no cache holds, where the system offers such pages and has twice the memory; else mapped */
  LEAT_WEIGHT_PAGES_MAPPED = 1, /* read from the file's mapping: nothing is copied, and processes share it */
  LEAT_WEIGHT_PAGES_HUGE = 2    /* copied at load, once per model; where memory is short or the system has no such pages, mapped */
} leat_weight_pages;

/* Who multiplies on a GPU where a kernel is a plain matrix product. Results of the two differ in their last bits; a model that is loaded
 * keeps to one for each kernel and shape. */
typedef enum leat_gemm {
  LEAT_GEMM_SCHEDULED = 0, /* what the model was compiled with (cublaslt=1 in a kernel's schedule), where cuBLASLt can be opened */
  LEAT_GEMM_GENERATED = 1, /* the model's own code */
  LEAT_GEMM_CUBLASLT = 2   /* cuBLASLt; LEAT_UNSUPPORTED if it cannot be opened */
} leat_gemm;

typedef struct leat_model_options {
  size_t struct_size;
  int32_t threads;              /* threads that work on kernels, the calling one included; 0: one per CPU that this process may use */
  int32_t skip_weight_checksum; /* nonzero: do not read all weights at load only to check them */
  const char *device;           /* "cpu", "cuda"; NULL: what the model was compiled for */
  int32_t weight_pages;         /* leat_weight_pages; 0: LEAT_WEIGHT_PAGES_AUTO */
  int32_t gemm;                 /* leat_gemm; 0: LEAT_GEMM_SCHEDULED */
} leat_model_options;

/* An input or output as the model declares it. */
typedef struct leat_tensor_info {
  size_t struct_size;
  const char *name;
  int32_t dtype;
  int32_t rank;
  int64_t dims[LEAT_RANK_MAX];        /* -1: decided at run time */
  const char *symbols[LEAT_RANK_MAX]; /* of such a dim; dims with the same symbol must agree in one call. "" if it has none */
} leat_tensor_info;

/* Maps and checks the file and loads its code. `options` may be NULL. Any thread. */
LEAT_API leat_status *leat_model_load(const char *path, const leat_model_options *options, leat_model **model);
/* Gives the handle back. Sessions keep what they need: the handle may go first. NULL is ignored. */
LEAT_API void leat_model_release(leat_model *model);

/* Functions of the model ("main": as in the ONNX file; "step": the stream, when it was compiled as one). Any thread. */
LEAT_API size_t leat_model_function_count(const leat_model *model);
LEAT_API const char *leat_model_function_name(const leat_model *model, size_t function);
LEAT_API leat_status *leat_model_find_function(const leat_model *model, const char *name, size_t *function);
LEAT_API size_t leat_model_input_count(const leat_model *model, size_t function);
LEAT_API size_t leat_model_output_count(const leat_model *model, size_t function);
/* `info->struct_size` is set by the caller. */
LEAT_API leat_status *leat_model_input_info(const leat_model *model, size_t function, size_t input, leat_tensor_info *info);
LEAT_API leat_status *leat_model_output_info(const leat_model *model, size_t function, size_t output, leat_tensor_info *info);
/* What the model runs on, for people: "CPU", "NVIDIA H200 (sm_90)". Any thread. */
LEAT_API const char *leat_model_device(const leat_model *model);
/* Which of the two a loaded model's weights are in: LEAT_WEIGHT_PAGES_MAPPED or _HUGE. A device has memory of its own: MAPPED. Any thread.
 */
LEAT_API leat_weight_pages leat_model_weight_pages(const leat_model *model);
/* A compile option or a metadata entry of the ONNX file; NULL when there is none of that name. Any thread. */
LEAT_API const char *leat_model_option(const leat_model *model, const char *key);
LEAT_API const char *leat_model_metadata(const leat_model *model, const char *key);

/* ---- Sessions: state and memory of one stream ---- */

typedef struct leat_session leat_session;

typedef struct leat_session_options {
  size_t struct_size;
  int64_t batch;   /* rows of the state; 0: 1. Functions without state take any batch */
  int64_t context; /* tokens that growing caches have room for; 0: 2048. Caches with a policy have their own size */
  int32_t profile; /* nonzero: measure each kernel; on a device each by itself, with cold caches */
} leat_session_options;

/* All memory for state is set aside here. `options` may be NULL. Any thread. */
LEAT_API leat_status *leat_session_create(const leat_model *model, const leat_session_options *options, leat_session **session);
/* NULL is ignored. */
LEAT_API void leat_session_destroy(leat_session *session);

/* The functions below are for one thread at a time per session. */

/* Runs a function. Inputs are `count` tensors by name, or in the function's order when `names` is NULL; their data is only read. The
 * model's answer to a wrong name, type or shape is LEAT_NOT_FOUND or LEAT_INVALID_ARGUMENT, with what was expected and given; nothing has
 * run then. */
LEAT_API leat_status *leat_session_run(leat_session *session, size_t function, const char *const *names, const leat_tensor *const *tensors,
                                       size_t count);
/* Runs the last run's function again, `count` times, on its inputs, whose data must still be there, and writes how long each took. On a
 * device it is the device's own time, from the first kernel to the last, each time with cold caches and without copies at the border; on a
 * CPU it is the time of the call. State moves on as in any run, and the results are those of the last of these runs. */
LEAT_API leat_status *leat_session_repeat(leat_session *session, size_t count, int64_t *nanoseconds);
/* A result of the last run. The view's data is valid until the next call that takes the session, and while that run's inputs live (a result
 * may be one of them). `tensor->struct_size` is set by the caller. */
LEAT_API leat_status *leat_session_output(const leat_session *session, size_t output, leat_tensor *tensor);

/* The stream starts again: all state is zero. */
LEAT_API void leat_session_reset(leat_session *session);
/* Tokens that the stream has seen, as the model counts them. */
LEAT_API int64_t leat_session_tokens(const leat_session *session);
/* Bytes that the session holds (state, temporaries), without the weights, which sessions share. */
LEAT_API int64_t leat_session_bytes(const leat_session *session);
/* The state in a file, and back. A state fits the model it came from, also compiled for another CPU. A failed load changes nothing. */
LEAT_API leat_status *leat_session_save(const leat_session *session, const char *path);
LEAT_API leat_status *leat_session_load(leat_session *session, const char *path);
/* A new session that goes on from here by itself. */
LEAT_API leat_status *leat_session_fork(const leat_session *session, leat_session **fork);

/* What a session has done. */
typedef struct leat_counters {
  size_t struct_size;
  int64_t runs;
  int64_t launches;     /* of kernels */
  int64_t allocations;  /* times that a temporary buffer had to grow: constant in a steady stream */
  int64_t buffer_bytes; /* held by temporary buffers: also constant in a steady stream, and less than a copy of the caches would take */
  int64_t state_bytes;  /* held by state slots: constant for the session's life but for caches in pages, which hold the pages in use */
  int64_t pages_taken;  /* by rows whose caches grew, where caches lie in pages: since the session was made */
} leat_counters;
LEAT_API leat_status *leat_session_counters(const leat_session *session, leat_counters *counters);

/* Measurements of one kernel since the session was made; needs leat_session_options.profile. */
typedef struct leat_kernel_profile {
  size_t struct_size;
  const char *name;
  const char *description;
  int64_t calls;
  int64_t nanoseconds;
  int64_t bytes;      /* that had to move at least, by the kernel's own model */
  int64_t operations; /* likewise */
  int64_t requested;  /* bytes that its tasks asked the memory for, what several of them want counted for each */
  int64_t unfused;    /* bytes that the ops it was made of would move, if each were a kernel */
} leat_kernel_profile;
LEAT_API size_t leat_session_kernel_count(const leat_session *session);
LEAT_API leat_status *leat_session_kernel_profile(const leat_session *session, size_t kernel, leat_kernel_profile *profile);

/* ---- Generators: tokens in, tokens out ---- */

typedef struct leat_generator leat_generator;

typedef struct leat_generator_options {
  size_t struct_size;
  const char *function; /* NULL: the step function */
  double temperature;   /* 0: greedy */
  int64_t top_k;        /* 0: all */
  double top_p;         /* 0: 1, all */
  double min_p;
  double repetition_penalty; /* 0: 1, none */
  uint64_t seed;
  const int64_t *stop_tokens;
  size_t stop_token_count;
  int64_t chunk; /* most tokens fed at once; 0: 256 */
} leat_generator_options;

/* Decodes on a session with a batch of 1, which must outlive the generator and is used by it alone. `options` may be NULL. A generator is
 * for one thread at a time. */
LEAT_API leat_status *leat_generator_create(leat_session *session, const leat_generator_options *options, leat_generator **generator);
LEAT_API void leat_generator_destroy(leat_generator *generator);
/* Adds tokens to the stream. A token outside the vocabulary is LEAT_INVALID_ARGUMENT, a full context LEAT_CAPACITY; the first changes
 * nothing. */
LEAT_API leat_status *leat_generator_feed(leat_generator *generator, const int64_t *tokens, size_t count);
/* Chooses the next token and adds it. `*stop` is nonzero for a stop token. */
LEAT_API leat_status *leat_generator_next(leat_generator *generator, int64_t *token, int32_t *stop);
/* Chooses up to `limit` tokens and calls back with each; stops early at a stop token or when the callback returns 0. `generated` may be
 * NULL. */
typedef int32_t (*leat_token_callback)(void *context, int64_t token);
LEAT_API leat_status *leat_generator_run(leat_generator *generator, int64_t limit, leat_token_callback callback, void *context,
                                         int64_t *generated);
/* Adds tokens and writes to nll[i] how surprising tokens[i] was (negative log likelihood, nats; NaN for the first token of a stream).
 * Perplexity is exp of the mean. */
LEAT_API leat_status *leat_generator_score(leat_generator *generator, const int64_t *tokens, size_t count, double *nll);
/* Brings the session's state up to date with the last token chosen: before leat_session_save() or leat_session_fork(). */
LEAT_API leat_status *leat_generator_settle(leat_generator *generator);
/* The session's state with the generator's place in it, and back: what is generated after a load is what would have been generated without
 * the pause, given the same options. A file from leat_session_save() can be loaded, too, and goes on once tokens are fed. A failed load
 * changes nothing. */
LEAT_API leat_status *leat_generator_save(const leat_generator *generator, const char *path);
LEAT_API leat_status *leat_generator_load(leat_generator *generator, const char *path);
/* The stream starts again, or goes on from a state that was just loaded into the session. */
LEAT_API void leat_generator_reset(leat_generator *generator);
LEAT_API void leat_generator_state_loaded(leat_generator *generator);

typedef struct leat_generator_statistics {
  size_t struct_size;
  int64_t prompt_tokens;    /* fed or scored */
  int64_t generated_tokens; /* chosen */
  double prompt_seconds;
  double decode_seconds;
} leat_generator_statistics;
LEAT_API leat_status *leat_generator_get_statistics(const leat_generator *generator, leat_generator_statistics *statistics);

#ifdef __cplusplus
}
#endif

#endif
