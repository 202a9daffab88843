// A guard for NestJS on Express: `app.useGlobalGuards(new InternalKeyGuard({ keys }))`, and
// `NestFactory.create(AppModule, { rawBody: true })` where bodies are signed.

import { type CanActivate, type ExecutionContext, ForbiddenException, Injectable, type RawBodyRequest } from "@nestjs/common";
import type { Request } from "express";

import { Guard, type GuardOptions, Refused } from "./guard.js";

@Injectable()
export class InternalKeyGuard implements CanActivate {
  readonly #guard: Guard;

  constructor(options: GuardOptions) {
    this.#guard = new Guard(options);
  }

  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<RawBodyRequest<Request>>();
    try {
      const check = this.#guard.check(request.method, request.originalUrl, request.headers);
      if (check !== undefined) {
        // Nest keeps what its parsers have read. A body that none of them takes is not there, and then the digest of
        // nothing is held against the one that was signed: it is refused, never let in unread.
        check(request.rawBody ?? Buffer.alloc(0));
      }
    } catch (error) {
      if (error instanceof Refused) throw new ForbiddenException(`Not through the gateway: ${error.message}`);
      throw error;
    }
    return true;
  }
}
