/** mobileclip reinforce caption */
import type { Command } from "commander"
import { type CaptionRequest, captionJob } from "../../../reinforce/job/stage-jobs.ts"
import type { CommandContext } from "../../context.ts"
import { addResourceOptions, addShardOptions, type ResourceOptions, type ShardOptions } from "../shard-options.ts"
import { addCaptionOptions } from "../stage-options.ts"
import { outputOf } from "../summary.ts"

const examples = `
Examples:
  mobileclip reinforce caption --input 'data/{00000..00127}.tar' --output data/captioned --model-name models/coca
  mobileclip reinforce caption --input data --output out --model-name models/a,models/b --tag-suffix _a,_b
  mobileclip reinforce caption --input s3://bucket/in --output s3://bucket/out --model-name coca.safetensors --device cuda

Adds syn_text<suffix>, N captions of each image. A caption depends on its sample, its number and --seed, not on the
batch, the number of workers or the order. Ctrl-C finishes the shards under way; the same command goes on.
Exit code 3: done, and some samples were left out; failures.jsonl beside the output says why.
`

export function register(parent: Command, context: CommandContext): void {
  const command = parent.command("caption").description("write synthetic captions beside the samples of shards")
  addResourceOptions(addCaptionOptions(addShardOptions(command)))
    .addHelpText("after", examples)
    .action(async (options: ShardOptions & ResourceOptions & CaptionRequest) => {
      const { runHere } = await import("../local.ts")
      await runHere(
        captionJob(options),
        options,
        context.abortOnInterrupt("finishing the shards under way"),
        outputOf(command),
      )
    })
}
