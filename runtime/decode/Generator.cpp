// Finds out what a step function wants, then feeds it.
#include "runtime/decode/Generator.h"
#include "runtime/artifact/Container.h"
#include "runtime/core/File.h"

#include <algorithm>
#include <chrono>
#include <string_view>

namespace leat::rt {

namespace {

double seconds(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

bool isTokenType(DType type) { return type == DType::I64 || type == DType::I32; }

void store(DType type, uint8_t *to, int64_t index, int64_t value) {
  switch (type) {
  case DType::I64:
    std::memcpy(to + index * 8, &value, 8);
    break;
  case DType::I32: {
    auto narrow = static_cast<int32_t>(value);
    std::memcpy(to + index * 4, &narrow, 4);
    break;
  }
  case DType::F32: {
    auto real = static_cast<float>(value);
    std::memcpy(to + index * 4, &real, 4);
    break;
  }
  default:
    to[index] = static_cast<uint8_t>(value);
  }
}

} // namespace

Result<std::unique_ptr<Generator>> Generator::create(Session &session, const GeneratorOptions &options) {
  if (Status status = options.sampling.check(); !status.ok())
    return status;
  if (options.chunk < 1 || options.repetitionWindow < 0)
    return error(Code::InvalidArgument, "a generator needs a chunk of at least 1 and a repetition window of at least 0");
  if (session.options().batch != 1)
    return error(Code::InvalidArgument, "a generator needs a session with a batch of 1, this one has %lld",
                 (long long)session.options().batch);
  std::unique_ptr<Generator> generator(new Generator(session, options));
  if (Status status = generator->inspect(); !status.ok())
    return status;
  return generator;
}

Status Generator::inspect() {
  const ManifestInfo &manifest = session.model().manifest();
  auto found = std::find_if(manifest.functions.begin(), manifest.functions.end(), [&](const FunctionInfo &candidate) {
    return options.function.empty() ? candidate.kind == "step" : candidate.name == options.function;
  });
  if (found == manifest.functions.end())
    return options.function.empty()
               ? error(Code::NotFound, "the model has no step function: it was not compiled as a stream (it has no key/value inputs, "
                                       "or they were not recognised)")
               : session.functionIndex(options.function).takeStatus();
  function = found - manifest.functions.begin();

  const TensorInfo *tokens = nullptr;
  for (const TensorInfo &input : found->inputs) {
    bool fits = isTokenType(input.dtype) && (input.dims.size() == 2 || input.dims.size() == 1);
    std::string_view name = input.name;
    if (fits && (name == "input_ids" || name == "decoder_input_ids" || name == "tokens" || name == "ids"))
      tokens = &input;
  }
  for (const TensorInfo &input : found->inputs)
    if (!tokens && isTokenType(input.dtype) && input.dims.size() == 2)
      tokens = &input;
  if (!tokens)
    return error(Code::Unsupported, "function '%s' has no input of tokens (i64 or i32, [batch,sequence])", printable(found->name).c_str());

  for (const TensorInfo &input : found->inputs) {
    std::string_view name = input.name;
    bool known = true;
    Role role = Role::Tokens;
    if (&input == tokens)
      role = Role::Tokens;
    else if (name == "attention_mask")
      role = Role::Ones;
    else if (name == "position_ids" || name == "positions" || name == "cache_position")
      role = Role::Positions;
    else if (name == "write_indices" || name == "past_sequence_length" || name == "past_seq_len")
      role = Role::Seen;
    else if (name == "total_sequence_length" || name == "nonpad_kv_seqlen")
      role = Role::Total;
    else if (name == "seqlens_k")
      role = Role::LastIndex;
    else
      known = false;
    if (!known || input.dims.size() > 2 || (!isTokenType(input.dtype) && role != Role::Ones) || dtypeSize(input.dtype) == 2)
      return error(Code::Unsupported,
                   "function '%s' wants input '%s' (%s %s), which a stream of tokens cannot supply: run the step function directly",
                   printable(found->name).c_str(), printable(input.name).c_str(), shapeText(input).c_str(), dtypeName(input.dtype));
    feeds.push_back({role, Tensor(), {}});
    inputs.push_back({nullptr, nullptr});
  }
  for (size_t i = 0; i < feeds.size(); ++i)
    inputs[i].tensor = &feeds[i].tensor;

  const auto &outputs = found->outputs;
  auto isLogits = [](const TensorInfo &output) { return isFloat(output.dtype) && (output.dims.size() == 3 || output.dims.size() == 2); };
  auto logits =
      std::find_if(outputs.begin(), outputs.end(), [&](const TensorInfo &output) { return isLogits(output) && output.name == "logits"; });
  if (logits == outputs.end())
    logits = std::find_if(outputs.begin(), outputs.end(), isLogits);
  if (logits == outputs.end())
    return error(Code::Unsupported, "function '%s' has no output of logits (float, [batch,sequence,vocabulary])",
                 printable(found->name).c_str());
  logitsOutput = logits - outputs.begin();
  vocabularySize = logits->dims.back().value;
  return {};
}

Status Generator::checkTokens(std::span<const int64_t> tokens) const {
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || (vocabularySize >= 0 && tokens[i] >= vocabularySize))
      return error(Code::InvalidArgument, "token %lld (number %zu of those given) is outside the vocabulary of %lld tokens",
                   (long long)tokens[i], i + 1, (long long)vocabularySize);
  return {};
}

Status Generator::fill(size_t index, std::span<const int64_t> tokens, int64_t seen) {
  Feed &feed = feeds[index];
  const TensorInfo &info = session.model().manifest().functions[function].inputs[index];
  auto count = static_cast<int64_t>(tokens.size());
  auto value = [&](int64_t i) -> int64_t {
    switch (feed.role) {
    case Role::Tokens:
      return tokens[i];
    case Role::Ones:
      return 1;
    case Role::Positions:
      return seen + i;
    case Role::Seen:
      return seen;
    case Role::Total:
      return seen + count;
    case Role::LastIndex:
      return seen + count - 1;
    }
    return 0;
  };
  // Per token for tokens and positions, over everything seen for a mask, one number for the counts.
  int64_t length = feed.role == Role::Tokens || feed.role == Role::Positions ? count : feed.role == Role::Ones ? seen + count : 1;
  Shape shape;
  shape.rank = static_cast<int>(info.dims.size());
  for (int i = 0; i < shape.rank; ++i)
    shape.dims[i] = i + 1 == shape.rank ? length : 1;
  size_t bytes = length * dtypeSize(info.dtype);
  if (feed.storage.size() < bytes)
    feed.storage.resize(bytes + bytes / 2);
  for (int64_t i = 0; i < length; ++i)
    store(info.dtype, feed.storage.data(), i, value(i));
  feed.tensor = Tensor::borrow(info.dtype, shape, feed.storage.data());
  return {};
}

Status Generator::runChunk(std::span<const int64_t> tokens) {
  int64_t seen = session.state().tokens(), room = session.state().remaining();
  if (room < static_cast<int64_t>(tokens.size()))
    return error(Code::Capacity,
                 "the context is full: %lld tokens seen, %zu more to come, room for %lld: use a larger context, or compile with "
                 "--kv=\"sink(4)+recent(1020)\", which keeps a stream alive in constant memory",
                 (long long)seen, tokens.size(), (long long)(seen + room));
  for (size_t i = 0; i < feeds.size(); ++i)
    LEAT_RETURN_IF_ERROR(fill(i, tokens, seen));
  hasLogits = false;
  return session.run(function, inputs);
}

// Widens the row of logits after the chunk's token `position`.
Status Generator::takeLogits(int64_t count, int64_t position) {
  const Tensor &output = session.output(logitsOutput);
  int64_t width = output.dim(output.rank() - 1), rows = width > 0 ? output.count() / width : 0;
  if (rows != count && rows != 1)
    return error(Code::Failed, "the model gave %lld rows of logits for %lld tokens", (long long)rows, (long long)count);
  if (rows == 1 && position != count - 1)
    return error(Code::Unsupported, "the model gives the logits of the last token only: feed it one token at a time");
  vocabularySize = width;
  lastLogits.resize(width);
  int64_t offset = (rows == 1 ? 0 : position) * width * dtypeSize(output.dtype());
  toFloats(output.dtype(), output.as<uint8_t>() + offset, width, lastLogits.data());
  hasLogits = true;
  return {};
}

Status Generator::settle() {
  if (pending < 0)
    return {};
  int64_t token = pending;
  auto start = std::chrono::steady_clock::now();
  LEAT_RETURN_IF_ERROR(runChunk({&token, 1}));
  LEAT_RETURN_IF_ERROR(takeLogits(1, 0));
  stats.decodeSeconds += seconds(start);
  pending = -1;
  return {};
}

Status Generator::feed(std::span<const int64_t> tokens) {
  LEAT_RETURN_IF_ERROR(checkTokens(tokens));
  LEAT_RETURN_IF_ERROR(settle());
  auto start = std::chrono::steady_clock::now();
  for (size_t at = 0; at < tokens.size();) {
    size_t count = std::min<size_t>(tokens.size() - at, options.chunk);
    auto part = tokens.subspan(at, count);
    LEAT_RETURN_IF_ERROR(runChunk(part));
    history.insert(history.end(), part.begin(), part.end());
    at += count;
    if (at == tokens.size())
      LEAT_RETURN_IF_ERROR(takeLogits(count, count - 1));
  }
  if (static_cast<int64_t>(history.size()) > 2 * options.repetitionWindow)
    history.erase(history.begin(), history.end() - options.repetitionWindow);
  stats.promptTokens += tokens.size();
  stats.promptSeconds += seconds(start);
  return {};
}

Result<int64_t> Generator::next(bool &stop) {
  stop = false;
  if (Status status = settle(); !status.ok())
    return status;
  if (!hasLogits)
    return error(Code::InvalidArgument, "there is nothing to continue: feed at least one token first");
  auto start = std::chrono::steady_clock::now();
  size_t window = std::min<size_t>(history.size(), options.repetitionWindow);
  Result<int64_t> token = sampler.sample(lastLogits.data(), vocabularySize, std::span(history).last(window), options.row, drawn);
  if (!token.ok())
    return token;
  ++drawn;
  pending = *token;
  if (static_cast<int64_t>(history.size()) >= 2 * options.repetitionWindow) // one move per window, not per token
    history.erase(history.begin(), history.end() - window);
  history.push_back(*token);
  ++stats.generatedTokens;
  stats.decodeSeconds += seconds(start);
  stop = std::find(options.stopTokens.begin(), options.stopTokens.end(), *token) != options.stopTokens.end();
  return token;
}

Result<int64_t> Generator::generate(int64_t limit, Callback callback, void *context) {
  int64_t reported = 0;
  while (reported < limit) {
    bool stop;
    Result<int64_t> token = next(stop);
    if (!token.ok())
      return token;
    if (stop)
      break;
    ++reported;
    if (!callback(context, *token))
      break;
  }
  return reported;
}

Status Generator::score(std::span<const int64_t> tokens, std::vector<double> &nll) {
  LEAT_RETURN_IF_ERROR(checkTokens(tokens));
  LEAT_RETURN_IF_ERROR(settle());
  auto start = std::chrono::steady_clock::now();
  // A model that gives the last token's logits only has to be asked for each token.
  const std::vector<DimInfo> &dims = session.model().manifest().functions[function].outputs[logitsOutput].dims;
  bool lastOnly = dims.size() == 2 || dims[1].value == 1;
  for (size_t at = 0; at < tokens.size();) {
    size_t count = lastOnly ? 1 : std::min<size_t>(tokens.size() - at, options.chunk);
    if (hasLogits)
      nll.push_back(tokenNll(lastLogits.data(), vocabularySize, tokens[at]));
    LEAT_RETURN_IF_ERROR(runChunk(tokens.subspan(at, count)));
    for (size_t i = 0; i < count; ++i) {
      LEAT_RETURN_IF_ERROR(takeLogits(count, i));
      if (i + 1 < count)
        nll.push_back(tokenNll(lastLogits.data(), vocabularySize, tokens[at + i + 1]));
    }
    at += count;
  }
  stats.promptTokens += tokens.size();
  stats.promptSeconds += seconds(start);
  return {};
}

namespace {
struct Position {
  uint64_t drawn;
  int64_t pending;
  uint64_t historyCount, logitCount;
};
} // namespace

Status Generator::save(const std::string &path) const {
  std::span<const float> row = logits();
  Position position = {drawn, pending, std::min<size_t>(history.size(), options.repetitionWindow), row.size()};
  std::vector<uint8_t> bytes;
  auto add = [&](const void *data, size_t size) {
    bytes.insert(bytes.end(), static_cast<const uint8_t *>(data), static_cast<const uint8_t *>(data) + size);
  };
  add(&position, sizeof(position));
  add(history.data() + (history.size() - position.historyCount), position.historyCount * sizeof(int64_t));
  add(row.data(), row.size_bytes());
  return session.state().save(path, session.model().artifact().stateHash(), session.options().batch, bytes);
}

Status Generator::load(const std::string &path) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file.ok())
    return file.takeStatus();
  std::string where = "'" + printable(path, 400) + "'";
  std::span<const uint8_t> bytes(file->data(), file->size()), rest;
  Result<std::vector<Section>> sections = parseContainer(bytes, stateMagic, stateFormat, "state file");
  if (!sections.ok())
    return sections.takeStatus().withContext(where);
  Position position = {0, -1, 0, 0};
  if (const Section *section = findSection(*sections, SectionKind::StreamPosition)) {
    rest = section->bytes;
    bool sound = rest.size() >= sizeof(position);
    if (sound) {
      std::memcpy(&position, rest.data(), sizeof(position));
      rest = rest.subspan(sizeof(position));
      sound = position.historyCount <= rest.size() / sizeof(int64_t) && position.logitCount <= rest.size() / sizeof(float) &&
              rest.size() == position.historyCount * sizeof(int64_t) + position.logitCount * sizeof(float) && position.pending >= -1 &&
              (vocabularySize < 0 || (position.pending < vocabularySize &&
                                      (position.logitCount == 0 || position.logitCount == static_cast<uint64_t>(vocabularySize))));
    }
    if (!sound)
      return error(Code::BadFile, "the state file is damaged: its stream position has sizes that do not fit").withContext(where);
  }
  LEAT_RETURN_IF_ERROR(session.state().load(bytes, session.model().artifact().stateHash(), session.options().batch).withContext(where));
  stateChanged();
  drawn = position.drawn;
  pending = position.pending;
  history.resize(position.historyCount);
  lastLogits.resize(position.logitCount);
  hasLogits = position.logitCount > 0;
  if (hasLogits)
    vocabularySize = static_cast<int64_t>(position.logitCount);
  if (position.historyCount)
    std::memcpy(history.data(), rest.data(), position.historyCount * sizeof(int64_t));
  if (hasLogits)
    std::memcpy(lastLogits.data(), rest.data() + position.historyCount * sizeof(int64_t), position.logitCount * sizeof(float));
  return {};
}

void Generator::reset() {
  session.reset();
  stateChanged();
  drawn = 0;
}

void Generator::stateChanged() {
  hasLogits = false;
  pending = -1;
  history.clear();
}

} // namespace leat::rt
