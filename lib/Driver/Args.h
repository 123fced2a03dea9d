// Command lines: a table of options per command gives parsing, --help, environment twins and suggestions for mistyped flags.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace leat::driver {

struct OptionSpec {
  const char *name;  // without dashes
  const char *value; // what --help calls the value; null for a flag
  const char *help;
  const char *group;
};

struct CommandSpec {
  const char *name;
  const char *arguments; // positional arguments as --help shows them
  const char *summary;
  std::vector<OptionSpec> options;
  size_t minPositional, maxPositional;
};

class Args {
public:
  /// Parses what follows the command's name. `--name value`, `--name=value`; an option that is not given is looked up as LEAT_NAME in the
  /// environment (dashes become underscores). On a mistake returns nothing and `error` is one line.
  static std::optional<Args> parse(const CommandSpec &spec, int argc, char **argv, std::string &error);

  bool has(const std::string &name) const { return values.count(name) != 0; }
  /// The last value given, or `otherwise`.
  std::string get(const std::string &name, const std::string &otherwise = "") const;
  const std::vector<std::string> &list(const std::string &name) const;
  /// Numbers; on a malformed or out-of-range value sets `error` and returns `otherwise`.
  int64_t integer(const std::string &name, int64_t otherwise, int64_t low, int64_t high, std::string &error) const;
  double number(const std::string &name, double otherwise, double low, double high, std::string &error) const;

  std::vector<std::string> positional;

private:
  std::map<std::string, std::vector<std::string>> values;
};

/// The text of --help.
std::string helpText(const CommandSpec &spec);
/// The candidate closest to `word`, or "" when none is close.
std::string closest(const std::string &word, const std::vector<std::string> &candidates);

} // namespace leat::driver
