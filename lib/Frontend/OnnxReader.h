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

/// The body of an operator that ONNX defines as a function of others, for a node with these input types (Unknown for absent ones). Inputs
/// and outputs of the body are named as the node's. Small constant inputs, given in `constants` under their names, sharpen the shapes.
bool expandFunction(const Node &node, const std::vector<ValueType> &inputTypes, const std::vector<Tensor> &constants, Graph &body,
                    std::string &error) noexcept;

} // namespace leat::frontend
