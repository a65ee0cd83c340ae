/** Web pages that a developer visits cannot use the local stack. Tested in Chromium with the real stack. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, readlink, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { type Browser, chromium, type Page } from "playwright-core";

import { Stack } from "../stack.js";
import { elsewhere, type Site } from "./stage.js";

/** The attackers' host names, all of which resolve to this machine. */
const MAPPED = "MAP *.evil.example 127.0.0.1";
const EVIL = "page.evil.example";
const REBOUND = "rebind.evil.example";
const QUIET = ["gpu", "quic", "background-networking", "component-update", "sync"].map((what) => `--disable-${what}`);
const patience = 240_000;
const timeout = 600_000;
const SIGNATURE = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0";
const TABLE = "longhaul-executions";

let stack: Stack;
let browser: Browser;
let other: Site;
let scratch: string;
let running: string;
let finished: string;

interface Attempt {
  url: string;
  body?: string;
  headers?: Record<string, string>;
}

const aws = (target: string, body: unknown) =>
  fetch(stack.aws, {
    method: "POST",
    headers: { authorization: SIGNATURE, "x-amz-date": "20260101T000000Z", "x-amz-target": target, "content-type": "application/x-amz-json-1.0" },
    body: JSON.stringify(body),
  });
const lambda = (path: string) => fetch(`${stack.aws}/2015-03-31${path}`, { headers: { authorization: SIGNATURE } });
const marker = (name: string) => join(scratch, name);
const execution = async (id: string) => (await fetch(`${stack.api}/executions/${id}`)).json() as Promise<{ status: string; done: boolean }>;

async function start(job: string): Promise<string> {
  const answer = await fetch(`${stack.api}/executions/sync`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ job, input: null }),
  });
  assert.equal(answer.status, 202);
  return ((await answer.json()) as { executionId: string }).executionId;
}

async function eventually<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (const deadline = Date.now() + patience; Date.now() < deadline; ) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`timed out waiting for ${what}`);
}

/** The addresses on which the stack's process listens, from /proc. */
async function listeners(pid: number): Promise<string[]> {
  const sockets = new Set<string>();
  for (const fd of await readdir(`/proc/${pid}/fd`)) {
    const to = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => "");
    const socket = /^socket:\[(\d+)\]$/.exec(to)?.[1];
    if (socket !== undefined) sockets.add(socket);
  }
  const lines = (await readFile("/proc/net/tcp", "utf8")).split("\n").slice(1);
  return lines.flatMap((line) => {
    const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
    if (local === undefined || state !== "0A" || !sockets.has(inode ?? "")) return [];
    const [address, port] = local.split(":") as [string, string];
    const bytes = address.match(/../g)?.reverse().map((byte) => Number.parseInt(byte, 16)) ?? [];
    return [`${bytes.join(".")}:${Number.parseInt(port, 16)}`];
  });
}

before(async () => {
  scratch = await mkdtemp(join(tmpdir(), "longhaul-guard-"));
  other = await elsewhere();
  stack = await Stack.start("--job", "long=sleep 600");
  running = await start("long");
  finished = await start("echo");
  await eventually("the job to run", async () => ((await execution(running)).status === "RUNNING" ? true : undefined));
  await eventually("the other job to end", async () => ((await execution(finished)).done ? true : undefined));
  browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    timeout: patience,
    args: ["--no-sandbox", "--no-first-run", `--host-resolver-rules=${MAPPED}`, ...QUIET],
  });
});
after(async () => {
  await browser?.close();
  other?.close();
  await stack?.stop();
  await rm(scratch, { recursive: true });
});

/** Harmful requests to the AWS endpoints: they run a command, break something, or read data. */
function attacks(base: string, name: string): Attempt[] {
  const created = {
    FunctionName: name,
    PackageType: "Image",
    Role: "arn:aws:iam::000000000000:role/any",
    Code: { ImageUri: `local:touch ${marker(name)}` },
  };
  const definition = {
    family: name,
    containerDefinitions: [{ name: "job", image: "any", entryPoint: ["touch"], command: [marker(name)] }],
  };
  const target = (service: string, body: unknown): Attempt => ({
    url: `${base}/`,
    body: JSON.stringify(body),
    headers: { "x-amz-target": service },
  });
  const ecs = "AmazonEC2ContainerServiceV20141113";
  return [
    { url: `${base}/2015-03-31/functions`, body: JSON.stringify(created) },
    { url: `${base}/2015-03-31/functions/${name}/invocations`, body: "{}" },
    { url: `${base}/2015-03-31/functions/?X-Amz-Algorithm=AWS4-HMAC-SHA256`, body: JSON.stringify(created) },
    { url: `${base}/2015-03-31/functions/longhaul-sync:live/invocations`, body: JSON.stringify({ page: name }) },
    target(`${ecs}.RegisterTaskDefinition`, definition),
    target(`${ecs}.RunTask`, { cluster: "longhaul", taskDefinition: name }),
    target("DynamoDB_20120810.DeleteTable", { TableName: TABLE }),
    target("DynamoDB_20120810.Scan", { TableName: TABLE }),
    target("AWSEvents.PutRule", { Name: name, EventPattern: '{"source":["aws.ecs"]}' }),
    target("Logs_20140328.CreateLogGroup", { logGroupName: name }),
    { url: `${base}/_local/faults`, body: JSON.stringify({ on: "*", does: "fail", times: "all" }) },
    { url: `${base}/_local/kill`, body: JSON.stringify({ by: "task" }) },
    { url: `${base}/_local/clock`, body: JSON.stringify({ forward: 86_400 }) },
  ];
}

