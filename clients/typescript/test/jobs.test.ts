/** Jobs from their start to their end, against the local stack. */

import assert from "node:assert/strict";
import { after, before, mock, test } from "node:test";

import {
  cancel,
  createLonghaul,
  type Execution,
  ExecutionFailed,
  get,
  type Longhaul,
  ProblemError,
  rerun,
  runCallback,
  runSync,
  startCallback,
  startSync,
  waitFor,
} from "@longhaul/client";

import { isPause } from "./pauses.js";
import { Stack } from "./stack.js";

let stack: Stack;
let longhaul: Longhaul;

before(async () => {
  stack = await Stack.start();
  longhaul = createLonghaul({ baseUrl: stack.api });
});
after(() => stack.stop());

/** Of what hangs: far longer than anything here takes, even on a busy machine. */
const timeout = 600_000;

for (const run of [runSync, runCallback]) {
  test(`${run.name} returns what the job made`, { timeout }, async () => {
    const input = { order: 7, "größe": [1, 2.5, null] };
    const done = await run(longhaul, { input, job: "echo", tags: { team: "blue" } });
    assert.equal(done.status, "COMPLETED");
    assert.deepEqual([done.result, done.input, done.tags], [input, input, { team: "blue" }]);
  });

  test(`${run.name} throws the execution of a job that failed`, { timeout }, async () => {
    await assert.rejects(run(longhaul, { input: 1, job: "fails" }), (error) => {
      assert(error instanceof ExecutionFailed);
      assert.equal(error.execution.status, "FAILED");
      assert.equal(error.execution.error.exitCode, 3);
      assert.match(error.message, /^execution .* is FAILED: .*3/);
      return true;
    });
  });
}

test("a result has the type that its parser gives it", { timeout }, async () => {
  const parse = (result: unknown) => {
    const [number] = result as unknown[];
    if (typeof number !== "number") throw new RangeError("not a number");
    return number;
  };
  const { result } = await runSync(longhaul, { input: [41], job: "echo" }, { parse });
  assert.equal(result + 1, 42);
  await assert.rejects(runSync(longhaul, { input: ["41"], job: "echo" }, { parse }), RangeError);
});

test("a big integer in a result comes whole to a parser of one's own", { timeout }, async () => {
  const big = "12345678901234567891";
  const quoted = (text: string) => text.replace(/(?<=[:[,])\d{16,}(?=[\]},])/g, (digits) => `"${digits}n"`);
  const revived = (_: string, value: unknown) =>
    typeof value === "string" && /^\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value;
  const parseJson = (text: string): unknown => JSON.parse(quoted(text), revived);
  const task = "big";
  const rounded = await runSync(longhaul, { input: 1, task });
  assert.deepEqual(rounded.result, { id: Number(big) });
  const { result } = await runSync(createLonghaul({ baseUrl: stack.api, parseJson }), { input: 1, task });
  assert.deepEqual(result, { id: BigInt(big) });
});

test("a body that does not validate says where", { timeout }, async () => {
  await assert.rejects(startSync(longhaul, { input: 1, timeoutSeconds: 0, job: "nope" }), (error) => {
    assert(error instanceof ProblemError);
    assert.equal(error.problem.code, "invalid-body");
    assert.deepEqual(error.problem.errors?.map(({ pointer }) => pointer).sort(), ["/job", "/timeoutSeconds"]);
    return error.response.status === 422;
  });
});

test("what is not there is a problem, asked for once or waited for", { timeout }, async () => {
  const notFound = (error: unknown) => error instanceof ProblemError && error.problem.code === "execution-not-found";
  await assert.rejects(get(longhaul, "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c"), notFound);
  await assert.rejects(waitFor(longhaul, "no/such?id"), notFound);
});

test("waiting tells every change once, and ends with the signal while the job goes on", { timeout }, async () => {
  const { executionId } = await startSync(longhaul, { input: { message: "Hello", processingTime: 5 } });
  const abort = new AbortController();
  const onUpdate = () => abort.abort(new Error("enough"));
  await assert.rejects(waitFor(longhaul, executionId, { signal: abort.signal, onUpdate }), /enough/);

  const seen: Execution[] = [];
  const end = await waitFor(longhaul, executionId, { onUpdate: (execution) => seen.push(execution) });
  assert.equal(end.status, "COMPLETED");
  assert.equal(seen.at(-1)?.status, "COMPLETED");
  assert.equal(new Set(seen.map((execution) => JSON.stringify(execution))).size, seen.length);
});

test("who holds its answers is asked again at once", { timeout }, async () => {
  const timers = mock.method(globalThis, "setTimeout");
  const pauses = () => timers.mock.calls.filter((call) => isPause(call.arguments)).length;
  const looks: { began: number; ended: number; held: boolean }[] = [];
  const watched = async (...args: Parameters<typeof fetch>) => {
    const began = pauses();
    const answer = await fetch(...args);
    looks.push({ began, ended: pauses(), held: answer.headers.has("preference-applied") });
    return answer;
  };
  // Two attempts, with some seconds between them: something changes while an answer is held, and then something else.
  const { executionId } = await startSync(longhaul, { input: 1, job: "fails", retry: { maxAttempts: 2 } });
  await waitFor(createLonghaul({ baseUrl: stack.api, fetch: watched }), executionId);
  timers.mock.restore();
  const held = looks.filter((look, nth) => look.held && nth + 1 < looks.length);
  assert.notEqual(held.length, 0);
  for (const look of held) assert.equal(looks[looks.indexOf(look) + 1]?.began, look.ended, "it paused");
});

test("a job that is cancelled is waited for to its end, and can be run again", { timeout }, async () => {
  const { executionId } = await startSync(longhaul, { input: { message: "Hello", processingTime: 600 } });
  const asked = await cancel(longhaul, executionId);
  assert(["CANCELLING", "CANCELLED"].includes(asked.status), asked.status);
  const end = await waitFor(longhaul, executionId);
  assert.equal(end.status, "CANCELLED");
  assert.equal((await cancel(longhaul, executionId)).status, "CANCELLED");

  const key = { idempotencyKey: crypto.randomUUID() };
  const again = await rerun(longhaul, executionId, key);
  assert.equal(again.rerunOf, executionId);
  assert.equal((await rerun(longhaul, executionId, key)).executionId, again.executionId);
  await cancel(longhaul, again.executionId);
});

test("a signal that is over already starts nothing", { timeout }, async () => {
  let sent = 0;
  const counting = createLonghaul({ baseUrl: stack.api, fetch: (...args) => (sent++, fetch(...args)) });
  const signal = AbortSignal.abort(new Error("too late"));
  await assert.rejects(runSync(counting, { input: 1 }, { signal }), /too late/);
  assert.equal(sent, 0);
});

test("the same key is the same execution, until the body differs", { timeout }, async () => {
  const key = { idempotencyKey: crypto.randomUUID() };
  const first = await startCallback(longhaul, { input: 1, job: "echo" }, key);
  const again = await startCallback(longhaul, { input: 1, job: "echo" }, key);
  assert.equal(again.executionId, first.executionId);
  const reused = (error: unknown) => error instanceof ProblemError && error.problem.code === "idempotency-key-reused";
  await assert.rejects(startCallback(longhaul, { input: 2, job: "echo" }, key), reused);
});

test("fifty waits at once", { timeout }, async () => {
  const runs = Array.from({ length: 50 }, (_, n) => runCallback(longhaul, { input: [n], job: "echo" }));
  const results = (await Promise.all(runs)).map(({ result }) => result);
  assert.deepEqual(results, [...results.keys()].map((n) => [n]));
});
