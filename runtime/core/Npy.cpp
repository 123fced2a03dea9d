// .npy: the header is a Python literal; a small scanner takes exactly the three keys that NumPy writes.
#include "runtime/core/Npy.h"
#include "runtime/core/File.h"

#include <algorithm>
#include <string_view>

namespace leat::rt {

namespace {

struct Header {
  std::string_view descr;
  bool fortran = false;
  Shape shape;
};

// Scans a dict literal of descr (string), fortran_order (True/False) and shape (tuple of integers). Nothing is evaluated.
class Scanner {
public:
  explicit Scanner(std::string_view text) : text(text) {}

  Status parse(Header &header) {
    bool seen[3] = {};
    if (!take('{'))
      return bad("a '{'");
    while (!take('}')) {
      std::string_view key;
      if (!string(key) || !take(':'))
        return bad("a key and ':'");
      int which = key == "descr" ? 0 : key == "fortran_order" ? 1 : key == "shape" ? 2 : -1;
      if (which < 0 || seen[which])
        return error(Code::BadFile, "npy: unexpected key '%s' in the header", printable(key.data(), key.size()).c_str());
      seen[which] = true;
      if (which == 0 && peek() == '[')
        return error(Code::Unsupported, "npy: structured arrays are not supported; save one plain array");
      if (which == 0 && !string(header.descr))
        return bad("a type string");
      if (which == 1 && !boolean(header.fortran))
        return bad("True or False");
      if (which == 2)
        LEAT_RETURN_IF_ERROR(tuple(header.shape));
      if (!take(',') && peek() != '}')
        return bad("',' or '}'");
    }
    if (!seen[0] || !seen[1] || !seen[2])
      return error(Code::BadFile, "npy: the header lacks 'descr', 'fortran_order' or 'shape'");
    skip();
    if (at != text.size())
      return bad("the header's end");
    return {};
  }

private:
  Status bad(const char *wanted) { return error(Code::BadFile, "npy: the header is malformed at byte %zu: expected %s", at, wanted); }
  void skip() {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r'))
      ++at;
  }
  char peek() {
    skip();
    return at < text.size() ? text[at] : '\0';
  }
  bool take(char c) {
    if (peek() != c || at >= text.size())
      return false;
    ++at;
    return true;
  }
  bool string(std::string_view &out) {
    char quote = peek();
    if (quote != '\'' && quote != '"')
      return false;
    size_t end = text.find(quote, at + 1);
    if (end == std::string_view::npos)
      return false;
    out = text.substr(at + 1, end - at - 1);
    at = end + 1;
    return true;
  }
  bool boolean(bool &out) {
    skip();
    std::string_view rest = text.substr(at);
    if (rest.starts_with("True")) {
      out = true;
      at += 4;
      return true;
    }
    if (rest.starts_with("False")) {
      out = false;
      at += 5;
      return true;
    }
    return false;
  }
  Status tuple(Shape &shape) {
    if (!take('('))
      return bad("'('");
    while (!take(')')) {
      if (peek() < '0' || peek() > '9')
        return bad("a dimension");
      int64_t value = 0;
      while (at < text.size() && text[at] >= '0' && text[at] <= '9')
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, text[at++] - '0', &value))
          return error(Code::BadFile, "npy: a dimension is too large");
      if (at < text.size() && text[at] == 'L') // written by Python 2
        ++at;
      if (shape.rank == maxRank)
        return error(Code::Unsupported, "npy: the array has more than %d dimensions", maxRank);
      shape.dims[shape.rank++] = value;
      if (!take(',') && peek() != ')')
        return bad("',' or ')'");
    }
    return {};
  }

  std::string_view text;
  size_t at = 0;
};

struct Element {
  DType type = DType::Undefined;
  int64_t size = 0;
  bool swap = false;
};

Status decodeType(std::string_view descr, DType expected, Element &element) {
  auto unknown = [&] {
    return error(Code::Unsupported, "npy: element type '%s' is not supported", printable(descr.data(), descr.size()).c_str());
  };
  if (descr.size() < 2)
    return unknown();
  char order = descr[0];
  if (order == '<' || order == '>' || order == '|' || order == '=')
    descr.remove_prefix(1);
  else
    order = '<';
  static constexpr struct {
    std::string_view descr;
    DType type;
  } known[] = {{"f4", DType::F32}, {"f8", DType::F64}, {"f2", DType::F16}, {"b1", DType::Bool}, {"u1", DType::U8},
               {"i1", DType::I8},  {"u2", DType::U16}, {"i2", DType::I16}, {"u4", DType::U32},  {"i4", DType::I32},
               {"u8", DType::U64}, {"i8", DType::I64}, {"c8", DType::C64}, {"c16", DType::C128}};
  for (const auto &entry : known)
    if (descr == entry.descr)
      element.type = entry.type;
  if (descr == "V1" || descr == "V2") {
    if (expected == DType::Undefined || dtypeSize(expected) != descr[1] - '0')
      return error(Code::Unsupported, "npy: the elements are raw bytes ('%s') and nothing says what they are", descr == "V1" ? "V1" : "V2");
    element.type = expected;
  }
  bool subByte =
      expected == DType::U4 || expected == DType::I4 || expected == DType::U2 || expected == DType::I2 || expected == DType::F4E2M1;
  if (subByte && (element.type == DType::U8 || element.type == DType::I8))
    element.type = expected;
  if (element.type == DType::Undefined)
    return unknown();
  element.size = dtypeSize(element.type);
  element.swap = order == '>' && element.size > 1;
  return {};
}

void swapBytes(uint8_t *data, int64_t bytes, int64_t width) {
  for (int64_t i = 0; i + width <= bytes; i += width)
    std::reverse(data + i, data + i + width);
}

