// Foreign names in messages: one line, printable, short.
#pragma once

#include <string>
#include <string_view>

namespace leat::frontend {

/// At most `longest` bytes of the text, what is not printable replaced.
inline std::string plain(std::string_view text, size_t longest = 100) {
  std::string out;
  for (unsigned char c : text.substr(0, longest))
    out += c < 0x20 || c == 0x7f ? '?' : char(c);
  return text.size() > longest ? out + "..." : out;
}

inline std::string quote(std::string_view text) { return "\"" + plain(text) + "\""; }

} // namespace leat::frontend
