// All families of the leat dialect.
#ifndef LEAT_DIALECTS_LEAT_OPS
#define LEAT_DIALECTS_LEAT_OPS
include "dialects/Leat/LeatDialect.td"
include "dialects/Leat/ParamOps.td"
include "dialects/Leat/KernelOps.td"
include "dialects/Leat/TensorOps.td"
include "dialects/Leat/NormOps.td"
include "dialects/Leat/AttentionOps.td"
include "dialects/Leat/KVPolicy.td"
include "dialects/Leat/CacheOps.td"
include "dialects/Leat/DecodeOps.td"
#endif
