import { createHash } from "node:crypto"
import { type FileHandle, mkdtemp, open, readdir, readFile, rm, stat } from "node:fs/promises"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { gzipSync } from "node:zlib"
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest"
import { HubServer, sha256Of } from "../../../test/hub-server.ts"
import { EnvironmentError, UserError } from "../../core/errors.ts"
import { openStorage, type StorageOptions } from "./open.ts"

const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * i) % 251))
const sha256 = sha256Of(content)

/** How one answer differs from a correct one. */
interface Fault {
  readonly status?: number
  readonly cutAfter?: number
  readonly silent?: true
  readonly noRanges?: true
  /** Another file under the same name. */
  readonly changed?: true
  readonly noLength?: true
  readonly noHead?: true
  /** Answers by itself. */
  readonly lie?: (response: ServerResponse) => unknown
}

let server: Server
let address: string
let temporaryFolder: string
let faults: Fault[] = []
let log: string[] = []

function answer(request: IncomingMessage, response: ServerResponse): void {
  const fault = faults.shift() ?? {}
  const { range, "if-range": condition } = request.headers
  log.push(`${request.method} ${range ?? "all"}`)
  if (fault.silent) return
  if (fault.lie) return void fault.lie(response)
  const status = request.url === "/missing" ? 404 : fault.noHead && request.method === "HEAD" ? 405 : fault.status
  if (status) return void response.writeHead(status).end()
  const file = fault.changed ? content.map((byte) => byte ^ 1) : content
  const etag = createHash("sha256").update(file).digest("hex")
  const isRange = range !== undefined && !fault.noRanges && (!condition || condition === `"${etag}"`)
  const [first, last] = isRange ? /^bytes=(\d+)-(\d*)$/.exec(range)!.slice(1) : ["0", ""]
  const [start, end] = [Number(first), last ? Number(last) + 1 : file.length]
  if (start >= file.length) return void response.writeHead(416, { "Content-Range": `bytes */${file.length}` }).end()
  const body = file.subarray(start, end)
  response.writeHead(isRange ? 206 : 200, {
    ETag: `"${etag}"`,
    ...(fault.noLength ? {} : { "Content-Length": body.length }),
    ...(isRange ? { "Content-Range": `bytes ${start}-${end - 1}/${file.length}` } : {}),
  })
  if (request.method === "HEAD") response.end()
  else if (fault.cutAfter === undefined) response.end(body)
  else response.write(body.subarray(0, fault.cutAfter), () => setTimeout(() => response.destroy(), 20))
}

beforeAll(async () => {
  temporaryFolder = await mkdtemp(join(tmpdir(), "http-"))
  server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await rm(temporaryFolder, { recursive: true })
})
beforeEach(() => {
  faults = []
  log = []
})

const storage = (options: StorageOptions = {}) =>
  openStorage({ temporaryFolder, retryDelays: [0.01, 0.01], timeoutSeconds: 5, env: {}, ...options })

async function fetched(name = "/0.tar", options: StorageOptions = {}): Promise<Buffer> {
  await using local = await storage(options).fetch(address + name)
  return await readFile(local.path)
}

test("a copy is removed when it is disposed", async () => {
  {
    await using local = await storage().fetch(`${address}/0.tar?download=true`)
    expect(sha256Of(await readFile(local.path))).toBe(sha256)
    expect(await readdir(temporaryFolder)).toEqual([expect.stringMatching(/^mobileclip-copy-[0-9a-f]{32}-0\.tar$/)])
  }
  expect(await readdir(temporaryFolder)).toEqual([])
})

test("a transfer goes on where it broke off, however often it makes progress", async () => {
  faults = [100_000, 50_000, 50_000, 50_000, 40_000].map((cutAfter) => ({ cutAfter }))
  expect(sha256Of(await fetched())).toBe(sha256)
  expect(log[0]).toBe("GET all")
  expect(log).toHaveLength(6)
  const starts = log.slice(1).map((line) => Number(/^GET bytes=(\d+)-$/.exec(line)![1]))
  expect(starts).toEqual(starts.toSorted((a, b) => a - b))
  expect(starts[0]).toBeGreaterThan(0)
})

test.each<[string, Fault[]]>([
  ["knows no ranges", [{ cutAfter: 100_000 }, { noRanges: true }]],
  ["does not say how long the file is", [{ cutAfter: 100_000, noLength: true }]],
  ["is overloaded", [{ status: 503 }, { status: 429 }]],
  ["had another file before", [{ cutAfter: 100_000, changed: true }]],
  ["had another file before, and knows no conditions", [{ cutAfter: 100_000, changed: true }, {}, {}]],
])("a server that %s", async (_, list) => {
  faults = list
  expect(sha256Of(await fetched())).toBe(sha256)
})

