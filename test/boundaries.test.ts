/**
 * The import table of docs/architecture.md, checked: data flows from stage to stage through files, imports never do.
 * Paths are relative to `src`; `torch/`, `jpeg/`, `scan/` and `recipes/` are the folders beside it. Tests and entry points may import what they like.
 */
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, normalize, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { expect, test } from "vitest"

/** What the files of a folder may import beside each other: folders or single files. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  "index.ts": ["core", "host", "run", "weights", "pictures"],
  core: [],
  native: ["core"],
  host: ["core", "jpeg/index.ts"],
  torch: ["core", "native"],
  jpeg: ["core", "native"],
  // A file of vectors that is mapped, and searched.
  scan: ["core", "native"],
  setup: [
    "core",
    "host",
    "native",
    "torch/build.ts",
    "torch/blas.ts",
    "torch/find.ts",
    "torch/install.ts",
    "torch/paths.ts",
    "jpeg/build.ts",
    "jpeg/paths.ts",
    "scan/build.ts",
    "scan/paths.ts",
  ],
  tensor: ["core"],
  model: ["core", "tensor/tensor.ts", "tensor/parameter.ts"],
  data: ["core", "host", "native/own-cache.ts"],
  // Data: recipes in the schema of `train`.
  recipes: [],
  report: ["core", "host/processors.ts"],
  hub: ["core", "host", "native/own-cache.ts"],
  // Vectors that are kept between runs, in this user's cache.
  "vector-cache": ["core", "host", "native/own-cache.ts"],
  run: ["core"],
  // Decoding in threads and batches for towers, in Node; threads that have a tower of their own open it.
  pictures: ["core", "host", "jpeg/index.ts", "run/node.ts", "run/tower.ts"],
  // `mobileclip/browser`.
  browser: ["core", "run"],
  // Vectors of pictures and texts to files.
  embed: ["core", "host", "native/own-cache.ts", "data", "pictures", "run", "weights", "teachers", "hub"],
  evaluate: ["core"],
  // What is written is run once, and compared.
  export: ["core", "host", "model", "tensor", "run/graph.ts", "run/self-test.ts", "run/session.ts"],
  weights: ["core", "host", "native/own-cache.ts", "hub", "model", "export", "run", "pictures"],
  train: [
    ...["core", "host", "data", "model", "report", "tensor", "torch/index.ts", "recipes"],
    // A run from a recipe evaluates, starts from weights of any origin, and exports.
    ...["hub", "weights", "evaluate", "export"],
  ],
  teachers: ["core", "host", "hub", "model", "tensor", "torch/index.ts", "run", "export", "weights"],
  reinforce: ["core", "host", "data", "hub", "report", "teachers"],
  finetune: [
    ...["core", "host", "data", "model", "report", "tensor", "torch/index.ts", "evaluate"],
    ...["export", "hub", "weights", "train"],
  ],
  // One's own pictures, kept with their vectors and found again.
  search: [
    ...["core", "host", "pictures", "run", "weights", "vector-cache", "embed"],
    // Lines of JSONL, and of dumps of databases.
    "data/reinforced/jsonl/lines.ts",
    "scan/index.ts",
    // Sheets are pages as reports are.
    "report",
  ],
  mcp: ["core", "host", "search", "weights", "run"],
  // Vectors for other programs, over HTTP, and the page for people, which is built of `app/`.
  serve: ["core", "host", "pictures", "run", "weights", "search"],
  // The suite over data: only its curves read runs of training.
  benchmark: [
    ...["core", "host", "native/own-cache.ts", "data", "model", "report", "tensor", "run", "evaluate", "export"],
    ...["weights", "teachers", "pictures", "vector-cache", "train/log/entries.ts", "train/log/metrics.ts"],
  ],
  experiments: [
    ...["core", "host", "data", "model", "report", "tensor", "torch/index.ts", "run", "evaluate"],
    ...["export", "weights", "train", "reinforce", "teachers"],
  ],
  doctor: [
    // libtorch may be absent, so that its index.ts cannot be loaded.
    ...["core", "host", "native", "torch/blas.ts", "torch/find.ts", "torch/paths.ts", "scan/index.ts"],
    ...["tensor", "export", "hub", "report", "run", "weights"],
  ],
  cli: [
    ...["core", "host", "torch/index.ts", "model", "data", "hub", "reinforce", "train", "export", "report"],
    ...["native", "setup", "run", "evaluate", "weights", "teachers", "finetune", "experiments", "doctor", "benchmark"],
    ...["pictures", "embed", "vector-cache", "search", "mcp", "serve"],
  ],
}

/** What single files may import beyond that. */
const exceptions: Readonly<Record<string, readonly string[]>> = {
  "tensor/torch.ts": ["torch/index.ts"],
  "tensor/torch-layout.ts": ["torch/index.ts"],
  "tensor/torch-norms.ts": ["torch/index.ts"],
  "tensor/torch-packing.ts": ["torch/index.ts"],
  "tensor/torch-encoder.ts": ["torch/index.ts"],
  "export/torch-reference.ts": ["torch/index.ts"],
  "benchmark/latency/libtorch.ts": ["torch/index.ts"],
  "run/node.ts": ["host"],
  "evaluate/scenes.ts": ["data", "host"],
  "evaluate/task-list.ts": ["data", "host"],
  "run/session.ts": ["host"],
  "run/graph-cache.ts": ["host", "native/own-cache.ts"],
  "run/graph-files.ts": ["host"],
  "run/label-store.ts": ["host", "vector-cache"],
}

