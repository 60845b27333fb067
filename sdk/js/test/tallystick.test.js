// What needs no platform; the rest is checked against the Python side by tests/e2e/test_sdk_js.py.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as tallystick from "../tallystick.js";

test("texts are bound as the Python side binds them", () => {
  assert.equal(Buffer.from(tallystick.bindTexts("a", "é")).toString("hex"), "000000016100000002c3a9");
  assert.equal(tallystick.bindTexts().length, 0);
});

test("a link and its session have the names that the platform derives", async () => {
  const link = await tallystick.linkKeys("A".repeat(22));
  const session = await tallystick.sessionKeys(link.key, "0".repeat(32));
  assert.equal(link.sender, "cap_90f8cb4934e2e75bdfe80cb6ddafc93b");
  assert.equal(session.sender, "ses_f75065338eab25fc5dafda32b0ee2c11");
});

test("the newest key of the suite that is valid now is taken, and never one of another suite", () => {
  const key = (id, suite, not_before, not_after) => ({ id, suite, not_before, not_after });
  const keys = [
    key("old", tallystick.SUITE, 0, 50), key("new", tallystick.SUITE, 10, 50), key("coming", tallystick.SUITE, 40, 90),
    key("hybrid", "MLKEM768_X25519+HKDF-SHA256+AES-256-GCM", 20, 50),
  ];
  assert.equal(tallystick.newestKey({ keys }, 30).id, "new");
  assert.throws(() => tallystick.newestKey({ keys }, 95), /no key/);
});

test("a signature covers the body, and no two requests carry the same nonce", async () => {
  const signer = await tallystick.macSigner("ch_1", new Uint8Array(32));
  const [one, other] = await Promise.all([1, 2].map(() => tallystick.signedRequest(signer, "POST", "/v1/x", "{}")));
  assert.match(one.headers["signature-input"], /^sig1=\("@method" "@path" "content-digest" "content-type" "idempotency-key"\);/);
  assert.equal(one.headers["content-digest"], "sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:");
  assert.notEqual(one.headers["signature-input"], other.headers["signature-input"]);
});

test("a short key signs nothing", async () => {
  await assert.rejects(tallystick.macSigner("ch_1", new Uint8Array(31)), /at least 32 bytes/);
});
