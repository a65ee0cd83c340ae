/** Tests of the types. Compiling this file is the test. */

import type { CompletedExecution, Execution, ExecutionFailed, FinalExecution, Status } from "@longhaul/client";
import { ApiError, isFinal, Longhaul, LonghaulError, ProblemError } from "@longhaul/client";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Equal<A, B>): void => undefined;

type Final = "COMPLETED" | "FAILED" | "TIMED_OUT" | "CANCELLED" | "EXPIRED";
same<Execution["status"], "SCHEDULED" | "PENDING" | "RUNNING" | "CANCELLING" | Final>(true);
same<FinalExecution["status"], Final>(true);

export function narrows(execution: Execution): string {
  // @ts-expect-error: a running execution has no result yet
  void execution.result;
  switch (execution.status) {
    case "COMPLETED":
      // @ts-expect-error: a completed execution has no error
      void execution.error;
      // @ts-expect-error: the result has not been checked
      void execution.result.anything;
      return execution.finishedAt;
    case "FAILED":
    case "TIMED_OUT":
    case "CANCELLED":
    case "EXPIRED":
      return execution.error.message;
    case "SCHEDULED":
    case "PENDING":
    case "RUNNING":
    case "CANCELLING":
      // @ts-expect-error: the execution has not ended
      void execution.finishedAt;
      return execution.deadline;
    default:
      // Every status is handled.
      return execution satisfies never;
  }
}

export function narrowsByEnd(execution: Execution): string {
  // @ts-expect-error: the execution may not have ended
  void execution.finishedAt;
  return isFinal(execution) ? execution.finishedAt : execution.createdAt;
}

export function narrowsErrors(error: unknown, failed: ExecutionFailed): void {
  if (error instanceof ProblemError && error.code === "invalid-body") void error.problem.errors?.[0]?.pointer;
  if (error instanceof ApiError) same<typeof error.status, number>(true);
  if (error instanceof LonghaulError) {
    same<typeof error.executionId, string | undefined>(true);
    same<typeof error.requestId, string | undefined>(true);
  }
  if (failed.execution.status === "TIMED_OUT") void failed.execution.error.message;
  // @ts-expect-error: a failure is never a success
  void (failed.execution.status === "COMPLETED");
  // @ts-expect-error: there is no such code
  void (error instanceof ProblemError && error.code === "no-such-code");
}

export async function anyJob(): Promise<void> {
  const longhaul = new Longhaul({ baseUrl: "http://127.0.0.1:8080", timeout: 10_000, maxRetries: 3, logger: console });
  const plain = await longhaul.executions.run("demo", 1);
  same<typeof plain, CompletedExecution<unknown>>(true);
  const parsed = await longhaul.executions.run("demo", 1, { parse: Number });
  same<typeof parsed.result, number>(true);
  // @ts-expect-error: a job has an input
  await longhaul.executions.start("demo");
  // @ts-expect-error: the request has no such field
  await longhaul.executions.start("demo", 1, { timoutSeconds: 2 });
  await longhaul.executions.start("demo", 1, { timeoutSeconds: 2, tags: { team: "blue" }, retry: { maxAttempts: 3 } });
  for await (const listed of longhaul.executions.list({ status: "FAILED", pageSize: 10, include: "result,error" })) {
    same<typeof listed.status, Status>(true);
    same<typeof listed.result, unknown>(true);
    // @ts-expect-error: a list has no inputs
    void listed.input;
  }
  // @ts-expect-error: there is no such status
  longhaul.executions.list({ status: "DONE" });
  // @ts-expect-error: the client fetches the pages
  longhaul.executions.list({ pageToken: "x" });
  for await (const { text } of longhaul.executions.logs("an-id", { follow: true, tail: 10 })) same<typeof text, string>(true);
  // @ts-expect-error: baseUrl is required
  new Longhaul({});
}

interface Jobs {
  report: { input: { month: string }; result: { url: string } };
  cleanup: { input: null; result: null };
}

export async function typedJobs(): Promise<void> {
  const { executions } = new Longhaul<Jobs>({ baseUrl: "http://127.0.0.1:8080" });
  const started = await executions.start("report", { month: "2026-11" });
  same<typeof started, Execution<{ url: string }>>(true);
  const ended = await executions.wait(started);
  same<typeof ended, FinalExecution<{ url: string }>>(true);
  if (ended.status === "COMPLETED") same<typeof ended.result, { url: string }>(true);
  if (ended.status === "FAILED") same<typeof ended.result, unknown>(true);
  const { result } = await executions.run("report", { month: "2026-11" });
  same<typeof result, { url: string }>(true);
  const parsed = await executions.run("cleanup", null, { parse: String });
  same<typeof parsed.result, string>(true);
  const byId = await executions.wait("an-id");
  same<typeof byId, FinalExecution<unknown>>(true);
  // @ts-expect-error: there is no such job
  await executions.start("reprot", { month: "2026-11" });
  // @ts-expect-error: the input of another job
  await executions.start("report", null);
  // @ts-expect-error: a field of the input is missing
  await executions.run("report", {});
  // @ts-expect-error: no such job to list
  executions.list({ job: "reprot" });
  // @ts-expect-error: a job has an input and a result
  new Longhaul<{ broken: string }>({ baseUrl: "http://127.0.0.1:8080" });
}
