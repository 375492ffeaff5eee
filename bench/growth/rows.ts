/** The rows of the table. A row's larger sizes are ten and a hundred times its smallest. */
import type { Form, Input, Phase, Row, Size } from "./row.ts"

const once = ["first"] as const satisfies readonly Phase[]
const allPhases = ["first", "again", "half"] as const satisfies readonly Phase[]

/** Sizes of one number. */
function sizes(unit: string, values: Readonly<Record<Form, readonly number[]>>): Row["sizes"] {
  const of = (form: Form) => values[form].map((value) => size(unit, value))
  return { short: of("short"), full: of("full") }
}

function size(unit: string, units: number): Size {
  return { units, given: { [unit]: units } }
}

const names: Input = {
  name: "names",
  make: async (folder, { given }) => (await import("./inputs/shards.ts")).makeShards(folder, given.shards!, 1),
}

const shards: Input = {
  name: "shards",
  make: async (folder, { given }) => {
    const { makeShards } = await import("./inputs/shards.ts")
    await makeShards(folder, given.shards ?? 1, given.samples!)
  },
}

/** The shards are the same however many steps there are. */
const drawnShards: Input = {
  name: "drawn",
  uses: ["shards"],
  make: async (folder, { given }) => (await import("./inputs/shards.ts")).makeShards(folder, given.shards!, 2000),
}

const csv: Input = {
  name: "csv",
  make: async (folder, { units }) => (await import("./inputs/lists.ts")).makeCsv(folder, units),
}

const jsonl: Input = {
  name: "jsonl",
  make: async (folder, { units }) => (await import("./inputs/lists.ts")).makeJsonl(folder, units),
}

const reinforced: Input = {
  name: "reinforced-20",
  uses: ["samples"],
  make: async (folder, { given }) => (await import("./inputs/reinforced.ts")).makeReinforced(folder, given.samples!),
}

const classFolders: Input = {
  name: "class-folders",
  make: async (folder, { units }) => (await import("./inputs/class-folders.ts")).makeClassFolders(folder, units),
}

/** An empty folder to write into. */
const output: Input = { name: "output", make: async () => {} }

const pathsAndTasks = { bytes: 2000, why: "a task for each shard, with its paths" } as const
const sixteenARow = { bytes: 16, why: "where each row begins, and its length" } as const

const eightASample = { bytes: 8, why: "where each sample begins" } as const

const listSizes = { short: [3000, 30_000], full: [128_000, 1_280_000, 12_800_000] } as const

function repeatedNames(shards: number): Size {
  return { units: shards, given: { shards, folders: Math.ceil(shards / 100) } }
}

function shardsOf(count: number, samples: number): Size {
  return { units: count * samples, given: { shards: count, samples } }
}

function pairs(images: number, texts: number): Size {
  return { units: images * texts, given: { images, texts } }
}

function labelled(labels: number): Size {
  return { units: labels, given: { labels, templates: 80 } }
}

function drawn(shards: number, steps: number): Size {
  return { units: steps, given: { shards, steps } }
}

/** The width of the model's words. */
const wordWidth = 64

function words(count: number): Size {
  return { units: count * wordWidth, given: { words: count } }
}

/** A state holds each parameter three times, in four bytes. */
const bytesOfParameter = 12

function stateBytes(count: number): Size {
  return { units: count * wordWidth * bytesOfParameter, given: { words: count } }
}

function checked(samples: number, workers?: number): Size {
  return { units: samples, given: { samples, ...(workers && { workers }) } }
}

const checkedSizes = { short: [130, 1300], full: [260, 2600, 26_000] } as const

function checkedBy(workers?: number): Row["sizes"] {
  const of = (form: Form) => checkedSizes[form].map((samples) => checked(samples, workers))
  return { short: of("short"), full: of("full") }
}

const keysAlone = { bytes: 64, why: "a hash of each key" } as const

