import { mkdtemp, readdir, readFile, rm, stat, utimes } from "node:fs/promises"
import { createServer, request, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest"
import { sha256Of } from "../../../test/hub-server.ts"
import { EnvironmentError, UserError } from "../../core/errors.ts"
import { openStorage, type StorageOptions } from "./open.ts"

// No types come with it.
const { default: S3rver } = (await import("s3rver" as string)) as {
  default: new (options: object) => { run(): Promise<AddressInfo>; close(): Promise<void> }
}

/** How the next answers differ from the server's own. */
type Fault =
  | { readonly cutAfter: number }
  | { readonly status: number; readonly code?: string }
  /** The server does what it is asked, and its answer is lost. */
  | { readonly lost: true }
  /** Gives this answer to every request. */
  | { readonly body: string | Buffer; readonly status?: number }
  /** The server gives its own answer. */
  | Record<never, never>

let s3: InstanceType<typeof S3rver>
let proxy: Server
let temporaryFolder: string
let endpoint: string
let faults: Fault[] = []
let log: string[] = []

beforeAll(async () => {
  temporaryFolder = await mkdtemp(join(tmpdir(), "s3-"))
  s3 = new S3rver({
    ...{ port: 0, address: "127.0.0.1", silent: true, directory: join(temporaryFolder, "objects") },
    configureBuckets: [{ name: "data" }],
  })
  const { port } = await s3.run()
  proxy = faultyProxy(port)
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve))
  endpoint = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
})
afterAll(async () => {
  proxy.closeAllConnections()
  await new Promise((resolve) => proxy.close(resolve))
  await s3.close()
  await rm(temporaryFolder, { recursive: true })
})
beforeEach(() => {
  faults = []
  log = []
})

/** Passes requests on to the server, and breaks answers off. */
function faultyProxy(port: number): Server {
  return createServer((incoming, outgoing) => {
    const { method, url, headers } = incoming
    const fault = faults.shift()
    log.push(`${method} ${headers.range ?? ""}`.trim())
    if (fault && "body" in fault) {
      incoming.resume()
      return void outgoing.writeHead(fault.status ?? 200, { "Content-Type": "application/xml" }).end(fault.body)
    }
    if (fault && "status" in fault) {
      incoming.resume()
      const { status, code } = fault
      const body = code && `<?xml version="1.0"?><Error><Code>${code}</Code><Message>of the proxy</Message></Error>`
      return void outgoing.writeHead(status, { "Content-Type": "application/xml" }).end(body)
    }
    const passed = request({ port, host: "127.0.0.1", method, path: url, headers }, (answer) => {
      if (fault && "lost" in fault) return void answer.resume().on("end", () => outgoing.destroy())
      outgoing.writeHead(answer.statusCode!, answer.headers)
      if (!fault || !("cutAfter" in fault)) return void answer.pipe(outgoing)
      answer.once("data", (bytes: Buffer) => {
        outgoing.write(bytes.subarray(0, fault.cutAfter), () => setTimeout(() => outgoing.destroy(), 20))
        answer.destroy()
      })
    })
    incoming.pipe(passed)
    passed.on("error", () => outgoing.destroy())
    outgoing.on("close", () => passed.destroy())
  })
}

const storage = (options: StorageOptions = {}) => {
  const env = { AWS_ENDPOINT_URL: endpoint }
  return openStorage({ temporaryFolder: join(temporaryFolder), env, retryDelays: [0.01, 0.01], ...options })
}
process.env.AWS_ACCESS_KEY_ID = "S3RVER"
process.env.AWS_SECRET_ACCESS_KEY = "S3RVER"

const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * i) % 251))
const sha256 = sha256Of(content)

test("objects are put, read, listed, removed", async () => {
  const store = storage()
  expect(await store.put("s3://data/out/00001.tar", [content])).toEqual({ bytes: 300_000, sha256 })
  await store.put("s3://data/out/deep/a b.json", [Buffer.from("{}")])
  await store.put("s3://data/other/x", [])
  expect(await store.stat("s3://data/out/00001.tar")).toEqual({
    bytes: 300_000,
    tag: expect.stringMatching(/^"[0-9a-f]{32}"$/),
  })
  expect(Buffer.from((await store.readBytes("s3://data/out/deep/a b.json"))!).toString()).toBe("{}")
  expect(await store.list("s3://data/out")).toEqual(["00001.tar", "deep/a b.json"])
  expect(await store.list("s3://data/out/")).toEqual(["00001.tar", "deep/a b.json"])
  expect(await store.list("s3://data/none")).toEqual([])
  await store.remove("s3://data/other/x")
  await store.remove("s3://data/other/x")
  expect(await store.stat("s3://data/other/x")).toBe(null)
  expect(await store.readBytes("s3://data/other/x")).toBe(null)
  expect(await readdir(temporaryFolder)).toEqual(["objects"])
})

