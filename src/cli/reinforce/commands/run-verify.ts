/** mobileclip reinforce run verify */
import type { Command } from "commander"
import type { CommandContext } from "../../context.ts"
import type { RunVerifyOptions } from "../distributed.ts"
import { addQueueOptions } from "../queue-options.ts"
import { addModelResources } from "../shard-options.ts"
import { outputOf } from "../summary.ts"
import { addVerifyOptions } from "./verify.ts"

const examples = `
Examples:
  mobileclip reinforce run verify --nats nats://HOST --input s3://b/out --output s3://b/checks
  mobileclip reinforce worker --nats nats://HOST                               on as many machines as there are

Workers look at the shards; what they find in each is kept in the output, and the same command goes on with the others.
Shards that have changed since are looked at again with another output alone.
Samples are made again by this command. The report is that of \`mobileclip reinforce verify\`. Exit code 1 where anything is
wrong.
`

export function registerRunVerify(run: Command, context: CommandContext): void {
  const command = run
    .command("verify")
    .description("of a check of reinforced shards")
    .requiredOption("--input <shards...>", "the output folder of a job, or any shards; also s3://")
    .requiredOption("--output <folder>", "another one, for what is found in each shard; also s3://")
  addModelResources(addQueueOptions(addVerifyOptions(command)))
    .addHelpText("after", examples)
    .action(async (options: RunVerifyOptions) => {
      const { publishVerify } = await import("../distributed.ts")
      await publishVerify(options, context.abortOnInterrupt("leaving the job to its workers"), outputOf(command))
    })
}
