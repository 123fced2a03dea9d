// Text to token ids and back, from a `tokenizer.json` of Hugging Face's tokenizers: the parts that byte-level BPE models (GPT-2, SmolLM2,
// Llama 3, Qwen) and SentencePiece-style BPE models (Llama 2, Gemma, with byte fallback) use. What a file asks for beyond that is refused
// by name.
#ifndef LEAT_RUNTIME_TEXT_TOKENIZER_H
#define LEAT_RUNTIME_TEXT_TOKENIZER_H

#include "runtime/core/Status.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace leat::rt {

class Tokenizer {
public:
  // Reads tokenizer.json. Errors name the part of the file that is malformed or not supported.
  static Result<Tokenizer> load(const std::string &path);
  static Result<Tokenizer> parse(std::string_view json);

  Tokenizer(Tokenizer &&);
  Tokenizer &operator=(Tokenizer &&);
  ~Tokenizer();

  // Ids of a text (UTF-8; malformed bytes become U+FFFD). `special`: also what the file's post-processor adds (a first bos, say).
  std::vector<int64_t> encode(std::string_view text, bool special = false) const;
  // Text of ids; special tokens are left out unless asked for; unknown ids give nothing.
  std::string decode(const std::vector<int64_t> &ids, bool keepSpecial = false) const;
  // -1 when the vocabulary has no such token.
  int64_t idOf(std::string_view token) const;
  bool isSpecial(int64_t id) const;
  // One more than the highest id.
  int64_t size() const;

  // Decodes a growing sequence: next() returns the text that is final after one more token (never half a character).
  class Stream {
  public:
    explicit Stream(const Tokenizer &tokenizer) : tokenizer(tokenizer) {}
    std::string next(int64_t id);
    std::string finish();

  private:
    const Tokenizer &tokenizer;
    std::string pending; // bytes of a character that is not complete yet
    bool first = true;
  };

private:
  struct Data;
  explicit Tokenizer(std::unique_ptr<Data> data);
  std::string bytesOf(int64_t id, bool first) const;
  std::unique_ptr<Data> data;
};

} // namespace leat::rt

#endif
