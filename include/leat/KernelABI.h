/* The contract between generated code and whoever runs it. Version it with LEAT_KERNEL_ABI: an artifact names the version it was
 * compiled for and the runtime refuses any other. Plain C: the compiler lays these structs out by offset (all fields are 8 bytes wide). */
#ifndef LEAT_KERNEL_ABI_H
#define LEAT_KERNEL_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LEAT_KERNEL_ABI 2
#define LEAT_MAX_RANK 8

/* A dense row-major tensor. i1 is stored as one byte (0 or 1), sub-byte integers are unpacked to one byte at the border. */
typedef struct LeatBuffer {
  void *data;
  int64_t rank;
  int64_t dims[LEAT_MAX_RANK];
} LeatBuffer;

/* A scratch buffer of a session. Grows when a step needs more than ever before; never shrinks: a steady stream allocates nothing. */
typedef struct LeatSlot {
  void *data;
  int64_t bytes;
} LeatSlot;

/* A state slot of a session. Row-major [dims...] where dims[axis] is the capacity; `length` entries along the axis are live. */
typedef struct LeatState {
  void *data;
  int64_t capacity; /* entries along the growing axis: dims[axis] */
  int64_t length;   /* live entries (append: seen so far; ring: slots written) */
  int64_t dims[LEAT_MAX_RANK];
} LeatState;

typedef struct LeatFrame LeatFrame;

struct LeatFrame {
  void *const *params; /* one per parameter of the artifact, in manifest order; 64-byte aligned */
  LeatSlot *slots;     /* one per planned buffer */
  LeatState *states;   /* one per state slot */
  LeatBuffer *inputs;  /* set by the caller */
  LeatBuffer *outputs; /* set by the generated function: data points into slots, params, states or inputs */
  int64_t batch;       /* the session's batch size, for stateful functions */
  /* Makes slot `index` hold at least `bytes`; returns its data, or null when memory is not to be had. Called only when it is too small. */
  void *(*grow)(LeatFrame *frame, int64_t index, int64_t bytes);
  /* Runs kernel `index` over all its tasks on the session's pool. Returns 0 or an error code. */
  int64_t (*launch)(LeatFrame *frame, int64_t index, void *const *buffers, const int64_t *scalars);
  /* Reports a failed run-time check: `message` indexes the manifest's messages, a and b are its arguments. Returns the code for the
   * function to return. */
  int64_t (*fail)(LeatFrame *frame, int64_t message, int64_t a, int64_t b);
  void *session; /* the runtime's own */
};

/* A compiled function of the model: 0, or what launch or fail returned. */
typedef int64_t (*LeatFunction)(LeatFrame *frame);

/* One kernel. `scalars`: first the kernel's scalar operands (index, integers sign extended, floats as their bits), then for each tensor
 * operand its dynamic dimensions in order (for a state: capacity, length, then all dims), then the dynamic dimensions of the results.
 * `buffers`: tensor operands (for a state its data), then results. */
typedef struct LeatKernel {
  /* Runs tasks [begin, end). Tasks are independent; the split does not depend on the number of threads. `shared` is the same memory for
   * all workers; what is in it at the start is undefined. */
  void (*run)(void *const *buffers, const int64_t *scalars, int64_t begin, int64_t end, void *scratch, void *shared);
  int64_t (*tasks)(const int64_t *scalars);
  int64_t (*scratch)(const int64_t *scalars);         /* bytes of scratch per worker, 64-byte aligned; may be 0 */
  void (*cost)(const int64_t *scalars, int64_t *out); /* out[0] bytes moved (lower bound), out[1] operations */
  /* A second phase, which starts when all tasks of the first have ended and joins what they left in `shared`. Null if there is none. */
  void (*finish)(void *const *buffers, const int64_t *scalars, int64_t begin, int64_t end, void *scratch, void *shared);
  int64_t (*finish_tasks)(const int64_t *scalars);
  int64_t (*shared)(const int64_t *scalars); /* bytes of `shared`, 64-byte aligned; null: none */
} LeatKernel;

/* Symbols that the shared object in an artifact exports:
 *   const LeatKernel leat_kernels[];     in manifest order
 *   one LeatFunction per function, named in the manifest */

#ifdef __cplusplus
}
#endif

#endif
