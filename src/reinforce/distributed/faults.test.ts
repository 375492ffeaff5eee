/** One bad machine, message, entry or model, on a real server: it ends itself, and nothing else. */
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import type { NatsConnection } from "@nats-io/transport-node"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { NatsServer } from "../../../test/nats-server.ts"
import { dial, noCounts, quick, quickWorker, runnerOf, tasksOf, until } from "../../../test/queue.ts"
import { EnvironmentError, UserError } from "../../core/errors.ts"
import type { ModelRunner, ShardTask } from "../runner.ts"
import { type JobOptions, publishJob } from "./publish.ts"
import { type DistributedOptions, runDistributed } from "./run-distributed.ts"
import { retryParked } from "./server/parking.ts"
import { findJob, type QueuedJob, streamOf, subjectOf } from "./server/queued-job.ts"
import { jobStatus } from "./status.ts"
import type { AttemptEvent } from "./worker/attempt.ts"
import { runWorker, type WorkerOptions } from "./worker/worker.ts"

let server: NatsServer
let connection: NatsConnection

beforeAll(async () => {
  server = await NatsServer.start()
  connection = await dial(server)
})

afterAll(async () => {
  await connection.close()
  await server[Symbol.asyncDispose]()
})

const publish = (name: string, tasks: ShardTask[], options: Partial<JobOptions> = {}) =>
  publishJob(connection, { name, spec: {}, output: "out", tasks, ...quick, ...options })

function run(name: string, tasks: readonly ShardTask[], options: Partial<DistributedOptions> = {}) {
  const outcome = runDistributed(connection, { name, spec: {}, output: "out", tasks, ...quick, ...options })
  outcome.catch(() => {})
  return outcome
}

function work(job: QueuedJob, runner: ModelRunner, options: WorkerOptions = {}) {
  const events: AttemptEvent[] = []
  const notes: string[] = []
  const onEvent = (event: AttemptEvent) => events.push(event)
  const onNote = (text: string) => notes.push(text)
  const summary = runWorker(job, runner, { ...quickWorker, onEvent, onNote, ...options })
  summary.catch(() => {})
  return { events, notes, summary }
}

const full = () => Promise.reject(new EnvironmentError("disk full while writing out"))

/** In place of the job's own message. */
async function replaceMessage(job: QueuedJob, index: number, text: string): Promise<void> {
  const own = await job.jsm.streams.getMessage(streamOf(job.name), { last_by_subj: subjectOf(job.name, index) })
  await job.jsm.streams.deleteMessage(streamOf(job.name), own!.seq)
  await job.js.publish(subjectOf(job.name, index), text)
}

