// A guard for Express: `app.use(internalKey(new Guard({ keys })))`, before anything that reads bodies.

import express, { type RequestHandler, type Response } from "express";

import { type BodyCheck, type Guard, Refused } from "./guard.js";

export interface ExpressOptions {
  /** Bytes of the largest signed body, which is held until it is verified. */
  limit?: number;
}

/**
 * Answers 403 to what the guard refuses. A signed body is read and verified first; `request.body` is then its JSON where
 * it is declared to be JSON, and a Buffer otherwise. What is not signed is left for the application's own parsers.
 */
export function internalKey(guard: Guard, options: ExpressOptions = {}): RequestHandler {
  const read = express.raw({ type: () => true, limit: options.limit ?? 16 * 1024 * 1024, inflate: false });
  return (request, response, next) => {
    let check: BodyCheck | undefined;
    try {
      check = guard.check(request.method, request.originalUrl, request.headers);
    } catch (error) {
      refuse(error, response, next);
      return;
    }
    if (check === undefined) {
      next();
      return;
    }
    const verify = check;
    read(request, response, (failure?: unknown) => {
      if (failure !== undefined) {
        next(failure);
        return;
      }
      const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
      try {
        verify(body);
        request.body = request.is("json") ? parse(body) : body;
      } catch (error) {
        refuse(error, response, next);
        return;
      }
      next();
    });
  };
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    throw Object.assign(new Error("the body is not JSON"), { status: 400, expose: true });
  }
}

function refuse(error: unknown, response: Response, next: (error: unknown) => void): void {
  if (error instanceof Refused) {
    response.status(403).json({ message: `Not through the gateway: ${error.message}` });
  } else {
    next(error);
  }
}
