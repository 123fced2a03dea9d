// Lookup in the operator table.
#include "passes/Import/Handlers.h"

namespace leat::import {

HandlerTable::HandlerTable() {
  registerProducts(*this);
  registerNorms(*this);
  registerActivations(*this);
  registerAttention(*this);
  registerContribAttention(*this);
  registerQuantization(*this);
  registerConvolution(*this);
  registerExperts(*this);
  registerResize(*this);
  registerSequences(*this);
  registerSignal(*this);
  registerSpatial(*this);
  registerRecurrent(*this);

  registerElementwise(*this);
  registerControlFlow(*this);
  registerEinsum(*this);
  registerIndexing(*this);
  registerLoops(*this);
  registerRandom(*this);
  registerMovement(*this);
  registerReduce(*this);
  registerShape(*this);
}

Handler HandlerTable::find(llvm::StringRef domain, llvm::StringRef op, int64_t version, bool *known) const {
  auto it = table.find(key(domain, op));
  if (known)
    *known = it != table.end();
  if (it == table.end())
    return nullptr;
  auto after = it->second.upper_bound(version);
  return after == it->second.begin() ? nullptr : std::prev(after)->second;
}

} // namespace leat::import
