// The reader against damage: cut and flipped everywhere, and manifests that are well formed but lie.
#include "runtime/artifact/CpuFeatures.h"
#include "runtime/core/Crc32c.h"
#include "test/unit/runtime/TinyModel.h"

#include <cstring>
#include <gtest/gtest.h>

using namespace leat;
using namespace leat::rt;
using namespace leat::test;

static std::vector<uint8_t> tinyBytes(const std::function<void(fb::ManifestT &)> &change = {}) {
  TemporaryFile file(".leat");
  writeTiny(file.path, change);
  return readAll(file.path);
}

static Status check(const std::vector<uint8_t> &bytes) {
  // A copy at the end of its own allocation: a sanitizer sees any read past it.
  std::unique_ptr<uint8_t[]> copy(static_cast<uint8_t *>(new uint8_t[bytes.size() + 64]));
  auto aligned = reinterpret_cast<uint8_t *>((reinterpret_cast<uintptr_t>(copy.get()) + 63) & ~uintptr_t(63));
  std::copy(bytes.begin(), bytes.end(), aligned);
  auto artifact = Artifact::parse({aligned, bytes.size()});
  Status status = artifact.takeStatus();
  EXPECT_EQ(status.message().find('\n'), std::string::npos);
  EXPECT_LT(status.message().size(), 1000u);
  return status;
}

// Makes the checksums right again, so that what lies behind them is reached.
static void repair(std::vector<uint8_t> &bytes) {
  ContainerHeader header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  for (uint32_t i = 0; i < header.sectionCount; ++i) {
    SectionEntry entry;
    uint8_t *at = bytes.data() + sizeof(header) + i * sizeof(entry);
    std::memcpy(&entry, at, sizeof(entry));
    if (entry.offset > bytes.size() || entry.length > bytes.size() - entry.offset)
      continue;
    entry.crc = crc32c(0, bytes.data() + entry.offset, entry.length);
    std::memcpy(at, &entry, sizeof(entry));
  }
  header.tableCrc = crc32c(0, bytes.data() + sizeof(header), header.sectionCount * sizeof(SectionEntry));
  std::memcpy(bytes.data(), &header, sizeof(header));
}

TEST(Artifact, Opens) {
  TemporaryFile file(".leat");
  writeTiny(file.path);
  auto artifact = Artifact::open(file.path);
  ASSERT_TRUE(artifact.ok()) << artifact.status().message();
  const ManifestInfo &info = (*artifact)->manifest();
  EXPECT_EQ(info.model, "tiny");
  ASSERT_EQ(info.functions.size(), 2u);
  EXPECT_EQ(shapeText(info.functions[1].outputs[0]), "[batch,seq,7]");
  EXPECT_EQ(info.states[0].growth, Growth::Append);
  EXPECT_EQ(*static_cast<const float *>((*artifact)->param(1)), 3.0f);
  EXPECT_EQ(Artifact::open("/nonexistent/model.leat").status().code(), Code::NotFound);
}

TEST(Artifact, CutAnywhere) {
  std::vector<uint8_t> good = tinyBytes();
  ASSERT_TRUE(check(good).ok());
  ContainerHeader header;
  std::memcpy(&header, good.data(), sizeof(header));
  for (size_t size = 0; size < good.size(); size += size < 2048 ? 1 : 509)
    EXPECT_EQ(check({good.begin(), good.begin() + size}).code(), Code::BadFile);
}

TEST(Artifact, FlippedAnywhere) {
  std::vector<uint8_t> good = tinyBytes();
  SectionEntry manifest;
  std::memcpy(&manifest, good.data() + sizeof(ContainerHeader), sizeof(manifest));
  size_t tableEnd = sizeof(ContainerHeader) + 3 * sizeof(SectionEntry);
  for (size_t at = 0; at < manifest.offset + manifest.length; ++at) {
    if (at >= tableEnd && at < manifest.offset)
      continue; // padding
    for (int bit = 0; bit < 8; ++bit) {
      std::vector<uint8_t> bad(good);
      bad[at] ^= 1 << bit;
      EXPECT_FALSE(check(bad).ok()) << "byte " << at << " bit " << bit;
      if (at >= tableEnd) {
        repair(bad); // now the manifest itself has to be convincing: it may be, but must not crash
        (void)check(bad);
      }
    }
  }
}

TEST(Artifact, NamesVersions) {
  std::vector<uint8_t> bytes = tinyBytes();
  bytes[8] = 9;
  Status status = check(bytes);
  EXPECT_EQ(status.code(), Code::Version);
  for (const char *text : {"version 9", "version 1", "leat compile"})
    EXPECT_NE(status.message().find(text), std::string::npos) << status.message();
  status = check(tinyBytes([](fb::ManifestT &m) { m.kernel_abi = 77; }));
  EXPECT_EQ(status.code(), Code::Version);
  std::string ours = "ABI " + std::to_string(LEAT_KERNEL_ABI);
  for (const char *text : {"ABI 77", ours.c_str(), "hand-made", "leat compile"})
    EXPECT_NE(status.message().find(text), std::string::npos) << status.message();
}

