/** What the proof on a GPU runs, in its order: commands of their own, each with its goal and its time. */
import { fileURLToPath } from "node:url"

/** A line of the table. */
export interface Result {
  readonly what: string
  readonly value: number | string
  readonly unit?: string
  /** Absent: it is only measured. */
  readonly goal?: { readonly atLeast: number } | { readonly atMost: number }
}

export interface Part {
  readonly name: string
  /** Seconds after which it is ended. */
  readonly seconds: number
  readonly program: string
  readonly args: readonly string[]
  /** What its output says, beside what parts before it gave, by name. */
  read(output: string, before: ReadonlyMap<string, Json>): readonly Result[]
}

export type Json = Readonly<Record<string, unknown>>

export interface ProofOptions {
  readonly device: "cpu" | "cuda"
  /** Tiny models and batches: whether all of it runs, not how fast. */
  readonly tiny: boolean
  /** Folder of golden data. */
  readonly golden: string
  readonly python: string
}

/** Times as fast as open_clip's eager trainer with its best switches. */
const overOpenClip = 1.15

export function partsOf(options: ProofOptions): Part[] {
  return [
    golden(options),
    ...models(options),
    float16(options),
    wholeBatch(options),
    graph(options),
    adamW(options),
    embed(options),
  ]
}

/** The last line of a program's output that is an object of JSON. */
export function lastJson(output: string): Json {
  const line = output.split("\n").findLast((text) => text.startsWith("{") && text.endsWith("}"))
  if (!line) throw new Error("it printed no result")
  return JSON.parse(line)
}

// ------------------------------------------------------------------------------------------------------------- parts

function golden({ device, tiny, golden: folder }: ProofOptions): Part {
  return {
    ...{ name: "golden data", seconds: 90 },
    ...node("../../test/golden.js", [tiny ? `${folder}/datacompdr` : folder, "--device", device]),
    read(output) {
      const [, passed, failed] = /(\d+) passed, (\d+) failed/.exec(output) ?? []
      if (!passed) throw new Error("it printed no count")
      return [
        { what: `failed of ${Number(passed) + Number(failed)} checks`, value: Number(failed), goal: { atMost: 0 } },
      ]
    },
  }
}

/** B and S2 in chunks: open_clip's trainer, ours on the same step, ours with teachers and two captions. */
function models(options: ProofOptions): Part[] {
  return (["B", "S2"] as const).flatMap((name) => [
    openClip(options, name),
    step(
      options,
      `${name}, plain`,
      40,
      ["--model", modelName(options, name), "--objective", "plain"],
      (result, before) => {
        const theirs = before.get(`${name}, open_clip`)?.imagesPerSecond as number | undefined
        const ratio = theirs === undefined ? "open_clip did not run" : imagesPerSecond(result) / theirs
        return [rate(result), { what: "times open_clip's images/s", value: ratio, goal: { atLeast: overOpenClip } }]
      },
    ),
    step(options, `${name}, reinforced`, 45, ["--model", modelName(options, name)], (result) => [rate(result)]),
  ])
}

function openClip({ device, tiny, python }: ProofOptions, name: string): Part {
  const script = fileURLToPath(new URL("../../../bench/pytorch/open_clip_step.py", import.meta.url))
  const sizes = tiny ? ["--batch", "4", "--chunk", "2", "--steps", "1"] : ["--steps", "4"]
  return {
    ...{ name: `${name}, open_clip`, seconds: 45, program: python },
    args: [script, "--model", `MobileCLIP2-${name}`, "--channels-last", "--benchmark", "--device", device, ...sizes],
    read: (output) => [rate(lastJson(output))],
  }
}

function float16(options: ProofOptions): Part {
  const args = ["--model", modelName(options, "B"), "--precision", options.device === "cpu" ? "bfloat16" : "float16"]
  return step(options, "B, float16", 35, [...args, "--objective", "plain"], (result, before) => [
    rate(result),
    { what: "times bf16's images/s", value: timesOf("B, plain", result, before) },
  ])
}

