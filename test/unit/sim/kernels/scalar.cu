// One thread an item of scalar.h.
#include "scalar.h"
extern "C" __global__ void scalar(const uint32_t *in, uint64_t *out, int count) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count)
    scalarOutputs(in[4 * i], in[4 * i + 1], in[4 * i + 2], in[4 * i + 3], out + (size_t)SCALAR_OUTPUTS * i);
}
