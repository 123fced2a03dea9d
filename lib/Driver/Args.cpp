// Parsing of command lines.
#include "lib/Driver/Args.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/FormatVariadic.h"

#include <cstdlib>

namespace leat::driver {

std::string closest(const std::string &word, const std::vector<std::string> &candidates) {
  std::string best;
  unsigned distance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string &c : candidates) {
    unsigned d = llvm::StringRef(word).edit_distance(c, /*AllowReplacements=*/true, distance);
    if (d < distance)
      distance = d, best = c;
  }
  return best;
}

std::optional<Args> Args::parse(const CommandSpec &spec, int argc, char **argv, std::string &error) {
  Args args;
  auto find = [&](const std::string &name) -> const OptionSpec * {
    for (const OptionSpec &o : spec.options)
      if (name == o.name)
        return &o;
    return nullptr;
  };
  bool onlyPositional = false;
  for (int i = 0; i < argc; ++i) {
    std::string word = argv[i];
    if (onlyPositional || word.size() < 2 || word[0] != '-') {
      args.positional.push_back(word);
      continue;
    }
    if (word == "--") {
      onlyPositional = true;
      continue;
    }
    if (word == "-o")
      word = "--output";
    if (word == "-h")
      word = "--help";
    size_t dashes = word.compare(0, 2, "--") == 0 ? 2 : 1;
    size_t equals = word.find('=');
    std::string name = word.substr(dashes, equals == std::string::npos ? equals : equals - dashes);
    if (name == "help") {
      args.values["help"].push_back("");
      continue;
    }
    const OptionSpec *option = dashes == 2 ? find(name) : nullptr;
    if (!option) {
      std::vector<std::string> names{"help"};
      for (const OptionSpec &o : spec.options)
        names.push_back(o.name);
      std::string guess = closest(name, names);
      error = llvm::formatv("leat {0} has no option '{1}'{2}; see leat {0} --help", spec.name, word.substr(0, equals),
                            guess.empty() ? "" : ", did you mean '--" + guess + "'?")
                  .str();
      return std::nullopt;
    }
    if (!option->value) {
      if (equals != std::string::npos) {
        error = llvm::formatv("--{0} takes no value", name).str();
        return std::nullopt;
      }
      args.values[name].push_back("");
    } else if (equals != std::string::npos) {
      args.values[name].push_back(word.substr(equals + 1));
    } else if (i + 1 < argc) {
      args.values[name].push_back(argv[++i]);
    } else {
      error = llvm::formatv("--{0} needs a value: --{0} {1}", name, option->value).str();
      return std::nullopt;
    }
  }
  for (const OptionSpec &o : spec.options) {
    if (args.has(o.name))
      continue;
    std::string variable = "LEAT_";
    for (const char *c = o.name; *c; ++c)
      variable += *c == '-' ? '_' : static_cast<char>(toupper(*c));
    if (const char *value = getenv(variable.c_str()); value && *value)
      args.values[o.name].push_back(o.value ? value : "");
  }
  if (args.has("help"))
    return args;
  if (args.positional.size() < spec.minPositional || args.positional.size() > spec.maxPositional) {
    error = llvm::formatv("leat {0} takes {1}, got {2} argument{3}; see leat {0} --help", spec.name, spec.arguments, args.positional.size(),
                          args.positional.size() == 1 ? "" : "s")
                .str();
    return std::nullopt;
  }
  return args;
}

std::string Args::get(const std::string &name, const std::string &otherwise) const {
  auto it = values.find(name);
  return it == values.end() ? otherwise : it->second.back();
}

const std::vector<std::string> &Args::list(const std::string &name) const {
  static const std::vector<std::string> none;
  auto it = values.find(name);
  return it == values.end() ? none : it->second;
}

int64_t Args::integer(const std::string &name, int64_t otherwise, int64_t low, int64_t high, std::string &error) const {
  if (!has(name))
    return otherwise;
  int64_t value;
  if (llvm::StringRef(get(name)).getAsInteger(10, value) || value < low || value > high) {
    error = llvm::formatv("--{0} needs a whole number from {1} to {2}, got '{3}'", name, low, high, get(name)).str();
    return otherwise;
  }
  return value;
}

double Args::number(const std::string &name, double otherwise, double low, double high, std::string &error) const {
  if (!has(name))
    return otherwise;
  double value;
  if (llvm::StringRef(get(name)).getAsDouble(value) || !(value >= low && value <= high)) {
    error = llvm::formatv("--{0} needs a number from {1} to {2}, got '{3}'", name, low, high, get(name)).str();
    return otherwise;
  }
  return value;
}

std::string helpText(const CommandSpec &spec) {
  std::string text = llvm::formatv("usage: leat {0} {1} [options]\n\n{2}\n", spec.name, spec.arguments, spec.summary).str();
  std::vector<std::string> groups;
  for (const OptionSpec &o : spec.options)
    if (std::find(groups.begin(), groups.end(), o.group) == groups.end())
      groups.push_back(o.group);
  for (const std::string &group : groups) {
    text += "\n" + group + ":\n";
    for (const OptionSpec &o : spec.options)
      if (group == o.group) {
        std::string left = std::string("  --") + o.name + (o.value ? std::string(" ") + o.value : "");
        text += left.size() < 30 ? left + std::string(30 - left.size(), ' ') : left + "\n" + std::string(30, ' ');
        text += std::string(o.help) + "\n";
      }
  }
  text += "\nEvery option can also be set in the environment: --target-cpu as LEAT_TARGET_CPU.\n";
  return text;
}

} // namespace leat::driver
