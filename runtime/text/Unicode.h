// UTF-8 as the text code needs it.
#ifndef LEAT_RUNTIME_TEXT_UNICODE_H
#define LEAT_RUNTIME_TEXT_UNICODE_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace leat::rt {

// The code point at text[i] and its length; U+FFFD of length 1 for a malformed byte.
inline uint32_t decodeUtf8(std::string_view text, size_t i, size_t &length) {
  auto byte = [&](size_t k) -> uint32_t { return i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0; };
  uint32_t b = byte(0);
  length = 1;
  if (b < 0x80)
    return b;
  size_t need = b >= 0xF0 && b < 0xF5 ? 3 : b >= 0xE0 && b < 0xF0 ? 2 : b >= 0xC2 && b < 0xE0 ? 1 : 0;
  if (need == 0)
    return 0xFFFD;
  uint32_t c = b & (0x3F >> need);
  for (size_t k = 1; k <= need; ++k) {
    if ((byte(k) & 0xC0) != 0x80)
      return 0xFFFD;
    c = c << 6 | (byte(k) & 0x3F);
  }
  static const uint32_t lowest[] = {0, 0x80, 0x800, 0x10000};
  if (c < lowest[need] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
    return 0xFFFD;
  length = need + 1;
  return c;
}

inline void appendUtf8(std::string &out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

// The text with every malformed byte replaced by U+FFFD.
inline std::string validUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0, n; i < text.size(); i += n)
    appendUtf8(out, decodeUtf8(text, i, n));
  return out;
}

// Length of the longest prefix that does not end inside a character.
inline size_t completeUtf8(std::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    unsigned char b = static_cast<unsigned char>(text[text.size() - back]);
    if ((b & 0xC0) == 0x80)
      continue;
    size_t need = b >= 0xF0 && b < 0xF5 ? 4 : b >= 0xE0 && b < 0xF0 ? 3 : b >= 0xC2 && b < 0xE0 ? 2 : 1;
    return need > back ? text.size() - back : text.size();
  }
  return text.size();
}

} // namespace leat::rt

#endif
