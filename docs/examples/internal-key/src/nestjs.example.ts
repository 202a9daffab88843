// A backend on NestJS that only the gateway reaches. KEY is the secret, PORT where it listens (0: anywhere, it says where).

import "reflect-metadata";

import { All, Controller, Module, Req } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import type { NestExpressApplication } from "@nestjs/platform-express";
import type { Request } from "express";

import { InternalKeyGuard } from "./nestjs.js";

@Controller()
class EchoController {
  @All("*path")
  echo(@Req() request: Request): { consumer: string | null; body: unknown } {
    return { consumer: request.get("X-Consumer-Username") ?? null, body: (request.body as unknown) ?? null };
  }
}

@Module({ controllers: [EchoController] })
class AppModule {}

const app = await NestFactory.create<NestExpressApplication>(AppModule, { rawBody: true, logger: ["error", "warn"] });
app.useBodyParser("text");
app.useGlobalGuards(new InternalKeyGuard({ keys: { k1: process.env["KEY"] ?? "" } }));
await app.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1");
console.log(JSON.stringify(app.getHttpServer().address()));
