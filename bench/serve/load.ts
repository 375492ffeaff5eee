/** Load on a server from a process of its own: clients that each ask again when they have an answer, over connections that are kept. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readdirSync, readFileSync } from "node:fs"
import { Agent, request } from "node:http"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { quantile } from "../../src/core/arrays/quantile.ts"

export interface LoadOrder {
  readonly url: string
  /** mixed: texts, pictures, searches, thumbnails and what is refused; it needs a server with an index. */
  readonly kind: "texts" | "pictures" | "mixed"
  readonly clients: number
  readonly seconds: number
  /** Requests after which the load ends, if the time is not over before; default: none. */
  readonly requests?: number
  /** New texts of a request; default: 1. */
  readonly parts?: number
  /** Texts of a request beside them that are always the same, so that the cache has them; default: 0. */
  readonly known?: number
  /** A folder of JPEG files. */
  readonly pictures: string
  /** Requests after which contents come again; null: never, so that no cache knows them. */
  readonly repeat: number | null
}

export interface LoadReport {
  readonly answered: number
  /** Requests that were not answered as expected: their number by status, or by the connection's error. */
  readonly failures: Readonly<Record<string, number>>
  /** Measured. */
  readonly seconds: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  readonly longest: number
  /** Processor seconds that the clients took. */
  readonly processorSeconds: number
}

const program = fileURLToPath(import.meta.url)

/** What a process of clients reports. */
export async function runLoad(order: LoadOrder): Promise<LoadReport> {
  const compiled = program.endsWith(".ts") ? program.replace(/\/bench\/(?!.*\/bench\/)/, "/dist/bench/") : program
  const child = spawn(process.execPath, [compiled.replace(/\.ts$/, ".js"), JSON.stringify(order)], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  let text = ""
  child.stdout.on("data", (data) => {
    text += data
  })
  await once(child, "close")
  if (child.exitCode !== 0) throw new Error(`the clients ended with ${child.exitCode}`)
  return JSON.parse(text)
}

/** A text in three to forty words that nobody asked for before. */
export function textOf(n: number): string {
  const words = [
    "a",
    "photo",
    "of",
    "dog",
    "beach",
    "red",
    "car",
    "at",
    "night",
    "house",
    "tree",
    "with",
    "two",
    "people",
  ]
  const count = 3 + ((n * 7919) % 38)
  return `${n} ${Array.from({ length: count }, (_, i) => words[(n * 31 + i * 17) % words.length]).join(" ")}`
}

interface Asked {
  readonly path: string
  readonly body?: readonly (Buffer | string)[]
  /** What it is to be answered with; default: 200. */
  readonly status?: number
}

type AskedOf = (n: number) => Asked

const embeddings = "/v1/embeddings"

function texts({ parts = 1, known = 0 }: LoadOrder): AskedOf {
  const same = Array.from({ length: known }, (_, i) => `the known text ${i}`)
  return (n) => {
    const input = Array.from({ length: parts }, (_, i) => textOf(n * parts + i))
    return { path: embeddings, body: [JSON.stringify({ input: [...same, ...input], encoding_format: "base64" })] }
  }
}

/** Each with a comment of its own right after the first marker: other bytes, the same pixels. Only that part of the base64 is made anew. */
function pictures({ pictures: folder }: LoadOrder): AskedOf {
  const files = jpegFiles(folder).map((path) => readFileSync(path))
  const ends = files.map((bytes) => Buffer.from(bytes.subarray(2).toString("base64")))
  const [head, tail] = ['{"encoding_format":"base64","input":[{"image":"data:image/jpeg;base64,', '"}]}']
  return (n) => {
    const comment = Buffer.from(String(n).padStart(12, "0"))
    // Two bytes, two, two and twelve: a multiple of three, so that what follows begins at a character of base64.
    const start = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xfe, 0, comment.length + 2]), comment])
    return { path: embeddings, body: [head, start.toString("base64"), ends[n % ends.length]!, tail] }
  }
}

