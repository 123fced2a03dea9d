// Pre-tokenizers of tokenizer.json: how text is cut into pieces before BPE.
#include "runtime/text/Parts.h"
#include "runtime/text/Unicode.h"

#include <array>
#include <pcre2.h>
#include <utf8proc.h>

namespace leat::rt {

//===--- The byte-level alphabet ----------------------------------------------------------------------------------===//

namespace {
struct ByteAlphabet {
  std::array<std::string, 256> chars;
  std::array<int, 512> bytes;
  ByteAlphabet() {
    bytes.fill(-1);
    uint32_t next = 256;
    for (uint32_t b = 0; b < 256; ++b) {
      // Printable Latin-1 stands for itself, everything else gets a character from U+0100 on.
      bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      uint32_t c = printable ? b : next++;
      appendUtf8(chars[b], c);
      bytes[c] = static_cast<int>(b);
    }
  }
};
const ByteAlphabet &alphabet() {
  static const ByteAlphabet a;
  return a;
}
} // namespace

const std::string &byteLevelChar(unsigned char byte) { return alphabet().chars[byte]; }
int byteLevelByte(uint32_t codePoint) { return codePoint < 512 ? alphabet().bytes[codePoint] : -1; }

//===--- Cutting by a pattern -------------------------------------------------------------------------------------===//

namespace {

/// A compiled regular expression over UTF-8 with Unicode classes.
class Pattern {
public:
  static Result<std::shared_ptr<Pattern>> compile(const std::string &text) {
    int code = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code *compiled =
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), PCRE2_UTF | PCRE2_UCP, &code, &offset, nullptr);
    if (!compiled) {
      unsigned char message[128];
      pcre2_get_error_message(code, message, sizeof message);
      return error(Code::BadFile, "tokenizer: pattern '%s' is malformed at %zu: %s", printable(text).c_str(), static_cast<size_t>(offset),
                   message);
    }
    pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE); // without it matching is slower, not different
    auto pattern = std::make_shared<Pattern>();
    pattern->compiled = compiled;
    return pattern;
  }
  Pattern() = default;
  Pattern(const Pattern &) = delete;
  ~Pattern() { pcre2_code_free(compiled); }

  // The matches in order, as [begin, end).
  std::vector<std::pair<size_t, size_t>> matches(const std::string &text) const {
    std::vector<std::pair<size_t, size_t>> found;
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(compiled, nullptr);
    size_t at = 0;
    while (at < text.size() &&
           pcre2_match(compiled, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at, PCRE2_NO_UTF_CHECK, data, nullptr) > 0) {
      PCRE2_SIZE *range = pcre2_get_ovector_pointer(data);
      if (range[1] > range[0])
        found.push_back({range[0], range[1]});
      size_t n = 1;
      if (range[1] == range[0])
        decodeUtf8(text, range[1], n);
      at = range[1] > range[0] ? range[1] : range[1] + n;
    }
    pcre2_match_data_free(data);
    return found;
  }

private:
  pcre2_code *compiled = nullptr;
};

enum class Behavior { Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous };

/// Cuts at matches (or, inverted, at what lies between them) as the tokenizers library defines its behaviors.
void cut(const std::string &text, const std::vector<std::pair<size_t, size_t>> &matches, bool invert, Behavior behavior,
         std::vector<std::string> &out) {
  struct Part {
    size_t begin, end;
    bool match;
  };
  std::vector<Part> parts;
  size_t at = 0;
  for (auto [begin, end] : matches) {
    if (begin > at)
      parts.push_back({at, begin, invert});
    parts.push_back({begin, end, !invert});
    at = end;
  }
  if (at < text.size())
    parts.push_back({at, text.size(), invert});
  auto emit = [&](size_t begin, size_t end) {
    if (end > begin)
      out.push_back(text.substr(begin, end - begin));
  };
  for (size_t i = 0; i < parts.size(); ++i) {
    Part p = parts[i];
    switch (behavior) {
    case Behavior::Removed:
      if (!p.match)
        emit(p.begin, p.end);
      break;
    case Behavior::Isolated:
      emit(p.begin, p.end);
      break;
    case Behavior::MergedWithPrevious:
      if (!p.match && i + 1 < parts.size() && parts[i + 1].match)
        p.end = parts[++i].end;
      emit(p.begin, p.end);
      break;
    case Behavior::MergedWithNext:
      if (p.match && i + 1 < parts.size() && !parts[i + 1].match)
        p.end = parts[++i].end;
      emit(p.begin, p.end);
      break;
    case Behavior::Contiguous:
      while (i + 1 < parts.size() && parts[i + 1].match == p.match)
        p.end = parts[++i].end;
      emit(p.begin, p.end);
      break;
    }
  }
}

PreTokenizer byPattern(std::shared_ptr<Pattern> pattern, bool invert, Behavior behavior) {
  return [=](std::vector<std::string> &pieces) {
    std::vector<std::string> out;
    for (auto &piece : pieces)
      cut(piece, pattern->matches(piece), invert, behavior, out);
    pieces = std::move(out);
  };
}

std::string escaped(const std::string &text) {
  std::string out = "\\Q";
  for (size_t at = 0;;) {
    size_t hit = text.find("\\E", at);
    if (hit == std::string::npos)
      return out.append(text, at, std::string::npos) + "\\E";
    out.append(text, at, hit - at).append("\\E\\\\E\\Q");
    at = hit + 2;
  }
}

