#include "fallback_templates.h"

namespace zse {

namespace {

// Written after the prompt formats that the models' makers document. All end with the start of the assistant's turn.

constexpr const char* kChatml = R"({%- for message in messages -%}
<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%})";

constexpr const char* kLlama3 = R"({{- bos_token -}}
{%- for message in messages -%}
<|start_header_id|>{{ message.role }}<|end_header_id|>

{{ message.content | trim }}<|eot_id|>
{%- endfor -%}
{%- if add_generation_prompt -%}
<|start_header_id|>assistant<|end_header_id|>

{% endif -%})";

constexpr const char* kGemma = R"({{- bos_token -}}
{%- set ns = namespace(system='') -%}
{%- for message in messages -%}
{%- if message.role == 'system' -%}
{%- set ns.system = message.content + '\n\n' -%}
{%- else -%}
<start_of_turn>{{ 'model' if message.role == 'assistant' else 'user' }}
{{ ns.system + message.content | trim }}<end_of_turn>
{% set ns.system = '' -%}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
<start_of_turn>model
{% endif -%})";

constexpr const char* kPhi3 = R"({%- for message in messages -%}
<|{{ message.role }}|>
{{ message.content }}<|end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|assistant|>
{% endif -%})";

constexpr const char* kLlama2 = R"({%- set ns = namespace(system='') -%}
{%- for message in messages -%}
{%- if message.role == 'system' -%}
{%- set ns.system = '<<SYS>>\n' + message.content + '\n<</SYS>>\n\n' -%}
{%- elif message.role == 'assistant' -%}
{{- ' ' + message.content | trim + ' ' + eos_token -}}
{%- else -%}
{{- bos_token + '[INST] ' + ns.system + message.content | trim + ' [/INST]' -}}
{%- set ns.system = '' -%}
{%- endif -%}
{%- endfor -%})";

}  // namespace

std::string fallback_template_name(const std::function<bool(const char*)>& has_token, const std::string& architecture) {
  if (has_token("<|im_start|>")) return "chatml";
  if (has_token("<|start_header_id|>")) return "llama3";
  if (has_token("<start_of_turn>")) return "gemma";
  if (has_token("<|user|>") && has_token("<|end|>")) return "phi3";
  return architecture == "llama" || architecture == "mistral" ? "llama2" : "chatml";
}

std::string fallback_template(const std::string& name) {
  if (name == "llama3") return kLlama3;
  if (name == "gemma") return kGemma;
  if (name == "phi3") return kPhi3;
  if (name == "llama2") return kLlama2;
  return kChatml;
}

}  // namespace zse
