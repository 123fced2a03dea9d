// State slots: shapes resolved for a session, reset, copy, and the state file.
#include "runtime/state/StateSet.h"
#include "runtime/core/File.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace leat::rt {

namespace {

// The state table's bytes. Data of a slot: its live entries, [outer][live][inner].
struct TableHeader {
  uint64_t hash;
  int64_t batch;
  uint64_t count;
};
struct TableEntry {
  int64_t length, live;
  int64_t rank, dims[maxRank];
  uint64_t offset, bytes;
};

constexpr int64_t slotAlignment = 64; // and as much room behind every slot: see Memory.h

// The session decides how many entries fit.
bool growsFreely(const StateInfo &info) {
  return info.growth == Growth::Append && info.axis >= 0 && (info.isPool() || info.dims[info.axis] < 0);
}

// A dimension that is the session's and not the model's.
bool isOfSession(const StateInfo &info, int dim) {
  return info.growth == Growth::Table ? dim == info.axis : info.isPool() ? dim == 0 : growsFreely(info) && dim == info.axis;
}

} // namespace

/// Entries of a slot that the session decides on: all that a ring has places for, or the context.
static int64_t entriesOf(const StateInfo &info, int64_t capacity) { return info.growth == Growth::Ring ? info.sink + info.ring : capacity; }

/// Bytes that a slot has of a page.
static int64_t bytesOfPage(const StateInfo &info) {
  int64_t bytes;
  if (!byteSize(info.dims.dims + 1, info.dims.rank - 1, dtypeSize(info.dtype), bytes) || bytes > INT32_MAX)
    return -1;
  return (bytes + slotAlignment - 1) & ~(slotAlignment - 1);
}

Status StateSet::createPages(Device *device) {
  int64_t pageBytes = 0, perRow = 0;
  for (const StateInfo &info : *infos)
    if (info.isPool()) {
      int64_t bytes = bytesOfPage(info);
      if (bytes < 0 || __builtin_add_overflow(pageBytes, bytes, &pageBytes))
        return error(Code::BadFile, "state '%s' has pages of an absurd size", printable(info.name).c_str());
      perRow = std::max(perRow, (entriesOf(info, capacity) + info.page - 1) / info.page);
    }
  if (pageBytes == 0)
    return {};
  Result<PagePool> made = PagePool::create(batch, perRow, pageBytes, device, queue);
  if (!made.ok())
    return made.takeStatus();
  pool = std::move(*made);
  int64_t offset = 0;
  for (size_t i = 0; i < states.size(); ++i) {
    LeatState &state = states[i];
    if (info(i).growth == Growth::Table) {
      state.data = pool.table();
      state.dims[0] = batch, state.dims[1] = state.capacity = perRow;
    } else if (info(i).isPool()) {
      state.data = static_cast<uint8_t *>(pool.data()) + offset;
      state.dims[0] = batch * perRow;
      state.capacity = pageBytes / slotAlignment;
      offset += bytesOfPage(info(i));
    }
  }
  return {};
}

