/* The public header is C99 without extensions or warnings: compiling this is the test. */
#include "leat/Compiler.h"

size_t leat_compiler_header_is_c99(void);
size_t leat_compiler_header_is_c99(void) {
  leat_compile_options options = LEAT_COMPILER_INIT(leat_compile_options);
  return options.struct_size;
}