describe.concurrent("a machine that fails", () => {
  test("among healthy ones gives its shards back and leaves: all are done, none is parked", async () => {
    const tasks = tasksOf(20)
    // One try: an error of the machine that counted as one would park its shard.
    const outcome = run("broken", tasks, { policy: { maxTries: 1, retrySeconds: 0.1 } })
    await until(async () => (await findJob(connection, "broken")) !== null)
    const job = (await findJob(connection, "broken"))!
    const broken = work(job, runnerOf(full), { name: "broken" })
    // Shards are left for as long as the broken one tries.
    const slow = runnerOf(() => until(() => broken.events.length === 3).then(() => ({})))
    const healthy = work(job, slow, { name: "healthy" })
    const { completions, parked } = await outcome
    expect(parked).toEqual([])
    expect(completions.map(({ index }) => index)).toEqual(tasks.map(({ index }) => index))
    await expect(broken.summary).rejects.toThrow(EnvironmentError)
    await expect(broken.summary).rejects.toThrow(
      "3 shards in a row failed on this machine, the last one with: disk full while writing out",
    )
    const reason = "disk full while writing out"
    expect(broken.events.map((event) => ({ ...event, index: 0 }))).toEqual(
      Array(3).fill({ kind: "returned", index: 0, reason }),
    )
    expect(await healthy.summary).toEqual({ ...noCounts, done: 20 })
  })

  test("now and then stays: a success between counts", async () => {
    const { job } = await publish("moody", tasksOf(2))
    let runs = 0
    const worker = work(
      job,
      runnerOf(() => (++runs % 3 === 0 ? Promise.resolve({}) : full())),
    )
    expect(await worker.summary).toEqual({ ...noCounts, done: 2, returned: 4 })
  })

  test("at all its slots at once fails once", async () => {
    const { job } = await publish("blip", tasksOf(8))
    let runs = 0
    const worker = work(
      job,
      runnerOf(async () => (runs++ < 8 ? full() : {}), 4),
    )
    expect(await worker.summary).toEqual({ ...noCounts, done: 8, returned: 8 })
  })

  test("does not take its shard again before others", async () => {
    const { job } = await publish("patient", tasksOf(1), { policy: { retrySeconds: 2 } })
    // Seen before the shard goes back, so that no delay in this process shortens the time until it comes again.
    let returned = 0
    const fail = () => {
      returned ||= performance.now()
      return full()
    }
    const failing = work(job, runnerOf(fail), { name: "failing" })
    await until(() => failing.events.length === 1)
    const healthy = work(
      job,
      runnerOf(async () => ({})),
    )
    await until(() => healthy.events.length + failing.events.length > 1)
    expect(performance.now() - returned).toBeGreaterThan(1500)
    expect((await jobStatus(job)).parked).toEqual([])
  })

  test("last says so where others finished the job meanwhile", async () => {
    const { job } = await publish("overtaken", tasksOf(2), { policy: { maxTries: 2, retrySeconds: 0.02 } })
    let isOtherDone = false
    const broken = work(
      job,
      runnerOf(() => until(() => isOtherDone).then(full)),
    )
    const said = expect(broken.summary).rejects.toThrow(
      "the job is done, and the last shards that this machine took failed on it (1 in a row): disk full",
    )
    await until(async () => (await jobStatus(job)).inFlight === 1)
    const healthy = work(
      job,
      runnerOf(async () => ({})),
    )
    // It waits for a shard when the broken one gives its own back, and rests.
    await until(() => healthy.events.length === 1)
    isOtherDone = true
    expect(await healthy.summary).toMatchObject({ done: 2 })
    await said
  })

  test("with one shard is one machine, however often it comes back; with many, the shard is parked", async () => {
    const { job } = await publish("cursed", tasksOf(2), { policy: { maxTries: 2, retrySeconds: 0.02 } })
    const cursed = () => runnerOf(async ({ index }) => (index === 0 ? full() : {}))
    for (let i = 0; i < 2; i++) await expect(work(job, cursed(), { name: "a" }).summary).rejects.toThrow("in a row")
    await expect(work(job, cursed(), { name: "b" }).summary).rejects.toThrow("in a row")
    expect((await jobStatus(job)).parked).toEqual([])
    const last = work(job, cursed(), { name: "c" })
    expect(await last.summary).toMatchObject({ parked: 1 })
    expect((await jobStatus(job)).parked).toMatchObject([
      {
        ...{ index: 0, tries: 10 },
        reason: "it failed 10 times on 3 machines for their sake, the last time with: disk full while writing out",
        failures: [{ worker: "a" }, { worker: "b" }, { worker: "c" }],
      },
    ])
  })
})

test("a server whose disk is full is waited for, with what is done", async () => {
  const place = await mkdtemp(join(tmpdir(), "mobileclip-full-"))
  await writeFile(join(place, "conf"), `jetstream { store_dir: ${JSON.stringify(place)}, max_file_store: 40KB }`)
  await using small = await NatsServer.start(["-c", join(place, "conf")])
  const to = await dial(small)
  const { job } = await publishJob(to, { name: "space", spec: {}, output: "out", tasks: tasksOf(3), ...quick })
  await job.jsm.streams.add({ name: "junk", subjects: ["junk"] })
  const fill = async () => {
    for (;;) await job.js.publish("junk", "x".repeat(100))
  }
  let refusal = ""
  const worker = work(
    job,
    runnerOf(async () => {
      if (refusal === "") await fill().catch((error: Error) => (refusal = error.message))
      return {}
    }),
  )
  await until(() => refusal !== "")
  await sleep(500)
  expect(refusal).toBe("insufficient resources")
  expect(worker.events).toEqual([])
  await job.jsm.streams.delete("junk")
  expect(await worker.summary).toEqual({ ...noCounts, done: 3 })
  await to.close()
  await rm(place, { recursive: true })
})

