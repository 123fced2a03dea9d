// The state reader on foreign bytes, with the checksums ignored. A file that is refused must leave the state as it was.
#include "runtime/state/StateSet.h"

#include <cstdlib>
#include <cstring>

using namespace leat::rt;

// One slot of each kind.
static std::vector<StateInfo> makeInfos() {
  std::vector<StateInfo> infos(4);
  infos[0] = {"append", "", "", DType::F32, {-1, 2, -1, 4}, Growth::Append, 2, 0};
  infos[1] = {"ring", "", "", DType::F16, {-1, 6, 2}, Growth::Ring, 1, 0, 2, 4};
  infos[2] = {"fixed", "", "", DType::U8, {3}, Growth::Fixed};
  infos[3] = {"counter", "", "", DType::I64, {}, Growth::Counter};
  return infos;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const std::vector<StateInfo> infos = makeInfos();
  static StateSet set = std::move(*StateSet::create(infos, 2, 8));
  set.reset();
  ContainerChecks checks;
  checks.crc = false;
  Status status = set.load({data, size}, 0, 2, checks);
  if (!status.ok() && (set.tokens() != 0 || status.message().find('\n') != std::string::npos))
    std::abort();
  if (status.ok() && (set.tokens() < 0 || set.tokens() > 8 || set.remaining() < 0))
    std::abort();
  return 0;
}
