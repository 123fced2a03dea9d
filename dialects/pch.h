// The dialects that most of the compiler includes, precompiled on top of MLIR's own headers (cmake/pch.h).
#include "dialects/Leat/Decomposer.h"
#include "dialects/Leat/Leat.h"
#include "dialects/ONNX/ONNX.h"
