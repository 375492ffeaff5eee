/** What a browser gives a page, in Node: a server that fails as it is told, a file system with a quota, locks among tabs. */
import { createHash } from "node:crypto"
import type { WebHost } from "../src/browser/weights/web-host.ts"

/** How the next answer for a file differs from a sound one; used up by it. */
export interface WebFault {
  readonly status?: number
  /** In the place of the file, with status 200. */
  readonly page?: string
  /** The connection ends after so many bytes. */
  readonly cutAfter?: number
  /** Nothing more comes after so many bytes, and `held` is told. */
  readonly holdAfter?: number
  readonly held?: () => void
  readonly damaged?: true
  readonly noRanges?: true
  /** The length is not said, as of compressed transfers. */
  readonly noLength?: true
  /** No answer at all. */
  readonly unreachable?: true
  /** Before the first pieces of 64 KiB, in milliseconds. */
  readonly pauses?: readonly number[]
}

interface WebRequest {
  readonly method: string
  readonly path: string
  readonly range: string | null
}

export const webOrigin = "http://127.0.0.1:4173"

export class FakeWeb {
  readonly log: WebRequest[] = []
  /** By path; each list is used up from its beginning. */
  readonly faults: Record<string, WebFault[]> = {}
  /** Every request fails. */
  down = false
  online = true
  /** Pages see of its answers what browsers show of other origins' by themselves, and transfers are compressed. */
  isOtherOrigin = false
  /** Bytes that the origin may keep. */
  quota = 1e9
  readonly root = new FakeDirectory(this)
  private readonly chains = new Map<string, Promise<unknown>>()

  /** @param files contents by path, "/models/tiny/mobileclip.json" */
  constructor(readonly files: Record<string, Uint8Array>) {}

  host(without: Partial<Record<"digest" | "storage" | "caches" | "locks", null>> = {}): WebHost {
    return {
      fetch: (input, init) => this.fetch(`${input}`, init),
      baseUrl: `${webOrigin}/page/`,
      digest: async (bytes) => {
        const digest = createHash("sha256")
          .update(new Uint8Array(bytes as ArrayBuffer))
          .digest()
        return new Uint8Array(digest).buffer
      },
      storage: {
        getDirectory: async () => this.root as unknown as FileSystemDirectoryHandle,
        estimate: async () => ({ quota: this.quota, usage: this.root.size() }),
      },
      caches: null,
      locks: { request: (name: string, _: object, work: () => Promise<unknown>) => this.lock(name, work) } as never,
      isOnline: () => this.online,
      wait: async () => {},
      ...without,
    }
  }

  /** Requests for whole files or parts of them, HEAD not among them. */
  get downloads(): string[] {
    return this.log.filter(({ method }) => method === "GET").map(({ path }) => path)
  }

  private lock(name: string, work: () => Promise<unknown>): Promise<unknown> {
    const done = (this.chains.get(name) ?? Promise.resolve()).then(work, work)
    this.chains.set(
      name,
      done.catch(() => {}),
    )
    return done
  }

  private async fetch(url: string, { method = "GET", headers, signal }: RequestInit = {}): Promise<Response> {
    signal?.throwIfAborted()
    const path = decodeURIComponent(new URL(url).pathname)
    const range = new Headers(headers).get("Range")
    this.log.push({ method, path, range })
    const fault = this.faults[path]?.shift() ?? {}
    if (this.down || fault.unreachable) throw new TypeError("Failed to fetch")
    if (fault.status) return new Response("no", { status: fault.status })
    if (fault.page) return new Response(fault.page, { headers: { "Content-Type": "text/html; charset=utf-8" } })
    const file = this.files[path]
    if (!file) return new Response("no such file", { status: 404, headers: { "Content-Type": "text/plain" } })
    const answered = answer(file, { method, range, signal: signal ?? null }, fault)
    return this.isOtherOrigin ? seenFromElsewhere(answered) : answered
  }
}

