// What a handler sees of one ONNX node: typed attributes with defaults, operands as converted tensors, and the place for results and
// refusals.
#pragma once

#include "dialects/ONNX/ONNX.h"
#include "passes/Import/GraphBuilder.h"

namespace leat::import {

class Importer;

class OpContext {
public:
  OpContext(Importer &importer, GraphBuilder &b, onnxir::NodeOp node) : b(b), node(node), importer(importer) {}

  GraphBuilder &b;
  onnxir::NodeOp node;

  int64_t version() { return node.getVersion(); }

  //===------------------------------ attributes ------------------------------===//
  mlir::Attribute attribute(llvm::StringRef name) { return node.getAttrs().get(name); }
  bool hasAttr(llvm::StringRef name) { return static_cast<bool>(attribute(name)); }
  int64_t integer(llvm::StringRef name, int64_t fallback = 0);
  bool flag(llvm::StringRef name, bool fallback = false) { return integer(name, fallback) != 0; }
  double real(llvm::StringRef name, double fallback = 0);
  std::string text(llvm::StringRef name, llvm::StringRef fallback = "");
  std::optional<llvm::SmallVector<int64_t>> integers(llvm::StringRef name);
  std::optional<llvm::SmallVector<double>> reals(llvm::StringRef name);
  /// A subgraph by attribute name, or null.
  mlir::Region *graph(llvm::StringRef name);

  //===------------------------------ operands ------------------------------===//
  int64_t numOperands() { return node.getInputs().size(); }
  bool has(int64_t i);
  /// The converted operand: a ranked tensor without ONNX's signedness. Null if absent.
  mlir::Value operand(int64_t i);
  llvm::SmallVector<mlir::Value> operands();
  int64_t rank(int64_t i) { return GraphBuilder::rank(operand(i)); }
  mlir::Type elem(int64_t i) { return GraphBuilder::elem(operand(i)); }
  /// ONNX's element type, where uint8 is ui8.
  mlir::Type onnxElem(int64_t i);
  bool isUnsigned(int64_t i);
  bool isFloat(int64_t i) { return mlir::isa<mlir::FloatType>(elem(i)); }
  bool isBool(int64_t i) { return elem(i).isInteger(1); }
  /// Integers of a small operand, known or read by the host.
  mlir::FailureOr<Dims> scalars(int64_t i) { return b.asScalars(operand(i)); }

  //===------------------------------ results ------------------------------===//
  int64_t numResults() { return node.getOutputs().size(); }
  bool wants(int64_t i) { return i < numResults() && !mlir::isa<mlir::NoneType>(node.getOutputs()[i].getType()); }
  /// ONNX's element type of a result as the front end inferred it, or null.
  mlir::Type onnxResultElem(int64_t i);
  /// The shape the front end inferred, or nothing when not even the rank is known.
  std::optional<llvm::SmallVector<int64_t>> inferredShape(int64_t i);
  void setResult(int64_t i, mlir::Value v);
  /// `return done(v)` for nodes of one result.
  mlir::LogicalResult done(mlir::Value v) {
    setResult(0, v);
    return mlir::success();
  }
  /// Refuses the node with a reason for its user.
  mlir::LogicalResult fail(const llvm::Twine &reason);
  std::string describe() { return node.describe(); }
  const std::string &reason() { return why; }

  //===------------------------------ helpers ------------------------------===//
  /// The attribute `name` as an axis of a tensor of this rank; fails with a reason when out of range.
  mlir::FailureOr<int64_t> axis(llvm::StringRef name, int64_t fallback, int64_t rank);
  /// Axes from attribute `name` or, when that is absent, operand `i` (pass -1 for none), sorted and normalised; nothing given: nothing.
  mlir::FailureOr<std::optional<llvm::SmallVector<int64_t>>> axes(llvm::StringRef name, int64_t i, int64_t rank);
  /// Axes of operand `i` as host scalars when they are only known at run time; nothing when they are constant or absent, or their number is
  /// not known.
  std::optional<Dims> runtimeAxes(llvm::StringRef name, int64_t i);
  /// Converts a subgraph at the builder's place. `args` are its inputs.
  mlir::LogicalResult importGraph(mlir::Region &graph, mlir::ValueRange args, llvm::SmallVectorImpl<mlir::Value> &results);
  /// A subgraph may be converted more than once (Loop); only the last time counts in the reports.
  size_t reportMark();
  void dropReports(size_t mark);

private:
  Importer &importer;
  std::string why;
};

/// ONNX's element type in the signless form of converted tensors; null for what has no converted form (strings, opaque values).
mlir::Type convertElementType(mlir::Type onnx);
/// TensorProto.DataType number of an onnx element type, and back (-1 or null: none).
int32_t onnxDataType(mlir::Type onnx);
mlir::Type typeFromOnnxDataType(mlir::MLIRContext *context, int64_t number);

} // namespace leat::import
