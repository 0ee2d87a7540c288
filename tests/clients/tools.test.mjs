// Tools and structured output by OpenAI's own client for Node.js.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.env.OPENAI_BASE_URL, apiKey: "none", maxRetries: 0 });

const cities = ["Paris", "Rome"];
const schema = {
  type: "object",
  properties: { city: { type: "string", enum: cities } },
  required: ["city"],
  additionalProperties: false,
};
const asked = {
  model: "smollm2-135m-instruct",
  messages: [{ role: "user", content: "What is the weather in Paris?" }],
  temperature: 0,
  max_tokens: 128,
};
const tools = [{ type: "function", function: { name: "get_weather", parameters: schema } }];

test("a tool is called", async () => {
  const completion = await client.chat.completions.create({
    ...asked,
    tools,
    tool_choice: "required",
  });
  const [call] = completion.choices[0].message.tool_calls;
  assert.equal(call.function.name, "get_weather");
  assert.ok(cities.includes(JSON.parse(call.function.arguments).city));
});

test("a streamed call is put together", async () => {
  const runner = client.chat.completions.stream({ ...asked, tools, tool_choice: "required" });
  const [call] = (await runner.finalChatCompletion()).choices[0].message.tool_calls;
  assert.equal(call.function.name, "get_weather");
  assert.ok(cities.includes(JSON.parse(call.function.arguments).city));
});

test("an answer matches its schema", async () => {
  const completion = await client.chat.completions.parse({
    ...asked,
    response_format: {
      type: "json_schema",
      json_schema: { name: "place", schema, strict: true },
    },
  });
  assert.ok(cities.includes(JSON.parse(completion.choices[0].message.content).city));
});
