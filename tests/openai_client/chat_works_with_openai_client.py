"""OpenAI's Python client chats with an instance, whole and streamed, with a session and with an API key."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import openai

MODEL = "openai/gpt-4o-mini"
QUESTION = [{"role": "user", "content": "Which colour has the sky?"}]


def call(url, body=None, token=None, method=None):
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def wait_until_ready(server):
    """Returns the URL of the server, which takes a free port, once it is ready."""
    address = next((line.split("listening address=")[1].strip() for line in server.stdout if "listening address=" in line), None)
    if address is None:
        raise SystemExit("the server did not start")
    # So that it never waits for a reader of its log.
    threading.Thread(target=server.stdout.read, daemon=True).start()
    for _ in range(6000):
        try:
            call(f"http://{address}/ready")
            return f"http://{address}"
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.02)
    raise SystemExit("the server did not become ready")


def chats(client):
    assert any(model.id == MODEL for model in client.models.list()), "the model list"

    whole = client.chat.completions.create(model=MODEL, messages=QUESTION)
    assert whole.choices[0].message.content, "a whole answer"
    assert whole.usage.total_tokens > 0, "its usage"

    text, usage = "", None
    for chunk in client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True):
        text += chunk.choices[0].delta.content or "" if chunk.choices else ""
        usage = chunk.usage or usage
    assert text and usage.total_tokens > 0, "a streamed answer and its usage"


def refuses(client, kind, **changes):
    try:
        client.chat.completions.create(**{"model": MODEL, "messages": QUESTION, **changes})
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")


def main(mai):
    with tempfile.TemporaryDirectory() as data:
        env = {"HOST": "127.0.0.1", "PORT": "0", "DATA_DIR": data, "WEBUI_SECRET_KEY": "test", "MAI_MOCK_UPSTREAM": "true", "PATH": os.environ["PATH"]}
        server = subprocess.Popen([mai, "serve"], env=env, stdout=subprocess.PIPE, text=True)
        try:
            url = wait_until_ready(server)
            account = {"name": "Ada", "email": "ada@example.com", "password": "correct horse battery"}
            token = call(f"{url}/api/v1/auths/signup", account)["token"]
            key = call(f"{url}/api/v1/auths/api_keys", {"name": "python"}, token)["api_key"]
            for secret in (token, key):
                for base in ("/api", "/api/v1", "/v1"):
                    chats(openai.OpenAI(base_url=url + base, api_key=secret, max_retries=0))
            stranger = openai.OpenAI(base_url=url + "/v1", api_key="sk-nobody", max_retries=0)
            refuses(stranger, openai.AuthenticationError)
            client = openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0)
            refuses(client, openai.BadRequestError, model="no/such-model")
            refuses(client, openai.RateLimitError, extra_body={"metadata": {"mock": "error=429"}})
            for _ in range(1200):
                counted = call(f"{url}/api/v1/usage/summary", token=token)
                if counted["requests"] >= 12:
                    break
                time.sleep(0.05)
            assert counted["requests"] >= 12, counted
        finally:
            server.terminate()
            assert server.wait(60) == 0, "a clean end"
    print("the OpenAI Python client chats, streams and is counted")


if __name__ == "__main__":
    main(sys.argv[1])
