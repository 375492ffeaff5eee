import { createHash } from "node:crypto"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { OpenAPIHono } from "@hono/zod-openapi"
import { afterAll, beforeAll, expect, test } from "vitest"
import { ServedTiny } from "../../test/served-tiny.ts"
import { MobileCLIP } from "../weights/clip-node.ts"
import { AppFiles } from "./app-files.ts"
import type { ServeEnvironment } from "./http/context.ts"
import { requestError } from "./http/errors.ts"

let served: ServedTiny
beforeAll(async () => {
  served = await ServedTiny.start()
})
afterAll(() => served[Symbol.asyncDispose]())

const get = (path: string, headers: Record<string, string> = {}) => fetch(`${served.url}${path}`, { headers })

test("the page is isolated, so that WebAssembly has threads, and may load code and data of this server alone", async () => {
  const answer = await get("/")
  expect(answer.status).toBe(200)
  expect(await answer.text()).toContain('<script type="module" crossorigin src="./assets/')
  expect(Object.fromEntries(answer.headers)).toMatchObject({
    "content-type": "text/html; charset=utf-8",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cache-control": "no-cache",
    "x-content-type-options": "nosniff",
  })
  const policy = answer.headers.get("content-security-policy")!.split("; ")
  expect(policy).toEqual([
    "default-src 'self'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self'",
    "connect-src 'self' blob: data:",
    "img-src 'self' blob: data:",
    "media-src 'self' blob:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ])
})

test("no page of another origin shows what it gives out, unless --cors names one; nothing is said of TLS", async () => {
  const headers = async ({ url }: ServedTiny, path: string) => (await fetch(url + path)).headers
  for (const path of ["/", "/v1/models", "/app/models/tiny/mobileclip.json"]) {
    const found = await headers(served, path)
    expect([path, found.get("cross-origin-resource-policy")]).toEqual([path, "same-origin"])
    expect(found.get("strict-transport-security")).toBeNull()
  }
  await using shared = await ServedTiny.start({ corsOrigins: ["https://page.test"] })
  expect((await headers(shared, "/v1/models")).get("cross-origin-resource-policy")).toBeNull()
})

test("files have tags, which change with what they hold", async () => {
  const tag = async (path: string) => (await get(path)).headers.get("etag")
  const first = await tag("/app/models/tiny/mobileclip.json")
  expect(first).toMatch(/^"[0-9a-z]+-[0-9a-z]+"$/)
  expect(await tag("/app/models/tiny/mobileclip.json")).toBe(first)
  expect(await tag("/app/models/tiny/onnx/text_model.onnx")).not.toBe(first)
})

test("files have their types; those with a digest in their names are asked for once", async () => {
  const html = await (await get("/")).text()
  const script = /src="\.\/(assets\/[^"]+\.js)"/.exec(html)![1]!
  const answer = await get(`/${script}`)
  expect(answer.headers.get("content-type")).toBe("text/javascript; charset=utf-8")
  expect(answer.headers.get("cache-control")).toBe("public, max-age=31536000, immutable")
  expect(answer.headers.get("cross-origin-embedder-policy")).toBe("require-corp")
  expect((await get("/service-worker.js")).headers.get("cache-control")).toBe("no-cache")
  expect((await get("/manifest.webmanifest")).headers.get("content-type")).toBe("application/manifest+json")
  expect((await fetch(`${served.url}/icon.svg`, { method: "HEAD" })).headers.get("content-type")).toBe("image/svg+xml")
})