// A sound manifest with device code: the first kernel has an entry, the others run on the host.
static fb::ManifestT *withDevice(fb::ManifestT &m) {
  m.device = std::make_unique<fb::DeviceT>();
  m.device->api = "cuda";
  m.device->gpu = "sm_80";
  m.device->modules.push_back(std::make_unique<fb::DeviceModuleT>());
  for (auto &kernel : m.kernels) {
    kernel->kind = "host";
    kernel->buffers = 5;
  }
  m.kernels[0]->kind = "generic";
  m.kernels[0]->device_module = 0;
  m.kernels[0]->entries.push_back(std::make_unique<fb::EntryT>());
  m.kernels[0]->entries[0]->symbol = "leat_axpy";
  return &m;
}

TEST(Artifact, DeviceCodeThatIsSound) {
  EXPECT_TRUE(check(tinyBytes([](fb::ManifestT &m) { withDevice(m); })).ok());
}

/// The tiny model's cache as a pool of pages.
static void asPool(fb::ManifestT &m) {
  m.states[0]->dims = {-1, 2, 16, 4};
  m.states[0]->axis = 2, m.states[0]->batch_axis = -1, m.states[0]->page = 16;
}

TEST(Artifact, ManifestsThatLie) {
  struct Case {
    const char *what;
    std::function<void(fb::ManifestT &)> change;
  };
  const Case cases[] = {
      {"two of one name", [](fb::ManifestT &m) { m.functions[1]->name = "main"; }},
      {"no symbol", [](fb::ManifestT &m) { m.functions[1]->symbol = "a b"; }},
      {"of kind 'init'", [](fb::ManifestT &m) { m.functions[1]->kind = "init"; }},
      {"absurd number", [](fb::ManifestT &m) { m.functions[1]->slots = -1; }},
      {"absurd number", [](fb::ManifestT &m) { m.functions[1]->slots = 1 << 30; }},
      {"more than 8",
       [](fb::ManifestT &m) {
         for (int i = 0; i < 8; ++i)
           m.functions[0]->inputs[0]->dims.push_back(std::make_unique<fb::DimT>());
       }},
      {"element type", [](fb::ManifestT &m) { m.functions[0]->inputs[0]->dtype = 8; }},
      {"element type", [](fb::ManifestT &m) { m.functions[0]->inputs[0]->dtype = -5; }},
      {"negative", [](fb::ManifestT &m) { m.functions[0]->inputs[0]->dims[0]->value = -2; }},
      {"two inputs", [](fb::ManifestT &m) { m.functions[0]->inputs[1]->name = "x"; }},
      {"two outputs", [](fb::ManifestT &m) { m.functions[0]->outputs[1]->name = ""; }},
      {"outside the weights", [](fb::ManifestT &m) { m.params[1]->offset = 128; }},
      {"outside the weights", [](fb::ManifestT &m) { m.params[1]->length = ~uint64_t(0); }},
      {"aligned", [](fb::ManifestT &m) { m.params[1]->offset = 60; }},
      {"shorter", [](fb::ManifestT &m) { m.params[1]->dims = {2}; }},
      {"absurd shape", [](fb::ManifestT &m) { m.params[1]->dims = {int64_t(1) << 40, int64_t(1) << 40}; }},
      {"negative", [](fb::ManifestT &m) { m.params[1]->dims = {-1}; }},
      {"more than 8", [](fb::ManifestT &m) { m.params[1]->dims.assign(9, 1); }},
      {"axis", [](fb::ManifestT &m) { m.states[0]->axis = 2; }},
      {"axis", [](fb::ManifestT &m) { m.states[0]->batch_axis = 1; }},
      {"grows but", [](fb::ManifestT &m) { m.states[0]->axis = -1; }},
      {"nobody decides", [](fb::ManifestT &m) { m.states[0]->batch_axis = -1; }},
      {"counter", [](fb::ManifestT &m) { m.states[1]->dtype = 1; }},
      {"growth", [](fb::ManifestT &m) { m.states[0]->growth = static_cast<fb::Growth>(9); }},
      {"need one table", [](fb::ManifestT &m) { asPool(m); }},
      {"of an absurd size", [](fb::ManifestT &m) { asPool(m), m.states[0]->page = 24; }},
      {"of another shape than", [](fb::ManifestT &m) { asPool(m), m.states[0]->dims.pop_back(); }},
      {"no i32 [batch, pages]", [](fb::ManifestT &m) { m.states[0]->growth = fb::Growth::Table, m.states[0]->page = 16; }},
      {"ring", [](fb::ManifestT &m) { m.states[0]->growth = fb::Growth::Ring; }},
      {"ring", [](fb::ManifestT &m) { m.states[0]->ring = int64_t(1) << 60; }},
      {"there is none", [](fb::ManifestT &m) { m.functions.clear(); }},
      {"outside of it", [](fb::ManifestT &m) { withDevice(m)->device->modules[0]->ptx_length = 1; }},
      {"outside of it", [](fb::ManifestT &m) { withDevice(m)->device->modules[0]->cubin_offset = ~uint64_t(0); }},
      {"for 'metal'", [](fb::ManifestT &m) { withDevice(m)->device->api = "metal"; }},
      {"does not exist", [](fb::ManifestT &m) { withDevice(m)->kernels[0]->device_module = 1; }},
      {"does not exist", [](fb::ManifestT &m) { withDevice(m)->kernels[0]->device_module = -1; }},
      {"of phases", [](fb::ManifestT &m) { withDevice(m)->kernels[0]->entries.clear(); }},
      {"no symbol", [](fb::ManifestT &m) { withDevice(m)->kernels[0]->entries[0]->symbol = "a b"; }},
      {"of arguments", [](fb::ManifestT &m) { withDevice(m)->kernels[0]->buffers = 1; }},
      {"of arguments", [](fb::ManifestT &m) { withDevice(m)->kernels[1]->buffers = 0; }},
      {"of arguments", [](fb::ManifestT &m) { withDevice(m)->kernels[0]->scalars = 1 << 20; }},
      {"does not have", [](fb::ManifestT &m) { withDevice(m)->kernels[1]->device_module = 0; }},
      {"for a library", [](fb::ManifestT &m) { withDevice(m)->kernels[1]->gemm = "f16 x f16 -> f16"; }},
      {"for a library", [](fb::ManifestT &m) { withDevice(m)->kernels[1]->cublaslt = true; }},
      {"no kind", [](fb::ManifestT &m) { withDevice(m)->kernels[2]->kind = ""; }},
      {"of kind 'magic'", [](fb::ManifestT &m) { withDevice(m)->kernels[2]->kind = "magic"; }},
  };
  for (const Case &test : cases) {
    Status status = check(tinyBytes(test.change));
    EXPECT_FALSE(status.ok()) << test.what;
    EXPECT_NE(status.message().find(test.what), std::string::npos) << status.message();
  }
}