test("a silent server is given up, with its URL in the message", async () => {
  faults = [{ silent: true }, { silent: true }, { silent: true }]
  const error: unknown = await fetched("/0.tar", { timeoutSeconds: 0.05 }).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(EnvironmentError)
  expect((error as UserError).message).toBe(`${address}/0.tar: no answer within 0.05 s (tried 3 times)`)
  expect(await readdir(temporaryFolder)).toEqual([])
})

test("an error that no further attempt can fix is reported at once", async () => {
  await expect(fetched("/missing")).rejects.toThrow(`${address}/missing: no such file (404)`)
  faults = [{ status: 403 }]
  await expect(fetched()).rejects.toThrow(`${address}/0.tar: no access (403)`)
  faults = [{ status: 400 }]
  await expect(fetched()).rejects.toThrow("the server answered 400")
  expect(log).toHaveLength(3)
  const notes: string[] = []
  const unreachable = openStorage({ temporaryFolder, retryDelays: [0.01], onRetry: (text) => notes.push(text) })
  const closed = await closedAddress()
  await expect(unreachable.fetch(`${closed}/0.tar`)).rejects.toThrow(
    /^http:.*0\.tar: .*ECONNREFUSED.* \(tried 2 times\)$/,
  )
  expect(notes).toHaveLength(1)
  await expect(unreachable.fetch("http://127.0.0.1:1/0.tar")).rejects.toThrow(
    /^http:\/\/127\.0\.0\.1:1\/0\.tar: bad port$/,
  )
  await expect(unreachable.fetch("http://[x/0.tar")).rejects.toThrow(
    /^the address "http:\/\/\[x\/0\.tar" is not an http or https address$/,
  )
  await expect(unreachable.stat("https://")).rejects.toThrow(UserError)
  expect(notes).toHaveLength(1)
})

/** An address where no server listens any more. */
async function closedAddress(): Promise<string> {
  const briefly = createServer()
  await new Promise<void>((resolve) => briefly.listen(0, "127.0.0.1", resolve))
  const { port } = briefly.address() as AddressInfo
  await new Promise((resolve) => briefly.close(resolve))
  return `http://127.0.0.1:${port}`
}

test.each([
  [401, true],
  [403, true],
  [404, false],
  [400, false],
  [451, false],
])("the machine is at fault for %i: %s", async (status, isMachines) => {
  faults = [{ status }]
  const error: unknown = await fetched().catch((error: unknown) => error)
  expect(error).toBeInstanceOf(UserError)
  expect(error instanceof EnvironmentError).toBe(isMachines)
})

test("an abort ends the transfer and leaves nothing", async () => {
  faults = [{ silent: true }]
  const abort = new AbortController()
  setTimeout(() => abort.abort(), 30)
  await expect(storage().fetch(`${address}/0.tar`, { signal: abort.signal })).rejects.toThrow("aborted")
  expect(await readdir(temporaryFolder)).toEqual([])
})

test("sizes by HEAD or by a byte, small files whole, null for none", async () => {
  expect(await storage().stat(`${address}/0.tar`)).toEqual({ bytes: 300_000, tag: `"${sha256}"` })
  faults = [{ noHead: true }]
  expect(await storage().stat(`${address}/0.tar`)).toEqual({ bytes: 300_000, tag: `"${sha256}"` })
  expect(log.at(-1)).toBe("GET bytes=0-0")
  for (const status of [400, 401, 403, 501]) {
    faults = [{ status }]
    expect(await storage().stat(`${address}/0.tar?X-Amz-Signature=0a`)).toEqual({ bytes: 300_000, tag: `"${sha256}"` })
    expect(log.slice(-2)).toEqual(["HEAD all", "GET bytes=0-0"])
  }
  faults = [{ status: 403 }, { status: 403 }]
  await expect(storage().stat(`${address}/0.tar`)).rejects.toThrow(`${address}/0.tar: no access (403)`)
  faults = [{ status: 500 }]
  expect(sha256Of((await storage().readBytes(`${address}/x`))!)).toBe(sha256)
  expect(await storage().stat(`${address}/missing`)).toBe(null)
  expect(await storage().readBytes(`${address}/missing`)).toBe(null)
})

test("web servers are not written to nor listed", async () => {
  await expect(storage().put(`${address}/x`, [])).rejects.toThrow("cannot be written")
  await expect(storage().remove(`${address}/x`)).rejects.toThrow("cannot be written")
  await expect(storage().list(address)).rejects.toThrow("web servers do not list")
})

