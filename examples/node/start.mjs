/** Runs three jobs at once and prints their results: `node start.mjs URL`. A job that fails does not stop the others. */

import { ExecutionFailed, Longhaul, LonghaulError } from "@longhaul/client";

const [baseUrl = "http://127.0.0.1:8080"] = process.argv.slice(2);
const { executions } = new Longhaul({ baseUrl });

/** @param {string} message */
async function greet(message, processingTime) {
  const onUpdate = ({ executionId, status }) => console.error(`${executionId} is ${status}`);
  const { result } = await executions.run("demo", { message, processingTime }, { tags: { example: "node" }, onUpdate });
  return result.message;
}

const greetings = [greet("Hello", 1), greet("Bonjour", 2), greet("Hola", "soon")];
for (const greeting of await Promise.allSettled(greetings)) {
  if (greeting.status === "fulfilled") console.log(greeting.value);
  else if (greeting.reason instanceof ExecutionFailed) console.log(`failed: ${greeting.reason.execution.error.type}`);
  else if (greeting.reason instanceof LonghaulError) console.log(`${greeting.reason.message} (${greeting.reason.requestId})`);
  else throw greeting.reason;
}

for await (const { executionId, status } of executions.list({ tag: "example=node", pageSize: 3 })) {
  console.log(executionId, status);
}
