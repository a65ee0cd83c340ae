/** Failures of networks and servers: lost replies, refusals, closed connections and crashes. */

import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, mock, test } from "node:test";

import { ApiError, bearer, ConnectionError, isFinal, Longhaul } from "@longhaul/client";

import { isPause } from "./pauses.js";
import { Stack } from "./stack.js";

let stack: Stack;

before(async () => {
  stack = await Stack.start();
});
after(() => stack.stop());

/** For hanging tests: much longer than any of them takes, even on a busy machine. */
const timeout = 600_000;

/** For calls that must fail without a retry. */
const atOnce = { onRetry: (error: Error) => assert.fail(`retried: ${error}`) };

/** Runs an HTTP server for the duration of a test. */
async function serving<T>(listener: RequestListener, use: (baseUrl: string) => Promise<T>): Promise<T> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test("a wait survives a restart of the server", { timeout }, async () => {
  const longhaul = new Longhaul({ baseUrl: stack.api });
  const { executionId } = await longhaul.executions.start("demo", { message: "Hello", processingTime: 3600 });
  const seen = new EventEmitter();
  const wait = longhaul.executions.wait(executionId, {
    onUpdate: (execution) => seen.emit(execution.status),
    onRetry: (error) => seen.emit("failure", error),
  });
  await once(seen, "RUNNING");
  await stack.kill();
  // The server stays down until the wait has failed to reach it twice.
  for (const _ of ["first failure", "failed retry"]) {
    const [error] = await once(seen, "failure");
    assert(error instanceof ConnectionError && error.cause instanceof TypeError);
    assert.equal(error.executionId, executionId);
  }
  await stack.restart();
  await longhaul.executions.cancel(executionId);
  assert(isFinal(await wait));
});

test("a start whose response is lost starts one execution", { timeout }, async () => {
  const answers: { id: string; replayed: string | null }[] = [];
  const losesTheFirst: RequestListener = async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString();
    const headers = new Headers();
    for (const name of ["content-type", "idempotency-key"]) {
      const value = request.headers[name];
      if (typeof value === "string") headers.set(name, value);
    }
    const answer = await fetch(stack.api + request.url, { method: "POST", headers, body });
    const text = await answer.text();
    const { executionId } = JSON.parse(text) as { executionId: string };
    answers.push({ id: executionId, replayed: answer.headers.get("idempotent-replayed") });
    if (answers.length === 1) response.destroy();
    else response.writeHead(answer.status, { "content-type": "application/json" }).end(text);
  };
  const { executionId } = await serving(losesTheFirst, (baseUrl) =>
    new Longhaul({ baseUrl }).executions.start("echo", 1),
  );
  assert.deepEqual(answers, [
    { id: executionId, replayed: null },
    { id: executionId, replayed: "true" },
  ]);
});

test("throttled calls are retried after Retry-After", { timeout }, async () => {
  const tries: number[] = [];
  const throttles = async (...args: Parameters<typeof fetch>): Promise<Response> => {
    tries.push(performance.now());
    const message = JSON.stringify({ message: "Too Many Requests" });
    return tries.length > 1 ? fetch(...args) : new Response(message, { status: 429, headers: { "retry-after": "1" } });
  };
  const longhaul = new Longhaul({ baseUrl: stack.api, fetch: throttles });
  const heard: Error[] = [];
  await longhaul.executions.start("echo", 1, { onRetry: (error) => heard.push(error) });
  const [first = NaN, second = NaN] = tries;
  assert(second - first >= 990, `retried after ${second - first} ms`);
  assert(heard[0] instanceof ApiError && heard[0].status === 429);
});

for (const status of [408, 425, 429, 500, 502, 503, 504]) {
  test(`a wait continues after a ${status}, after Retry-After`, { timeout }, async () => {
    const statuses = [status, 200];
    const answers = async () => {
      const now = statuses.shift() ?? 200;
      const body = { executionId: "an-id", done: true, status: "COMPLETED" };
      return now === 200 ? Response.json(body) : new Response("", { status: now, headers: { "retry-after": "7" } });
    };
    const pauses: number[] = [];
    const { setTimeout: inEarnest } = globalThis;
    const skipped = mock.method(globalThis, "setTimeout", (...timer: Parameters<typeof setTimeout>) => {
      if (!isPause(timer)) return inEarnest(...timer);
      pauses.push(timer[1] ?? NaN);
      return inEarnest(timer[0]);
    });
    await new Longhaul({ baseUrl: "http://longhaul.test", fetch: answers }).executions.wait("an-id");
    skipped.mock.restore();
    assert.equal(pauses.length, 1);
    for (const ms of pauses) assert(ms >= 7000 && ms <= 8750, `paused for ${ms} ms`);
  });
}

