/** Running jobs against the local stack. */

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, mock, test } from "node:test";

import { type Execution, ExecutionFailed, Longhaul, ProblemError } from "@longhaul/client";

import { isPause } from "./pauses.js";
import { Stack } from "./stack.js";

let stack: Stack;
let longhaul: Longhaul;

before(async () => {
  stack = await Stack.start();
  longhaul = new Longhaul({ baseUrl: stack.api });
});
after(() => stack.stop());

/** For hanging tests: much longer than any of them takes, even on a busy machine. */
const timeout = 600_000;

for (const pattern of ["sync", "callback"] as const) {
  test(`${pattern}: run returns the job's result`, { timeout }, async () => {
    const input = { order: 7, "größe": [1, 2.5, null] };
    const done = await longhaul.executions.run("echo", input, { tags: { team: "blue" }, pattern });
    assert.equal(done.status, "COMPLETED");
    assert.deepEqual([done.result, done.input, done.tags], [input, input, { team: "blue" }]);
  });

  test(`${pattern}: run throws the execution of a failed job`, { timeout }, async () => {
    await assert.rejects(longhaul.executions.run("fails", 1, { pattern }), (error) => {
      assert(error instanceof ExecutionFailed);
      assert.equal(error.execution.status, "FAILED");
      assert.equal(error.execution.error.exitCode, 3);
      assert.match(error.message, /^execution .* is FAILED: .*3/);
      assert.equal(error.executionId, error.execution.executionId);
      assert.match(error.requestId ?? "", /./);
      return true;
    });
  });
}

test("a file is uploaded, and its job leaves one behind", { timeout }, async () => {
  const file = randomBytes(1_000_000);
  const sha256 = createHash("sha256").update(file).digest("hex");
  const { uploadId, ...target } = await longhaul.uploads.create({ bytes: file.length, sha256 });
  const sent = await fetch(target.url, { method: target.method, headers: target.headers, body: file });
  assert.equal(sent.status, 200, await sent.text());
  const done = await longhaul.executions.run("copies", null, { inputUpload: uploadId });
  const [copy] = done.artifacts ?? [];
  assert.deepEqual([copy?.name, copy?.sha256], ["copy", sha256]);
  assert.deepEqual(Buffer.from(await (await fetch(copy?.url ?? "")).arrayBuffer()), file);
});

test("a result has the type that its parser gives it", { timeout }, async () => {
  const parse = (result: unknown) => {
    const [number] = result as unknown[];
    if (typeof number !== "number") throw new RangeError("not a number");
    return number;
  };
  const { result } = await longhaul.executions.run("echo", [41], { parse });
  assert.equal(result + 1, 42);
  await assert.rejects(longhaul.executions.run("echo", ["41"], { parse }), RangeError);
});

test("a big integer in a result keeps its digits with a custom parser", { timeout }, async () => {
  const big = "12345678901234567891";
  const quoted = (text: string) => text.replace(/(?<=[:[,])\d{16,}(?=[\]},])/g, (digits) => `"${digits}n"`);
  const revived = (_: string, value: unknown) =>
    typeof value === "string" && /^\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value;
  const parseJson = (text: string): unknown => JSON.parse(quoted(text), revived);
  const job = "big";
  const rounded = await longhaul.executions.run(job, 1);
  assert.deepEqual(rounded.result, { id: Number(big) });
  const { result } = await new Longhaul({ baseUrl: stack.api, parseJson }).executions.run(job, 1);
  assert.deepEqual(result, { id: BigInt(big) });
});

test("the error for an invalid body names every mistake", { timeout }, async () => {
  await assert.rejects(longhaul.executions.start("nope", 1, { timeoutSeconds: 0 }), (error) => {
    assert(error instanceof ProblemError);
    assert.equal(error.code, "invalid-body");
    assert.deepEqual(error.problem.errors?.map(({ pointer }) => pointer).sort(), ["/job", "/timeoutSeconds"]);
    assert.deepEqual([error.executionId, error.requestId], [undefined, error.problem.requestId]);
    return error.status === 422;
  });
});

