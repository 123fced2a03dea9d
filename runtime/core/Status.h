// What a runtime function returns: a code and, when it failed, one line for the person who reads it.
// No exceptions here: every failure travels as a value.
#ifndef LEAT_RUNTIME_CORE_STATUS_H
#define LEAT_RUNTIME_CORE_STATUS_H

#include <cstdarg>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace leat::rt {

// The numbers are part of the C API (leat_code): append only.
enum class Code : int32_t {
  Ok = 0,
  InvalidArgument = 1, // the caller asked for something that makes no sense: a shape, a name, a range
  NotFound = 2,        // no such file, function, input
  BadFile = 3,         // truncated, corrupt, not of this format
  Version = 4,         // made for another version
  Unsupported = 5,     // the host or this build cannot do it: CPU feature, data type
  Capacity = 6,        // a cache is full, or memory is not to be had
  Io = 7,              // the operating system refused
  Failed = 8,          // a check inside the model failed at run time
  Internal = 9,        // our mistake
};

class [[nodiscard]] Status {
public:
  Status() = default;
  Status(Code code, std::string message) : detail(std::make_unique<Detail>(Detail{code, std::move(message)})) {}

  bool ok() const { return !detail; }
  explicit operator bool() const { return ok(); }
  Code code() const { return detail ? detail->code : Code::Ok; }
  const std::string &message() const;
  // Puts "context: " before the message.
  Status withContext(const std::string &context) &&;

private:
  struct Detail {
    Code code;
    std::string message;
  };
  std::unique_ptr<Detail> detail;
};

// printf-style: error(Code::NotFound, "no input named '%s'", name).
Status error(Code code, const char *format, ...) __attribute__((format(printf, 2, 3)));
std::string formatText(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Text of foreign origin as it may appear in a one-line message: control bytes escaped, long text cut.
std::string printable(const char *text, size_t size, size_t limit = 120);
inline std::string printable(const std::string &text, size_t limit = 120) { return printable(text.data(), text.size(), limit); }

// A value, or why there is none.
template <typename T> class [[nodiscard]] Result {
public:
  Result(T value) : value(std::move(value)) {}
  Result(Status status) : status_(std::move(status)) {}

  bool ok() const { return value.has_value(); }
  explicit operator bool() const { return ok(); }
  T &operator*() { return *value; }
  const T &operator*() const { return *value; }
  T *operator->() { return &*value; }
  const T *operator->() const { return &*value; }
  const Status &status() const { return status_; }
  Status takeStatus() { return std::move(status_); }

private:
  std::optional<T> value;
  Status status_;
};

#define LEAT_RETURN_IF_ERROR(expr)                                                                                                         \
  do {                                                                                                                                     \
    if (::leat::rt::Status leatStatus_ = (expr); !leatStatus_.ok())                                                                        \
      return leatStatus_;                                                                                                                  \
  } while (0)

} // namespace leat::rt

#endif
