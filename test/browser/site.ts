/**
 * A site for tests: a page with the library, its two workers, and folders of models and pictures. Bundled by esbuild, which
 * leaves `new URL("./worker/wasm.js", import.meta.url)` as it is, so that the files lie as in a user's folder.
 */
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"
import { temporaryFolder } from "../../src/host/files/temporary.ts"
import { StaticServer } from "../static-server.ts"

/** This file is compiled into dist/test, and run as it is by the tests. */
const root = fileURLToPath(new URL("../../", import.meta.url)).replace(/\/dist\/$/, "/")

/** Where browsers report what broke the policy, in a page or a worker. */
const reports = "policy-reports"

/** Nothing but files of this site, and no code that is made from texts. */
export const strictPolicy = `default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; img-src 'self' data:; report-uri /${reports}`

export const isolationHeaders = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
}

export interface SiteOptions {
  readonly headers?: Readonly<Record<string, string>>
  /** Contents by their paths. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>
  /** Folders of this machine by their paths. */
  readonly folders?: Readonly<Record<string, string>>
}

/** On the loopback interface. */
export class TestSite implements AsyncDisposable {
  private constructor(
    private readonly folder: ReturnType<typeof temporaryFolder>,
    private readonly server: StaticServer,
  ) {}

  static async open({ headers = {}, files = {}, folders = {} }: SiteOptions = {}) {
    const folder = temporaryFolder("site")
    await bundle(folder.path)
    for (const file of wasmFiles)
      copyFileSync(join(root, "node_modules", file), join(folder.path, "worker", basename(file)))
    for (const [path, content] of Object.entries({ "index.html": html, ...files })) {
      mkdirSync(dirname(join(folder.path, path)), { recursive: true })
      writeFileSync(join(folder.path, path), content)
    }
    for (const [path, target] of Object.entries(folders)) symlinkSync(target, join(folder.path, path))
    return new TestSite(folder, await StaticServer.start({ folder: folder.path, base: "/", headers }))
  }

  get url(): string {
    return this.server.address
  }

  /** How often something broke `strictPolicy`. Reports come late: it waits for those that are expected, and a second for others. */
  async violations(expected = 0): Promise<number> {
    const count = () => this.server.log.filter(({ path }) => path === reports).length
    for (const end = performance.now() + 60_000; count() < expected && performance.now() < end; ) await sleep(50)
    await sleep(1000)
    return count()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
    this.folder[Symbol.dispose]()
  }
}

const html =
  '<!doctype html><html lang="en"><meta charset="utf-8"><title>a page</title><body><script type="module" src="page.js"></script></body></html>'

const wasmFiles = [
  "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
  "onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.wasm",
  "@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm",
]

async function bundle(folder: string): Promise<void> {
  await build({
    absWorkingDir: root,
    entryPoints: {
      page: "test/browser/page.ts",
      "worker/wasm": "src/browser/worker/wasm.ts",
      "worker/webgpu": "src/browser/worker/webgpu.ts",
    },
    outdir: folder,
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2023",
    logLevel: "error",
  })
}
