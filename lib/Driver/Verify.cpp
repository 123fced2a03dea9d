// leat verify: the artifact of a model against ONNX Runtime, which is asked through Python where it is installed.
#include "lib/Driver/Commands.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Program.h"

#include <cstdlib>

namespace leat::driver {

static const char kScript[] = {
#include "lib/Driver/verify.py.inc"
    , 0};

static int verify(const Args &args) {
  std::string bad;
  args.number("tolerance", 1e-4, 0, 1, bad);
  args.integer("seed", 0, 0, INT64_MAX, bad);
  if (!bad.empty())
    return fail(kUsage, bad);
  auto python = llvm::sys::findProgramByName(args.get("python", "python3"));
  if (!python)
    return fail(kUsage, "no Python interpreter '" + args.get("python", "python3") + "'; give one that has onnxruntime with --python");
  std::string self = llvm::sys::fs::getMainExecutable(nullptr, reinterpret_cast<void *>(&verify));
  std::string check = "import importlib.util as u, sys; sys.exit(0 if u.find_spec('onnxruntime') and u.find_spec('numpy') else 1)";
  if (llvm::sys::ExecuteAndWait(*python, {*python, "-c", check}) != 0)
    return fail(kUnsupported,
                *python + " has no onnxruntime and numpy to compare with; install them or name another interpreter with --python");
  std::vector<std::string> words{
      *python, "-c", kScript, self, args.positional[0], args.positional[1], args.get("tolerance", "1e-4"), args.get("seed", "0")};
  for (const std::string &size : args.list("size"))
    words.push_back(size);
  std::vector<llvm::StringRef> argv(words.begin(), words.end());
  int code = llvm::sys::ExecuteAndWait(*python, argv);
  return code < 0 ? kFailed : code;
}

Command verifyCommand() {
  return {{"verify",
           "MODEL.onnx MODEL.leat",
           "compare a compiled model with ONNX Runtime on made-up inputs",
           {{"size", "NAME=N", "size of a symbolic dimension (batch 2, past 0, others 8)", "Inputs"},
            {"seed", "N", "of the made-up values (0)", "Inputs"},
            {"tolerance", "T", "largest difference allowed, relative where values exceed 1 (1e-4)", "Comparison"},
            {"python", "PATH", "interpreter that has onnxruntime and numpy (python3)", "Comparison"}},
           2,
           2},
          verify};
}

} // namespace leat::driver