/** Interpreters are given a model, a job says how captions are drawn, recipes have a form, costs are printed: they name types, which are nothing at run time. */
const mayImportTypes: Readonly<Record<string, readonly string[]>> = {
  tensor: ["model"],
  reinforce: ["run/caption/options.ts"],
  recipes: ["train/recipe/schema.ts"],
  cli: ["tensor"],
}

/** Folders that run in a browser too, and their files that are for Node. */
const hostFree = ["core", "tensor", "model", "run", "evaluate", "browser"]
const hostFiles = [
  ...[
    "run/node.ts",
    "run/session.ts",
    "run/graph-cache.ts",
    "run/graph-files.ts",
    "run/label-store.ts",
    "tensor/torch.ts",
  ],
  ...["tensor/torch-encoder.ts", "tensor/torch-layout.ts", "tensor/torch-norms.ts", "tensor/torch-packing.ts"],
  ...["evaluate/scenes.ts", "evaluate/task-list.ts"],
]
const hostModules = /^(node:|sharp$|onnxruntime-node$)/

/** Large packages that single commands need: no other command waits for them. A folder that is itself loaded so may name them. */
const loadedWhenUsed =
  /^(@aws-sdk|@hono|@huggingface|@lancedb|@modelcontextprotocol|@nats-io|chokidar|exifr|hono|hyparquet|libheif-js|prom-client|vega|vega-lite)(\/|$)/
const foldersLoadedWhenUsed = [
  ...["mcp", "reinforce/distributed", "cli/reinforce/distributed.ts"],
  ...[
    "serve/http",
    "serve/protocols",
    "serve/safety",
    "serve/server.ts",
    "serve/run-server.ts",
    "serve/app-files.ts",
    "serve/search",
  ],
]

interface Import {
  readonly file: string
  /** A path like `file` for ours, else the name of a module. */
  readonly target: string
  readonly ours: boolean
  readonly typeOnly: boolean
  readonly dynamic: boolean
}

const root = join(dirname(fileURLToPath(import.meta.url)), "..")
const imports = ["src", "torch", "jpeg", "scan", "recipes", "test", "bench"].flatMap(sourcesIn).flatMap(importsOf)
/** A recipe that is a program: nothing imports it. */
const entryPoints = ["recipes/cifar10.ts"]
const productImports = imports.filter(
  ({ file }) => !/^(test|bench)\/|\.test\.ts$/.test(file) && !entryPoints.includes(file),
)

test("every import is allowed by the table", () => {
  expect(productImports.length).toBeGreaterThan(100)
  const forbidden = productImports.filter((found) => found.ours && !isAllowed(found))
  expect(forbidden.map(describeImport)).toEqual([])
})

