/** Looking around: what there is, what it printed and what was done for it, fetched page by page as it is wanted. */

import type { Longhaul } from "./client.js";
import { ApiError } from "./errors.js";
import { getExecutionHistory, getExecutionLogs, listExecutions, listJobs } from "./generated/sdk.gen.js";
import type {
  ExecutionSummary,
  GetExecutionHistoryData,
  GetExecutionLogsData,
  ListExecutionsData,
  LogLine,
  Operation,
  Job,
} from "./generated/types.gen.js";
import { answered, type CallOptions, pause, retryAfter } from "./retry.js";

/** Which executions; all of the caller's if empty. `pageSize` is how many are fetched at once. */
export type ListFilter = Omit<NonNullable<ListExecutionsData["query"]>, "pageToken">;

export type HistoryFilter = Omit<NonNullable<GetExecutionHistoryData["query"]>, "pageToken">;

export interface LogOptions extends CallOptions, Omit<NonNullable<GetExecutionLogsData["query"]>, "nextToken"> {
  /** Goes on with what the task prints later, until it is over. */
  follow?: boolean;
}

/** How long to wait for new lines, if the answer does not say. */
const FOLLOW_MS = 2_000;

/** The caller's executions, newest first. Who stops asking for more asks for no more pages. */
export async function* list(
  client: Longhaul,
  filter: ListFilter = {},
  options?: CallOptions,
): AsyncGenerator<ExecutionSummary, void, undefined> {
  const look = (query: ListFilter) => answered((signal) => listExecutions({ client, query, signal }), options);
  for await (const { executions } of pages(filter, look)) yield* executions;
}

/** What an execution's workflow did, operation by operation. */
export async function* history(
  client: Longhaul,
  executionId: string,
  filter: HistoryFilter = {},
  options?: CallOptions,
): AsyncGenerator<Operation, void, undefined> {
  const path = { executionId };
  const look = (query: HistoryFilter) =>
    answered((signal) => getExecutionHistory({ client, path, query, signal }), options);
  for await (const { operations } of pages(filter, look)) yield* operations;
}

async function* pages<Filter extends object, Page extends { nextPageToken?: string }>(
  filter: Filter,
  look: (query: Filter & { pageToken?: string }) => Promise<{ data: Page | undefined; response: Response }>,
): AsyncGenerator<Page, void, undefined> {
  for (let pageToken = {}; ; ) {
    const page = body(await look({ ...filter, ...pageToken }));
    yield page;
    if (page.nextPageToken === undefined) return;
    pageToken = { pageToken: page.nextPageToken };
  }
}

/** What an execution's task has printed so far, line by line; with `follow` also what it prints from now on. */
export async function* logs(
  client: Longhaul,
  executionId: string,
  { follow = false, signal, onRetry, ...filter }: LogOptions = {},
): AsyncGenerator<LogLine, void, undefined> {
  const path = { executionId };
  let query: NonNullable<GetExecutionLogsData["query"]> = filter;
  const options = { ...(signal && { signal }), ...(onRetry && { onRetry }) };
  for (;;) {
    const look = (signal: AbortSignal) => getExecutionLogs({ client, path, query, signal });
    const answer = await answered(look, options);
    const { lines, nextToken } = body(answer);
    yield* lines;
    // Only the same token again says that there is nothing new: a page without lines may have lines behind it.
    const nothingNew = lines.length === 0 && nextToken === query.nextToken;
    if (nextToken === undefined || (nothingNew && !follow)) return;
    query = { nextToken };
    if (nothingNew) await pause(retryAfter(answer.response) ?? FOLLOW_MS, signal);
  }
}

/** The jobs that may be run. */
export async function jobs(client: Longhaul, options?: CallOptions): Promise<Job[]> {
  return body(await answered((signal) => listJobs({ client, signal }), options)).jobs;
}

/** What is between us and the API may answer 200 with a page of its own. */
function body<Data>({ data, response }: { data: Data | undefined; response: Response }): Data & object {
  if (typeof data !== "object" || data === null) throw new ApiError(response, data);
  return data;
}
