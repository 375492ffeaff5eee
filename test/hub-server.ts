/**
 * A model hub on the loopback address for tests: the addresses and headers that the real one answers with, and a second
 * origin as its CDN, where large files are redirected to. Everything that arrives is logged.
 */
import { createHash } from "node:crypto"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"

interface HostedRepository {
  readonly commit: string
  readonly tags?: readonly string[]
  readonly files: Readonly<Record<string, Buffer>>
}

interface LoggedRequest {
  readonly origin: "hub" | "cdn"
  readonly method: string
  readonly path: string
  readonly authorization: string | null
  readonly range: string | null
  readonly status: number
  /** Bytes of the body. */
  readonly sent: number
}

/** How the next answers of the CDN differ from a sound one; each is used up by one request. */
interface Fault {
  /** The connection breaks after so many bytes. */
  readonly cutAfter?: number
  /** Nothing more comes after so many bytes; `held` is told. */
  readonly holdAfter?: number
  readonly held?: () => void
  /** Other contents of the same length. */
  readonly damaged?: true
  /** Everything from the beginning, whatever was asked for. */
  readonly noRanges?: true
  readonly status?: number
}

interface HubOptions {
  /** How fast the CDN sends; default: as fast as it can. */
  readonly bytesPerSecond?: number
}

/** Files of at least this length are in LFS, with sha256 and on the CDN. */
const lfsFrom = 10_000

export class HubServer implements AsyncDisposable {
  readonly log: LoggedRequest[] = []
  readonly faults: Fault[] = []
  /** Repositories that only this token may read. */
  token: string | null = null
  /** What a request without access is told. */
  refusal: { readonly status: number; readonly code: string } = { status: 401, code: "RepoNotFound" }
  /** Answers in the place of the hub or its CDN, where it returns true. */
  lie: ((request: IncomingMessage, response: ServerResponse, origin: "hub" | "cdn") => boolean) | null = null
  private readonly hub: Server
  private readonly cdn: Server

  /** `http://127.0.0.1:<port>`, also when the server is closed. */
  endpoint = ""
  private cdnAddress = ""

  private constructor(
    readonly repositories: Record<string, HostedRepository>,
    private readonly options: HubOptions,
  ) {
    this.hub = createServer((request, response) => this.onHub(request, response))
    this.cdn = createServer((request, response) => this.onCdn(request, response))
  }

  static async start(repositories: Record<string, HostedRepository>, options: HubOptions = {}): Promise<HubServer> {
    const server = new HubServer(repositories, options)
    for (const one of [server.hub, server.cdn]) {
      await new Promise<void>((resolve) => one.listen(0, "127.0.0.1", resolve))
    }
    server.endpoint = addressOf(server.hub)
    server.cdnAddress = addressOf(server.cdn)
    return server
  }

