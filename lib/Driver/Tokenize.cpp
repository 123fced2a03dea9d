// leat tokenize: text to token ids and back, to see what a model sees.
#include "lib/Driver/Commands.h"

#include "runtime/text/ChatTemplate.h"
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
  std::optional<ChatTemplate> chat;
  if (args.has("chat-template")) {
    auto loaded = ChatTemplate::load(args.get("chat-template"));
    if (!loaded)
      return fail(loaded.status());
    chat = std::move(*loaded);
  }
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
      if (chat) {
        auto rendered = chat->render({{"user", line}}, /*generationPrompt=*/true);
        if (!rendered)
          return fail(rendered.status());
        line = *rendered;
      }
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
            {"chat-template", "FILE", "each line is a user's message: put it into this template first", "Options"},
            {"null", nullptr, "records end with a null byte instead of a newline", "Options"}},
           1,
           1},
          tokenize};
}

} // namespace leat::driver
