// Seal and sign parts as docs/reference/messages.md says, over WebCrypto alone; the same file runs in browsers and Node.
// HPKE (RFC 9180) is the npm package `hpke`, vendored beside this file as it was published.

import { AEAD_AES_256_GCM, CipherSuite, KDF_HKDF_SHA256, KEM_DHKEM_P256_HKDF_SHA256 } from "./hpke.js";

export const SUITE = "P256+HKDF-SHA256+AES-256-GCM";
export const PARTS = "/v1/parts";
const MESSAGE_CONTEXT = "tallystick-message-v1";
const PAGE_CONTEXT = "tallystick-page-v1";
const MEDIA_TYPE = "application/json";
const COVERED = ["@method", "@path", "content-digest", "content-type", "idempotency-key"];
const COVERED_WITHOUT_BODY = ["@method", "@path"];
const NAME_BYTES = 16; // bytes of a name derived from a link
const KEY_BYTES = 32; // bytes of a MAC key
const NONCE_BYTES = 16; // random bytes of a nonce and of an Idempotency-Key

/** An answer that is no 2xx: `code` is stable, `remedy` is for the person, `field` names what is wrong. */
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail || `status ${status}`);
    this.name = "Problem";
    this.status = status;
    this.code = document.code || "unreadable";
    this.remedy = document.remedy || "";
    this.field = document.field;
  }
}

/** Encode texts so that no other list of texts gives the same bytes: each behind its length, four bytes big-endian. */
export function bindTexts(...texts) {
  const parts = texts.map((text) => new TextEncoder().encode(text));
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + 4 + part.length, 0));
  let at = 0;
  for (const part of parts) {
    new DataView(joined.buffer).setUint32(at, part.length);
    joined.set(part, at + 4);
    at += 4 + part.length;
  }
  return joined;
}

export function toBase64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}

export function toBase64url(bytes) {
  return toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

export function fromBase64url(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
}

function toHex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Make a nonce or an Idempotency-Key: 128 random bits in hex. */
export function freshNonce() {
  return toHex(crypto.getRandomValues(new Uint8Array(NONCE_BYTES)));
}

async function deriveBytes(root, purpose, length) {
  const key = await crypto.subtle.importKey("raw", root, "HKDF", false, ["deriveBits"]);
  const info = new TextEncoder().encode(purpose);
  const how = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info };
  return new Uint8Array(await crypto.subtle.deriveBits(how, key, 8 * length));
}

/** Derive the name and MAC key of a page's link from its secret: what stands behind `#`, or a typed code. */
export async function linkKeys(secret) {
  const root = bindTexts(PAGE_CONTEXT, secret);
  const name = await deriveBytes(root, "tallystick page name", NAME_BYTES);
  return { sender: `cap_${toHex(name)}`, key: await deriveBytes(root, "tallystick page key", KEY_BYTES) };
}

/** Derive the name and MAC key of the session that a page starts with `nonce` under its link's key. */
export async function sessionKeys(linkKey, nonce) {
  const root = await deriveBytes(linkKey, `tallystick page session ${nonce}`, KEY_BYTES);
  const name = await deriveBytes(root, "tallystick page name", NAME_BYTES);
  return { sender: `ses_${toHex(name)}`, key: await deriveBytes(root, "tallystick page key", KEY_BYTES) };
}

/** Return who signs with a MAC key of 32 bytes: `sender` is the id of the channel, institution or session. */
export async function macSigner(sender, key) {
  if (key.length < KEY_BYTES) throw new TypeError(`a MAC key has at least ${KEY_BYTES} bytes`);
  const held = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return { sender, algorithm: "hmac-sha256", sign: (data) => crypto.subtle.sign("HMAC", held, data) };
}

/** Return who signs with an ECDSA P-256 private key (a CryptoKey that need not be extractable). */
export function ecdsaSigner(sender, privateKey) {
  const how = { name: "ECDSA", hash: "SHA-256" };
  return { sender, algorithm: "ecdsa-p256-sha256", sign: (data) => crypto.subtle.sign(how, privateKey, data) };
}

/** Choose the newest key of the browser's suite that is valid at `now` (ms); throws when there is none. */
export function newestKey(list, now) {
  const usable = list.keys.filter((key) => key.suite === SUITE && key.not_before <= now && now < key.not_after);
  if (usable.length === 0) throw new Error("the platform publishes no key for browsers that is valid now");
  return usable.reduce((best, key) => (key.not_before > best.not_before ? key : best));
}

