// leat tokenize: text to token ids and back, to see what a model sees.
#include "lib/Driver/Commands.h"

#include "runtime/text/Tokenizer.h"

#include <cstdio>
#include <iostream>
#include <sstream>

using namespace leat::rt;

namespace leat::driver {

static int tokenize(const Args &args) {
  auto tokenizer = Tokenizer::load(args.positional[0]);
  if (!tokenizer)
    return fail(tokenizer.status());
  char separator = args.has("null") ? '\0' : '\n';
  std::string line;
  while (std::getline(std::cin, line, separator)) {
    if (args.has("decode")) {
      std::istringstream words(line);
      std::vector<int64_t> ids;
      for (int64_t id; words >> id;)
        ids.push_back(id);
      std::string text = tokenizer->decode(ids);
      fwrite(text.data(), 1, text.size(), stdout);
    } else {
      bool first = true;
      for (int64_t id : tokenizer->encode(line, args.has("special"))) {
        printf(first ? "%lld" : " %lld", static_cast<long long>(id));
        first = false;
      }
    }
    putchar(separator);
  }
  return kOk;
}

Command tokenizeCommand() {
  return {{"tokenize",
           "TOKENIZER.json",
           "turn lines of standard input into token ids, or back",
           {{"decode", nullptr, "lines are ids, print text", "Options"},
            {"special", nullptr, "add the special tokens that the tokenizer puts around a text", "Options"},
            {"null", nullptr, "records end with a null byte instead of a newline", "Options"}},
           1,
           1},
          tokenize};
}

} // namespace leat::driver
