// The comparisons of setp and set. The ones with u are also true where an operand is NaN.
#ifndef LEAT_RUNTIME_DEVICE_SIM_COMPARISON_H
#define LEAT_RUNTIME_DEVICE_SIM_COMPARISON_H

#include "runtime/device/sim/Types.h"

namespace leat::sim {

enum class Comparison : u8 { Eq, Ne, Lt, Le, Gt, Ge, Equ, Neu, Ltu, Leu, Gtu, Geu, Num, Nan };

} // namespace leat::sim

#endif
