/** Jobs of a NATS server for tests: shards without files, and runners without models. */
import { setTimeout as sleep } from "node:timers/promises"
import type { NatsConnection } from "@nats-io/transport-node"
import { connectNats } from "../src/reinforce/distributed/server/connection.ts"
import { natsSettings } from "../src/reinforce/distributed/server/nats-settings.ts"
import type { ModelRunner, RunOptions, ShardResult, ShardTask } from "../src/reinforce/runner.ts"
import type { NatsServer } from "./nats-server.ts"

/** Times of a test's job: everything is quick, but for what is watched. */
export const quick = { ackWaitSeconds: 2, pollSeconds: 0.1, policy: { retrySeconds: 0.1 } } as const
export const quickWorker = { idleSeconds: 1, presenceSeconds: 0.2 } as const
export const noCounts = { done: 0, failed: 0, parked: 0, released: 0, returned: 0, malformed: 0 } as const

export async function dial({ url }: NatsServer): Promise<NatsConnection> {
  return connectNats(await natsSettings(url, {}), "test")
}

/** Shards whose work is a promise of this process: no files. */
export function runnerOf(
  work: (task: ShardTask, options: RunOptions) => Promise<Partial<ShardResult>>,
  slots = 1,
  identity = "m",
): ModelRunner {
  return {
    slots,
    identity,
    async run(task, options = {}) {
      const made = await work(task, options)
      const sha256 = `of ${task.index}`
      return { ...task, samples: 10, problems: [], bytes: 100, sha256, models: identity, seconds: 1, ...made }
    },
    async [Symbol.asyncDispose]() {},
  }
}

/** In the output `out`. */
export function tasksOf(count: number): ShardTask[] {
  return Array.from({ length: count }, (_, index) => ({ index, input: `in/${index}`, output: `out/${index}.tar` }))
}

export async function until(condition: () => boolean | Promise<boolean>, seconds = 60): Promise<void> {
  for (const end = Date.now() + seconds * 1000; !(await condition()); await sleep(20)) {
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${condition}`)
  }
}