Result<StateSet> StateSet::create(const std::vector<StateInfo> &infos, int64_t batch, int64_t capacity, Device *device, Queue *queue) {
  if (batch < 1)
    return error(Code::InvalidArgument, "a session needs a batch of at least 1, given %lld", (long long)batch);
  StateSet set;
  set.infos = &infos;
  set.queue = queue;
  set.batch = batch;
  set.capacity = capacity;
  int64_t totals[2] = {0, 0}; // of the host and of the device
  std::vector<int64_t> offsets;
  for (const StateInfo &info : infos) {
    int64_t &total = totals[set.onDevice(offsets.size())];
    LeatState state = {};
    std::copy(info.dims.dims, info.dims.dims + info.dims.rank, state.dims);
    int64_t bytes = 0;
    if (info.page == 0) {
      if (info.batchAxis >= 0 && state.dims[info.batchAxis] < 0)
        state.dims[info.batchAxis] = batch;
      if (info.axis >= 0 && state.dims[info.axis] < 0)
        state.dims[info.axis] = entriesOf(info, capacity);
      state.capacity = info.axis >= 0 ? state.dims[info.axis] : 0;
      if (!byteSize(state.dims, info.dims.rank, dtypeSize(info.dtype), bytes))
        return error(Code::InvalidArgument, "a context of %lld with a batch of %lld is not possible for state '%s'", (long long)capacity,
                     (long long)batch, printable(info.name).c_str());
    }
    offsets.push_back(total);
    if (__builtin_add_overflow(total, (bytes + slotAlignment + 63) & ~(slotAlignment - 1), &total))
      total = INT64_MAX;
    set.states.push_back(state);
    set.sizes.push_back(bytes);
  }
  if (!set.memory.allocate(totals[0]))
    return error(Code::Capacity, "out of memory for %lld bytes of state: ask for a smaller context or batch", (long long)totals[0]);
  if (queue) {
    if (Status status = set.deviceMemory.allocate(*device, totals[1], "state"); !status.ok())
      return status;
    if (Status status = queue->zero(set.deviceMemory.data(), totals[1]); !status.ok())
      return status;
  }
  for (size_t i = 0; i < infos.size(); ++i)
    set.states[i].data = static_cast<uint8_t *>(set.onDevice(i) ? set.deviceMemory.data() : set.memory.data()) + offsets[i];
  if (Status status = set.createPages(device); !status.ok())
    return status;
  return set;
}

void StateSet::reset() {
  memory.zero();
  if (queue)
    (void)queue->zero(deviceMemory.data(), deviceMemory.bytes());
  pool.reset();
  for (LeatState &state : states)
    state.length = 0;
}

int64_t StateSet::bytes() const { return std::accumulate(sizes.begin(), sizes.end(), pool.bytes()); }

int64_t StateSet::room(size_t index) const { return info(index).isPool() ? entriesOf(info(index), capacity) : states[index].capacity; }

Status StateSet::reserve(int64_t tokens) {
  for (size_t i = 0; i < states.size(); ++i)
    if (info(i).isPool() && info(i).growth == Growth::Append && tokens > capacity)
      return error(Code::Failed,
                   "cache overflow: the stream has %lld tokens, the session has room for %lld; create the session with a larger context or "
                   "compile with --kv=sink(4)+recent(N)",
                   (long long)tokens, (long long)capacity);
  for (int64_t row = 0, pages = pagesFor(tokens); row < pool.rows(); ++row)
    LEAT_RETURN_IF_ERROR(pool.reserve(row, pages));
  return {};
}

int64_t StateSet::pagesFor(int64_t tokens) const {
  int64_t most = 0;
  for (size_t i = 0; i < states.size(); ++i)
    if (info(i).isPool())
      most = std::max(most, (std::min(tokens, room(i)) + info(i).page - 1) / info(i).page);
  return most;
}

int64_t StateSet::tokens() const {
  int64_t most = 0;
  for (size_t i = 0; i < states.size(); ++i) {
    if (info(i).growth == Growth::Counter)
      for (int64_t n = 0; n < sizes[i] / 8; ++n)
        most = std::max(most, static_cast<const int64_t *>(states[i].data)[n]);
    else if (info(i).growth == Growth::Append)
      most = std::max(most, states[i].length);
  }
  return most;
}

int64_t StateSet::remaining() const {
  int64_t least = INT64_MAX, seen = tokens();
  for (size_t i = 0; i < states.size(); ++i)
    if (info(i).growth == Growth::Append)
      least = std::min(least, std::max<int64_t>(0, room(i) - seen));
  return least;
}

int64_t StateSet::live(size_t index) const {
  if (info(index).growth == Growth::Table) // says only where others are
    return 0;
  if (info(index).axis < 0)
    return 1;
  if (!isCounted(index))
    return states[index].capacity;
  return std::clamp<int64_t>(std::max(states[index].length, tokens()), 0, room(index));
}

void StateSet::layout(size_t index, int64_t &outer, int64_t &inner) const {
  const StateInfo &slot = info(index);
  outer = slot.isPool() ? batch * slot.dims[1] : 1;
  inner = dtypeSize(slot.dtype);
  if (slot.isPool()) {
    inner *= slot.dims[3];
    return;
  }
  for (int i = 0; i < slot.dims.rank; ++i)
    if (slot.axis < 0 || i > slot.axis)
      inner *= states[index].dims[i];
    else if (i < slot.axis)
      outer *= states[index].dims[i];
}