const refused: readonly Asked[] = [
  { path: embeddings, body: ["{"], status: 400 },
  { path: embeddings, body: [JSON.stringify({ input: { image: "bm90IGEgcGljdHVyZQ==" } })], status: 400 },
  { path: embeddings, body: [JSON.stringify({ input: { image: "http://127.0.0.1/a.jpg" } })], status: 400 },
  { path: embeddings, body: [JSON.stringify({ input: Array(3000).fill("a") })], status: 413 },
  { path: embeddings, body: [JSON.stringify({ input: "a", model: "another" })], status: 404 },
  { path: "/v1/search", body: [JSON.stringify({ query: "a", folders: ["/etc"] })], status: 400 },
  { path: "/nothing", status: 404 },
]

/** Nine in twenty are texts, four pictures, three searches, one a thumbnail, and three are refused. */
async function mixed(order: LoadOrder): Promise<AskedOf> {
  const [text, picture, thumbnails] = [texts(order), pictures(order), await foundThumbnails(order)]
  return (n) => {
    const turn = n % 20
    if (turn < 9) return text(n)
    if (turn < 13) return picture(n)
    if (turn < 16) return { path: "/v1/search", body: [JSON.stringify({ query: textOf(n), limit: 5 })] }
    if (turn === 16) return { path: `${thumbnails[n % thumbnails.length]}?side=${64 + (n % 128)}` }
    return refused[n % refused.length]!
  }
}

async function foundThumbnails({ url }: LoadOrder): Promise<string[]> {
  const headers = { "content-type": "application/json" }
  const answer = await fetch(`${url}/v1/search`, { method: "POST", headers, body: '{"query":"a"}' })
  const { hits } = (await answer.json()) as { hits: { thumbnail: string }[] }
  return hits.map(({ thumbnail }) => thumbnail)
}

const kinds = { texts, pictures, mixed } as const

async function load(order: LoadOrder): Promise<LoadReport> {
  const askedOf = await kinds[order.kind](order)
  const agent = new Agent({ keepAlive: true, maxSockets: order.clients })
  // Other numbers than any earlier process had.
  const first = order.repeat === null ? Date.now() % 1e12 : 0
  const [times, before, began] = [[] as number[], process.cpuUsage(), performance.now()]
  const failures: Record<string, number> = {}
  let next = 0
  const end = began + order.seconds * 1000
  await Promise.all(
    Array.from({ length: order.clients }, async () => {
      while (performance.now() < end && next < (order.requests ?? Infinity)) {
        const n = next++
        const asked = askedOf(first + (order.repeat === null ? n : n % order.repeat))
        const start = performance.now()
        const outcome = await send(order.url, agent, asked)
        if (outcome === String(asked.status ?? 200)) times.push(performance.now() - start)
        else failures[outcome] = (failures[outcome] ?? 0) + 1
      }
    }),
  )
  const { user, system } = process.cpuUsage(before)
  const seconds = (performance.now() - began) / 1000
  const [p50, p99] = [quantile(times, 0.5), quantile(times, 0.99)]
  const processorSeconds = (user + system) / 1e6
  return { answered: times.length, failures, seconds, p50, p99, longest: Math.max(...times), processorSeconds }
}

/** The status, or the connection's error. */
async function send(url: string, agent: Agent, { path, body }: Asked): Promise<string> {
  const length = (body ?? []).reduce((sum, part) => sum + Buffer.byteLength(part), 0)
  const headers = body && { "content-type": "application/json", "content-length": length }
  const asked = request(`${url}${path}`, { method: body ? "POST" : "GET", agent, ...(headers && { headers }) })
  for (const part of body ?? []) asked.write(part)
  asked.end()
  try {
    const [answer] = await once(asked, "response")
    answer.resume()
    await once(answer, "end")
    return String(answer.statusCode)
  } catch (error) {
    return String((error as { code?: string }).code)
  }
}

if (process.argv[1] === program) console.log(JSON.stringify(await load(JSON.parse(process.argv[2]!))))

/** Paths of the JPEG files of a folder, in the order of their names. */
export function jpegFiles(folder: string): string[] {
  const names = readdirSync(folder).filter((name) => /\.jpe?g$/i.test(name))
  if (names.length === 0) throw new Error(`${folder} has no JPEG file`)
  return names.sort().map((name) => join(folder, name))
}
