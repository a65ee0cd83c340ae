/** examples/web-page, served from another origin than the API, in Chromium. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

import { Stack } from "../stack.js";
import { folder } from "./stage.js";

const PAGE = fileURLToPath(new URL("../../../../examples/web-page/", import.meta.url));
const QUIET = ["gpu", "quic", "background-networking", "component-update", "sync"].map((what) => `--disable-${what}`);
const patience = 240_000;

test("the page runs a job, and shows why a request is refused", { timeout: 600_000 }, async (t) => {
  const site = await folder(PAGE);
  t.after(() => site.close());
  const stack = await Stack.start("--cors-origin", site.url);
  t.after(() => stack.stop());
  const strict = await Stack.start();
  t.after(() => strict.stop());
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    timeout: patience,
    args: ["--no-sandbox", "--no-first-run", ...QUIET],
  });
  t.after(() => browser.close());
  const page = await browser.newPage();
  page.setDefaultTimeout(patience);
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));

  await page.goto(`${site.url}/?api=${stack.api}`);
  await page.getByLabel("Message").fill("Hello, page");
  await page.getByRole("button").click();
  await page.locator("#result", { hasText: "Hello, page" }).waitFor();
  assert.equal(await page.locator("#status").textContent(), "COMPLETED");
  const { message } = JSON.parse((await page.locator("#result").textContent()) ?? "") as { message: string };
  assert.equal(message, "Hello, page");

  // An installation that does not allow the page's origin.
  await page.goto(`${site.url}/?api=${strict.api}`);
  await page.getByRole("button").click();
  await page.locator("#status", { hasText: /^error: / }).waitFor();
  assert.deepEqual(errors, []);
});
