/** Runs an execution with the generated types: node run.mjs http://127.0.0.1:8080 */

import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";

import createClient from "openapi-fetch";
import type { components, paths } from "#longhaul";

const client = createClient<paths>({ baseUrl: process.argv[2] ?? "" });
const input = { message: "Hello" };

const started = await client.POST("/executions/sync", { body: { input, job: "echo" } });
assert.ok(started.data);
let execution: components["schemas"]["Execution"] = started.data;
assert.equal(execution.pattern, "sync");
const params = { path: { executionId: execution.executionId } };
while (!execution.done) {
  await setTimeout(100);
  const { data } = await client.GET("/executions/{executionId}", { params });
  assert.ok(data);
  execution = data;
}
assert.deepEqual([execution.status, execution.exitCode], ["COMPLETED", 0]);
assert.deepEqual(execution.result, input);

const logs = await client.GET("/executions/{executionId}/logs", { params });
assert.equal(logs.data?.lines.length, 1);
const page = await client.GET("/executions", { params: { query: { job: "echo" } } });
assert.equal(page.data?.executions[0]?.executionId, execution.executionId);

const none = await client.GET("/executions/{executionId}", { params: { path: { executionId: "nothing" } } });
assert.ok(none.error && "code" in none.error);
assert.equal(none.error.code, "execution-not-found");
