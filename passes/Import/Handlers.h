// The table of operators that Import converts itself. A new operator is one function and one line in its family's register function.
#pragma once

#include "passes/Import/OpContext.h"
#include "llvm/ADT/StringMap.h"
#include <map>

namespace leat::import {

using Handler = mlir::LogicalResult (*)(OpContext &);

class HandlerTable {
public:
  /// All families.
  HandlerTable();
  void add(llvm::StringRef domain, llvm::StringRef op, int64_t sinceVersion, Handler handler) {
    table[key(domain, op)][sinceVersion] = handler;
  }
  /// The handler with the highest since_version that is not above `version`; null if there is none. `known`: the operator has handlers of
  /// other versions.
  Handler find(llvm::StringRef domain, llvm::StringRef op, int64_t version, bool *known = nullptr) const;

private:
  static std::string key(llvm::StringRef domain, llvm::StringRef op) { return ((domain == "ai.onnx" ? "" : domain) + ":" + op).str(); }
  llvm::StringMap<std::map<int64_t, Handler>> table;
};

// One register function per family, each in the file of its name.
void registerActivations(HandlerTable &table);
void registerAttention(HandlerTable &table);
void registerContribAttention(HandlerTable &table);
void registerConvolution(HandlerTable &table);
void registerExperts(HandlerTable &table);
void registerNorms(HandlerTable &table);
void registerProducts(HandlerTable &table);
void registerQuantization(HandlerTable &table);
void registerRecurrent(HandlerTable &table);
void registerResize(HandlerTable &table);
void registerSequences(HandlerTable &table);
void registerSignal(HandlerTable &table);
void registerSpatial(HandlerTable &table);

void registerElementwise(HandlerTable &table);
void registerControlFlow(HandlerTable &table);
void registerEinsum(HandlerTable &table);
void registerRandom(HandlerTable &table);
void registerIndexing(HandlerTable &table);
void registerLoops(HandlerTable &table);
void registerMovement(HandlerTable &table);
void registerReduce(HandlerTable &table);
void registerShape(HandlerTable &table);

} // namespace leat::import
