// The container that artifacts and state files share: a header, a table of sections with a checksum each, the sections.
// All numbers are little endian. The writer (lib/Artifact) includes this too.
#ifndef LEAT_RUNTIME_ARTIFACT_CONTAINER_H
#define LEAT_RUNTIME_ARTIFACT_CONTAINER_H

#include "runtime/core/Status.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace leat::rt {

inline constexpr uint32_t artifactFormat = 1;
inline constexpr uint32_t stateFormat = 1;
inline constexpr char artifactMagic[9] = "LEATART\0";
inline constexpr char stateMagic[9] = "LEATSTA\0";

enum class SectionKind : uint32_t {
  Manifest = 1,   // FlatBuffers, Manifest.fbs
  HostCode = 2,   // an ELF shared object
  Weights = 3,    // starts on a page; parameters are 64-byte aligned inside
  Ir = 4,         // the module's text, for re-lowering and inspection
  DeviceCode = 5, // PTX and cubins, in the ranges that the manifest names
  StateTable = 16,
  StateData = 17,
  StreamPosition = 18, // where a generator was: what it chose and has not fed, its history, its logits
};

struct ContainerHeader {
  char magic[8];
  uint32_t format;
  uint32_t sectionCount;
  uint64_t fileSize;
  uint32_t tableCrc; // CRC-32C of the section table
  uint8_t zeros[36];
};
static_assert(sizeof(ContainerHeader) == 64);

struct SectionEntry {
  uint32_t kind;
  uint32_t flags; // none defined: zero
  uint64_t offset;
  uint64_t length;
  uint32_t crc; // CRC-32C of the section
  uint32_t zero;
};
static_assert(sizeof(SectionEntry) == 32);

struct Section {
  SectionKind kind;
  uint64_t offset;
  std::span<const uint8_t> bytes;
  uint32_t crc;
};

struct ContainerChecks {
  bool crc = true;        // off only for fuzzing what lies behind the checksums
  bool weightsCrc = true; // reading the weights once costs time on a cold disk
};

// Checks everything that can be checked without knowing what is inside a section. `what` names the file in messages ("artifact").
Result<std::vector<Section>> parseContainer(std::span<const uint8_t> file, const char *magic, uint32_t format, const char *what,
                                            const ContainerChecks &checks = {});
const Section *findSection(const std::vector<Section> &sections, SectionKind kind);

// Lays out and writes a container. Each section starts at a multiple of its alignment (a power of two, at least 64).
struct SectionToWrite {
  SectionKind kind;
  std::span<const uint8_t> bytes;
  uint64_t alignment = 64;
};
Status writeContainer(const std::string &path, const char *magic, uint32_t format, std::span<const SectionToWrite> sections);

} // namespace leat::rt

#endif