/** State-changing requests to the API. Some of them need no body. */
const changes = (base: string): Attempt[] => [
  { url: `${base}/executions/${running}/cancel` },
  { url: `${base}/executions/${finished}/rerun` },
  { url: `${base}/executions/sync`, body: JSON.stringify({ job: "echo", input: "a page" }) },
];

/** Sends each request in every way that a page can, and returns the responses that the page could read. */
async function everyWay(page: Page, attempts: Attempt[]): Promise<string[]> {
  return page.evaluate(async (all: Attempt[]) => {
    const readable: string[] = [];
    for (const { url, body, headers } of all) {
      for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/json"]) {
        for (const mode of ["no-cors", "cors"] as const) {
          const sent = { method: "POST", mode, headers: { ...headers, "content-type": type }, body: body ?? null };
          const answer = await fetch(url, sent).catch(() => undefined);
          if (answer?.ok && answer.type !== "opaque") readable.push(`${url}: ${await answer.text()}`);
        }
      }
      const bare = await fetch(url, { method: "POST", mode: "no-cors", body: body ?? null }).catch(() => undefined);
      if (bare?.ok) readable.push(url);
      const read = await fetch(url, { headers: headers ?? {} }).catch(() => undefined);
      if (read?.ok) readable.push(`${url}: ${await read.text()}`);
      navigator.sendBeacon(url, body ?? "");
      const form = document.createElement("form");
      form.method = "post";
      form.enctype = "text/plain";
      form.action = url;
      const frame = document.createElement("iframe");
      frame.name = form.target = `f${Math.random()}`;
      // A text/plain form sends `name=value`. That is JSON only if the equals sign is within a string.
      const [name, value] = [body?.replace(/}$/, ',"x":"') ?? "", '"}'];
      const input = document.createElement("input");
      Object.assign(input, { name, value });
      form.append(input);
      document.body.append(frame, form);
      const loaded = new Promise((resolve) => frame.addEventListener("load", resolve));
      form.submit();
      await Promise.race([loaded, new Promise((resolve) => setTimeout(resolve, 500))]);
    }
    return readable;
  }, attempts);
}

/** Submits a form that replaces the page, which no rule about frames prevents. */
async function topLevel(origin: string, attempt: Attempt): Promise<void> {
  const page = await browser.newPage();
  await page.goto(origin);
  const arrived = page.waitForEvent("framenavigated", { timeout: patience });
  await page.evaluate(({ url, body }: Attempt) => {
    const form = document.createElement("form");
    Object.assign(form, { method: "post", enctype: "text/plain", action: url });
    const input = document.createElement("input");
    Object.assign(input, { name: body?.replace(/}$/, ',"x":"') ?? "", value: '"}' });
    form.append(input);
    document.body.append(form);
    form.submit();
  }, attempt);
  await arrived;
  await page.close();
}

/** Checks that the requests had no effect. */
async function assertNoEffect(name: string): Promise<void> {
  const faults = (await (await fetch(`${stack.aws}/_local/faults`)).json()) as { faults: unknown[] };
  assert.deepEqual(faults.faults, [], "no fault is armed");
  const functions = await (await lambda("/functions/")).text();
  assert.ok(!functions.includes(`"${name}"`), "no function is made");
  const durable = await fetch(`${stack.aws}/2025-12-01/functions/longhaul-sync/durable-executions?Qualifier=live`, {
    headers: { authorization: SIGNATURE },
  });
  const workflows = ((await durable.json()) as { DurableExecutions: unknown[] }).DurableExecutions;
  assert.equal(workflows.length, 2, "no workflow is started");
  const families = await (await aws("AmazonEC2ContainerServiceV20141113.ListTaskDefinitions", {})).text();
  assert.ok(!families.includes(name), "no task definition is made");
  assert.ok(!existsSync(marker(name)), "no command is run");
  const rules = await (await aws("AWSEvents.ListRules", {})).text();
  assert.ok(!rules.includes(name), "no rule is made");
  const table = await (await aws("DynamoDB_20120810.Scan", { TableName: TABLE })).json();
  // Workers' reports are in the same table, and have no pattern.
  const executions = (table as { Items: Record<string, unknown>[] }).Items.filter((item) => item["pattern"]);
  assert.equal(executions.length, 2, "the table is unchanged");
  assert.equal((await execution(running)).status, "RUNNING", "nothing is cancelled or killed");
  const list = (await (await fetch(`${stack.api}/executions`)).json()) as { executions: unknown[] };
  assert.equal(list.executions.length, 2, "no execution is started");
}

