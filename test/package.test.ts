/**
 * The package as its users have it: packed, installed into an empty folder outside the repository, type-checked, imported,
 * set up, and trained with. The libtorch addon is not compiled a second time: its build is named after the digest of the
 * sources and stamped with them and the libtorch, so the installed package takes the repository's from the user's cache
 * only where it would compile the same files. The addons of JPEG and of search are compiled there.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { text } from "node:stream/consumers"
import { fileURLToPath } from "node:url"
import sharp from "sharp"
import { afterAll, beforeAll, expect, test } from "vitest"
import { exportModel } from "../src/export/export.ts"
import { createClassifier, decodeImage, loadModel } from "../src/index.ts"
import { addonToBuild, builtAddon } from "../src/native/addon.ts"
import { readMetrics } from "../src/train/log/metrics.ts"
import { torchAddon } from "../torch/paths.ts"
import { tinyInfo, tinyModel } from "./tiny-model.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const compiler = join(root, "node_modules/typescript/bin/tsc")

/** npm tells the scripts it runs about its own project, and CUDA's gigabytes are not what is tested. */
const kept = /^npm_config_(registry|cache|userconfig|globalconfig|.*proxy|cafile)$/i
const env: NodeJS.ProcessEnv = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name) || kept.test(name))),
  ONNXRUNTIME_NODE_INSTALL: "skip",
  OMP_NUM_THREADS: "1",
}

/** What the package is imported by: "mobileclip", "mobileclip/train", ... */
const { exports: entryPoints } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { exports: object }
/** Workers' files are for bundlers that want them named. */
const entryNames = Object.keys(entryPoints)
  .filter((name) => !name.endsWith(".json") && !name.startsWith("./browser/worker/"))
  .map((name) => join("mobileclip", name))

let folder: string
const at = (...names: string[]) => join(folder, ...names)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "package-"))
  env.XDG_CACHE_HOME = at("cache")
  mkdirSync(at("app"))
  writeFileSync(at("app", "package.json"), JSON.stringify({ name: "app", private: true, type: "module" }))
  await npm(["pack", "--silent", "--ignore-scripts", "--pack-destination", folder], root)
  const [tarball] = readdirSync(folder).filter((name) => name.endsWith(".tgz"))
  const quiet = ["--no-audit", "--no-fund", "--no-package-lock", "--loglevel", "error"]
  await npm(["install", "--ignore-scripts", "--prefer-offline", ...quiet, at(tarball!)])
  await exportModel(tinyModel(), tinyInfo, at("app", "model"))
  await sharp({ create: { width: 80, height: 60, channels: 3, background: "teal" } }).toFile(at("app", "teal.png"))
}, 240_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }), 60_000)

