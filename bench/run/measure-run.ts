/** The whole benchmark: what is measured, of which models, and what comes out as data. */

import { existsSync } from "node:fs"
import { basename, join, resolve } from "node:path"
import { bench } from "../../src/benchmark/latency/bench.ts"
import { generatedClip } from "../../src/benchmark/latency/generated.ts"
import type { LatencyReport } from "../../src/benchmark/latency/latency-report.ts"
import { findVariant } from "../../src/core/family/variant-name.ts"
import { type Variant, variants } from "../../src/core/family/variants.ts"
import { exportModel } from "../../src/export/export.ts"
import { temporaryFolder } from "../../src/host/files/temporary.ts"
import { type Machine, thisMachine } from "../../src/report/machine.ts"
import { makePictures, makeTexts, type PictureSize, type Pictures } from "./inputs.ts"
import { type ModelOptions, type ModelRun, measureModel } from "./measure-model.ts"

export interface RunOptions extends ModelOptions {
  /** Names of the family, whose weights are generated, or model directories in transformers.js' layout. */
  readonly models: readonly string[]
  /** Members of the family whose towers are measured against the processor's peak; empty: none. */
  readonly family: readonly string[]
  /** A folder of pictures; null: rendered ones. */
  readonly pictures: string | null
  /** Two files of each size at least. */
  readonly sizes: readonly CountedSize[]
  /** How many texts of each length. */
  readonly texts: number
  /** Fewer runs of the family's towers. */
  readonly quick: boolean
}

interface CountedSize extends PictureSize {
  readonly count: number
}

export interface RunReport {
  readonly format: "mobileclip-run"
  readonly version: 1
  readonly machine: Machine
  readonly options: Pick<RunOptions, "rounds" | "coldRounds" | "oneProcess" | "quick"> & {
    readonly pictures: "rendered" | "given"
  }
  readonly pictures: readonly { readonly name: string; readonly files: number; readonly bytes: number }[]
  readonly models: readonly ModelRun[]
  readonly family: LatencyReport | null
}

export async function measureRun(options: RunOptions): Promise<RunReport> {
  using folder = temporaryFolder("run")
  const pictures = await picturesOf(options, folder.path)
  const texts = makeTexts(options.texts)
  const models: ModelRun[] = []
  for (const model of options.models) {
    const directory = await directoryOf(model, folder.path, options)
    models.push(await measureModel(basename(model), directory, { options, pictures, texts, folder: folder.path }))
  }
  const { rounds, coldRounds, oneProcess, quick } = options
  return {
    ...{ format: "mobileclip-run", version: 1, machine: thisMachine() },
    options: { rounds, coldRounds, oneProcess, quick, pictures: options.pictures === null ? "rendered" : "given" },
    pictures: pictures.map(({ size, files, bytes }) => ({ name: size.name, files: files.length, bytes })),
    models,
    family: options.family.length > 0 ? await familyTowers(options) : null,
  }
}

async function picturesOf({ sizes, pictures, say }: RunOptions, folder: string): Promise<Pictures[]> {
  const made: Pictures[] = []
  for (const size of sizes) {
    say(`making ${size.count} pictures of ${size.name}`)
    made.push(await makePictures(size, size.count, pictures, folder))
  }
  return made
}

/** A directory as it is; a member of the family with generated weights, because values do not change the time. */
async function directoryOf(model: string, folder: string, { say }: RunOptions): Promise<string> {
  if (existsSync(model)) return resolve(model)
  const name = findVariant(model)
  const { preprocessing, model: config }: Variant = variants[name]
  const directory = join(folder, name)
  say(`generating ${name}`)
  const info = { name, preprocessing, license: "generated", samplesSeen: 0 }
  await exportModel(generatedClip(config), info, directory)
  return directory
}

function familyTowers({ family, quick, say }: RunOptions): Promise<LatencyReport> {
  say("measuring the family's towers against the processor's peak")
  return bench({ models: family, batches: quick ? [1] : [1, 8], quick, say })
}