test("no two folders need each other", () => {
  const edges = new Map<string, Set<string>>()
  for (const { file, target, ours, typeOnly } of productImports) {
    if (!ours || typeOnly || folderOf(file) === folderOf(target)) continue
    edges.set(folderOf(file), (edges.get(folderOf(file)) ?? new Set()).add(folderOf(target)))
  }
  expect([...edges.keys()].flatMap((folder) => cycleFrom(edges, [folder]))).toEqual([])
})

test("no file imports itself by way of others, types included", () => {
  const edges = new Map<string, Set<string>>()
  for (const { file, target, ours } of productImports)
    if (ours) edges.set(file, (edges.get(file) ?? new Set()).add(target))
  expect(circleIn(edges)).toEqual([])
})

test("what runs in a browser names no global of Node", () => {
  const files = [...new Set(productImports.map(({ file }) => file))].filter(
    (file) => hostFree.includes(folderOf(file)) && !hostFiles.includes(file),
  )
  expect(files.length).toBeGreaterThan(50)
  const named = files.filter((file) => /\b(?:(?:process|Buffer|global|__dirname)\.|setImmediate\()/.test(codeOf(file)))
  expect(named).toEqual([])
})

test("the command line opens no runtime by itself, and stays small: it parses and prints", () => {
  const runtimes = /^(sharp|onnxruntime-node|node:(child_process|worker_threads))$/
  const opened = productImports.filter(({ file, target }) => folderOf(file) === "cli" && runtimes.test(target))
  expect(opened.map(describeImport)).toEqual([])
  const linesIn = (folder: string) =>
    sourcesIn(folder)
      .filter((file) => !file.endsWith(".test.ts"))
      .reduce((sum, file) => sum + readFileSync(join(root, file), "utf8").split("\n").length, 0)
  expect(linesIn("src/cli")).toBeGreaterThan(1000)
  expect(linesIn("src/cli") / linesIn("src")).toBeLessThan(1 / 8)
})

test("nothing imports an entry point", () => {
  expect(imports.filter(({ target }) => entryPoints.includes(target)).map(describeImport)).toEqual([])
})

test("what runs in a browser imports nothing of Node", () => {
  const found = productImports.filter(
    ({ file, target }) => hostFree.includes(folderOf(file)) && !hostFiles.includes(file) && hostModules.test(target),
  )
  expect(found.map(describeImport)).toEqual([])
})

test("ONNX Runtime Web is loaded by the browser's workers alone, which no page imports", () => {
  const workers = ["browser/worker/wasm.ts", "browser/worker/webgpu.ts"]
  const loaded = productImports.filter(({ target, typeOnly }) => /^onnxruntime-web/.test(target) && !typeOnly)
  expect(loaded.map(({ file }) => file).sort()).toEqual(workers)
  expect(productImports.filter(({ target }) => workers.includes(target)).map(describeImport)).toEqual([])
})

test("every package that is imported is a dependency", () => {
  const { dependencies, devDependencies, peerDependencies } = JSON.parse(
    readFileSync(join(root, "package.json"), "utf8"),
  )
  const missing = (found: readonly Import[], declared: object) =>
    found.filter(
      ({ target, ours }) => !ours && !target.startsWith("node:") && !Object.hasOwn(declared, packageOf(target)),
    )
  expect(missing(productImports, { ...dependencies, ...peerDependencies }).map(describeImport)).toEqual([])
  expect(missing(imports, { ...dependencies, ...devDependencies }).map(describeImport)).toEqual([])
})

test("what only single commands need is loaded when it is used", () => {
  const isLater = (path: string) =>
    foldersLoadedWhenUsed.some((later) => path === later || path.startsWith(`${later}/`))
  const atOnce = productImports.filter(({ file, typeOnly, dynamic }) => !typeOnly && !dynamic && !isLater(file))
  const loaded = atOnce.filter(({ target, ours }) => (ours ? isLater(target) : loadedWhenUsed.test(target)))
  expect(loaded.map(describeImport)).toEqual([])
  expect(productImports.filter(({ target }) => loadedWhenUsed.test(target)).length).toBeGreaterThan(10)
})

test("the page imports itself, the library by its name, and preact: no source of ours, no runtime", () => {
  const folder = join(root, "app/src")
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
    /(?<!\.test)\.tsx?$/.test(name),
  )
  expect(files.length).toBeGreaterThan(20)
  const targets = files.flatMap((name) => importsOf(join("app/src", name)))
  const packages = new Set(targets.filter(({ ours }) => !ours).map(({ target }) => target))
  expect(packages).toEqual(new Set(["preact", "preact/hooks", "@preact/signals", "mobileclip/browser"]))
  const outside = targets.filter(({ target, ours }) => ours && !target.startsWith("app/src/"))
  expect(outside.map(describeImport)).toEqual([])
})

