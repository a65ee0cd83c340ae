/** Lists that come in pages, fetched on demand. */

import { body } from "./body.js";
import type { Answer, Connection } from "./connection.js";
import { getExecutionLogs } from "./generated/sdk.gen.js";
import type { GetExecutionLogsData, LogLine } from "./generated/types.gen.js";
import { type CallOptions, split } from "./options.js";
import { pause, retryAfter } from "./pause.js";

export interface LogOptions extends CallOptions, Omit<NonNullable<GetExecutionLogsData["query"]>, "nextToken"> {
  /** Also yields the lines that the task prints later, until it has ended. */
  follow?: boolean;
}

/** How long to wait for new lines if the response does not say. */
const FOLLOW_MS = 2_000;

/** Every page of a list, from the first. */
export async function* pages<Query extends object, Page extends { nextPageToken?: string }>(
  query: Query,
  fetched: (query: Query & { pageToken?: string }) => Promise<Answer<Page>>,
  executionId?: string,
): AsyncGenerator<Page, void, undefined> {
  for (let pageToken = {}; ; ) {
    const page = body(await fetched({ ...query, ...pageToken }), executionId);
    yield page;
    if (page.nextPageToken === undefined) return;
    pageToken = { pageToken: page.nextPageToken };
  }
}

/** The lines of a log, which has its own kind of page token. */
export async function* logLines(
  connection: Connection,
  executionId: string,
  options: LogOptions,
): AsyncGenerator<LogLine, void, undefined> {
  const path = { executionId };
  const { call, own } = split(options);
  const { follow = false, ...first } = own;
  let query: NonNullable<GetExecutionLogsData["query"]> = first;
  for (;;) {
    const answer = await connection.answered(
      (client, signal) => getExecutionLogs({ client, path, query, signal }),
      call,
      executionId,
    );
    const { lines, nextToken } = body(answer, executionId);
    yield* lines;
    // Only a repeated token means that there are no new lines. A page without lines may be followed by others.
    const nothingNew = lines.length === 0 && nextToken === query.nextToken;
    if (nextToken === undefined || (nothingNew && !follow)) return;
    query = { nextToken };
    if (nothingNew) await pause(retryAfter(answer.response) ?? FOLLOW_MS, call.signal);
  }
}
