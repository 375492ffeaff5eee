/** mobileclip reinforce worker */
import type { Command } from "commander"
import type { CommandContext } from "../../main.ts"
import type { WorkerOptions } from "../distributed.ts"
import { addResourceOptions } from "../shard-options.ts"
import { outputOf } from "../summary.ts"

const examples = `
Examples:
  mobileclip reinforce worker --nats nats://HOST                    waits for a job, works until it is done
  mobileclip reinforce worker --nats nats://HOST --workers 8 --device cuda
  NATS_URL=nats://HOST mobileclip reinforce worker

Models and settings come with the job; paths in it must be there on this machine too. Ctrl-C finishes the shards under
way; a worker that is killed loses nothing: its shards go to others.
`

export function register(parent: Command, context: CommandContext): void {
  const command = parent
    .command("worker")
    .description("take shards of a job from a NATS server, until it is done")
    .option("--nats <url>", "the server (default: NATS_URL)")
    .option("--job <name>", "which job, where the server has several")
    .option("--name <name>", "shown in the status (default: this machine's)")
  addResourceOptions(command)
    .addHelpText("after", examples)
    .action(async (options: WorkerOptions) => {
      const { work } = await import("../distributed.ts")
      await work(options, context.abortOnInterrupt(), outputOf(command))
    })
}
