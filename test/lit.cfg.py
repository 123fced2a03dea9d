# The lit suite: IR in, IR out. Loaded through the lit.site.cfg.py that CMake writes into the build tree.
import os

import lit.formats

config.name = "leat"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["unit", "e2e", "oracles", "models", "fuzz", "Inputs"]
config.test_source_root = os.path.join(config.leat_source, "test")
config.test_exec_root = os.path.join(config.leat_build, "test")
config.environment["PATH"] = os.pathsep.join(
    [os.path.join(config.leat_build, "bin"), config.llvm_tools, os.environ["PATH"]])
config.environment["PYTHONPATH"] = os.path.join(config.leat_source, "test")
config.substitutions.append(("%python", config.leat_python))
config.substitutions.append(("%models", os.path.join(config.leat_source, "test", "models")))
