// Parser and verifier of cache policies: the whole grammar is recognised, what is not built is refused by the name of its dimension.
#include "dialects/Leat/Leat.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;

namespace leat {

/// Splits at `separator` outside of parentheses and braces.
static SmallVector<StringRef> splitOutside(StringRef text, char separator) {
  SmallVector<StringRef> parts;
  int depth = 0;
  size_t start = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (text[i] == separator && depth == 0)) {
      parts.push_back(text.slice(start, i).trim());
      start = i + 1;
    } else if (StringRef("([{<").contains(text[i])) {
      ++depth;
    } else if (StringRef(")]}>").contains(text[i])) {
      --depth;
    }
  }
  return parts;
}

/// `name(number)`; false if `term` has another form.
static bool call(StringRef term, StringRef name, StringRef &argument) {
  if (!term.consume_front(name) || !term.consume_front("(") || !term.consume_back(")"))
    return false;
  argument = term.trim();
  return true;
}

static bool parseRetain(StringRef text, KVPolicy &policy, std::string &error) {
  bool all = false, sink = false, recent = false;
  for (StringRef term : splitOutside(text, '+')) {
    StringRef argument;
    int64_t number = 0;
    if (term == "all") {
      all = true;
    } else if (call(term, "sink", argument) || call(term, "recent", argument)) {
      bool isSink = term.starts_with("sink");
      if (argument.getAsInteger(10, number) || number < (isSink ? 0 : 1) || number > (int64_t(1) << 31)) {
        error = ("retain: '" + term + "' needs a whole number of tokens, " + (isSink ? "0" : "1") + " or more").str();
        return false;
      }
      if (isSink ? sink : recent) {
        error = ("retain: '" + term.take_until([](char c) { return c == '('; }) + "' is given twice").str();
        return false;
      }
      (isSink ? sink : recent) = true;
      (isSink ? policy.sink : policy.recent) = number;
    } else if (call(term, "top", argument)) {
      error =
          "retain: 'top(...)' keeps tokens by score (rules D3, L6, L7), which is not built; built are all, recent(R), sink(S)+recent(R)";
      return false;
    } else {
      error = ("retain: '" + term + "' is unknown; built are all, recent(R), sink(S)+recent(R)").str();
      return false;
    }
  }
  if (all && (sink || recent)) {
    error = "retain: 'all' stands alone (rule L11: a token is in one segment)";
    return false;
  }
  if (sink && !recent) {
    error = "retain: 'sink(S)' needs '+recent(R)': without recent tokens a query would see only the first S";
    return false;
  }
  return true;
}

static bool parsePositions(StringRef text, KVPolicy &policy, std::string &error) {
  for (StringRef item : splitOutside(text, ';')) {
    auto [segment, rule] = item.split(':');
    segment = segment.trim(), rule = rule.trim();
    if (rule.starts_with("const(") || rule.starts_with("clamp(")) {
      error = ("pos: '" + rule + "' reads unrotated keys at a fixed distance (rule L2), which is not built; built are abs and rank").str();
      return false;
    }
    if (rule != "abs" && rule != "rank") {
      error = ("pos: '" + item + "' needs the form SEGMENT:RULE with the rules abs and rank").str();
      return false;
    }
    auto position = rule == "abs" ? KVPolicy::Position::Absolute : KVPolicy::Position::Rank;
    if (segment == "far" || segment == "new") {
      error =
          ("pos: segment '" + segment + "' belongs to retrieval policies (dimension D5), which are not built; segments are sink, local, *")
              .str();
      return false;
    }
    if (segment != "sink" && segment != "local" && segment != "*") {
      error = ("pos: segment '" + segment + "' is unknown; segments are sink, local, *").str();
      return false;
    }
    if (segment != "local")
      policy.sinkPosition = position;
    if (segment != "sink")
      policy.localPosition = position;
  }
  return true;
}

static constexpr std::pair<StringLiteral, KVPolicy::Precision> kPrecisions[] = {
    {"f16", KVPolicy::Precision::F16}, {"bf16", KVPolicy::Precision::BF16}, {"f8", KVPolicy::Precision::F8},
    {"i8", KVPolicy::Precision::I8},   {"i4", KVPolicy::Precision::I4},
};

static KVPolicy::Precision precisionNamed(StringRef name) {
  auto it = llvm::find_if(kPrecisions, [&](auto &entry) { return entry.first == name; });
  return it == std::end(kPrecisions) ? KVPolicy::Precision::AsModel : it->second;
}

