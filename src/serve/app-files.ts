/**
 * The page (`app/`) beside the interfaces: its files, which models it may open, and those models' files, so that it computes in
 * the browser. Nothing else of this machine is given out, and no answer has one of its paths.
 */
import { createReadStream, existsSync } from "node:fs"
import { readdir, readFile, stat } from "node:fs/promises"
import { extname, join } from "node:path"
import { Readable } from "node:stream"
import { fileURLToPath } from "node:url"
import { manifestFile, parseManifest } from "../core/inference/manifest.ts"
import { isInside } from "../core/inside.ts"
import { jsonOrNull } from "../core/json.ts"
import { type Asked, askedOf } from "./http/conditions.ts"
import type { ServeApp } from "./http/context.ts"
import { RequestError } from "./http/errors.ts"

/** Where the page asks, relative to itself; the page's own files are at the top. */
const below = "/app"

/** What a browser holds the page to: code, workers and requests of this server alone. */
const policy = [
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
].join("; ")

/** Both headers make the page cross-origin isolated: WebAssembly has threads then. */
const isolation = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
}

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
}

/** Names of what the bundler wrote there have a digest of the contents. */
const lasting = /^assets\//

export interface AppFilesOptions {
  /** Where the page is built. */
  readonly folder?: string
  /** What finds a model's folder, by the model's name; it is asked when the page opens that model. */
  readonly models: ReadonlyMap<string, () => Promise<string>>
  readonly hasIndex: boolean
}

/** What the page asks first. */
export interface AppConfig {
  /** `url` is relative to config.json. */
  readonly models: readonly { readonly name: string; readonly url: string }[]
  /** Whether /v1/search answers. */
  readonly index: boolean
  /** Whether the page may fetch models from other addresses, which the policy of this server forbids. */
  readonly addresses: boolean
}

/** Paths that need no token: they are the same in every installation. */
export function isPagePath(path: string): boolean {
  return path === "/" || /^\/(assets\/[^/]+|[\w.-]+\.(js|webmanifest|svg|png|html|txt))$/.test(path)
}

export class AppFiles {
  /** Those that were found. */
  private readonly folders = new Map<string, string>()

  private constructor(
    private readonly folder: string,
    private readonly names: ReadonlySet<string>,
    private readonly models: AppFilesOptions["models"],
    readonly config: AppConfig,
  ) {}

  /** Null where the page is not built. */
  static async open({ folder = builtApp(), models, hasIndex }: AppFilesOptions): Promise<AppFiles | null> {
    if (!existsSync(join(folder, "index.html"))) return null
    const names = await readdir(folder, { recursive: true, withFileTypes: true })
    const files = names.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
    const relative = files.map((file) => file.slice(folder.replace(/[/\\]$/, "").length + 1).replaceAll("\\", "/"))
    const listed = [...models.keys()].map((name) => ({ name, url: `models/${encodeURIComponent(name)}/` }))
    return new AppFiles(folder, new Set(relative), models, { models: listed, index: hasIndex, addresses: false })
  }

  register(app: ServeApp): void {
    app.get(`${below}/config.json`, (c) => c.json(this.config, 200, { "Cache-Control": "no-cache" }))
    app.get(`${below}/models/:name/:file{.+}`, async (c) => {
      const { name, file } = c.req.param()
      return sent(c.req.raw, await this.modelFile(name, file), "no-cache")
    })
    app.get("/", (c) => this.page(c.req.raw, "index.html"))
    for (const name of this.names) app.get(`/${name}`, (c) => this.page(c.req.raw, name))
  }

  private page(request: Request, name: string): Promise<Response> {
    const cache = lasting.test(name) ? "public, max-age=31536000, immutable" : "no-cache"
    return sent(request, join(this.folder, name), cache)
  }

  /** Throws RequestError where there is no such file of a model. */
  private async modelFile(name: string, file: string): Promise<string> {
    const folder = await this.folderOf(name)
    if (folder !== undefined && (await hasFile(folder, file))) return join(folder, file)
    throw new RequestError("notFound", "there is no such file of a model")
  }

  /** Undefined where there is none: the reason may name a path of this machine. */
  private async folderOf(name: string): Promise<string | undefined> {
    const folder =
      this.folders.get(name) ??
      (await this.models
        .get(name)?.()
        .catch(() => undefined))
    if (folder !== undefined) this.folders.set(name, folder)
    return folder
  }
}

/** Beside the compiled sources; where these run as they are, as in tests, in what was built of them. */
function builtApp(): string {
  const module = import.meta.url
  const compiled = module.endsWith(".ts") ? module.replace(/\/src\/(?!.*\/src\/)/, "/dist/src/") : module
  return fileURLToPath(new URL("../../app", compiled))
}

/** What the manifest names; in the layouts of others, what these have. */
async function hasFile(folder: string, file: string): Promise<boolean> {
  if (!isInside(file) || file.split("/").some((part) => part.startsWith("."))) return false
  if (!(await stat(join(folder, file)).catch(() => null))?.isFile()) return false
  if (file === manifestFile) return true
  const manifest = await readFile(join(folder, manifestFile), "utf8").catch(() => null)
  if (manifest !== null) return Object.hasOwn(parseManifest(jsonOrNull(manifest), manifestFile).files, file)
  return /^((onnx|visual|textual)\/)?[\w-]+\.(json|onnx|onnx_data)$/.test(file)
}

/** The file as it is asked for. Throws RequestError where it cannot be had so. */
async function sent(request: Request, path: string, cache: string): Promise<Response> {
  const { size, mtimeNs } = await stat(path, { bigint: true })
  // A digest that a manifest names is that of the file it was written with, and not of what is there now.
  const tag = `"${size.toString(36)}-${mtimeNs.toString(36)}"`
  const asked = askedOf(request, tag, Number(size))
  const headers = { ...isolation, "Content-Security-Policy": policy, "Cache-Control": cache, ETag: tag }
  switch (asked.what) {
    case "unchanged":
      return new Response(null, { status: 304, headers })
    case "failed":
      throw new RequestError("precondition", "the file is another one than If-Match names: fetch it from its beginning")
    case "unsatisfiable": {
      const message = `the file has ${size} bytes, and the range begins after them: ask for bytes that it has`
      throw new RequestError("range", message, null, null, { "Content-Range": `bytes */${size}` })
    }
    default:
      return contents(request, path, Number(size), asked, headers)
  }
}

function contents(
  { method }: Request,
  path: string,
  size: number,
  asked: Extract<Asked, { what: "whole" | "part" }>,
  others: Readonly<Record<string, string>>,
): Response {
  const isPart = asked.what === "part"
  const { start, end } = isPart ? asked : { start: 0, end: size - 1 }
  const headers = {
    ...others,
    "Content-Type": types[extname(path)] ?? "application/octet-stream",
    "Content-Length": String(end + 1 - start),
    "Accept-Ranges": "bytes",
    ...(isPart && { "Content-Range": `bytes ${start}-${end}/${size}` }),
  }
  // A file that is opened for a body which nobody reads stays open.
  const isRead = size > 0 && method !== "HEAD"
  const body = isRead ? (Readable.toWeb(createReadStream(path, { start, end })) as ReadableStream<Uint8Array>) : null
  return new Response(body, { status: isPart ? 206 : 200, headers })
}
