// Reading and writing the container. Reading trusts no number before it is checked against the bytes at hand.
#include "runtime/artifact/Container.h"
#include "runtime/core/Crc32c.h"
#include "runtime/core/File.h"

#include <algorithm>
#include <cstring>

namespace leat::rt {

static constexpr uint32_t maxSections = 64;

static const char *sectionName(SectionKind kind) {
  switch (kind) {
  case SectionKind::Manifest:
    return "manifest";
  case SectionKind::HostCode:
    return "host code";
  case SectionKind::Weights:
    return "weights";
  case SectionKind::Ir:
    return "IR";
  case SectionKind::DeviceCode:
    return "device code";
  case SectionKind::StateTable:
    return "state table";
  case SectionKind::StateData:
    return "state data";
  case SectionKind::StreamPosition:
    return "stream position";
  }
  return "unknown";
}

Result<std::vector<Section>> parseContainer(std::span<const uint8_t> file, const char *magic, uint32_t format, const char *what,
                                            const ContainerChecks &checks) {
  bool isArtifact = std::memcmp(magic, artifactMagic, 8) == 0;
  const char *remedy = isArtifact ? "recompile with leat compile" : "save it again";
  ContainerHeader header;
  if (file.size() >= 8 && std::memcmp(file.data(), magic, 8) != 0) {
    if (std::memcmp(file.data(), artifactMagic, 8) == 0)
      return error(Code::BadFile, "this is a compiled artifact (.leat), not a %s", what);
    if (std::memcmp(file.data(), stateMagic, 8) == 0)
      return error(Code::BadFile, "this is a saved state, not an %s", what);
    return error(Code::BadFile, "this is not a Leat %s (the first bytes are not %.7s)", what, magic);
  }
  if (file.size() < sizeof(header))
    return error(Code::BadFile, "the %s is truncated: %zu bytes, and the header alone has %zu", what, file.size(), sizeof(header));
  std::memcpy(&header, file.data(), sizeof(header));
  if (header.format != format)
    return error(Code::Version, "the %s has format version %u, this runtime reads version %u: %s", what, header.format, format, remedy);
  if (header.fileSize != file.size())
    return error(Code::BadFile, "the %s is damaged: its header says %llu bytes, the file has %zu: %s", what,
                 (unsigned long long)header.fileSize, file.size(), remedy);
  if (std::any_of(std::begin(header.zeros), std::end(header.zeros), [](uint8_t byte) { return byte != 0; }))
    return error(Code::BadFile, "the %s is damaged: reserved header bytes are not zero: %s", what, remedy);
  if (header.sectionCount == 0 || header.sectionCount > maxSections ||
      header.sectionCount * sizeof(SectionEntry) > file.size() - sizeof(ContainerHeader))
    return error(Code::BadFile, "the %s is damaged: a section count of %u: %s", what, header.sectionCount, remedy);
  uint64_t tableBytes = header.sectionCount * sizeof(SectionEntry), tableEnd = sizeof(ContainerHeader) + tableBytes;
  const uint8_t *table = file.data() + sizeof(ContainerHeader);
  if (checks.crc && crc32c(0, table, tableBytes) != header.tableCrc)
    return error(Code::BadFile, "the %s is damaged: the checksum of the section table does not match: %s", what, remedy);

  std::vector<Section> sections;
  for (uint32_t i = 0; i < header.sectionCount; ++i) {
    SectionEntry entry;
    std::memcpy(&entry, table + i * sizeof(entry), sizeof(entry));
    auto kind = static_cast<SectionKind>(entry.kind);
    if (entry.flags != 0 || entry.zero != 0)
      return error(Code::BadFile, "the %s is damaged: section %u has unknown flags: %s", what, i, remedy);
    if (entry.offset < tableEnd || entry.offset > file.size() || entry.length > file.size() - entry.offset)
      return error(Code::BadFile, "the %s is damaged: section %u (%s) lies outside the file: %s", what, i, sectionName(kind), remedy);
    if (entry.offset % 64 != 0 || (kind == SectionKind::Weights && entry.offset % 4096 != 0))
      return error(Code::BadFile, "the %s is damaged: section %u (%s) is misaligned: %s", what, i, sectionName(kind), remedy);
    for (const Section &other : sections) {
      if (other.kind == kind)
        return error(Code::BadFile, "the %s is damaged: it has two sections of kind %u: %s", what, entry.kind, remedy);
      if (entry.offset < other.offset + other.bytes.size() && other.offset < entry.offset + entry.length)
        return error(Code::BadFile, "the %s is damaged: sections overlap: %s", what, remedy);
    }
    sections.push_back({kind, entry.offset, file.subspan(entry.offset, entry.length), entry.crc});
  }
  for (const Section &section : sections)
    if (checks.crc && (checks.weightsCrc || section.kind != SectionKind::Weights) &&
        crc32c(0, section.bytes.data(), section.bytes.size()) != section.crc)
      return error(Code::BadFile, "the %s is damaged: the checksum of its %s does not match: %s", what, sectionName(section.kind), remedy);
  return sections;
}

const Section *findSection(const std::vector<Section> &sections, SectionKind kind) {
  for (const Section &section : sections)
    if (section.kind == kind)
      return &section;
  return nullptr;
}

Status writeContainer(const std::string &path, const char *magic, uint32_t format, std::span<const SectionToWrite> sections) {
  static constexpr uint8_t padding[4096] = {};
  std::vector<SectionEntry> table;
  std::vector<std::span<const uint8_t>> pieces(2);
  uint64_t at = sizeof(ContainerHeader) + sections.size() * sizeof(SectionEntry);
  for (const SectionToWrite &section : sections) {
    uint64_t start = (at + section.alignment - 1) & ~(section.alignment - 1);
    for (uint64_t gap = start - at; gap > 0; gap -= std::min<uint64_t>(gap, sizeof(padding)))
      pieces.emplace_back(padding, std::min<uint64_t>(gap, sizeof(padding)));
    pieces.push_back(section.bytes);
    table.push_back(
        {static_cast<uint32_t>(section.kind), 0, start, section.bytes.size(), crc32c(0, section.bytes.data(), section.bytes.size()), 0});
    at = start + section.bytes.size();
  }
  ContainerHeader header = {};
  std::memcpy(header.magic, magic, 8);
  header.format = format;
  header.sectionCount = static_cast<uint32_t>(sections.size());
  header.fileSize = at;
  header.tableCrc = crc32c(0, table.data(), table.size() * sizeof(SectionEntry));
  pieces[0] = {reinterpret_cast<const uint8_t *>(&header), sizeof(header)};
  pieces[1] = {reinterpret_cast<const uint8_t *>(table.data()), table.size() * sizeof(SectionEntry)};
  return writeFile(path, pieces);
}

} // namespace leat::rt
