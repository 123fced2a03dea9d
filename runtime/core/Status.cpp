// Status messages: formatting, and the escaping of foreign text.
#include "runtime/core/Status.h"

#include <cstdio>

namespace leat::rt {

const std::string &Status::message() const {
  static const std::string none;
  return detail ? detail->message : none;
}

Status Status::withContext(const std::string &context) && {
  if (detail)
    detail->message = context + ": " + detail->message;
  return std::move(*this);
}

static std::string formatList(const char *format, va_list args) {
  va_list copy;
  va_copy(copy, args);
  int size = std::vsnprintf(nullptr, 0, format, copy);
  va_end(copy);
  std::string text(size < 0 ? 0 : size, '\0');
  if (size > 0)
    std::vsnprintf(text.data(), text.size() + 1, format, args);
  return text;
}

std::string formatText(const char *format, ...) {
  va_list args;
  va_start(args, format);
  std::string text = formatList(format, args);
  va_end(args);
  return text;
}

Status error(Code code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  std::string text = formatList(format, args);
  va_end(args);
  return Status(code, std::move(text));
}

std::string printable(const char *text, size_t size, size_t limit) {
  std::string out;
  for (size_t i = 0; i < size; ++i) {
    if (out.size() >= limit) {
      out += "...";
      break;
    }
    unsigned char c = text[i];
    if (c < 0x20 || c == 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\x%02x", c);
      out += escaped;
    } else {
      out += static_cast<char>(c);
    }
  }
  return out;
}

} // namespace leat::rt
