// The walk over graphs: values are mapped in order, nodes go to their handlers or are expanded, failures are collected.
#include "passes/Import/Importer.h"

#include "dialects/Leat/Leat.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace leat::import {

static constexpr unsigned maxExpansionDepth = 32;

/// The converted tensor type of an onnx type, or null.
static RankedTensorType convertTensorType(Type t) {
  auto ranked = dyn_cast<RankedTensorType>(t);
  Type e = ranked ? convertElementType(ranked.getElementType()) : Type();
  return e ? RankedTensorType::get(ranked.getShape(), e) : RankedTensorType();
}

/// Erases ops without effect whose results are not used, last to first.
static void eraseDead(Region &region) {
  for (Block &block : region)
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block))) {
      if (isOpTriviallyDead(&op)) {
        op.erase();
        continue;
      }
      for (Region &r : op.getRegions())
        eraseDead(r);
      if (isOpTriviallyDead(&op))
        op.erase();
    }
}

void Importer::failNode(onnxir::NodeOp node, NodeReport report, StringRef reason) {
  report.status = NodeStatus::Failed;
  report.reason = reason.str();
  std::string text;
  llvm::raw_string_ostream os(text);
  os << "cannot lower " << node.describe() << " (operator " << report.op << ", domain \"" << report.domain << "\", version "
     << report.version << "): " << reason;
  failures.push_back({node.getLoc(), text});
  reports.push_back(std::move(report));
  // Placeholders let the nodes after this one be tried, so that all refusals are reported at once.
  for (Value r : node.getOutputs())
    if (RankedTensorType t = convertTensorType(r.getType()))
      define(r, b.create<UnrealizedConversionCastOp>(TypeRange{t}, ValueRange{}).getResult(0));
}

LogicalResult Importer::importNode(onnxir::NodeOp node) {
  NodeReport report{
      node.getNodeName().str(), node.getOpType().str(), node.getDomain().str(), static_cast<int64_t>(node.getVersion()), {}, {}};
  b.loc = NameLoc::get(StringAttr::get(module.getContext(), node.describe()), node.getLoc());

  for (auto [i, in] : llvm::enumerate(node.getInputs())) {
    if (isa<NoneType>(in.getType()) || lookup(in))
      continue;
    if (auto t = dyn_cast<TensorType>(in.getType());
        (t && !convertElementType(t.getElementType())) || isa<onnxir::OpaqueType>(in.getType())) {
      std::string text;
      llvm::raw_string_ostream(text) << "operand " << i << " has type " << in.getType()
                                     << "; only tensors of numbers and booleans can be compiled";
      failNode(node, report, text);
      return failure();
    }
    report.status = NodeStatus::Blocked;
    report.reason = "an operand comes from a node that cannot be lowered";
    reports.push_back(report);
    return failure();
  }

  bool known = false;
  std::string reason;
  if (Handler handler = handlers.find(node.getDomain(), node.getOpType(), node.getVersion(), &known)) {
    OpContext context(*this, b, node);
    size_t failuresBefore = failures.size();
    bool ok = succeeded(handler(context));
    std::string problem = b.takeProblem();
    if (ok && problem.empty()) {
      reports.push_back(report);
      return success();
    }
    if (ok && failures.size() != failuresBefore)
      return failure();
    reason = ok ? problem : context.reason();
  }
  if (expander && expansionDepth < maxExpansionDepth) {
    OpBuilder builder(node);
    std::string why;
    FailureOr<SmallVector<Value>> body = expander(builder, node, why);
    if (succeeded(body)) {
      report.status = NodeStatus::Expanded;
      report.reason = reason;
      reports.push_back(report);
      // The new ops stand right before the node; the walk has passed that place, so they are converted here.
      SmallVector<Operation *> made;
      for (Operation *op = node->getPrevNode(); op && !done.contains(op); op = op->getPrevNode())
        made.push_back(op);
      ++expansionDepth;
      LogicalResult ok = success();
      for (Operation *op : llvm::reverse(made))
        if (failed(importOp(*op)))
          ok = failure();
      --expansionDepth;
      for (auto [from, to] : llvm::zip(node.getOutputs(), *body))
        if (to)
          if (Value v = lookup(to))
            define(from, v);
      return ok;
    }
    if (reason.empty())
      reason = why;
  }
  if (reason.empty())
    reason = known ? "this version of the operator is not supported" : "the operator is not known, and it has no function body to expand";
  failNode(node, report, reason);
  return failure();
}