test("a transfer goes on where it broke off, and the copy is removed", async () => {
  const store = storage()
  await store.put("s3://data/broken.tar", [content])
  log = []
  faults = [{ cutAfter: 10_000 }, { status: 503 }]
  {
    await using local = await store.fetch("s3://data/broken.tar")
    expect(sha256Of(await readFile(local.path))).toBe(sha256)
  }
  expect(log).toEqual(["GET", "GET bytes=10000-", "GET bytes=10000-"])
  expect(await readdir(temporaryFolder)).toEqual(["objects"])
})

test("a large object goes up in parts, and comes back whole", async () => {
  const piece = Buffer.alloc(2 ** 20, 7)
  const pieces = Array.from({ length: 70 }, () => piece)
  faults = [{ status: 500 }]
  const written = await storage().put("s3://data/large.tar", pieces)
  expect(written.bytes).toBe(70 * 2 ** 20)
  // Begin, twice; 64 and 6 MiB; end.
  expect(log).toEqual(["POST", "POST", "PUT", "PUT", "POST"])
  await using local = await storage().fetch("s3://data/large.tar")
  expect(sha256Of(await readFile(local.path))).toBe(written.sha256)
})

test("errors say what is wrong and with which object", async () => {
  await expect(storage().fetch("s3://data/none.tar")).rejects.toThrow("s3://data/none.tar: no such object (404)")
  await expect(storage().fetch("s3://missing/none.tar")).rejects.toThrow("s3://missing/none.tar: no such bucket")
  await expect(storage().fetch("s3://data")).rejects.toThrow("s3://data does not name an object")
  faults = [{ status: 403 }]
  await expect(storage().fetch("s3://data/x")).rejects.toThrow(/^s3:\/\/data\/x: no access/)
  faults = [{ status: 500 }, { status: 500 }, { status: 500 }]
  await expect(storage().stat("s3://data/x")).rejects.toThrow(/^s3:\/\/data\/x: S3 answered 500.*\(tried 3 times\)$/)
  const unreachable = storage({ env: { AWS_ENDPOINT_URL_S3: "http://127.0.0.1:1" } })
  await expect(unreachable.put("s3://data/x", [content])).rejects.toThrow(/^s3:\/\/data\/x: .*\(tried 3 times\)$/)
  expect(await readdir(temporaryFolder)).toEqual(["objects"])
})

test.each([
  [400, "RequestTimeout"],
  [400, "IncompleteBody"],
  [503, "SlowDown"],
  [500, "InternalError"],
  [409, "OperationAborted"],
  [429, "TooManyRequests"],
])("%i %s is tried again", async (status, code) => {
  faults = [
    { status, code },
    { status, code },
  ]
  expect(await storage().put("s3://data/again.tar", [content])).toEqual({ bytes: 300_000, sha256 })
  expect(log).toEqual(["PUT", "PUT", "PUT"])
  expect(await storage().stat("s3://data/again.tar")).toEqual({
    bytes: 300_000,
    tag: expect.stringMatching(/^"[0-9a-f]{32}"$/),
  })
})

test.each([
  [400, "ExpiredToken"],
  [403, "AccessDenied"],
  [403, "InvalidAccessKeyId"],
  [403, "SignatureDoesNotMatch"],
  [403, "RequestTimeTooSkewed"],
])("%i %s is the machine's fault, and said at once", async (status, code) => {
  faults = [{ status, code }]
  const error: unknown = await storage()
    .put("s3://data/x", [content])
    .catch((error: unknown) => error)
  expect(error).toBeInstanceOf(EnvironmentError)
  expect((error as Error).message).toBe(`s3://data/x: no access (${code}, ${status})`)
  expect(log).toEqual(["PUT"])
})

test("without credentials, and without a network, the machine is at fault", async () => {
  const names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
  const before = names.map((name) => [name, process.env[name]])
  for (const name of names) delete process.env[name]
  const none = { AWS_EC2_METADATA_DISABLED: "true", AWS_CONFIG_FILE: "/none", AWS_SHARED_CREDENTIALS_FILE: "/none" }
  Object.assign(process.env, none)
  const stranger = await storage()
    .stat("s3://data/x")
    .catch((error: unknown) => error)
  Object.assign(process.env, Object.fromEntries(before))
  for (const name of Object.keys(none)) delete process.env[name]
  expect(stranger).toBeInstanceOf(EnvironmentError)
  expect((stranger as Error).message).toBe("s3://data/x: no credentials for S3")
  const unreachable = storage({ env: { AWS_ENDPOINT_URL_S3: "http://127.0.0.1:1" } })
  await expect(unreachable.stat("s3://data/x")).rejects.toBeInstanceOf(EnvironmentError)
  await expect(storage().fetch("s3://data/none")).rejects.not.toBeInstanceOf(EnvironmentError)
})

test("a wrong request is not the machine's fault", async () => {
  faults = [{ status: 400, code: "InvalidRequest" }]
  const error: unknown = await storage()
    .put("s3://data/x", [content])
    .catch((error: unknown) => error)
  expect(error).toBeInstanceOf(UserError)
  expect(error).not.toBeInstanceOf(EnvironmentError)
})

const pieces = Array.from({ length: 65 }, (_, i) => Buffer.alloc(2 ** 20, i))

