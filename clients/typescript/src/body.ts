/** The bodies of successful responses. */

import type { Answer } from "./connection.js";
import { ApiError } from "./errors.js";
import type { Execution } from "./execution.js";
import type { Execution as Flat } from "./generated/types.gen.js";

/** The body of a response. It is checked, because a proxy in front of the API may answer with 200 and an HTML page. */
export function body<Data>({ data, response }: Answer<Data>, executionId?: string): Data & object {
  if (typeof data !== "object" || data === null) throw new ApiError(response, data, executionId);
  return data;
}

/** The body of a response that must be an execution. */
export function executionOf<Result>(answer: Answer<Flat>, executionId?: string): Execution<Result> {
  const execution = body(answer, executionId);
  if (!("executionId" in execution)) throw new ApiError(answer.response, execution, executionId);
  return execution as Execution<Result>;
}
