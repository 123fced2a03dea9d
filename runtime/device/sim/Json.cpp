// A launch's result as JSON, for other tools.
#include "runtime/device/sim/Simulator.h"

namespace leat::sim {

using rt::formatText;

static std::string quoted(const std::string &text) {
  std::string out = "\"";
  for (unsigned char c : text)
    if (c == '"' || c == '\\')
      out += std::string("\\") + char(c);
    else if (c == '\n')
      out += "\\n";
    else if (c < 0x20)
      out += formatText("\\u%04x", c);
    else
      out += char(c);
  return out + "\"";
}

static std::string reportToJson(const Report &r) {
  std::string text =
      formatText("{\"kind\": %s, \"severity\": \"%s\", \"message\": %s, \"hint\": %s, \"kernel\": %s, \"line\": %d, \"text\": %s",
                 quoted(r.kind).c_str(), r.severity == Severity::Error ? "error" : "note", quoted(r.message).c_str(),
                 quoted(r.hint).c_str(), quoted(r.kernel).c_str(), r.line, quoted(r.text).c_str());
  if (!r.location.file.empty() || r.location.line)
    text += formatText(", \"location\": {\"file\": %s, \"line\": %d, \"column\": %d}", quoted(r.location.file).c_str(), r.location.line,
                       r.location.column);
  if (r.warp >= 0)
    text += formatText(", \"cta\": [%u, %u, %u], \"warp\": %d", r.cta.x, r.cta.y, r.cta.z, r.warp);
  if (r.lane >= 0)
    text += formatText(", \"lane\": %d", r.lane);
  return text + formatText(", \"count\": %llu}", (unsigned long long)r.count);
}

std::string resultToJson(const LaunchResult &result) {
  const Counters &c = result.counters;
  std::string text = formatText("{\"clean\": %s, \"finished\": %s, \"seconds\": %.6f,\n \"reports\": [", result.clean() ? "true" : "false",
                                result.finished ? "true" : "false", result.seconds);
  for (size_t i = 0; i < result.reports.size(); ++i)
    text += (i ? ",\n  " : "\n  ") + reportToJson(result.reports[i]);
  text += result.reports.empty() ? "],\n" : "\n ],\n";
  const std::pair<const char *, uint64_t> counters[] = {{"warp_instructions", c.warpInstructions},
                                                        {"thread_instructions", c.threadInstructions},
                                                        {"global_loads", c.globalLoads},
                                                        {"global_load_bytes", c.globalLoadBytes},
                                                        {"global_load_sectors", c.globalLoadSectors},
                                                        {"global_stores", c.globalStores},
                                                        {"global_store_bytes", c.globalStoreBytes},
                                                        {"global_store_sectors", c.globalStoreSectors},
                                                        {"shared_requests", c.sharedRequests},
                                                        {"shared_wavefronts", c.sharedWavefronts},
                                                        {"shared_ideal_wavefronts", c.sharedIdealWavefronts},
                                                        {"bank_conflicts", c.bankConflicts()},
                                                        {"async_copy_bytes", c.asyncCopyBytes},
                                                        {"bulk_bytes", c.bulkBytes},
                                                        {"bulk_sectors", c.bulkSectors},
                                                        {"mma", c.mma},
                                                        {"wgmma", c.wgmma},
                                                        {"multiply_adds", c.multiplyAdds}};
  text += " \"counters\": {";
  bool first = true;
  for (auto [name, value] : counters) {
    text += formatText("%s\"%s\": %llu", first ? "" : ", ", name, (unsigned long long)value);
    first = false;
  }
  return text + "}}\n";
}

} // namespace leat::sim
