// Whether a request came through the gateway: what proxyd's plugin internal-key sends is verified here, in any framework.
//
// The header's value is v1;id=<key>;ts=<seconds>;nonce=<hex>;body=<digest>;sig=<hex>. The signature is HMAC-SHA256 in
// hexadecimal over these lines, joined by a line feed: v1, key id, timestamp, nonce, method, target, consumer id, body digest.

import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

const VERSION = "v1";
const UNSIGNED = "unsigned"; // the body is not part of what is signed
const MAX_LENGTH = 512; // characters of a header that is looked at
const MAX_SEEN = 1_000_000; // nonces remembered at most
const SHAPE = /^v1;id=([^;=]+);ts=(\d{1,15});nonce=([^;=]+);body=([^;=]+);sig=([^;=]+)$/;

/** The request did not come through the gateway, or not now. The message says why and holds no secret. */
export class Refused extends Error {}

export interface GuardOptions {
  /** Secrets by id; two of them during a rotation. */
  keys: Record<string, string>;
  /** As in the plugin: an HMAC over the request, or the secret itself. */
  mode?: "signature" | "header";
  /** The header that carries it. */
  header?: string;
  /** Seconds that a signature is valid, before and after its time. */
  window?: number;
  /** Refuse signatures that leave the body out. */
  requireBody?: boolean;
  /** Epoch seconds; for tests. */
  now?: () => number;
}

/** Takes the whole body, and throws `Refused` where it is not the one that was signed. */
export type BodyCheck = (body: Uint8Array) => void;

export class Guard {
  readonly #keys: Map<string, Buffer>;
  readonly #signs: boolean;
  readonly #header: string;
  readonly #window: number;
  readonly #requireBody: boolean;
  readonly #now: () => number;
  // Nonce -> when it may be forgotten. One process remembers its own: behind several, a request can be replayed once to each.
  readonly #seen = new Map<string, number>();

  constructor(options: GuardOptions) {
    this.#keys = new Map(Object.entries(options.keys).map(([id, secret]) => [id, Buffer.from(secret)]));
    if (this.#keys.size === 0 || Object.values(options.keys).some((secret) => !secret)) {
      throw new Error("a guard needs at least one key, and none may be empty");
    }
    this.#signs = (options.mode ?? "signature") === "signature";
    this.#header = (options.header ?? "X-Internal-Key").toLowerCase();
    this.#window = options.window ?? 30;
    this.#requireBody = options.requireBody ?? false;
    this.#now = options.now ?? (() => Date.now() / 1000);
  }

  /**
   * Verify a request's head; throws `Refused`.
   *
   * `target` is the path and query as they came, undecoded (`request.url` of Node, `originalUrl` of Express). Where the
   * body is signed too, a check is returned that wants the whole of it before anything else sees it.
   */
  check(method: string, target: string, headers: IncomingHttpHeaders): BodyCheck | undefined {
    const value = headers[this.#header];
    if (typeof value !== "string" || value === "") throw new Refused("no internal key");
    if (!this.#signs) {
      this.#checkSecret(value);
      return undefined;
    }
    const match = value.length <= MAX_LENGTH ? SHAPE.exec(value) : null;
    if (match === null) throw new Refused("malformed signature");
    const [, key = "", timestamp = "", nonce = "", digest = "", signature = ""] = match;
    const secret = this.#keys.get(key);
    if (secret === undefined) throw new Refused("unknown key id");
    const consumer = headers["x-consumer-id"] ?? "";
    const lines = [VERSION, key, timestamp, nonce, method, target, consumer, digest].join("\n");
    if (!equal(createHmac("sha256", secret).update(lines).digest("hex"), signature)) {
      throw new Refused("wrong signature");
    }
    this.#checkReplay(nonce, Number(timestamp));
    if (digest !== UNSIGNED) return (body) => checkBody(digest, body);
    if (this.#requireBody) throw new Refused("the body is not signed");
    return undefined;
  }

  #checkSecret(value: string): void {
    // Every key is compared, so that the time says nothing of which one was close.
    const matches = [...this.#keys.values()].filter((secret) => equal(secret, value));
    if (matches.length === 0) throw new Refused("unknown internal key");
  }

  #checkReplay(nonce: string, timestamp: number): void {
    const now = this.#now();
    if (Math.abs(now - timestamp) > this.#window) throw new Refused("signature out of its time");
    for (const [old, end] of this.#seen) {
      if (end > now) break; // they stand in the order in which they end
      this.#seen.delete(old);
    }
    if (this.#seen.has(nonce)) throw new Refused("replayed");
    if (this.#seen.size >= MAX_SEEN) throw new Refused("too many requests to remember"); // forgetting one would let it in again
    this.#seen.set(nonce, now + 2 * this.#window);
  }
}

function checkBody(digest: string, body: Uint8Array): void {
  if (!equal(createHash("sha256").update(body).digest("hex"), digest)) throw new Refused("the body is another one");
}

// Digests have one length, so that how long it takes says nothing, of the length neither.
function equal(one: string | Buffer, other: string | Buffer): boolean {
  const [left, right] = [one, other].map((text) => createHash("sha256").update(text).digest());
  return left !== undefined && right !== undefined && timingSafeEqual(left, right);
}
