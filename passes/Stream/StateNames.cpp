// The table of names under which exporters pair states.
#include "passes/Stream/StateNames.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MemoryBuffer.h"

namespace leat::stream {

namespace {
/// `*` stands for any text, the same on both sides.
struct Convention {
  llvm::StringLiteral inPrefix, inSuffix, outPrefix, outSuffix;
};
constexpr Convention kConventions[] = {
    // Optimum and the ONNX Runtime GenAI builder: decoders, encoder-decoders, hybrid states.
    {"past_key_values.", "", "present.", ""},
    {"past_key_values.", "", "present_key_values.", ""},
    {"past_key_values_", "", "present_key_values_", ""},
    {"past.", "", "present.", ""},
    {"past_key_self_", "", "present_key_self_", ""},
    {"past_value_self_", "", "present_value_self_", ""},
    {"past_key_", "", "present_key_", ""},
    {"past_value_", "", "present_value_", ""},
    {"past_conv.", "", "present_conv.", ""},
    {"past_", "", "present_", ""},
    // torch.onnx with a static cache, key_cache.0 -> new_key_cache.0.
    {"key_cache", "", "new_key_cache", ""},
    {"value_cache", "", "new_value_cache", ""},
    // Cache-aware speech encoders: two spellings of the same length output.
    {"cache_last_channel_len", "", "cache_last_channel_next_len", ""},
    {"cache_last_", "", "cache_last_", "_next"},
    {"cached_", "", "new_cached_", ""},
    // sherpa's Whisper and others.
    {"in_", "", "out_", ""},
    // Recurrent states: Silero, GenAI transducers, LSTM exports.
    {"rnn_states_prev", "", "rnn_states", ""},
    {"state", "", "stateN", ""},
    {"h0", "", "hn", ""},
    {"c0", "", "cn", ""},
    // Any name with a marker on the output.
    {"", "_in", "", "_out"},
    {"", "", "", "_next"},
    {"", "", "", "_out"},
    {"", "", "next_", ""},
    {"", "", "new_", ""},
    {"", "", "updated_", ""},
    {"", "", "out_", ""},
};
} // namespace

llvm::SmallVector<std::string> outputNamesFor(llvm::StringRef input) {
  llvm::SmallVector<std::string> names;
  for (const Convention &c : kConventions) {
    llvm::StringRef middle = input;
    if (middle.consume_front(c.inPrefix) && middle.consume_back(c.inSuffix))
      names.push_back((c.outPrefix + middle + c.outSuffix).str());
  }
  return names;
}

std::optional<llvm::StringMap<StateOverride>> readOverrides(llvm::StringRef path, std::string &error) {
  auto file = llvm::MemoryBuffer::getFile(path);
  if (!file) {
    error = ("cannot read the state override file " + path + ": " + file.getError().message()).str();
    return std::nullopt;
  }
  llvm::StringMap<StateOverride> overrides;
  llvm::SmallVector<llvm::StringRef> lines;
  (*file)->getBuffer().split(lines, '\n');
  for (auto [number, line] : llvm::enumerate(lines)) {
    llvm::SmallVector<llvm::StringRef> words;
    llvm::SplitString(line.split('#').first, words);
    if (words.empty())
      continue;
    StateOverride entry;
    int64_t axis = 0;
    bool good = words.size() >= 2;
    if (good)
      entry.output = words[1].str();
    if (words.size() == 3 && words[2] == "fixed")
      entry.fixed = true;
    else if (words.size() == 4 && words[2] == "append" && !words[3].getAsInteger(10, axis) && axis >= 0)
      entry.axis = axis;
    else
      good &= words.size() == 2;
    if (!good) {
      error = (path + ":" + llvm::Twine(number + 1) + ": expected INPUT OUTPUT [append AXIS | fixed]").str();
      return std::nullopt;
    }
    overrides[words[0]] = entry;
  }
  return overrides;
}

} // namespace leat::stream
