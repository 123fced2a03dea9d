/* Stands in for generated code: the shared object of a model with a stateless `main` and a stateful `step`, written by hand against
 * KernelABI.h, so that the runtime is tested without the compiler.
 *   main: x f32 [rows,cols], y f32 [rows,cols] -> sum = x * weight + y, weight (a parameter), same = x (an input)
 *   step: ids i64 [batch,seq] -> logits f32 [batch,seq,7]: peaks at (sum over all tokens t so far of (t + 1) * id) mod 7 */
#include "leat/KernelABI.h"

#include <string.h>

enum { vocabulary = 7 };

#ifndef TINY_SIGN /* a second model of the same names differs in this */
#define TINY_SIGN 1
#endif

/* Kernel 0. buffers: x, y, weight, sum; scalars: rows, cols. One task a row. */
static void axpyRun(void *const *buffers, const int64_t *scalars, int64_t begin, int64_t end, void *scratch, void *shared) {
  const float *x = buffers[0], *y = buffers[1], *weight = buffers[2];
  float *sum = buffers[3], *row = scratch;
  int64_t cols = scalars[1];
  for (int64_t r = begin; r < end; ++r) {
    for (int64_t c = 0; c < cols; ++c)
      row[c] = x[r * cols + c] * weight[0];
    for (int64_t c = 0; c < cols; ++c)
      sum[r * cols + c] = row[c] + TINY_SIGN * y[r * cols + c];
  }
}
static int64_t axpyTasks(const int64_t *scalars) { return scalars[0]; }
static int64_t axpyScratch(const int64_t *scalars) { return scalars[1] * 4; }
static void axpyCost(const int64_t *scalars, int64_t *out) {
  out[0] = 12 * scalars[0] * scalars[1];
  out[1] = 2 * scalars[0] * scalars[1];
}

/* Kernel 1: append. buffers: cache, ids; scalars: at, capacity, length, batch, capacity, batch, seq. */
static void appendRun(void *const *buffers, const int64_t *scalars, int64_t begin, int64_t end, void *scratch, void *shared) {
  int64_t *cache = buffers[0];
  const int64_t *ids = buffers[1];
  int64_t at = scalars[0], capacity = scalars[1], seq = scalars[6];
  for (int64_t b = begin; b < end; ++b)
    for (int64_t s = 0; s < seq; ++s)
      cache[b * capacity + at + s] = ids[b * seq + s];
}
/* Kernel 2: logits. buffers: cache, logits; scalars as above. */
static void logitsRun(void *const *buffers, const int64_t *scalars, int64_t begin, int64_t end, void *scratch, void *shared) {
  const int64_t *cache = buffers[0];
  float *logits = buffers[1];
  int64_t at = scalars[0], capacity = scalars[1], seq = scalars[6];
  for (int64_t b = begin; b < end; ++b)
    for (int64_t s = 0; s < seq; ++s) {
      int64_t peak = 0;
      for (int64_t t = 0; t <= at + s; ++t)
        peak = (peak + (t + 1) * cache[b * capacity + t]) % vocabulary;
      for (int64_t v = 0; v < vocabulary; ++v)
        logits[(b * seq + s) * vocabulary + v] = (float)-(v - peak) * (float)(v - peak);
    }
}
static int64_t rowTasks(const int64_t *scalars) { return scalars[5]; }

#define EXPORT __attribute__((visibility("default")))

EXPORT const LeatKernel leat_kernels[] = {
    {axpyRun, axpyTasks, axpyScratch, axpyCost}, {appendRun, rowTasks, 0, 0}, {logitsRun, rowTasks, 0, 0}};

static void *need(LeatFrame *frame, int64_t slot, int64_t bytes) {
  return bytes > frame->slots[slot].bytes ? frame->grow(frame, slot, bytes) : frame->slots[slot].data;
}

EXPORT int64_t leat_main(LeatFrame *frame) {
  LeatBuffer *x = &frame->inputs[0];
  int64_t scalars[2] = {x->dims[0], x->dims[1]};
  if (scalars[1] == 13)
    return frame->fail(frame, 1, scalars[1], scalars[0]);
  float *sum = need(frame, 0, scalars[0] * scalars[1] * 4);
  if (!sum)
    return 1;
  void *buffers[4] = {x->data, frame->inputs[1].data, frame->params[1], sum};
  int64_t code = frame->launch(frame, 0, buffers, scalars);
  if (code)
    return code;
  LeatBuffer out = *x;
  frame->outputs[2] = out;
  out.data = sum;
  frame->outputs[0] = out;
  LeatBuffer weight = {frame->params[1], 1, {1}};
  frame->outputs[1] = weight;
  return 0;
}

EXPORT int64_t leat_step(LeatFrame *frame) {
  LeatBuffer *ids = &frame->inputs[0];
  LeatState *cache = &frame->states[0];
  int64_t *seen = frame->states[1].data;
  int64_t batch = ids->dims[0], seq = ids->dims[1];
  if (seen[0] + seq > cache->capacity)
    return frame->fail(frame, 0, seen[0] + seq, cache->capacity);
  float *logits = need(frame, 1, batch * seq * vocabulary * 4);
  if (!logits)
    return 1;
  int64_t scalars[7] = {seen[0], cache->capacity, cache->length, batch, cache->capacity, batch, seq};
  void *append[2] = {cache->data, ids->data}, *read[2] = {cache->data, logits};
  int64_t code = frame->launch(frame, 1, append, scalars);
  if (!code)
    code = frame->launch(frame, 2, read, scalars);
  if (code)
    return code;
  seen[0] += seq;
  cache->length = seen[0];
  LeatBuffer out = {logits, 3, {batch, seq, vocabulary}};
  frame->outputs[0] = out;
  return 0;
}