test("an upload whose last answer was lost is looked for, and counts where it is there", async () => {
  // Begin, two parts, end; S3 knows the upload no more.
  faults = [{}, {}, {}, { lost: true }, { status: 404, code: "NoSuchUpload" }]
  const written = await storage().put("s3://data/lost.tar", pieces)
  expect(log).toEqual(["POST", "PUT", "PUT", "POST", "POST", "HEAD"])
  await using local = await storage().fetch("s3://data/lost.tar")
  expect(sha256Of(await readFile(local.path))).toBe(written.sha256)
})

test("an upload that is gone, without its object or with another of its size, is an error", async () => {
  const gone = [{}, {}, {}, { status: 404, code: "NoSuchUpload" }]
  faults = [...gone]
  await expect(storage().put("s3://data/gone.tar", pieces)).rejects.toThrow(
    "s3://data/gone.tar: its upload is gone (404)",
  )
  expect(log).toEqual(["POST", "PUT", "PUT", "POST", "HEAD", "DELETE"])
  faults = []
  await storage().put("s3://data/gone.tar", pieces.toReversed())
  faults = [...gone]
  await expect(storage().put("s3://data/gone.tar", pieces)).rejects.toBeInstanceOf(EnvironmentError)
})

test("bytes are reported as they move, and an abort breaks an upload off", async () => {
  let moved = 0
  const onBytes = (bytes: number) => {
    moved += bytes
  }
  const { bytes } = await storage().put("s3://data/moving.tar", pieces, { onBytes })
  expect(moved).toBe(bytes)
  moved = 0
  await using _ = await storage().fetch("s3://data/moving.tar", { onBytes })
  expect(moved).toBe(bytes)
  const abort = new AbortController()
  const upload = storage().put("s3://data/aborted.tar", pieces, { signal: abort.signal, onBytes: () => abort.abort() })
  await expect(upload).rejects.toThrow("aborted")
  expect(await storage().stat("s3://data/aborted.tar")).toBe(null)
  expect(await readdir(temporaryFolder)).toHaveLength(2)
})

test("an empty object is put and read", async () => {
  expect((await storage().put("s3://data/empty", [])).bytes).toBe(0)
  expect(await storage().stat("s3://data/empty")).toEqual({ bytes: 0, tag: expect.stringMatching(/^"[0-9a-f]{32}"$/) })
})

test("a list that goes on for ever, and a record that is too large, are refused", async () => {
  const next = "<IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken>"
  const body = `<ListBucketResult><Name>data</Name>${next}<Contents><Key>out/0.tar</Key></Contents></ListBucketResult>`
  faults = [{ body }, { body }]
  await expect(storage().list("s3://data/out")).rejects.toThrow("s3://data/out: the list of objects does not end")
  faults = [{ body: Buffer.alloc(2 ** 27 + 1) }]
  await expect(storage().readBytes("s3://data/out/info.json")).rejects.toThrow(
    `s3://data/out/info.json answers with more than ${2 ** 27} bytes`,
  )
}, 30_000)

test("answers other than objects, lists and errors alike, have at most 32 MiB", async () => {
  const body = Buffer.concat([
    Buffer.from("<ListBucketResult>"),
    Buffer.alloc(2 ** 25, " "),
    Buffer.from("</ListBucketResult>"),
  ])
  const refusal = `S3 answers with more than ${2 ** 25} bytes`
  faults = [{ body }]
  const error: unknown = await storage()
    .list("s3://data/out")
    .catch((error: unknown) => error)
  expect(error).toBeInstanceOf(UserError)
  expect((error as Error).message).toBe(`s3://data/out: ${refusal}`)
  expect(log).toEqual(["GET"])
  faults = [{ body, status: 400 }]
  await expect(storage().put("s3://data/x", [content])).rejects.toThrow(`s3://data/x: ${refusal}`)
  faults = [{ body, status: 400 }]
  await expect(storage().readBytes("s3://data/x")).rejects.toThrow(`s3://data/x: ${refusal}`)
  faults = [{ body: Buffer.alloc(2 ** 25 + 1) }]
  expect(await storage().readBytes("s3://data/x")).toHaveLength(2 ** 25 + 1)
}, 30_000)

test("a list takes ten minutes at most, however slowly its pages come", async () => {
  const page = (i: number) =>
    `<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>${i}</NextContinuationToken></ListBucketResult>`
  faults = Array.from({ length: 6 }, (_, i) => ({ body: page(i) }))
  const now = performance.now.bind(performance)
  // Each page takes 250 seconds.
  const clock = vi.spyOn(performance, "now").mockImplementation(() => now() + log.length * 250_000)
  try {
    await expect(storage().list("s3://data/out")).rejects.toThrow("the list of objects does not end")
    expect(log).toEqual(["GET", "GET", "GET"])
  } finally {
    clock.mockRestore()
  }
})

test("a copy that is only read does not count as abandoned", async () => {
  await storage().put("s3://data/kept.tar", [content])
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] })
  try {
    {
      await using local = await storage().fetch("s3://data/kept.tar")
      await utimes(local.path, 0, 0)
      vi.advanceTimersByTime(3600 * 1000)
      expect(Date.now() - (await stat(local.path)).mtimeMs).toBeLessThan(60_000)
    }
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})
