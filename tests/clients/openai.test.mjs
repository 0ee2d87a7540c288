// OpenAI's own client for Node.js; test_openai_node.py starts the server and runs these tests.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.env.OPENAI_BASE_URL, apiKey: "none", maxRetries: 0 });

const question = [{ role: "user", content: "Say hello with an emoji." }];
const chat = { model: "tiny-instruct", messages: question, temperature: 0, max_tokens: 64 };
const hello = "Hello 👋🌍!\n";

test("models are listed and shown", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.includes("tiny-base"));
  assert.equal((await client.models.retrieve("tiny-base")).owned_by, "codeserve");
});

test("a middle is filled in", async () => {
  const completion = await client.completions.create({
    model: "tiny-base",
    prompt: "def add(a, b):\n    ",
    suffix: "\n    return value\n",
    temperature: 0,
    max_tokens: 32,
  });
  assert.equal(completion.choices[0].text, "value = a + b");
  assert.equal(completion.choices[0].finish_reason, "stop");
});

test("a completion is streamed", async () => {
  const stream = await client.completions.create({
    model: "tiny-base",
    prompt: "def add(a, b):\n",
    temperature: 0,
    max_tokens: 32,
    stream: true,
  });
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0].text;
  assert.equal(text, "    return a + b\n");
});

test("a chat is answered, with a request id", async () => {
  const completion = await client.chat.completions.create(chat);
  assert.equal(completion.choices[0].message.content, hello);
  assert.ok(completion._request_id);
});

test("the streaming helper puts a chat together", async () => {
  const runner = client.chat.completions.stream({
    ...chat,
    n: 2,
    stream_options: { include_usage: true },
  });
  const final = await runner.finalChatCompletion();
  assert.deepEqual(final.choices.map((choice) => choice.message.content), [hello, hello]);
  assert.deepEqual(final.choices.map((choice) => choice.message.role), ["assistant", "assistant"]);
  assert.equal(final.usage.prompt_tokens + final.usage.completion_tokens, final.usage.total_tokens);
});

test("an aborted stream leaves the client usable", async () => {
  const stream = await client.chat.completions.create({ ...chat, stream: true });
  for await (const _ of stream) break;
  assert.equal(stream.controller.signal.aborted, true);
  assert.equal((await client.chat.completions.create(chat)).choices[0].message.content, hello);
});

test("errors have their classes", async () => {
  await assert.rejects(
    client.chat.completions.create({ ...chat, model: "none" }),
    (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found",
  );
  await assert.rejects(
    client.completions.create({ model: "tiny-base", prompt: "a ".repeat(600) }),
    (error) => error instanceof OpenAI.BadRequestError && error.code === "context_length_exceeded",
  );
  await assert.rejects(
    client.chat.completions.create({ ...chat, temperature: 3 }),
    (error) => error instanceof OpenAI.BadRequestError && error.param === "temperature",
  );
});
