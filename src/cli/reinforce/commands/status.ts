/** mobileclip reinforce status */
import type { Command } from "commander"
import type { StatusOptions } from "../distributed.ts"
import { outputOf } from "../summary.ts"

const examples = `
Examples:
  mobileclip reinforce status --nats nats://HOST
  mobileclip reinforce status --nats nats://HOST --retry-parked     parked shards go back into the queue
  mobileclip reinforce status --nats nats://HOST --job NAME --remove
`

export function register(parent: Command): void {
  const command = parent
    .command("status")
    .description("say where a job on a NATS server stands: workers, throughput, time left, parked shards")
    .option("--nats <url>", "the server (default: NATS_URL)")
    .option("--job <name>", "which job, where the server has several")
    .option("--retry-parked", "put parked shards back into the queue first")
    .option("--remove", "forget the job; its outputs stay")
    .option("--json", "print it as JSON")
    .addHelpText("after", examples)
    .action(async (options: StatusOptions) => {
      const { showStatus } = await import("../distributed.ts")
      await showStatus(options, outputOf(command))
    })
}
