// A backend on Express that only the gateway reaches. KEY is the secret, PORT where it listens (0: anywhere, it says where).

import express from "express";

import { internalKey } from "./express.js";
import { Guard } from "./guard.js";

const app = express();
app.use(internalKey(new Guard({ keys: { k1: process.env["KEY"] ?? "" } })));
app.use(express.json());
app.all("/{*path}", (request, response) => {
  const body: unknown = Buffer.isBuffer(request.body) ? request.body.toString() : request.body;
  response.json({ consumer: request.get("X-Consumer-Username") ?? null, body: body ?? null });
});
const server = app.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1", () => {
  console.log(JSON.stringify(server.address()));
});
