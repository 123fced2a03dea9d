// A model as plain C++: what the ONNX side hands to the MLIR side. Neither ONNX nor MLIR is included here, so that the one can be
// compiled with exceptions and the other without.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace leat::frontend {

/// One dimension: a size, or dynamic (size < 0) with a name if the model gives one.
struct Dim {
  int64_t size = -1;
  std::string symbol;
};

struct ValueType {
  enum class Kind { Unknown, Tensor, Other };
  Kind kind = Kind::Unknown;
  int32_t elementType = 0; ///< ONNX's number of the data type
  bool ranked = false;
  std::vector<Dim> dims;
  std::string spelling; ///< ONNX's spelling of a type that is no tensor
};

struct NamedValue {
  std::string name;
  ValueType type;
};

/// A constant tensor: little endian, row major, sub-byte types packed with the first element in the low bits.
struct Tensor {
  std::string name;
  int32_t elementType = 0;
  std::vector<int64_t> dims;
  int64_t elements = 0;
  const char *data = nullptr;
  size_t bytes = 0;
  std::shared_ptr<const void> owner; ///< keeps `data` valid
  std::vector<std::string> strings;  ///< elements of a tensor of strings
};

struct Graph;

struct Attribute {
  enum class Kind { Float, Int, String, Tensor, Graph, Type, Floats, Ints, Strings, Tensors, Graphs, Types };
  std::string name;
  Kind kind = Kind::Int;
  // A single value is the only element of its list.
  std::vector<float> floats;
  std::vector<int64_t> ints;
  std::vector<std::string> strings;
  std::vector<Tensor> tensors;
  std::vector<std::unique_ptr<Graph>> graphs;
  std::vector<ValueType> types;
};

/// Empty names are absent operands and results.
struct Node {
  std::string opType, domain, name;
  int64_t version = 0;
  std::vector<std::string> inputs, outputs;
  std::vector<Attribute> attributes;
};

/// Nodes are in an order in which every name is defined before it is used; names of outer graphs are visible.
struct Graph {
  std::string name;
  std::vector<NamedValue> inputs, outputs;
  std::vector<Tensor> initializers;
  std::vector<Node> nodes;
  std::unordered_map<std::string, ValueType> types;
};

struct Model {
  int64_t irVersion = 0;
  std::vector<std::pair<std::string, int64_t>> opsets;
  std::string producer;
  std::vector<std::pair<std::string, std::string>> metadata;
  Graph graph;
};

} // namespace leat::frontend