Status StateSet::copyPages(size_t index, int64_t entries, uint8_t *content, bool out) const {
  const StateInfo &slot = info(index);
  int64_t outer, inner, heads = slot.dims[1], offset = static_cast<uint8_t *>(states[index].data) - static_cast<uint8_t *>(pool.data());
  layout(index, outer, inner);
  std::vector<uint8_t> block(static_cast<size_t>(onDevice(index) ? heads * slot.page * inner : 0));
  for (int64_t row = 0; row < batch; ++row)
    for (int64_t first = 0; first < entries; first += slot.page) {
      uint8_t *page = pool.page(row, first / slot.page) + offset, *at = onDevice(index) ? block.data() : page;
      // The rest of the last page stays as it is, so it is brought, too.
      if (onDevice(index))
        LEAT_RETURN_IF_ERROR(queue->copyOut(at, page, static_cast<int64_t>(block.size())));
      int64_t bytes = std::min(slot.page, entries - first) * inner;
      for (int64_t head = 0; head < heads; ++head) {
        uint8_t *inPage = at + head * slot.page * inner, *outside = content + ((row * heads + head) * entries + first) * inner;
        std::memcpy(out ? outside : inPage, out ? inPage : outside, static_cast<size_t>(bytes));
      }
      if (onDevice(index) && !out)
        LEAT_RETURN_IF_ERROR(queue->copyIn(page, at, static_cast<int64_t>(block.size())));
    }
  return {};
}

Status StateSet::gather(size_t index, int64_t entries, uint8_t *to) const {
  if (info(index).isPool())
    return copyPages(index, entries, to, /*out=*/true);
  int64_t outer, inner;
  layout(index, outer, inner);
  int64_t stride = std::max<int64_t>(1, states[index].capacity) * inner, piece = entries * inner;
  auto from = static_cast<const uint8_t *>(states[index].data);
  std::vector<uint8_t> whole;
  if (onDevice(index) && piece > 0) {
    whole.resize(static_cast<size_t>(outer * stride));
    LEAT_RETURN_IF_ERROR(queue->copyOut(whole.data(), from, outer * stride));
    from = whole.data();
  }
  for (int64_t o = 0; o < outer && piece > 0; ++o)
    std::memcpy(to + o * piece, from + o * stride, static_cast<size_t>(piece));
  return {};
}

Status StateSet::scatter(size_t index, int64_t entries, const uint8_t *from) {
  if (info(index).isPool()) {
    for (int64_t row = 0; row < batch; ++row)
      LEAT_RETURN_IF_ERROR(pool.reserve(row, (entries + info(index).page - 1) / info(index).page));
    return copyPages(index, entries, const_cast<uint8_t *>(from), /*out=*/false);
  }
  int64_t outer, inner;
  layout(index, outer, inner);
  int64_t stride = std::max<int64_t>(1, states[index].capacity) * inner, piece = entries * inner;
  for (int64_t o = 0; o < outer && piece > 0; ++o) {
    uint8_t *to = static_cast<uint8_t *>(states[index].data) + o * stride;
    if (onDevice(index))
      LEAT_RETURN_IF_ERROR(queue->copyIn(to, from + o * piece, piece));
    else
      std::memcpy(to, from + o * piece, static_cast<size_t>(piece));
  }
  return {};
}

Result<bool> StateSet::extend(int64_t tokens) {
  int64_t seen = this->tokens();
  for (size_t i = 0; i < states.size(); ++i)
    if (info(i).growth != Growth::Counter && info(i).growth != Growth::Table &&
        (info(i).growth != Growth::Append || info(i).axis < 0 || tokens > room(i)))
      return false;
  if (seen == 0 || tokens < seen)
    return false;
  for (size_t i = 0; i < states.size(); ++i) {
    if (info(i).growth == Growth::Counter) {
      for (int64_t n = 0; n < sizes[i] / 8; ++n)
        static_cast<int64_t *>(states[i].data)[n] += tokens - seen;
      continue;
    }
    if (info(i).growth == Growth::Table)
      continue;
    int64_t outer, inner;
    layout(i, outer, inner);
    std::vector<uint8_t> entries(outer * seen * inner), extended(outer * tokens * inner);
    LEAT_RETURN_IF_ERROR(gather(i, seen, entries.data()));
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t at = 0; at < tokens; at += seen)
        std::memcpy(&extended[(o * tokens + at) * inner], &entries[o * seen * inner], std::min(seen, tokens - at) * inner);
    LEAT_RETURN_IF_ERROR(scatter(i, tokens, extended.data()));
    if (states[i].length > 0)
      states[i].length += tokens - seen;
  }
  return true;
}

