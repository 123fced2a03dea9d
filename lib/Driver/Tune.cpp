// leat tune: searches the sizes of a model's kernels on this machine and writes those that are faster than the compiler's choice as a
// schedule.
#include "lib/Driver/CompileArgs.h"
#include "lib/Driver/Workload.h"

#include "passes/Schedule/Strategies.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <map>

using namespace leat::rt;
using llvm::formatv;

namespace leat::driver {

namespace {

/// What differs from the compiler's choice: kernel -> parameter -> value.
using Choices = std::map<std::string, std::map<llvm::StringRef, int64_t>>;

std::string scheduleText(const Choices &choices) {
  std::string text;
  for (auto &[kernel, values] : choices) {
    text += kernel;
    for (auto [name, value] : values)
      text += formatv(" {0}={1}", name, value);
    text += "\n";
  }
  return text;
}

/// Files of a search, gone with it.
class Folder {
public:
  Folder() { failed = bool(llvm::sys::fs::createUniqueDirectory("leat-tune", path)); }
  ~Folder() {
    if (!failed)
      llvm::sys::fs::remove_directories(path);
  }
  std::string file(llvm::StringRef name) const {
    llvm::SmallString<128> full(path);
    llvm::sys::path::append(full, name);
    return full.str().str();
  }
  bool failed;

private:
  llvm::SmallString<128> path;
};

/// Times of a run in ns: of each kernel, and of all of it.
struct Times {
  std::vector<std::vector<double>> kernels;
  std::vector<double> whole;
};

class Tuner {
public:
  Tuner(const Args &args, CompileOptions options, FrontendOptions frontend)
      : args(args), options(std::move(options)), frontend(std::move(frontend)) {}
  int run();

private:
  std::unique_ptr<Workload> build(const Choices &choices, llvm::StringRef name);
  bool compare(Workload &a, Workload &b, Times &ofA, Times &ofB);
  /// Median of b over median of a in the runs [from, to).
  static double ratio(const std::vector<double> &a, const std::vector<double> &b, size_t from, size_t to);
  bool tryValue(llvm::StringRef parameter, size_t candidate);
  bool writeResult();
  int64_t valueOf(const KernelInfo &kernel, const schedule::Tunable &tunable) const;