test("every call with an unknown execution throws a problem", { timeout }, async () => {
  for (const executionId of ["0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c", "no/such?id"]) {
    const { executions } = longhaul;
    const calls = [
      () => executions.get(executionId),
      () => executions.wait(executionId),
      () => executions.cancel(executionId),
      () => executions.rerun(executionId),
      () => executions.logs(executionId).next(),
      () => executions.history(executionId).next(),
    ];
    for (const call of calls) {
      await assert.rejects(call, (error) => {
        assert(error instanceof ProblemError);
        assert.deepEqual([error.code, error.executionId], ["execution-not-found", executionId]);
        return error.requestId === error.problem.requestId;
      });
    }
  }
});

test("a wait reports every change once, and ends with the signal while the job continues", { timeout }, async () => {
  const started = await longhaul.executions.start("demo", { message: "Hello", processingTime: 5 });
  const abort = new AbortController();
  const onUpdate = () => abort.abort(new Error("enough"));
  await assert.rejects(longhaul.executions.wait(started, { signal: abort.signal, onUpdate }), /enough/);

  const seen: Execution[] = [];
  const end = await longhaul.executions.wait(started.executionId, { onUpdate: (execution) => seen.push(execution) });
  assert.equal(end.status, "COMPLETED");
  assert.equal(seen.at(-1)?.status, "COMPLETED");
  assert.equal(new Set(seen.map((execution) => JSON.stringify(execution))).size, seen.length);
});

test("after a held response, the next request follows at once", { timeout }, async () => {
  const timers = mock.method(globalThis, "setTimeout");
  const pauses = () => timers.mock.calls.filter((call) => isPause(call.arguments)).length;
  const looks: { began: number; ended: number; held: boolean }[] = [];
  const watched = async (...args: Parameters<typeof fetch>) => {
    const began = pauses();
    const answer = await fetch(...args);
    looks.push({ began, ended: pauses(), held: answer.headers.has("preference-applied") });
    return answer;
  };
  // Two attempts with some seconds between them, so that the execution changes more than once while a response is held.
  const { executionId } = await longhaul.executions.start("fails", 1, { retry: { maxAttempts: 2 } });
  await new Longhaul({ baseUrl: stack.api, fetch: watched }).executions.wait(executionId);
  timers.mock.restore();
  const held = looks.filter((look, nth) => look.held && nth + 1 < looks.length);
  assert.notEqual(held.length, 0);
  for (const look of held) assert.equal(looks[looks.indexOf(look) + 1]?.began, look.ended, "it paused");
});

test("a wait ends when a cancelled execution has ended, and its job can be run again", { timeout }, async () => {
  const { executionId } = await longhaul.executions.start("demo", { message: "Hello", processingTime: 600 });
  const asked = await longhaul.executions.cancel(executionId);
  assert(["CANCELLING", "CANCELLED"].includes(asked.status), asked.status);
  const end = await longhaul.executions.wait(executionId);
  assert.equal(end.status, "CANCELLED");
  assert.equal((await longhaul.executions.cancel(executionId)).status, "CANCELLED");

  const key = { idempotencyKey: crypto.randomUUID() };
  const again = await longhaul.executions.rerun(executionId, key);
  assert.equal(again.rerunOf, executionId);
  assert.equal((await longhaul.executions.rerun(executionId, key)).executionId, again.executionId);
  await longhaul.executions.cancel(again.executionId);
});

test("with an aborted signal, nothing is started", { timeout }, async () => {
  let sent = 0;
  const counting = new Longhaul({ baseUrl: stack.api, fetch: (...args) => (sent++, fetch(...args)) });
  const signal = AbortSignal.abort(new Error("too late"));
  await assert.rejects(counting.executions.run("demo", 1, { signal }), /too late/);
  assert.equal(sent, 0);
});

test("a repeated key returns the same execution, and is refused with another body", { timeout }, async () => {
  const key = { idempotencyKey: crypto.randomUUID() };
  const first = await longhaul.executions.start("echo", 1, { pattern: "callback", ...key });
  const again = await longhaul.executions.start("echo", 1, { pattern: "callback", ...key });
  assert.equal(again.executionId, first.executionId);
  const reused = (error: unknown) => error instanceof ProblemError && error.code === "idempotency-key-reused";
  await assert.rejects(longhaul.executions.start("echo", 2, { pattern: "callback", ...key }), reused);
});

