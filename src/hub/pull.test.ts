/** The real client and our downloads against a local server in the hub's layout. */
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { scanCacheDir } from "@huggingface/hub"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { HubServer, sha256Of } from "../../test/hub-server.ts"
import { thisProcess } from "../host/locks/process-identity.ts"
import { type PullOptions, pull } from "./pull.ts"

const commit = "0123456789abcdef0123456789abcdef01234567"
const weights = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919 + (i >> 8)) & 255))
const config = Buffer.from('{"model_cfg":{}}')
const terms = Buffer.from("terms")
const companions = config.length + terms.length
const sha256 = sha256Of(weights)

let folder: string
let hub: HubServer

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "pull-"))
  hub = await HubServer.start({
    "apple/MobileCLIP2-S0": {
      commit,
      tags: ["license:apple-amlr"],
      files: { "mobileclip2_s0.pt": weights, "config.json": config, LICENSE: terms, "big.png": weights },
    },
  })
})
afterEach(async () => {
  await hub[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

const at = (...parts: string[]) => join(folder, "hub", "models--apple--MobileCLIP2-S0", ...parts)
const blobs = () => readdirSync(at("blobs")).sort()
const content = () => readFileSync(at("snapshots", commit, "mobileclip2_s0.pt"))

function run(options: PullOptions = {}, name = "mobileclip2-s0") {
  const env = { HF_ENDPOINT: hub.endpoint, HF_HOME: folder, ...options.env }
  return pull(name, { retryDelays: [0, 0], ...options, env })
}

const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.unreachable("this should fail"),
    (error: Error & { hint?: string }) => ({ name: error.name, text: `${error.message} | ${error.hint}` }),
  )

test("a first pull fills the shared cache, a second one downloads nothing", async () => {
  const progress: number[][] = []
  const shown: string[] = []
  const options: PullOptions = {
    onProgress: (...now) => progress.push(now),
    onLicense: ({ id }, repo) => void shown.push(`${repo}: ${id}`),
  }
  const result = await run(options)
  expect(result).toEqual({
    path: at("snapshots", commit, "mobileclip2_s0.pt"),
    repo: "apple/MobileCLIP2-S0",
    revision: commit,
    file: "mobileclip2_s0.pt",
    bytes: 300_000,
    sha256,
    license: expect.objectContaining({ id: "apple-amlr" }),
    cached: false,
  })
  expect(content().equals(weights)).toBe(true)
  expect(shown).toEqual(["apple/MobileCLIP2-S0: apple-amlr"])
  const total = weights.length + companions
  expect(progress.at(-1)).toEqual([total, total])
  expect(progress.map(([done]) => done)).toEqual(progress.map(([done]) => done).sort((a, b) => a! - b!))

  const sha1 = (bytes: Buffer) => createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex")
  expect(readFileSync(at("refs", "main"), "utf8")).toBe(commit)
  expect(blobs()).toEqual([sha256, sha1(config), sha1(terms)].sort())
  expect(readlinkSync(at("snapshots", commit, "config.json"))).toBe(join("..", "..", "blobs", sha1(config)))

  const before = hub.log.length
  expect(await run()).toEqual({ ...result, cached: true })
  expect(hub.log.slice(before).map(({ path }) => path.split("?")[0])).toEqual([
    "/api/models/apple/MobileCLIP2-S0/revision/main",
    `/api/models/apple/MobileCLIP2-S0/tree/${commit}`,
  ])
})

test("the hub's own client reads the cache", async () => {
  await run()
  const { repos, warnings } = await scanCacheDir(join(folder, "hub"))
  expect(warnings).toEqual([])
  expect(repos).toMatchObject([{ id: { name: "apple/MobileCLIP2-S0", type: "model" }, filesCount: 3 }])
  expect(repos[0]!.revisions).toMatchObject([{ commitOid: commit, refs: ["main"] }])
})

test("a connection that breaks is continued: only what was missing is sent again", async () => {
  hub.faults.push({ cutAfter: 100_000 }, { cutAfter: 0 }, { cutAfter: 50_000 })
  // A break may cost what was received and not yet read, so the server's log is compared with what was read.
  const read = [0]
  let done = 0
  const result = await run({
    onProgress: (all) => {
      done = all - companions
    },
    onNote: () => read.push(done),
  })
  expect(result).toMatchObject({ sha256, cached: false })
  expect(content().equals(weights)).toBe(true)
  expect(hub.downloads.map(({ range }) => range)).toEqual(read.map((from) => `bytes=${from}-`))
  expect(read).toHaveLength(4)
  expect(read[1]).toBeGreaterThan(0)
  expect(read[2]).toBe(read[1])
  expect(hub.downloads.at(-1)!.sent).toBe(weights.length - read[3]!)
})

test("an interrupted pull keeps its part, and the next one goes on there", async () => {
  const controller = new AbortController()
  hub.faults.push({ holdAfter: 120_000 })
  const onProgress = (done: number) => done >= 120_000 && controller.abort()
  expect(await errorOf(run({ signal: controller.signal, onProgress }))).toMatchObject({ name: "AbortError" })
  const kept = readFileSync(at("blobs", `${sha256}.mobileclip.incomplete`))
  expect(kept.equals(weights.subarray(0, kept.length))).toBe(true)
  expect(kept.length).toBeGreaterThan(100_000)

  const progress: number[] = []
  expect(await run({ onProgress: (done) => progress.push(done) })).toMatchObject({ sha256 })
  expect(hub.downloads.at(-1)).toMatchObject({ range: `bytes=${kept.length}-`, sent: weights.length - kept.length })
  expect(progress[0]).toBe(kept.length)
  expect(content().equals(weights)).toBe(true)
  expect(blobs().filter((name) => name.includes("incomplete"))).toEqual([])
})

test("a server that stays away is one line, keeps the part, and the next pull goes on there", async () => {
  hub.faults.push({ cutAfter: 100_000 }, { status: 503 }, { status: 502 })
  const { name, text } = await errorOf(run())
  expect(name).toBe("UserError")
  expect(text).toMatch(/^downloading mobileclip2_s0\.pt: .*answered 502 \(tried 3 times\) \| check the network .*kept/)
  const kept = statSync(at("blobs", `${sha256}.mobileclip.incomplete`)).size
  expect(kept).toBeGreaterThan(0)
  await run()
  expect(hub.downloads.at(-1)).toMatchObject({ range: `bytes=${kept}-`, sent: weights.length - kept })
})

test("a killed process's part is taken over, a live one's is not", async () => {
  mkdirSync(at("blobs"), { recursive: true })
  const { pid: ended } = spawnSync(process.execPath, ["-e", ""])
  const live = partOf(process.pid)
  writeFileSync(live, weights.subarray(0, 299_999))
  writeFileSync(partOf(ended), weights.subarray(0, 200_000))
  await run()
  expect(hub.downloads).toMatchObject([{ range: "bytes=200000-", sent: 100_000 }])
  expect(content().equals(weights)).toBe(true)
  expect(blobs().filter((name) => name.endsWith(".incomplete"))).toEqual([basename(live)])
})

/** The name of a part that a process with this one's id downloads, which began when this one did or at another time. */
function partOf(pid: number, start = thisProcess().start): string {
  const digits = `${pid.toString(16).padStart(8, "0")}${thisProcess().machine}${start}01234567`
  return at("blobs", `${sha256}.${digits}.incomplete`)
}

test("a killed process's part is taken over though another process has its id, and all abandoned parts are removed", async () => {
  mkdirSync(at("blobs"), { recursive: true })
  writeFileSync(partOf(process.pid, "12345678"), weights.subarray(0, 200_000))
  writeFileSync(partOf(process.pid, "12345679"), weights.subarray(0, 200_000))
  await run()
  expect(hub.downloads).toMatchObject([{ range: "bytes=200000-", sent: 100_000 }])
  expect(content().equals(weights)).toBe(true)
  expect(blobs().filter((name) => name.endsWith(".incomplete"))).toEqual([])
})

test("a part that is a link is not written to", async () => {
  mkdirSync(at("blobs"), { recursive: true })
  const elsewhere = join(folder, "elsewhere")
  writeFileSync(elsewhere, weights.subarray(0, 1000))
  symlinkSync(elsewhere, at("blobs", `${sha256}.mobileclip.incomplete`))
  await run()
  expect(content().equals(weights)).toBe(true)
  expect(readFileSync(elsewhere)).toHaveLength(1000)
})

test("a server without byte ranges sends everything again", async () => {
  hub.faults.push({ cutAfter: 100_000 }, { noRanges: true })
  await run()
  expect(hub.downloads.map(({ status, sent }) => [status, sent])).toEqual([
    [206, 100_000],
    [200, 300_000],
  ])
  expect(content().equals(weights)).toBe(true)
})

test("wrong contents are one line and leave nothing", async () => {
  hub.faults.push({ damaged: true })
  const { name, text } = await errorOf(run())
  expect(name).toBe("UserError")
  expect(text).toMatch(/^mobileclip2_s0\.pt arrived damaged: its sha256 is [0-9a-f]{64}, expected [0-9a-f]{64} \|/)
  expect(text).toContain(`expected ${sha256}`)
  expect(blobs().filter((name) => name.startsWith(sha256))).toEqual([])
  expect(existsSync(at("snapshots", commit, "mobileclip2_s0.pt"))).toBe(false)
  expect(await run()).toMatchObject({ sha256, cached: false })
})

test("a part that was damaged on the disk does not become the file", async () => {
  mkdirSync(at("blobs"), { recursive: true })
  writeFileSync(at("blobs", `${sha256}.mobileclip.incomplete`), Buffer.alloc(1000))
  expect((await errorOf(run())).text).toContain("arrived damaged")
  expect(await run()).toMatchObject({ sha256 })
})

test("a server that falls silent is not waited for", async () => {
  hub.faults.push({ holdAfter: 100_000 })
  await run({ env: { HF_HUB_DOWNLOAD_TIMEOUT: "1" } })
  expect(hub.downloads.map(({ range }) => range)).toEqual(["bytes=0-", "bytes=100000-"])
  expect(content().equals(weights)).toBe(true)
})

test("two pulls at once both end with the right file", async () => {
  const [first, second] = await Promise.all([run(), run()])
  expect(second.path).toBe(first.path)
  expect(content().equals(weights)).toBe(true)
  expect(blobs()).toHaveLength(3)
})

test("offline only the cache counts", async () => {
  const offline = { env: { HF_HUB_OFFLINE: "1" } }
  expect((await errorOf(run(offline))).text).toMatch(
    /^apple\/MobileCLIP2-S0 \(main\) is not in .*hub, and HF_HUB_OFFLINE allows no download \| unset HF_HUB_OFFLINE/,
  )
  expect(hub.log).toEqual([])
  const { path } = await run()
  const before = hub.log.length
  expect(await run(offline)).toMatchObject({ path, sha256, cached: true, license: { id: "apple-amlr" } })
  expect(hub.log.length).toBe(before)
})

test("a hub that cannot be reached is one line, or the copy in the cache with a note", async () => {
  const { path } = await run()
  const env = { HF_ENDPOINT: hub.endpoint }
  await hub[Symbol.asyncDispose]()
  const notes: string[] = []
  expect(await run({ env, onNote: (text) => notes.push(text) })).toMatchObject({ path, cached: true })
  expect(notes.at(-1)).toMatch(/ECONNREFUSED.* \(tried 2 times\); this is the copy in the cache$/)
  const { text } = await errorOf(run({ env, cacheDir: join(folder, "empty") }))
  expect(text).toMatch(/^apple\/MobileCLIP2-S0: 127.*ECONNREFUSED.* \(tried 3 times\) \| check the network/)
  hub = await HubServer.start({})
})

test("without a network nothing is waited for: a host that is not found is asked for twice", async () => {
  const cause = Object.assign(new Error("getaddrinfo ENOTFOUND huggingface.co"), {
    ...{ code: "ENOTFOUND", hostname: "huggingface.co" },
  })
  const asked = vi.spyOn(globalThis, "fetch").mockRejectedValue(new TypeError("fetch failed", { cause }))
  try {
    const { text } = await errorOf(run({ retryDelays: [0, 0, 0, 0, 0] }))
    expect(text).toMatch(/^apple\/MobileCLIP2-S0: huggingface\.co was not found \(tried 2 times\) \| check the network/)
    expect(asked).toHaveBeenCalledTimes(2)
  } finally {
    asked.mockRestore()
  }
})

test("without a name server it is said what is tried, which attempt it is and when; after three it ends", async () => {
  const message = "getaddrinfo EAI_AGAIN huggingface.co"
  const cause = Object.assign(new Error(message), { code: "EAI_AGAIN", hostname: "huggingface.co" })
  const asked = vi.spyOn(globalThis, "fetch").mockRejectedValue(new TypeError("fetch failed", { cause }))
  const notes: string[] = []
  try {
    const delays = { retryDelays: [0.01, 0.02, 40, 40, 40], onNote: (text: string) => notes.push(text) }
    const { text } = await errorOf(run(delays))
    expect(text).toMatch(
      /^apple\/MobileCLIP2-S0: no name server answers for huggingface\.co \(tried 3 times\) \| check/,
    )
    expect(asked).toHaveBeenCalledTimes(3)
  } finally {
    asked.mockRestore()
  }
  const said = "apple/MobileCLIP2-S0: no name server answers for huggingface.co; trying again in"
  expect(notes).toEqual([`${said} 0.01 s (attempt 2 of 3)`, `${said} 0.02 s (attempt 3 of 3)`])
})

test("a port that is never asked is one line at once", async () => {
  const notes: string[] = []
  const port = { endpoint: "http://127.0.0.1:1", retryDelays: [30, 30], onNote: (text: string) => notes.push(text) }
  expect((await errorOf(run(port))).text).toMatch(/^apple\/MobileCLIP2-S0: 127\.0\.0\.1:1: bad port \| check/)
  expect(notes).toEqual([])
})

test("the token comes from HF_TOKEN, or the file of a login, and goes to no other origin", async () => {
  hub.token = "hf_secret"
  writeFileSync(join(folder, "token"), "hf_secret\n")
  for (const env of [{ HF_TOKEN: "hf_secret" }, {}]) {
    await run({ env, cacheDir: join(folder, "hub", String(Object.keys(env).length)) })
    const requests = hub.log.splice(0)
    const tokens = (origin: string) =>
      new Set(requests.filter((request) => request.origin === origin).map(({ authorization }) => authorization))
    expect(tokens("hub")).toEqual(new Set(["Bearer hf_secret"]))
    expect(tokens("cdn")).toEqual(new Set([null]))
  }
})

test.each([
  ["no token", {}, 401, "RepoNotFound", /no public repository apple\/MobileCLIP2-S0 \(401\) .*nearest.*set HF_TOKEN/],
  [
    "a wrong token",
    { HF_TOKEN: "hf_no" },
    401,
    "",
    /refused the token from HF_TOKEN \(401\) \| set HF_TOKEN to a token/,
  ],
  ["a gated one", {}, 401, "GatedRepo", /only users who accepted its terms get .* accept its terms at http.*HF_TOKEN/],
  ["no access", { HF_TOKEN: "hf_no" }, 403, "GatedRepo", /the token from HF_TOKEN has no access to apple.*\(403\)/],
])("%s is said in one line", async (_, env, status, code, expected) => {
  hub.token = "hf_secret"
  hub.refusal = { status, code }
  const { name, text } = await errorOf(run({ env }))
  expect(name).toBe("UserError")
  expect(text).toMatch(expected)
  expect(text).not.toContain("hf_no")
})

test("an error about what the hub does not have lists what it has", async () => {
  expect((await errorOf(run({}, "apple/MobileCLIP3-S0"))).text).toMatch(
    /has no public repository apple\/MobileCLIP3-S0 \(404\) \| nearest names: apple\/MobileCLIP2?-S0, /,
  )
  expect((await errorOf(run({ revision: "v9" }))).text).toContain("has no such revision (404)")
  expect((await errorOf(run({ file: "x.pt" }))).text).toBe(
    "apple/MobileCLIP2-S0 has no file x.pt | files with weights: mobileclip2_s0.pt",
  )
})

test("an address that is not a hub, and impossible values, are one line", async () => {
  expect((await errorOf(run({ endpoint: "ftp://x" }))).text).toContain("is not an http or https address")
  expect((await errorOf(run({ token: "hf_ä" }))).text).toMatch(/^--token holds no token/)
  expect((await errorOf(run({ revision: "../../x" }))).text).toMatch(/is not a revision/)
  expect((await errorOf(run({ file: "../../x.pt" }))).text).toMatch(/names "\.\.\/\.\.\/x\.pt", which could be outside/)
})

test("a disk without room is one line before anything is downloaded", async () => {
  const huge = Object.assign(Buffer.from(weights), {})
  Object.defineProperty(huge, "length", { value: 2 ** 52 })
  const repository = hub.repositories["apple/MobileCLIP2-S0"]!
  hub.repositories["apple/MobileCLIP2-S0"] = { ...repository, files: { "mobileclip2_s0.pt": huge } }
  expect((await errorOf(run())).text).toMatch(/^disk full at .*: 4503599628 MB are needed and \d+ MB are free \| free/)
  expect(hub.downloads).toEqual([])
})

test("--force downloads again; another revision of the same contents does not", async () => {
  await run()
  expect(await run({ force: true })).toMatchObject({ cached: false })
  expect(hub.downloads).toHaveLength(2)
  const repository = hub.repositories["apple/MobileCLIP2-S0"]!
  const next = "f".repeat(40)
  hub.repositories["apple/MobileCLIP2-S0"] = { ...repository, commit: next }
  expect(await run()).toMatchObject({ cached: true, revision: next, path: at("snapshots", next, "mobileclip2_s0.pt") })
  expect(hub.downloads).toHaveLength(2)
})

test("a local path comes back as it is", async () => {
  writeFileSync(join(folder, "mine.pt"), "1234")
  const path = join(folder, "mine.pt")
  expect(await pull(path)).toEqual({
    ...{ path, file: "mine.pt", bytes: 4, repo: null, revision: null, sha256: null, license: null, cached: true },
  })
})
