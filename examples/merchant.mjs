// A payment from Node, without any package: NODE_EXTRA_CA_CERTS=trust.pem node examples/merchant.mjs test.key
import { readFileSync } from "node:fs";

const url = process.env.TALLYSTICK_API_URL ?? "https://localhost:8445";
const key = readFileSync(process.argv[2], "utf8").trim();
const answer = await fetch(`${url}/v1/payments`, {
  method: "POST",
  headers: { authorization: `Bearer ${key}`, "content-type": "application/json", "idempotency-key": "order-node" },
  body: JSON.stringify({ policy: "account", order: { payee: "Bookshop", amount: 1999, currency: "EUR" } }),
});
const payment = await answer.json();
if (!answer.ok) throw new Error(`${payment.code}: ${payment.remedy}`);
console.log(payment.id, payment.state, payment.page_url ?? payment.code);
