// leat generate: a token model as a stream: prompts, chat, endless text, perplexity.
#include "lib/Driver/Commands.h"

#include "runtime/core/File.h"
#include "runtime/decode/Generator.h"
#include "runtime/text/ChatTemplate.h"
#include "runtime/text/Tokenizer.h"

#include <cmath>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <unistd.h>

using namespace leat::rt;

namespace leat::driver {

namespace {

volatile std::sig_atomic_t interrupted = 0;

std::string folderOf(const std::string &path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

bool exists(const std::string &path) { return access(path.c_str(), R_OK) == 0; }

/// One conversation or text: the model's session and what turns it into words.
struct Stream {
  std::unique_ptr<Session> session;
  std::unique_ptr<Generator> generator;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<ChatTemplate> chat;
  int64_t limit = 0;
  bool raw = false; // print ids
};

bool print(void *context, int64_t token) {
  auto *out = static_cast<Tokenizer::Stream *>(context);
  std::string text = out->next(token);
  fwrite(text.data(), 1, text.size(), stdout);
  fflush(stdout);
  return !interrupted;
}

bool printId(void *, int64_t token) {
  printf("%lld ", static_cast<long long>(token));
  fflush(stdout);
  return !interrupted;
}

Status answer(Stream &s) {
  Tokenizer::Stream out(*s.tokenizer);
  auto count = s.raw ? s.generator->generate(s.limit, printId, nullptr) : s.generator->generate(s.limit, print, &out);
  if (!count)
    return count.takeStatus();
  printf("%s\n", s.raw ? "" : out.finish().c_str());
  fflush(stdout);
  return {};
}

void report(const Args &args, const Stream &s) {
  const GeneratorStatistics &st = s.generator->statistics();
  double prompt = st.promptSeconds > 0 ? static_cast<double>(st.promptTokens) / st.promptSeconds : 0;
  double decode = st.decodeSeconds > 0 ? static_cast<double>(st.generatedTokens) / st.decodeSeconds : 0;
  note(args,
       formatText("prompt %lld tokens, %.1f tokens/s; generated %lld tokens, %.1f tokens/s (sampling and text excluded); state %.1f MB",
                  static_cast<long long>(st.promptTokens), prompt, static_cast<long long>(st.generatedTokens), decode,
                  static_cast<double>(s.session->state().bytes()) / 1e6));
}

Result<std::string> readText(const std::string &path) {
  auto bytes = readFile(path);
  if (!bytes)
    return bytes.takeStatus();
  return std::string(bytes->begin(), bytes->end());
}

/// Perplexity per block of tokens and over all, each token given everything that the cache policy keeps of what came before.
int perplexity(const Args &args, Stream &s, const std::string &path, int64_t block, int64_t most) {
  auto text = readText(path);
  if (!text)
    return fail(text.status());
  std::vector<int64_t> tokens = s.tokenizer->encode(*text);
  if (most > 0 && static_cast<int64_t>(tokens.size()) > most)
    tokens.resize(static_cast<size_t>(most));
  if (tokens.size() < 2)
    return fail(kBadInput, path + " has less than two tokens: nothing to predict");
  double sum = 0;
  int64_t count = 0;
  printf("%8s %12s %12s\n", "tokens", "block ppl", "ppl so far");
  for (size_t begin = 0; begin < tokens.size(); begin += static_cast<size_t>(block)) {
    size_t end = std::min(tokens.size(), begin + static_cast<size_t>(block));
    std::vector<double> nll;
    if (Status st = s.generator->score(std::span(tokens).subspan(begin, end - begin), nll); !st.ok())
      return fail(st);
    double part = 0;
    for (double n : nll)
      part += n;
    sum += part, count += static_cast<int64_t>(nll.size());
    printf("%8zu %12.4f %12.4f\n", end, std::exp(part / static_cast<double>(std::max<size_t>(1, nll.size()))),
           std::exp(sum / static_cast<double>(count)));
    fflush(stdout);
    if (interrupted)
      return kInterrupted;
  }
  report(args, s);
  return kOk;
}

/// Reads standard input for as long as it comes. In chat each line is a message and gets an answer; otherwise the text is read on and
/// continued at its end.
int stream(const Args &args, Stream &s) {
  std::string line;
  bool first = true;
  while (!interrupted && std::getline(std::cin, line)) {
    std::string text = std::cin.eof() ? line : line + "\n"; // a last line may have no end
    if (s.chat) {
      // The template adds what it puts before the first message only once.
      std::vector<ChatMessage> messages;
      if (first && args.has("system"))
        messages.push_back({"system", args.get("system")});
      messages.push_back({"user", line});
      auto rendered = s.chat->render(messages, true);
      if (!rendered)
        return fail(rendered.status());
      text = *rendered;
      if (!first) { // keep the part of this message: render without it is the prefix that the stream already has
        auto before = s.chat->render({{"user", ""}}, false);
        auto empty = s.chat->render({{"user", ""}, {"user", line}}, true);
        if (before && empty && empty->compare(0, before->size(), *before) == 0)
          text = "\n" + empty->substr(before->size());
      }
    }
    first = false;
    if (Status st = s.generator->feed(s.tokenizer->encode(text)); !st.ok())
      return fail(st);
    if (s.chat)
      if (Status st = answer(s); !st.ok())
        return fail(st);
  }
  if (!s.chat && !first && !interrupted)
    if (Status st = answer(s); !st.ok())
      return fail(st);
  report(args, s);
  return interrupted ? kInterrupted : kOk;
}

int open(const Args &args, Stream &s) {
  std::string bad;
  ModelOptions modelGiven = modelOptions(args, bad);
  SessionOptions sessionOptions;
  sessionOptions.context = args.integer("context", 4096, 1, int64_t(1) << 32, bad);
  GeneratorOptions options;
  options.sampling.temperature = args.number("temperature", 0, 0, 100, bad);
  options.sampling.topK = args.integer("top-k", 0, 0, INT32_MAX, bad);
  options.sampling.topP = args.number("top-p", 1, 1e-9, 1, bad);
  options.sampling.minP = args.number("min-p", 0, 0, 1, bad);
  options.sampling.repetitionPenalty = args.number("repetition-penalty", 1, 1e-3, 100, bad);
  options.sampling.seed = static_cast<uint64_t>(args.integer("seed", 0, 0, INT64_MAX, bad));
  options.chunk = args.integer("chunk", 512, 1, 1 << 20, bad);
  s.limit = args.integer("max-tokens", 256, 0, INT64_MAX, bad);
  s.raw = args.has("ids");
  if (!bad.empty())
    return fail(kUsage, bad);

  const std::string &path = args.positional[0];
  auto model = Model::load(path, modelGiven);
  if (!model)
    return fail(model.status());
  std::string tokenizerPath = args.get("tokenizer", folderOf(path) + "/tokenizer.json");
  if (!args.has("tokenizer") && !exists(tokenizerPath))
    return fail(kUsage, "no tokenizer.json beside " + path + "; give one with --tokenizer FILE");
  auto tokenizer = Tokenizer::load(tokenizerPath);
  if (!tokenizer)
    return fail(tokenizer.status());
  s.tokenizer = std::make_unique<Tokenizer>(std::move(*tokenizer));
  if (args.has("chat") || args.has("chat-template")) {
    std::string chat = args.get("chat-template", folderOf(tokenizerPath) + "/chat_template.jinja");
    if (!exists(chat))
      return fail(kUsage, "no chat template at " + chat + "; give one with --chat-template FILE");
    auto loaded = ChatTemplate::load(chat);
    if (!loaded)
      return fail(loaded.status());
    s.chat = std::make_unique<ChatTemplate>(std::move(*loaded));
  }
  // A turn ends at the tokens that chat models end it with; a text at the end of text.
  for (const char *name : {"<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "</s>", "<|end_of_text|>"})
    if (int64_t id = s.tokenizer->idOf(name); id >= 0)
      options.stopTokens.push_back(id);
  for (const std::string &stop : args.list("stop")) {
    int64_t id = s.tokenizer->idOf(stop);
    if (id < 0)
      return fail(kUsage, "--stop '" + stop + "' is not one token of the vocabulary");
    options.stopTokens.push_back(id);
  }
  if (args.has("ignore-eos"))
    options.stopTokens.clear();
  auto session = Session::create(*model, sessionOptions);
  if (!session)
    return fail(session.status());
  s.session = std::move(*session);
  auto generator = Generator::create(*s.session, options);
  if (!generator)
    return fail(generator.status());
  s.generator = std::move(*generator);
  if (args.has("state-load"))
    if (Status st = s.generator->load(args.get("state-load")); !st.ok())
      return fail(st);
  return kOk;
}

int generate(const Args &args) {
  Stream s;
  if (int code = open(args, s); code != kOk)
    return code;
  signal(SIGINT, [](int) { interrupted = 1; });
  int code = kOk;
  if (args.has("perplexity")) {
    std::string bad;
    int64_t block = args.integer("block", 2048, 2, INT32_MAX, bad), most = args.integer("max-text", 0, 0, INT64_MAX, bad);
    if (!bad.empty())
      return fail(kUsage, bad);
    code = perplexity(args, s, args.get("perplexity"), block, most);
  } else if (args.has("stream")) {
    code = stream(args, s);
  } else {
    std::string prompt = args.get("prompt");
    if (args.has("prompt-file")) {
      auto text = readText(args.get("prompt-file"));
      if (!text)
        return fail(text.status());
      prompt = *text;
    }
    if (prompt.empty() && !args.has("state-load"))
      return fail(kUsage, "nothing to go on from: give --prompt TEXT, --prompt-file FILE, --stream or --state-load FILE");
    bool special = !s.chat;
    if (s.chat && !prompt.empty()) {
      std::vector<ChatMessage> messages;
      if (args.has("system"))
        messages.push_back({"system", args.get("system")});
      messages.push_back({"user", prompt});
      auto rendered = s.chat->render(messages, true);
      if (!rendered)
        return fail(rendered.status());
      prompt = *rendered;
    }
    // Without a prompt, a loaded stream goes on where it stopped.
    if (!prompt.empty())
      if (Status st = s.generator->feed(s.tokenizer->encode(prompt, special)); !st.ok())
        return fail(st);
    if (Status st = answer(s); !st.ok())
      return fail(st);
    report(args, s);
    code = interrupted ? kInterrupted : kOk;
  }
  if (args.has("state-save"))
    if (Status st = s.generator->save(args.get("state-save")); !st.ok())
      return fail(st);
  return code;
}

} // namespace

Command generateCommand() {
  Command command{{"generate",
                   "MODEL.leat",
                   "stream tokens from a compiled decoder: prompts, chat, endless input, perplexity",
                   {{"prompt", "TEXT", "text to continue, or the user's message with --chat", "Text"},
                    {"prompt-file", "FILE", "the same from a file", "Text"},
                    {"stream", nullptr, "read standard input for as long as it comes; with --chat every line is a message", "Text"},
                    {"perplexity", "FILE", "do not generate: the model's perplexity on a text, per block and so far", "Text"},
                    {"block", "N", "tokens per block of --perplexity (2048)", "Text"},
                    {"max-text", "N", "tokens of the text to read for --perplexity (0: all)", "Text"},
                    {"tokenizer", "FILE", "tokenizer.json (the one beside the model)", "Text"},
                    {"chat", nullptr, "put the prompt into the model's chat template", "Text"},
                    {"chat-template", "FILE", "Jinja template (chat_template.jinja beside the tokenizer)", "Text"},
                    {"system", "TEXT", "the system message of a chat", "Text"},
                    {"max-tokens", "N", "tokens to generate at most (256)", "Choosing tokens"},
                    {"temperature", "T", "0 takes the likeliest token (0)", "Choosing tokens"},
                    {"top-k", "K", "choose among the K likeliest (0: all)", "Choosing tokens"},
                    {"top-p", "P", "choose among the likeliest that have probability P together (1)", "Choosing tokens"},
                    {"min-p", "P", "leave out tokens below P times the likeliest (0)", "Choosing tokens"},
                    {"repetition-penalty", "R", "make tokens of the text so far less likely (1: off)", "Choosing tokens"},
                    {"seed", "N", "of the random numbers (0)", "Choosing tokens"},
                    {"stop", "TOKEN", "one more token that ends the answer", "Choosing tokens"},
                    {"ignore-eos", nullptr, "go on after the tokens that end a text", "Choosing tokens"},
                    {"ids", nullptr, "print token ids instead of text", "Choosing tokens"},
                    {"context", "N", "tokens that caches without a policy have room for (4096)", "Execution"},
                    {"chunk", "N", "tokens of a prompt per step (512)", "Execution"},
                    {"state-load", "FILE", "continue a saved stream", "Execution"},
                    {"state-save", "FILE", "save the stream afterwards", "Execution"},
                    {"quiet", nullptr, "no statistics on stderr", "Execution"}},
                   1,
                   1},
                  generate};
  std::vector<OptionSpec> shared = modelOptionSpecs();
  command.spec.options.insert(command.spec.options.end(), shared.begin(), shared.end());
  return command;
}

} // namespace leat::driver
