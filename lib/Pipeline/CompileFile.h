// A file in, a file out: what the command line and the C interface share.
#pragma once

#include "lib/Pipeline/Compile.h"

namespace leat {

/// The numbers are the exit codes of the tool and the codes of include/leat/Compiler.h.
enum class Outcome { Done = 0, Failed = 1, Usage = 2, Unsupported = 3, BadInput = 4 };

struct Message {
  bool error;
  std::string text;  ///< one line; names the ONNX node
  bool note = false; ///< neither an error nor a warning
};

/// The level that a user's word names; none if there is no such level.
std::optional<Emit> parseEmit(llvm::StringRef word);

/// Compiles the model at `model` to `output` ("-": standard output, for text). `options.modelName` defaults to the file's name. Every
/// problem is reported; a failure leaves no file behind.
Outcome compileFile(llvm::StringRef model, const FrontendOptions &frontend, CompileOptions options, llvm::StringRef output,
                    llvm::function_ref<void(const Message &)> report);

} // namespace leat
