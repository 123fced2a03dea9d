// Names come from ops and never from the model's nodes: one kernel serves many of them.
#include "passes/Fuse/KernelNames.h"

#include "dialects/Leat/Leat.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace leat::fuse {

/// The op of a body that says most: the rarest kind of function, else the last arithmetic op.
static StringRef bodyWord(linalg::GenericOp generic) {
  StringRef word;
  int best = 0;
  for (Operation &op : generic.getRegion().front()) {
    StringRef name = op.getName().stripDialect();
    auto [rank, text] = llvm::StringSwitch<std::pair<int, StringRef>>(name)
                            .Case("erf", {5, "erf"})
                            .Case("tanh", {5, "tanh"})
                            .Case("extract", {4, "gather"})
                            .Cases({"exp", "log", "sin", "cos", "sqrt", "rsqrt", "powf", "log1p", "expm1"}, {4, name})
                            .Case("select", {3, "select"})
                            .Cases({"divf", "divsi", "divui"}, {2, "div"})
                            .Cases({"mulf", "muli"}, {2, "mul"})
                            .Cases({"addf", "addi"}, {2, "add"})
                            .Cases({"subf", "subi"}, {2, "sub"})
                            .Cases({"maximumf", "maxsi", "maxui", "maxnumf"}, {2, "max"})
                            .Cases({"minimumf", "minsi", "minui", "minnumf"}, {2, "min"})
                            .Case("negf", {2, "neg"})
                            .Cases({"cmpf", "cmpi"}, {1, "cmp"})
                            .Cases({"extf", "truncf", "sitofp", "fptosi", "uitofp", "fptoui", "extsi", "extui", "trunci"}, {1, "cast"})
                            .Case("yield", {0, ""})
                            .Case("constant", {0, ""})
                            .Default({1, name});
    if (rank && rank >= best) {
      best = rank;
      word = text;
    }
  }
  return word;
}

static std::string wordOf(Operation *op) {
  return TypeSwitch<Operation *, std::string>(op)
      .Case<linalg::GenericOp>([](linalg::GenericOp generic) -> std::string {
        StringRef word = bodyWord(generic);
        if (generic.getNumReductionLoops())
          return ("reduce_" + (word.empty() ? "any" : word)).str();
        if (!word.empty())
          return word.str();
        bool moves = llvm::any_of(generic.getIndexingMapsArray(), [](AffineMap map) { return map.isPermutation() && !map.isIdentity(); });
        return moves ? "transpose" : "copy";
      })
      .Case<LayerNormOp>([](LayerNormOp norm) { return norm.getRms() ? "rms_norm" : "layer_norm"; })
      .Case<KVAttendOp>([](Operation *) { return "attend"; })
      .Case<tensor::ExtractSliceOp>([](Operation *) { return "slice"; })
      .Case<tensor::ReshapeOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>([](Operation *) { return ""; })
      .Default([](Operation *other) {
        std::string name = other->getName().stripDialect().str();
        std::replace(name.begin(), name.end(), '.', '_');
        return name;
      });
}

std::string nameOf(const Group &group) {
  SmallVector<std::string> words;
  auto say = [&](std::string word) {
    if (!word.empty() && words.size() < 4 && (words.empty() || words.back() != word))
      words.push_back(std::move(word));
  };
  bool after = !group.root;
  for (Operation *op : group.members) {
    if (op == group.root) {
      // What is pulled in front of the root does not name the kernel.
      words.clear();
      after = true;
    }
    if (after)
      say(wordOf(op));
  }
  return words.empty() ? "copy" : llvm::join(words, "_");
}

} // namespace leat::fuse
