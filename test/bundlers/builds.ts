/** A page of `page/`, built by each bundler as its documentation has it: into `out`, to be served from any path. */
import { execFile } from "node:child_process"
import { copyFileSync, cpSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import { promisify } from "node:util"
import { build as esbuild } from "esbuild"

/** @param app the folder with index.html, main.js and node_modules */
type Build = (app: string, out: string) => Promise<void>

/** Both versions have the same options. */
async function buildWithVite(name: "vite" | "vite8", app: string, out: string): Promise<void> {
  const { build } = (await import(name)) as typeof import("vite")
  await build({
    configFile: false,
    root: app,
    base: "./",
    logLevel: "error",
    build: { outDir: out, emptyOutDir: true },
  })
}

/** Version 7 bundles packages on their own before it serves them, and loses the files beside their modules: ours is excluded. */
const servedAsIs = { vite: ["mobileclip"], vite8: [] }

/** The development server. The caller closes it. */
export async function serveWithVite(name: "vite" | "vite8", app: string) {
  const { createServer } = (await import(name)) as typeof import("vite")
  const server = await createServer({
    ...{ configFile: false, root: app, logLevel: "error", optimizeDeps: { exclude: servedAsIs[name] } },
    // The packages are links in the tests, which lead out of the folder.
    server: { host: "127.0.0.1", port: 0, fs: { strict: false } },
  })
  await server.listen()
  return { address: server.resolvedUrls!.local[0]!, [Symbol.asyncDispose]: () => server.close() }
}

async function buildWithWebpack(app: string, out: string): Promise<void> {
  const { default: webpack } = await import("webpack")
  const compiler = webpack({
    mode: "production",
    // Terser would take most of the time.
    optimization: { minimize: false },
    context: app,
    entry: "./main.js",
    output: { path: out, filename: "main.js" },
  })
  const stats = await new Promise<import("webpack").Stats | undefined>((resolve, reject) =>
    compiler.run((error, done) => (error ? reject(error) : resolve(done))),
  )
  await new Promise((resolve) => compiler.close(resolve))
  if (stats?.hasErrors()) throw new Error(stats.toString("errors-only"))
  copyFileSync(join(app, "index.html"), join(out, "index.html"))
}

/** It takes no files along by their addresses: workers are entry points, where the library looks for them, and .wasm files are copied. */
async function buildWithEsbuild(app: string, out: string): Promise<void> {
  const workers = {
    "worker/wasm": "mobileclip/browser/worker/wasm",
    "worker/webgpu": "mobileclip/browser/worker/webgpu",
  }
  await runEsbuild(app, out, { main: "main.js", ...workers })
  copyWasm(app, join(out, "worker"))
}

/** The worker and the .wasm files are elsewhere, and `MobileCLIP.load` is told. */
async function buildElsewhere(app: string, out: string): Promise<void> {
  await runEsbuild(app, out, { main: "main-elsewhere.js", "workers/clip": "mobileclip/browser/worker/wasm" })
  copyWasm(app, join(out, "wasm"))
}

async function runEsbuild(app: string, out: string, entryPoints: Record<string, string>): Promise<void> {
  const common = { bundle: true, format: "esm", minify: true, logLevel: "silent" } as const
  await esbuild({ ...common, absWorkingDir: app, entryPoints, outdir: out })
  copyFileSync(join(app, "index.html"), join(out, "index.html"))
}

function copyWasm(app: string, folder: string): void {
  const files = [
    "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
    "onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.wasm",
    "@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm",
  ]
  for (const file of files) cpSync(join(app, "node_modules", file), join(folder, basename(file)))
}

/** The page is rendered on the server first: once, for a site of files. */
async function buildWithNext(app: string, out: string): Promise<void> {
  const program = join(app, "node_modules", "next", "dist", "bin", "next")
  const env = { ...process.env, NODE_ENV: "production" as const, NEXT_TELEMETRY_DISABLED: "1" }
  await promisify(execFile)(process.execPath, [program, "build"], { cwd: join(app, "next"), env, timeout: 300_000 })
  const html = readFileSync(join(app, "next", "out", "index.html"), "utf8")
  if (!html.includes("MobileCLIP.load is a")) throw new Error("the page was not rendered on the server")
  cpSync(join(app, "next", "out"), out, { recursive: true })
}

export const builds: Readonly<Record<string, Build>> = {
  "Vite 7": (app, out) => buildWithVite("vite", app, out),
  "Vite 8": (app, out) => buildWithVite("vite8", app, out),
  "webpack 5": buildWithWebpack,
  esbuild: buildWithEsbuild,
  "esbuild, files elsewhere": buildElsewhere,
  Next: buildWithNext,
}