describe.concurrent("a message that the job did not publish", () => {
  test("parks its shard with the reason, is dropped where it is of none, and ends no worker", async () => {
    const tasks = tasksOf(7)
    const { job } = await publish("messages", tasks)
    await replaceMessage(job, 0, JSON.stringify({ index: 0, input: "in/0", output: "/victim/keep" }))
    await replaceMessage(job, 1, JSON.stringify({ index: 1, input: "in/1", output: "out/../victim" }))
    await replaceMessage(job, 2, "\u001b[31mno JSON")
    await replaceMessage(job, 3, JSON.stringify({ index: 5, input: "in/5", output: "out/5.tar" }))
    await replaceMessage(job, 4, JSON.stringify({ index: 4, input: ["in/4"], output: "out/4.tar" }))
    for (const token of ["abc", "7", "05", "-1", "1e0"]) {
      await job.js.publish(`mobileclip.messages.shard.${token}`, JSON.stringify(tasks[5]))
    }
    const seen: ShardTask[] = []
    const worker = work(
      job,
      runnerOf(async (task) => {
        seen.push(task)
        return {}
      }),
    )
    expect(await worker.summary).toEqual({ ...noCounts, done: 2, malformed: 10 })
    expect(seen).toEqual([tasks[5], tasks[6]])
    const { parked, inFlight, queued } = await jobStatus(job)
    expect({ inFlight, queued }).toEqual({ inFlight: 0, queued: 0 })
    expect(parked.map(({ index, task, reason }) => ({ index, task, reason }))).toEqual([
      { index: 0, task: null, reason: 'the output "/victim/keep" is not inside of "out", the job\'s output' },
      { index: 1, task: null, reason: 'the task names "../victim", which could be outside of its folder' },
      { index: 2, task: null, reason: 'the message is not that of a shard: "\\u001b[31mno JSON"' },
      { index: 3, task: null, reason: "the message is that of shard 5" },
      { index: 4, task: null, reason: expect.stringMatching(/^the message is not that of a shard: /) },
    ])
    const strays = worker.events.flatMap((event) => (event.kind === "malformed" && event.index === null ? [event] : []))
    expect(strays.map(({ reason }) => /shard\.[^"]+/.exec(reason)?.[0]).sort()).toEqual([
      "shard.-1",
      "shard.05",
      "shard.1e0",
      "shard.7",
      "shard.abc",
    ])

    // What the messages should have been is known to whoever publishes the job.
    expect(await retryParked(job)).toEqual({ queued: 0, forgotten: 5 })
    const outcome = run("messages", tasks)
    await until(async () => (await jobStatus(job)).queued === 5)
    await work(
      job,
      runnerOf(async () => ({})),
    ).summary
    const { completions, parked: left } = await outcome
    expect(completions.map(({ output }) => output)).toEqual(tasks.map(({ output }) => output))
    expect(left).toEqual([])
  })

  test("on the subject of a shard that is done changes nothing", async () => {
    const { job } = await publish("late", tasksOf(1))
    const runner = runnerOf(async () => ({}))
    await work(job, runner).summary
    await job.js.publish(subjectOf("late", 0), "again")
    const worker = work(job, runner)
    expect(await worker.summary).toEqual({ ...noCounts, malformed: 1 })
    const reason = 'shard 0 is done, and the message is not that of a shard: "again"'
    expect(worker.events).toEqual([{ kind: "malformed", index: null, reason }])
    expect(await jobStatus(job)).toMatchObject({ done: 1, parked: [] })
  })

  test("for a shard that is done writes nowhere, though it names the place of another one", async () => {
    const tasks = tasksOf(2)
    const { job } = await publish("double", tasks)
    const seen: ShardTask[] = []
    const runner = runnerOf(async (task) => {
      seen.push(task)
      return {}
    })
    await work(job, runner).summary
    await job.js.publish(subjectOf("double", 0), JSON.stringify({ ...tasks[0], output: "out/1.tar" }))
    await job.js.publish(subjectOf("double", 1), JSON.stringify(tasks[1]))
    const worker = work(job, runner)
    expect(await worker.summary).toEqual({ ...noCounts, malformed: 1 })
    expect(seen).toEqual(tasks)
    expect(worker.events).toEqual([
      {
        ...{ kind: "malformed", index: null },
        reason: "shard 0 is done, and the message names another input or output for it",
      },
      { kind: "doneElsewhere", index: 1, differs: false },
    ])
    const { completions } = await run("double", tasks)
    expect(completions.map(({ output }) => output)).toEqual(["out/0.tar", "out/1.tar"])
  })

  test("that made a shard of something else does not keep the job from making it", async () => {
    const tasks = tasksOf(2)
    const { job } = await publish("forged", tasks)
    await replaceMessage(job, 0, JSON.stringify({ ...tasks[0], input: "other" }))
    const runner = runnerOf(async () => ({}))
    await work(job, runner).summary
    const outcome = run("forged", tasks)
    await until(async () => (await jobStatus(job)).queued === 1)
    await work(job, runner).summary
    expect((await outcome).completions.map(({ input }) => input)).toEqual(["in/0", "in/1"])
  })

  test("is not published: outputs outside of the job's are refused, and those of two shards", async () => {
    const [task, other] = tasksOf(2) as [ShardTask, ShardTask]
    await expect(publish("twice", [task, { ...other, output: task.output }])).rejects.toThrow(
      '"in/0" and "in/1" would both be written to "out/0.tar"',
    )
    await expect(publish("outside", [{ ...task, output: "elsewhere/0" }])).rejects.toThrow(
      'the output "elsewhere/0" is not inside of "out", the job\'s output',
    )
  })
})

describe.concurrent("an entry that is not readable", () => {
  test("counts as not there, and is named", async () => {
    const tasks = tasksOf(4)
    const { job } = await publish("entries", tasks)
    const garbage = "{\u0007"
    for (const key of ["policy", "stop", "models", "parked.0", "attempts.1"]) await job.control.put(key, garbage)
    await job.control.put(
      "parked.1",
      JSON.stringify({ index: 3, task: null, reason: "", tries: 0, failures: [], at: 0 }),
    )
    await job.done.put("2", garbage)
    await job.done.put("3", JSON.stringify({ index: 2 }))
    await job.done.put("stray", garbage)
    await job.workers.put("someone", garbage)
    await job.workers.put("so=me", garbage)
    const named = (await jobStatus(job)).unreadable.map((text) => /"([^"]+)" of job entries/.exec(text)?.[1])
    expect(named.sort()).toEqual([
      "done.2",
      "done.3",
      "done.stray",
      "models",
      "parked.0",
      "parked.1",
      "stop",
      "workers.so=me",
      "workers.someone",
    ])

    const notes: string[] = []
    const outcome = run("entries", tasks, {
      policy: { maxTries: 2, retrySeconds: 0.1 },
      onNote: (text) => notes.push(text),
    })
    await until(() => notes.length >= 4)
    await job.control.put("policy", JSON.stringify({ maxTries: 2, stallSeconds: 1e9, retrySeconds: 0.1 }))
    let failures = 0
    const worker = work(
      job,
      runnerOf(async ({ index }) => {
        if (index !== 1 || failures++ > 0) return {}
        await job.control.put("attempts.1", garbage)
        throw new UserError("once")
      }),
    )
    await until(() => worker.events.length > 1)
    const { completions, parked, models } = await outcome
    expect(completions.map(({ index, models }) => [index, models])).toEqual(tasks.map(({ index }) => [index, "m"]))
    expect(parked).toEqual([])
    expect(models).toBe("m")
    expect(await worker.summary).toMatchObject({ done: 4, failed: 1 })
    expect(worker.notes).toContainEqual(expect.stringMatching(/^"policy" of job entries on the server is not readable/))
    expect(worker.notes).toContainEqual(expect.stringMatching(/^"models" of job entries on the server is not readable/))
    expect(worker.notes.filter((text) => text.startsWith('"stop"'))).toHaveLength(0)
    expect((await jobStatus(job)).unreadable.map((text) => /"([^"]+)"/.exec(text)?.[1]).sort()).toEqual([
      "done.stray",
      "parked.0",
      "parked.1",
      "workers.so=me",
      "workers.someone",
    ])
  })

  test("as the job's own record is told in a line, and the job can be looked at and removed", async () => {
    const { job } = await publish("record", tasksOf(1))
    await job.control.put("job", "{}")
    const runner = runnerOf(async () => ({}))
    await expect(work(job, runner).summary).rejects.toThrow('"job" of job record on the server is not readable: "{}"')
    const found = (await findJob(connection, "record"))!
    expect(await jobStatus(found)).toMatchObject({
      shards: 0,
      unreadable: [expect.stringMatching(/^"job" of job record/)],
    })
  })
})

