// Findings: collected once a place, with the instruction's text and source location looked up then.
#include "runtime/device/sim/Reports.h"
#include "runtime/device/sim/Machine.h"

#include <cstdarg>

namespace leat::sim {

using rt::formatText;

struct KindInfo {
  Severity severity;
  const char *name, *hint;
};
static constexpr KindInfo kinds[] = {
#define LEAT_SIM_KIND(id, severity, name, hint) {Severity::severity, name, hint},
#include "runtime/device/sim/Kinds.def"
#undef LEAT_SIM_KIND
};

static u64 siteKey(const Op *op, Kind kind, u64 key) {
  u64 hash = u64(kind) << 32 | (op ? op->index + 1 : 0);
  return (hash * 0x9e3779b97f4a7c15ull) ^ ((key + 1) * 0xbf58476d1ce4e5b9ull);
}

static std::string lineText(const Ast &ast, int line) {
  std::string_view rest = ast.text;
  for (int i = 1; i < line && !rest.empty(); ++i) {
    size_t end = rest.find('\n');
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  rest = rest.substr(0, rest.find('\n'));
  size_t first = rest.find_first_not_of(" \t");
  rest = first == std::string_view::npos ? std::string_view() : rest.substr(first);
  std::string text(rest.substr(0, 400));
  std::replace(text.begin(), text.end(), '\t', ' ');
  return rt::printable(text, 100);
}

std::string lineOf(const Program &program, u32 pc) {
  if (pc >= program.code.size())
    return "?";
  int line = program.code[pc].line;
  return formatText("line %d '%s'", line, lineText(*program.ast, line).c_str());
}

Place placeOf(const Warp &warp, int lane) { return {warp.cta->id, warp.id, lane}; }

bool ReportSink::seen(const Op *op, Kind kind, u64 key) {
  std::lock_guard lock(mutex);
  auto it = known.find(siteKey(op, kind, key));
  if (it == known.end())
    return int(reports.size()) >= most;
  ++reports[it->second].count;
  return true;
}

void ReportSink::add(const Place &who, const Op *op, Kind kind, u64 key, const std::string &message) {
  if (seen(op, kind, key))
    return;
  const KindInfo &info = kinds[int(kind)];
  Report r;
  r.kind = info.name;
  r.severity = info.severity;
  r.hint = info.hint;
  r.message = message;
  r.kernel = program.name;
  r.cta = who.cta;
  r.warp = who.warp;
  r.lane = who.lane;
  if (op && op->line > 0) {
    r.line = op->line;
    r.text = lineText(*program.ast, op->line);
    if (op->location >= 0) {
      const Location &location = program.ast->locations[op->location];
      auto file = program.ast->files.find(location.file);
      r.location = {file == program.ast->files.end() ? "" : file->second, location.line, location.column};
    }
  }
  std::lock_guard lock(mutex);
  auto [it, isNew] = known.emplace(siteKey(op, kind, key), reports.size());
  if (!isNew) {
    ++reports[it->second].count;
    return;
  }
  reports.push_back(std::move(r));
  if (stopAtFirst && info.severity == Severity::Error)
    stop = true;
}

std::vector<Report> ReportSink::take() {
  std::lock_guard lock(mutex);
  return std::move(reports);
}

static void reportList(Warp &warp, const Op &op, int lane, Kind kind, u64 key, const char *format, va_list args) {
  ReportSink &sink = warp.cta->cluster->launch->reports;
  if (sink.seen(&op, kind, key))
    return;
  char text[1024];
  std::vsnprintf(text, sizeof(text), format, args);
  sink.add(placeOf(warp, lane), &op, kind, key, text);
  if (sink.stopped())
    warp.cta->cluster->aborted = true;
}

void report(Warp &warp, const Op &op, int lane, Kind kind, const char *format, ...) {
  va_list args;
  va_start(args, format);
  reportList(warp, op, lane, kind, 0, format, args);
  va_end(args);
}

void reportWith(Warp &warp, const Op &op, int lane, Kind kind, u64 key, const char *format, ...) {
  va_list args;
  va_start(args, format);
  reportList(warp, op, lane, kind, key, format, args);
  va_end(args);
}

std::string formatReport(const Report &r) {
  std::string text = r.severity == Severity::Error ? "error: " : "note: ";
  if (!r.location.file.empty())
    text = formatText("%s:%d:%d: ", r.location.file.c_str(), r.location.line, r.location.column) + text;
  text += r.kind + ": " + r.kernel;
  if (r.warp >= 0) {
    text += formatText(" cta (%u,%u,%u) warp %d", r.cta.x, r.cta.y, r.cta.z, r.warp);
    if (r.lane >= 0)
      text += formatText(" lane %d", r.lane);
  }
  if (r.line > 0)
    text += formatText(", PTX line %d '%s'", r.line, r.text.c_str());
  text += ": " + r.message;
  if (r.count > 1)
    text += formatText(" (%llu times)", (unsigned long long)r.count);
  return text + "; " + r.hint;
}

} // namespace leat::sim
