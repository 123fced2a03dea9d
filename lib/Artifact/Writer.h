// Writes the .leat file: manifest, code, packed weights.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace leat::artifact {

/// One module of device code. Entries are those of kernels: `leat.kernels` names them and their module.
struct DeviceModule {
  struct Entry {
    std::string symbol;
    int64_t registers, sharedBytes; // beside what a launch asks for
  };
  std::string ptx, cubin;
  std::vector<Entry> entries; // what the assembler said, if it was there
};

struct ArtifactContents {
  std::string model;                 // where the model came from, for people
  std::string targetCpu;             // as the code generator was told
  std::vector<std::string> features; // what the code needs
  std::string sharedObject;
  std::vector<DeviceModule> device;                          // device code, if there is some
  std::string gpu;                                           // what it needs
  std::string irText;                                        // empty: no IR section
  std::vector<std::pair<std::string, std::string>> options;  // compile options, for people
  std::function<void(int64_t done, int64_t total)> progress; // bytes of weights
};

/// `module`: after leat-lower-host; its attributes say what the manifest needs, its leat.param ops name the weights. The file appears
/// under its name only when it is complete.
llvm::Error writeArtifact(mlir::ModuleOp module, const ArtifactContents &contents, llvm::StringRef path);

} // namespace leat::artifact
