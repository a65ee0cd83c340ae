/** What the type checker has to know. Compiling is the test. */

import type { Completed, Execution, ExecutionFailed, FinalExecution, Status } from "@longhaul/client";
import { ApiError, createLonghaul, isFinal, list, logs, ProblemError, runSync } from "@longhaul/client";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Equal<A, B>): void => undefined;

type Final = "COMPLETED" | "FAILED" | "TIMED_OUT" | "CANCELLED";
same<Execution["status"], "PENDING" | "RUNNING" | "CANCELLING" | Final>(true);
same<FinalExecution["status"], Final>(true);

export function narrows(execution: Execution): string {
  // @ts-expect-error: one that runs has no result yet
  void execution.result;
  switch (execution.status) {
    case "COMPLETED":
      // @ts-expect-error: one that completed has no error
      void execution.error;
      // @ts-expect-error: nobody has looked at the result yet
      void execution.result.anything;
      return execution.finishedAt;
    case "FAILED":
    case "TIMED_OUT":
    case "CANCELLED":
      return execution.error.message;
    case "PENDING":
    case "RUNNING":
    case "CANCELLING":
      // @ts-expect-error: it is not over
      void execution.finishedAt;
      return execution.deadline;
    default:
      // Every status is spoken for.
      return execution satisfies never;
  }
}

export function narrowsByEnd(execution: Execution): string {
  // @ts-expect-error: it may not be over
  void execution.finishedAt;
  return isFinal(execution) ? execution.finishedAt : execution.createdAt;
}

export function narrowsErrors(error: unknown, failed: ExecutionFailed): void {
  if (error instanceof ProblemError && error.problem.code === "invalid-body") void error.problem.errors?.[0]?.pointer;
  if (error instanceof ApiError) void error.response.status;
  if (failed.execution.status === "TIMED_OUT") void failed.execution.error.message;
  // @ts-expect-error: a failure is never a success
  void (failed.execution.status === "COMPLETED");
  // @ts-expect-error: codes are known by name
  void (error instanceof ProblemError && error.problem.code === "no-such-code");
}

export async function types(): Promise<void> {
  const longhaul = createLonghaul({ baseUrl: "http://127.0.0.1:8080" });
  const plain = await runSync(longhaul, { input: 1 });
  same<typeof plain, Completed<unknown>>(true);
  const parsed = await runSync(longhaul, { input: 1 }, { parse: Number });
  same<typeof parsed.result, number>(true);
  // @ts-expect-error: a job has an input
  await runSync(longhaul, {});
  // @ts-expect-error: and no field that the API does not know
  await runSync(longhaul, { input: 1, inptu: 2 });
  for await (const listed of list(longhaul, { status: "FAILED", pageSize: 10, include: "result,error" })) {
    same<typeof listed.status, Status>(true);
    same<typeof listed.result, unknown>(true);
    // @ts-expect-error: a list has no inputs
    void listed.input;
  }
  // @ts-expect-error: no execution is ever in this state
  list(longhaul, { status: "DONE" });
  // @ts-expect-error: the pages are the client's own affair
  list(longhaul, { pageToken: "x" });
  for await (const { text } of logs(longhaul, "an-id", { follow: true, tail: 10 })) same<typeof text, string>(true);
  // @ts-expect-error: an installation is somewhere
  createLonghaul({});
}
