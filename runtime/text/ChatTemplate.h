// Messages to the text that a chat model was trained on: a Jinja template (chat_template.jinja, or "chat_template" of
// tokenizer_config.json), as Hugging Face models ship it. The part of Jinja that such templates use is interpreted here; what a template
// needs beyond it is refused by name.
#ifndef LEAT_RUNTIME_TEXT_CHATTEMPLATE_H
#define LEAT_RUNTIME_TEXT_CHATTEMPLATE_H

#include "runtime/core/Status.h"

#include <memory>
#include <string>
#include <vector>

namespace leat::rt {

struct ChatMessage {
  std::string role, content;
};

class ChatTemplate {
public:
  // `bos`, `eos`: the texts of the tokens that templates name bos_token and eos_token.
  static Result<ChatTemplate> load(const std::string &path, const std::string &bos = "", const std::string &eos = "");
  static Result<ChatTemplate> parse(const std::string &text, const std::string &bos = "", const std::string &eos = "");
  ChatTemplate(ChatTemplate &&);
  ChatTemplate &operator=(ChatTemplate &&);
  ~ChatTemplate();

  // Errors: what the template raises (raise_exception), a type error in it, or more than a million steps.
  Result<std::string> render(const std::vector<ChatMessage> &messages, bool generationPrompt) const;

private:
  struct Data;
  explicit ChatTemplate(std::unique_ptr<Data> data);
  std::unique_ptr<Data> data;
};

} // namespace leat::rt

#endif
