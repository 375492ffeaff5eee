/** mobileclip reinforce run stats */
import type { Command } from "commander"
import type { CommandContext } from "../../context.ts"
import type { RunStatsOptions } from "../distributed.ts"
import { addQueueOptions } from "../queue-options.ts"
import { outputOf } from "../summary.ts"
import { addStatsOptions } from "./stats.ts"

const examples = `
Examples:
  mobileclip reinforce run stats --nats nats://HOST --input s3://b/out --output s3://b/counts
  mobileclip reinforce worker --nats nats://HOST                               on as many machines as there are

Workers count what is in the shards; what they find in each is kept in the output, and the same command goes on with the
others. Teachers are compared, and the contact sheet is drawn, by this command. The report is that of
\`mobileclip reinforce stats\`.
`

export function registerRunStats(run: Command, context: CommandContext): void {
  const command = run
    .command("stats")
    .description("of counting what is in reinforced shards")
    .requiredOption("--input <shards...>", "the output folder of a job, or any shards; also s3://")
    .requiredOption("--output <folder>", "another one, for what is counted in each shard; also s3://")
  addQueueOptions(addStatsOptions(command))
    .addHelpText("after", examples)
    .action(async (options: RunStatsOptions) => {
      const { publishStats } = await import("../distributed.ts")
      await publishStats(options, context.abortOnInterrupt("leaving the job to its workers"), outputOf(command))
    })
}
