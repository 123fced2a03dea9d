// Normalizers of tokenizer.json: Unicode forms, case, replacement.
#include "runtime/text/Parts.h"
#include "runtime/text/Unicode.h"

#include <cstdlib>
#include <utf8proc.h>

namespace leat::rt {

static std::string unicodeForm(const std::string &text, int options) {
  utf8proc_uint8_t *out = nullptr;
  utf8proc_ssize_t n = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t *>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                                    &out, static_cast<utf8proc_option_t>(options));
  if (n < 0)
    return text;
  std::string result(reinterpret_cast<char *>(out), static_cast<size_t>(n));
  free(out);
  return result;
}

static std::string lowercase(const std::string &text) {
  std::string out;
  for (size_t i = 0, n; i < text.size(); i += n)
    appendUtf8(out, static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(decodeUtf8(text, i, n)))));
  return out;
}

static std::string replaceAll(const std::string &text, const std::string &from, const std::string &to) {
  if (from.empty())
    return text;
  std::string out;
  size_t at = 0;
  for (size_t hit; (hit = text.find(from, at)) != std::string::npos; at = hit + from.size())
    out.append(text, at, hit - at).append(to);
  return out.append(text, at, std::string::npos);
}

Result<Normalizer> readNormalizer(const Json &section) {
  if (section.is_null())
    return Normalizer([](std::string s) { return s; });
  std::string type = textOf(section, "type");
  if (type == "Sequence") {
    std::vector<Normalizer> steps;
    for (auto &part : memberOf(section, "normalizers")) {
      auto step = readNormalizer(part);
      if (!step)
        return step.takeStatus();
      steps.push_back(std::move(*step));
    }
    return Normalizer([steps](std::string s) {
      for (auto &step : steps)
        s = step(std::move(s));
      return s;
    });
  }
  constexpr int stable = UTF8PROC_STABLE;
  if (type == "NFC")
    return Normalizer([](std::string s) { return unicodeForm(s, stable | UTF8PROC_COMPOSE); });
  if (type == "NFD")
    return Normalizer([](std::string s) { return unicodeForm(s, stable | UTF8PROC_DECOMPOSE); });
  if (type == "NFKC")
    return Normalizer([](std::string s) { return unicodeForm(s, stable | UTF8PROC_COMPOSE | UTF8PROC_COMPAT); });
  if (type == "NFKD")
    return Normalizer([](std::string s) { return unicodeForm(s, stable | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT); });
  if (type == "Lowercase")
    return Normalizer([](std::string s) { return lowercase(s); });
  if (type == "Prepend") {
    std::string prefix = textOf(section, "prepend");
    return Normalizer([prefix](std::string s) { return s.empty() ? s : prefix + s; });
  }
  if (type == "Replace") {
    std::string from = textOf(memberOf(section, "pattern"), "String"), to = textOf(section, "content");
    if (!from.empty()) {
      return Normalizer([from, to](std::string s) { return replaceAll(s, from, to); });
    }
  }
  return error(Code::Unsupported, "tokenizer: normalizer '%s' is not supported", printable(type).c_str());
}

} // namespace leat::rt
