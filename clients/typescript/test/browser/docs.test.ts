/** The documentation page in Chromium, at the root and under an API Gateway's stage. */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { type Browser, chromium, type Locator, type Page, type Response } from "playwright-core";

import type { Execution, Problem } from "@longhaul/client";
import { Stack } from "../stack.js";
import { elsewhere, type Site, underStage } from "./stage.js";

const SCREENSHOTS = fileURLToPath(new URL("../../../../target/screenshots", import.meta.url));
const root = fileURLToPath(new URL("../..", import.meta.url));
/** Options that keep Chromium from contacting its own servers. */
const QUIET = ["gpu", "quic", "background-networking", "component-update", "sync"].map((what) => `--disable-${what}`);

/** The timeout of page operations, which take long on a busy machine. */
const patience = 240_000;
const timeout = 600_000;

let stack: Stack;
let browser: Browser;
let stage: Site;
let other: Site;

before(async () => {
  await mkdir(SCREENSHOTS, { recursive: true });
  other = await elsewhere();
  stack = await Stack.start("--cors-origin", other.url);
  stage = await underStage("/prod", stack.api);
  browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    timeout: patience,
    args: ["--no-sandbox", "--no-first-run", ...QUIET],
  });
});
after(async () => {
  await browser.close();
  stage.close();
  other.close();
  await stack.stop();
});

/** Opens the page of an installation. No resource may fail to load, cause an error, or come from another server. */
async function onDocs(base: string, use: (page: Page) => Promise<void>): Promise<void> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 1700 } });
  page.setDefaultTimeout(patience);
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (/Content.Security.Policy/i.test(message.text())) complaints.push(message.text());
  });
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(`${base}/`) && !url.startsWith("data:")) complaints.push(`requests ${url}`);
  });
  page.on("response", (response) => {
    const isPage = !response.url().includes("/executions");
    if (isPage && response.status() >= 400) complaints.push(`${response.status()} ${response.url()}`);
  });
  await page.goto(`${base}/docs`);
  await page.locator("#operations-executions-startSyncExecution").waitFor();
  await use(page);
  await page.close();
  assert.deepEqual(complaints, []);
}

/** Opens an operation's block and presses "Try it out". */
async function open(page: Page, operationId: string): Promise<Locator> {
  const block = page.locator(`#operations-executions-${operationId}`);
  await block.locator(".opblock-summary-control").click();
  await block.getByRole("button", { name: "Try it out" }).click();
  return block;
}

/** The input of an operation's parameter. */
const input = (block: Locator, name: string) => block.locator(`tr[data-param-name="${name}"] input`);

/** Presses "Execute", and returns the response once it is shown. */
async function execute(page: Page, block: Locator): Promise<Response> {
  const answer = page.waitForResponse((response) => response.url().includes("/executions"));
  await block.getByRole("button", { name: "Execute" }).click();
  const response = await answer;
  await block.locator(".live-responses-table .response-col_status", { hasText: `${response.status()}` }).waitFor();
  return response;
}

test("an open operation fits on the screen, and examples are only placeholders", { timeout }, () =>
  onDocs(stack.api, async (page) => {
    let placeholders = 0;
    for (const block of await page.locator(".opblock").all()) {
      const id = await block.getAttribute("id");
      await block.locator(".opblock-summary-control").click();
      await block.locator(".responses-table").waitFor();
      const height = (await block.boundingBox())?.height ?? 0;
      assert.ok(height < 2600, `${id} is ${height} px tall`);
      for (const field of await block.locator(".parameters-col_description input").all()) {
        assert.equal(await field.inputValue(), "", `${id} fills in nothing`);
      }
      for (const example of ["wait=10", "team=blue", "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c"]) {
        placeholders += await block.getByPlaceholder(example, { exact: true }).count();
      }
      await block.locator(".opblock-summary-control").click();
    }
    assert.ok(placeholders >= 11, `${placeholders} examples are placeholders`);
  }));

