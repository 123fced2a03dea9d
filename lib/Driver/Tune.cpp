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
#include <optional>

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
  /// Null if it does not compile or load: `code` and `why` say more.
  std::unique_ptr<Workload> build(const Choices &choices, llvm::StringRef name);
  /// False if a run fails.
  bool compare(Workload &a, Workload &b, Times &ofA, Times &ofB);
  /// Median of b over median of a in the runs [from, to).
  static double ratio(const std::vector<double> &a, const std::vector<double> &b, size_t from, size_t to);
  /// Kernels, and a value of a parameter for each.
  using Changes = std::vector<std::pair<size_t, int64_t>>;
  void tryValue(llvm::StringRef parameter, size_t candidate);
  void tryChanges(llvm::StringRef parameter, size_t candidate, llvm::ArrayRef<std::pair<size_t, int64_t>> changes);
  bool writeResult();
  /// What the kernel has now; none if its schedule does not name the parameter.
  std::optional<int64_t> valueOf(const KernelInfo &kernel, llvm::StringRef parameter) const;
  /// Reports what went wrong, for good.
  int stop() { return fail(code, why); }

  const Args &args;
  CompileOptions options;
  FrontendOptions frontend;
  Folder folder;
  int64_t pairs = 0, tried = 0;
  double threshold = 0, share = 0;
  ExitCode code = kOk; ///< of what went wrong last
  std::string why;
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
      why += (why.empty() ? "" : "\n") + message.text;
  });
  if (outcome != Outcome::Done) {
    code = static_cast<ExitCode>(outcome);
    return nullptr;
  }
  auto workload = Workload::create(artifact, args);
  if (!workload) {
    code = exitCode(workload.status());
    why = workload.status().message();
    return nullptr;
  }
  return std::move(*workload);
}

bool Tuner::compare(Workload &a, Workload &b, Times &ofA, Times &ofB) {
  auto once = [&](Workload &workload, Times &times) {
    workload.clearProfile();
    Status status = workload.run();
    double whole = workload.seconds();
    if (status.ok() && workload.model().program()) { // measured kernels do not overlap: the device's own time for all of them
      auto seconds = workload.secondsOnDevice();
      status = seconds.takeStatus();
      whole = seconds ? *seconds : 0;
    }
    if (!status.ok()) {
      code = exitCode(status);
      why = status.message();
      return false;
    }
    times.kernels.resize(kernels.size());
    times.whole.push_back(whole * 1e9);
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

std::optional<int64_t> Tuner::valueOf(const KernelInfo &kernel, llvm::StringRef parameter) const {
  auto own = chosen.find(kernel.name);
  if (own != chosen.end())
    if (auto value = own->second.find(parameter); value != own->second.end())
      return value->second;
  for (llvm::StringRef word : llvm::split(llvm::StringRef(kernel.strategy), ' ')) {
    auto [name, number] = word.split('=');
    int64_t value;
    if (name == parameter && !number.getAsInteger(10, value))
      return value;
  }
  return std::nullopt;
}

/// Compiles with one more value for every kernel that has the parameter, and remembers where it is faster.
void Tuner::tryValue(llvm::StringRef parameter, size_t candidate) {
  Changes changes;
  for (size_t k = 0; k < kernels.size(); ++k) {
    const schedule::Tunable *tunable = schedule::findTunable(llvm::StringRef(kernels[k].strategy).split(' ').first, parameter);
    std::optional<int64_t> now = valueOf(kernels[k], parameter);
    if (matters[k] && tunable && now && candidate < tunable->candidates.size() && tunable->candidates[candidate] != *now)
      changes.push_back({k, tunable->candidates[candidate]});
  }
  if (!changes.empty())
    tryChanges(parameter, candidate, changes);
}

void Tuner::tryChanges(llvm::StringRef parameter, size_t candidate, llvm::ArrayRef<std::pair<size_t, int64_t>> changes) {
  Choices trial = chosen;
  for (auto [k, value] : changes)
    trial[kernels[k].name][parameter] = value;
  ++tried;
  std::unique_ptr<Workload> workload = build(trial, "trial.leat");
  Times before, after;
  if (!workload || !compare(*best, *workload, before, after)) {
    // A size may be more than a multiprocessor has. Whose it is, halves tell.
    std::string reason = std::exchange(why, "");
    if (changes.size() == 1)
      return note(args,
                  formatv("{0}={1} does not fit {2}: {3}", parameter, changes[0].second, kernels[changes[0].first].name, reason).str());
    tryChanges(parameter, candidate, changes.take_front(changes.size() / 2));
    return tryChanges(parameter, candidate, changes.drop_front(changes.size() / 2));
  }
  size_t faster = 0, half = static_cast<size_t>(pairs) / 2, all = static_cast<size_t>(pairs);
  for (auto [k, value] : changes) {
    // Believed only if both halves of the runs say so.
    double worse = std::max(ratio(before.kernels[k], after.kernels[k], 0, half), ratio(before.kernels[k], after.kernels[k], half, all));
    if (worse > 1 - threshold)
      continue;
    ++faster;
    auto [at, isNew] = found.try_emplace(kernels[k].name, Found{value, worse});
    if (!isNew && worse < at->second.ratio)
      at->second = {value, worse};
  }
  note(args, formatv("{0}, value {1} of its list: {2} kernels, faster in {3}", parameter, candidate + 1, changes.size(), faster).str());
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
    return stop();
  kernels = best->manifest().kernels;
  Times first, again;
  if (!compare(*best, *best, first, again))
    return stop();
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
  std::vector<std::string> wanted = args.list("parameter");
  for (const std::string &name : wanted)
    if (!llvm::is_contained(parameters, name))
      return fail(kUsage, "--parameter=" + name + ": no kernel that matters has it; there are " + llvm::join(parameters, ", "));
  for (llvm::StringRef parameter : parameters) {
    if (!wanted.empty() && !llvm::is_contained(wanted, parameter))
      continue;
    found.clear();
    for (size_t candidate = 0; candidate < 8; ++candidate)
      tryValue(parameter, candidate);
    for (auto &[kernel, what] : found)
      chosen[kernel][parameter] = what.value;
    if (!found.empty() && !(best = build(chosen, "best.leat")))
      return stop();
  }
  return writeResult() ? kOk : stop();
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
    code = kFailed;
    why = "cannot write '" + output + "': " + error.message();
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
  Command command = {
      {"tune",
       "MODEL.onnx",
       "search the sizes of a model's kernels on this machine and write them as a schedule for leat compile --schedule",
       {{"output", "FILE", "the schedule; -o is short for it (standard output)", "Output"},
        {"repetitions", "N", "runs of each of the two that are compared (20)", "Search"},
        {"gain", "F", "a kernel changes if it gets faster by this fraction in both halves of the runs (0.03)", "Search"},
        {"parameter", "NAME", "search this one only; may be repeated (all that leat inspect --schedule shows and may change)", "Search"},
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
