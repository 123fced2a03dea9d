// Sampling in double precision over the tokens that can still be chosen.
#include "runtime/decode/Sampler.h"
#include "runtime/core/Philox.h"

#include <algorithm>
#include <cmath>

namespace leat::rt {

Status SamplerOptions::check() const {
  if (!(temperature >= 0) || std::isinf(temperature))
    return error(Code::InvalidArgument, "temperature must be 0 (greedy) or more, given %g", temperature);
  if (topK < 0)
    return error(Code::InvalidArgument, "top-k must be 0 (all tokens) or more, given %lld", (long long)topK);
  if (!(topP > 0 && topP <= 1))
    return error(Code::InvalidArgument, "top-p must be above 0 and at most 1, given %g", topP);
  if (!(minP >= 0 && minP <= 1))
    return error(Code::InvalidArgument, "min-p must be from 0 to 1, given %g", minP);
  if (!(repetitionPenalty > 0) || std::isinf(repetitionPenalty))
    return error(Code::InvalidArgument, "the repetition penalty must be above 0, given %g", repetitionPenalty);
  return {};
}

Result<int64_t> Sampler::sample(const float *logits, int64_t vocabulary, std::span<const int64_t> history, uint64_t row, uint64_t step) {
  if (options.repetitionPenalty != 1 && !history.empty()) {
    penalised.assign(logits, logits + vocabulary);
    auto factor = static_cast<float>(options.repetitionPenalty);
    for (int64_t token : history) // from the original value, so that a token seen twice is penalised once
      if (token >= 0 && token < vocabulary)
        penalised[token] = logits[token] > 0 ? logits[token] / factor : logits[token] * factor;
    logits = penalised.data();
  }

  int64_t best = -1;
  for (int64_t i = 0; i < vocabulary; ++i)
    if (!std::isnan(logits[i]) && (best < 0 || logits[i] > logits[best]))
      best = i;
  if (best < 0 || logits[best] == -INFINITY)
    return error(Code::Failed, "no token can be chosen: the model's logits are all NaN or minus infinity");
  if (options.temperature == 0 || logits[best] == INFINITY)
    return best;

  // Weights relative to the best token. What is too unlikely for a double (and any NaN) drops out here.
  double top = logits[best], scale = 1 / options.temperature;
  kept.clear();
  for (int64_t i = 0; i < vocabulary; ++i) {
    double weight = std::exp((logits[i] - top) * scale);
    if (weight > 0)
      kept.push_back({weight, i});
  }
  auto likelier = [](const Candidate &a, const Candidate &b) { return a.weight != b.weight ? a.weight > b.weight : a.token < b.token; };
  if (options.topK > 0 && options.topK < static_cast<int64_t>(kept.size())) {
    std::nth_element(kept.begin(), kept.begin() + (options.topK - 1), kept.end(), likelier);
    kept.resize(options.topK);
  }
  if (options.topP < 1) {
    double total = 0;
    for (const Candidate &candidate : kept)
      total += candidate.weight;
    // Tokens below an equal share of what top-p leaves out are outside for certain: no need to sort them.
    double certain = (1 - options.topP) * total / static_cast<double>(kept.size()) * (1 - 1e-9);
    std::erase_if(kept, [&](const Candidate &candidate) { return candidate.weight < certain; });
    std::sort(kept.begin(), kept.end(), likelier);
    double sum = 0;
    size_t count = 0;
    while (count < kept.size() && sum < options.topP * total)
      sum += kept[count++].weight;
    kept.resize(std::max<size_t>(count, 1));
  }
  if (options.minP > 0)
    std::erase_if(kept, [&](const Candidate &candidate) { return candidate.weight < options.minP; });

  std::sort(kept.begin(), kept.end(), [](const Candidate &a, const Candidate &b) { return a.token < b.token; });
  double total = 0;
  for (const Candidate &candidate : kept)
    total += candidate.weight;
  double target = philoxUniform(options.seed, row, step) * total, sum = 0;
  for (const Candidate &candidate : kept) {
    sum += candidate.weight;
    if (target < sum)
      return candidate.token;
  }
  return kept.back().token;
}

double tokenNll(const float *logits, int64_t vocabulary, int64_t token) {
  float top = -INFINITY;
  for (int64_t i = 0; i < vocabulary; ++i)
    top = std::max(top, logits[i]);
  if (top == -INFINITY)
    return INFINITY;
  double sum = 0;
  for (int64_t i = 0; i < vocabulary; ++i)
    sum += std::exp(static_cast<double>(logits[i]) - top);
  return std::log(sum) + top - logits[token];
}

} // namespace leat::rt
