// The boundary to ONNX's C++ library: foreign bytes in, a plain graph or a one-line reason out. No exception leaves these functions, and
// no type of ONNX or protobuf shows.
#pragma once

#include "lib/Frontend/Graph.h"
#include "lib/Frontend/Options.h"

namespace leat::frontend {

/// Reads a model file: parses, checks, inlines functions, orders nodes, infers shapes, maps external data beside the file.
bool readModelFile(const std::string &path, const FrontendOptions &options, Model &model, std::string &error) noexcept;

/// The same from memory. External data is refused, for there is no folder to look in.
bool readModelBytes(const char *data, size_t size, const FrontendOptions &options, Model &model, std::string &error) noexcept;

/// What is known of a node whose operator ONNX defines as a function of others.
struct FunctionCall {
  Node node;
  std::vector<ValueType> inputTypes;  ///< Unknown for absent inputs
  std::vector<ValueType> outputTypes; ///< Unknown where nothing is known
  std::vector<Tensor> constants;      ///< values of small constant inputs, under the inputs' names; they sharpen the shapes
};

/// The function body for a call. Inputs and outputs of `body` stand in the order of the node's; an output that the body does not make has
/// no name.
bool expandFunction(const FunctionCall &call, Graph &body, std::string &error) noexcept;

} // namespace leat::frontend
