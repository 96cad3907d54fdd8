"""Writes and reads calls as the reference does.

Arguments: its wheel. Input: one JSON object a line, {"tools", "call", "text"}.
Output: one JSON object a line: {"tools" described, "call" rendered, "read": what it
finds in the text: {"content", "name", "arguments"}, null for none, or "refused"}.
"""

import importlib.util
import json
import sys
import types
import zipfile

for name, content in {
    "litellm": {"ChatCompletionToolParam": dict},
    "openhands": {},
    "openhands.core": {},
    "openhands.core.exceptions": {
        "FunctionCallConversionError": type("FunctionCallConversionError", (Exception,), {}),
        "FunctionCallValidationError": type("FunctionCallValidationError", (Exception,), {}),
    },
}.items():
    # What the module imports, without the packages around it.
    module = types.ModuleType(name)
    vars(module).update(content)
    sys.modules[name] = module

reference = types.ModuleType("reference")
source = zipfile.ZipFile(sys.argv[1]).read("openhands/llm/fn_call_converter.py")
exec(compile(source, "fn_call_converter.py", "exec"), vars(reference))


def read(text, tools):
    messages = [{"role": "assistant", "content": text}]
    try:
        (message,) = reference.convert_non_fncall_messages_to_fncall_messages(messages, tools)
    # It looks for the parameters of a tool that has none.
    except (KeyError, reference.FunctionCallValidationError):
        return "refused"
    calls = message.get("tool_calls")
    if not calls:
        return None
    function = calls[0]["function"]
    arguments = json.loads(function["arguments"])
    return {"content": message["content"], "name": function["name"], "arguments": arguments}


for line in sys.stdin:
    case = json.loads(line)
    answer = {
        "tools": reference.convert_tools_to_description(case["tools"]),
        "call": reference.convert_tool_call_to_string(case["call"]),
        "read": read(case["text"], case["tools"]),
    }
    print(json.dumps(answer))
