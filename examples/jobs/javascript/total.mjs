// Adds numbers: a job in JavaScript. Needs nothing but Node.

import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

let stopped = false;
process.on("SIGTERM", () => {
  stopped = true;
});

let order;
try {
  order = JSON.parse(readFileSync(0, "utf8"));
} catch (error) {
  console.error(`the input is not JSON: ${error.message}`);
  process.exit(2);
}
if (!Array.isArray(order?.numbers) || !order.numbers.every(Number.isSafeInteger)) {
  console.error("the input needs a list of whole numbers in `numbers`");
  process.exit(2);
}

let total = 0;
let added = 0;
for (const number of order.numbers) {
  if (stopped) break;
  await sleep((order.secondsEach ?? 0) * 1000);
  total += number;
  added += 1;
  console.log(`added ${added} of ${order.numbers.length}`);
}

writeFileSync(process.env.EXECUTION_RESULT_FILE, JSON.stringify({ total, added }));
// Not process.exit(): it may end the program before everything is printed.
process.exitCode = added === order.numbers.length ? 0 : 75;
