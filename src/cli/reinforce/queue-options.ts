/** How a job is queued on a NATS server, and when its shards are given up. */
import { type Command, Option } from "commander"
import { publishDefaults } from "../../reinforce/job/job.ts"
import { number, wholeNumber } from "../options.ts"

export function addQueueOptions(command: Command): Command {
  return command
    .option("--nats <url>", "the server, or several of one cluster, comma-separated (default: NATS_URL)")
    .option("--job <name>", "its name on the server (default: by the output)")
    .option(
      "--max-tries <n>",
      "times that a shard is begun before it is parked",
      wholeNumber(1),
      publishDefaults.maxTries,
    )
    .option(
      "--stall-timeout <seconds>",
      "without progress, after which a shard is abandoned",
      number(1, 1e6),
      publishDefaults.stallSeconds,
    )
    .addOption(
      new Option("--ack-wait <seconds>", "of a silent worker, after which its shards go to others")
        .argParser(number(1, 1e6))
        .default(publishDefaults.ackWaitSeconds),
    )
}
