// The whole of a tokenizer: special tokens first, then normalizer, pre-tokenizer and BPE; and the way back.
#include "runtime/text/Tokenizer.h"
#include "runtime/core/File.h"
#include "runtime/text/Parts.h"
#include "runtime/text/Unicode.h"

#include <algorithm>
#include <cstdlib>

namespace leat::rt {

namespace {
struct AddedToken {
  std::string content;
  int64_t id;
  bool special, leftStrip, rightStrip, normalized;
};

// How tokens become bytes again.
struct DecoderPlan {
  bool byteLevel = false, byteFallback = false;
  std::vector<std::pair<std::string, std::string>> replace;
  std::string strip; // leading text removed once, at the start
};

constexpr size_t kMaxFile = size_t(1) << 28; // the largest vocabularies in use take some 30 MB

bool isSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
} // namespace

struct Tokenizer::Data {
  Normalizer normalize;
  PreTokenizer cut;
  Bpe bpe;
  DecoderPlan decoder;
  std::vector<AddedToken> added;        // longest first
  std::vector<const AddedToken *> byId; // null for tokens of the model
  std::vector<int64_t> prefix, suffix;  // what the post-processor adds
};

Tokenizer::Tokenizer(std::unique_ptr<Data> data) : data(std::move(data)) {}
Tokenizer::Tokenizer(Tokenizer &&) = default;
Tokenizer &Tokenizer::operator=(Tokenizer &&) = default;
Tokenizer::~Tokenizer() = default;

static Status readDecoder(const Json &section, DecoderPlan &plan) {
  if (section.is_null())
    return {};
  std::string type = textOf(section, "type");
  if (type == "Sequence") {
    for (auto &part : memberOf(section, "decoders"))
      LEAT_RETURN_IF_ERROR(readDecoder(part, plan));
  } else if (type == "ByteLevel") {
    plan.byteLevel = true;
  } else if (type == "ByteFallback") {
    plan.byteFallback = true;
  } else if (type == "Replace" && !textOf(memberOf(section, "pattern"), "String").empty()) {
    plan.replace.push_back({textOf(memberOf(section, "pattern"), "String"), textOf(section, "content")});
  } else if (type == "Metaspace") {
    plan.replace.push_back({textOf(section, "replacement", "\xE2\x96\x81"), " "});
    plan.strip = " ";
  } else if (type == "Strip") {
    if (numberOf(section, "start", 0) > 0)
      plan.strip = textOf(section, "content", " ");
  } else if (type != "Fuse") {
    return error(Code::Unsupported, "tokenizer: decoder '%s' is not supported", printable(type).c_str());
  }
  return {};
}

Result<Tokenizer> Tokenizer::load(const std::string &path) {
  auto bytes = readFile(path, kMaxFile);
  if (!bytes)
    return bytes.takeStatus();
  auto tokenizer = parse(std::string_view(reinterpret_cast<const char *>(bytes->data()), bytes->size()));
  if (!tokenizer)
    return tokenizer.takeStatus().withContext(path);
  return tokenizer;
}

Result<Tokenizer> Tokenizer::parse(std::string_view text) {
  Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded() || !json.is_object())
    return error(Code::BadFile, "tokenizer: not a JSON object");
  auto section = [&](const char *name) { return json.contains(name) ? json[name] : Json(); };
  Json model = section("model");
  std::string type = model.is_object() ? textOf(model, "type", memberOf(model, "merges").is_array() ? "BPE" : "") : "";
  if (type != "BPE")
    return error(Code::Unsupported, "tokenizer: model '%s' is not supported; BPE is", printable(type).c_str());
  auto data = std::make_unique<Data>();
  auto bpe = Bpe::read(model);
  if (!bpe)
    return bpe.takeStatus();
  data->bpe = std::move(*bpe);
  auto normalize = readNormalizer(section("normalizer"));
  if (!normalize)
    return normalize.takeStatus();
  data->normalize = std::move(*normalize);
  auto cut = readPreTokenizer(section("pre_tokenizer"));
  if (!cut)
    return cut.takeStatus();
  data->cut = std::move(*cut);
  if (Status s = readDecoder(section("decoder"), data->decoder); !s.ok())
    return s;

  size_t size = data->bpe.tokens().size();
  for (auto &token : section("added_tokens")) {
    int64_t id = numberOf(token, "id", -1);
    std::string content = textOf(token, "content");
    if (id < 0 || id >= (int64_t(1) << 24) || content.empty())
      return error(Code::BadFile, "tokenizer: added token '%s' has no valid id", printable(content).c_str());
    data->added.push_back({content, id, flagOf(token, "special", false), flagOf(token, "lstrip", false), flagOf(token, "rstrip", false),
                           flagOf(token, "normalized", true)});
    size = std::max(size, static_cast<size_t>(id) + 1);
  }
  std::stable_sort(data->added.begin(), data->added.end(), [](auto &a, auto &b) { return a.content.size() > b.content.size(); });
  data->byId.resize(size, nullptr);
  for (auto &token : data->added)
    data->byId[token.id] = &token;

