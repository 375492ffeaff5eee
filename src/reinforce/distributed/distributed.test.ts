import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import type { NatsConnection } from "@nats-io/transport-node"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { CopyRunner, compiled } from "../../../test/copy-runner.ts"
import { NatsServer } from "../../../test/nats-server.ts"
import { dial, noCounts, quick, quickWorker, runnerOf, tasksOf, until } from "../../../test/queue.ts"
import { UserError } from "../../core/errors.ts"
import type { ModelRunner, ShardTask } from "../runner.ts"
import { publishJob } from "./publish.ts"
import { type DistributedOptions, runDistributed } from "./run-distributed.ts"
import { connectNats } from "./server/connection.ts"
import { createEntry } from "./server/entries.ts"
import { natsSettings } from "./server/nats-settings.ts"
import { retryParked } from "./server/parking.ts"
import { jobConsumer, publishTask, queuedIndices, queueState, takeMessage } from "./server/queue.ts"
import { answered, findJob, jobNames, type QueuedJob, readJob, removeJob } from "./server/queued-job.ts"
import { jobStatus } from "./status.ts"
import type { AttemptEvent } from "./worker/attempt.ts"
import { SharedModels } from "./worker/shared-models.ts"
import { runWorker, type WorkerOptions } from "./worker/worker.ts"

let server: NatsServer
let connection: NatsConnection
let folder: string
const processes: ChildProcess[] = []

beforeAll(async () => {
  server = await NatsServer.start()
  connection = await dial(server)
  folder = await mkdtemp(join(tmpdir(), "mobileclip-shards-"))
})