async function onPage(url: string, use: (page: Page) => Promise<void>): Promise<void> {
  const page = await browser.newPage();
  page.setDefaultTimeout(patience);
  await page.goto(url);
  await use(page);
  await page.close();
}

const port = (url: string) => new URL(url).port;
/** Pages of an attacker: under another host name, which is another site, and on another port of this machine, which is another origin. */
const pages: [string, () => string][] = [
  ["another site", () => `http://${EVIL}:${port(other.url)}`],
  ["another port of this machine", () => other.url],
];

for (const [what, from] of pages) {
  test(`a page of ${what} cannot use the AWS endpoints`, { timeout }, async () => {
    const name = `aws-${what.replaceAll(" ", "-")}`;
    await onPage(from(), async (page) => {
      assert.deepEqual(await everyWay(page, attacks(stack.aws, name)), []);
    });
    for (const attempt of attacks(stack.aws, name)) await topLevel(from(), attempt);
    await assertNoEffect(name);
  });

  test(`a page of ${what} changes nothing through the API`, { timeout }, async () => {
    await onPage(from(), async (page) => {
      assert.deepEqual(await everyWay(page, changes(stack.api)), []);
    });
    for (const attempt of changes(stack.api)) await topLevel(from(), attempt);
    await assertNoEffect("api");
  });

  test(`a page of ${what} reaches no other port of the stack`, { timeout }, async () => {
    // After an invocation, a function's process and its Runtime API stay for a minute.
    const invoked = await fetch(`${stack.aws}/2015-03-31/functions/longhaul-reconciler/invocations`, {
      method: "POST",
      headers: { authorization: SIGNATURE },
      body: JSON.stringify({ visit: finished }),
    });
    assert.equal(invoked.status, 200);
    const open = await listeners(stack.pid);
    assert.ok(open.length > 2, "no Runtime API was found");
    const known = [stack.api, stack.aws].map((url) => new URL(url).host);
    assert.deepEqual(known.filter((address) => !open.includes(address)), [], "a known port was not found");
    let refused = 0;
    await onPage(from(), async (page) => {
      for (const address of open.filter((one) => !known.includes(one))) {
        const name = `port-${address}`;
        const base = `http://${address}`;
        const runtime: Attempt[] = [
          { url: `${base}/2018-06-01/runtime/init/error`, body: '{"errorMessage":"a page"}' },
          { url: `${base}/2018-06-01/runtime/invocation/any/response`, body: "{}" },
        ];
        assert.deepEqual(await everyWay(page, [...attacks(base, name), ...runtime]), []);
        for (const attempt of runtime) {
          const sent = fetch(attempt.url, { method: "POST", headers: { origin: from() }, body: attempt.body ?? "" });
          // The port is closed if the function has been idle for a minute.
          const status = await sent.then((answer) => answer.status, () => undefined);
          if (status === undefined) continue;
          assert.equal(status, 403, "a Runtime API answered a page");
          refused += 1;
        }
      }
    });
    assert.ok(refused > 0, "no Runtime API refused a request");
    await assertNoEffect("port");
  });
}

test("a host name that is rebound to this machine is refused", { timeout }, async () => {
  for (const base of [stack.api, stack.aws]) {
    const rebound = `http://${REBOUND}:${port(base)}`;
    await onPage(rebound, async (page) => {
      // These requests are same-origin, so there is no preflight and every response could be read.
      const attempts = base === stack.aws ? attacks(rebound, "rebound") : changes(rebound);
      const signed = attempts.map((attempt) => ({ ...attempt, headers: { ...attempt.headers, authorization: SIGNATURE } }));
      assert.deepEqual(await everyWay(page, [...attempts, ...signed]), []);
      const paths = ["/", "/healthz", "/docs/", "/openapi.json", "/executions", "/_local/faults", "/2015-03-31/functions/"];
      for (const path of paths) {
        const status = await page.evaluate(async (url) => (await fetch(url)).status, rebound + path);
        assert.equal(status, 421, path);
      }
    });
  }
  await assertNoEffect("rebound");
});