static bool parsePrecision(StringRef text, KVPolicy &policy, std::string &error) {
  text.consume_front("*:");
  if (text.contains(':') || text.contains(';')) {
    error = "prec: different precisions per segment (dimension D7) are not built; built is one for all";
    return false;
  }
  auto [name, group] = text.split('(');
  policy.precision = precisionNamed(name);
  if (policy.precision == KVPolicy::Precision::AsModel) {
    error = ("prec: '" + text +
             "' (dimension D7) is not built; built are f16, bf16, f8, i8, i4, and i8(g=N) and i4(g=N) with N values to a scale")
                .str();
    return false;
  }
  if (name.size() == text.size())
    return true;
  if (!policy.hasScales() || !group.consume_front("g=") || !group.consume_back(")") || group.getAsInteger(10, policy.group) ||
      policy.group < 1 || policy.group > 4096) {
    error = ("prec: '" + text + "' (dimension D7) needs the form i8(g=N) or i4(g=N) with N from 1 to 4096").str();
    return false;
  }
  return true;
}

static bool parseLayout(StringRef text, KVPolicy &policy, std::string &error) {
  StringRef argument;
  if (text == "ring" || text == "contig") // which of them follows from the retention
    return true;
  if (!text.starts_with("paged")) {
    error = ("layout '" + text + "' (dimension D1) is not built; built are contig, ring and paged(P)").str();
    return false;
  }
  if (!call(text, "paged", argument) || argument.getAsInteger(10, policy.page) || !isPageSize(policy.page)) {
    error = ("layout '" + text + "' (dimension D1) needs the form paged(P) with P entries to a page, a power of two from " +
             Twine(kLeastPage) + " to " + Twine(kLargestPage))
                .str();
    return false;
  }
  return true;
}

std::optional<KVPolicy> KVPolicy::parse(llvm::StringRef text, std::string &error) {
  KVPolicy policy;
  text = text.trim();
  if (text.consume_front("kv<") && !text.consume_back(">")) {
    error = "policy 'kv<...' has no closing '>'";
    return std::nullopt;
  }
  bool retained = false;
  for (StringRef item : splitOutside(text, ',')) {
    auto [key, value] = item.split('=');
    key = key.trim(), value = value.trim();
    if (!item.contains('=')) {
      bool isLayout =
          item == "ring" || item == "contig" || item.starts_with("paged") || item.starts_with("units") || item.starts_with("headgroup");
      key = isLayout ? "layout" : "retain", value = item;
    }
    if (key == "layout") {
      if (!parseLayout(value, policy, error))
        return std::nullopt;
    } else if (key == "retain") {
      if (retained) {
        error = "'retain' is given twice";
        return std::nullopt;
      }
      retained = true;
      if (!parseRetain(value, policy, error))
        return std::nullopt;
    } else if (key == "pos") {
      if (!parsePositions(value, policy, error))
        return std::nullopt;
    } else if (key == "prec") {
      if (!parsePrecision(value, policy, error))
        return std::nullopt;
    } else if (key == "event") {
      if (value != "after") {
        error = ("event '" + value + "' (dimension D12) is not built; built is after").str();
        return std::nullopt;
      }
    } else if (key == "prefill") {
      if (value != "exact") {
        error = ("prefill '" + value +
                 "' (dimension D12, rule L12) is not built; built is exact, the only one that does not depend on how the text is cut")
                    .str();
        return std::nullopt;
      }
    } else {
      StringRef dimension = llvm::StringSwitch<StringRef>(key)
                                .Case("select", "D5")
                                .Case("place", "D8")
                                .Case("share", "D9")
                                .Case("assign", "D10")
                                .Case("producer", "D11")
                                .Default("");
      error = dimension.empty() ? ("policy item '" + item + "' is unknown").str()
                                : ("policy item '" + key + "' (dimension " + dimension + ") is not built yet").str();
      return std::nullopt;
    }
  }
  if (policy.localPosition == Position::Rank && !policy.retainsAll()) // with rotary embeddings only differences count
    policy.localPosition = Position::Absolute;
  return policy;
}

std::string KVPolicy::str() const {
  std::string stored;
  for (auto &[name, named] : kPrecisions)
    if (precision == named)
      stored = (",prec=" + name).str() + (group ? "(g=" + std::to_string(group) + ")" : "");
  if (page)
    stored += ",layout=paged(" + std::to_string(page) + ")";
  if (retainsAll())
    return "retain=all,pos=*:abs" + stored;
  std::string text = "retain=";
  if (sink)
    text += "sink(" + std::to_string(sink) + ")+";
  text += "recent(" + std::to_string(recent) + ")";
  text += sink && sinkPosition == Position::Rank ? ",pos=sink:rank;local:abs" : ",pos=*:abs";
  return text + stored + ",event=after";
}

std::optional<KVPolicy> parsePolicy(Operation *op, StringRef text) {
  std::string error;
  std::optional<KVPolicy> policy = KVPolicy::parse(text, error);
  if (!policy)
    op->emitError("cache policy \"") << text << "\": " << error;
  return policy;
}

LogicalResult KVAttr::verify(llvm::function_ref<InFlightDiagnostic()> emitError, llvm::StringRef text) {
  std::string error;
  if (KVPolicy::parse(text, error))
    return success();
  return emitError() << "cache policy \"" << text << "\": " << error;
}

KVPolicy KVAttr::getPolicy() const {
  std::string error;
  return *KVPolicy::parse(getText(), error);
}

} // namespace leat
