/** mobileclip reinforce run */
import type { Command } from "commander"
import { type CaptionRequest, captionJob, embeddingJob } from "../../../reinforce/job/stage-jobs.ts"
import type { CommandContext } from "../../context.ts"
import type { RunOptions } from "../distributed.ts"
import { addQueueOptions } from "../queue-options.ts"
import { addShardOptions } from "../shard-options.ts"
import { addCaptionOptions, addEmbeddingOptions, type EmbeddingOptions, embeddingRequest } from "../stage-options.ts"
import { outputOf } from "../summary.ts"
import { registerRunStats } from "./run-stats.ts"
import { registerRunVerify } from "./run-verify.ts"

const examples = `
Examples:
  nats-server -js -sd /var/lib/nats                                           one server, anywhere
  mobileclip reinforce run embedding --nats nats://HOST --input 's3://b/in/{00000000..00001023}.tar' --output s3://b/out \\
    --model-name Xenova/clip-vit-large-patch14 --num-samples 30 --bfloat16     queues the shards and waits
  mobileclip reinforce worker --nats nats://HOST                               on as many machines as there are
  mobileclip reinforce status --nats nats://HOST
  mobileclip reinforce run verify --nats nats://HOST --input s3://b/out --output s3://b/checks       is it sound?
  mobileclip reinforce run stats --nats nats://HOST --input s3://b/out --output s3://b/counts        what is in it?

Workers join and leave at any time. The same command attaches to its job. Ctrl-C leaves the job to its workers.
`

export function register(parent: Command, context: CommandContext): void {
  const run = parent
    .command("run")
    .description("queue the shards of a stage on a NATS server, and wait until workers have made them")
    .addHelpText("after", examples)
  stage(run, "caption", addCaptionOptions, (options) => captionJob(options as CaptionRequest & RunOptions), context)
  stage(
    run,
    "embedding",
    addEmbeddingOptions,
    (options) => embeddingJob(embeddingRequest(options as EmbeddingOptions & RunOptions)),
    context,
  )
  registerRunVerify(run, context)
  registerRunStats(run, context)
}

function stage(
  run: Command,
  name: string,
  addOptions: (command: Command) => Command,
  jobOf: (options: RunOptions) => ReturnType<typeof captionJob> | ReturnType<typeof embeddingJob>,
  context: CommandContext,
): void {
  const command = run.command(name).description(`of the ${name} stage`)
  addQueueOptions(addOptions(addShardOptions(command)))
    .addHelpText("after", examples)
    .action(async (options: RunOptions) => {
      const { publish } = await import("../distributed.ts")
      await publish(
        jobOf(options),
        options,
        context.abortOnInterrupt("leaving the job to its workers"),
        outputOf(command),
      )
    })
}
