/** Starts the local stack as a user does. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const BINARY =
  process.env["LONGHAUL_BIN"] ?? fileURLToPath(new URL("../../../target/debug/longhaul", import.meta.url));

/** The jobs of the tests. Each of them ends at once. */
const JOBS = [
  "echo=cat",
  "copies=cp $EXECUTION_INPUT_FILE $EXECUTION_OUTPUT_DIR/copy",
  "fails=echo no >&2; exit 3",
  `big=echo '{"id":12345678901234567891}'`,
];

export class Stack {
  private constructor(
    private readonly data: string,
    private readonly options: string[],
    private child: ChildProcess,
    readonly api: string,
    readonly aws: string,
  ) {}

  get pid(): number {
    if (this.child.pid === undefined) throw new Error("the local stack is not running");
    return this.child.pid;
  }

  static async start(...options: string[]): Promise<Stack> {
    const data = await mkdtemp(join(tmpdir(), "longhaul-"));
    const { child, api, aws } = await launch(data, "127.0.0.1:0", "127.0.0.1:0", options);
    return new Stack(data, options, child, api, aws);
  }

  /** Kills the stack, as a power failure would. */
  async kill(): Promise<void> {
    await ended(this.child, "SIGKILL");
  }

  /** Starts the stack again, at the same addresses and with the same data. */
  async restart(): Promise<void> {
    this.child = (await launch(this.data, new URL(this.api).host, new URL(this.aws).host, this.options)).child;
  }

  async stop(): Promise<void> {
    await ended(this.child, "SIGTERM");
    await rm(this.data, { recursive: true });
  }
}

async function launch(data: string, listen: string, awsListen: string, options: string[]) {
  const jobs = JOBS.flatMap((job) => ["--job", job]);
  const args = ["--json", "--data", data, "--listen", listen, "--aws-listen", awsListen, ...jobs, ...options];
  const env = { RUST_LOG: "error", ...process.env };
  const child = spawn(BINARY, args, { stdio: ["ignore", "pipe", "inherit"], env });
  const failed = once(child, "exit").then(() => Promise.reject(new Error("the local stack did not start")));
  const [line] = await Promise.race([once(createInterface(child.stdout), "line"), failed]);
  const { api, aws } = JSON.parse(String(line)) as { api: string; aws: string };
  return { child, api, aws };
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit", { signal: AbortSignal.timeout(90_000) });
  child.kill(signal);
  await exit;
}