/**
 * Read a key list (compact JWS). With `identity`, the platform's pinned Ed25519 key (32 raw bytes), its signature is
 * proven; without it the list is as authentic as the TLS connection that it came over, as for a page of the platform.
 */
export async function readKeyList(token, identity) {
  const [header, payload, signature] = token.trim().split(".");
  if (identity) {
    const { alg, kid, typ } = JSON.parse(new TextDecoder().decode(fromBase64url(header)));
    const key = await crypto.subtle.importKey("raw", identity, { name: "Ed25519" }, false, ["verify"]);
    const signed = new TextEncoder().encode(`${header}.${payload}`);
    const expected = alg === "Ed25519" && kid === "identity" && typ === "tallystick-keys+jws";
    if (!expected || !(await crypto.subtle.verify("Ed25519", key, fromBase64url(signature), signed))) {
      throw new Error("the key list is not signed by the platform's identity key");
    }
  }
  return JSON.parse(new TextDecoder().decode(fromBase64url(payload)));
}

/**
 * Seal `content` for a published key and sign the POST that carries it; returns what `fetch` takes.
 *
 * A retry repeats `idempotencyKey` and `content`, with a fresh nonce. `bound` are the texts of a created payment:
 * exactly what the payer was shown, so that a changed payee or amount makes the part worthless.
 */
export async function sealedRequest(signer, published, target, content, options = {}) {
  const created = options.created ?? Math.floor(Date.now() / 1000);
  const nonce = options.nonce ?? freshNonce();
  const bound = options.bound ?? [];
  const info = bindTexts(MESSAGE_CONTEXT, target, published.id, signer.sender, String(created), nonce, ...bound);
  const suite = new CipherSuite(KEM_DHKEM_P256_HKDF_SHA256, KDF_HKDF_SHA256, AEAD_AES_256_GCM);
  const key = await suite.DeserializePublicKey(fromBase64url(published.public));
  const clear = new TextEncoder().encode(JSON.stringify(content));
  const { encapsulatedSecret, ciphertext } = await suite.Seal(key, clear, { info });
  const sealed = toBase64url(new Uint8Array([...encapsulatedSecret, ...ciphertext]));
  const envelope = { v: 1, key_id: published.id, format: "hpke", sealed };
  if (bound.length > 0) envelope.payment = bound[0];
  return signedRequest(signer, "POST", target, JSON.stringify(envelope), { ...options, created, nonce });
}

/** Sign a request that holds nothing secret (RFC 9421 over method, path and, with a body, digest, type and key). */
export async function signedRequest(signer, method, target, body = "", options = {}) {
  const created = options.created ?? Math.floor(Date.now() / 1000);
  const nonce = options.nonce ?? freshNonce();
  const headers = {};
  if (body) {
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(body));
    headers["content-type"] = MEDIA_TYPE;
    headers["idempotency-key"] = options.idempotencyKey ?? freshNonce();
    headers["content-digest"] = `sha-256=:${toBase64(new Uint8Array(digest))}:`;
  }
  const covered = body ? COVERED : COVERED_WITHOUT_BODY;
  const derived = { "@method": method, "@path": target.split("?")[0] };
  const lines = covered.map((name) => `"${name}": ${derived[name] ?? headers[name]}\n`);
  const names = covered.map((name) => `"${name}"`).join(" ");
  const raw = `(${names});created=${created};keyid="${signer.sender}";alg="${signer.algorithm}";nonce="${nonce}"`;
  const base = new TextEncoder().encode(`${lines.join("")}"@signature-params": ${raw}`);
  headers["signature-input"] = `sig1=${raw}`;
  headers.signature = `sig1=:${toBase64(new Uint8Array(await signer.sign(base)))}:`;
  return { method, target, headers, body: body || undefined };
}

/** Send a request; returns the answer's JSON, or throws `Problem`. A network error is fetch's own TypeError. */
export async function send(origin, request, options = {}) {
  const { method, target, headers, body } = request;
  const answer = await fetch(`${origin}${target}`, { method, headers, body, redirect: "error", ...options });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(answer.status, told);
  return told;
}