function answer(
  file: Uint8Array,
  { method, range, signal }: { method: string; range: string | null; signal: AbortSignal | null },
  fault: WebFault,
): Response {
  const from = fault.noRanges ? 0 : Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0)
  if (from >= file.length) return new Response("", { status: 416 })
  const whole = fault.damaged ? file.map((byte) => byte ^ 1) : file
  const isPart = from > 0
  const headers = {
    ETag: `"${createHash("sha1").update(file).digest("hex")}"`,
    ...(!fault.noLength && { "Content-Length": String(file.length - from) }),
    ...(isPart && { "Content-Range": `bytes ${from}-${file.length - 1}/${file.length}` }),
  }
  const body = method === "HEAD" ? null : bodyOf(whole.subarray(from), signal, fault)
  return new Response(body, { status: isPart ? 206 : 200, headers })
}

/** The length is that of the compressed transfer. */
function seenFromElsewhere({ body, status, headers }: Response): Response {
  const length = String(Math.round(Number(headers.get("Content-Length")) / 2))
  const seen = new Response(body, { status, headers: { "Content-Length": length } })
  return Object.defineProperty(seen, "type", { value: "cors" })
}

/** In pieces of 64 KiB, as a network brings them. */
function bodyOf(
  bytes: Uint8Array,
  signal: AbortSignal | null,
  { cutAfter, holdAfter, held, pauses = [] }: WebFault,
): ReadableStream {
  const waits = [...pauses]
  const end = cutAfter ?? holdAfter ?? bytes.length
  let at = 0
  return new ReadableStream({
    start: (controller) => signal?.addEventListener("abort", () => controller.error(signal.reason)),
    async pull(controller) {
      const wait = waits.shift()
      if (wait !== undefined) await new Promise((resolve) => setTimeout(resolve, wait))
      if (at < end) {
        const next = Math.min(end, at + 2 ** 16)
        controller.enqueue(bytes.slice(at, next))
        at = next
        return
      }
      if (cutAfter !== undefined) controller.error(new TypeError("network error"))
      else if (holdAfter === undefined) controller.close()
      else {
        held?.()
        await new Promise<void>(() => {})
      }
    },
  })
}

/** The file system of an origin: what `getDirectory` gives. */
class FakeDirectory {
  readonly kind = "directory"
  readonly children = new Map<string, FakeDirectory | FakeFile>()

  constructor(private readonly web: FakeWeb) {}

  size(): number {
    return [...this.children.values()].reduce((sum, child) => sum + child.size(), 0)
  }

  /** Paths of all files below. */
  paths(): string[] {
    return [...this.children].flatMap(([name, child]) =>
      child instanceof FakeDirectory ? child.paths().map((path) => `${name}/${path}`) : [name],
    )
  }

  fileAt(path: string): FakeFile {
    const [first, ...rest] = path.split("/")
    const child = this.children.get(first!)
    return child instanceof FakeDirectory ? child.fileAt(rest.join("/")) : child!
  }

  async getDirectoryHandle(name: string, { create = false } = {}): Promise<FakeDirectory> {
    return this.child(name, create, () => new FakeDirectory(this.web)) as FakeDirectory
  }

  async getFileHandle(name: string, { create = false } = {}): Promise<FakeFile> {
    return this.child(name, create, () => new FakeFile(this.web)) as FakeFile
  }

  async removeEntry(name: string): Promise<void> {
    if (!this.children.delete(name)) throw named("NotFoundError")
  }

  async *entries(): AsyncGenerator<[string, FakeDirectory | FakeFile]> {
    yield* [...this.children]
  }

  async *keys(): AsyncGenerator<string> {
    yield* [...this.children.keys()]
  }

  private child(name: string, create: boolean, make: () => FakeDirectory | FakeFile) {
    if (!this.children.has(name) && !create) throw named("NotFoundError")
    if (!this.children.has(name)) this.children.set(name, make())
    return this.children.get(name)!
  }
}

class FakeFile {
  readonly kind = "file"
  bytes = new Uint8Array()

  constructor(private readonly web: FakeWeb) {}

  size(): number {
    return this.bytes.length
  }

  async getFile(): Promise<Blob> {
    return new Blob([this.bytes])
  }

  /** What was written is there after `close`. */
  async createWritable() {
    let written = new Uint8Array()
    return {
      write: async (bytes: Uint8Array<ArrayBuffer>) => {
        if (this.web.root.size() - this.size() + bytes.length > this.web.quota) throw named("QuotaExceededError")
        written = bytes.slice()
      },
      close: async () => {
        this.bytes = written
      },
      abort: async () => {},
    }
  }
}

function named(name: string): DOMException {
  return new DOMException(`this is a ${name}`, name)
}