TEST(Artifact, OtherFiles) {
  EXPECT_NE(check(std::vector<uint8_t>(100, 'x')).message().find("not a Leat artifact"), std::string::npos);
  std::vector<uint8_t> state = tinyBytes();
  std::memcpy(state.data(), stateMagic, 8);
  EXPECT_NE(check(state).message().find("saved state"), std::string::npos);
}

TEST(Artifact, CodeIsCheckedBeforeItIsMapped) {
  TemporaryFile file(".leat");
  auto load = [&] {
    auto artifact = Artifact::open(file.path);
    EXPECT_TRUE(artifact.ok());
    return LoadedCode::load(**artifact).takeStatus();
  };
  writeTiny(file.path);
  EXPECT_TRUE(load().ok());
  writeTiny(file.path, [](fb::ManifestT &m) { m.functions[0]->symbol = "leat_absent"; });
  EXPECT_NE(load().message().find("leat_absent"), std::string::npos);
  writeTiny(file.path, [](fb::ManifestT &m) { m.features = {"+sse2", "no-such-feature"}; });
  EXPECT_NE(load().message().find("no-such-feature"), std::string::npos);
  writeTiny(file.path, {}, std::vector<uint8_t>(100, 'x'));
  EXPECT_NE(load().message().find("shared object"), std::string::npos);
  std::vector<uint8_t> code = readAll(TINY_MODEL), foreign = code, outside = code;
  foreign[18] = 0xf3; // RISC-V
  foreign[19] = 0;
  writeTiny(file.path, {}, foreign);
  EXPECT_NE(load().message().find("another kind of machine"), std::string::npos);
  outside.resize(1000);
  writeTiny(file.path, {}, outside);
  EXPECT_NE(load().message().find("outside"), std::string::npos);
}

#if defined(__x86_64__)
TEST(CpuFeatures, AgreesWithTheCompiler) {
  auto has = [](const char *name) {
    std::string list[] = {name};
    return checkCpuFeatures(list).ok();
  };
  EXPECT_TRUE(has("sse2"));
  EXPECT_TRUE(has("-avx512f"));
  EXPECT_EQ(has("avx2"), bool(__builtin_cpu_supports("avx2")));
  EXPECT_EQ(has("fma"), bool(__builtin_cpu_supports("fma")));
  EXPECT_EQ(has("bmi2"), bool(__builtin_cpu_supports("bmi2")));
  EXPECT_EQ(has("avx512f"), bool(__builtin_cpu_supports("avx512f")));
  EXPECT_EQ(has("avx512vnni"), bool(__builtin_cpu_supports("avx512vnni")));
  EXPECT_EQ(has("avx512bf16"), bool(__builtin_cpu_supports("avx512bf16")));
  EXPECT_EQ(has("+amx-tile"), false || has("amx-tile"));
}
#endif
