/** Settings of an instance, and calls that override them. */

import assert from "node:assert/strict";
import { after, before, mock, test } from "node:test";

import { ApiError, ConnectionError, type LonghaulOptions, Longhaul, ProblemError } from "@longhaul/client";

const baseUrl = "http://longhaul.test";
const id = "an-id";
const unavailable = async () => new Response("", { status: 503, headers: { "apigw-requestid": "request-1" } });

// Keeps Node running: the timers of `AbortSignal.timeout` alone do not.
let alive: NodeJS.Timeout;
before(() => void (alive = setInterval(() => undefined, 1_000)));
after(() => clearInterval(alive));

const completed = { executionId: id, done: true, status: "COMPLETED" };

/** Counts the requests of a call that must fail. Pauses are skipped. */
async function requests(options: Partial<LonghaulOptions>, call: (client: Longhaul) => Promise<unknown>): Promise<number> {
  let sent = 0;
  const send = options.fetch ?? unavailable;
  const client = new Longhaul({ baseUrl, ...options, fetch: (...args) => (sent++, send(...args)) });
  const { setTimeout: inEarnest } = globalThis;
  const hurried = mock.method(globalThis, "setTimeout", (...timer: Parameters<typeof setTimeout>) => inEarnest(timer[0]));
  try {
    await assert.rejects(call(client));
  } finally {
    hurried.mock.restore();
  }
  return sent;
}

test("a request is repeated seven times unless maxRetries says otherwise", async () => {
  const start = (client: Longhaul) => client.executions.start("demo", 1);
  assert.equal(await requests({}, start), 8);
  assert.equal(await requests({ maxRetries: 2 }, start), 3);
  assert.equal(await requests({ maxRetries: 0 }, start), 1);
  assert.equal(await requests({ maxRetries: 2 }, ({ jobs }) => jobs.list({ maxRetries: 1 })), 2);
});

test("a wait is repeated until the call itself limits it", async () => {
  const answers = Array.from({ length: 20 }, unavailable);
  const send = async () => (await answers.shift()) ?? Response.json({ message: "no" }, { status: 403 });
  const wait = ({ executions }: Longhaul) => executions.wait(id);
  assert.equal(await requests({ maxRetries: 2, fetch: send }, wait), 21);
  assert.equal(await requests({}, ({ executions }) => executions.wait(id, { maxRetries: 1 })), 2);
});

test("a request ends at its timeout, which a call may override", { timeout: 60_000 }, async () => {
  const silent = (input: Parameters<typeof fetch>[0]) =>
    new Promise<Response>((_, reject) => {
      const { signal } = input as Request;
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  const client = new Longhaul({ baseUrl, timeout: 30_000, maxRetries: 0, fetch: silent });
  await assert.rejects(client.executions.get(id, { timeout: 20 }), (error) => {
    assert(error instanceof ConnectionError && error.cause instanceof DOMException);
    return error.executionId === id && error.cause.name === "TimeoutError";
  });
  const hasty = new Longhaul({ baseUrl, timeout: 20, maxRetries: 0, fetch: silent });
  await assert.rejects(hasty.executions.cancel(id), ConnectionError);
});

for (const [timeout, prefer] of [[35_000, "wait=20"], [12_000, "wait=7"], [5_000, null]] as const) {
  test(`with a timeout of ${timeout} ms, a wait asks for a hold of ${prefer ?? "nothing"}`, async () => {
    const prefers: (string | null)[] = [];
    const send = async (input: Parameters<typeof fetch>[0]) => {
      prefers.push((input as Request).headers.get("prefer"));
      if (prefers.length > 1) return Response.json(completed, { headers: { etag: '"2"' } });
      const running = { executionId: id, done: false, status: "RUNNING" };
      return Response.json(running, { headers: { etag: '"1"', "retry-after": "0" } });
    };
    await new Longhaul({ baseUrl, timeout, fetch: send }).executions.wait(id);
    assert.deepEqual(prefers, [null, prefer]);
  });
}

test("the logger gets each response and each retry, without inputs and results", async () => {
  const logged: [string, string, Record<string, unknown>][] = [];
  const logger = {
    debug: (message: string, details: object) => logged.push(["debug", message, { ...details }]),
    warn: (message: string, details: object) => logged.push(["warn", message, { ...details }]),
  };
  const answers = [new Response("", { status: 503, headers: { "apigw-requestid": "request-1" } })];
  const last = () => Response.json({ ...completed, result: "secret" }, { headers: { "x-request-id": "request-2" } });
  const client = new Longhaul({ baseUrl, logger, fetch: async () => answers.shift() ?? last() });
  await client.executions.start("demo", "secret");
  assert.deepEqual(logged.map(([level, message, { status, requestId }]) => [level, message, status, requestId]), [
    ["debug", "longhaul: response", 503, "request-1"],
    ["warn", "longhaul: retry", undefined, undefined],
    ["debug", "longhaul: response", 200, "request-2"],
  ]);
  assert.deepEqual([logged[0]?.[2]["method"], logged[0]?.[2]["url"]], ["POST", `${baseUrl}/executions/sync`]);
  assert(!JSON.stringify(logged).includes("secret"));

  const own: string[] = [];
  const mine = { debug: (message: string) => own.push(message), warn: (message: string) => own.push(message) };
  await client.executions.get(id, { logger: mine });
  assert.deepEqual([own, logged.length], [["longhaul: response"], 3]);
});

test("an error names the execution and the request", async () => {
  const client = new Longhaul({ baseUrl, maxRetries: 0, fetch: unavailable });
  await assert.rejects(client.executions.rerun(id), (error) => {
    assert(error instanceof ApiError && !(error instanceof ProblemError));
    return error.executionId === id && error.requestId === "request-1" && error.status === 503;
  });
  const { executions } = new Longhaul({ baseUrl, fetch: async () => new Response("<h1>Sign in</h1>") });
  for (const call of [() => executions.get(id), () => executions.logs(id).next(), () => executions.history(id).next()])
    await assert.rejects(call, (error) => error instanceof ApiError && error.executionId === id);
});

for (const [what, options] of [
  ["a timeout of 0", { timeout: 0 }],
  ["an infinite timeout", { timeout: Infinity }],
  ["a timeout that is not a number", { timeout: NaN }],
  ["a negative number of retries", { maxRetries: -1 }],
] as const) {
  test(`${what} is refused, for an instance and for a call`, async () => {
    assert.throws(() => new Longhaul({ baseUrl, ...options }), RangeError);
    await assert.rejects(new Longhaul({ baseUrl }).executions.get(id, options), RangeError);
  });
}
