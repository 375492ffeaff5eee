import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { connectNats } from "./connection.ts"
import { natsSettings } from "./nats-settings.ts"

const nothing = { tls: null, user: null, password: null, token: null, credentials: null }

test("addresses, alone and of a cluster", async () => {
  expect(await natsSettings("nats://queue:4333", {})).toEqual({ ...nothing, servers: ["queue:4333"] })
  expect(await natsSettings("one, nats://two:1", {})).toEqual({ ...nothing, servers: ["one:4222", "two:1"] })
  expect((await natsSettings(undefined, { NATS_URL: "queue" })).servers).toEqual(["queue:4222"])
})

test("credentials: the URL goes before the environment", async () => {
  const env = { NATS_USER: "me", NATS_PASSWORD: "secret", NATS_TOKEN: "t", NATS_CREDS: "/creds" }
  expect(await natsSettings("queue", env)).toMatchObject({
    user: "me",
    password: "secret",
    token: "t",
    credentials: "/creds",
  })
  expect(await natsSettings("nats://a:b%40c@queue", env)).toMatchObject({ user: "a", password: "b@c", token: null })
  expect(await natsSettings("nats://abc@queue", {})).toMatchObject({ user: null, token: "abc" })
})

test("encryption: asked for by the scheme or by certificates", async () => {
  expect((await natsSettings("tls://queue", {})).tls).toEqual({ ca: null, cert: null, key: null })
  await expect(natsSettings("queue", { NATS_CA: "/nowhere/ca.pem" })).rejects.toThrow("/nowhere/ca.pem")
})

test("what is not an address", async () => {
  await expect(natsSettings(undefined, {})).rejects.toThrow("no NATS server is given")
  await expect(natsSettings("http://a:b@queue", {})).rejects.toThrow(
    '"http://...@queue" is not an address of a NATS server',
  )
  await expect(natsSettings("nats://user:SEC/RET@queue", {})).rejects.toThrow(
    /^"nats:\/\/\.\.\.@queue" is not an address of a NATS server$/,
  )
  await expect(natsSettings("nats://user:SEC,RET@queue", {})).rejects.toThrow(
    /^"nats:\/\/\.\.\.@queue" is not an address of a NATS server$/,
  )
  await expect(natsSettings("nats://user:SEC%RET@queue", {})).rejects.toThrow(
    'the name or the password in the NATS address of "queue" has a %',
  )
  await expect(natsSettings("", {})).rejects.toThrow("no NATS server is given")
})

test.skipIf(process.platform === "win32")(
  "a pipe in the place of a certificate or of credentials is not waited for",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "nats-settings-"))
    try {
      const pipe = join(folder, "pipe")
      execFileSync("mkfifo", [pipe])
      await expect(natsSettings("queue", { NATS_CA: pipe })).rejects.toThrow(`${pipe} is a pipe`)
      const settings = await natsSettings("nats://127.0.0.1:1", { NATS_CREDS: pipe })
      await expect(connectNats(settings, "test")).rejects.toThrow(`${pipe} is a pipe`)
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
)
