// Registration, verification and folding of the ONNX dialect.
#include "dialects/ONNX/ONNX.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/OpImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

#include "dialects/ONNX/ONNXDialect.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/ONNX/ONNXTypes.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/ONNX/ONNXOps.cpp.inc"

using namespace mlir;

namespace leat::onnxir {

void ONNXDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/ONNX/ONNXTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/ONNX/ONNXOps.cpp.inc"
      >();
}

std::string NodeOp::describe() {
  std::string text;
  llvm::raw_string_ostream os(text);
  if (!getDomain().empty())
    os << getDomain() << ".";
  os << getOpType() << " node";
  if (!getNodeName().empty())
    os << " \"" << getNodeName() << "\"";
  // Names come from foreign files; control characters would break the message's one line.
  for (char &c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      c = '?';
  return text;
}

LogicalResult NodeOp::verify() {
  if (getOpType().empty())
    return emitOpError("needs an operator name");
  size_t named = getGraphs() ? getGraphs()->size() : 0;
  if (named != getBodies().size())
    return emitOpError("has ") << getBodies().size() << " subgraphs but 'graphs' names " << named;
  if (getOutputNames() && getOutputNames()->size() != getNumResults())
    return emitOpError("has ") << getNumResults() << " results but 'output_names' names " << getOutputNames()->size();
  return success();
}

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValueAttr(); }

} // namespace leat::onnxir