export const rows: readonly Row[] = [
  {
    ...{ name: "plan", title: "planShards, distinct names", unit: "shard", measure: "plan", phases: once },
    sizes: sizes("shards", { short: [6554, 65_536], full: [655, 6554, 65_536] }),
    ...{ warmUp: size("shards", 10), bound: pathsAndTasks },
  },
  {
    ...{ name: "plan-repeated", title: "planShards, repeated names", unit: "shard", measure: "plan", phases: once },
    sizes: {
      short: [repeatedNames(6554), repeatedNames(65_536)],
      full: [repeatedNames(655), repeatedNames(6554), repeatedNames(65_536)],
    },
    ...{ warmUp: repeatedNames(10), bound: pathsAndTasks },
  },
  {
    ...{ name: "dry-run", title: "reinforce embed --dry-run", unit: "shard", measure: "dry-run", phases: once },
    sizes: sizes("shards", { short: [2000, 20_000], full: [480, 4800, 48_000] }),
    ...{
      warmUp: size("shards", 1),
      input: names,
      bound: { bytes: 4000, why: "a task for each shard, and its listing" },
    },
  },
  {
    ...{ name: "csv", title: "CSV to the first batch", unit: "row", measure: "training", phases: allPhases },
    ...{ sizes: sizes("rows", listSizes), warmUp: size("rows", 128), input: csv, bound: sixteenARow },
  },
  {
    ...{ name: "jsonl", title: "JSONL to the first batch", unit: "row", measure: "training", phases: allPhases },
    ...{ sizes: sizes("rows", listSizes), warmUp: size("rows", 128), input: jsonl, bound: sixteenARow },
  },
  {
    ...{ name: "tar-index", title: "where a shard's samples are", unit: "sample", measure: "tar-index", phases: once },
    sizes: sizes("samples", { short: [1000, 10_000], full: [1000, 10_000, 100_000] }),
    ...{ warmUp: size("samples", 10), input: shards, bound: { bytes: 400, why: "members while one shard is read" } },
  },
  {
    ...{ name: "shards", title: "shards to the first batch", unit: "sample", measure: "training" },
    phases: allPhases,
    sizes: {
      short: [shardsOf(3, 1000), shardsOf(30, 1000)],
      full: [shardsOf(13, 10_000), shardsOf(128, 10_000), shardsOf(1280, 10_000)],
    },
    ...{ warmUp: shardsOf(1, 128), input: shards, bound: eightASample },
  },
  {
    ...{ name: "two-ranks", title: "the same, two ranks at once", unit: "sample", measure: "two-ranks" },
    phases: ["first", "half"],
    sizes: {
      short: [shardsOf(3, 1000), shardsOf(30, 1000)],
      full: [shardsOf(13, 10_000), shardsOf(128, 10_000), shardsOf(1280, 10_000)],
    },
    ...{ warmUp: shardsOf(1, 128), input: shards, bound: eightASample },
  },
  {
    ...{ name: "order", title: "an epoch's order, a million look-ups", unit: "position", measure: "order" },
    phases: once,
    sizes: sizes("positions", { short: [1e6, 1e7], full: [12.8e6, 128e6, 1.28e9] }),
    ...{ warmUp: size("positions", 1000), bound: { bytes: 0, why: "an order is a key" } },
  },
  {
    ...{ name: "resampled", title: "steps on drawn local shards", unit: "step", measure: "resampled", phases: once },
    sizes: {
      short: [drawn(20, 5), drawn(20, 50)],
      // Memory rises for 3,000 steps, with garbage of the thread that decodes, and is level then: to 8,000 it was.
      full: [drawn(640, 300), drawn(640, 3000), drawn(640, 9000)],
    },
    ...{ warmUp: drawn(1, 2), input: drawnShards, bound: { bytes: 0, why: "few indexes stay open" } },
  },
  {
    ...{ name: "products", title: "cosines", unit: "pair", measure: "products", phases: once },
    sizes: {
      short: [pairs(300, 300), pairs(300, 3000)],
      full: [pairs(1000, 1000), pairs(1000, 5000), pairs(5000, 25_000)],
    },
    ...{ warmUp: pairs(10, 10), bound: { bytes: 4, why: "the result" } },
  },
  {
    ...{ name: "ranks", title: "ranks of retrieval", unit: "pair", measure: "ranks", phases: once },
    sizes: {
      short: [pairs(300, 300), pairs(300, 3000)],
      full: [pairs(1000, 1000), pairs(1000, 5000), pairs(5000, 25_000)],
    },
    ...{ warmUp: pairs(10, 10), bound: { bytes: 0.1, why: "a rank for each image and text" } },
  },
  {
    ...{ name: "labels", title: "label vectors, without a model", unit: "label", measure: "labels" },
    phases: ["first", "again"],
    sizes: { short: [labelled(20), labelled(200)], full: [labelled(50), labelled(500), labelled(5000)] },
    ...{ warmUp: labelled(2), bound: { bytes: 4096, why: "a vector of 512, and its copy" } },
  },
  {
    ...{ name: "save", title: "a checkpoint saved", unit: "byte", measure: "save", phases: once },
    sizes: {
      short: [stateBytes(2000), stateBytes(20_000)],
      full: [stateBytes(8000), stateBytes(80_000), stateBytes(800_000)],
    },
    ...{ warmUp: stateBytes(100), input: output, bound: { bytes: 1.1, why: "one copy of the state" } },
  },
  {
    ...{ name: "initialize", title: "first values of a model", unit: "parameter", measure: "initialize", phases: once },
    sizes: { short: [words(10_000), words(100_000)], full: [words(8000), words(80_000), words(800_000)] },
    ...{ warmUp: words(100), bound: { bytes: 5, why: "the values" } },
  },
  {
    ...{ name: "verify", title: "shards verified", unit: "sample", measure: "verify", phases: once },
    ...{ sizes: checkedBy(), warmUp: checked(10), input: reinforced, bound: keysAlone },
  },
  {
    ...{ name: "verify-2", title: "shards verified by two processes", unit: "sample", measure: "verify", phases: once },
    ...{ sizes: checkedBy(2), warmUp: checked(40, 2), input: reinforced, bound: keysAlone },
  },
  {
    ...{ name: "stats", title: "what is in shards", unit: "sample", measure: "stats", phases: once },
    ...{ sizes: checkedBy(), warmUp: checked(10), input: reinforced, bound: keysAlone },
  },
  {
    ...{
      name: "stats-2",
      title: "what is in shards, by two processes",
      unit: "sample",
      measure: "stats",
      phases: once,
    },
    ...{ sizes: checkedBy(2), warmUp: checked(40, 2), input: reinforced, bound: keysAlone },
  },
  {
    ...{ name: "live-evaluation", title: "a task list scored", unit: "picture", measure: "live-evaluation" },
    phases: once,
    sizes: sizes("pictures", { short: [30, 300], full: [100, 1000, 10_000] }),
    ...{ warmUp: size("pictures", 20), input: classFolders },
    bound: { bytes: 9000, why: "64 MiB of decoded pictures at most, and vectors" },
  },
]