/** All pairs at once: nothing is computed twice. */
function wholeBatch(options: ProofOptions): Part {
  const args = ["--model", modelName(options, "B"), "--objective", "plain", "--chunk", options.tiny ? "4" : "1024"]
  return step(options, "B, plain, one chunk", 35, args, (result) => [
    rate(result),
    { what: "share of the bf16 peak", value: result.shareWithoutRecomputation as number, goal: { atLeast: 0.4 } },
    { what: "peak memory", value: result.peakMemoryGiB as number, unit: "GiB" },
  ])
}

function graph(options: ProofOptions): Part {
  const args = ["--model", modelName(options, "B"), "--objective", "plain", "--graph"]
  return step(options, "B, plain, as a graph", 40, args, (result, before) => [
    rate(result),
    { what: "times the images/s without", value: timesOf("B, plain", result, before) },
    {
      what: "first loss against the one without",
      value: firstLossApart("B, plain", result, before),
      goal: { atMost: 0.02 },
    },
  ])
}

function adamW({ device, tiny }: ProofOptions): Part {
  const args = ["--device", device, "--model", tiny ? "tiny" : "mobileclip2-b", "--rounds", tiny ? "3" : "21", "--json"]
  return {
    ...{ name: "AdamW, B", seconds: 25 },
    ...node("../adamw.js", args),
    read(output) {
      const { foreach, fused, apart } = lastJson(output) as Record<string, number>
      return [
        { what: "one pass over eight", value: fused! / foreach!, goal: { atMost: 1 } },
        { what: "largest difference of a parameter, relative", value: apart!, goal: { atMost: 1e-5 } },
      ]
    },
  }
}

/** The papers' teachers are of this size. */
function embed({ device, tiny }: ProofOptions): Part {
  const sizes = tiny
    ? ["--model", "tiny", "--shards", "2", "--samples", "2", "--views", "3", "--rounds", "1"]
    : ["--model", "vit-l-14", "--shards", "8", "--samples", "48", "--rounds", "3"]
  return {
    ...{ name: "reinforce embed", seconds: 95 },
    ...node("../reinforce-embed.js", ["--device", device, "--shared", "--json", ...sizes]),
    read(output) {
      const { overTeacher, samplesPerSecond } = lastJson(output) as Record<string, number>
      return [
        { what: "samples/s", value: samplesPerSecond! },
        { what: "of its teacher's bare rate", value: overTeacher!, goal: { atLeast: 0.9 } },
      ]
    },
  }
}

// ------------------------------------------------------------------------------------------------------------- steps

type Reader = (result: Json, before: ReadonlyMap<string, Json>) => readonly Result[]

function step(
  { device, tiny }: ProofOptions,
  name: string,
  seconds: number,
  args: readonly string[],
  read: Reader,
): Part {
  const sizes = tiny ? ["--batch", "4", "--chunk", "2", "--steps", "1"] : ["--steps", "5"]
  return {
    ...{ name, seconds },
    // What a part says itself comes last, and counts.
    ...node("../cuda-step.js", ["--device", device, "--json", ...sizes, ...args]),
    read: (output, before) => read(lastJson(output), before),
  }
}

function node(module: string, args: readonly string[]) {
  return { program: process.execPath, args: [fileURLToPath(new URL(module, import.meta.url)), ...args] }
}

const modelName = ({ tiny }: ProofOptions, name: string) => (tiny ? "tiny" : `mobileclip2-${name.toLowerCase()}`)

const imagesPerSecond = (result: Json) => result.imagesPerSecond as number

const rate = (result: Json): Result => ({ what: "images/s", value: imagesPerSecond(result) })

function timesOf(part: string, result: Json, before: ReadonlyMap<string, Json>): number | string {
  const other = before.get(part)
  return other ? imagesPerSecond(result) / imagesPerSecond(other) : `"${part}" did not run`
}

function firstLossApart(part: string, result: Json, before: ReadonlyMap<string, Json>): number | string {
  const other = before.get(part)
  if (!other) return `"${part}" did not run`
  const [first, usual] = [result, other].map(({ losses }) => (losses as number[])[0]!) as [number, number]
  return Math.abs(first - usual) / Math.abs(usual)
}