static Status noRoom(int64_t tokens, int64_t room) {
  return error(Code::Capacity, "the state holds %lld tokens, the session has room for %lld: make the session with a larger context",
               (long long)tokens, (long long)room);
}

Status StateSet::copyFrom(const StateSet &other) {
  for (size_t i = 0; i < states.size(); ++i)
    if (other.live(i) > std::max<int64_t>(1, room(i)))
      return noRoom(other.live(i), room(i));
  reset();
  std::vector<uint8_t> content;
  for (size_t i = 0; i < states.size(); ++i) {
    int64_t outer, inner, entries = other.live(i);
    layout(i, outer, inner);
    content.resize(static_cast<size_t>(outer * entries * inner));
    LEAT_RETURN_IF_ERROR(other.gather(i, entries, content.data()));
    LEAT_RETURN_IF_ERROR(scatter(i, entries, content.data()));
    states[i].length = other.states[i].length;
  }
  return {};
}

Status StateSet::save(const std::string &path, uint64_t hash, int64_t batch, std::span<const uint8_t> position) const {
  TableHeader header = {hash, batch, states.size()};
  std::vector<uint8_t> table(sizeof(header)), data;
  std::memcpy(table.data(), &header, sizeof(header));
  for (size_t i = 0; i < states.size(); ++i) {
    int64_t outer, inner;
    layout(i, outer, inner);
    TableEntry entry = {};
    entry.length = states[i].length;
    entry.live = live(i);
    entry.rank = info(i).dims.rank;
    std::copy(states[i].dims, states[i].dims + maxRank, entry.dims);
    entry.offset = data.size();
    entry.bytes = static_cast<uint64_t>(outer * entry.live * inner);
    data.resize(data.size() + entry.bytes);
    LEAT_RETURN_IF_ERROR(gather(i, entry.live, data.data() + entry.offset));
    auto bytes = reinterpret_cast<const uint8_t *>(&entry);
    table.insert(table.end(), bytes, bytes + sizeof(entry));
  }
  std::vector<SectionToWrite> sections = {{SectionKind::StateTable, table}, {SectionKind::StateData, data, 4096}};
  if (!position.empty())
    sections.push_back({SectionKind::StreamPosition, position});
  return writeContainer(path, stateMagic, stateFormat, sections);
}

Status StateSet::load(const std::string &path, uint64_t hash, int64_t batch) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file.ok())
    return file.takeStatus();
  return load({file->data(), file->size()}, hash, batch).withContext("'" + printable(path, 400) + "'");
}