// Copies a column-major array into row-major order.
void copyTransposed(const uint8_t *from, uint8_t *to, const Shape &shape, int64_t size, int64_t count) {
  int64_t strides[maxRank], index[maxRank] = {}, stride = size, offset = 0;
  for (int i = 0; i < shape.rank; ++i) {
    strides[i] = stride;
    stride *= shape[i];
  }
  for (int64_t n = 0; n < count; ++n) {
    std::memcpy(to + n * size, from + offset, size);
    for (int i = shape.rank - 1; i >= 0; --i) {
      offset += strides[i];
      if (++index[i] < shape[i])
        break;
      offset -= strides[i] * shape[i];
      index[i] = 0;
    }
  }
}

} // namespace

Result<Tensor> parseNpy(const void *data, size_t size, DType expected) {
  auto bytes = static_cast<const uint8_t *>(data);
  if (size < 10 || std::memcmp(bytes, "\x93NUMPY", 6) != 0)
    return error(Code::BadFile, "npy: this is not a .npy file (it does not start with \\x93NUMPY)");
  int major = bytes[6];
  if (major < 1 || major > 3)
    return error(Code::Version, "npy: format version %d is not known (1, 2 and 3 are)", major);
  size_t prefix = major == 1 ? 10 : 12;
  if (size < prefix)
    return error(Code::BadFile, "npy: the file is truncated in its header");
  size_t length = bytes[8] | size_t(bytes[9]) << 8;
  if (major > 1)
    length |= size_t(bytes[10]) << 16 | size_t(bytes[11]) << 24;
  if (length > size - prefix)
    return error(Code::BadFile, "npy: the file is truncated in its header");

  Header header;
  if (Status status = Scanner({reinterpret_cast<const char *>(bytes) + prefix, length}).parse(header); !status.ok())
    return status;
  Element element;
  if (Status status = decodeType(header.descr, expected, element); !status.ok())
    return status;
  int64_t needed;
  size_t available = size - prefix - length;
  if (!byteSize(header.shape.dims, header.shape.rank, element.size, needed) || static_cast<uint64_t>(needed) > available)
    return error(Code::BadFile, "npy: an array of shape %s needs more than the %zu bytes that follow the header",
                 shapeText(header.shape).c_str(), available);

  Result<Tensor> tensor = Tensor::create(element.type, header.shape);
  if (!tensor.ok() || needed == 0)
    return tensor;
  const uint8_t *from = bytes + prefix + length;
  auto to = tensor->as<uint8_t>();
  if (header.fortran && header.shape.rank > 1)
    copyTransposed(from, to, header.shape, element.size, tensor->count());
  else
    std::memcpy(to, from, needed);
  if (element.swap)
    swapBytes(to, needed, element.type == DType::C64 || element.type == DType::C128 ? element.size / 2 : element.size);
  return tensor;
}

Result<Tensor> readNpy(const std::string &path, DType expected) {
  Result<std::vector<uint8_t>> bytes = readFile(path);
  if (!bytes.ok())
    return bytes.takeStatus();
  Result<Tensor> tensor = parseNpy(bytes->data(), bytes->size(), expected);
  if (!tensor.ok())
    return tensor.takeStatus().withContext("'" + printable(path, 400) + "'");
  return tensor;
}

Result<std::string> npyHeader(DType type, const Shape &shape) {
  const char *descr = nullptr;
  switch (type) {
  case DType::F32:
    descr = "<f4";
    break;
  case DType::F64:
    descr = "<f8";
    break;
  case DType::F16:
    descr = "<f2";
    break;
  case DType::BF16:
    descr = "<V2";
    break;
  case DType::Bool:
    descr = "|b1";
    break;
  case DType::U8:
  case DType::U4:
  case DType::U2:
    descr = "|u1";
    break;
  case DType::I8:
  case DType::I4:
  case DType::I2:
    descr = "|i1";
    break;
  case DType::U16:
    descr = "<u2";
    break;
  case DType::I16:
    descr = "<i2";
    break;
  case DType::U32:
    descr = "<u4";
    break;
  case DType::I32:
    descr = "<i4";
    break;
  case DType::U64:
    descr = "<u8";
    break;
  case DType::I64:
    descr = "<i8";
    break;
  case DType::C64:
    descr = "<c8";
    break;
  case DType::C128:
    descr = "<c16";
    break;
  case DType::F8E4M3FN:
  case DType::F8E4M3FNUZ:
  case DType::F8E5M2:
  case DType::F8E5M2FNUZ:
  case DType::F8E8M0:
  case DType::F4E2M1:
    descr = "|V1";
    break;
  default:
    return error(Code::Unsupported, "npy: elements of type %s cannot be saved", dtypeName(type));
  }
  std::string dict = formatText("{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
  for (int i = 0; i < shape.rank; ++i)
    dict += std::to_string(shape[i]) + (shape.rank == 1 ? "," : i + 1 < shape.rank ? ", " : "");
  dict += "), }";
  dict.append(63 - (10 + dict.size()) % 64, ' ');
  dict += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(dict.size() & 255);
  header += static_cast<char>(dict.size() >> 8);
  return header + dict;
}

Status writeNpy(const std::string &path, const Tensor &tensor) {
  Result<std::string> header = npyHeader(tensor.dtype(), tensor.shape());
  if (!header.ok())
    return header.takeStatus();
  std::span<const uint8_t> pieces[] = {{reinterpret_cast<const uint8_t *>(header->data()), header->size()},
                                       {tensor.as<uint8_t>(), static_cast<size_t>(tensor.bytes())}};
  return writeFile(path, pieces);
}

} // namespace leat::rt
