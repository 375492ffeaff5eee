/** The report as tables for a README: figures a second beside their ratios, and what both libraries had. */

import type { LatencyReport, LatencyRow } from "../../src/benchmark/latency/latency-report.ts"
import { accuraciesOf } from "../../src/core/family/published.ts"
import { type VariantName, variants } from "../../src/core/family/variants.ts"
import type { Cold } from "./cold.ts"
import type { Group, ModelRun } from "./measure-model.ts"
import type { RunReport } from "./measure-run.ts"
import type { LibraryName } from "./open-library.ts"
import { bestOf, type Entry, ownBatches, timesAsFast } from "./rounds.ts"

export function markdownOf(report: RunReport): string {
  const { machine, options, pictures } = report
  const place = options.oneProcess
    ? "all in one process"
    : "each library in a process of its own, the processes in turn"
  const sections = [
    `${machine.cpu}, ${machine.cores} processors, Node ${machine.node}; medians of ${options.rounds} rounds, ${place}.`,
    `Pictures (${options.pictures}): ${pictures.map(({ name, files, bytes }) => `${files} JPEG files of ${name}, ${(bytes / 1000).toFixed(0)} kB each`).join("; ")}.`,
    ...report.models.flatMap(modelSections),
    ...(report.family ? [familyTable(report.family)] : []),
  ]
  return `${sections.join("\n\n")}\n`
}

function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`
  return [line(titles), `|${titles.map(() => "---").join("|")}|`, ...rows.map(line)].join("\n")
}

// --------------------------------------------------------------------------------------------------------- one model

function modelSections({ model, libraries, images, texts, cold }: ModelRun): string[] {
  return [
    `### ${model}`,
    Object.entries(libraries)
      .map(([name, text]) => `* ${name}: ${text}`)
      .join("\n"),
    speedTable([...images, ...texts]),
    stageTable(images),
    stageNote,
    ...(cold.length > 0 ? [coldTable(cold)] : []),
    agreementLines([...images, ...texts]),
  ]
}

/** One row for whole lists and one for an input after the other. */
function speedTable(groups: readonly Group[]): string {
  const rows = groups.flatMap((group) => {
    const [ours, theirs] = [ownBatches(group.entries), bestOf(group.entries, "transformers.js")]
    const alone = (library: LibraryName) =>
      group.entries.find((entry) => entry.library === library && entry.batch === 1)!
    return [
      [`${group.name}, all`, rate(ours), `${rate(theirs)} (${rangeOf(group.entries)})`, times(ours, theirs)],
      [
        `${group.name}, one by one`,
        rate(alone("mobileclip")),
        rate(alone("transformers.js")),
        times(alone("mobileclip"), alone("transformers.js")),
      ],
    ]
  })
  return table(["a second", "mobileclip", "transformers.js (by batch)", "times as fast"], rows)
}

/** "1: 17.2, 8: 18.0, 16: 17.9" */
function rangeOf(entries: readonly Entry[]): string {
  const theirs = entries.filter(({ library }) => library === "transformers.js")
  return theirs.map((entry) => `${entry.batch}: ${rate(entry)}`).join(", ")
}

const stageNote =
  "The tower alone is one session on all threads, the better of batches of 1 and 8, on pixels that lie ready: the other library's way. Ours opens one for each thread where pictures are many, which takes less, so that what is left of it beside the tower is less than what it takes (`bench/pipeline` measures that)."