test("the hub's datasets and models are read, listed, and the token stays with the hub", async () => {
  const files = { "shards/00000.tar": content, "shards/00001.tar": Buffer.from("small"), "README.md": Buffer.from("x") }
  await using hub = await HubServer.start({ "apple/DR": { commit: "c".repeat(40), files } })
  hub.token = "hf_secret"
  hub.faults.push({ cutAfter: 1000 })
  const mine = storage({ env: { HF_ENDPOINT: hub.endpoint, HF_TOKEN: "hf_secret" } })
  await using local = await mine.fetch("hf://datasets/apple/DR@main/shards/00000.tar")
  expect(sha256Of(await readFile(local.path))).toBe(sha256)
  expect(hub.downloads.map(({ authorization }) => authorization)).toEqual([null, null])
  expect(hub.log[0]!.path).toBe("/datasets/apple/DR/resolve/main/shards/00000.tar")
  expect(await mine.list("hf://datasets/apple/DR/shards")).toEqual(["00000.tar", "00001.tar"])
  expect(await mine.stat("hf://apple/DR/shards/00001.tar")).toEqual({ bytes: 5, tag: null })
  expect(await mine.readBytes("hf://apple/DR/none")).toBe(null)
  await expect(mine.fetch("hf://apple/DR")).rejects.toThrow("names a repository and no file in it")
  await expect(mine.fetch("hf://apple")).rejects.toThrow("is not an address on the hub")
  await expect(mine.put("hf://apple/DR/x", [])).rejects.toThrow("cannot be written")
  const stranger = storage({ env: { HF_ENDPOINT: hub.endpoint } })
  await expect(stranger.fetch("hf://apple/DR/README.md")).rejects.toThrow("hf://apple/DR/README.md: no access (401)")
})

async function flood(response: ServerResponse): Promise<void> {
  while (!response.destroyed) if (!response.write(content)) await sleep(1)
}

async function drip(response: ServerResponse): Promise<void> {
  while (!response.destroyed) {
    response.write("x")
    await sleep(20)
  }
}

const three = (lie: Fault["lie"]): Fault[] => [{ lie: lie! }, { lie: lie! }, { lie: lie! }]

test("no more is written than was promised", async () => {
  let largest = 0
  const watch = setInterval(async () => {
    for (const name of await readdir(temporaryFolder)) {
      const found = await stat(join(temporaryFolder, name)).catch(() => null)
      largest = Math.max(largest, found?.size ?? 0)
    }
  }, 5)
  const range = { "Content-Range": "bytes 0-299999/300000" }
  const flooding: [string, Fault[]][] = [
    [
      "without a length, which HEAD says",
      three((response) => flood(response.writeHead(200))).flatMap((it) => [it, {}]),
    ],
    ["in a longer part", [{ cutAfter: 0 }, ...three((response) => flood(response.writeHead(206, range)))]],
  ]
  for (const [how, list] of flooding) {
    faults = list
    await expect(fetched(), how).rejects.toThrow(
      /more came than the 300000 bytes that were promised \(tried 3 times\)$/,
    )
  }
  clearInterval(watch)
  expect(largest).toBeLessThanOrEqual(300_000)
  expect(await readdir(temporaryFolder)).toEqual([])
})

test("a file of unknown length is refused", async () => {
  const lie = (response: ServerResponse) => flood(response.writeHead(200))
  faults = [{ lie }, { noLength: true }, { noLength: true, noRanges: true }]
  await expect(fetched()).rejects.toThrow(`${address}/0.tar: the server does not say how long the file is`)
})

test("a disk that takes a part of what it is given gets the rest, too", async () => {
  const handle = await open(process.execPath)
  const prototype = Object.getPrototypeOf(handle) as FileHandle
  await handle.close()
  const write = prototype.write as (...args: unknown[]) => unknown
  const spy = vi.spyOn(prototype, "write").mockImplementation(function (this: FileHandle, ...args: unknown[]) {
    const [bytes, offset, length, position] = args as [Uint8Array, number, number, number]
    return write.call(this, bytes, offset, Math.min(length, 10_001), position) as never
  })
  try {
    expect(sha256Of(await fetched())).toBe(sha256)
    expect(spy.mock.calls.length).toBeGreaterThan(29)
  } finally {
    spy.mockRestore()
  }
})

test("a store that drips is tried again, then given up", async () => {
  faults = three((response) => drip(response.writeHead(200, { "Content-Length": 300_000 })))
  const error: unknown = await fetched("/0.tar", { timeoutSeconds: 0.5 }).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(EnvironmentError)
  expect((error as Error).message).toMatch(/only \d+ bytes came within 0.5 s \(tried 3 times\)$/)
  expect(log).toHaveLength(3)
  faults = three((response) => drip(response.writeHead(200)))
  await expect(storage({ timeoutSeconds: 0.5 }).readBytes(`${address}/info.json`)).rejects.toThrow(
    /only \d+ bytes came/,
  )
})

