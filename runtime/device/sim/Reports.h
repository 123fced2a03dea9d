// The kinds of findings, and the collector that all CTAs of a launch report to.
#ifndef LEAT_RUNTIME_DEVICE_SIM_REPORTS_H
#define LEAT_RUNTIME_DEVICE_SIM_REPORTS_H

#include "runtime/device/sim/Program.h"

#include <atomic>
#include <mutex>
#include <unordered_map>

namespace leat::sim {

enum class Kind : u8 {
#define LEAT_SIM_KIND(id, severity, name, hint) id,
#include "runtime/device/sim/Kinds.def"
#undef LEAT_SIM_KIND
};

// Whose access or wait a report is about; -1: of no one warp or lane.
struct Place {
  Dim3 cta = {0, 0, 0};
  int warp = -1, lane = -1;
};
Place placeOf(const Warp &warp, int lane);

// "line 12 'ld.shared.u32 %r8, [%r7]'".
std::string lineOf(const Program &program, u32 pc);

class ReportSink {
public:
  ReportSink(const Program &program, int most, bool stopAtFirst) : program(program), most(most), stopAtFirst(stopAtFirst) {}

  // `key` tells findings of one instruction apart that have different partners. Equal ones are only counted.
  void add(const Place &who, const Op *op, Kind kind, u64 key, const std::string &message);
  // Counts and returns true when the same was reported before, so that no message has to be made.
  bool seen(const Op *op, Kind kind, u64 key);
  bool stopped() const { return stop.load(std::memory_order_relaxed); }
  std::vector<Report> take();

  std::string where(u32 pc) const { return lineOf(program, pc); }

private:
  const Program &program;
  int most;
  bool stopAtFirst;
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::vector<Report> reports;
  std::unordered_map<u64, size_t> known;
};

// Reports what a lane (or the warp: -1) did; printf-style.
void report(Warp &warp, const Op &op, int lane, Kind kind, const char *format, ...) __attribute__((format(printf, 5, 6)));
void reportWith(Warp &warp, const Op &op, int lane, Kind kind, u64 key, const char *format, ...) __attribute__((format(printf, 6, 7)));

} // namespace leat::sim

#endif