/** Where the time goes: the stages alone, the overlap, and the ratio without one tower's time, taken off both. */
function stageTable(groups: readonly Group[]): string {
  const rows = groups.map(({ name, entries, peakBytes }) => {
    const best = (library: LibraryName) => bestOf(entries, library).milliseconds
    const [ours, theirs, tower, decode] = [
      ownBatches(entries).milliseconds,
      best("transformers.js"),
      best("tower alone"),
      best("decode alone"),
    ]
    return [
      name,
      ...[ours, theirs, tower, decode].map((milliseconds) => milliseconds.toFixed(1)),
      (ours / Math.max(tower, decode)).toFixed(2),
      withoutTower(ours - tower, theirs - tower),
      ...[peakBytes.mobileclip, peakBytes["transformers.js"]].map((bytes) =>
        bytes === undefined ? "-" : (bytes / 1e6).toFixed(0),
      ),
    ]
  })
  const titles = [
    "ms a picture",
    "mobileclip",
    "transformers.js",
    "tower alone",
    "decode alone",
    "over the slower stage",
    "times as fast, less the tower",
  ]
  return table([...titles, "mobileclip, peak MB", "transformers.js, peak MB"], rows)
}

/** In words where ours takes no longer than the tower alone: a ratio would have no meaning. */
function withoutTower(ours: number, theirs: number): string {
  return ours <= 0 ? "all hidden" : (theirs / ours).toFixed(1)
}

function coldTable(cold: readonly Cold[]): string {
  const rows = cold.map(({ what, library, run, milliseconds, peakBytes }) => [
    `${what}, ${library}, ${run} run`,
    (milliseconds / 1000).toFixed(2),
    (peakBytes / 1e6).toFixed(0),
  ])
  return table(["from the start of a process to its end", "s", "peak MB"], rows)
}

function agreementLines(groups: readonly Group[]): string {
  const lines = groups.map(({ name, agreement: { least, mean, ofOthers } }) => {
    return `${name} ${least.toFixed(5)} at least, ${mean.toFixed(5)} on average (of different inputs: ${ofOthers.toFixed(2)})`
  })
  return `Cosines of the two libraries' vectors, without what all inputs' have in common: ${lines.join("; ")}.`
}

function rate({ perSecond }: Entry): string {
  return perSecond.toFixed(1)
}

function times(a: Entry, b: Entry): string {
  return timesAsFast(a, b).toFixed(2)
}

// -------------------------------------------------------------------------------------------------------- the family

/** Milliseconds and published accuracy side by side, the fastest image tower first. */
function familyTable({ rows, peakGflops, options }: LatencyReport): string {
  const models = [...new Set(rows.map(({ model }) => model))]
  const row = (model: string, tower: string, batch: number) =>
    rows.find((found) => found.model === model && found.tower === tower && found.batch === batch)
  const largest = Math.max(...options.batches)
  const lines = models
    .toSorted((a, b) => (row(a, "image", 1)?.medianMs ?? 0) - (row(b, "image", 1)?.medianMs ?? 0))
    .map((model) => [
      ...[model, ...cellsOf(row(model, "image", 1))],
      ...(largest > 1 ? cellsOf(row(model, "image", largest)) : []),
      ...cellsOf(row(model, "text", 1)),
      ...accuracyCells(model),
    ])
  const titles = [
    "tower, fp32",
    "picture, ms",
    "of peak",
    ...(largest > 1 ? [`ms in batches of ${largest}`, "of peak"] : []),
    "text, ms",
    "of peak",
    "ImageNet, %",
    "38 datasets, %",
  ]
  return `Towers on ${options.threads} threads; peak: a matrix product's ${peakGflops.toFixed(0)} GFLOP/s, measured beside them; accuracies: published, of the best weights.\n\n${table(titles, lines)}`
}

/** Milliseconds of one input, and the share of the peak. */
function cellsOf(row: LatencyRow | undefined): string[] {
  if (!row) return ["-", "-"]
  const share = row.shareOfPeak === null ? "-" : `${(100 * row.shareOfPeak).toFixed(0)} %`
  return [(row.medianMs / row.batch).toFixed(1), share]
}

function accuracyCells(model: string): string[] {
  const [best] = Object.hasOwn(variants, model) ? accuraciesOf(model as VariantName) : []
  return best ? [best.imagenet.toFixed(1), best.average38.toFixed(1)] : ["-", "-"]
}
