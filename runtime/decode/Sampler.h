// Choosing a token from a row of logits, as leat.sample (dialects/Leat/DecodeOps.td) defines it.
#ifndef LEAT_RUNTIME_DECODE_SAMPLER_H
#define LEAT_RUNTIME_DECODE_SAMPLER_H

#include "runtime/core/Status.h"

#include <cstdint>
#include <span>
#include <vector>

namespace leat::rt {

struct SamplerOptions {
  double temperature = 0;       // 0: greedy, ties to the lower token
  int64_t topK = 0;             // keep the k most likely tokens (ties to the lower token); 0: all
  double topP = 1;              // keep the fewest most likely tokens with at least this much of what top-k left
  double minP = 0;              // keep tokens at least this likely relative to the most likely one
  double repetitionPenalty = 1; // logits of tokens in the history: positive divided, others multiplied
  uint64_t seed = 0;

  Status check() const;
};

// Reuses its buffers; not for two threads at once. What it draws depends on its arguments only.
class Sampler {
public:
  explicit Sampler(const SamplerOptions &options = {}) : options(options) {}

  // Order: repetition penalty, temperature, top-k, top-p, min-p, draw. The draw inverts the cumulative distribution, in token order, at the
  // uniform number of (seed, row, step). `history`: tokens already there; others than 0..vocabulary-1 are ignored.
  Result<int64_t> sample(const float *logits, int64_t vocabulary, std::span<const int64_t> history, uint64_t row, uint64_t step);

private:
  struct Candidate {
    double weight; // logit, later probability up to a factor
    int64_t token;
  };

  SamplerOptions options;
  std::vector<Candidate> kept;
  std::vector<float> penalised;
};

// The negative log likelihood of `token`, in nats: log sum exp(logits) - logits[token]. Infinite when the model rules the token out.
double tokenNll(const float *logits, int64_t vocabulary, int64_t token);

} // namespace leat::rt

#endif