LogicalResult Importer::importOp(Operation &op) {
  done.insert(&op);
  if (auto node = dyn_cast<onnxir::NodeOp>(op))
    return importNode(node);
  if (isa<onnxir::AbsentOp>(op))
    return success();
  b.loc = op.getLoc();
  if (auto c = dyn_cast<onnxir::ConstantOp>(op)) {
    auto value = dyn_cast<DenseElementsAttr>(c.getValue());
    Type e = convertElementType(c.getValue().getElementType());
    if (!value || !e)
      return success(); // Strings: whoever uses it fails with its own name.
    if (value.getElementType() != e)
      value = value.bitcast(e);
    define(c.getOutput(), b.constant(value));
    return success();
  }
  if (auto ref = dyn_cast<ParamRefOp>(op)) {
    RankedTensorType t = convertTensorType(ref.getOutput().getType());
    if (t)
      define(ref.getOutput(), b.create<ParamRefOp>(t, ref.getParamAttr()));
    return success();
  }
  failures.push_back({op.getLoc(), ("unexpected op in an onnx graph: " + op.getName().getStringRef()).str()});
  return failure();
}

LogicalResult Importer::importBlock(Block &graph, SmallVectorImpl<Value> &results) {
  LogicalResult ok = success();
  for (Operation &op : graph) {
    if (op.hasTrait<OpTrait::IsTerminator>()) {
      for (Value v : op.getOperands()) {
        results.push_back(lookup(v));
        if (!results.back())
          ok = failure();
      }
      break;
    }
    if (failed(importOp(op)))
      ok = failure();
  }
  return ok;
}

/// Reads "past + seq", "2*n + 1" as a sum of products of symbols; nothing when a symbol is unknown or another operator occurs.
static std::optional<OpFoldResult> parseDim(IndexMath &math, StringRef text, const llvm::StringMap<Value> &symbols) {
  OpFoldResult sum = math.constant(0);
  SmallVector<StringRef> terms;
  text.split(terms, '+');
  for (StringRef term : terms) {
    OpFoldResult product = math.constant(1);
    SmallVector<StringRef> factors;
    term.split(factors, '*');
    for (StringRef f : factors) {
      f = f.trim();
      int64_t n;
      if (!f.getAsInteger(10, n))
        product = math.mul(product, math.constant(n));
      else if (auto it = symbols.find(f); it != symbols.end())
        product = math.mul(product, it->second);
      else
        return std::nullopt;
    }
    sum = math.add(sum, product);
  }
  return sum;
}

void Importer::shareSymbolicDims(func::FuncOp func, Block &entry) {
  llvm::StringMap<Value> symbols;
  struct Later {
    Value arg;
    Dims dims;
    SmallVector<std::pair<int64_t, StringRef>> expressions;
  };
  SmallVector<Later> later;
  for (BlockArgument arg : entry.getArguments()) {
    auto t = cast<RankedTensorType>(arg.getType());
    auto names = func.getArgAttrOfType<ArrayAttr>(arg.getArgNumber(), "onnx.dims");
    Later entryDims{arg, {}, {}};
    for (int64_t i = 0; i < t.getRank(); ++i) {
      StringRef name;
      if (names && i < static_cast<int64_t>(names.size()))
        if (auto s = dyn_cast<StringAttr>(names[i]))
          name = s.getValue();
      if (!t.isDynamicDim(i)) {
        entryDims.dims.push_back(b.math.constant(t.getDimSize(i)));
      } else if (auto it = symbols.find(name); !name.empty() && it != symbols.end()) {
        entryDims.dims.push_back(it->second);
      } else if (name.find_first_of("+*") != StringRef::npos) {
        entryDims.expressions.push_back({i, name});
        entryDims.dims.push_back(b.math.constant(0));
      } else {
        Value d = b.create<tensor::DimOp>(arg, i);
        b.math.assumeNonNegative(d);
        if (!name.empty())
          symbols[name] = d;
        entryDims.dims.push_back(d);
      }
    }
    later.push_back(std::move(entryDims));
  }
  // Sizes like "past_sequence_length + sequence_length" once all plain symbols are known.
  for (Later &l : later) {
    for (auto [i, text] : l.expressions) {
      if (auto sum = parseDim(b.math, text, symbols)) {
        l.dims[i] = *sum;
      } else {
        Value d = b.create<tensor::DimOp>(l.arg, i);
        b.math.assumeNonNegative(d);
        symbols[text] = d;
        l.dims[i] = d;
      }
    }
    b.withDims(l.arg, l.dims);
  }
}

