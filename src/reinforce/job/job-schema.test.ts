import { expect, test } from "vitest"
import { datacompdrAugmentation } from "../../data/augment/config.ts"
import type { CheckJob, Job } from "./job.ts"
import { parseJob } from "./job-schema.ts"

const { randomResizedCrop, randAugment } = datacompdrAugmentation
const models = { modelName: "models/a", pretrained: null, dtype: null }
const rest = {
  format: { output: "webdataset", embeddings: "npz", textEmbeddings: "separate", images: true },
  ...{ seed: 0, minImageSize: 16 },
} as const

const embedding: Job = {
  stage: {
    ...{ kind: "embedding", ...models, views: 30, augmentation: { randomResizedCrop, randAugment }, normalize: null },
    ...{ synTextKeyRegex: "syn_text", suffix: "" },
  },
  ...rest,
}
const caption: Job = {
  stage: {
    ...{ kind: "caption", ...models, suffixes: [""], perImage: 5, whole: false },
    generate: { generationType: "top_p", topP: 0.9, fixedOutputLength: true },
  },
  ...rest,
}

const check: CheckJob = {
  ...{
    kind: "verify",
    folder: "s3://b/out",
    shards: "5f2c0c13a9be77d1",
    identity: null,
    teacherWidths: [768, 768],
    samples: 32,
    seed: 0,
  },
}

test.each([embedding, caption, check, { ...check, folder: null, teacherWidths: null }])(
  "a job comes back as it was sent: %#",
  (job) => {
    expect(parseJob(JSON.parse(JSON.stringify(job)), "job x")).toEqual(job)
  },
)

const changed = (stage: object) => ({ ...embedding, stage: { ...embedding.stage, ...stage } })

test.each([
  [null, "the settings of job x cannot be used: Invalid input: expected object, received null"],
  [changed({ kind: "join" }), "stage.kind: "],
  [changed({ views: "many" }), "stage.views: Invalid input: expected number, received string"],
  [changed({ views: 0 }), "stage.views: "],
  [changed({ views: 1e9 }), "stage.views: Too big"],
  [{ ...caption, stage: { ...caption.stage, perImage: 1e9 } }, "stage.perImage: Too big"],
  [changed({ modelName: undefined }), "stage.modelName: "],
  [changed({ augmentation: { randomResizedCrop: { ...randomResizedCrop, size: 1e9 }, randAugment } }), ".size: "],
  [changed({ news: 1 }), 'stage: Unrecognized key: "news"'],
  [{ ...embedding, format: { ...rest.format, embeddings: "gguf" } }, "format.embeddings: "],
  [{ ...embedding, seed: 0.5 }, "seed: "],
  [{ ...check, kind: "join" }, "kind: "],
  [{ ...check, folder: undefined }, "folder: "],
  [{ ...check, teacherWidths: [] }, "teacherWidths: "],
  [{ ...check, samples: -1 }, "samples: "],
  [{ ...check, stage: embedding.stage }, 'Unrecognized key: "stage"'],
])("what is not a job is refused in a line: %#", (value, message) => {
  expect(() => parseJob(value, "job x")).toThrow(message)
})

test.each(["seqLen", "minSeqLen", "topK", "numBeams", "numBeamGroups"])("%s is bounded", (name) => {
  const value = { ...caption, stage: { ...caption.stage, generate: { [name]: 1e9 } } }
  expect(() => parseJob(value, "job x")).toThrow(`stage.generate.${name}: Too big`)
})
