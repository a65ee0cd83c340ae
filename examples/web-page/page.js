/** Starts a job from a form and follows it. The API is at `?api=URL`, or on this machine. No library, no build step. */

const api = new URLSearchParams(location.search).get("api") ?? "http://127.0.0.1:8080";
const form = document.querySelector("form");
const status = document.querySelector("#status");
const result = document.querySelector("#result");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  form.querySelector("button").disabled = true;
  result.textContent = "";
  try {
    const execution = await ended(await start(form.elements.message.value));
    result.textContent = JSON.stringify(execution.result ?? execution.error, null, 2);
  } catch (error) {
    status.textContent = `error: ${error.message}`;
  } finally {
    form.querySelector("button").disabled = false;
  }
});

/** Starts the demonstration job. The key makes it safe to send the request again. */
async function start(message) {
  const response = await fetch(`${api}/executions/sync`, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": crypto.randomUUID() },
    body: JSON.stringify({ job: "demo", input: { message, processingTime: 1 } }),
  });
  return (await read(response)).executionId;
}

/** Polls an execution until it is over. Each response is held until something changes. */
async function ended(executionId) {
  const headers = {};
  for (;;) {
    const response = await fetch(`${api}/executions/${executionId}`, { headers });
    if (response.status !== 304) {
      const execution = await read(response);
      status.textContent = execution.status;
      if (execution.done) return execution;
      headers["if-none-match"] = response.headers.get("etag");
      headers["prefer"] = "wait=20";
    }
    // Too many requests are held already: poll.
    if (response.headers.get("preference-applied") === "wait=0") await new Promise((resolve) => setTimeout(resolve, 2_000));
  }
}

/** The body of a response, or its problem as an error. */
async function read(response) {
  const body = await response.json();
  if (!response.ok) throw new Error(`${body.title}: ${body.detail} (request ${body.requestId})`);
  return body;
}
