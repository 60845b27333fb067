/** Seal and sign parts of a payment credential (docs/reference/messages.md). */

export const SUITE: string;
export const PARTS: "/v1/parts";

export interface Signer {
  readonly sender: string;
  readonly algorithm: "hmac-sha256" | "ecdsa-p256-sha256";
  sign(data: Uint8Array): Promise<ArrayBuffer>;
}

export interface PublishedKey {
  readonly id: string;
  readonly format: "hpke" | "jwe";
  readonly suite: string;
  readonly public: string;
  readonly not_before: number;
  readonly not_after: number;
}

export interface KeyList {
  readonly issued: number;
  readonly policies: readonly string[];
  readonly keys: readonly PublishedKey[];
}

export type Element =
  | { kind: "phone"; phone: string }
  | { kind: "code"; code: string }
  | { kind: "institution"; institution: string; number: string }
  | { kind: "backend"; institution: string; value: string }
  | { kind: "page" };

export interface PartContent {
  policy: string;
  element: Element;
  fields: Record<string, string>;
  order?: { payee: string; amount: number; currency: string; reference?: string };
}

export interface RequestOptions {
  /** Seconds since 1970, by this machine's clock. */
  created?: number;
  nonce?: string;
  /** The same for every retry of one message. */
  idempotencyKey?: string;
}

export interface SealOptions extends RequestOptions {
  /** The texts of a created payment: id, payee, amount, currency, reference. */
  bound?: readonly string[];
}

export interface SignedRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

export interface Keys {
  readonly sender: string;
  readonly key: Uint8Array;
}

export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly remedy: string;
  readonly field: string | undefined;
  constructor(status: number, document: { detail?: string; code?: string; remedy?: string; field?: string });
}

export function bindTexts(...texts: string[]): Uint8Array;
export function toBase64(bytes: Uint8Array): string;
export function toBase64url(bytes: Uint8Array): string;
export function fromBase64url(text: string): Uint8Array;
export function freshNonce(): string;
export function linkKeys(secret: string): Promise<Keys>;
export function sessionKeys(linkKey: Uint8Array, nonce: string): Promise<Keys>;
export function macSigner(sender: string, key: Uint8Array): Promise<Signer>;
export function ecdsaSigner(sender: string, privateKey: CryptoKey): Signer;
export function newestKey(list: KeyList, now: number): PublishedKey;
export function readKeyList(token: string, identity?: Uint8Array): Promise<KeyList>;
export function sealedRequest(
  signer: Signer, published: PublishedKey, target: string, content: PartContent | object, options?: SealOptions,
): Promise<SignedRequest>;
export function signedRequest(
  signer: Signer, method: string, target: string, body?: string, options?: RequestOptions,
): Promise<SignedRequest>;
export function send(origin: string, request: SignedRequest, options?: RequestInit): Promise<any>;