afterAll(async () => {
  for (const child of processes) child.kill("SIGKILL")
  await connection.close()
  await server[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

/** Shards on disk of 4 lines, each taking so many milliseconds. */
async function filesOf(job: string, count: number, milliseconds: number): Promise<ShardTask[]> {
  const tasks = Array.from({ length: count }, (_, index) => ({
    index,
    input: join(folder, `${job}-${index}.in`),
    output: join(folder, `${job}-${index}.tar`),
  }))
  for (const { input, index } of tasks) await writeFile(input, `${milliseconds} ms\none\ntwo\nshard ${index}\n`)
  return tasks
}

interface WorkerProcess {
  readonly child: ChildProcess
  readonly events: AttemptEvent[]
  readonly exited: Promise<unknown>
}

function startWorker({ url }: NatsServer, job: string): WorkerProcess {
  const child = fork(compiled("worker-process"), [url, job], { stdio: "inherit", execArgv: [] })
  processes.push(child)
  const events: AttemptEvent[] = []
  child.on("message", (event) => events.push(event as AttemptEvent))
  return { child, events, exited: once(child, "exit") }
}

/** A worker of this process, with what happened. */
async function work(name: string, runner: ModelRunner, options: WorkerOptions = {}, to = connection) {
  const events: AttemptEvent[] = []
  const job = (await findJob(to, name))!
  const summary = runWorker(job, runner, { ...quickWorker, onEvent: (event) => events.push(event), ...options })
  summary.catch(() => {})
  return { events, summary }
}

function run(name: string, tasks: readonly ShardTask[], options: Partial<DistributedOptions> = {}) {
  const output = dirname(tasks[0]!.output)
  const outcome = runDistributed(connection, { name, spec: {}, output, tasks, ...quick, ...options })
  outcome.catch(() => {})
  return outcome
}

describe.concurrent("nothing is lost", () => {
  test("when a worker is killed: its shard is delivered again, and every output is whole", async () => {
    const tasks = await filesOf("killed", 8, 100)
    // Whoever takes this one is at it until it is killed.
    const { input } = tasks[3]!
    const text = await readFile(input, "utf8")
    await writeFile(input, text.replace("100 ms", "600000 ms"))
    const outcome = run("killed", tasks)
    const workers = [startWorker(server, "killed"), startWorker(server, "killed")]
    const pidAtIt = async () => {
      const { done, workers } = await jobStatus((await findJob(connection, "killed"))!)
      const [atWork] = workers.filter(({ shards }) => shards.some(({ index }) => index === 3))
      return done === 7 && atWork?.pid
    }
    await until(async () => (await findJob(connection, "killed")) !== null)
    await until(async () => Boolean(await pidAtIt()))
    await writeFile(input, text)
    const pid = await pidAtIt()
    workers.find(({ child }) => child.pid === pid)!.child.kill("SIGKILL")
    const { completions, parked } = await outcome
    await Promise.all(workers.map(({ exited }) => exited))
    expect(parked).toEqual([])
    expect(completions.map(({ index, samples }) => [index, samples])).toEqual(tasks.map(({ index }) => [index, 4]))
    const texts = await Promise.all(tasks.map(({ output }) => readFile(output, "utf8")))
    expect(texts).toEqual(tasks.map(({ index }) => `100 MS\nONE\nTWO\nSHARD ${index}\n`))
    const done = workers
      .flatMap(({ events }) => events)
      .flatMap((event) => (event.kind === "done" ? [event.completion.index] : []))
    expect(done.sort()).toEqual(tasks.map(({ index }) => index))
  })

  test("when the server is killed and comes back on its files, while shards are at work", async () => {
    await using other = await NatsServer.start()
    const to = await dial(other)
    const tasks = await filesOf("restart", 6, 250)
    // Longer than the server is away, on a busy machine too: what is at work then need not be delivered again.
    const ackWaitSeconds = 10
    const away: boolean[] = []
    const onProgress = ({ serverAway }: { serverAway: boolean }) => away.push(serverAway)
    const outcome = runDistributed(to, {
      name: "restart",
      spec: {},
      output: folder,
      tasks,
      ...quick,
      ackWaitSeconds,
      onProgress,
    })
    const workers = [startWorker(other, "restart"), startWorker(other, "restart")]
    await until(() => workers.every(({ events }) => events.length > 0))
    await sleep(100)
    await other.kill()
    await sleep(1500)
    await other.restart()
    const { completions, parked } = await outcome
    await Promise.all(workers.map(({ exited }) => exited))
    expect(parked).toEqual([])
    expect(completions.map(({ index }) => index)).toEqual(tasks.map(({ index }) => index))
    // What was at work went on: it was not done twice.
    expect(workers.flatMap(({ events }) => events).filter(({ kind }) => kind === "done")).toHaveLength(tasks.length)
    expect(await readdir(folder).then((names) => names.filter((name) => /^restart-\d\.tar$/.test(name)))).toHaveLength(
      6,
    )
    await to.close()
  })

  test("when the child process of a shard dies: it is tried again", async () => {
    const [task] = (await filesOf("child", 1, 0)) as [ShardTask]
    await writeFile(task.input, "one\nbroken\n")
    const outcome = run("child", [task])
    await until(async () => (await findJob(connection, "child")) !== null)
    const runner = new CopyRunner()
    const worker = await work("child", runner)
    await until(() => worker.events.length > 0)
    await writeFile(task.input, "one\nmended\n")
    expect((await outcome).completions).toMatchObject([{ index: 0, samples: 2 }])
    expect(worker.events[0]).toMatchObject({
      kind: "failed",
      reason: "the process of the shard ended with 3",
      tries: 1,
    })
  })

  test("when a shard takes longer than the time to acknowledge it: heartbeats keep it", async () => {
    await publishJob(connection, { name: "long", spec: {}, output: "out", tasks: tasksOf(1), ackWaitSeconds: 4 })
    let runs = 0
    // This process may be late with a heartbeat by two seconds and more, on a busy machine.
    const runner = runnerOf(async () => {
      runs++
      await sleep(6000)
      return {}
    })
    const workers = [await work("long", runner), await work("long", runner)]
    const summaries = await Promise.all(workers.map(({ summary }) => summary))
    expect(runs).toBe(1)
    expect(summaries.map(({ done }) => done).sort()).toEqual([0, 1])
  })

  test("when the last writes of the server are lost: run publishes them again", async () => {
    const outcome = run("lost", tasksOf(2))
    await until(async () => (await findJob(connection, "lost")) !== null)
    const job = (await findJob(connection, "lost"))!
    await until(async () => (await queuedIndices(job)).size === 2)
    await job.jsm.streams.purge("mobileclip-lost")
    await until(async () => (await queuedIndices(job)).size === 2)
    await work(
      "lost",
      runnerOf(async () => ({})),
    )
    expect((await outcome).completions).toHaveLength(2)
  })

  test("when acknowledgements survive a power cut and completions do not: shards are done again", async () => {
    await using other = await NatsServer.start()
    const to = await dial(other)
    const tasks = tasksOf(3)
    // An acknowledgement that the server had not yet written: its shard comes again soon.
    const { job } = await publishJob(to, { name: "cut", spec: {}, output: "out", tasks, ...quick })
    const consumer = await jobConsumer(job)
    for (let i = 0; i < 2; i++) (await takeMessage(consumer, 1, new AbortController().signal))!.ack()
    await until(async () => {
      const { queued, inFlight } = await queueState(job)
      return queued === 1 && inFlight === 0
    })
    await other.kill()
    await other.restart()
    const outcome = runDistributed(to, { name: "cut", spec: {}, output: "out", tasks, ...quick })
    await until(async () => (await jobStatus(job)).queued > 0)
    const runner = runnerOf(async () => ({}))
    // A worker that finds nothing leaves; the ones that were lost are found a moment later.
    const leave = new AbortController()
    void outcome.finally(() => leave.abort())
    while (!leave.signal.aborted) await (await work("cut", runner, { leave: leave.signal }, to)).summary
    expect((await outcome).completions.map(({ index }) => index)).toEqual([0, 1, 2])
    await to.close()
  })
})

describe.concurrent("shards that fail", () => {
  test("are parked with their reasons, and can be put back", async () => {
    const outcome = run("poison", tasksOf(3), { policy: { maxTries: 2, retrySeconds: 0.1 } })
    await until(async () => (await findJob(connection, "poison")) !== null)
    let broken = true
    const runner = runnerOf(async ({ index, input }) => {
      if (index === 1 && broken) throw new UserError(`${input}: not a tar`)
      return {}
    })
    const worker = await work("poison", runner)
    const { completions, parked } = await outcome
    expect(completions.map(({ index }) => index)).toEqual([0, 2])
    expect(parked).toMatchObject([{ task: { index: 1 }, reason: "in/1: not a tar", tries: 2 }])
    expect(parked[0]!.failures.map(({ reason }) => reason)).toEqual(["in/1: not a tar", "in/1: not a tar"])
    expect(await worker.summary).toEqual({ ...noCounts, done: 2, failed: 1, parked: 1 })

    // Run again, they stay parked; put back, they are as new.
    expect((await run("poison", tasksOf(3))).parked).toHaveLength(1)
    const job = (await findJob(connection, "poison"))!
    expect(await retryParked(job)).toEqual({ queued: 1, forgotten: 0 })
    expect(await retryParked(job)).toEqual({ queued: 0, forgotten: 0 })
    broken = false
    await work("poison", runner)
    expect(await run("poison", tasksOf(3))).toMatchObject({ completions: [{}, { index: 1 }, {}], parked: [] })
  })

  test("and take their workers with them are parked, too", async () => {
    await publishJob(connection, {
      name: "deadly",
      spec: {},
      output: "out",
      tasks: tasksOf(1),
      ackWaitSeconds: 0.3,
      policy: { maxTries: 2 },
    })
    for (let i = 0; i < 2; i++) {
      const own = await dial(server)
      const deadly = runnerOf(async () => {
        await own.close()
        throw new Error("nobody hears this")
      })
      await expect((await work("deadly", deadly, {}, own)).summary).rejects.toThrow(
        "the connection to the server is closed",
      )
    }
    const last = await work(
      "deadly",
      runnerOf(async () => ({})),
    )
    expect(await last.summary).toMatchObject({ done: 0, parked: 1 })
    expect((await jobStatus((await findJob(connection, "deadly"))!)).parked).toMatchObject([
      { reason: "2 of 2 tries ended without a word: the worker died or lost its connection", tries: 2 },
    ])
  })

  test("by making no progress are abandoned", async () => {
    const policy = { stallSeconds: 0.3, maxTries: 1 }
    await publishJob(connection, { name: "stall", spec: {}, output: "out", tasks: tasksOf(1), policy })
    const runner = runnerOf(async (_, { signal, onProgress }) => {
      for (let i = 0; i < 4; i++) await sleep(150).then(() => onProgress?.(i + 1))
      await sleep(60_000, undefined, { signal: signal! })
      return {}
    })
    const started = performance.now()
    const worker = await work("stall", runner)
    expect(await worker.summary).toMatchObject({ parked: 1 })
    expect(worker.events).toMatchObject([{ kind: "parked", reason: "no progress for 0.3 seconds", tries: 1 }])
    expect(performance.now() - started).toBeGreaterThan(850)
  })

  test("are not abandoned while their bytes move", async () => {
    const policy = { stallSeconds: 1, maxTries: 1 }
    await publishJob(connection, { name: "moving", spec: {}, output: "out", tasks: tasksOf(1), policy })
    const runner = runnerOf(async (_, { signal, onActivity }) => {
      for (let i = 0; i < 12; i++) {
        await sleep(150, undefined, { signal: signal! })
        onActivity?.()
      }
      return {}
    })
    const worker = await work("moving", runner)
    expect(await worker.summary).toMatchObject({ done: 1, parked: 0, failed: 0 })
  })

  test("beyond the budget stop the job, and its workers", async () => {
    const problem = { key: "cat", reason: "the picture is truncated", action: "dropped" } as const
    const outcome = run("budget", tasksOf(40), { maxFailures: 3 })
    await until(async () => (await findJob(connection, "budget")) !== null)
    let runs = 0
    // The fifth shard is at work when the job is stopped.
    const runner = runnerOf(async (_, { signal }) => {
      if (++runs > 4) await sleep(60_000, undefined, { signal: signal! })
      return { problems: [problem, { ...problem, action: "kept" }] }
    })
    const worker = await work("budget", runner)
    await expect(outcome).rejects.toThrow(
      /^job budget was stopped: 4 samples or shards failed, more than the 3 .* the first: the picture is truncated$/,
    )
    await expect(worker.summary).rejects.toThrow(/^job budget was stopped: 4 samples/)
    // A larger budget goes on.
    const again = run("budget", tasksOf(40), { maxFailures: 40 })
    await until(async () => (await jobStatus((await findJob(connection, "budget"))!)).stopped === null)
    await work(
      "budget",
      runnerOf(async () => ({}), 4),
    )
    expect((await again).completions).toHaveLength(40)
  })
})

describe.concurrent("a worker that leaves", () => {
  test("finishes its shard when asked to, and takes no other", async () => {
    await publishJob(connection, { name: "leave", spec: {}, output: "out", tasks: tasksOf(3) })
    const leave = new AbortController()
    const runner = runnerOf(async () => {
      leave.abort()
      await sleep(200)
      return {}
    })
    expect(await (await work("leave", runner, { leave: leave.signal })).summary).toMatchObject({ done: 1 })
    expect((await jobStatus((await findJob(connection, "leave"))!)).queued).toBe(2)
  })

  test("at once gives its shards back, which is not a try", async () => {
    await publishJob(connection, {
      name: "abandon",
      spec: {},
      output: "out",
      tasks: tasksOf(2),
      policy: { maxTries: 1 },
    })
    for (let i = 0; i < 2; i++) {
      const abandon = new AbortController()
      let atWork = 0
      const runner = runnerOf(async (_, { signal }) => {
        if (++atWork === 2) setImmediate(() => abandon.abort())
        await sleep(60_000, undefined, { signal: signal! })
        return {}
      }, 2)
      const { summary } = await work("abandon", runner, { abandon: abandon.signal })
      expect(await summary).toEqual({ ...noCounts, released: 2 })
    }
    expect(
      await (
        await work(
          "abandon",
          runnerOf(async () => ({})),
        )
      ).summary,
    ).toMatchObject({ done: 2, parked: 0 })
  })

  test("waits for nothing when the queue is empty", async () => {
    await publishJob(connection, { name: "idle", spec: {}, output: "out", tasks: tasksOf(1) })
    const leave = new AbortController()
    let finish = () => {}
    const end = new Promise<void>((resolve) => (finish = resolve))
    let isAtWork = false
    const busy = await work(
      "idle",
      runnerOf(() => {
        isAtWork = true
        return end.then(() => ({}))
      }),
    )
    await until(() => isAtWork)
    const idle = await work(
      "idle",
      runnerOf(async () => ({})),
      { leave: leave.signal, idleSeconds: 60 },
    )
    await sleep(300)
    leave.abort()
    // The other's shard is still under way.
    await idle.summary
    finish()
    expect(await busy.summary).toMatchObject({ done: 1 })
  })
})

/** A server that comes back after its folder was lost. */
async function emptied(name: string, run: (job: QueuedJob, server: NatsServer, to: NatsConnection) => Promise<void>) {
  await using other = await NatsServer.start()
  const to = await dial(other)
  try {
    const { job } = await publishJob(to, { name, spec: {}, output: "out", tasks: tasksOf(3) })
    await run(job, other, to)
  } finally {
    await to.close()
  }
}

describe.concurrent("a server that comes back without the job", () => {
  const gone = (name: string) => `job ${name} is no longer on the server`

  test("ends a worker that is at work, within seconds", async () => {
    await emptied("at-work", async (_, other, to) => {
      let runs = 0
      const runner = runnerOf(async ({ index }, { signal }) => {
        runs++
        if (index > 0) await sleep(60_000, undefined, { signal: signal! })
        return {}
      })
      const worker = await work("at-work", runner, {}, to)
      await until(() => runs === 2)
      await other.lose()
      await other.restart()
      const back = performance.now()
      await expect(worker.summary).rejects.toThrow(gone("at-work"))
      expect(performance.now() - back).toBeLessThan(15_000)
    })
  })

  test("ends a worker that waits for a shard, and one that waits to tell what became of its own", async () => {
    await emptied("waits", async (_, other, to) => {
      let finish = () => {}
      const end = new Promise<void>((resolve) => {
        finish = resolve
      })
      let runs = 0
      const waiting = async () => {
        runs++
        await end
        return {}
      }
      const busy = await work("waits", runnerOf(waiting, 3), { presenceSeconds: 60 }, to)
      await until(() => runs === 3)
      const idle = await work(
        "waits",
        runnerOf(async () => ({})),
        { presenceSeconds: 60 },
        to,
      )
      await sleep(200)
      await other.lose()
      finish()
      await other.restart()
      for (const { summary } of [idle, busy]) await expect(summary).rejects.toThrow(gone("waits"))
    })
  })

  test("ends everything else that waits for the job", async () => {
    await emptied("others", async (job, other) => {
      await job.control.put("parked.0", "unreadable")
      await other.lose()
      const waiting = [
        answered(job, () => job.control.put("policy", "{}")),
        createEntry(job, "control", "x", {}),
        publishTask(job, { index: 1, input: "in/1", output: "out/1.tar" }),
        new SharedModels(job, "m", "w", () => {}).claim(),
        retryParked(job),
        jobStatus(job),
        runWorker(
          job,
          runnerOf(async () => ({})),
        ),
      ].map((promise) => expect(promise).rejects.toThrow(gone("others")))
      await other.restart()
      await Promise.all(waiting)
    })
  })
})

test("while the server is away a worker that is told to leave does not wait for it", async () => {
  await emptied("leaves-alone", async (_, other, to) => {
    const leave = new AbortController()
    let finish = () => {}
    const end = new Promise<void>((resolve) => {
      finish = resolve
    })
    let runs = 0
    const waiting = async () => {
      runs++
      await end
      return {}
    }
    const worker = await work("leaves-alone", runnerOf(waiting), { leave: leave.signal }, to)
    await until(() => runs === 1)
    await other.kill()
    finish()
    leave.abort()
    const asked = performance.now()
    expect(await worker.summary).toEqual({ ...noCounts, released: 1 })
    expect(performance.now() - asked).toBeLessThan(20_000)
  })
})

describe.concurrent("publishing", () => {
  test("a job that made nothing gives way to the corrected one of the same output, and to no other", async () => {
    const wrong = { name: "way", spec: { modelName: "wrong" }, output: "out", tasks: tasksOf(3) }
    await publishJob(connection, wrong)
    const right = { ...wrong, spec: { modelName: "right" }, tasks: tasksOf(2) }
    const elsewhere = right.tasks.map((task) => ({ ...task, output: task.output.replace("out", "elsewhere") }))
    await expect(publishJob(connection, { ...right, output: "elsewhere", tasks: elsewhere })).rejects.toThrow(
      "its output is out there and elsewhere here",
    )
    const notes: string[] = []
    const again = await publishJob(connection, { ...right, onNote: (line) => notes.push(line) })
    expect(again).toMatchObject({ attached: false, queued: 2 })
    expect(notes).toEqual(["job way was begun with another specification and has made nothing: it begins again"])
    expect(await readJob(again.job)).toMatchObject({ spec: { modelName: "right" }, shards: 2 })
    expect(await publishJob(connection, right)).toMatchObject({ attached: true, queued: 0 })
  })

  test("may be repeated: only what nothing is known of is queued", async () => {
    const options = { name: "again", spec: { stage: "embed" }, output: "out", tasks: tasksOf(20) }
    const [one, two] = await Promise.all([publishJob(connection, options), publishJob(connection, options)])
    expect([one.attached, two.attached].sort()).toEqual([false, true])
    expect(await queuedIndices(one.job)).toEqual(new Set(options.tasks.map(({ index }) => index)))
    const leave = new AbortController()
    const { summary } = await work(
      "again",
      runnerOf(async ({ index }) => {
        if (index === 4) leave.abort()
        return {}
      }),
      { leave: leave.signal },
    )
    expect(await summary).toMatchObject({ done: 5 })
    expect(await publishJob(connection, options)).toMatchObject({ attached: true, queued: 0 })
    expect((await queuedIndices(one.job)).size).toBe(15)
    await removeJob(one.job)
    expect(await publishJob(connection, options)).toMatchObject({ attached: false, queued: 20 })
  })

  test("under a name that is taken says what differs", async () => {
    const spec = { stage: "embed", options: { views: 30, teachers: ["a", "b"] } }
    await publishJob(connection, { name: "spec", spec, output: "out", tasks: tasksOf(2) })
    const leave = new AbortController()
    const { summary } = await work(
      "spec",
      runnerOf(async () => {
        leave.abort()
        return {}
      }),
      { leave: leave.signal },
    )
    expect(await summary).toMatchObject({ done: 1 })
    const other = { options: { teachers: ["a", "b"], views: 10 }, stage: "embed", bfloat16: true }
    await expect(
      publishJob(connection, { name: "spec", spec: other, output: "out", tasks: tasksOf(2) }),
    ).rejects.toThrow(
      "job spec was begun with another specification: bfloat16 is not set there and true here; options.views is 30 there and 10 here",
    )
    await expect(publishJob(connection, { name: "spec", spec, output: "out", tasks: tasksOf(3) })).rejects.toThrow(
      "its shards are others: 2 there and 3 here",
    )
    const sameInOtherOrder = { options: { teachers: ["a", "b"], views: 30 }, stage: "embed" }
    expect(
      await publishJob(connection, { name: "spec", spec: sameInOtherOrder, output: "out", tasks: tasksOf(2) }),
    ).toMatchObject({
      attached: true,
    })
    await expect(publishJob(connection, { name: "a.b", spec, output: "out", tasks: [] })).rejects.toThrow(
      '"a.b" is not a name for a job',
    )
  })
})

test("the status tells shards, workers and the time left", async () => {
  await publishJob(connection, { name: "status", spec: {}, output: "out", tasks: tasksOf(10), policy: { maxTries: 1 } })
  const job = (await findJob(connection, "status"))!
  const leave = new AbortController()
  const runner = runnerOf(async ({ index }, { onProgress }) => {
    if (index === 2) throw new UserError("in/2: empty")
    await sleep(100)
    onProgress?.(10)
    if (index > 3) await until(() => leave.signal.aborted)
    return {}
  }, 2)
  const { summary } = await work("status", runner, { name: "gpu 7", leave: leave.signal })
  await until(async () => {
    const { workers, done } = await jobStatus(job)
    // The one before them may be done and still be told of.
    const waiting = workers.flatMap(({ shards }) => shards).filter(({ index, samples }) => index > 3 && samples === 10)
    return done === 3 && waiting.length === 2
  })
  const status = await jobStatus(job)
  expect(status).toMatchObject({
    shards: 10,
    queued: 4,
    inFlight: 2,
    done: 3,
    samples: 30,
    bytes: 300,
    dropped: 0,
    stopped: null,
  })
  expect(status.parked).toMatchObject([{ reason: "in/2: empty" }])
  expect(status.workers).toMatchObject([{ pid: process.pid, slots: 2, shards: [{ samples: 10 }, { samples: 10 }] }])
  expect(status.workers[0]!.id).toMatch(/^gpu-7-\d+-/)
  expect(status.secondsLeft).toBeCloseTo(60 / status.samplesPerSecond)
  leave.abort()
  expect(await summary).toMatchObject({ done: 5 })
  expect((await jobStatus(job)).workers).toEqual([])
  expect(await jobNames(connection)).toContain("status")
  await expect(findJob(connection)).rejects.toThrow(/the server has \d+ jobs: .*status/)
})

describe("one line says", () => {
  const dialUrl = async (url: string) => connectNats(await natsSettings(url, {}), "test")

  test("that there is no server", async () => {
    await expect(dialUrl("nats://secret@127.0.0.1:1")).rejects.toThrow(/^no NATS server answers at 127.0.0.1:1: /)
  })

  test("that the server has no JetStream", async () => {
    await using plain = await NatsServer.start([])
    await expect(dialUrl(plain.url)).rejects.toThrow(/^the NATS server at 127.0.0.1:\d+ runs without JetStream$/)
  })

  test("that the server wants a token", async () => {
    await using guarded = await NatsServer.start(["--auth", "secret"])
    await expect(dialUrl(guarded.url)).rejects.toThrow(/refuses the credentials$/)
    await expect(dialUrl(guarded.url.replace("//", "//secret@"))).rejects.toThrow(/runs without JetStream$/)
  })

  test("that the server is too old", async () => {
    const old = createServer((socket) => {
      socket.write('INFO {"server_id":"x","version":"2.2.6","proto":1,"max_payload":1048576,"headers":true}\r\n')
      socket.on("data", (data) => String(data).includes("PING") && socket.write("PONG\r\n")).on("error", () => {})
    })
    await new Promise<void>((resolve) => old.listen(0, "127.0.0.1", resolve))
    const { port } = old.address() as { port: number }
    await expect(dialUrl(`127.0.0.1:${port}`)).rejects.toThrow(/is version 2.2.6; 2.9 is the oldest that works$/)
    await new Promise((resolve) => old.close(resolve))
  })
})
