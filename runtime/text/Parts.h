// The parts of a tokenizer: normalizer, pre-tokenizer, BPE model. Each is read from its section of tokenizer.json.
#ifndef LEAT_RUNTIME_TEXT_PARTS_H
#define LEAT_RUNTIME_TEXT_PARTS_H

#include "runtime/core/Status.h"

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace leat::rt {

using Json = nlohmann::json;

// Typed reads of foreign JSON: a member of another type counts as absent (the library would abort on it).
inline std::string textOf(const Json &object, const char *key, const char *otherwise = "") {
  auto it = object.is_object() ? object.find(key) : object.end();
  return it != object.end() && it->is_string() ? it->get<std::string>() : otherwise;
}
inline bool flagOf(const Json &object, const char *key, bool otherwise) {
  auto it = object.is_object() ? object.find(key) : object.end();
  return it != object.end() && it->is_boolean() ? it->get<bool>() : otherwise;
}
inline int64_t numberOf(const Json &object, const char *key, int64_t otherwise) {
  auto it = object.is_object() ? object.find(key) : object.end();
  return it != object.end() && it->is_number_integer() ? it->get<int64_t>() : otherwise;
}
// Null when absent.
inline const Json &memberOf(const Json &object, const char *key) {
  static const Json null;
  auto it = object.is_object() ? object.find(key) : object.end();
  return it != object.end() ? *it : null;
}

// Text to text, before it is cut.
using Normalizer = std::function<std::string(std::string)>;
Result<Normalizer> readNormalizer(const Json &section);

// One piece of text to several. Pieces are already in the form the model wants (byte-level characters after a ByteLevel step).
using PreTokenizer = std::function<void(std::vector<std::string> &pieces)>;
Result<PreTokenizer> readPreTokenizer(const Json &section);

// Bytes as printable characters: the alphabet of byte-level BPE (GPT-2).
const std::string &byteLevelChar(unsigned char byte);
// The byte of a character of that alphabet; -1 for any other.
int byteLevelByte(uint32_t codePoint);

// Byte pair encoding: merges by rank.
class Bpe {
public:
  static Result<Bpe> read(const Json &model);
  // Appends the ids of one piece.
  void encode(std::string_view piece, std::vector<int64_t> &ids) const;
  int64_t idOf(std::string_view token) const;
  const std::vector<std::string> &tokens() const { return byId; }

private:
  struct Merge {
    int32_t rank, result;
  };
  std::unordered_map<std::string, int64_t> vocabulary;
  std::vector<std::string> byId;
  std::unordered_map<uint64_t, Merge> merges; // (left id, right id) -> rank and merged id
  int64_t unknown = -1;
  int64_t bytes[256];
  bool byteFallback = false, fuseUnknown = false, ignoreMerges = false;
};

} // namespace leat::rt

#endif