function isAllowed({ file, target, typeOnly }: Import): boolean {
  const folder = folderOf(file)
  const allowed = mayImport[folder] ?? []
  const more = [...(exceptions[file] ?? []), ...((typeOnly && mayImportTypes[folder]) || [])]
  return (
    folder === folderOf(target) || [...allowed, ...more].some((entry) => entry === target || entry === folderOf(target))
  )
}

/** TypeScript files in and below a folder of the root, as paths relative to the root. */
function sourcesIn(folder: string): string[] {
  const names = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
  return names.filter((name) => name.endsWith(".ts")).map((name) => join(folder, name))
}

/** Static, re-exporting and dynamic imports of a file; `path` is relative to the root. */
function importsOf(path: string): Import[] {
  const text = readFileSync(join(root, path), "utf8")
  const statements = /^(?:import|export)\s+(?<names>[\w\s{},*$]*?)\s*from\s*"(?<from>[^"]+)"/gm
  const others = /^import\s+"(?<bare>[^"]+)"|\bimport\("(?<dynamic>[^"]+)"\)/gm
  return [...text.matchAll(statements), ...text.matchAll(others)].map(({ groups }) => {
    const target = (groups!.from ?? groups!.bare ?? groups!.dynamic)!
    const ours = target.startsWith(".")
    return {
      file: fromSource(path),
      target: ours ? fromSource(normalize(join(dirname(path), target))) : target,
      ours,
      typeOnly: isTypeOnly(groups!.names ?? ""),
      dynamic: groups!.dynamic !== undefined,
    }
  })
}

/** `type { A, B }` or `{ type A, type B }` */
function isTypeOnly(names: string): boolean {
  const listed = /^\{([\s\S]*)\}$/.exec(names)?.[1]?.split(",") ?? []
  const used = listed.map((name) => name.trim()).filter((name) => name !== "")
  return names.startsWith("type ") || (used.length > 0 && used.every((name) => name.startsWith("type ")))
}

/** The way back to the first folder of `path`, if there is one. */
function cycleFrom(edges: ReadonlyMap<string, ReadonlySet<string>>, path: readonly string[]): string[] {
  return [...(edges.get(path.at(-1)!) ?? [])].flatMap((next) => {
    if (next === path[0]) return [[...path, next].join(" -> ")]
    return path.includes(next) ? [] : cycleFrom(edges, [...path, next])
  })
}

/** The files of one circle, or none. What is left when files that lead nowhere are taken away, again and again, leads round. */
function circleIn(edges: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const left = new Map([...edges].map(([file, targets]) => [file, new Set(targets)]))
  for (let before = -1; before !== left.size; ) {
    before = left.size
    for (const [file, targets] of left) {
      for (const target of targets) if (!left.has(target)) targets.delete(target)
      if (targets.size === 0) left.delete(file)
    }
  }
  return [...left.keys()].sort()
}

/** Without comments and texts. */
function codeOf(file: string): string {
  const text = readFileSync(join(root, "src", file), "utf8")
  return text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|"[^"\n]*"/g, "")
}

function fromSource(path: string): string {
  return path.startsWith("src/") ? relative("src", path) : path
}

function folderOf(path: string): string {
  return path.split("/")[0]!
}

function packageOf(module: string): string {
  return module
    .split("/")
    .slice(0, module.startsWith("@") ? 2 : 1)
    .join("/")
}

function describeImport({ file, target }: Import): string {
  return `${file} imports ${target}`
}
