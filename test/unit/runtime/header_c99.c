/* The public header is C99 without extensions or warnings: compiling this is the test. */
#include "leat/Runtime.h"

size_t leat_header_is_c99(void);
size_t leat_header_is_c99(void) {
  leat_tensor tensor = LEAT_INIT(leat_tensor);
  return tensor.struct_size;
}