test("the page is told the models, whose files are whole, and the library opens them from there", async () => {
  const config = await (await get("/app/config.json")).json()
  expect(config).toEqual({ models: [{ name: "tiny", url: "models/tiny/" }], index: false, addresses: false })
  const manifest = JSON.parse(readFileSync(join(served.folder, "tiny/mobileclip.json"), "utf8"))
  const digests = await Promise.all(
    Object.keys(manifest.files).map(async (file) => {
      const bytes = new Uint8Array(await (await get(`/app/models/tiny/${file}`)).arrayBuffer())
      return [file, { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") }]
    }),
  )
  expect(Object.fromEntries(digests)).toEqual(manifest.files)
  await using clip = await MobileCLIP.load(`${served.url}/app/models/tiny/`, { threads: 1 })
  const vector = await clip.encodeText(served.texts[0]!)
  expect([...vector]).toEqual(served.vector("text 0"))
})

const weights = "/app/models/tiny/onnx/text_model.onnx"

test("an interrupted download goes on where it was, from its beginning where the file is another one", async () => {
  const first = await get(weights)
  const tag = first.headers.get("etag")!
  const whole = Buffer.from(await first.arrayBuffer())
  const rest = await get(weights, { range: "bytes=1000-", "if-range": tag })
  expect(rest.status).toBe(206)
  expect(rest.headers.get("content-range")).toBe(`bytes 1000-${whole.length - 1}/${whole.length}`)
  expect(rest.headers.get("etag")).toBe(tag)
  expect(Buffer.from(await rest.arrayBuffer()).equals(whole.subarray(1000))).toBe(true)
  const middle = await get(weights, { range: "bytes=10-19" })
  expect([middle.status, middle.headers.get("content-length")]).toEqual([206, "10"])
  expect(Buffer.from(await middle.arrayBuffer()).equals(whole.subarray(10, 20))).toBe(true)
  const again = await get(weights, { range: "bytes=1000-", "if-range": '"another"' })
  expect([again.status, again.headers.get("content-range")]).toEqual([200, null])
  expect(Buffer.from(await again.arrayBuffer()).equals(whole)).toBe(true)
})

test("a range after the end is 416 and says the size; a file that is another one than If-Match names is 412", async () => {
  const { size } = statSync(join(served.folder, "tiny/onnx/text_model.onnx"))
  const after = await get(weights, { range: `bytes=${size}-` })
  expect([after.status, after.headers.get("content-range")]).toEqual([416, `bytes */${size}`])
  const message = `the file has ${size} bytes, and the range begins after them: ask for bytes that it has`
  const type = "invalid_request_error"
  expect(await after.json()).toEqual({ error: { message, type, param: null, code: null } })
  const other = await get(weights, { "if-match": '"another"' })
  expect([other.status, await other.json()]).toMatchObject([412, { error: { type } }])
})

test("what a browser has already is not sent again, until the file changes", async () => {
  for (const path of ["/", "/service-worker.js", weights]) {
    const first = await get(path)
    const tag = first.headers.get("etag")!
    const length = Number(first.headers.get("content-length"))
    const same = await get(path, { "if-none-match": `"another", W/${tag}` })
    expect([same.status, await same.text()]).toEqual([304, ""])
    for (const name of ["etag", "cache-control", "content-security-policy", "cross-origin-embedder-policy"])
      expect([name, same.headers.get(name)]).toEqual([name, first.headers.get(name)])
    const head = await fetch(served.url + path, { method: "HEAD", headers: { range: "bytes=1-" } })
    expect([head.status, Number(head.headers.get("content-length"))]).toEqual([200, length])
    await first.arrayBuffer()
  }
  const file = join(served.folder, "tiny/mobileclip.json")
  const tagOf = async () => (await get("/app/models/tiny/mobileclip.json")).headers.get("etag")!
  const [text, before] = [readFileSync(file), await tagOf()]
  writeFileSync(file, text)
  expect((await get("/app/models/tiny/mobileclip.json", { "if-none-match": before })).status).toBe(200)
})

/** As it is written: fetch would resolve the dots. */
function raw(path: string): Promise<{ status: number; body: string }> {
  const { hostname, port } = new URL(served.url)
  return new Promise((resolve, reject) => {
    request({ hostname, port, path }, (answer) => {
      let body = ""
      answer.on("data", (chunk) => {
        body += chunk
      })
      answer.on("end", () => resolve({ status: answer.statusCode!, body }))
    })
      .on("error", reject)
      .end()
  })
}

test.each([
  "/app/models/tiny/../../../etc/passwd",
  "/app/models/tiny/%2e%2e/%2e%2e/etc/passwd",
  "/app/models/tiny/..%2f..%2fetc%2fpasswd",
  "/app/models/tiny/..%5c..%5cetc",
  "/app/models/tiny/notes.txt",
  "/app/models/tiny/.hidden.json",
  "/app/models/tiny/onnx",
  "/app/models/other/mobileclip.json",
  "/app/models/tiny/%E0%A4%A",
  "/assets/../../package.json",
  "/assets/%2e%2e/%2e%2e/package.json",
])("%s is not there, and the answer names no path of the server", async (path) => {
  writeFileSync(join(served.folder, "tiny/notes.txt"), "mine")
  writeFileSync(join(served.folder, "tiny/.hidden.json"), "{}")
  const { status, body } = await raw(path)
  expect(status).toBe(404)
  expect(body).not.toContain(served.folder)
  expect(body).not.toContain("mine")
})

test("a model in a layout of others: its files are given out, and nothing beside them", async () => {
  const folder = mkdtempSync(join(tmpdir(), "layout-"))
  mkdirSync(join(folder, "m/onnx"), { recursive: true })
  for (const name of ["m/onnx/vision_model.onnx", "m/config.json", "m/readme.md", "secret.json"])
    writeFileSync(join(folder, name), name)
  symlinkSync(join(folder, "secret.json"), join(folder, "m/onnx/secret"))
  mkdirSync(join(folder, "page"))
  writeFileSync(join(folder, "page/index.html"), "<!doctype html>")
  const models = new Map([
    ["m", async () => join(folder, "m")],
    ["gone", () => Promise.reject(new Error(`${folder} is gone`))],
  ])
  const files = await AppFiles.open({ folder: join(folder, "page"), models, hasIndex: true })
  expect(files!.config).toEqual({
    models: [
      { name: "m", url: "models/m/" },
      { name: "gone", url: "models/gone/" },
    ],
    addresses: false,
    index: true,
  })
  const app = new OpenAPIHono<ServeEnvironment>()
  app.onError((error) => new Response("refused", { status: requestError(error).status }))
  files!.register(app)
  const text = async (name: string) => (await app.request(`/app/models/m/${name}`)).text()
  for (const name of ["onnx/vision_model.onnx", "config.json"]) expect(await text(name)).toBe(`m/${name}`)
  for (const name of ["readme.md", "onnx/secret", "..%2fsecret.json", "onnx/none.onnx"])
    expect(await text(name)).toBe("refused")
  expect(await (await app.request("/app/models/gone/config.json")).text()).toBe("refused")
  rmSync(folder, { recursive: true })
})

test("where the page is not built there is none, and app: false leaves it out", async () => {
  expect(await AppFiles.open({ folder: served.folder, models: new Map(), hasIndex: false })).toBeNull()
  await using without = await ServedTiny.start({ app: false })
  const statuses = await Promise.all(
    ["/", "/app/config.json", "/app/models/tiny/mobileclip.json"].map(
      async (path) => (await fetch(without.url + path)).status,
    ),
  )
  expect(statuses).toEqual([404, 404, 404])
})

test("with tokens the page itself is open, and its models are not: a browser asks its user, and brings the token", async () => {
  await using guarded = await ServedTiny.start({ tokens: ["a token of enough letters"] })
  const ask = (path: string, authorization?: string) =>
    fetch(guarded.url + path, authorization === undefined ? {} : { headers: { authorization } })
  expect((await ask("/")).status).toBe(200)
  const refused = await ask("/app/config.json")
  expect(refused.status).toBe(401)
  expect(refused.headers.get("www-authenticate")).toMatch(/^Basic realm=/)
  expect((await ask("/app/models/tiny/mobileclip.json")).status).toBe(401)
  expect((await ask("/v1/models")).headers.get("www-authenticate")).toBe("Bearer")
  // The page itself asks, and its browser knows the password by this realm: over HTTPS or on this machine, and over plain HTTP.
  for (const headers of [{ "sec-fetch-site": "same-origin" }, { origin: guarded.url }]) {
    const search = await fetch(`${guarded.url}/v1/search`, { method: "POST", headers })
    expect([search.status, search.headers.get("www-authenticate")]).toEqual([
      401,
      refused.headers.get("www-authenticate"),
    ])
  }
  for (const headers of [{ "sec-fetch-site": "cross-site" }, { origin: "https://evil.test" }, { origin: "null" }])
    expect((await fetch(`${guarded.url}/v1/search`, { headers })).headers.get("www-authenticate")).toBe("Bearer")
  const basic = (password: string) => `Basic ${Buffer.from(`anyone:${password}`).toString("base64")}`
  expect((await ask("/app/config.json", basic("a token of enough letters"))).status).toBe(200)
  expect((await ask("/app/config.json", basic("another"))).status).toBe(401)
})
