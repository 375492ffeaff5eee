/** What someone who may publish on a job's subjects can send besides its shards, one after the other. */
import { type JetStreamClient, jetstream } from "@nats-io/jetstream"
import { connectNats } from "../src/reinforce/distributed/server/connection.ts"
import { natsSettings } from "../src/reinforce/distributed/server/nats-settings.ts"

interface BadMessageOptions {
  readonly job: string
  readonly shards: number
  /** URLs of a shard to read, of the job's output folder, and of files outside of it. */
  readonly input: string
  readonly output: string
  readonly victims: readonly string[]
  /** Between two messages. */
  readonly seconds: number
}

/** Message `n`, all on subjects of their own. */
function badMessage(n: number, options: Omit<BadMessageOptions, "seconds">): { subject: string; data: string } {
  const { job, shards, input, output, victims } = options
  const index = 10_000 + n
  const subject = (token: string | number) => `mobileclip.${job}.shard.${token}`
  const inside = `${output}/bad-${n}.tar`
  const outside = victims[n % victims.length]!
  const kinds = [
    { token: index, data: `{"index": ${index}, "input": "${input}", "outp` },
    { token: index, data: JSON.stringify({ index: "0", input: 5, output: null }) },
    { token: index, data: JSON.stringify({ index: shards + n, input, output: inside }) },
    { token: index, data: JSON.stringify({ index: n % shards, input, output: outside }) },
    { token: `strange-${n}`, data: JSON.stringify({ index, input, output: inside }) },
  ]
  const { token, data } = kinds[n % kinds.length]!
  return { subject: subject(token), data }
}

/** Publishes one after the other from the moment the job is there. */
export class BadMessages implements AsyncDisposable {
  /** That the server took. */
  published = 0
  private next = 0
  private readonly timer: NodeJS.Timeout

  private constructor(
    private readonly js: JetStreamClient,
    private readonly options: BadMessageOptions,
    private readonly close: () => Promise<void>,
  ) {
    this.timer = setInterval(() => void this.publish(), 1000 * options.seconds)
  }

  static async start(url: string, options: BadMessageOptions): Promise<BadMessages> {
    const connection = await connectNats(await natsSettings(url, {}), "bad messages")
    return new BadMessages(jetstream(connection), options, () => connection.close())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.timer)
    await this.close()
  }

  /** What the server refuses, as it does until the job begins, is sent again later. */
  private async publish(): Promise<void> {
    const { subject, data } = badMessage(this.next, this.options)
    try {
      await this.js.publish(subject, data)
      this.next++
      this.published++
    } catch {}
  }
}
