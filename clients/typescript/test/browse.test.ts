/** Lists, logs, histories and jobs, against the local stack. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Longhaul, ProblemError } from "@longhaul/client";

import { Stack } from "./stack.js";

let stack: Stack;
let longhaul: Longhaul;

before(async () => {
  stack = await Stack.start("--job", "talks=for n in 1 2 3; do echo line $n; sleep 1; done");
  longhaul = new Longhaul({ baseUrl: stack.api });
});
after(() => stack.stop());

/** For hanging tests: much longer than any of them takes, even on a busy machine. */
const timeout = 600_000;

async function collected<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all = [];
  for await (const item of items) all.push(item);
  return all;
}

test("a list yields the newest execution first and fetches pages on demand", { timeout }, async () => {
  // Executions that were created in the same millisecond are ordered by id.
  const place = ({ createdAt, executionId }: { createdAt: string; executionId: string }) => createdAt + executionId;
  const started: { createdAt: string; executionId: string }[] = [];
  for (let nth = 0; nth < 5; nth++) {
    const tags = { batch: "five" };
    started.push(await longhaul.executions.start("echo", nth, { tags }));
  }
  const listed = await collected(longhaul.executions.list({ tag: "batch=five", pageSize: 2 }));
  const newestFirst = started.map(place).sort().reverse();
  assert.deepEqual(listed.map(place), newestFirst);

  let pages = 0;
  const counting = new Longhaul({ baseUrl: stack.api, fetch: (...args) => (pages++, fetch(...args)) });
  for await (const first of counting.executions.list({ tag: "batch=five", pageSize: 2 })) {
    assert.equal(place(first), newestFirst[0]);
    break;
  }
  assert.equal(pages, 1);
  assert.deepEqual(await collected(longhaul.executions.list({ tag: "batch=six" })), []);
});

test("a list includes results on request", { timeout }, async () => {
  await longhaul.executions.run("echo", [1], { tags: { batch: "results" } });
  const results = async (include?: { include: string }) =>
    (await collected(longhaul.executions.list({ tag: "batch=results", ...include }))).map((listed) => listed.result);
  assert.deepEqual(await results(), [undefined]);
  assert.deepEqual(await results({ include: "result" }), [[1]]);
});

test("log reads beyond the limit are retried when the API says so", { timeout }, async () => {
  // A stack that allows one log read in ten seconds.
  const strict = await Stack.start("--log-reads", "1");
  try {
    const client = new Longhaul({ baseUrl: strict.api });
    const { executionId } = await client.executions.run("echo", [1]);
    const refusals: number[] = [];
    const onRetry = (error: Error) => error instanceof ProblemError && refusals.push(error.status);
    // Each log has a second page, without lines.
    const lines = await collected(client.executions.logs(executionId, { tail: 1, onRetry }));
    assert.deepEqual(lines.map(({ text }) => text), ["[1]"]);
    assert(refusals.length >= 1 && refusals.every((status) => status === 429), `${refusals}`);
  } finally {
    await strict.stop();
  }
});

test("a list with an invalid parameter throws a problem", { timeout }, async () => {
  const invalid = (error: unknown) => error instanceof ProblemError && error.code === "invalid-parameter";
  await assert.rejects(collected(longhaul.executions.list({ pageSize: 0 })), invalid);
});

test("logs are read and followed to their end", { timeout }, async () => {
  const { executionId } = await longhaul.executions.start("talks", 1);
  await longhaul.executions.wait(executionId, { onUpdate: () => undefined });
  const printed = ["line 1", "line 2", "line 3"];
  const texts = async (lines: AsyncIterable<{ text: string }>) => (await collected(lines)).map(({ text }) => text);
  assert.deepEqual(await texts(longhaul.executions.logs(executionId)), printed);
  assert.deepEqual(await texts(longhaul.executions.logs(executionId, { tail: 1 })), ["line 3"]);

  const running = await longhaul.executions.start("talks", 1);
  const started = new AbortController();
  const onUpdate = ({ status }: { status: string }) => status === "RUNNING" && started.abort(new Error("started"));
  await longhaul.executions.wait(running.executionId, { signal: started.signal, onUpdate }).catch(() => undefined);
  assert.deepEqual(await texts(longhaul.executions.logs(running.executionId, { follow: true })), printed);
});

test("a log continues after pages without lines, until a token repeats", { timeout }, async () => {
  const line = { at: "2026-01-01T00:00:00Z", text: "line" };
  const pages = [
    { lines: [], nextToken: "a" },
    { lines: [], nextToken: "b" },
    { lines: [line], nextToken: "c" },
    { lines: [], nextToken: "c" },
  ];
  const asked: (string | null)[] = [];
  const answers: typeof fetch = async (input) => {
    asked.push(new URL((input as Request).url).searchParams.get("nextToken"));
    return Response.json({ executionId: "an-id", attempt: 1, ...pages[asked.length - 1] });
  };
  const client = new Longhaul({ baseUrl: "http://longhaul.test", fetch: answers });
  assert.deepEqual(await collected(client.executions.logs("an-id")), [line]);
  assert.deepEqual(asked, [null, "a", "b", "c"]);
});

test("a history has every operation of the workflow, on any page size", { timeout }, async () => {
  const { executionId } = await longhaul.executions.run("echo", 1);
  const names = async (pageSize: number) =>
    (await collected(longhaul.executions.history(executionId, { pageSize }))).map(({ name }) => name);
  const all = await names(1000);
  for (const name of ["accept", "run-task", "record-task", "collect", "record"]) assert(all.includes(name), name);
  // Each operation is on the page of its end, so the order depends on the page size.
  assert.deepEqual((await names(5)).sort(), all.sort());
});

test("the list of jobs has every job", { timeout }, async () => {
  const names = (await longhaul.jobs.list()).map(({ name }) => name);
  assert.deepEqual(names, ["big", "copies", "demo", "echo", "fails", "talks"]);
  await longhaul.executions.run(names[0] ?? "", 1, { pattern: "callback" });
});