test("a small file that is endless, or small only while it is packed, is refused", async () => {
  const bomb = gzipSync(Buffer.alloc(2 ** 27 + 1))
  faults = [{ lie: (response) => response.writeHead(200, { "Content-Encoding": "gzip" }).end(bomb) }]
  const message = `${address}/info.json answers with more than ${2 ** 27} bytes`
  await expect(storage().readBytes(`${address}/info.json`)).rejects.toThrow(message)
  faults = [{ lie: (response) => flood(response.writeHead(200)) }]
  await expect(storage().readBytes(`${address}/info.json`)).rejects.toThrow(message)
}, 30_000)

test("redirects have an end, and stay on the web", async () => {
  const to = (Location: string) => (response: ServerResponse) => response.writeHead(302, { Location }).end()
  faults = Array.from({ length: 20 }, () => ({ lie: to("/0.tar") }))
  await expect(fetched()).rejects.toThrow(/redirects without end$/)
  faults = [{ lie: to("file:///etc/passwd") }]
  await expect(fetched()).rejects.toThrow(/redirects to file:\/\/, which is not followed$/)
})

test("a hub's list without end, or of another server, is refused", async () => {
  await using hub = await HubServer.start({})
  const mine = storage({ env: { HF_ENDPOINT: hub.endpoint, HF_TOKEN: "hf_secret" } })
  const folder = "hf://datasets/apple/DR/shards"
  const lie = (next: (url: string) => string, body = "[]") => {
    hub.lie = ({ url }, response) => {
      response.writeHead(200, { Link: `<${next(url!)}>; rel="next"` }).end(body)
      return true
    }
  }
  lie((url) => hub.endpoint + url)
  await expect(mine.list(folder)).rejects.toThrow(`${folder}: the list of files goes on with a page that it had`)
  lie(() => `${address}/next`)
  log = []
  await expect(mine.list(folder)).rejects.toThrow(`${folder}: the list of files goes on at ${address}`)
  expect(log).toEqual([])
  lie((url) => hub.endpoint + url, "{}")
  await expect(mine.list(folder)).rejects.toThrow(`${folder} cannot be listed`)
}, 30_000)

test("a hub that refuses a token, or is away for a while", async () => {
  await using hub = await HubServer.start({ "apple/DR": { commit: "c".repeat(40), files: { "0.tar": content } } })
  const mine = storage({ env: { HF_ENDPOINT: hub.endpoint } })
  let away = 2
  hub.lie = (_, response) => {
    if (away-- <= 0) return false
    response.writeHead(503).end()
    return true
  }
  expect(await mine.list("hf://datasets/apple/DR")).toEqual(["0.tar"])
  hub.token = "hf_secret"
  const error: unknown = await mine.list("hf://datasets/apple/DR").catch((error: unknown) => error)
  expect(error).toBeInstanceOf(EnvironmentError)
  expect((error as Error).message).toBe("hf://datasets/apple/DR: no access (401)")
  expect(await storage({ env: { HF_ENDPOINT: hub.endpoint, HF_TOKEN: "hf_secret" } }).list("hf://none/none")).toEqual(
    [],
  )
})

test("an address with a name or a password is refused in a line without them, and so is what is not an address", async () => {
  const storage = openStorage({ temporaryFolder })
  for (const url of [address.replace("//", "//user:SECRET@"), "http://user:SEC/RET@host/x.tar", "s3://a:SECRET@b/x"]) {
    for (const ask of [storage.fetch(url), storage.readBytes(url), storage.stat(url), storage.list(url)]) {
      const error = await ask.catch((error: unknown) => error)
      expect(error).toBeInstanceOf(UserError)
      expect(JSON.stringify([(error as Error).message, (error as UserError).hint])).not.toMatch(/SEC|user:/)
    }
  }
  expect(log).toEqual([])
})

test("a redirect to an address with a password is refused without it", async () => {
  const location = `${address.replace("//", "//user:SECRET@")}/elsewhere`
  faults = [{ lie: (response) => response.writeHead(302, { Location: location }).end() }]
  const error = await openStorage({ temporaryFolder })
    .fetch(`${address}/x`)
    .catch((error: unknown) => error)
  expect(error).toBeInstanceOf(UserError)
  expect((error as Error).message).toMatch(/redirects to an address at 127\.0\.0\.1:\d+ with a user name or a password/)
  expect((error as Error).message).not.toContain("SECRET")
})
