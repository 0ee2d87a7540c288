// The Responses API by OpenAI's own client for Node.js.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.env.OPENAI_BASE_URL, apiKey: "none", maxRetries: 0 });

const asked = { model: "tiny-instruct", input: "Say hello with an emoji.", temperature: 0 };
const hello = "Hello 👋🌍!\n";

test("a text is answered", async () => {
  const response = await client.responses.create(asked);
  assert.equal(response.output_text, hello);
  assert.equal(response.status, "completed");
});

test("a response is streamed", async () => {
  const stream = await client.responses.create({ ...asked, stream: true });
  let text = "";
  let last;
  for await (const event of stream) {
    if (event.type === "response.output_text.delta") text += event.delta;
    last = event;
  }
  assert.equal(text, hello);
  assert.equal(last.type, "response.completed");
});
