/* The contract between generated code and whoever runs it. Version it with LEAT_KERNEL_ABI: an artifact names the version it was
 * compiled for and the runtime refuses any other. Plain C: the compiler lays these structs out by offset (all fields are 8 bytes wide). */
#ifndef LEAT_KERNEL_ABI_H
#define LEAT_KERNEL_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LEAT_KERNEL_ABI 7
#define LEAT_MAX_RANK 8
#define LEAT_MAX_GROUP 8

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

/* A state slot of a session. Row-major [dims...] where dims[axis] is the capacity; `length` entries along the axis are live.
 * A pool of pages [pages, heads, entries, size]: pages are row-major, page i begins at data + 64 * capacity * i, and the table, a slot of
 * its own, i32 [batch, pages of a row], names the pages of each row. */
typedef struct LeatState {
  void *data;
  int64_t capacity; /* entries along the growing axis: dims[axis]; of a pool, 64-byte units from page to page */
  int64_t length;   /* live entries (append: seen so far; ring: slots written) */
  int64_t dims[LEAT_MAX_RANK];
} LeatState;

/* A launch of kernel `kernel`: what LeatKernel's functions take. */
typedef struct LeatLaunch {
  int64_t kernel;
  void *const *buffers;
  const int64_t *scalars;
} LeatLaunch;

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
  /* Where kernels run on a device, tensors are in its memory: `params`, slots, inputs, outputs and states but for counters, which stay with
   * the host. Host functions reach them through these, which return 0 or an error code; elsewhere they are null. */
  int64_t (*read)(LeatFrame *frame, void *host, const void *device, int64_t bytes);
  int64_t (*write)(LeatFrame *frame, void *device, const void *host, int64_t bytes);
  int64_t (*copy)(LeatFrame *frame, void *to, const void *from, int64_t bytes);
  /* The device's copy of a constant of the shared object, made when it is first asked for. */
  int64_t (*constant)(LeatFrame *frame, void **device, const void *host, int64_t bytes);
  /* Gives each row the pages that a stream of `tokens` tokens needs, before the first kernel of a step that uses them. Returns 0 or an
   * error code; then no state has changed. */
  int64_t (*reserve)(LeatFrame *frame, int64_t tokens);
  /* Runs up to LEAT_MAX_GROUP kernels that do not depend on each other, at once or in any order. Returns 0 or an error code. */
  int64_t (*launch_group)(LeatFrame *frame, const LeatLaunch *launches, int64_t count);
};

/* A compiled function of the model: 0, or what launch or fail returned. */
typedef int64_t (*LeatFunction)(LeatFrame *frame);

/* What a run of a kernel costs, by its own model. Bytes at least: those of its operands and results, once (of
 * products: of the two factors and of the product, without what an epilogue reads). Requested: what its tasks (on a
 * device: its blocks) ask the memory for, which is more where several want the same. Unfused: what the ops that it was made of would read
 * and write if each were a kernel, attention by its definition, with logits and weights of all pairs in memory. */
#define LEAT_COST_BYTES 0
#define LEAT_COST_OPERATIONS 1
#define LEAT_COST_REQUESTED 2
#define LEAT_COST_UNFUSED 3
#define LEAT_COSTS 4

/* One kernel. `scalars`: first the kernel's scalar operands (index, integers sign extended, floats as their bits), then for each tensor
 * operand its dynamic dimensions in order (for a state: capacity, length, then all dims), then the dynamic dimensions of the results.
 * `buffers`: tensor operands (for a state its data), then results. */
typedef struct LeatKernel {
  /* Runs tasks [begin, end). Tasks are independent; the split does not depend on the number of threads. `shared` is the same memory for
   * all workers; what is in it at the start is undefined. */
  void (*run)(void *const *buffers, const int64_t *scalars, int64_t begin, int64_t end, void *scratch, void *shared);
  int64_t (*tasks)(const int64_t *scalars);
  int64_t (*scratch)(const int64_t *scalars);         /* bytes of scratch per worker, 64-byte aligned; may be 0 */
  void (*cost)(const int64_t *scalars, int64_t *out); /* fills in LEAT_COST_... */
  /* A second phase, which starts when all tasks of the first have ended and joins what they left in `shared`. Null if there is none. */
  void (*finish)(void *const *buffers, const int64_t *scalars, int64_t begin, int64_t end, void *scratch, void *shared);
  int64_t (*finish_tasks)(const int64_t *scalars);
  int64_t (*shared)(const int64_t *scalars); /* bytes of `shared`, 64-byte aligned; null: none */
} LeatKernel;

