// The headers that nearly every source of ONNX includes.
#include <onnx/common/ir.h>
#include <onnx/defs/function.h>
#include <onnx/defs/schema.h>
#include <onnx/defs/tensor_proto_util.h>
