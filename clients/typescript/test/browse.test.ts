/** Looking around, against the local stack. */

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

/** Of what hangs: far longer than anything here takes, even on a busy machine. */
const timeout = 600_000;

async function collected<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all = [];
  for await (const item of items) all.push(item);
  return all;
}

test("a list goes on over its pages, newest first, and no further than it is asked", { timeout }, async () => {
  // Of two that began in the same millisecond, the id says which is the newer.
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

test("a list has results if it is asked to", { timeout }, async () => {
  await longhaul.executions.run("echo", [1], { tags: { batch: "results" } });
  const results = async (include?: { include: string }) =>
    (await collected(longhaul.executions.list({ tag: "batch=results", ...include }))).map((listed) => listed.result);
  assert.deepEqual(await results(), [undefined]);
  assert.deepEqual(await results({ include: "result" }), [[1]]);
});

test("logs that are read too often are read when the API says so", { timeout }, async () => {
  // One that allows a single reading in ten seconds.
  const strict = await Stack.start("--log-reads", "1");
  try {
    const client = new Longhaul({ baseUrl: strict.api });
    const { executionId } = await client.executions.run("echo", [1]);
    const refusals: number[] = [];
    const onRetry = (error: Error) => error instanceof ProblemError && refusals.push(error.status);
    // Of each log there is a second page, which says that there are no more lines.
    const lines = await collected(client.executions.logs(executionId, { tail: 1, onRetry }));
    assert.deepEqual(lines.map(({ text }) => text), ["[1]"]);
    assert(refusals.length >= 1 && refusals.every((status) => status === 429), `${refusals}`);
  } finally {
    await strict.stop();
  }
});

test("a list that cannot be understood is a problem", { timeout }, async () => {
  const invalid = (error: unknown) => error instanceof ProblemError && error.code === "invalid-parameter";
  await assert.rejects(collected(longhaul.executions.list({ pageSize: 0 })), invalid);
});

test("logs are followed to their end", { timeout }, async () => {
  const { executionId } = await longhaul.executions.start("talks", 1);
  await longhaul.executions.wait(executionId, { onUpdate: () => undefined });
  const said = ["line 1", "line 2", "line 3"];
  const texts = async (lines: AsyncIterable<{ text: string }>) => (await collected(lines)).map(({ text }) => text);
  assert.deepEqual(await texts(longhaul.executions.logs(executionId)), said);
  assert.deepEqual(await texts(longhaul.executions.logs(executionId, { tail: 1 })), ["line 3"]);

  const running = await longhaul.executions.start("talks", 1);
  const started = new AbortController();
  const onUpdate = ({ status }: { status: string }) => status === "RUNNING" && started.abort(new Error("started"));
  await longhaul.executions.wait(running.executionId, { signal: started.signal, onUpdate }).catch(() => undefined);
  assert.deepEqual(await texts(longhaul.executions.logs(running.executionId, { follow: true })), said);
});

test("a log goes on behind pages without lines, until a token comes again", { timeout }, async () => {
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

test("a history has every operation of the workflow, over its pages", { timeout }, async () => {
  const { executionId } = await longhaul.executions.run("echo", 1);
  const names = async (pageSize: number) =>
    (await collected(longhaul.executions.history(executionId, { pageSize }))).map(({ name }) => name);
  const all = await names(1000);
  for (const name of ["accept", "run-task", "record-task", "collect", "record"]) assert(all.includes(name), name);
  // Each is on the page of its end: of small pages, one that began early and ended late is on a later one.
  assert.deepEqual((await names(5)).sort(), all.sort());
});

test("the jobs that may be run are known", { timeout }, async () => {
  const names = (await longhaul.jobs.list()).map(({ name }) => name);
  assert.deepEqual(names, ["big", "demo", "echo", "fails", "talks"]);
  await longhaul.executions.run(names[0] ?? "", 1, { pattern: "callback" });
});
