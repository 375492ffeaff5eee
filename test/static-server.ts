/** A web server on the loopback interface for pages in tests: a folder below a path of its own, byte ranges, headers, faults. */
import { readFile, stat } from "node:fs/promises"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { extname, join, normalize } from "node:path"

interface StaticServerOptions {
  /** What is served. */
  readonly folder: string
  /** Where: "/sub/path/". */
  readonly base: string
  /** With every answer. */
  readonly headers?: Readonly<Record<string, string>>
}

/** How the next answer for a path differs; used up by it. */
interface ServerFault {
  /** The connection breaks after so many bytes. */
  readonly cutAfter?: number
  /** Nothing more comes after so many bytes. */
  readonly holdAfter?: number
}

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".svg": "image/svg+xml",
  ".webmanifest": "application/manifest+json",
}

export class StaticServer implements AsyncDisposable {
  readonly log: { readonly path: string; readonly range: string | null; readonly status: number }[] = []
  /** By path below the base. */
  readonly faults: Record<string, ServerFault[]> = {}
  /** What is not there is answered with a page, as servers of single-page applications do. */
  answersWithPages = false
  private readonly server: Server

  private constructor(private readonly options: StaticServerOptions) {
    this.server = createServer((request, response) => {
      this.answer(request, response).catch(() => response.destroy())
    })
  }

  static async start(options: StaticServerOptions): Promise<StaticServer> {
    const one = new StaticServer(options)
    await new Promise<void>((resolve) => one.server.listen(0, "127.0.0.1", resolve))
    return one
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  /** With a slash at its end. */
  get address(): string {
    return `http://127.0.0.1:${this.port}${this.options.base}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = decodeURIComponent(new URL(request.url!, "http://127.0.0.1").pathname)
    // Browsers ask for it at the top, whatever the page's path.
    if (path === "/favicon.ico") return void response.writeHead(204).end()
    const name = path.startsWith(this.options.base) ? path.slice(this.options.base.length) || "index.html" : null
    const file = name === null ? null : await this.fileAt(name)
    const range = request.headers.range ?? null
    const from = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0)
    const status = !file ? (this.answersWithPages ? 200 : 404) : from > 0 ? 206 : 200
    this.log.push({ path: name ?? path, range, status })
    const bytes = file?.bytes ?? Buffer.from("<!doctype html><title>a page</title>")
    const body = bytes.subarray(from)
    response.writeHead(status, {
      "Content-Type": file?.type ?? types[".html"]!,
      "Content-Length": body.length,
      ...(status === 206 && { "Content-Range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` }),
      ...this.options.headers,
    })
    const { cutAfter, holdAfter } = this.faults[name ?? path]?.shift() ?? {}
    if (request.method === "HEAD") response.end()
    else if (cutAfter !== undefined) response.write(body.subarray(0, cutAfter), () => response.destroy())
    else if (holdAfter !== undefined) response.write(body.subarray(0, holdAfter))
    else response.end(body)
  }

  private async fileAt(name: string) {
    const path = join(this.options.folder, normalize(`/${name}`))
    if (!(await stat(path).catch(() => null))?.isFile()) return null
    return { bytes: await readFile(path), type: types[extname(path)] ?? "application/octet-stream" }
  }
}
