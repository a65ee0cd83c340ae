/** Stands in for an API Gateway: everything is under a stage's path, and the API behind it does not know. */

import { once } from "node:events";
import { createServer, request as send } from "node:http";
import type { AddressInfo } from "node:net";

export async function underStage(stage: string, api: string): Promise<{ url: string; close: () => void }> {
  const server = createServer((request, response) => {
    const path = request.url ?? "/";
    if (!path.startsWith(`${stage}/`)) {
      response.writeHead(404).end();
      return;
    }
    const { method, headers } = request;
    const forwarded = send(api + path.slice(stage.length), { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    forwarded.on("error", () => response.destroy());
    request.pipe(forwarded);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${stage}`, close };
}