for (const [name, base] of [["root", () => stack.api], ["stage", () => stage.url]] as const) {
  const shot = async (part: Locator, what: string) => {
    await part.evaluate((element) => element.scrollIntoView());
    await part.page().screenshot({ path: `${SCREENSHOTS}/${name}-${what}.png` });
  };
  const onPage = (what: string, use: (page: Page) => Promise<void>) =>
    test(`${name}: ${what}`, { timeout }, () => onDocs(base(), use));

  onPage("the page shows every operation of the document", async (page) => {
    const { paths } = (await (await fetch(`${base()}/openapi.json`)).json()) as { paths: Record<string, object> };
    const operations = Object.values(paths).flatMap((path) => Object.keys(path));
    assert.equal(await page.locator(".opblock").count(), operations.length);
    await shot(page.locator("body"), "docs");
  });

  onPage("the page has its title and icon", async (page) => {
    assert.equal(await page.title(), "Longhaul API");
    const icon = await page.locator("link[rel=icon]").evaluate((link: HTMLLinkElement) => link.href);
    assert.equal(icon, `${base()}/docs/icon.svg`);
    assert.equal((await fetch(icon)).headers.get("content-type"), "image/svg+xml");
  });

  onPage("an error is one row until its example is opened", async (page) => {
    const block = page.locator("#operations-executions-startSyncExecution");
    await block.locator(".opblock-summary-control").click();
    const error = block.locator('tr[data-code="422"]');
    assert.match(await error.innerText(), /invalid-body.*idempotency-key-reused/);
    assert.equal(await error.locator(".example").count(), 0);
    await shot(block, "operation");
    await error.getByRole("button", { name: "Example" }).click();
    await error.locator(".example", { hasText: '"code": "idempotency-key-reused"' }).waitFor();
  });

  onPage("a link of a response opens an operation with the id filled in", async (page) => {
    const start = await open(page, "startSyncExecution");
    const { executionId } = (await (await execute(page, start)).json()) as Execution;
    for (const [link, operationId] of [["execution", "getExecution"], ["cancel", "cancelExecution"]] as const) {
      await start.locator('.responses-table tr[data-code="202"]').getByRole("button", { name: link, exact: true }).click();
      const target = page.locator(`#operations-executions-${operationId}`);
      await input(target, "executionId").waitFor();
      assert.equal(await input(target, "executionId").inputValue(), executionId);
    }
  });

  for (const operationId of ["startSyncExecution", "startCallbackExecution"]) {
    onPage(`${operationId} accepts its examples unchanged, and the execution can be polled`, async (page) => {
      const start = await open(page, operationId);
      const select = start.locator(".opblock-section-request-body .examples-select select");
      const examples = await select.locator("option").allInnerTexts();
      assert.notEqual(examples.length, 0);
      let executionId = "";
      for (const [nth, example] of examples.entries()) {
        await select.selectOption(example);
        const started = await execute(page, start);
        assert.equal(started.status(), 202);
        ({ executionId } = (await started.json()) as Execution);
        await shot(start, `${operationId}-${nth + 1}`);
      }

      const follow = await open(page, "getExecution");
      assert.equal(await input(follow, "executionId").inputValue(), executionId, "the id is filled in");
      let execution: Execution;
      do {
        const answer = await execute(page, follow);
        assert.equal(answer.status(), 200);
        execution = (await answer.json()) as Execution;
      } while (!execution.done);
      assert.equal(execution.status, "COMPLETED");
      await shot(follow, `${operationId}-completed`);
    });
  }

  onPage("an unknown execution is shown as a problem", async (page) => {
    const block = await open(page, "getExecution");
    await input(block, "executionId").fill("nothing");
    const answer = await execute(page, block);
    assert.equal(answer.status(), 404);
    assert.equal(((await answer.json()) as Problem).code, "execution-not-found");
    await shot(block, "problem");
  });

  test(`${name}: the client runs a job from a page of another origin`, { timeout }, async () => {
    const contents = 'export { Longhaul } from "@longhaul/client"';
    const stdin = { contents, resolveDir: root };
    const { outputFiles } = await build({ stdin, bundle: true, format: "iife", globalName: "client", write: false });
    const page = await browser.newPage();
    page.setDefaultTimeout(patience);
    await page.goto(other.url);
    await page.addScriptTag({ content: outputFiles.map(({ text }) => text).join() });
    const results = await page.evaluate(`(async (longhaul) => [
      (await longhaul.executions.run("echo", [1, "ö"])).result,
      await longhaul.executions.run("fails", 1).catch((error) => error.execution.error.exitCode),
      await longhaul.executions.run("nope", 1).catch((error) => error.code),
    ])(new client.Longhaul({ baseUrl: ${JSON.stringify(base())} }))`);
    assert.deepEqual(results, [[1, "ö"], 3, "invalid-body"]);
    await page.close();
  });
}