/* --- kernels that run on a device -----------------------------------------------------------------------------------------------------
 * An entry of device code takes its arguments by value: an array of pointers (`buffers` of LeatKernel, then LEAT_DEVICE_BUFFERS of the
 * device: the scratch memory of all threads, what the phases of a kernel share, and tickets: 32 bits that are 0 before each launch and
 * behind it), the array of scalars (at least one), then the tensor maps that the geometry names. */

#define LEAT_DEVICE_BUFFERS 3

#define LEAT_MAX_TENSOR_MAPS 8
#define LEAT_MAX_PHASES 8

/* A view of a buffer that the device copies tiles of. Dimensions and strides begin with the innermost; strides[0] is one element. */
typedef struct LeatTensorMap {
  int64_t buffer; /* index into the entry's pointers */
  int64_t offset; /* bytes from there on */
  int64_t dtype;  /* ONNX's number of the element type */
  int64_t rank;   /* 1 to 5 */
  int64_t dims[5];
  int64_t strides[5]; /* bytes */
  int64_t box[5];     /* elements of a tile */
  int64_t swizzle;    /* bytes of the pattern: 0, 32, 64, 128 */
} LeatTensorMap;

/* How one phase of a kernel is launched. */
typedef struct LeatGeometry {
  int64_t grid[3], block[3], cluster[3]; /* a grid with a 0 in it: nothing to do */
  int64_t dynamic_shared;                /* bytes of shared memory per block, beside what the entry declares */
  int64_t scratch;                       /* bytes of scratch memory of all threads together */
  int64_t joined;                        /* bytes that the phases share */
  int64_t resident; /* if not 0: no more blocks than this for each multiprocessor are launched; they draw tickets for the rest of grid[0] */
  int64_t tensor_maps;
  LeatTensorMap maps[LEAT_MAX_TENSOR_MAPS];
} LeatGeometry;

/* A matrix of each batch of a product: its rows' elements are adjacent in memory, or if it is `transposed`, its columns'. */
typedef struct LeatGemmMatrix {
  int64_t buffer;       /* index into the entry's pointers */
  int64_t offset;       /* bytes from there on */
  int64_t dtype;        /* ONNX's number of the element type */
  int64_t transposed;   /* 0 or 1 */
  int64_t stride;       /* elements from row to row; transposed: from column to column */
  int64_t batch_stride; /* elements from matrix to matrix; 0: all batches have the same */
} LeatGemmMatrix;

/* A launch of a kernel that is a plain product, for whoever has a library that multiplies: output [m, n] = left [m, k] * right [k, n] +
 * bias [n], summed in f32 and rounded once. m is 0 where the rows are so few that the kernel is not to be replaced. */
typedef struct LeatGemm {
  int64_t m, n, k, batch;
  LeatGemmMatrix left, right, output;
  int64_t bias; /* index into the entry's pointers, of elements of the output's type; -1: none */
} LeatGemm;

/* What a kernel does with a buffer. */
#define LEAT_ACCESS_READ 0
#define LEAT_ACCESS_WRITE 1
#define LEAT_ACCESS_UPDATE 2

/* One kernel of an artifact with device code. If it has some itself, `run` and `finish` are null in its LeatKernel, and `cost` may be the
 * only function there. */
typedef struct LeatDeviceKernel {
  /* Fills in out[phase] for each phase; the phases are launched in order. Null for kernels that run on the host. */
  void (*geometry)(const int64_t *scalars, LeatGeometry *out);
  /* For kernels that run on the host, on copies of their buffers: out[2i] is the size of buffer i in bytes, out[2i+1] LEAT_ACCESS_... */
  void (*extents)(const int64_t *scalars, int64_t *out);
  /* Null for kernels that are no plain product. */
  void (*gemm)(const int64_t *scalars, LeatGemm *out);
} LeatDeviceKernel;

/* Symbols that the shared object in an artifact exports:
 *   const LeatKernel leat_kernels[];                in manifest order
 *   const LeatDeviceKernel leat_device_kernels[];   likewise; only in artifacts with device code
 *   one LeatFunction per function, named in the manifest */

#ifdef __cplusplus
}
#endif

#endif