for (const status of [400, 401, 403, 404, 409, 410, 413, 415, 422]) {
  test(`a wait ends at a ${status}`, { timeout }, async () => {
    const answers = async () => Response.json({ message: "no" }, { status });
    const longhaul = new Longhaul({ baseUrl: "http://longhaul.test", fetch: answers });
    const refused = (error: unknown) => error instanceof ApiError && error.status === status;
    await assert.rejects(longhaul.executions.wait("an-id", atOnce), refused);
  });
}

const granted = { "preference-applied": "wait=20" };
for (const { what, etag, applied, status } of [
  { what: "ignores a wait", etag: { etag: '"1"' }, status: 304 },
  { what: "does not hold a wait", etag: { etag: '"1"' }, applied: granted, status: 304 },
  { what: "returns the same state again", etag: { etag: '"1"' }, applied: granted, status: 200 },
  { what: "sends no ETag", status: 200 },
]) {
  test(`a server that ${what} is polled after Retry-After`, { timeout }, async () => {
    // Pauses are skipped, and recorded with the request that follows them.
    const pauses: number[] = [];
    const { setTimeout: inEarnest } = globalThis;
    const skipped = mock.method(globalThis, "setTimeout", (...timer: Parameters<typeof setTimeout>) => {
      if (!isPause(timer)) return inEarnest(...timer);
      pauses.push(timer[1] ?? NaN);
      return inEarnest(timer[0]);
    });
    const tries: { pauses: number[]; prefers: string | null }[] = [];
    const answers = async (input: Parameters<typeof fetch>[0]) => {
      tries.push({ pauses: pauses.splice(0), prefers: (input as Request).headers.get("prefer") });
      const headers = { "retry-after": "1", ...etag, ...(tries.length > 1 && applied) };
      const running = { executionId: "an-id", done: false, status: "RUNNING" };
      if (tries.length === 4) return Response.json({ ...running, done: true, status: "COMPLETED" });
      if (tries.length > 1 && status === 304) return new Response(null, { status, headers });
      return Response.json(running, { headers });
    };
    await new Longhaul({ baseUrl: "http://old.test", fetch: answers }).executions.wait("an-id");
    skipped.mock.restore();
    const prefers = etag ? "wait=20" : null;
    assert.deepEqual(tries.map(({ prefers }) => prefers), [null, prefers, prefers, prefers]);
    // A request without a wait is followed at once by one with a wait.
    assert.deepEqual(tries.map(({ pauses }) => pauses.length), [0, etag ? 0 : 1, 1, 1]);
    for (const ms of tries.flatMap(({ pauses }) => pauses)) assert(ms >= 1000 && ms <= 1250, `paused for ${ms} ms`);
  });
}

test("a truncated response is requested again", { timeout }, async () => {
  let calls = 0;
  const breaksOff: RequestListener = async (request, response) => {
    const answer = await fetch(stack.api + request.url);
    const text = await answer.text();
    response.writeHead(answer.status, { "content-type": "application/json", "content-length": text.length });
    if (++calls > 1) response.end(text);
    else response.write(text.slice(0, 20), () => response.destroy());
  };
  const { executionId } = await new Longhaul({ baseUrl: stack.api }).executions.start("echo", 1);
  const execution = await serving(breaksOff, (baseUrl) => new Longhaul({ baseUrl }).executions.get(executionId));
  assert.deepEqual([execution.executionId, calls], [executionId, 2]);
});

test("a silent connection times out and the request is repeated", { timeout }, async () => {
  const { executionId } = await new Longhaul({ baseUrl: stack.api }).executions.start("echo", 1);
  let calls = 0;
  const silentAtFirst: RequestListener = async (request, response) => {
    if (++calls === 1) return;
    const answer = await fetch(stack.api + request.url);
    response.writeHead(answer.status, { "content-type": "application/json" }).end(await answer.text());
  };
  const { timeout: inEarnest } = AbortSignal;
  const hurry = (ms: number) => inEarnest.call(AbortSignal, ms / 100);
  const hurried = mock.method(AbortSignal, "timeout", hurry, { times: 1 });
  const execution = await serving(silentAtFirst, (baseUrl) => new Longhaul({ baseUrl }).executions.get(executionId));
  hurried.mock.restore();
  assert.deepEqual([execution.executionId, calls], [executionId, 2]);
});

test("the stage in the base URL is kept", { timeout }, async () => {
  const longhaul = new Longhaul({
    baseUrl: "http://gateway.test/prod/",
    fetch: async (input) => {
      const { url } = input as Request;
      assert(url.startsWith("http://gateway.test/prod/executions/"), url);
      return Response.json({ message: "Forbidden" }, { status: 403 });
    },
  });
  await assert.rejects(longhaul.executions.run("demo", 1), (error) => {
    assert(error instanceof ApiError);
    assert.deepEqual(error.body, { message: "Forbidden" });
    return error.status === 403;
  });
});

