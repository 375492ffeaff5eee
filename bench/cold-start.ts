/**
 * How long a program waits that starts: `classify` with three labels on one JPEG of 640 x 480, and a text query of a program,
 * each in a process of its own, in turns. The model has the size of MobileCLIP2-S0 and generated weights.
 *
 *     npm run build && node dist/bench/cold-start.js [--rounds 7] [--model mobileclip2-s0] [--against CHECKOUT]
 *
 * `first` makes the optimised graphs and the labels' vectors and keeps them, `again` finds them, `without` cannot keep any;
 * `against` is another checkout that is built, with a cache that it cannot write. Medians, and the least: on a busy machine wall times say little, and processor times more.
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import sharp from "sharp"
import { generatedClip } from "../src/benchmark/latency/generated.ts"
import { median } from "../src/core/arrays/quantile.ts"
import { findVariant } from "../src/core/family/variant-name.ts"
import { variants } from "../src/core/family/variants.ts"
import { exportModel } from "../src/export/export.ts"

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "7" },
    model: { type: "string", default: "mobileclip2-s0" },
    against: { type: "string" },
  },
})

interface Start {
  readonly wall: number
  /** Milliseconds of the processor, all threads together. */
  readonly processor: number
  readonly peakBytes: number
}

/** By name, the arguments of Node, given a checkout that is built. */
const programs = {
  "classify, three labels and a JPEG": (checkout: string) => [
    ...[join(checkout, "bin/mobileclip.js"), "classify", picture, "--model", model],
    ...["--labels", "a cat,a dog,something else"],
  ],
  "a text query of a program": (checkout: string) => [
    ...["--input-type=module", "--eval"],
    `const { loadModel } = await import(${JSON.stringify(join(checkout, "dist/src/index.js"))})
     await (await loadModel(${JSON.stringify(model)})).encodeTexts(["a photo of a cat"])`,
  ],
}

/** Not `maxRSS`, which begins with the size of this process. */
const peakMemory = new URL("../src/host/peak-memory.js", import.meta.url).href
const atExit = encodeURIComponent(
  `import { writeSync } from "node:fs"
   import { peakMemory } from ${JSON.stringify(peakMemory)}
   process.on("exit", () => writeSync(3, JSON.stringify({ ...process.resourceUsage(), peakBytes: peakMemory() })))`,
)

const folder = mkdtempSync(join(tmpdir(), "cold-start-"))
const [model, picture, fileInTheWay] = ["model", "picture.jpg", "file"].map((name) => join(folder, name)) as [
  string,
  string,
  string,
]
const here = fileURLToPath(new URL("../..", import.meta.url))

try {
  await writeInputs()
  for (const [what, argumentsIn] of Object.entries(programs)) report(what, measure(argumentsIn))
} finally {
  rmSync(folder, { recursive: true })
}

async function writeInputs(): Promise<void> {
  const name = findVariant(options.model)
  const { model: config, preprocessing } = variants[name]
  await exportModel(generatedClip(config), { name, license: "MIT", samplesSeen: 0, preprocessing }, model)
  const noise = { type: "gaussian", mean: 128, sigma: 40 } as const
  const pixels = sharp({ create: { width: 640, height: 480, channels: 3, background: "grey", noise } })
  await pixels.blur(2).jpeg({ quality: 90 }).toFile(picture)
  writeFileSync(fileInTheWay, "")
}

/** Each kind of start in turn, round by round; the graphs of `again` are those that the `first` of its round kept. */
function measure(argumentsIn: (checkout: string) => string[]): Map<string, Start[]> {
  const found = new Map<string, Start[]>()
  const time = (kind: string, checkout: string, cache: string) => {
    const start = started(argumentsIn(checkout), cache)
    found.set(kind, [...(found.get(kind) ?? []), start])
  }
  for (let round = 0; round < Number(options.rounds); round++) {
    const cache = join(folder, `cache-${round}`)
    if (options.against) time("against", options.against, fileInTheWay)
    time("without", here, fileInTheWay)
    time("first", here, cache)
    time("again", here, cache)
    rmSync(cache, { recursive: true })
  }
  return found
}

/** One process, which says at its end what it took. */
function started(program: readonly string[], cache: string): Start {
  const before = performance.now()
  const { status, stderr, output } = spawnSync(
    process.execPath,
    ["--import", `data:text/javascript,${atExit}`, ...program],
    {
      env: { ...process.env, XDG_CACHE_HOME: cache },
      stdio: ["ignore", "ignore", "pipe", "pipe"],
      encoding: "utf8",
    },
  )
  const wall = performance.now() - before
  if (status !== 0) throw new Error(`${program.join(" ")} ended with ${status}: ${stderr}`)
  const { userCPUTime, systemCPUTime, peakBytes } = JSON.parse(output[3]!)
  return { wall, processor: (userCPUTime + systemCPUTime) / 1000, peakBytes }
}

function report(what: string, found: ReadonlyMap<string, readonly Start[]>): void {
  console.log(what)
  for (const [kind, starts] of found) {
    const of = (key: keyof Start) => starts.map((start) => start[key])
    const [wall, processor] = [of("wall"), of("processor")].map(
      (values) => `${median(values).toFixed(0)} ms (least ${Math.min(...values).toFixed(0)})`,
    )
    console.log(
      `  ${kind.padEnd(8)} ${wall}; processor ${processor}; peak ${(median(of("peakBytes")) / 1e6).toFixed(0)} MB`,
    )
  }
}