test("fifty concurrent runs return their own results", { timeout }, async () => {
  const runs = Array.from({ length: 50 }, (_, n) => longhaul.executions.run("echo", [n], { pattern: "callback" }));
  const results = (await Promise.all(runs)).map(({ result }) => result);
  assert.deepEqual(results, [...results.keys()].map((n) => [n]));
});

test("a batch starts many jobs, says which it refuses, and is waited for", { timeout }, async () => {
  const input = (number: number) => ({ job: "echo", input: [number] });
  const executions = [input(0), input(1), { job: "none", input: null }, { job: "fails", input: 3, pattern: "callback" as const }];
  const options = { idempotencyKey: "batch" };
  const started = await longhaul.batches.start(executions, options);
  assert.deepEqual([started.total, started.accepted], [4, 3]);
  assert.deepEqual(started.refused.map(({ index, errors }) => [index, errors[0]?.pointer]), [[2, "/job"]]);
  assert.deepEqual(await longhaul.batches.start(executions, options), started);
  let updates = 0;
  const done = await longhaul.batches.wait(started, { onUpdate: () => (updates += 1) });
  assert.deepEqual(done.counts, { COMPLETED: 2, FAILED: 1 });
  assert.deepEqual([done.progress, updates > 0], [1, true]);
  assert.deepEqual(await longhaul.batches.get(started.batchId), done);
  const statuses = [];
  for await (const { status } of longhaul.executions.list({ batch: started.batchId })) statuses.push(status);
  assert.deepEqual(statuses.sort(), ["COMPLETED", "COMPLETED", "FAILED"]);
});

test("an execution that is scheduled can be moved, and cancelled", { timeout }, async () => {
  const startAt = "2099-01-01T00:00:00Z";
  const tooFar = (error: unknown) => error instanceof ProblemError && error.problem.errors?.[0]?.pointer === "/startAt";
  await assert.rejects(longhaul.executions.start("echo", 1, { startAt }), tooFar);
  const { executionId, status } = await longhaul.executions.start("echo", 1, { delaySeconds: 86_400 });
  assert.equal(status, "SCHEDULED");
  const soon = new Date(Date.now() + 3_600_000).toISOString();
  const moved = await longhaul.executions.change(executionId, { startAt: soon, tags: { team: "red" } });
  assert.deepEqual([moved.scheduledFor, moved.tags], [soon, { team: "red" }]);
  assert.equal((await longhaul.executions.cancel(executionId)).status, "CANCELLED");
  const over = (error: unknown) => error instanceof ProblemError && error.code === "not-scheduled";
  await assert.rejects(longhaul.executions.change(executionId, { startAt: null }), over);
});

test("a schedule is defined once, triggered, paused and deleted", { timeout }, async () => {
  const { schedules, executions } = longhaul;
  const start = { job: "echo", input: [17] };
  const nightly = { cron: "0 2 * * *", timeZone: "Europe/Berlin", pattern: "sync" as const, start };
  const created = await schedules.put("nightly", nightly);
  assert.equal(created.nextTimes.length, 5);
  assert.deepEqual(await schedules.put("nightly", nightly), created);
  const done = await executions.wait(await schedules.trigger("nightly"));
  assert.deepEqual([done.status, done.schedule], ["COMPLETED", "nightly"]);
  assert.equal((await schedules.get("nightly")).last?.executionId, done.executionId);
  assert.equal((await schedules.pause("nightly")).paused, true);
  assert.equal((await schedules.resume("nightly")).paused, false);
  assert.deepEqual((await schedules.list()).map(({ name }) => name), ["nightly"]);
  const started = [];
  for await (const { executionId } of executions.list({ schedule: "nightly" })) started.push(executionId);
  assert.deepEqual(started, [done.executionId]);
  await schedules.delete("nightly");
  await assert.rejects(schedules.get("nightly"), (error) => error instanceof ProblemError && error.status === 404);
});
