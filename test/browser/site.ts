/**
 * A site for tests: a page with the library, its two workers, and folders of models and pictures. Bundled by esbuild, which
 * leaves `new URL("./worker/wasm.js", import.meta.url)` as it is, so that the files lie as in a user's folder.
 */
import { readFile } from "node:fs/promises"
import { createServer, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { dirname, extname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"

const root = join(dirname(fileURLToPath(import.meta.url)), "../..")

/** Nothing but files of this site, and no code that is made from texts. */
export const strictPolicy =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; img-src 'self' data:"

export const isolationHeaders = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
}

const types: Readonly<Record<string, string>> = {
  ".js": "text/javascript",
  ".json": "application/json",
  ".html": "text/html; charset=utf-8",
  ".wasm": "application/wasm",
  ".jpg": "image/jpeg",
  ".png": "image/png",
}

const wasmFiles = [
  "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
  "onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.wasm",
  "@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm",
]

export interface SiteOptions {
  readonly headers?: Readonly<Record<string, string>>
  /** Beside the page: contents by their paths, or a folder of them by its path that ends in "/". */
  readonly files?: Readonly<Record<string, string | Uint8Array>>
  readonly folders?: Readonly<Record<string, string>>
}

/** On the loopback interface. */
export class TestSite implements AsyncDisposable {
  readonly url: string

  private constructor(private readonly server: Server) {
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  }

  static async open({ headers = {}, files = {}, folders = {} }: SiteOptions = {}): Promise<TestSite> {
    const contents = new Map<string, string | Uint8Array>([...(await bundle()), ["", html], ...Object.entries(files)])
    const server = createServer(async ({ url = "" }, response) => {
      const path = decodeURIComponent(url.slice(1).split("?")[0]!)
      await answer(response, path, headers, contents.get(path) ?? (await fileAt(path, folders)))
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    return new TestSite(server)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }
}

const html = `<!doctype html><meta charset="utf-8"><title>test</title><link rel="icon" href="data:,"><script type="module" src="page.js"></script>`

async function answer(
  response: ServerResponse,
  path: string,
  headers: Readonly<Record<string, string>>,
  content: string | Uint8Array | null,
): Promise<void> {
  const type = types[extname(path)] ?? (path === "" ? types[".html"]! : "application/octet-stream")
  response.writeHead(content === null ? 404 : 200, { "Content-Type": type, ...headers })
  response.end(content ?? "not found")
}

async function fileAt(path: string, folders: SiteOptions["folders"] & object): Promise<Uint8Array | null> {
  const prefix = Object.keys(folders).find((folder) => path.startsWith(folder))
  if (prefix === undefined) return null
  return readFile(join(folders[prefix]!, path.slice(prefix.length))).catch(() => null)
}

let bundled: Promise<ReadonlyMap<string, Uint8Array>> | null = null

/** Once for all sites of a process. */
function bundle(): Promise<ReadonlyMap<string, Uint8Array>> {
  bundled ??= bundleFiles()
  return bundled
}

async function bundleFiles(): Promise<ReadonlyMap<string, Uint8Array>> {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: {
      page: "test/browser/page.ts",
      "worker/wasm": "src/browser/worker/wasm.ts",
      "worker/webgpu": "src/browser/worker/webgpu.ts",
    },
    outdir: "/",
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2023",
    logLevel: "error",
  })
  const scripts = outputFiles.map(({ path, contents }) => [path.slice(1), contents] as const)
  const wasm = wasmFiles.map(async (file) => {
    return [`worker/${file.split("/").at(-1)}`, await readFile(join(root, "node_modules", file))] as const
  })
  return new Map([...scripts, ...(await Promise.all(wasm))])
}
