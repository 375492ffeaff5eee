/** mobileclip reinforce worker */
import type { Command } from "commander"
import type { CommandContext } from "../../context.ts"
import type { WorkerOptions } from "../distributed.ts"
import { addResourceOptions } from "../shard-options.ts"
import { outputOf } from "../summary.ts"

const examples = `
Examples:
  mobileclip reinforce worker --nats nats://HOST                    waits for a job, works until it is done
  mobileclip reinforce worker --nats nats://HOST --workers 8 --device cuda
  mobileclip reinforce worker --nats nats://HOST --output-root s3://bucket/results,/mnt/share/results
  NATS_URL=nats://HOST mobileclip reinforce worker

Models and settings come with the job; paths in it must be there on this machine too. Ctrl-C finishes the shards under
way; a worker that is killed loses nothing: its shards go to others. A worker whose machine fails (disk full, no
permission, no network) gives its shards back, and leaves with exit code 1 after three times in a row.

Whoever may publish on the server decides what workers read, which models they open, and where they write: give that
right (NATS permissions) to few, and name with --output-root what a job may write.
`

/** `a,b`, given once or several times. */
function roots(text: string, before: readonly string[] = []): string[] {
  return [...before, ...text.split(",").filter(Boolean)]
}

export function register(parent: Command, context: CommandContext): void {
  const command = parent
    .command("worker")
    .description("take shards of a job from a NATS server, until it is done")
    .option("--nats <url>", "the server (default: NATS_URL)")
    .option("--job <name>", "which job, where the server has several")
    .option("--name <name>", "of this machine, shown in the status (default: as its system says)")
    .option(
      "--output-root <roots>",
      "folders or URLs, comma-separated, that a job must write to; others are refused. May be repeated",
      roots,
    )
  addResourceOptions(command, "1")
    .addHelpText("after", examples)
    .action(async (options: WorkerOptions) => {
      const { work } = await import("../distributed.ts")
      await work(options, context.abortOnInterrupt("finishing the shards under way"), outputOf(command))
    })
}
