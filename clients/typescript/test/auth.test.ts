/** Authentication: AWS's published test vectors for SigV4, and botocore 1.44's signatures of this client's requests. */

import assert from "node:assert/strict";
import { before, mock, test } from "node:test";

import { bearer, sigV4 } from "@longhaul/client";

// The key pair and the moment of AWS's "Signature Version 4 test suite".
const credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" };
const region = "us-east-1";
const gateway = "https://a1b2c3.execute-api.us-east-1.amazonaws.com/prod";
before(() => mock.timers.enable({ apis: ["Date"], now: Date.UTC(2015, 7, 30, 12, 36) }));

interface Vector {
  name: string;
  url: string;
  init?: RequestInit;
  signed?: string;
  signature: string;
}

const published: Vector[] = [
  {
    name: "get-vanilla",
    url: "/",
    signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
  },
  {
    name: "get-vanilla-query-order-key-case",
    url: "/?Param2=value2&Param1=value1",
    signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
  },
  {
    name: "get-vanilla-query-order-value",
    url: "/?Param1=value2&Param1=value1",
    signature: "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694",
  },
  {
    name: "get-vanilla-utf8-query",
    url: "/?ሴ=bar",
    signature: "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
  },
  {
    name: "get-header-value-trim",
    url: "/",
    init: { headers: { "My-Header1": " value1", "My-Header2": ' "a   b   c"' } },
    signed: "host;my-header1;my-header2;x-amz-date",
    signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
  },
  {
    name: "post-vanilla",
    url: "/",
    init: { method: "POST" },
    signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
  },
  {
    name: "post-x-www-form-urlencoded",
    url: "/",
    init: { method: "POST", headers: { "Content-Type": "application/x-www-form-urlencoded" }, body: "Param1=value1" },
    signed: "content-type;host;x-amz-date",
    signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
  },
];

for (const { name, url, init, signed = "host;x-amz-date", signature } of published) {
  test(`SigV4: ${name}`, async () => {
    const request = new Request(`https://example.amazonaws.com${url}`, init);
    await sigV4({ region, credentials, service: "service" })(request);
    const scope = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";
    const proof = `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=${signed}, Signature=${signature}`;
    assert.equal(request.headers.get("authorization"), proof);
  });
}

const fromBotocore: Vector[] = [
  {
    name: "a path with reserved characters",
    url: `${gateway}/executions/a%20b%2Fc(1)!'*`,
    signature: "d9be0d9721a27e1e5c190ab71c681b6815a18dc381d879f14eb83c09c95ceaf1",
  },
  {
    name: "a query with names of the same prefix",
    url: `${gateway}/executions?tag=team%3Dblue%20%26%20green&pageToken=a%2Bb%2Fc%3D&pageSize=20&page=1`,
    signature: "e69b0cde9a9455d59ab5c040fe6c3a64ef946f3bebbc312cdb6f4449681b2c33",
  },
  {
    name: "a port",
    url: "https://127.0.0.1:8443/executions",
    signature: "5e663ad4f0cc0e8b744141edf6d35e13928fb2df00d413b3430884e517a6ed38",
  },
];

for (const { name, url, signature } of fromBotocore) {
  test(`SigV4: ${name}`, async () => {
    const request = new Request(url);
    await sigV4({ region, credentials })(request);
    assert.equal(request.headers.get("authorization")?.split("Signature=")[1], signature);
  });
}

test("SigV4: a start with session credentials is signed for each attempt", async () => {
  const request = new Request(`${gateway}/executions/sync`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": "k-1" },
    body: '{"input":{"größe":1}}',
  });
  const sign = sigV4({ region, credentials: async () => ({ ...credentials, sessionToken: "the/session+token=" }) });
  for (const attempt of ["first", "second"]) {
    await sign(request);
    const [, proof] = request.headers.get("authorization")?.split("SignedHeaders=") ?? [];
    const signed = "content-type;host;idempotency-key;x-amz-date;x-amz-security-token";
    const signature = "6991f2035f11b9b2d93fab0eb6888ae9648c5f5afb5fedac094b472b9ec700e4";
    assert.equal(proof, `${signed}, Signature=${signature}`, attempt);
  }
  assert.equal(await request.text(), '{"input":{"größe":1}}');
});

test("a bearer token is fetched before every request", async () => {
  let nth = 0;
  const authorize = bearer(async () => `token-${++nth}`);
  for (const token of ["token-1", "token-2"]) {
    const request = new Request("https://longhaul.test/");
    await authorize(request);
    assert.equal(request.headers.get("authorization"), `Bearer ${token}`);
  }
});
