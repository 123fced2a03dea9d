// Chat templates: the variables that Hugging Face gives them, over the Jinja interpreter.
#include "runtime/text/ChatTemplate.h"
#include "runtime/core/File.h"
#include "runtime/text/Jinja.h"

namespace leat::rt {

struct ChatTemplate::Data {
  jinja::Template tree;
  std::string bos, eos;
};

ChatTemplate::ChatTemplate(std::unique_ptr<Data> data) : data(std::move(data)) {}
ChatTemplate::ChatTemplate(ChatTemplate &&) = default;
ChatTemplate &ChatTemplate::operator=(ChatTemplate &&) = default;
ChatTemplate::~ChatTemplate() = default;

static constexpr size_t kMaxTemplate = size_t(1) << 20;

Result<ChatTemplate> ChatTemplate::load(const std::string &path, const std::string &bos, const std::string &eos) {
  auto bytes = readFile(path, kMaxTemplate);
  if (!bytes)
    return bytes.takeStatus();
  return parse(std::string(bytes->begin(), bytes->end()), bos, eos);
}

Result<ChatTemplate> ChatTemplate::parse(const std::string &text, const std::string &bos, const std::string &eos) {
  auto tree = jinja::Template::parse(text);
  if (!tree)
    return tree.takeStatus();
  return ChatTemplate(std::make_unique<Data>(Data{std::move(*tree), bos, eos}));
}

Result<std::string> ChatTemplate::render(const std::vector<ChatMessage> &messages, bool generationPrompt) const {
  using jinja::Value;
  std::vector<Value> list;
  for (const ChatMessage &m : messages)
    list.push_back(Value::makeObject({{"role", Value::of(m.role)}, {"content", Value::of(m.content)}}));
  std::map<std::string, Value> variables{
      {"messages", Value::makeList(std::move(list))}, {"add_generation_prompt", Value::of(generationPrompt)}, {"tools", Value::none()}};
  // Templates test whether a token is defined.
  if (!data->bos.empty())
    variables["bos_token"] = Value::of(data->bos);
  if (!data->eos.empty())
    variables["eos_token"] = Value::of(data->eos);
  return data->tree.render(std::move(variables));
}

} // namespace leat::rt
