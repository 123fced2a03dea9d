// Byte pair encoding in O(n log n): a heap of candidate merges over a linked list of symbols.
#include "runtime/text/Parts.h"
#include "runtime/text/Unicode.h"

#include <queue>

namespace leat::rt {

static constexpr size_t kMaxTokens = size_t(1) << 24; // more than any vocabulary

static uint64_t pairKey(int64_t left, int64_t right) { return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right); }

Result<Bpe> Bpe::read(const Json &model) {
  Bpe bpe;
  auto flag = [&](const char *name) {
    auto it = model.find(name);
    return it != model.end() && it->is_boolean() && it->get<bool>();
  };
  auto text = [&](const char *name) -> std::string {
    auto it = model.find(name);
    return it != model.end() && it->is_string() ? it->get<std::string>() : "";
  };
  if (!text("continuing_subword_prefix").empty() || !text("end_of_word_suffix").empty())
    return error(Code::Unsupported, "tokenizer: BPE with continuing_subword_prefix or end_of_word_suffix is not supported");
  bpe.byteFallback = flag("byte_fallback"), bpe.fuseUnknown = flag("fuse_unk"), bpe.ignoreMerges = flag("ignore_merges");
  auto vocab = model.find("vocab");
  if (vocab == model.end() || !vocab->is_object())
    return error(Code::BadFile, "tokenizer: model.vocab is missing");
  for (auto &[token, id] : vocab->items()) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= static_cast<int64_t>(kMaxTokens))
      return error(Code::BadFile, "tokenizer: token '%s' has no valid id", printable(token).c_str());
    int64_t i = id.get<int64_t>();
    if (static_cast<size_t>(i) >= bpe.byId.size())
      bpe.byId.resize(i + 1);
    bpe.byId[i] = token;
    bpe.vocabulary.emplace(token, i);
  }
  auto merges = model.find("merges");
  if (merges == model.end() || !merges->is_array())
    return error(Code::BadFile, "tokenizer: model.merges is missing");
  int32_t rank = 0;
  for (auto &merge : *merges) {
    std::string left, right;
    if (merge.is_string()) { // "a b", as older files have it
      std::string both = merge.get<std::string>();
      size_t space = both.find(' ', 1);
      if (space != std::string::npos)
        left = both.substr(0, space), right = both.substr(space + 1);
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      left = merge[0].get<std::string>(), right = merge[1].get<std::string>();
    }
    int64_t l = bpe.idOf(left), r = bpe.idOf(right), both = bpe.idOf(left + right);
    if (l < 0 || r < 0 || both < 0)
      return error(Code::BadFile, "tokenizer: merge %d names tokens that are not in the vocabulary", rank);
    bpe.merges.emplace(pairKey(l, r), Merge{rank++, static_cast<int32_t>(both)});
  }
  if (std::string name = text("unk_token"); !name.empty())
    bpe.unknown = bpe.idOf(name);
  for (int b = 0; b < 256; ++b)
    bpe.bytes[b] = bpe.idOf(formatText("<0x%02X>", b));
  return bpe;
}

int64_t Bpe::idOf(std::string_view token) const {
  auto it = vocabulary.find(std::string(token));
  return it == vocabulary.end() ? -1 : it->second;
}

void Bpe::encode(std::string_view piece, std::vector<int64_t> &ids) const {
  if (ignoreMerges)
    if (int64_t whole = idOf(piece); whole >= 0) {
      ids.push_back(whole);
      return;
    }
  struct Symbol {
    int64_t id;
    int previous, next;
  };
  std::vector<Symbol> symbols;
  auto push = [&](int64_t id) {
    int i = static_cast<int>(symbols.size());
    symbols.push_back({id, i - 1, i + 1});
  };
  bool lastUnknown = false;
  for (size_t i = 0, n; i < piece.size(); i += n) {
    decodeUtf8(piece, i, n);
    std::string_view c = piece.substr(i, n);
    int64_t id = idOf(c);
    bool isUnknown = false;
    if (id < 0 && byteFallback) {
      bool all = true;
      for (char b : c)
        all &= bytes[static_cast<unsigned char>(b)] >= 0;
      if (all) {
        for (char b : c)
          push(bytes[static_cast<unsigned char>(b)]);
        lastUnknown = false;
        continue;
      }
    }
    if (id < 0) {
      if (unknown < 0 || (fuseUnknown && lastUnknown))
        continue;
      id = unknown;
      isUnknown = true;
    }
    push(id);
    lastUnknown = isUnknown;
  }
  if (symbols.empty())
    return;
  symbols.back().next = -1;

  struct Candidate {
    int32_t rank;
    int left;
    int64_t leftId, rightId;
    bool operator<(const Candidate &o) const {
      return rank != o.rank ? rank > o.rank : left > o.left;
    } // lowest rank, then leftmost, on top
  };
  std::priority_queue<Candidate> heap;
  auto consider = [&](int left) {
    if (left < 0 || symbols[left].next < 0)
      return;
    int64_t l = symbols[left].id, r = symbols[symbols[left].next].id;
    auto it = merges.find(pairKey(l, r));
    if (it != merges.end())
      heap.push({it->second.rank, left, l, r});
  };
  for (size_t i = 0; i < symbols.size(); ++i)
    consider(static_cast<int>(i));
  while (!heap.empty()) {
    Candidate c = heap.top();
    heap.pop();
    Symbol &left = symbols[c.left];
    // A symbol that was merged away has id -1; one that changed no longer matches.
    if (left.id != c.leftId || left.next < 0 || symbols[left.next].id != c.rightId)
      continue;
    Symbol &right = symbols[left.next];
    left.id = merges.find(pairKey(c.leftId, c.rightId))->second.result;
    right.id = -1;
    left.next = right.next;
    if (left.next >= 0)
      symbols[left.next].previous = c.left;
    consider(left.previous);
    consider(c.left);
  }
  for (int i = 0; i >= 0; i = symbols[i].next)
    ids.push_back(symbols[i].id);
}

} // namespace leat::rt
