// Embeds a sequence of token ids with a sentence encoder (BERT-like: input_ids, attention_mask, token_type_ids), in C++:
//
//     embed MODEL.leat ID [ID...]
//
// Prints the mean of the last hidden states, scaled to length 1, one number a line.
#include "leat/leat.hpp"

#include <cmath>
#include <cstdio>
#include <cstdlib>

int main(int argc, char **argv) try {
  if (argc < 3) {
    std::fprintf(stderr, "usage: embed MODEL.leat ID [ID...]\n");
    return 2;
  }
  leat::Model model(argv[1]);
  leat::Session session(model);

  std::vector<int64_t> ids;
  for (int i = 2; i < argc; ++i)
    ids.push_back(std::strtoll(argv[i], nullptr, 10));
  auto length = static_cast<int64_t>(ids.size());
  std::vector<int64_t> ones(ids.size(), 1), zeros(ids.size(), 0);

  // Encoders differ in which of these they want.
  std::vector<std::pair<std::string, leat::TensorView>> inputs;
  for (const leat_tensor_info &info : model.inputs("main")) {
    std::string name = info.name;
    const std::vector<int64_t> &values = name == "input_ids" ? ids : name == "attention_mask" ? ones : zeros;
    inputs.emplace_back(name, leat::view(values, {1, length}));
  }
  leat::TensorView hidden = session.run("main", inputs).front(); // [1, length, size]

  int64_t size = hidden.dim(2);
  const float *values = hidden.data<float>();
  std::vector<double> mean(size);
  double square = 0;
  for (int64_t c = 0; c < size; ++c) {
    for (int64_t t = 0; t < length; ++t)
      mean[c] += values[t * size + c] / static_cast<double>(length);
    square += mean[c] * mean[c];
  }
  for (double value : mean)
    std::printf("%.6f\n", value / std::sqrt(square));
  return 0;
} catch (const leat::Error &error) {
  std::fprintf(stderr, "embed: %s\n", error.what());
  return 1;
}
