/** False things that a hub, or its CDN, may say: each is one clear error, and takes little time and room. */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs"
import type { IncomingMessage, ServerResponse } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { gzipSync } from "node:zlib"
import { afterEach, beforeEach, expect, test } from "vitest"
import { HubServer } from "../../test/hub-server.ts"
import { EnvironmentError, UserError } from "../core/errors.ts"
import { pull } from "./pull.ts"

const commit = "0123456789abcdef0123456789abcdef01234567"
const weights = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919 + (i >> 8)) & 255))

let folder: string
let hub: HubServer
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "lying-"))
  hub = await HubServer.start({ "apple/MobileCLIP2-S0": { commit, files: { "mobileclip2_s0.pt": weights } } })
})
afterEach(async () => {
  await hub[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

/** The error, after a look at the disk: nothing there is larger than what was promised. */
async function refused(env: Record<string, string> = {}): Promise<UserError> {
  const options = { retryDelays: [0, 0], env: { HF_ENDPOINT: hub.endpoint, HF_HOME: folder, ...env } }
  const error: unknown = await pull("mobileclip2-s0", options).catch((error: unknown) => error)
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => statSync(join(folder, name)))
  const sizes = files.filter((file) => file.isFile()).map(({ size }) => size)
  expect(Math.max(0, ...sizes)).toBeLessThanOrEqual(weights.length)
  expect(error).toBeInstanceOf(UserError)
  expect((error as UserError).message).not.toContain("\n")
  return error as UserError
}

type Answer = (response: ServerResponse, request: IncomingMessage) => void

/** Lies about one thing. */
function lieOf(path: RegExp, answer: Answer): void {
  hub.lie = (request, response, origin) => {
    if (!path.test(`${origin} ${request.url}`)) return false
    answer(response, request)
    return true
  }
}

const entry = { type: "file", path: "mobileclip2_s0.pt", size: weights.length, oid: "0".repeat(40) }
const list = (entries: readonly unknown[]) => (response: ServerResponse) => void response.end(JSON.stringify(entries))
const revision = /^hub .*\/revision\//
const tree = /^hub .*\/tree\//
const contents = /^cdn /

async function flood(response: ServerResponse, chunk: Buffer): Promise<void> {
  while (!response.destroyed) if (!response.write(chunk)) await sleep(1)
}

async function drip(response: ServerResponse): Promise<void> {
  while (!response.destroyed) {
    response.write(" ")
    await sleep(20)
  }
}

test.each([undefined, null, "300000", -1, 0.5, Number.MAX_VALUE])(
  "a file of size %j is not downloaded",
  async (size) => {
    lieOf(tree, list([{ ...entry, size }]))
    const { message } = await refused()
    expect(message).toBe(`${hub.endpoint} does not answer as a model hub does: no size for mobileclip2_s0.pt`)
    expect(hub.downloads).toEqual([])
  },
)

test.each(["../../../x.pt", "/etc/x.pt", "a/../x.pt", "..\\x.pt"])(
  "a file called %j is not downloaded",
  async (path) => {
    lieOf(tree, list([{ ...entry, path }]))
    expect((await refused()).message).toBe(
      `the list of files of apple/MobileCLIP2-S0 names ${JSON.stringify(path)}, which could be outside of its folder`,
    )
  },
)

test.each<[string, Answer, string?]>([
  ["without a length", (response) => void flood(response.writeHead(200), Buffer.alloc(2 ** 16))],
  [
    "longer than the part that was asked for",
    (response) =>
      void flood(response.writeHead(206, { "Content-Range": "bytes 0-299999/300000" }), Buffer.alloc(2 ** 16)),
  ],
  [
    "with a greater length",
    (response) => void flood(response.writeHead(200, { "Content-Length": 2 ** 40 }), weights),
    `mobileclip2_s0.pt has ${2 ** 40} bytes on the server, and 300000 in the list of files`,
  ],
  [
    "that are a page",
    (response) => void response.writeHead(200, { "Content-Length": 6 }).end("<html>"),
    "mobileclip2_s0.pt has 6 bytes on the server, and 300000 in the list of files",
  ],
])("contents %s are not written, nor asked for again", async (_, answer, message) => {
  lieOf(contents, answer)
  expect((await refused()).message).toBe(
    message ?? "mobileclip2_s0.pt is longer than its 300000 bytes in the list of files",
  )
  expect(hub.downloads).toHaveLength(1)
})

test.each([
  ["revision", revision],
  ["tree", tree],
])("endless JSON (%s)", async (_, path) => {
  lieOf(path, (response) => void flood(response, Buffer.alloc(2 ** 16, " ")))
  expect((await refused()).message).toBe("apple/MobileCLIP2-S0 answers with more than 33554432 bytes")
})

test("JSON that is small only while it is packed", async () => {
  const bomb = gzipSync(Buffer.alloc(2 ** 27, " "))
  expect(bomb.length).toBeLessThan(200_000)
  lieOf(revision, (response) => void response.writeHead(200, { "Content-Encoding": "gzip" }).end(bomb))
  expect((await refused()).message).toBe("apple/MobileCLIP2-S0 answers with more than 33554432 bytes")
})

test.each([
  ["revision", revision, "apple/MobileCLIP2-S0: "],
  ["tree", tree, "apple/MobileCLIP2-S0: "],
  ["contents", contents, "downloading mobileclip2_s0.pt: "],
])("an answer that drips (%s) is tried again, then given up", async (_, path, what) => {
  let asked = 0
  lieOf(path, (response) => {
    asked++
    void drip(response)
  })
  const error = await refused({ HF_HUB_DOWNLOAD_TIMEOUT: "1" })
  expect(error).toBeInstanceOf(EnvironmentError)
  expect(error.message.startsWith(what)).toBe(true)
  expect(error.message).toMatch(/only \d+ bytes came within 1 s \(tried 3 times\)$/)
  expect(asked).toBe(3)
})

test("a byte for each connection does not count as progress", async () => {
  lieOf(contents, (response, { headers }) => {
    const from = Number(/\d+/.exec(headers.range!)![0])
    response.writeHead(206, { "Content-Length": 300_000 - from, "Content-Range": `bytes ${from}-299999/300000` })
    response.write(weights.subarray(from, from + 1), () => setTimeout(() => response.destroy(), 50))
  })
  expect((await refused()).message).toMatch(/^downloading mobileclip2_s0\.pt: .* \(tried 3 times\)$/)
  expect(hub.downloads).toHaveLength(3)
})

test("a list without end", async () => {
  let page = 0
  lieOf(tree, (response, { url }) => {
    response.writeHead(200, { Link: `<${hub.endpoint}${url}&cursor=${page++}>; rel="next"` }).end("[]")
  })
  expect((await refused()).message).toBe("apple/MobileCLIP2-S0: the list of files has more than 1200 pages")
}, 60_000)

test("a list that goes on at another server", async () => {
  lieOf(tree, (response) => void response.writeHead(200, { Link: '<http://127.0.0.1:1/x>; rel="next"' }).end("[]"))
  expect((await refused()).message).toBe(
    "apple/MobileCLIP2-S0: the list of files goes on at http://127.0.0.1:1, which is another server",
  )
})

test("a list of more files than a model has", async () => {
  lieOf(tree, list(Array.from({ length: 100_001 }, (_, i) => ({ ...entry, path: `${i}` }))))
  expect((await refused()).message).toBe("apple/MobileCLIP2-S0 lists more than 100000 files")
})

test.each<[string, (hub: HubServer) => string, RegExp]>([
  ["in a circle", ({ endpoint }) => `${endpoint}/api/models/x/revision/y`, /redirects without end$/],
  ["to a file", () => "file:///etc/passwd", /redirects to file:\/\/, which is not followed$/],
  ["to nowhere", () => "http://", /redirects to what is not an address, which is not followed$/],
])("redirects %s", async (_, where, message) => {
  lieOf(revision, (response) => void response.writeHead(302, { Location: where(hub) }).end())
  expect((await refused()).message).toMatch(message)
  expect(hub.log.length).toBeLessThan(20)
})

test("JSON that is something else", async () => {
  for (const body of ["null", "{}", '"x"', "[1]", "<html>", '{"sha":"../../x"}']) {
    lieOf(revision, (response) => void response.end(body))
    expect((await refused()).message).toContain(" does not answer as a model hub does: ")
  }
  for (const body of ["null", "{}", '[{"type":"file"}]', "[null]", '[{"type":"file","path":7,"size":1}]']) {
    lieOf(tree, (response) => void response.end(body))
    expect((await refused()).message).toContain(" does not answer as a model hub does: ")
  }
})
