// Links objects in memory to a shared object in memory, with lld inside this process.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>

namespace leat::target {

/// The result may leave C library functions undefined (mem*, libm) and nothing else: the loader of an artifact offers no other symbols.
llvm::Expected<std::string> linkSharedObject(llvm::ArrayRef<std::string> objects);

} // namespace leat::target
