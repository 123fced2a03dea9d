// The state slots of a session: allocated once for a batch and a capacity, never moved, saved and restored as a whole. Slots in pages grow
// page by page instead. Where kernels run on a device slots are in its memory, but for counters, which the host reads and writes.
#ifndef LEAT_RUNTIME_STATE_STATESET_H
#define LEAT_RUNTIME_STATE_STATESET_H

#include "leat/KernelABI.h"
#include "runtime/artifact/Container.h"
#include "runtime/artifact/Manifest.h"
#include "runtime/core/Memory.h"
#include "runtime/device/Device.h"
#include "runtime/state/PagePool.h"

#include <string>
#include <vector>

namespace leat::rt {

class StateSet {
public:
  // Zeroed slots for `batch` rows and, where a slot grows without bound, `capacity` entries. `infos` must outlive the set, and so must
  // `device` and `queue` if they are given.
  static Result<StateSet> create(const std::vector<StateInfo> &infos, int64_t batch, int64_t capacity, Device *device = nullptr,
                                 Queue *queue = nullptr);

  LeatState *data() { return states.data(); }
  size_t size() const { return states.size(); }
  const LeatState &operator[](size_t index) const { return states[index]; }
  const StateInfo &info(size_t index) const { return (*infos)[index]; }

  // The next run reports what goes wrong on a device.
  void reset();
  // Bytes held, live or not: constant for the life of the set but for slots in pages, of which the pages in use count (on a device all).
  int64_t bytes() const;
  // Each row has the pages that a stream of `tokens` needs.
  Status reserve(int64_t tokens);
  // Pages that rows have asked for since the set was made.
  int64_t pagesTaken() const { return pool.taken(); }
  // Tokens seen since the last reset: what the counters say.
  int64_t tokens() const;
  // How many more tokens fit; INT64_MAX when nothing bounds the stream.
  int64_t remaining() const;
  // The stream is at `tokens` then, with the entries that it has over and over: what a long past costs can be measured without living
  // through it. False, and nothing has changed, where a slot does not tell what that would be: a ring, or state of a fixed size.
  Result<bool> extend(int64_t tokens);
  // The live content becomes `other`'s. Both must come from the same model and batch; capacities may differ if the content fits.
  Status copyFrom(const StateSet &other);

  // The container of artifacts, with `hash` as the model's name. Loading checks every number before it changes anything.
  // `position`: what a generator adds, in a section of its own.
  Status save(const std::string &path, uint64_t hash, int64_t batch, std::span<const uint8_t> position = {}) const;
  Status load(const std::string &path, uint64_t hash, int64_t batch);
  Status load(std::span<const uint8_t> file, uint64_t hash, int64_t batch, const ContainerChecks &checks = {});

private:
  friend class StateRewind;
  // Entries along the growing axis that hold something; for slots without one, everything is one entry.
  int64_t live(size_t index) const;
  // Entries that fit along the growing axis.
  int64_t room(size_t index) const;
  // What is live follows from the number of tokens.
  bool isCounted(size_t index) const { return info(index).growth == Growth::Append || info(index).isPool(); }
  // Pages that a row of so many tokens has.
  int64_t pagesFor(int64_t tokens) const;
  // The pool, and its slots and table in it.
  Status createPages(Device *device);
  // Copies the first entries of a pool out of pages, or into them; `content` is [outer][entries][inner].
  Status copyPages(size_t index, int64_t entries, uint8_t *content, bool out) const;
  // A slot seen as [outer][entries][inner bytes].
  void layout(size_t index, int64_t &outer, int64_t &inner) const;
  bool onDevice(size_t index) const { return queue && info(index).growth != Growth::Counter; }
  // Live entries of a slot, [outer][entries][inner], out of it and into it.
  Status gather(size_t index, int64_t entries, uint8_t *to) const;
  Status scatter(size_t index, int64_t entries, const uint8_t *from);

  const std::vector<StateInfo> *infos = nullptr;
  std::vector<LeatState> states;
  std::vector<int64_t> sizes; // bytes of each slot; of those in pages 0
  int64_t batch = 0, capacity = 0;
  Memory memory;             // all slots of the host: one block, so that huge pages waste nothing
  DeviceMemory deviceMemory; // likewise
  PagePool pool;             // of slots in pages
  Queue *queue = nullptr;
};

// The state at one moment, to go back to: so that every measured run starts from the same. What lies behind the live entries of a growing
// cache is not read and stays; everything else is copied.
class StateRewind {
public:
  static Result<StateRewind> take(StateSet &states);
  Status operator()() const;

private:
  explicit StateRewind(StateSet &states) : states(&states) {}
  struct Slot {
    int64_t length, entries; // entries: of a ring in pages
    std::vector<uint8_t> content;
  };
  StateSet *states;
  std::vector<Slot> slots;
};

} // namespace leat::rt

#endif