LogicalResult Importer::importFunction(func::FuncOp func) {
  Block *old = &func.getBody().front();
  SmallVector<Type> argTypes;
  MLIRContext *context = module.getContext();
  auto setDataType = [&](Type t, auto set) {
    int32_t number = onnxDataType(cast<TensorType>(t).getElementType());
    set(IntegerAttr::get(IntegerType::get(context, 32), number));
  };
  for (BlockArgument arg : old->getArguments()) {
    RankedTensorType t = convertTensorType(arg.getType());
    if (!t) {
      auto name = func.getArgAttrOfType<StringAttr>(arg.getArgNumber(), "onnx.name");
      std::string text;
      llvm::raw_string_ostream(text) << "input \"" << (name ? name.getValue() : "") << "\" has type " << arg.getType()
                                     << "; only tensors of numbers or booleans with a known rank can be compiled";
      failures.push_back({func.getLoc(), text});
      return failure();
    }
    argTypes.push_back(t);
    setDataType(arg.getType(), [&](Attribute a) { func.setArgAttr(arg.getArgNumber(), "leat.dtype", a); });
  }
  Block *entry = new Block;
  func.getBody().push_front(entry);
  for (auto [arg, t] : llvm::zip(old->getArguments(), argTypes))
    define(arg, entry->addArgument(t, arg.getLoc()));
  b.ops.setInsertionPointToStart(entry);
  b.loc = func.getLoc();
  shareSymbolicDims(func, *entry);

  SmallVector<Value> results;
  if (failed(importBlock(*old, results)))
    return failure();
  Operation *ret = old->getTerminator();
  for (auto [i, v] : llvm::enumerate(ret->getOperands()))
    setDataType(isa<TensorType>(v.getType()) ? v.getType() : results[i].getType(),
                [&](Attribute a) { func.setResultAttr(i, "leat.dtype", a); });
  b.loc = ret->getLoc();
  b.create<func::ReturnOp>(results);
  old->dropAllReferences();
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(*old))) {
    op.dropAllUses();
    op.erase();
  }
  old->erase();
  func.setType(FunctionType::get(context, argTypes, TypeRange(ValueRange(results))));
  func->removeAttr("onnx.graph");
  values.clear();
  done.clear();
  return success();
}

void Importer::convertParams() {
  for (ParamOp param : module.getOps<ParamOp>()) {
    RankedTensorType t = convertTensorType(param.getType());
    if (!t || t == param.getType())
      continue;
    param.setType(t);
    if (auto value = dyn_cast_or_null<DenseElementsAttr>(param.getValueAttr()))
      param.setValueAttr(value.bitcast(t.getElementType()));
  }
}

LogicalResult Importer::run() {
  LogicalResult ok = success();
  SmallVector<func::FuncOp> graphs;
  for (func::FuncOp func : module.getOps<func::FuncOp>())
    if (func->hasAttr("onnx.graph"))
      graphs.push_back(func);
  for (func::FuncOp func : graphs)
    if (failed(importFunction(func)))
      ok = failure();
  if (failed(ok))
    return ok;
  // Not before all are built: the builder knows values by address.
  for (func::FuncOp func : graphs)
    eraseDead(func.getBody());
  convertParams();
  return ok;
}

std::vector<NodeReport> coverage(ModuleOp module, FunctionExpander expander) {
  OwningOpRef<ModuleOp> copy = cast<ModuleOp>(module->clone());
  Importer importer(*copy, std::move(expander));
  // A failed walk leaves the copy half converted; it is only thrown away.
  (void)importer.run();
  copy->walk([](Operation *op) { op->dropAllReferences(); });
  return std::move(importer.reports);
}

} // namespace leat::import
