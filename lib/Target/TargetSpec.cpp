// The processor to compile for.
#include "lib/Target/TargetSpec.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Host.h"

#include <mutex>

namespace leat::target {

static const llvm::Target *nativeTarget(std::string &error) {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    llvm::InitializeNativeTargetAsmParser();
  });
  return llvm::TargetRegistry::lookupTarget(llvm::Triple(llvm::sys::getDefaultTargetTriple()), error);
}

std::unique_ptr<llvm::TargetMachine> TargetSpec::createTargetMachine(llvm::CodeGenOptLevel level) const {
  std::string error;
  llvm::Triple triple(llvm::sys::getDefaultTargetTriple());
  const llvm::Target *target = nativeTarget(error);
  return std::unique_ptr<llvm::TargetMachine>(
      target->createTargetMachine(triple, cpu, llvmFeatures, llvm::TargetOptions(), llvm::Reloc::PIC_, std::nullopt, level));
}

/// Features that the code generator may turn into instructions of a kernel. Others (virtualisation, keys, tuning) do not restrict where
/// code runs and are switched off for "native", so that an artifact never asks for them.
static constexpr llvm::StringRef kComputeFeatures[] = {"sse3",
                                                       "ssse3",
                                                       "sse4.1",
                                                       "sse4.2",
                                                       "popcnt",
                                                       "movbe",
                                                       "avx",
                                                       "f16c",
                                                       "fma",
                                                       "avx2",
                                                       "bmi",
                                                       "bmi2",
                                                       "lzcnt",
                                                       "avx512f",
                                                       "avx512cd",
                                                       "avx512bw",
                                                       "avx512dq",
                                                       "avx512vl",
                                                       "avx512ifma",
                                                       "avx512vbmi",
                                                       "avx512vbmi2",
                                                       "avx512vnni",
                                                       "avx512bitalg",
                                                       "avx512bf16",
                                                       "gfni",
                                                       "avx512fp16",
                                                       "avxvnni",
                                                       "avxifma",
                                                       "avxvnniint8",
                                                       "avxneconvert",
                                                       "avx512vpopcntdq",
                                                       "adx",
                                                       "vaes",
                                                       "aes",
                                                       "pclmul",
                                                       "vpclmulqdq",
                                                       "sha",
                                                       "cx16",
                                                       "sse4a",
                                                       "xop",
                                                       "fma4",
                                                       "tbm"};

llvm::Expected<TargetSpec> resolveTarget(llvm::StringRef cpu) {
  auto fail = [](const llvm::Twine &text) { return llvm::createStringError(llvm::inconvertibleErrorCode(), text); };
  std::string error;
  const llvm::Target *target = nativeTarget(error);
  if (!target)
    return fail("LLVM has no code generator for this machine: " + error);
  TargetSpec spec;
  bool native = cpu == "native";
  if (native) {
    spec.cpu = llvm::sys::getHostCPUName().str();
    // A virtual machine may hide features that the processor's name implies.
    for (auto &[name, present] : llvm::sys::getHostCPUFeatures())
      if (!present || llvm::is_contained(kComputeFeatures, name))
        spec.llvmFeatures += std::string(spec.llvmFeatures.empty() ? "" : ",") + (present ? "+" : "-") + name.str();
  } else {
    spec.cpu = cpu == "generic" || cpu.empty() ? "x86-64" : cpu.str();
  }
  llvm::Triple triple(llvm::sys::getDefaultTargetTriple());
  std::unique_ptr<llvm::MCSubtargetInfo> baseline(target->createMCSubtargetInfo(triple, "", ""));
  if (!baseline->isCPUStringValid(spec.cpu))
    return fail("unknown processor '" + cpu + "'; use generic, x86-64-v3, x86-64-v4, native, or a name from clang --print-supported-cpus");
  std::unique_ptr<llvm::MCSubtargetInfo> info(target->createMCSubtargetInfo(triple, spec.cpu, spec.llvmFeatures));
  for (const llvm::SubtargetFeatureKV &feature : info->getAllProcessorFeatures())
    if (info->getFeatureBits().test(feature.Value) && llvm::is_contained(kComputeFeatures, llvm::StringRef(feature.Key)))
      spec.features.push_back(feature.Key);
  auto has = [&](llvm::StringRef name) { return llvm::is_contained(spec.features, name); };
  spec.vectorBits = has("avx512f") && has("avx512bw") && has("avx512dq") && has("avx512vl") ? 512 : has("avx2") && has("fma") ? 256 : 128;
  return spec;
}

} // namespace leat::target
