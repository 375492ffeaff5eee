/**
 * What a run of a real model waits for beside its steps: its initial values, and for each save the pause between two
 * steps and the memory above that of training. The first save's memory is fresh; later ones fill it again.
 *
 *     npm run build && node dist/bench/save.js [model] [--ema]
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { variants } from "../src/core/family/variants.ts"
import { buildModel } from "../src/model/checkpoint/checkpoint.ts"
import { initialize } from "../src/model/module.ts"
import { checkpointWriter } from "../src/train/checkpoints/checkpoint-writer.ts"
import { defaultTrainConfig, train } from "../src/train/train.ts"

const [name = "mobileclip2-s0"] = process.argv.slice(2).filter((word) => !word.startsWith("--"))
const variant = variants[name as keyof typeof variants]
const { model: config, preprocessing } = variant
const { size } = preprocessing
const { contextLength } = config.text

const begun = process.cpuUsage()
const model = buildModel(config)
initialize(model, 0)
for (const parameter of model.namedParameters().values()) parameter.read()
console.log(`${name}: initial values in ${seconds(process.cpuUsage(begun).user / 1000)} of a core`)

const directory = mkdtempSync(join(tmpdir(), "save-"))
const mib = () => Math.round(process.memoryUsage.rss() / 2 ** 20)
let highest = 0
const sampling = setInterval(() => note(), 5)
const note = () => {
  highest = Math.max(highest, mib())
}

await using writer = checkpointWriter()
let ended: number | undefined
await train(
  { name, config, preprocessing, license: "none", samplesSeen: 0 },
  {
    ...{ ...defaultTrainConfig, steps: 9, warmupSteps: 2, batchSize: 2, threads: 1, saveEvery: 2 },
    ...(process.argv.includes("--ema") && { ema: 0.99 }),
  },
  {
    *batches(step) {
      for (; ; step++) yield batchAt(step)
    },
    save: (state) => {
      note()
      return writer.ask({ directory, state, keep: 1 })
    },
    onStep(report) {
      note()
      const pause = ended === undefined ? 0 : performance.now() - ended - 1000 * report.seconds
      console.log(`before step ${report.step}: a pause of ${seconds(pause)}; at most ${highest} MiB so far`)
      ended = performance.now()
    },
  },
)
clearInterval(sampling)
rmSync(directory, { recursive: true })

function batchAt(step: number) {
  const images = Float32Array.from({ length: 2 * 3 * size * size }, (_, i) => ((i * 7919 + step) % 255) / 255)
  const tokens = new BigInt64Array(2 * contextLength)
  for (const start of [0, contextLength]) {
    for (let i = 0; i < 20; i++) tokens[start + i] = BigInt(1 + ((i * 31 + start + step) % 1000))
    tokens[start + 20] = 49_407n
  }
  return { images, tokens }
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(2)} s`
}
