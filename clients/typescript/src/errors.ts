/** What can go wrong, as types that `instanceof` tells apart. */

import type { Problem } from "./generated/types.gen.js";
import type { UnsuccessfulExecution } from "./execution.js";

/** The job is over and did not complete: `execution.status` says how it ended, `execution.error` why. */
export class ExecutionFailed extends Error {
  override readonly name = "ExecutionFailed";

  constructor(readonly execution: UnsuccessfulExecution) {
    super(`execution ${execution.executionId} is ${execution.status}: ${execution.error.message}`);
  }
}

/** The request was answered, but not with what it asked for. `body` is whatever stood in the answer. */
export class ApiError extends Error {
  override readonly name: string = "ApiError";

  constructor(
    readonly response: Response,
    readonly body: unknown,
    message = `${response.status} from ${response.url}`,
  ) {
    super(message);
  }
}

/** Longhaul says what is wrong with the request: `problem.code` for programs, `problem.errors` for forms. */
export class ProblemError extends ApiError {
  override readonly name = "ProblemError";

  constructor(
    response: Response,
    readonly problem: Problem,
  ) {
    super(response, problem, `${problem.title}: ${problem.detail} (request ${problem.requestId})`);
  }
}

/** The answer as the error that it is. */
export function errorOf(response: Response, body: unknown): ApiError {
  const type = response.headers.get("content-type") ?? "";
  const isProblem = type.startsWith("application/problem+json") && typeof body === "object";
  return isProblem ? new ProblemError(response, body as Problem) : new ApiError(response, body);
}
