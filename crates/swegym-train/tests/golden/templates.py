"""Makes `templates.json`: conversations rendered by transformers, with
templates in the shapes that public models have (our own words), to be compared
with ours: python templates.py > templates.json
"""

import json

from transformers import AutoTokenizer, PreTrainedTokenizerFast
from tokenizers import Tokenizer, models

TEMPLATES = {
    # ChatML with tools told in the system's turn and calls as tagged JSON.
    "tagged": """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- "# Tools\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- elif messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == "user" or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}{{- '\\n' + message.content }}{%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}{%- set tool_call = tool_call.function %}{%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' }}{{- tool_call.name }}{{- '", "arguments": ' }}{{- tool_call.arguments | tojson }}{{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.index0 == 0 or messages[loop.index0 - 1].role != "tool" %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != "tool" %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}""",
    # Headers and an end of turn, a namespace, Python's string methods, break.
    "headers": """{{ bos_token }}{% set ns = namespace(seen=0, last=-1) %}
{% for m in messages %}{% if m['role'] == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}
{% for message in messages %}
{% set content = message['content'].strip() %}
{% if message['role'] not in ['system', 'user', 'assistant', 'tool'] %}{{ raise_exception('odd role') }}{% endif %}
<|start_header_id|>{{ message.role.upper() if loop.index0 > ns.last else message.role.title() }}<|end_header_id|>

{{ content.replace('\\t', '    ') }}{% if content.endswith('.') %} (dot){% endif %}{{ content.split(' ')[0] | length }}<|eot_id|>
{% set ns.seen = ns.seen + 1 %}
{% if ns.seen > 40 %}{% break %}{% endif %}
{% endfor %}
{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>

{% endif %}{{ ns.seen }}{{ {'a': 1.5, 'b': [true, none, 1e20, 0.1, 1e-7]} | tojson }}{{ messages[0] | tojson(indent=2) }}{{ messages[-1].get('name', 'nobody') }}{% for k, v in {'x': 1, 'y': 2}.items() %}{{ k ~ v }}{% endfor %}""",
    # Marks around what the model says.
    "marked": """{%- for message in messages %}
{{- '[' + message.role + ']' }}
{%- if message.role == 'assistant' %}
{% generation %}
{{ message.content }}[end]
{% endgeneration %}
{%- else %}{{- message.content }}[end]
{% endif %}
{%- endfor %}""",
    # Thoughts of earlier turns are dropped, with slices from the back.
    "thoughts": """{%- for message in messages[::-1] %}{%- if loop.first %}{{- message.role }}|{%- endif %}{%- endfor %}
{%- for message in messages %}
{%- set content = message.content %}
{%- if message.role == 'assistant' and '</think>' in content and not loop.last %}{%- set content = content.split('</think>')[-1].lstrip('\\n') %}{%- endif %}
{{- '<s>' + message.role + '\\n' + content | trim + '</s>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<s>assistant\\n' }}{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}""",
}

CALL = {"id": "c1", "type": "function", "function": {"name": "run", "arguments": {
    "command": "echo 'ä <b> & \"q\"'\n", "n": 3, "deep": {"z": [1, 2.0, None, True], "a": "\u2028\\ /"}}}}
TOOL = {"type": "function", "function": {"name": "run", "description": "Runs <it> & 'tells'.", "parameters": {
    "type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}}}
CONVERSATIONS = {
    "plain": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": " Hello\tthere. "},
              {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHi."}, {"role": "user", "content": "Bye"},
              {"role": "assistant", "content": "So long <3 & \"more\""}],
    "tools": [{"role": "user", "content": "Do it"},
              {"role": "assistant", "content": "I run it.", "tool_calls": [CALL]},
              {"role": "tool", "content": "ok\n", "tool_call_id": "c1", "name": "run"},
              {"role": "tool", "content": "two", "tool_call_id": "c1", "name": "run"},
              {"role": "assistant", "content": "Done."}],
}


def main():
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), bos_token="<bos>", eos_token="<eos>")
    cases = []
    for name, template in TEMPLATES.items():
        for title, messages in CONVERSATIONS.items():
            for tools in ([], [TOOL]):
                for ask in (False, True):
                    if name == "headers" and title == "tools":
                        messages = [{**m, "tool_calls": None} if "tool_calls" in m else m for m in messages]
                        messages = [{k: v for k, v in m.items() if v is not None} for m in messages]
                    text = tokenizer.apply_chat_template(messages, tools=tools or None, chat_template=template,
                                                         add_generation_prompt=ask, tokenize=False)
                    cases.append({"template": name, "messages": messages, "tools": tools, "ask": ask, "text": text})
    print(json.dumps({"templates": TEMPLATES, "cases": cases}, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