test("only what is used is packed", () => {
  const names = readdirSync(installed(), { recursive: true, encoding: "utf8" })
  expect(readdirSync(installed()).sort()).toEqual(
    ["LICENSE", "NOTICE", "README.md", "bin", "dist", "docs", "jpeg", "package.json", "scan", "torch"].sort(),
  )
  expect(names.filter((name) => /\.test\.|\/build(\/|$)|\.ts$/.test(name) && !name.endsWith(".d.ts"))).toEqual([])
  const hasSource = (name: string) => existsSync(join(root, name.replace(/^dist\//, "").replace(/js$/, "ts")))
  // The page's files are bundles, of several sources each.
  expect(names.filter((name) => /^dist\/(?!app\/).*\.js$/.test(name) && !hasSource(name))).toEqual([])
  expect(names).toContain("dist/app/index.html")
})

/** The last two know Node's globals, and no browser's. */
test.each([
  { module: "nodenext", moduleResolution: "nodenext", types: [] },
  { module: "esnext", moduleResolution: "bundler", types: [] },
  { module: "nodenext", moduleResolution: "nodenext", lib: ["es2022"], types: ["node"] },
  { module: "esnext", moduleResolution: "bundler", lib: ["es2022"], types: ["node"] },
])("types check in strict mode, libraries included: $moduleResolution, types $types", async (given) => {
  const typeRoots = [join(root, "node_modules/@types")]
  const options = { ...given, typeRoots, target: "es2022", strict: true, noEmit: true, skipLibCheck: false }
  writeFileSync(at("app", "tsconfig.json"), JSON.stringify({ compilerOptions: options, files: ["app.ts"] }))
  writeFileSync(
    at("app", "app.ts"),
    `import { createClassifier, decodeImage, loadModel, type LabelScore } from "mobileclip"
    ${entryNames.map((entry, i) => `import * as entry${i} from "${entry}"`).join("\n    ")}
    const model = await loadModel("model")
    const classifier = await createClassifier(model, ["cat", "dog"])
    export const [labels]: LabelScore[][] = await classifier.classify([await decodeImage("cat.jpg")])
    // @ts-expect-error: a path is not an image
    await classifier.classify(["cat.jpg"])
    await model.dispose()
    export const entries: object[] = [${entryNames.map((_, i) => `entry${i}`).join(", ")}]`,
  )
  expect(await run(process.execPath, [compiler, "-p", at("app")])).toMatchObject({ code: 0, out: "" })
})

test("an application classifies, and loads nothing that other commands need", async () => {
  writeFileSync(
    at("app", "app.mjs"),
    `import { createClassifier, decodeImage, loadModel } from "mobileclip"
    const model = await loadModel("model")
    const classifier = await createClassifier(model, ["cat", "dog"])
    console.log(JSON.stringify(await classifier.classify([await decodeImage("teal.png")])))
    await model[Symbol.asyncDispose]()`,
  )
  const { out, packages } = await loadedBy(["app.mjs"])
  await using model = await loadModel(at("app", "model"))
  const classifier = await createClassifier(model, ["cat", "dog"])
  expect(JSON.parse(out)).toEqual(await classifier.classify([await decodeImage(at("app", "teal.png"))]))
  expect(packages).toEqual(expect.arrayContaining(["mobileclip", "onnxruntime-node", "sharp"]))
  expect(packages.filter((name) => /^(@aws-sdk|@nats-io|@huggingface|vega|d3-|commander)/.test(name))).toEqual([])
})

test("a text query loads neither what decodes pictures nor what downloads models", async () => {
  writeFileSync(
    at("app", "query.mjs"),
    `import { loadModel } from "mobileclip"
    const model = await loadModel("model")
    console.log((await model.encodeTexts(["a cat"])).length)`,
  )
  const { out, packages } = await loadedBy(["query.mjs"])
  expect(out).toBe("16\n")
  expect(packages.sort()).toEqual(["html-entities", "mobileclip", "onnxruntime-node", "zod"])
})

test("the command classifies, with install scripts as without, and loads nothing that others need", async () => {
  const argv = ["classify", "teal.png", "--model", "model", "--labels", "cat,dog", "--json"]
  const before = await run("npx", ["--no-install", "mobileclip", ...argv])
  expect(before, before.err).toMatchObject({ code: 0, err: "" })
  await npm(["rebuild", "--loglevel", "error"])
  expect(await mobileclip(...argv)).toEqual(before)
  const { packages } = await loadedBy([join(installed(), "bin/mobileclip.js"), ...argv])
  expect(packages.filter((name) => /^(@aws-sdk|@nats-io|@huggingface|vega|d3-)/.test(name))).toEqual([])
})

test("evaluation and latency find the programs of their threads and processes", async () => {
  const quiet = ["--progress", "none", "--json"]
  const suite = ["--suite", "self", "--limit-per-task", "4", "--decode-threads", "1", "--no-cache", ...quiet]
  const evaluated = await mobileclip("evaluate", "--model", "model", ...suite)
  expect(evaluated.code, evaluated.err).toBe(0)
  expect(JSON.parse(evaluated.out).models[0].results).toHaveLength(8)
  const measured = await mobileclip("bench", "--model", "quickstart", "--tower", "image", "--quick", ...quiet)
  expect(measured.code, measured.err).toBe(0)
  expect(JSON.parse(measured.out).rows[0].coldStartMs).toBeGreaterThan(0)
})

test("before it is set up, training names the command that does it, and --check says what is missing", async () => {
  expect(await mobileclip("train", "--train-data", "x", "--out", "run")).toMatchObject({
    code: 1,
    err: "mobileclip: the libtorch addon is not built\n  npx mobileclip setup, which builds it\n",
  })
  const { code, out, err } = await mobileclip("setup", "--check")
  expect([code, err]).toEqual([1, "mobileclip: training would not work\n  npx mobileclip setup\n"])
  expect(out).toMatch(/^libtorch \d.*\n/)
  const folder = join(installed(), "torch/build")
  expect(out).toContain(`libtorch addon (training): not built; mobileclip setup compiles it into ${folder}\n`)
  expect(existsSync(folder)).toBe(false)
  const { out: json } = await mobileclip("setup", "--check", "--json")
  expect(JSON.parse(json)).toMatchObject({
    ok: false,
    libtorch: { found: true },
    addons: { jpeg: { state: "missing" }, scan: { state: "missing" } },
  })
})

test("setup, killed and started twice at once: each is built once, and two steps are trained", {
  timeout: 240_000,
}, async () => {
  const cached = addonToBuild(torchAddon, env, () => false)
  cpSync(dirname(builtAddon(torchAddon)!.file), cached.folder, { recursive: true, preserveTimestamps: true })

  const killed = start(process.execPath, [join(installed(), "bin/mobileclip.js"), "setup"])
  for await (const chunk of killed.stderr!) if (/compiling 1/.test(String(chunk))) break
  killed.kill("SIGKILL")
  const jpegFile = join(installed(), "jpeg/build/jpeg.node")
  expect(existsSync(jpegFile)).toBe(false)

  const both = await Promise.all([mobileclip("setup", "--json"), mobileclip("setup", "--json")])
  for (const { code, out, err } of both) {
    expect(code, err).toBe(0)
    expect(JSON.parse(out)).toMatchObject({
      ok: true,
      addons: {
        libtorch: { state: "ready", file: cached.file },
        jpeg: { state: "ready", file: jpegFile },
        scan: { state: "ready" },
      },
    })
  }
  expect(both.filter(({ err }) => err.includes("JPEG addon: compiled"))).toHaveLength(1)
  expect(both.filter(({ err }) => err.includes("search addon: compiled"))).toHaveLength(1)
  expect(both.map(({ err }) => err).join("")).not.toContain("libtorch addon: compil")
  // The killed one's compiler may have been writing to its folder when that was removed.
  const left = readdirSync(dirname(jpegFile)).filter((name) => !name.startsWith("cmake-"))
  expect(left.sort()).toEqual(["jpeg.node", "stamp"])

  writeFileSync(at("app", "all.mjs"), entryNames.map((entry) => `import "${entry}"\n`).join(""))
  await done(run(process.execPath, ["all.mjs"]))
  await done(mobileclip("render", "--out", "data", "--train", "16", "--test", "16", "--retrieval", "16"))
  const steps = ["--model", "quickstart", "--threads", "1", "batch.size=8", "schedule.warmup=1", "schedule.steps=2"]
  await done(mobileclip("train", "--train-data", "data/train", "--out", "run", ...steps))
  const entries = await readMetrics(at("app", "run", "metrics.jsonl"))
  expect(entries.filter((entry) => "losses" in entry)).toHaveLength(2)
  expect(readFileSync(at("app", "run", "report.html"), "utf8")).toContain("<svg")
})

// ------------------------------------------------------------------------------------------------------ programs

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

function installed(): string {
  return at("app", "node_modules", "mobileclip")
}

function start(
  program: string,
  args: readonly string[],
  more: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): ChildProcess {
  return spawn(program, args, {
    cwd: at("app"),
    stdio: ["ignore", "pipe", "pipe"],
    ...more,
    env: { ...env, ...more.env },
  })
}

async function run(...given: Parameters<typeof start>): Promise<Ended> {
  const child = start(...given)
  const [out, err] = await Promise.all([text(child.stdout!), text(child.stderr!)])
  if (child.exitCode === null) await once(child, "exit")
  return { code: child.exitCode, out, err }
}

async function done(ended: Promise<Ended>): Promise<void> {
  const { code, err } = await ended
  expect(code, err).toBe(0)
}

function npm(args: readonly string[], cwd = at("app")): Promise<void> {
  return done(run("npm", args, { cwd }))
}

/** What `npx mobileclip` starts, without npm's own half second. */
function mobileclip(...args: string[]): Promise<Ended> {
  return run(at("app", "node_modules", ".bin", "mobileclip"), args)
}

/** What a program prints, and the packages whose modules it loads. */
async function loadedBy(argv: readonly string[]) {
  const list = at("loaded.txt")
  const hooks = `import { appendFileSync } from "node:fs"
    export async function load(url, context, next) {
      appendFileSync(${JSON.stringify(list)}, url + "\\n")
      return next(url, context)
    }`
  const register = `import { register } from "node:module"; register(${JSON.stringify(moduleUrl(hooks))})`
  rmSync(list, { force: true })
  const { code, out, err } = await run(process.execPath, ["--import", moduleUrl(register), ...argv])
  expect(code, err).toBe(0)
  const names = readFileSync(list, "utf8").matchAll(/.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//g)
  return { out, packages: [...new Set([...names].map(([, name]) => name!))] }
}

function moduleUrl(code: string): string {
  return `data:text/javascript,${encodeURIComponent(code)}`
}
