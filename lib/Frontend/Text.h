// Foreign names in messages: one line, printable, short.
#pragma once

#include <string>
#include <string_view>

namespace leat::frontend {

inline std::string quote(std::string_view text) {
  constexpr size_t longest = 100;
  std::string out = "\"";
  for (unsigned char c : text.substr(0, longest))
    out += c < 0x20 || c == 0x7f ? '?' : char(c);
  return out + (text.size() > longest ? "...\"" : "\"");
}

} // namespace leat::frontend
