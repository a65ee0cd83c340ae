/** The package has only the needed files, and bundlers include only what is used. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));

test("the package has only the needed files, and works when installed", { timeout: 60_000 }, async () => {
  const dir = await mkdtemp(join(tmpdir(), "longhaul-pack-"));
  try {
    const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", dir], { cwd: root });
    const [packed] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }];
    const paths = packed.files.map(({ path }) => path);
    const other = paths.filter((path) => !/^dist\/[\w./-]+(\.js|\.d\.ts)$/.test(path));
    assert.deepEqual(other.sort(), ["LICENSE", "README.md", "package.json"]);

    await writeFile(join(dir, "package.json"), "{}");
    await run("npm", ["install", "--offline", `./${packed.filename}`], { cwd: dir });
    const use =
      'import { Longhaul } from "@longhaul/client"; import { getHealth } from "@longhaul/client/operations";';
    await run("node", ["--input-type", "module", "--eval", `${use} console.log(Longhaul, getHealth)`], { cwd: dir });
    const manifest = JSON.parse(await readFile(join(dir, "package-lock.json"), "utf8")) as { packages: object };
    assert.deepEqual(Object.keys(manifest.packages), ["", "node_modules/@longhaul/client"]);
  } finally {
    await rm(dir, { recursive: true });
  }
});

/** The hand-written modules in a bundle of these names, and its gzipped size. */
async function bundled(names: string): Promise<{ modules: string[]; text: string; size: number }> {
  const { outputFiles, metafile } = await build({
    stdin: { contents: `export { ${names} } from "@longhaul/client"`, resolveDir: root },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    write: false,
    metafile: true,
    absWorkingDir: root,
  });
  const inputs = Object.values(metafile.outputs).flatMap(({ inputs }) => Object.entries(inputs));
  const modules = inputs.filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([path]) => path);
  const text = outputFiles.map((file) => file.text).join();
  return { modules: modules.filter((path) => !path.includes("/generated/")), text, size: gzipSync(text).length };
}

test("a bundle contains only what is used", async (t) => {
  const one = await bundled("sigV4");
  assert.deepEqual(one.modules, ["dist/sigv4.js"]);

  const everything = await bundled("Longhaul, bearer, sigV4, isFinal");
  assert(!everything.text.includes("/healthz"), "the bundle contains an unused operation");
  t.diagnostic(`gzipped: sigV4 ${one.size} B, everything ${everything.size} B`);
  assert(everything.size < 9_000, `${everything.size} bytes`);
});
