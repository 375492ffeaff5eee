/** What `/metrics` says, in Prometheus' text form: requests, queues, batches, the cache and the processes of each model. */
import { Counter, Gauge, Histogram, Registry } from "prom-client"
import type { Models } from "../engine/models.ts"

/** Seconds: a text takes some 20 ms, a full queue many seconds. */
const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

export class Metrics {
  private readonly registry = new Registry()
  private readonly requests = new Counter({
    name: "mobileclip_requests_total",
    help: "Requests that were answered",
    labelNames: ["route", "status"],
    registers: [this.registry],
  })
  private readonly seconds = new Histogram({
    name: "mobileclip_request_seconds",
    help: "From a request's head to the end of its answer",
    labelNames: ["route"],
    buckets,
    registers: [this.registry],
  })

  constructor(models: Models) {
    for (const [name, help, values] of modelMetrics(models)) {
      const gauge: Gauge = new Gauge({
        ...{ name: `mobileclip_${name}`, help, labelNames: ["model", "kind"], registers: [this.registry] },
        async collect() {
          gauge.reset()
          for (const [model, kind, value] of await values()) gauge.set({ model, kind }, value)
        },
      })
    }
  }

  /** @param route as it was declared, so that foreign paths make no series of their own */
  record(route: string, status: number, seconds: number): void {
    this.requests.inc({ route, status: String(status) })
    this.seconds.observe({ route }, seconds)
  }

  text(): Promise<string> {
    return this.registry.metrics()
  }

  get contentType(): string {
    return this.registry.contentType
  }
}

type Values = [model: string, kind: string, value: number][]

function modelMetrics(models: Models): [name: string, help: string, values: () => Promise<Values>][] {
  const each = (of: (engine: Engine, name: string) => Values | Promise<Values>) => async () =>
    (await Promise.all([...(await models.open())].map(([name, engine]) => of(engine, name)))).flat()
  const queues = (of: (queue: Engine["texts"] | Engine["pictures"]) => number) =>
    each(({ texts, pictures }, name) => [
      [name, "texts", of(texts)],
      [name, "pictures", of(pictures)],
    ])
  return [
    ["waiting", "Texts and pictures that wait for a tower", queues(({ waiting }) => waiting)],
    [
      "computed",
      "Texts and pictures that were computed since the model was opened",
      queues(({ counts }) => counts.items),
    ],
    ["batches", "Batches that they were computed in", queues(({ counts }) => counts.batches)],
    ["refused", "Texts and pictures that were refused because too many waited", queues(({ counts }) => counts.refused)],
    ["cache", "Vectors that were known, and that were not", each((_, name) => cacheValues(models, name))],
    ["process_ends", "Processes of a model that died, and that were replaced", each(processValues)],
    ["process_bytes", "Resident memory of a model's process", each(memoryValues)],
  ]
}

type Engine = Awaited<ReturnType<Models["open"]>> extends ReadonlyMap<string, infer Each> ? Each : never

function cacheValues(models: Models, name: string): Values {
  const { hits, misses } = models.cacheCounts(name)
  return [
    [name, "hits", hits],
    [name, "misses", misses],
  ]
}

function processValues({ process: { counts } }: Engine, name: string): Values {
  return [
    [name, "died", counts.deaths],
    [name, "replaced", counts.replaced],
  ]
}

async function memoryValues({ process }: Engine, name: string): Promise<Values> {
  return [[name, "resident", await process.residentBytes()]]
}
