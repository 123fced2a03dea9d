// Shared by the sources behind the boundary of OnnxReader.h: these include ONNX and protobuf, use exceptions, and never meet MLIR.
#pragma once

#include "lib/Frontend/ExternalData.h"
#include "lib/Frontend/Graph.h"
#include "lib/Frontend/Options.h"
#include "lib/Frontend/Text.h"

#include "onnx/defs/schema.h"
#include "onnx/onnx_pb.h"

#include <stdexcept>

namespace leat::frontend {

/// A reason to refuse the model, in one line.
struct LoadError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What one load shares: limits, what is used up of them, the folder of external data.
struct LoadContext {
  const LoadBudget &budget;
  DataFolder folder;
  int64_t nodes = 0, tensors = 0, parameterBytes = 0, convertedBytes = 0;

  LoadContext(const LoadBudget &budget, std::string folder) : budget(budget), folder(std::move(folder)) {}
  /// Adds to a counter and refuses the model when the limit is passed.
  static void spend(int64_t &used, int64_t amount, int64_t limit, const std::string &what, const char *name);
};

std::string describe(const onnx::NodeProto &node);

/// The text of a foreign exception as one short line.
std::string oneLine(const char *text);

/// Runs `body`; whatever it throws becomes a message.
template <typename Body> bool guarded(std::string &error, const Body &body) noexcept {
  try {
    body();
    return true;
  } catch (const std::bad_alloc &) {
    error = "out of memory while reading the model";
  } catch (const std::exception &reason) {
    error = oneLine(reason.what());
  } catch (...) {
    error = "unknown failure while reading the model";
  }
  return false;
}

/// The domain in which the default one has the name "".
inline const std::string &normalDomain(const std::string &domain) {
  static const std::string standard;
  return domain == "ai.onnx" ? standard : domain;
}

// ProtoToGraph.cpp
/// Bits of one element as stored; 0 for strings and unknown types.
int bitsOf(int32_t elementType);
/// Bytes of a tensor of these dims, with every overflow and negative size refused. `elements` may be null.
int64_t checkedBytes(const google::protobuf::RepeatedField<int64_t> &dims, int32_t elementType, const std::string &what, int64_t *elements);
/// Takes the bytes out of `proto`, converts or maps them, checks their number.
Tensor takeTensor(onnx::TensorProto &proto, LoadContext &context, const std::string &what);
/// A sparse tensor, written out.
onnx::TensorProto densify(const onnx::SparseTensorProto &sparse, LoadContext &context, const std::string &what);
ValueType toType(const onnx::TypeProto &type);
onnx::TypeProto fromType(const ValueType &type);
/// Moves everything out of `proto`. `versions` gives the version of each domain.
Graph takeGraph(onnx::GraphProto &proto, LoadContext &context, const std::unordered_map<std::string, int64_t> &versions);
Node takeNode(onnx::NodeProto &proto, LoadContext &context, const std::unordered_map<std::string, int64_t> &versions);
onnx::NodeProto fromNode(const Node &node);
onnx::TensorProto fromTensor(const Tensor &tensor);

// GraphOrder.cpp
/// Checks that every name is defined once and before its use, after sorting nodes where they are out of order. Names the node when there
/// is a cycle, a name that nothing defines, or one defined twice.
void orderGraph(onnx::GraphProto &graph);

// Inference.cpp
/// Infers types and shapes as far as possible. What fails stays unknown: a strange node is the importer's to report, not a reason to stop.
void inferShapes(onnx::ModelProto &model);

// ContribSchemas.cpp
/// Type inference for operators that ONNX does not know but exporters use (com.microsoft, SimplifiedLayerNormalization); null if unknown.
const onnx::OpSchema *contribSchema(const std::string &domain, const std::string &opType);

} // namespace leat::frontend