  /** Requests for contents that the CDN answered. */
  get downloads(): LoggedRequest[] {
    return this.log.filter(({ origin }) => origin === "cdn")
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of [this.hub, this.cdn]) {
      one.closeAllConnections()
      await new Promise((resolve) => one.close(resolve))
    }
  }

  private onHub(request: IncomingMessage, response: ServerResponse): void {
    if (this.lie?.(request, response, "hub")) {
      this.note("hub", request, 0, 0)
      return
    }
    const { status, headers = {}, body = "" } = this.hubAnswer(request)
    const bytes = Buffer.from(body)
    this.note("hub", request, status, bytes.length)
    response.writeHead(status, { ...headers, "Content-Length": bytes.length })
    response.end(request.method === "HEAD" ? "" : bytes)
  }

  private hubAnswer(request: IncomingMessage): Answer {
    const path = decodeURIComponent(request.url!.split("?")[0]!)
    const name = Object.keys(this.repositories).find((name) => path.includes(`/${name}/`))
    if (this.token && request.headers.authorization !== `Bearer ${this.token}`) {
      return refusal(this.refusal.status, this.refusal.code)
    }
    if (name === undefined) return refusal(404, "RepoNotFound")
    const repository = this.repositories[name]!
    const [verb, revision, ...parts] = path.slice(path.indexOf(`/${name}/`) + name.length + 2).split("/")
    if (revision !== "main" && revision !== repository.commit) return refusal(404, "RevisionNotFound")
    if (!/^\/api\/(models|datasets)\//.test(path)) return this.resolve(name, repository, parts.join("/"))
    return { status: 200, headers: json, body: JSON.stringify(apiAnswer(name, repository, verb!)) }
  }

  private resolve(name: string, { commit, files }: HostedRepository, path: string): Answer {
    const file = files[path]
    if (!file) return refusal(404, "EntryNotFound")
    const entry = treeEntry(path, file)
    const headers = {
      "X-Repo-Commit": commit,
      "X-Linked-Size": String(file.length),
      "X-Linked-Etag": `"${entry.lfs?.oid ?? entry.oid}"`,
    }
    if (!entry.lfs) return { status: 200, headers, body: file }
    return { status: 302, headers: { ...headers, Location: `${this.cdnAddress}/${encodeURIComponent(name)}/${path}` } }
  }

  private onCdn(request: IncomingMessage, response: ServerResponse): void {
    if (this.lie?.(request, response, "cdn")) {
      this.note("cdn", request, 0, 0)
      return
    }
    const [name, ...parts] = request.url!.slice(1).split("/")
    const file = this.repositories[decodeURIComponent(name!)]!.files[parts.join("/")]!
    const { cutAfter, holdAfter, held, damaged, noRanges, status } = this.faults.shift() ?? {}
    if (status) {
      this.note("cdn", request, status, 0)
      response.writeHead(status).end()
      return
    }
    const from = noRanges ? 0 : Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0)
    const whole = damaged ? Buffer.from(file.map((byte) => byte ^ 1)) : file
    const body = whole.subarray(from)
    const code = noRanges || !request.headers.range ? 200 : 206
    const range = { "Content-Range": `bytes ${from}-${file.length - 1}/${file.length}` }
    response.writeHead(code, { "Content-Length": body.length, ...(code === 206 ? range : {}) })
    const sent = body.subarray(0, cutAfter ?? holdAfter ?? body.length)
    this.note("cdn", request, code, sent.length)
    if (cutAfter !== undefined) response.write(sent, () => response.destroy())
    else if (holdAfter !== undefined) response.write(sent, held)
    else if (this.options.bytesPerSecond) void sendSlowly(response, sent, this.options.bytesPerSecond)
    else response.end(sent)
  }

  private note(origin: "hub" | "cdn", request: IncomingMessage, status: number, sent: number): void {
    const { authorization = null, range = null } = request.headers
    this.log.push({ origin, method: request.method!, path: request.url!, authorization, range, status, sent })
  }
}

interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

function refusal(status: number, code: string): Answer {
  return { status, headers: { ...json, "X-Error-Code": code }, body: JSON.stringify({ error: code }) }
}

const json = { "Content-Type": "application/json" }

function apiAnswer(name: string, { commit, tags = [], files }: HostedRepository, verb: string): unknown {
  if (verb === "tree") return Object.entries(files).map(([path, bytes]) => treeEntry(path, bytes))
  return { _id: "1", id: name, sha: commit, tags, private: false, gated: false, downloads: 0, likes: 0 }
}

function treeEntry(path: string, bytes: Buffer) {
  const oid = createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex")
  const entry = { type: "file", path, size: bytes.length, oid }
  if (bytes.length < lfsFrom) return { ...entry, lfs: undefined }
  return { ...entry, lfs: { oid: sha256Of(bytes), size: bytes.length, pointerSize: 130 } }
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex")
}

/** A piece every 20 ms, until the client goes away. */
async function sendSlowly(response: ServerResponse, bytes: Buffer, bytesPerSecond: number): Promise<void> {
  const piece = Math.ceil(bytesPerSecond / 50)
  for (let start = 0; start < bytes.length && !response.destroyed; start += piece) {
    response.write(bytes.subarray(start, start + piece))
    await sleep(20)
  }
  response.end()
}

function addressOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
