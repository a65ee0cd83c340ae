/** Servers around an installation: an API Gateway before it, and web pages of other origins. */

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type RequestListener, request as send } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, join } from "node:path";

export interface Site {
  url: string;
  close: () => void;
}

/** Simulates an API Gateway: its paths begin with a stage, which the API behind it does not see. */
export function underStage(stage: string, api: string): Promise<Site> {
  return site(stage, (request, response) => {
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
  });
}

/** A server of another origin with an empty page. */
export function elsewhere(): Promise<Site> {
  return site("", (_, response) => {
    response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>Elsewhere</title>");
  });
}

/** A server of another origin with the files of a folder. */
export function folder(path: string): Promise<Site> {
  return site("", async (request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://any");
    const name = pathname === "/" ? "index.html" : pathname.slice(1);
    const type = name.endsWith(".js") ? "text/javascript" : "text/html";
    try {
      const content = await readFile(join(path, basename(name)));
      response.writeHead(200, { "content-type": type }).end(content);
    } catch {
      response.writeHead(404).end();
    }
  });
}

async function site(path: string, listener: RequestListener): Promise<Site> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, close };
}
