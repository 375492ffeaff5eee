/**
 * What `/metrics` says, in Prometheus' text form: requests; queues, batches, the cache and the processes of each model; and those of
 * the index. A process that is opened just now holds no answer up.
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client"
import type { Models } from "../engine/models.ts"
import type { ModelEngine } from "../engine/served-model.ts"
import type { ServedIndex } from "../search/served-index.ts"

/** Seconds: a text takes some 20 ms, a full queue many seconds. */
const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** A request that was answered. It has nothing of what was asked. */
export interface RequestRecord {
  /** Null where the request broke off, or broke, before it said one. */
  readonly method: string | null
  /** As it was declared, so that foreign paths make no series of their own; "*" where there is none. */
  readonly route: string
  readonly status: number
  readonly milliseconds: number
}

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

  constructor(models: Models, index: ServedIndex | null) {
    for (const metric of modelMetrics(models)) this.addGauge(["model", "kind"], metric)
    if (!index) return
    for (const metric of indexMetrics(index)) this.addGauge(["kind"], metric)
    const seconds = new Histogram({
      name: "mobileclip_index_seconds",
      help: "That the index's process took for an answer, those that lost their process included",
      labelNames: ["kind"],
      buckets,
      registers: [this.registry],
    })
    index.onAnswer = (kind, took) => seconds.observe({ kind }, took)
  }

  private addGauge(labelNames: string[], [name, help, values]: Metric): void {
    const gauge: Gauge = new Gauge({
      ...{ name: `mobileclip_${name}`, help, labelNames, registers: [this.registry] },
      collect() {
        gauge.reset()
        for (const [labels, value] of values()) gauge.set(labels, value)
      },
    })
  }

  record({ route, status, milliseconds }: RequestRecord): void {
    this.requests.inc({ route, status: String(status) })
    this.seconds.observe({ route }, milliseconds / 1000)
  }

  text(): Promise<string> {
    return this.registry.metrics()
  }

  get contentType(): string {
    return this.registry.contentType
  }
}

/** Values by their labels. */
type Values = [labels: Record<string, string>, value: number][]
type Metric = [name: string, help: string, values: () => Values]

function modelMetrics(models: Models): Metric[] {
  const each = (of: (engine: ModelEngine, name: string) => Record<string, number>) => () =>
    [...models.open()].flatMap(([model, engine]) => byKind(of(engine, model), { model }))
  const queues = (of: (queue: ModelEngine["texts" | "pictures"]) => number) =>
    each(({ texts, pictures }) => ({ texts: of(texts), pictures: of(pictures) }))
  return [
    ["waiting", "Texts and pictures that wait for a tower", queues(({ waiting }) => waiting)],
    [
      "computed",
      "Texts and pictures that were computed since the model was opened",
      queues(({ counts }) => counts.items),
    ],
    ["batches", "Batches that they were computed in", queues(({ counts }) => counts.batches)],
    ["refused", "Texts and pictures that were refused because too many waited", queues(({ counts }) => counts.refused)],
    ["cache", "Vectors that were known, and that were not", each((_, name) => ({ ...models.cacheCounts(name) }))],
    ["process_ends", "Processes of a model that died, and that were replaced", each(({ process }) => endsOf(process))],
    ["process_bytes", "Resident memory of a model's process", each(({ process }) => memoryOf(process))],
  ]
}

function indexMetrics({ process, searches, thumbnails }: ServedIndex): Metric[] {
  const queues = (of: (queue: ServedIndex["searches"]) => number) => () =>
    byKind({ searches: of(searches), thumbnails: of(thumbnails) })
  return [
    ["index_waiting", "Searches and thumbnails that wait for the index's process", queues(({ waiting }) => waiting)],
    ["index_begun", "Searches and thumbnails that it was given", queues(({ counts }) => counts.items)],
    ["index_refused", "Those that were refused because too many waited", queues(({ counts }) => counts.refused)],
    ["index_process_ends", "Processes that died, and that were replaced", () => byKind(endsOf(process))],
    ["index_process_bytes", "Resident memory of the index's process", () => byKind(memoryOf(process))],
  ]
}

function byKind(values: Readonly<Record<string, number>>, labels: Record<string, string> = {}): Values {
  return Object.entries(values).map(([kind, value]) => [{ ...labels, kind }, value])
}

type AnyProcess = Pick<ModelEngine["process"], "counts" | "residentBytes">

function endsOf({ counts }: AnyProcess): Record<string, number> {
  return { died: counts.deaths, replaced: counts.replaced }
}

function memoryOf({ residentBytes }: AnyProcess): Record<string, number> {
  return { resident: residentBytes }
}
