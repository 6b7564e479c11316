"""client.py: what an agent does with the SDKs, each step a line of TAP."""
import os, sys, traceback

import anthropic
import openai

count = failed = 0
TOOL = {"name": "say", "description": "says it", "input_schema": {"type": "object", "properties": {"text": {"type": "string"}}}}
FUNCTION = {"type": "function", "function": {"name": "say", "parameters": TOOL["input_schema"]}}
HELLO = [{"role": "user", "content": "hello big world"}]


def check(what, step):
    global count, failed
    count += 1
    try:
        good = step()
    except Exception:
        good = False
        print("#", traceback.format_exc().replace("\n", "\n# "))
    failed += not good
    print(f"{'' if good else 'not '}ok {count} - {what}", flush=True)


def openai_steps(name, client, model):
    def chat():
        r = client.chat.completions.create(model="m", messages=HELLO)
        return r.choices[0].message.content == "hello big world" and r.model == model and r.usage.total_tokens == 6

    def stream():
        pieces = list(client.chat.completions.create(model="m", messages=HELLO, stream=True, stream_options={"include_usage": True}))
        text = "".join(c.choices[0].delta.content or "" for c in pieces if c.choices)
        return text == "hello big world " and pieces[-1].usage.total_tokens == 6 and len(pieces) == 6

    def tools():
        r = client.chat.completions.create(model="m", messages=HELLO, tools=[FUNCTION])
        return r.choices[0].message.tool_calls[0].function.arguments == '{"text": "hello big world"}'

    def responses():
        return client.responses.create(model="m", input="hello big world").output_text == "hello big world"

    def response_stream():
        events = [e.type for e in client.responses.create(model="m", input="hello big world", stream=True)]
        return events[0] == "response.created" and events[-1] == "response.completed" and len(events) == 5

    def cut():
        try:
            list(client.chat.completions.create(model="m", messages=[{"role": "user", "content": "a cut-here b"}], stream=True))
        except Exception as e:
            return type(e).__name__ in ("APIError", "APIConnectionError", "RemoteProtocolError")
        return False

    for what, step in (("chat", chat), ("streamed chat", stream), ("tool calls", tools), ("responses", responses),
                       ("streamed responses", response_stream), ("a stream that breaks is an error", cut),
                       ("models", lambda: [m.id for m in client.models.list()] == ["echo"])):
        check(f"openai, {name}: {what}", step)


def anthropic_steps(name, client, model):
    ask = {"model": "m", "max_tokens": 99, "messages": HELLO}

    def message():
        r = client.messages.create(**ask)
        return r.content[0].text == "hello big world" and r.model == model and r.usage.output_tokens == 3

    def stream():
        with client.messages.stream(**ask) as s:
            return "".join(s.text_stream) == "hello big world " and s.get_final_message().usage.output_tokens == 3

    def tools():
        return client.messages.create(**ask, tools=[TOOL]).content[0].input == {"text": "hello big world"}

    for what, step in (("message", message), ("streamed message", stream), ("tool use", tools)):
        check(f"anthropic, {name}: {what}", step)


for key in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
    check(f"{key} is a placeholder", lambda: os.environ[key] == f"openshell:resolve:env:{key}")
openai_steps("placeholder", openai.OpenAI(max_retries=0), "m")
anthropic_steps("placeholder", anthropic.Anthropic(max_retries=0), "m")
openai_steps("inference.local", openai.OpenAI(base_url="https://inference.local/v1", api_key="unused", max_retries=0), "routed")
anthropic_steps("inference.local", anthropic.Anthropic(base_url="https://inference.local", api_key="unused", max_retries=0), "routed")
print(f"1..{count}")
sys.exit(failed > 0)