  // A template puts special tokens before and after the one sequence.
  std::function<void(const Json &)> post = [&](const Json &p) {
    if (textOf(p, "type") == "Sequence")
      for (auto &part : memberOf(p, "processors"))
        post(part);
    if (textOf(p, "type") != "TemplateProcessing")
      return;
    bool after = false;
    for (auto &item : memberOf(p, "single")) {
      if (!memberOf(item, "Sequence").is_null()) {
        after = true;
      } else {
        std::string name = textOf(memberOf(item, "SpecialToken"), "id");
        for (auto &token : data->added)
          if (token.content == name)
            (after ? data->suffix : data->prefix).push_back(token.id);
      }
    }
  };
  post(section("post_processor"));
  return Tokenizer(std::move(data));
}

std::vector<int64_t> Tokenizer::encode(std::string_view input, bool special) const {
  std::string text = validUtf8(input);
  std::vector<int64_t> ids;
  if (special)
    ids = data->prefix;
  auto plain = [&](std::string_view part) {
    if (part.empty())
      return;
    std::vector<std::string> pieces{data->normalize(std::string(part))};
    data->cut(pieces);
    for (auto &piece : pieces)
      data->bpe.encode(piece, ids);
  };
  // The first characters of added tokens, so that most positions are passed by quickly.
  bool starts[256] = {};
  for (auto &token : data->added)
    starts[static_cast<unsigned char>(token.content[0])] = true;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const AddedToken *hit = nullptr;
    if (starts[static_cast<unsigned char>(text[at])])
      for (auto &token : data->added)
        if (text.compare(at, token.content.size(), token.content) == 0) {
          hit = &token;
          break;
        }
    if (!hit) {
      ++at;
      continue;
    }
    size_t end = at;
    if (hit->leftStrip)
      while (end > begin && isSpace(text[end - 1]))
        --end;
    plain(std::string_view(text).substr(begin, end - begin));
    ids.push_back(hit->id);
    at += hit->content.size();
    if (hit->rightStrip)
      while (at < text.size() && isSpace(text[at]))
        ++at;
    begin = at;
  }
  plain(std::string_view(text).substr(begin));
  if (special)
    ids.insert(ids.end(), data->suffix.begin(), data->suffix.end());
  return ids;
}

std::string Tokenizer::bytesOf(int64_t id, bool first) const {
  if (id < 0 || id >= size())
    return "";
  if (const AddedToken *token = data->byId[id])
    return token->content;
  const std::string &token = data->bpe.tokens()[id];
  const DecoderPlan &plan = data->decoder;
  std::string out;
  if (plan.byteLevel) {
    for (size_t i = 0, n; i < token.size(); i += n) {
      uint32_t c = decodeUtf8(token, i, n);
      int b = byteLevelByte(c);
      if (b >= 0)
        out += static_cast<char>(b);
      else
        out.append(token, i, n);
    }
    return out;
  }
  if (plan.byteFallback && token.size() == 6 && token.compare(0, 3, "<0x") == 0 && token[5] == '>')
    return std::string(1, static_cast<char>(strtol(token.substr(3, 2).c_str(), nullptr, 16)));
  out = token;
  for (auto &[from, to] : plan.replace)
    for (size_t at = 0; (at = out.find(from, at)) != std::string::npos; at += to.size())
      out.replace(at, from.size(), to);
  if (first && !plan.strip.empty() && out.compare(0, plan.strip.size(), plan.strip) == 0)
    out.erase(0, plan.strip.size());
  return out;
}

std::string Tokenizer::decode(const std::vector<int64_t> &ids, bool keepSpecial) const {
  std::string bytes;
  bool first = true;
  for (int64_t id : ids) {
    if (isSpecial(id) && !keepSpecial)
      continue;
    bytes += bytesOf(id, first);
    first = false;
  }
  return validUtf8(bytes);
}

int64_t Tokenizer::idOf(std::string_view token) const {
  for (auto &added : data->added)
    if (added.content == token)
      return added.id;
  return data->bpe.idOf(token);
}

bool Tokenizer::isSpecial(int64_t id) const { return id >= 0 && id < size() && data->byId[id] && data->byId[id]->special; }

int64_t Tokenizer::size() const { return static_cast<int64_t>(data->byId.size()); }

std::string Tokenizer::Stream::next(int64_t id) {
  if (tokenizer.isSpecial(id))
    return "";
  pending += tokenizer.bytesOf(id, first);
  first = false;
  size_t n = completeUtf8(pending);
  std::string out = validUtf8(std::string_view(pending).substr(0, n));
  pending.erase(0, n);
  return out;
}

std::string Tokenizer::Stream::finish() {
  std::string out = validUtf8(pending);
  pending.clear();
  return out;
}

} // namespace leat::rt
