import { Command } from "commander"
import { expect, test } from "vitest"
import type { CaptionJob } from "../../reinforce/job.ts"
import { addShardOptions, jobOf, type ShardOptions } from "./shard-options.ts"

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

test("pictures that are cut off are taken; a job that refuses them is another one", () => {
  expect(Object.keys(job())).toEqual(["stage", "format", "seed", "minImageSize"])
  expect(job("--truncated", "accept")).toEqual(job())
  expect(job("--truncated", "refuse")).toEqual({ ...job(), truncated: "refuse" })
})
