import { Command } from "commander"
import { expect, test } from "vitest"
import { type CaptionJob, jobLimits } from "../../reinforce/job/job.ts"
import { addShardOptions, jobOf, type ShardOptions } from "./shard-options.ts"
import { addCaptionOptions, addEmbeddingOptions } from "./stage-options.ts"

const stage: CaptionJob = {
  ...{ kind: "caption", suffixes: [""], perImage: 1, generate: {}, whole: false },
  ...{ modelName: "a", pretrained: null, dtype: null },
}

function job(...argv: string[]) {
  const command = addShardOptions(new Command()).parse(["--input", "a.tar", "--output", "out", ...argv], {
    from: "user",
  })
  return jobOf(stage, command.opts<ShardOptions>())
}

test.each([
  ["--num-samples", addEmbeddingOptions, jobLimits.views],
  ["--num-samples", addCaptionOptions, jobLimits.perImage],
  ["--seq-len", addCaptionOptions, jobLimits.seqLen],
  ["--min-seq-len", addCaptionOptions, jobLimits.seqLen],
  ["--top-k", addCaptionOptions, jobLimits.topK],
  ["--num-beams", addCaptionOptions, jobLimits.numBeams],
  ["--num-beam-groups", addCaptionOptions, jobLimits.numBeams],
])("%s takes what workers take, and no more", (option, add, most) => {
  const parse = (value: number) => {
    const command = add(new Command().exitOverride().configureOutput({ writeErr: () => {} }))
    return () => command.parse(["--model-name", "a", option, String(value)], { from: "user" })
  }
  expect(parse(most)).not.toThrow()
  expect(parse(most + 1)).toThrow(`expected a whole number from`)
})

test("pictures that are cut off are taken; a job that refuses them is another one", () => {
  expect(Object.keys(job())).toEqual(["stage", "format", "seed", "minImageSize"])
  expect(job("--truncated", "accept")).toEqual(job())
  expect(job("--truncated", "refuse")).toEqual({ ...job(), truncated: "refuse" })
})
