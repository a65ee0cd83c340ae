/** The errors of this client, as classes for `instanceof`. */

import type { UnsuccessfulExecution } from "./execution.js";
import type { Code, Problem } from "./generated/types.gen.js";

/** Where an error comes from, for support and for logs. */
export interface Origin {
  executionId?: string | undefined;
  requestId?: string | undefined;
  cause?: unknown;
}

/** The base class of `ConnectionError`, `ExecutionFailed`, `ApiError` and `ProblemError`. */
export class LonghaulError extends Error {
  override readonly name: string = "LonghaulError";
  /** The execution that the call was about; absent if there is none yet, as when a start is refused. */
  readonly executionId: string | undefined;
  /** The request's id in the API's logs; absent if no response had one. */
  readonly requestId: string | undefined;

  constructor(message: string, { executionId, requestId, cause }: Origin = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.executionId = executionId;
    this.requestId = requestId;
  }
}

/** No response: the connection failed or the request timed out, and so did all retries. `cause` is what `fetch` threw. */
export class ConnectionError extends LonghaulError {
  override readonly name = "ConnectionError";
}

/** The execution is over and did not complete: `execution.status` says how it ended, `execution.error` why. */
export class ExecutionFailed extends LonghaulError {
  override readonly name = "ExecutionFailed";

  constructor(
    readonly execution: UnsuccessfulExecution,
    origin: Origin = {},
  ) {
    const { executionId, status, error } = execution;
    super(`execution ${executionId} is ${status}: ${error.message}`, { ...origin, executionId });
  }
}

/** An error response, or one with an unexpected body, such as the HTML page of a proxy. `body` is that body, parsed if it is JSON. */
export class ApiError extends LonghaulError {
  override readonly name: string = "ApiError";
  readonly status: number;

  constructor(
    readonly response: Response,
    readonly body: unknown,
    executionId?: string,
    message = `${response.status} from ${response.url}`,
  ) {
    super(message, { executionId, requestId: requestIdOf(response) });
    this.status = response.status;
  }
}

/** Longhaul refuses the request: `code` says why, for programs; `problem.errors` lists the mistakes in a body. */
export class ProblemError extends ApiError {
  override readonly name = "ProblemError";
  readonly code: Code;

  constructor(
    response: Response,
    readonly problem: Problem,
    executionId?: string,
  ) {
    super(response, problem, executionId, `${problem.title}: ${problem.detail} (request ${problem.requestId})`);
    this.code = problem.code;
  }
}

/** The error for an error response. */
export function errorOf(response: Response, body: unknown, executionId?: string): ApiError {
  const type = response.headers.get("content-type") ?? "";
  const isProblem = type.startsWith("application/problem+json") && typeof body === "object";
  return isProblem ? new ProblemError(response, body as Problem, executionId) : new ApiError(response, body, executionId);
}

/** The API's id of a request, or API Gateway's if the request did not get further. */
export function requestIdOf(response: Response): string | undefined {
  return response.headers.get("x-request-id") ?? response.headers.get("apigw-requestid") ?? undefined;
}
