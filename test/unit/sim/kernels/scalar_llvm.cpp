// The kernel of scalar.cu for clang's own PTX back end, without CUDA: C++ for the target nvptx64. scalar.h gets what it needs from
// builtins.
#define __SCALAR_FREESTANDING__
using uint8_t = unsigned char;
using int8_t = signed char;
using uint16_t = unsigned short;
using int16_t = short;
using uint32_t = unsigned;
using int32_t = int;
using uint64_t = unsigned long;
using int64_t = long;
using size_t = unsigned long;
#define memcpy __builtin_memcpy
#define fmaf __builtin_fmaf
#define fma __builtin_fma
#define sqrtf __builtin_sqrtf
#define sqrt __builtin_sqrt
#define fabsf __builtin_fabsf
#define copysignf __builtin_copysignf
#define floorf __builtin_floorf
#define floor __builtin_floor
#define ceilf __builtin_ceilf
#define truncf __builtin_truncf
#define rintf __builtin_rintf
#include "scalar.h"

extern "C" __attribute__((nvptx_kernel)) void scalar(const uint32_t *in, uint64_t *out, int count) {
  int i = __nvvm_read_ptx_sreg_ctaid_x() * __nvvm_read_ptx_sreg_ntid_x() + __nvvm_read_ptx_sreg_tid_x();
  if (i < count)
    scalarOutputs(in[4 * i], in[4 * i + 1], in[4 * i + 2], in[4 * i + 3], out + (size_t)SCALAR_OUTPUTS * i);
}
