// leat-override-schedule: sizes from a file replace those that ScheduleCPU or ScheduleCUDA chose.
#include "passes/Schedule/Passes.h"
#include "passes/Schedule/Strategies.h"

#include "dialects/Leat/Leat.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/GlobPattern.h"
#include "llvm/Support/LineIterator.h"
#include "llvm/Support/MemoryBuffer.h"

namespace leat::schedule {
#define GEN_PASS_DEF_OVERRIDESCHEDULE
#include "passes/Schedule/Passes.h.inc"
} // namespace leat::schedule

using namespace mlir;

namespace leat::schedule {

namespace {

struct OverrideSchedule : impl::OverrideScheduleBase<OverrideSchedule> {
  using OverrideScheduleBase::OverrideScheduleBase;

  int64_t line = 0;
  InFlightDiagnostic error() { return getOperation().emitError("schedule ") << file << ":" << line << ": "; }

  using Values = SmallVector<std::pair<StringRef, int64_t>>;

  /// Kernels differ in what a pattern's line can say to them; what it says to none of them is a mistake.
  LogicalResult apply(KernelFuncOp kernel, const Values &values, SmallVectorImpl<bool> &used) {
    ScheduleAttr schedule = kernel.getScheduleAttr();
    NamedAttrList params(schedule.getParams());
    Builder b(&getContext());
    for (auto [i, given] : llvm::enumerate(values)) {
      auto [name, value] = given;
      auto old = dyn_cast_or_null<IntegerAttr>(params.get(name));
      if (!old)
        continue;
      const Tunable *tunable = findTunable(schedule.getStrategy(), name);
      if (!tunable) {
        if (old.getInt() != value)
          return error() << "'" << name << "' of @" << kernel.getSymName() << " follows from the target, it is " << old.getInt();
        used[i] = true;
        continue;
      }
      if (!tunable->admits(value))
        return error() << "'" << name << "' of @" << kernel.getSymName() << " is " << value << ", but has to be a multiple of "
                       << tunable->multiple << " from " << tunable->low << " to " << tunable->high;
      used[i] = true;
      params.set(name, b.getI64IntegerAttr(value));
    }
    kernel.setScheduleAttr(ScheduleAttr::get(&getContext(), schedule.getStrategy(), params.getDictionary(&getContext())));
    return success();
  }

  LogicalResult applyLine(StringRef text) {
    SmallVector<StringRef> words;
    llvm::SplitString(text, words);
    auto pattern = llvm::GlobPattern::create(words[0]);
    if (!pattern)
      return error() << "bad pattern '" << words[0] << "': " << llvm::toString(pattern.takeError());
    StringRef strategy;
    Values values;
    for (StringRef word : ArrayRef(words).drop_front()) {
      auto [name, number] = word.split('=');
      int64_t value;
      if (word.find('=') == StringRef::npos && strategy.empty() && values.empty())
        strategy = word;
      else if (number.getAsInteger(10, value))
        return error() << "'" << word << "' is not PARAMETER=NUMBER";
      else
        values.push_back({name, value});
    }
    SmallVector<bool> used(values.size());
    bool any = false;
    for (auto kernel : getOperation().getOps<KernelFuncOp>()) {
      ScheduleAttr schedule = kernel.getScheduleAttr();
      if (!schedule || !pattern->match(kernel.getSymName()) || (!strategy.empty() && schedule.getStrategy() != strategy))
        continue;
      any = true;
      if (failed(apply(kernel, values, used)))
        return failure();
    }
    if (!any) {
      getOperation().emitWarning("schedule ") << file << ":" << line << ": no kernel is called '" << words[0] << "'"
                                              << (strategy.empty() ? "" : " and has the strategy '" + strategy.str() + "'");
      return success();
    }
    for (auto [given, isUsed] : llvm::zip(values, used))
      if (!isUsed)
        return error() << "no kernel that '" << words[0] << "' names has a parameter '" << given.first << "'";
    return success();
  }

  void runOnOperation() override {
    auto buffer = llvm::MemoryBuffer::getFile(file, /*IsText=*/true);
    if (!buffer) {
      getOperation().emitError("cannot read the schedule '") << file << "': " << buffer.getError().message();
      return signalPassFailure();
    }
    for (llvm::line_iterator it(**buffer, /*SkipBlanks=*/true, '#'); !it.is_at_eof(); ++it) {
      line = it.line_number();
      if (!it->trim().empty() && failed(applyLine(it->split('#').first.trim())))
        return signalPassFailure();
    }
  }
};

} // namespace
} // namespace leat::schedule