test("records that nest without end are told in a line", async () => {
  const deep = "[".repeat(200_000)
  const { job } = await publish("deep", tasksOf(1))
  const record = (await job.control.get("job"))!.json<object>()
  const nested = deep + "]".repeat(200_000)
  await job.control.put("policy", nested)
  await job.control.put("job", JSON.stringify({ ...record, spec: 0 }).replace('"spec":0', `"spec":${nested}`))
  expect((await jobStatus(job)).unreadable).toEqual([expect.stringMatching(/^"job" of job deep on the server is not/)])
  await expect(
    work(
      job,
      runnerOf(async () => ({})),
    ).summary,
  ).rejects.toThrow('"job" of job deep on the server is not')
  await expect(publish("deep", tasksOf(1))).rejects.toThrow('"job" of job deep on the server is not')
})

test("a stream that is called like a job and is none is not taken for one", async () => {
  const { job } = await publish("real", tasksOf(1))
  await job.jsm.streams.add({ name: "mobileclip-husk", subjects: ["husk"] })
  expect(await findJob(connection, "husk")).toBe(null)
  await job.jsm.streams.delete("mobileclip-husk")
})

describe.concurrent("models", () => {
  test("that finished no shard bind nobody: neither where their worker left, nor where it is still at work", async () => {
    const { job } = await publish("unbound", tasksOf(2))
    const leave = new AbortController()
    const left = work(
      job,
      runnerOf(async () => ({}), 1, "vit@B"),
      { leave: AbortSignal.abort() },
    )
    expect(await left.summary).toEqual(noCounts)
    expect((await jobStatus(job)).models).toBe(null)
    const wrong = work(
      job,
      runnerOf((_, { signal }) => sleep(60_000, {}, { signal: signal! }), 1, "vit@B"),
      { leave: leave.signal, name: "wrong" },
    )
    await until(async () => (await jobStatus(job)).inFlight === 1)
    const right = work(
      job,
      runnerOf(async () => ({}), 1, "vit@A"),
      { name: "right" },
    )
    // Told of it while its shard is at work, which it gives back.
    await expect(wrong.summary).rejects.toThrow(
      /^job unbound is made by vit@A \(first by worker right-\d+-\w+\), and this machine has vit@B$/,
    )
    expect(await right.summary).toEqual({ ...noCounts, done: 2 })
    expect(await jobStatus(job)).toMatchObject({ done: 2, models: "vit@A", parked: [] })
  })

  test("that come second: what they wrote is taken away unrecorded, and their shard is made again", async () => {
    const tasks = tasksOf(2)
    const { job } = await publish("second", tasks)
    const written = new Map<string, string>()
    const recorded: string[] = []
    const writing = (identity: string, before: (task: ShardTask) => Promise<unknown>): ModelRunner => ({
      ...runnerOf(
        async (task) => {
          await before(task)
          written.set(task.output, identity)
          return { sha256: identity }
        },
        1,
        identity,
      ),
      async record({ output, models }) {
        recorded.push(`${output} ${models}`)
      },
      async discard({ output }) {
        written.delete(output)
      },
    })
    const isFirstDone = async () => (await jobStatus(job)).models === "A"
    // Not told of it by its renewals: it learns it with its shard in its hands.
    const late = work(
      job,
      writing("B", () => until(isFirstDone)),
      { presenceSeconds: 60 },
    )
    await until(async () => (await jobStatus(job)).inFlight === 1)
    const first = work(
      job,
      writing("A", async () => {}),
    )
    await expect(late.summary).rejects.toThrow("job second is made by A ")
    expect(await first.summary).toEqual({ ...noCounts, done: 2 })
    expect([...written]).toEqual(expect.arrayContaining(tasks.map(({ output }) => [output, "A"])))
    expect(recorded.sort()).toEqual(["out/0.tar A", "out/1.tar A"])
    const { completions } = await run("second", tasks)
    expect(completions.map(({ models, sha256 }) => [models, sha256])).toEqual([
      ["A", "A"],
      ["A", "A"],
    ])
  })

  test("that write late over a shard that was done meanwhile have it made again", async () => {
    const [task] = tasksOf(1) as [ShardTask]
    const { job } = await publish("overwritten", [task], { ackWaitSeconds: 30 })
    let output = ""
    const writing = (identity: string, before: () => Promise<unknown>): ModelRunner => ({
      ...runnerOf(
        async () => {
          await before()
          output = identity
          return { sha256: identity }
        },
        1,
        identity,
      ),
      async discard() {
        output = ""
      },
    })
    // As though another worker had been given the message, while this one was out of touch.
    const outOfTouch = async () => {
      const made = { ...task, samples: 10, dropped: 0, problems: [], bytes: 100, seconds: 1, models: "A" }
      await job.control.put("models", JSON.stringify({ identity: "A", worker: "first", at: 0 }))
      await job.done.put("0", JSON.stringify({ ...made, sha256: "A", worker: "first", at: 0 }))
    }
    await expect(work(job, writing("B", outOfTouch), { presenceSeconds: 60 }).summary).rejects.toThrow("is made by A ")
    expect(output).toBe("")
    expect(await jobStatus(job)).toMatchObject({ done: 0, parked: [] })
    expect(
      await work(
        job,
        writing("A", async () => {}),
      ).summary,
    ).toEqual({ ...noCounts, done: 1 })
    expect(output).toBe("A")
  })

  test("are those of the first shard: a worker with others leaves, and says both", async () => {
    const outcome = run("mixed", tasksOf(8))
    await until(async () => (await findJob(connection, "mixed")) !== null)
    const job = (await findJob(connection, "mixed"))!
    const slow = (identity: string) => runnerOf(() => sleep(100).then(() => ({})), 1, identity)
    const first = work(job, slow("vit@A"), { name: "first" })
    await until(() => first.events.length > 0)
    const other = work(job, slow("vit@B"))
    await expect(other.summary).rejects.toThrow(
      /^job mixed is made by vit@A \(first by worker first-\d+-\w+\), and this machine has vit@B$/,
    )
    expect(other.events).toEqual([])
    const second = work(job, slow("vit@A"))
    const { completions, models } = await outcome
    expect(models).toBe("vit@A")
    expect(completions.map((completion) => completion.models)).toEqual(Array(8).fill("vit@A"))
    expect((await jobStatus(job)).models).toBe("vit@A")
    await Promise.all([first.summary, second.summary])
  })

  test("of two that begin at once, one decides", async () => {
    const { job } = await publish("race", tasksOf(4))
    const pace = () => sleep(50).then(() => ({}))
    const both = ["A", "B"].map((identity) => work(job, runnerOf(pace, 1, identity)).summary)
    const ends = await Promise.allSettled(both)
    expect(ends.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"])
    const { completions } = await run("race", tasksOf(4))
    expect(new Set(completions.map(({ models }) => models)).size).toBe(1)
  })

  test("that change under a worker make no completion", async () => {
    const { job } = await publish("changed", tasksOf(1))
    const worker = work(
      job,
      runnerOf(async () => ({ models: "n" })),
    )
    await expect(worker.summary).rejects.toThrow("out/0.tar was made by n, and this worker's models are m")
    expect((await jobStatus(job)).done).toBe(0)
  })
})
