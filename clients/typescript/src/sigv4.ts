/** AWS Signature Version 4 with the platform's cryptography: authenticates an IAM principal to API Gateway. */

import type { Authorize } from "./auth.js";

export interface AwsCredentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string | undefined;
}

export interface SigV4Options {
  region: string;
  /** Credentials, or a function that fetches them, such as a provider of the AWS SDK. */
  credentials: AwsCredentials | (() => Promise<AwsCredentials>);
  /** The service that the signature is for. */
  service?: string;
}

const ALGORITHM = "AWS4-HMAC-SHA256";

export function sigV4({ region, credentials, service = "execute-api" }: SigV4Options): Authorize {
  return async (request) => {
    const { accessKeyId, secretAccessKey, sessionToken } =
      typeof credentials === "function" ? await credentials() : credentials;
    const time = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
    request.headers.set("x-amz-date", time);
    if (sessionToken !== undefined) request.headers.set("x-amz-security-token", sessionToken);

    const { signedHeaders, text } = await canonical(request);
    const scope = [time.slice(0, 8), region, service, "aws4_request"];
    const toSign = [ALGORITHM, time, scope.join("/"), await sha256(utf8(text))].join("\n");
    let key: BufferSource = utf8(`AWS4${secretAccessKey}`);
    for (const part of scope) key = await hmac(key, part);
    const signature = hex(await hmac(key, toSign));
    const credential = `${accessKeyId}/${scope.join("/")}`;
    const proof = `${ALGORITHM} Credential=${credential}, SignedHeaders=${signedHeaders}, Signature=${signature}`;
    request.headers.set("authorization", proof);
  };
}

/** The canonical request, which is signed. */
async function canonical(request: Request): Promise<{ signedHeaders: string; text: string }> {
  const url = new URL(request.url);
  const headers = [...request.headers, ["host", url.host] as const]
    .filter(([name]) => name !== "authorization")
    .sort(byName);
  const signedHeaders = headers.map(([name]) => name).join(";");
  const query = [...url.searchParams].map(([name, value]) => [encode(name), encode(value)] as const).sort(byName);
  const text = [
    request.method,
    // For every service except S3, the path is encoded once more than in the request.
    url.pathname.split("/").map(encode).join("/"),
    query.map((pair) => pair.join("=")).join("&"),
    ...headers.map(([name, value]) => `${name}:${value.trim().replace(/ +/g, " ")}`),
    "",
    signedHeaders,
    await sha256(await request.clone().arrayBuffer()),
  ].join("\n");
  return { signedHeaders, text };
}

type Pair = readonly [string, string];

/** Sorted by code points, not by locale. Pairs with the same name are sorted by value. */
function byName([a, x]: Pair, [b, y]: Pair): number {
  if (a !== b) return a < b ? -1 : 1;
  return x < y ? -1 : Number(x > y);
}

/** Encodes as in RFC 3986: `encodeURIComponent` leaves five characters unencoded that AWS encodes. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function hex(bytes: ArrayBuffer): string {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function sha256(bytes: BufferSource): Promise<string> {
  return hex(await crypto.subtle.digest("SHA-256", bytes));
}

async function hmac(key: BufferSource, text: string): Promise<ArrayBuffer> {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return crypto.subtle.sign("HMAC", imported, utf8(text));
}
