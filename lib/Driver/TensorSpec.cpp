// Parser and printer of tensors on the command line.
#include "lib/Driver/TensorSpec.h"

#include "runtime/core/File.h"
#include "runtime/core/Npy.h"
#include "runtime/core/Philox.h"

#include <cctype>
#include <cmath>
#include <cstdlib>
#include <cstring>

using namespace leat::rt;

namespace leat::driver {

/// Reads `2x3xf32`.
static bool parseType(const std::string &text, DType &type, Shape &shape) {
  size_t at = 0;
  shape = Shape();
  while (at < text.size() && isdigit(static_cast<unsigned char>(text[at]))) {
    char *end = nullptr;
    errno = 0;
    long long n = strtoll(text.c_str() + at, &end, 10);
    if (errno || *end != 'x' || shape.rank == maxRank)
      return false;
    shape.dims[shape.rank++] = n;
    at = static_cast<size_t>(end - text.c_str()) + 1;
  }
  type = dtypeFromName(text.c_str() + at, text.size() - at);
  return type != DType::Undefined && dtypeSize(type) > 0;
}

/// Stores a number as element `i`; false when it does not fit the type.
static bool store(Tensor &t, int64_t i, const std::string &word) {
  char *end = nullptr;
  errno = 0;
  auto integer = [&](int64_t low, int64_t high, int64_t &out) {
    out = strtoll(word.c_str(), &end, 0);
    return !errno && !*end && out >= low && out <= high;
  };
  int64_t n = 0;
  switch (t.dtype()) {
  case DType::F32:
    t.as<float>()[i] = strtof(word.c_str(), &end);
    return !*end;
  case DType::F64:
    t.as<double>()[i] = strtod(word.c_str(), &end);
    return !*end;
  case DType::F16:
    t.as<uint16_t>()[i] = floatToHalf(strtof(word.c_str(), &end));
    return !*end;
  case DType::BF16:
    t.as<uint16_t>()[i] = floatToBfloat(strtof(word.c_str(), &end));
    return !*end;
  case DType::I64:
    return integer(INT64_MIN, INT64_MAX, n) && (t.as<int64_t>()[i] = n, true);
  case DType::I32:
    return integer(INT32_MIN, INT32_MAX, n) && (t.as<int32_t>()[i] = static_cast<int32_t>(n), true);
  case DType::I16:
    return integer(INT16_MIN, INT16_MAX, n) && (t.as<int16_t>()[i] = static_cast<int16_t>(n), true);
  case DType::I8:
    return integer(INT8_MIN, INT8_MAX, n) && (t.as<int8_t>()[i] = static_cast<int8_t>(n), true);
  case DType::U8:
    return integer(0, UINT8_MAX, n) && (t.as<uint8_t>()[i] = static_cast<uint8_t>(n), true);
  case DType::U16:
    return integer(0, UINT16_MAX, n) && (t.as<uint16_t>()[i] = static_cast<uint16_t>(n), true);
  case DType::U32:
    return integer(0, UINT32_MAX, n) && (t.as<uint32_t>()[i] = static_cast<uint32_t>(n), true);
  case DType::U64:
    t.as<uint64_t>()[i] = strtoull(word.c_str(), &end, 0);
    return !errno && !*end && word[0] != '-';
  case DType::Bool:
    if (word == "true" || word == "false")
      return t.as<uint8_t>()[i] = word == "true", true;
    return integer(0, 1, n) && (t.as<uint8_t>()[i] = static_cast<uint8_t>(n), true);
  default:
    return false;
  }
}

/// Value of element `i` as text.
static std::string elementText(const Tensor &t, int64_t i) {
  char text[40];
  float f;
  switch (t.dtype()) {
  case DType::F64:
    snprintf(text, sizeof text, "%.9g", t.as<double>()[i]);
    return text;
  case DType::I64:
    return std::to_string(t.as<int64_t>()[i]);
  case DType::I32:
    return std::to_string(t.as<int32_t>()[i]);
  case DType::I16:
    return std::to_string(t.as<int16_t>()[i]);
  case DType::I8:
  case DType::I4:
  case DType::I2:
    return std::to_string(t.as<int8_t>()[i]);
  case DType::U8:
  case DType::U4:
  case DType::U2:
    return std::to_string(t.as<uint8_t>()[i]);
  case DType::U16:
    return std::to_string(t.as<uint16_t>()[i]);
  case DType::U32:
    return std::to_string(t.as<uint32_t>()[i]);
  case DType::U64:
    return std::to_string(t.as<uint64_t>()[i]);
  case DType::Bool:
    return t.as<uint8_t>()[i] ? "true" : "false";
  default:
    break;
  }
  if (!toFloats(t.dtype(), static_cast<const char *>(t.data()) + i * dtypeSize(t.dtype()), 1, &f))
    return "?";
  snprintf(text, sizeof text, "%.6g", static_cast<double>(f));
  return text;
}

Result<Tensor> parseTensorSpec(const std::string &spec, DType expected) {
  if (!spec.empty() && spec[0] == '@')
    return readNpy(spec.substr(1), expected);
  size_t equals = spec.find('=');
  std::string typeText = spec.substr(0, equals), values = equals == std::string::npos ? "" : spec.substr(equals + 1);
  DType type;
  Shape shape;
  if (!parseType(typeText, type, shape))
    return error(Code::InvalidArgument, "'%s' is no tensor: expected @FILE.npy or SHAPExTYPE=VALUES such as 2x3xf32=1,2,3,4,5,6",
                 printable(spec).c_str());
  auto made = Tensor::create(type, shape);
  if (!made || equals == std::string::npos)
    return made;
  Tensor &t = *made;
  if (!values.empty() && values[0] == '@') {
    auto bytes = readFile(values.substr(1), static_cast<size_t>(t.bytes()) + 1);
    if (!bytes)
      return bytes.takeStatus();
    if (static_cast<int64_t>(bytes->size()) != t.bytes())
      return error(Code::InvalidArgument, "%s has %zu bytes, %s needs %lld", values.c_str() + 1, bytes->size(), typeText.c_str(),
                   static_cast<long long>(t.bytes()));
    memcpy(t.data(), bytes->data(), bytes->size());
    return made;
  }
  unsigned long long seed;
  double low, high;
  if (sscanf(values.c_str(), "rand(%llu,%lf,%lf)", &seed, &low, &high) == 3) {
    for (int64_t i = 0; i < t.count(); ++i) {
      double u = philoxUniform(seed, 0, static_cast<uint64_t>(i));
      double v = low + (high - low) * u;
      bool integral = !isFloat(type);
      if (!store(t, i, integral ? std::to_string(static_cast<long long>(std::floor(v))) : std::to_string(v)))
        return error(Code::InvalidArgument, "'%s': values from %g to %g do not fit %s", printable(spec).c_str(), low, high,
                     dtypeName(type));
    }
    return made;
  }
  std::vector<std::string> words(1);
  for (char c : values) {
    if (c == ',' || c == ' ' || c == '[' || c == ']') {
      if (!words.back().empty())
        words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  if (words.back().empty())
    words.pop_back();
  if (words.size() != 1 && static_cast<int64_t>(words.size()) != t.count())
    return error(Code::InvalidArgument, "'%s' has %zu values, %s needs %lld", printable(spec).c_str(), words.size(), typeText.c_str(),
                 static_cast<long long>(t.count()));
  for (int64_t i = 0; i < t.count(); ++i)
    if (const std::string &word = words[words.size() == 1 ? 0 : i]; !store(t, i, word))
      return error(Code::InvalidArgument, "'%s' is no value of type %s", printable(word).c_str(), dtypeName(type));
  return made;
}

std::string tensorText(const Tensor &t, int64_t limit) {
  std::string text;
  for (int i = 0; i < t.rank(); ++i)
    text += std::to_string(t.dim(i)) + "x";
  text += std::string(dtypeName(t.dtype())) + "=";
  int64_t count = t.count(), row = t.rank() ? t.dim(t.rank() - 1) : 1;
  bool bracket = t.rank() > 0;
  for (int64_t i = 0; i < count; ++i) {
    if (count > limit && i == limit / 2) {
      text += bracket ? " ... " : "...";
      i = count - limit / 2;
    }
    if (bracket && i % row == 0)
      text += "[";
    text += elementText(t, i);
    text += bracket && i % row == row - 1 ? "]" : i + 1 < count ? " " : "";
  }
  return text;
}

std::string percentEncode(const std::string &name) {
  std::string out;
  bool dots = name.find_first_not_of('.') == std::string::npos; // "." and ".." are no file names
  for (unsigned char c : name) {
    if (isalnum(c) || c == '-' || c == '_' || c == '~' || (c == '.' && !dots))
      out += static_cast<char>(c);
    else
      out += formatText("%%%02X", c);
  }
  return out;
}

} // namespace leat::driver