Status StateSet::load(std::span<const uint8_t> file, uint64_t hash, int64_t batch, const ContainerChecks &checks) {
  Result<std::vector<Section>> sections = parseContainer(file, stateMagic, stateFormat, "state file", checks);
  if (!sections.ok())
    return sections.takeStatus();
  const Section *table = findSection(*sections, SectionKind::StateTable), *data = findSection(*sections, SectionKind::StateData);
  TableHeader header;
  if (!table || !data || table->bytes.size() < sizeof(header))
    return error(Code::BadFile, "the state file is damaged: it has no state table");
  std::memcpy(&header, table->bytes.data(), sizeof(header));
  if (header.hash != hash)
    return error(Code::Version,
                 "the state was saved by another model (state contract %016llx, this model has %016llx): save it again with this one",
                 (unsigned long long)header.hash, (unsigned long long)hash);
  if (header.batch != batch)
    return error(Code::InvalidArgument, "the state was saved with a batch of %lld, the session has %lld", (long long)header.batch,
                 (long long)batch);
  if (header.count != states.size() || table->bytes.size() != sizeof(header) + states.size() * sizeof(TableEntry))
    return error(Code::BadFile, "the state file is damaged: it has another number of slots than the model");

  std::vector<TableEntry> entries(states.size());
  for (size_t i = 0; i < states.size(); ++i) {
    TableEntry &entry = entries[i];
    std::memcpy(&entry, table->bytes.data() + sizeof(header) + i * sizeof(entry), sizeof(entry));
    std::string where = printable(info(i).name);
    bool fits = entry.rank == info(i).dims.rank && entry.length >= 0 && entry.live >= 0;
    for (int d = 0; d < info(i).dims.rank && fits; ++d)
      fits = entry.dims[d] == states[i].dims[d] || isOfSession(info(i), d);
    if (!fits)
      return error(Code::BadFile, "the state file is damaged: slot '%s' has another shape than the model's", where.c_str());
    int64_t most = info(i).growth == Growth::Table ? 0 : info(i).axis < 0 ? 1 : room(i);
    if (growsFreely(info(i)) && entry.live > most)
      return noRoom(entry.live, most);
    int64_t outer, inner;
    layout(i, outer, inner);
    bool sound = isCounted(i) ? entry.live <= most && entry.length <= entry.live : entry.live == most;
    if (!sound || entry.bytes != static_cast<uint64_t>(outer * entry.live * inner) || entry.offset > data->bytes.size() ||
        entry.bytes > data->bytes.size() - entry.offset)
      return error(Code::BadFile, "the state file is damaged: slot '%s' has sizes that do not fit", where.c_str());
    // A counter is an index into the slots: what it says must be possible.
    if (info(i).growth == Growth::Counter)
      for (uint64_t n = 0; n + 8 <= entry.bytes; n += 8) {
        int64_t value;
        std::memcpy(&value, data->bytes.data() + entry.offset + n, 8);
        if (value < 0)
          return error(Code::BadFile, "the state file is damaged: counter '%s' is negative", where.c_str());
        for (size_t j = 0; j < states.size(); ++j)
          if (growsFreely(info(j)) && value > room(j))
            return noRoom(value, room(j));
      }
  }

  reset();
  for (size_t i = 0; i < states.size(); ++i) {
    LEAT_RETURN_IF_ERROR(scatter(i, entries[i].live, data->bytes.data() + entries[i].offset));
    states[i].length = entries[i].length;
  }
  return {};
}

Result<StateRewind> StateRewind::take(StateSet &states) {
  StateRewind rewind(states);
  for (size_t i = 0; i < states.size(); ++i) {
    Slot &slot = rewind.slots.emplace_back(Slot{states[i].length, 0, {}});
    if (states.info(i).growth == Growth::Append || states.info(i).growth == Growth::Table)
      continue;
    if (states.info(i).isPool()) {
      int64_t outer, inner, entries = states.live(i);
      states.layout(i, outer, inner);
      slot.content.resize(static_cast<size_t>(outer * entries * inner));
      LEAT_RETURN_IF_ERROR(states.gather(i, entries, slot.content.data()));
      slot.entries = entries;
      continue;
    }
    slot.content.resize(static_cast<size_t>(states.sizes[i]));
    const void *data = states[i].data;
    if (!states.onDevice(i))
      std::memcpy(slot.content.data(), data, slot.content.size());
    else if (!slot.content.empty())
      LEAT_RETURN_IF_ERROR(states.queue->copyOut(slot.content.data(), data, states.sizes[i]));
  }
  return rewind;
}

Status StateRewind::operator()() const {
  for (size_t i = 0; i < slots.size(); ++i) {
    states->states[i].length = slots[i].length;
    if (slots[i].content.empty())
      continue;
    if (states->info(i).isPool())
      LEAT_RETURN_IF_ERROR(states->scatter(i, slots[i].entries, slots[i].content.data()));
    else if (!states->onDevice(i))
      std::memcpy(states->states[i].data, slots[i].content.data(), slots[i].content.size());
    else
      LEAT_RETURN_IF_ERROR(states->queue->copyIn(states->states[i].data, slots[i].content.data(), states->sizes[i]));
  }
  for (int64_t row = 0, pages = states->pagesFor(states->tokens()); row < states->pool.rows(); ++row)
    states->pool.release(row, pages);
  return {};
}

} // namespace leat::rt