test("an HTML page instead of a response is an error", { timeout }, async () => {
  const headers = { "content-type": "text/html" };
  const page = async () => new Response("<h1>Sign in to the guest network</h1>", { headers });
  const longhaul = new Longhaul({ baseUrl: "http://portal.test", fetch: page });
  await assert.rejects(longhaul.executions.wait("an-id"), ApiError);
});

test("a start without any response fails after the retries", { timeout }, async () => {
  let calls = 0;
  const refuses = () => (calls++, Promise.reject(new TypeError("connection refused")));
  const longhaul = new Longhaul({ baseUrl: "http://nobody.test", fetch: refuses });
  mock.timers.enable({ apis: ["setTimeout"] });
  const onRetry = () => setImmediate(() => mock.timers.runAll());
  await assert.rejects(longhaul.executions.start("demo", 1, { onRetry }), (error) => {
    assert(error instanceof ConnectionError && error.cause instanceof TypeError);
    return error.message === "no response: connection refused" && error.requestId === undefined;
  });
  mock.timers.reset();
  assert.equal(calls, 8);
});

for (const [what, token, thrown] of [
  ["fails", () => Promise.reject(new Error("no token")), /no token/],
  ["throws a TypeError", () => (undefined as unknown as { token: string }).token, TypeError],
  ["parses invalid JSON", () => JSON.parse("undefined") as string, SyntaxError],
  ["is not a valid header", () => "two\nlines", TypeError],
] as const) {
  test(`a token that ${what} is not fetched again`, { timeout }, async () => {
    const longhaul = new Longhaul({ baseUrl: stack.api, authorize: bearer(token) });
    await assert.rejects(longhaul.executions.wait("an-id", atOnce), thrown);
  });
}

test("a token whose own connection failed is fetched again", { timeout }, async () => {
  const nowhere = await serving(() => undefined, async (url) => url);
  const broken = [
    () => fetch(nowhere),
    () => fetch(nowhere, { signal: AbortSignal.timeout(0) }),
    () => Promise.reject(new TypeError("Failed to fetch")),
    () => Promise.reject(new TypeError("NetworkError when attempting to fetch resource.")),
    () => Promise.reject(new TypeError("Load failed")),
  ];
  const left = [...broken];
  const authorize = bearer(async () => (await left.shift()?.(), "a-token"));
  const answers = async () => Response.json({ executionId: "an-id" });
  const longhaul = new Longhaul({ baseUrl: "http://longhaul.test", authorize, fetch: answers });
  mock.timers.enable({ apis: ["setTimeout"] });
  const heard: Error[] = [];
  const onRetry = (error: Error) => (heard.push(error), setImmediate(() => mock.timers.runAll()));
  const execution = await longhaul.executions.get("an-id", { onRetry });
  mock.timers.reset();
  assert.deepEqual([execution.executionId, heard.length], ["an-id", broken.length]);
});

test("an invalid base URL is refused at once", () => {
  for (const baseUrl of ["127.0.0.1:8080", "localhost:8080", "/prod", ""])
    assert.throws(() => new Longhaul({ baseUrl }), TypeError, baseUrl);
});

const circle: unknown[] = [];
circle.push(circle);
for (const [what, input, options, thrown] of [
  ["a circular input", circle, {}, /^TypeError: Converting circular/],
  ["a BigInt", { order: 7n }, {}, /^TypeError: Do not know how to serialize a BigInt/],
  ["a key that is not a valid header", 1, { idempotencyKey: "東京" }, TypeError],
] as const) {
  test(`${what} is refused before anything is sent`, { timeout }, async () => {
    const sends = async () => assert.fail("sent");
    const longhaul = new Longhaul({ baseUrl: "http://longhaul.test", fetch: sends });
    await assert.rejects(longhaul.executions.start("demo", input, { ...options, ...atOnce }), thrown);
  });
}

test("a response with truncated JSON is requested again", { timeout }, async () => {
  const texts = ['{"executionId":', '{"executionId":"an-id"}'];
  const answers = async () => new Response(texts.shift(), { headers: { "content-type": "application/json" } });
  const execution = await new Longhaul({ baseUrl: "http://longhaul.test", fetch: answers }).executions.get("an-id");
  assert.deepEqual([execution.executionId, texts], ["an-id", []]);
});

test("a parser that throws is not called again", { timeout }, async () => {
  const answers = async () => Response.json({ executionId: "an-id" });
  const parseJson = () => JSON.parse("undefined") as unknown;
  const longhaul = new Longhaul({ baseUrl: "http://longhaul.test", fetch: answers, parseJson });
  await assert.rejects(longhaul.executions.wait("an-id", atOnce), /parseJson cannot read a response/);
});
