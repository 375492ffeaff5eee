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
  readonly kind: "texts" | "pictures"
  readonly clients: number
  readonly seconds: number
  /** Texts of a request; default: 1. */
  readonly parts?: number
  /** A folder of JPEG files. */
  readonly pictures: string
  /** Requests after which contents come again; null: never, so that no cache knows them. */
  readonly repeat: number | null
}

export interface LoadReport {
  readonly answered: number
  /** Of requests that were not answered with 200: their number by status, or by the connection's error. */
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
  const child = spawn(process.execPath, [program, JSON.stringify(order)], { stdio: ["ignore", "pipe", "inherit"] })
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

type BodyOf = (n: number) => readonly (Buffer | string)[]

function textBodies(parts: number): BodyOf {
  return (n) => {
    const input = Array.from({ length: parts }, (_, i) => textOf(n * parts + i))
    return [JSON.stringify({ input, encoding_format: "base64" })]
  }
}

/** Each with a comment of its own right after the first marker: other bytes, the same pixels. Of base64 only that part is made anew. */
function pictureBodies(folder: string): BodyOf {
  const files = readdirSync(folder).map((name) => readFileSync(join(folder, name)))
  const ends = files.map((bytes) => Buffer.from(bytes.subarray(2).toString("base64")))
  const [head, tail] = ['{"encoding_format":"base64","input":[{"image":"data:image/jpeg;base64,', '"}]}']
  return (n) => {
    const comment = Buffer.from(String(n).padStart(12, "0"))
    // Two bytes, two, two and twelve: a multiple of three, so that what follows begins at a character of base64.
    const start = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xfe, 0, comment.length + 2]), comment])
    return [head, start.toString("base64"), ends[n % ends.length]!, tail]
  }
}

async function load(order: LoadOrder): Promise<LoadReport> {
  const bodyOf = order.kind === "texts" ? textBodies(order.parts ?? 1) : pictureBodies(order.pictures)
  const agent = new Agent({ keepAlive: true, maxSockets: order.clients })
  // Other numbers than any earlier process had.
  const first = order.repeat === null ? Date.now() % 1e12 : 0
  const [times, before, began] = [[] as number[], process.cpuUsage(), performance.now()]
  const failures: Record<string, number> = {}
  let next = 0
  const end = began + order.seconds * 1000
  await Promise.all(
    Array.from({ length: order.clients }, async () => {
      while (performance.now() < end) {
        const n = next++
        const start = performance.now()
        const outcome = await post(order.url, agent, bodyOf(first + (order.repeat === null ? n : n % order.repeat)))
        if (outcome === "200") times.push(performance.now() - start)
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

async function post(url: string, agent: Agent, parts: readonly (Buffer | string)[]): Promise<string> {
  const length = parts.reduce((sum, part) => sum + Buffer.byteLength(part), 0)
  const headers = { "content-type": "application/json", "content-length": length }
  const asked = request(`${url}/v1/embeddings`, { method: "POST", agent, headers })
  for (const part of parts) asked.write(part)
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
