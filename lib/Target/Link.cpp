// lld as a library. It works on files and has global state: one link at a time, in a temporary folder.
#include "lib/Target/Link.h"

#include "lld/Common/Driver.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <mutex>

LLD_HAS_DRIVER(elf)

namespace leat::target {

static llvm::Error failure(const llvm::Twine &text) { return llvm::createStringError(llvm::inconvertibleErrorCode(), text); }

namespace {
struct TemporaryFolder {
  llvm::SmallString<128> path;
  ~TemporaryFolder() {
    if (!path.empty())
      llvm::sys::fs::remove_directories(path);
  }
  std::string file(const llvm::Twine &name) const {
    llvm::SmallString<128> full(path);
    llvm::sys::path::append(full, name);
    return full.str().str();
  }
};
} // namespace

/// Names of the C library that generated code may call: block copies, and libm where a scalar has no instruction.
static bool isLibrarySymbol(llvm::StringRef name) {
  static const llvm::StringSet<> base{"memcpy", "memmove", "memset", "memcmp",    "acos",  "acosh",    "asin",    "asinh",     "atan",
                                      "atan2",  "atanh",   "cbrt",   "ceil",      "cos",   "cosh",     "erf",     "erfc",      "exp",
                                      "exp2",   "expm1",   "floor",  "fma",       "fmax",  "fmin",     "fmod",    "ldexp",     "log",
                                      "log10",  "log1p",   "log2",   "nearbyint", "pow",   "rint",     "round",   "roundeven", "sin",
                                      "sinh",   "sqrt",    "tan",    "tanh",      "trunc", "fmaximum", "fminimum"};
  return base.contains(name) || (name.ends_with("f") && base.contains(name.drop_back()));
}

static llvm::Error checkUndefined(llvm::StringRef object) {
  auto file = llvm::object::ObjectFile::createELFObjectFile(llvm::MemoryBufferRef(object, "code.so"));
  if (!file)
    return file.takeError();
  for (const auto &symbol : llvm::cast<llvm::object::ELFObjectFileBase>(**file).getDynamicSymbolIterators()) {
    auto flags = symbol.getFlags();
    auto name = symbol.getName();
    if (!flags || !name) {
      llvm::consumeError(flags.takeError());
      llvm::consumeError(name.takeError());
      continue;
    }
    if ((*flags & llvm::object::SymbolRef::SF_Undefined) && !name->empty() && !isLibrarySymbol(*name))
      return failure("internal error: generated code calls '" + *name + "', which nothing provides");
  }
  return llvm::Error::success();
}

llvm::Expected<std::string> linkSharedObject(llvm::ArrayRef<std::string> objects) {
  static std::mutex oneLinkAtATime;
  std::lock_guard lock(oneLinkAtATime);
  TemporaryFolder folder;
  if (std::error_code error = llvm::sys::fs::createUniqueDirectory("leat-link", folder.path))
    return failure("cannot create a temporary folder: " + error.message());
  std::vector<std::string> files;
  for (auto [i, object] : llvm::enumerate(objects)) {
    files.push_back(folder.file("part" + llvm::Twine(i) + ".o"));
    std::error_code error;
    llvm::raw_fd_ostream os(files.back(), error);
    os << object;
    os.close();
    if (error || os.has_error()) {
      os.clear_error();
      return failure("cannot write '" + files.back() + "': " + (error ? error.message() : "disk full?"));
    }
  }
  std::string output = folder.file("code.so");
  std::vector<const char *> arguments{"ld.lld",     "-shared",         "--hash-style=gnu", "-z",      "noexecstack", "-z", "now",
                                      "-Bsymbolic", "--build-id=none", "--threads=1",      "-soname", "leat",        "-o", output.c_str()};
  for (const std::string &file : files)
    arguments.push_back(file.c_str());
  std::string messages;
  llvm::raw_string_ostream os(messages);
  const lld::DriverDef drivers[] = {{lld::Gnu, &lld::elf::link}};
  lld::Result result = lld::lldMain(arguments, os, os, drivers);
  if (result.retCode != 0)
    return failure("internal error: linking failed: " + messages);
  auto linked = llvm::MemoryBuffer::getFile(output, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!linked)
    return failure("cannot read the linked code: " + linked.getError().message());
  std::string bytes = (*linked)->getBuffer().str();
  if (llvm::Error error = checkUndefined(bytes))
    return std::move(error);
  return bytes;
}

} // namespace leat::target