  const Args &args;
  CompileOptions options;
  FrontendOptions frontend;
  Folder folder;
  int64_t pairs = 0, tried = 0;
  double threshold = 0, share = 0;
  int code = kOk; ///< of what went wrong
  std::unique_ptr<Workload> best;
  std::vector<KernelInfo> kernels; ///< as the compiler schedules them
  std::vector<bool> matters;
  Choices chosen;
  struct Found {
    int64_t value;
    double ratio;
  };
  std::map<std::string, Found> found; ///< the best value of the parameter in search, by kernel
};

std::unique_ptr<Workload> Tuner::build(const Choices &choices, llvm::StringRef name) {
  CompileOptions given = options;
  given.scheduleFile.clear();
  if (!choices.empty()) {
    given.scheduleFile = folder.file("schedule");
    std::error_code error;
    llvm::raw_fd_ostream file(given.scheduleFile, error);
    file << scheduleText(choices);
  }
  std::string artifact = folder.file(name);
  Outcome outcome = compileFile(args.positional[0], frontend, given, artifact, [&](const Message &message) {
    if (message.error)
      fail(kFailed, message.text);
  });
  if (outcome != Outcome::Done) {
    code = static_cast<int>(outcome);
    return nullptr;
  }
  auto workload = Workload::create(artifact, args);
  if (!workload) {
    code = fail(workload.status());
    return nullptr;
  }
  return std::move(*workload);
}

bool Tuner::compare(Workload &a, Workload &b, Times &ofA, Times &ofB) {
  auto once = [&](Workload &workload, Times &times) {
    workload.clearProfile();
    if (Status s = workload.run(); !s.ok()) {
      code = fail(s);
      return false;
    }
    times.kernels.resize(kernels.size());
    times.whole.push_back(workload.seconds() * 1e9);
    for (size_t k = 0; k < kernels.size(); ++k)
      times.kernels[k].push_back(static_cast<double>(workload.profile()[k].nanoseconds));
    return true;
  };
  // Both after each other, in turns of changing order: what disturbs one disturbs the other.
  for (int64_t pair = 0; pair < pairs; ++pair)
    if (!(pair % 2 ? once(b, ofB) && once(a, ofA) : once(a, ofA) && once(b, ofB)))
      return false;
  return true;
}

double Tuner::ratio(const std::vector<double> &a, const std::vector<double> &b, size_t from, size_t to) {
  auto part = [&](const std::vector<double> &v) { return median(std::vector<double>(v.begin() + from, v.begin() + to)); };
  double before = part(a);
  return before > 0 ? part(b) / before : 1;
}

int64_t Tuner::valueOf(const KernelInfo &kernel, const schedule::Tunable &tunable) const {
  auto own = chosen.find(kernel.name);
  if (own != chosen.end())
    if (auto value = own->second.find(tunable.name); value != own->second.end())
      return value->second;
  return tunable.standard;
}

/// Compiles with one more value for every kernel that has the parameter, and remembers where it is faster.
bool Tuner::tryValue(llvm::StringRef parameter, size_t candidate) {
  Choices trial = chosen;
  std::vector<std::pair<size_t, int64_t>> changed;
  for (size_t k = 0; k < kernels.size(); ++k) {
    llvm::StringRef strategy = llvm::StringRef(kernels[k].strategy).split(' ').first;
    const schedule::Tunable *tunable = schedule::findTunable(strategy, parameter);
    if (!matters[k] || !tunable || candidate >= tunable->candidates.size() ||
        tunable->candidates[candidate] == valueOf(kernels[k], *tunable))
      continue;
    trial[kernels[k].name][tunable->name] = tunable->candidates[candidate];
    changed.push_back({k, tunable->candidates[candidate]});
  }
  if (changed.empty())
    return true;
  ++tried;
  std::unique_ptr<Workload> workload = build(trial, "trial.leat");
  Times before, after;
  if (!workload || !compare(*best, *workload, before, after))
    return false;
  size_t faster = 0, half = static_cast<size_t>(pairs) / 2, all = static_cast<size_t>(pairs);
  for (auto [k, value] : changed) {
    // Believed only if both halves of the runs say so.
    double worse = std::max(ratio(before.kernels[k], after.kernels[k], 0, half), ratio(before.kernels[k], after.kernels[k], half, all));
    if (worse > 1 - threshold)
      continue;
    ++faster;
    auto [at, isNew] = found.try_emplace(kernels[k].name, Found{value, worse});
    if (!isNew && worse < at->second.ratio)
      at->second = {value, worse};
  }
  note(args, formatv("{0}, value {1} of its list: {2} kernels, faster in {3}", parameter, candidate + 1, changed.size(), faster).str());
  return true;
}

int Tuner::run() {
  std::string bad;
  pairs = args.integer("repetitions", 20, 4, 1 << 20, bad);
  threshold = args.number("gain", 0.03, 0, 1, bad);
  share = args.number("share", 0.01, 0, 1, bad);
  if (!bad.empty())
    return fail(kUsage, bad);
  if (folder.failed)
    return fail(kFailed, "cannot make a temporary folder");
  if (!(best = build(chosen, "best.leat")))
    return code;
  kernels = best->manifest().kernels;
  Times first, again;
  if (!compare(*best, *best, first, again))
    return code;
  double whole = median(first.whole);
  llvm::SmallVector<llvm::StringRef> parameters;
  for (size_t k = 0; k < kernels.size(); ++k) {
    matters.push_back(median(first.kernels[k]) >= share * whole);
    if (matters[k])
      for (const schedule::Tunable &t : schedule::tunablesOf(llvm::StringRef(kernels[k].strategy).split(' ').first))
        if (!llvm::is_contained(parameters, t.name))
          parameters.push_back(t.name);
  }
  note(args, formatv("{0:F3} ms a run; {1} of {2} kernels take {3:F1}% of it or more", whole * 1e-6, llvm::count(matters, true),
                     kernels.size(), share * 100)
                 .str());
  for (llvm::StringRef parameter : parameters) {
    found.clear();
    for (size_t candidate = 0; candidate < 8; ++candidate)
      if (!tryValue(parameter, candidate))
        return code;
    for (auto &[kernel, what] : found)
      chosen[kernel][parameter] = what.value;
    if (!found.empty() && !(best = build(chosen, "best.leat")))
      return code;
  }
  return writeResult() ? kOk : code;
}

bool Tuner::writeResult() {
  double gain = 1;
  if (!chosen.empty()) {
    auto standard = build({}, "standard.leat");
    Times before, after;
    if (!standard || !compare(*standard, *best, before, after))
      return false;
    gain = ratio(before.whole, after.whole, 0, before.whole.size());
  }
  std::string output = args.get("output", "-");
  std::error_code error;
  llvm::raw_fd_ostream file(output, error);
  if (!error) {
    file << formatv("# leat tune {0}: {1} trials; the run takes {2:F3} of its time without this schedule\n",
                    llvm::sys::path::filename(args.positional[0]), tried, gain);
    file << scheduleText(chosen);
    file.flush();
    error = file.error();
    file.clear_error();
  }
  if (error) {
    code = fail(kFailed, "cannot write '" + output + "': " + error.message());
    return false;
  }
  note(args, formatv("{0} kernels get other sizes; the run takes {1:F3} of its time without them", chosen.size(), gain).str());
  return true;
}

int tune(const Args &args) {
  CompileOptions options;
  FrontendOptions frontend;
  readCompileArgs(args, options, frontend);
  return Tuner(args, std::move(options), std::move(frontend)).run();
}

} // namespace

Command tuneCommand() {
  Command command = {{"tune",
                      "MODEL.onnx",
                      "search the sizes of a model's kernels on this machine and write them as a schedule for leat compile --schedule",
                      {{"output", "FILE", "the schedule; -o is short for it (standard output)", "Output"},
                       {"repetitions", "N", "runs of each of the two that are compared (20)", "Search"},
                       {"gain", "F", "a kernel changes if it gets faster by this fraction in both halves of the runs (0.03)", "Search"},
                       {"share", "F", "kernels below this fraction of a run stay as they are (0.01)", "Search"},
                       {"quiet", nullptr, "only errors", "Other"}},
                      1,
                      1},
                     tune};
  llvm::append_range(command.spec.options, workloadOptions());
  llvm::append_range(command.spec.options, compileArgOptions());
  return command;
}

} // namespace leat::driver
