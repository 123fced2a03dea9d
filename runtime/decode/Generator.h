// The decoding loop of a token model: tokens in, logits out, the next token chosen, fed back. All state is the session's.
#ifndef LEAT_RUNTIME_DECODE_GENERATOR_H
#define LEAT_RUNTIME_DECODE_GENERATOR_H

#include "runtime/decode/Sampler.h"
#include "runtime/session/Model.h"

namespace leat::rt {

struct GeneratorOptions {
  std::string function; // the step function; empty: the first of kind "step"
  SamplerOptions sampling;
  std::vector<int64_t> stopTokens;
  int64_t chunk = 256;             // most tokens fed in one call, which bounds the memory of a long prompt
  int64_t repetitionWindow = 1024; // tokens that the repetition penalty looks back at
  uint64_t row = 0;                // which random stream this is: a session in a batch of many draws as it would alone
};

struct GeneratorStatistics {
  int64_t promptTokens = 0, generatedTokens = 0;
  double promptSeconds = 0, decodeSeconds = 0;
};

class Generator {
public:
  // `session` must outlive the generator and have a batch of 1. Fails, with the reason, when the model has no step function that maps
  // tokens to logits or wants inputs that a token stream cannot supply.
  static Result<std::unique_ptr<Generator>> create(Session &session, const GeneratorOptions &options = {});

  // Tokens the model knows, or -1 when only a run will tell.
  int64_t vocabulary() const { return vocabularySize; }
  // Feeds tokens; the logits after the last one are what next() chooses from. All tokens are checked before any is fed.
  Status feed(std::span<const int64_t> tokens);
  // Chooses the next token and makes it part of the history; it is fed by the next call of next() or feed(). `stop`: it is a stop token.
  Result<int64_t> next(bool &stop);
  // next() until `limit` tokens, a stop token (not reported), or the callback returns false. Returns how many were reported.
  using Callback = bool (*)(void *context, int64_t token);
  Result<int64_t> generate(int64_t limit, Callback callback, void *context);
  // Feeds tokens and appends the negative log likelihood (nats) of each, given everything before it. The very first token of a stream has
  // nothing before it and gets none.
  Status score(std::span<const int64_t> tokens, std::vector<double> &nll);
  // Logits after the last token fed; empty before.
  std::span<const float> logits() const { return {lastLogits.data(), hasLogits ? lastLogits.size() : 0}; }

  // Feeds the token that next() chose, so that the session's state holds everything: to be called before the session is saved or forked.
  Status settle();
  // The session's state and the generator's place in it (history, logits, random stream): what is generated after load() is what would have
  // been generated without the pause. A file that Session::save wrote can be loaded too, and has to be fed before it goes on. A failed load
  // changes nothing.
  Status save(const std::string &path) const;
  Status load(const std::string &path);
  // Empties the session's state and forgets the history. The random stream starts again.
  void reset();
  // To be called after the session's state was changed by other means: what is fed next continues from there.
  void stateChanged();

  const GeneratorStatistics &statistics() const { return stats; }

private:
  // What an input of the step function is filled with.
  enum class Role { Tokens, Ones, Positions, Seen, Total, LastIndex };
  struct Feed {
    Role role;
    Tensor tensor;
    std::vector<uint8_t> storage;
  };

  Generator(Session &session, const GeneratorOptions &options) : session(session), options(options), sampler(options.sampling) {}
  Status inspect();
  Status fill(size_t input, std::span<const int64_t> tokens, int64_t seen);
  Status checkTokens(std::span<const int64_t> tokens) const;
  Status runChunk(std::span<const int64_t> tokens);
  Status takeLogits(int64_t count, int64_t position);

  Session &session;
  GeneratorOptions options;
  Sampler sampler;
  size_t function = 0, logitsOutput = 0;
  std::vector<Feed> feeds;
  std::vector<NamedTensor> inputs;
  int64_t vocabularySize = -1;
  std::vector<float> lastLogits;
  bool hasLogits = false;
  int64_t pending = -1; // chosen but not fed
  std::vector<int64_t> history;
  uint64_t drawn = 0;
  GeneratorStatistics stats;
};

} // namespace leat::rt

#endif