Result<PreTokenizer> readSplit(const Json &section) {
  std::string pattern = textOf(memberOf(section, "pattern"), "Regex"), literal = textOf(memberOf(section, "pattern"), "String");
  if (pattern.empty() && !literal.empty())
    pattern = escaped(literal);
  if (pattern.empty())
    return error(Code::BadFile, "tokenizer: Split needs a pattern");
  std::string name = textOf(section, "behavior", "Isolated");
  Behavior behavior;
  if (name == "Removed")
    behavior = Behavior::Removed;
  else if (name == "Isolated")
    behavior = Behavior::Isolated;
  else if (name == "MergedWithPrevious")
    behavior = Behavior::MergedWithPrevious;
  else if (name == "MergedWithNext")
    behavior = Behavior::MergedWithNext;
  else if (name == "Contiguous")
    behavior = Behavior::Contiguous;
  else
    return error(Code::Unsupported, "tokenizer: Split behavior '%s' is not supported", printable(name).c_str());
  auto compiled = Pattern::compile(pattern);
  if (!compiled)
    return compiled.takeStatus();
  return byPattern(*compiled, flagOf(section, "invert", false), behavior);
}

Result<PreTokenizer> readByteLevel(const Json &section) {
  // GPT-2's cut: contractions, words with their space, numbers, other runs, spaces.
  static const char *gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
  bool prefix = flagOf(section, "add_prefix_space", true), regex = flagOf(section, "use_regex", true);
  std::shared_ptr<Pattern> pattern;
  if (regex) {
    auto compiled = Pattern::compile(gpt2);
    if (!compiled)
      return compiled.takeStatus();
    pattern = *compiled;
  }
  return PreTokenizer([=](std::vector<std::string> &pieces) {
    std::vector<std::string> out;
    for (auto &piece : pieces) {
      if (prefix && !piece.empty() && piece[0] != ' ')
        piece.insert(0, 1, ' ');
      if (pattern)
        cut(piece, pattern->matches(piece), false, Behavior::Isolated, out);
      else
        out.push_back(piece);
    }
    for (auto &piece : out) {
      std::string mapped;
      for (char b : piece)
        mapped += byteLevelChar(static_cast<unsigned char>(b));
      piece = std::move(mapped);
    }
    pieces = std::move(out);
  });
}

Result<PreTokenizer> readMetaspace(const Json &section) {
  std::string mark = textOf(section, "replacement", "\xE2\x96\x81");
  std::string scheme = section.contains("prepend_scheme")          ? textOf(section, "prepend_scheme", "always")
                       : flagOf(section, "add_prefix_space", true) ? "always"
                                                                   : "never";
  bool split = flagOf(section, "split", true);
  return PreTokenizer([=](std::vector<std::string> &pieces) {
    std::vector<std::string> out;
    for (size_t i = 0; i < pieces.size(); ++i) {
      std::string text;
      for (char c : pieces[i])
        text += c == ' ' ? mark : std::string(1, c);
      bool prepend = scheme == "always" || (scheme == "first" && i == 0);
      if (prepend && text.compare(0, mark.size(), mark) != 0)
        text.insert(0, mark);
      if (!split) {
        out.push_back(std::move(text));
        continue;
      }
      size_t begin = 0;
      for (size_t at = text.find(mark, 1); at != std::string::npos; at = text.find(mark, at + 1)) {
        out.push_back(text.substr(begin, at - begin));
        begin = at;
      }
      out.push_back(text.substr(begin));
    }
    pieces = std::move(out);
  });
}

} // namespace

Result<PreTokenizer> readPreTokenizer(const Json &section) {
  if (section.is_null())
    return PreTokenizer([](std::vector<std::string> &) {});
  std::string type = textOf(section, "type");
  if (type == "Sequence") {
    std::vector<PreTokenizer> steps;
    for (auto &part : memberOf(section, "pretokenizers")) {
      auto step = readPreTokenizer(part);
      if (!step)
        return step.takeStatus();
      steps.push_back(std::move(*step));
    }
    return PreTokenizer([steps](std::vector<std::string> &pieces) {
      for (auto &step : steps)
        step(pieces);
    });
  }
  if (type == "ByteLevel")
    return readByteLevel(section);
  if (type == "Split")
    return readSplit(section);
  if (type == "Metaspace")
    return readMetaspace(section);
  if (type == "Digits") {
    auto pattern = Pattern::compile(flagOf(section, "individual_digits", false) ? "\\p{N}" : "\\p{N}+");
    if (!pattern)
      return pattern.takeStatus();
    return byPattern(*pattern, false, Behavior::Isolated);
  }
  if (type == "Whitespace" || type == "WhitespaceSplit") {
    auto pattern = Pattern::compile(type == "Whitespace" ? "\\w+|[^\\w\\s]+" : "\\S+");
    if (!pattern)
      return pattern.takeStatus();
    return byPattern(*pattern, true, Behavior::Removed);
  }
  return error(Code::Unsupported, "tokenizer: pre-tokenizer '%s' is not supported", printable(type).c_str());
}

} // namespace leat::rt
