/** Downloads as the commands show them: the licence, progress in megabytes, notes, and at the end the path. */

import type { Progress } from "../core/progress.ts"
import { licenseNotice } from "../hub/license.ts"
import { type PullOptions, type PullResult, type PullWeights, pull } from "../hub/pull.ts"
import type { License } from "../hub/released.ts"
import { ownCacheDir } from "../native/own-cache.ts"
import { type ReleaseFigures, recommendations, releaseFigures } from "../weights/release-figures.ts"
import { progressReporter } from "./progress.ts"
import { type Column, textTable } from "./table.ts"

export interface PullCommandOptions extends Pick<PullOptions, "revision" | "cacheDir" | "token" | "file" | "force"> {
  readonly list?: true
  readonly json?: true
  readonly quiet?: true
}

interface Output {
  writeOut?(text: string): void
  writeErr?(text: string): void
}

export async function runPull(
  name: string,
  { json, list, ...options }: PullCommandOptions,
  signal: AbortSignal,
  { writeOut, writeErr }: Output,
): Promise<void> {
  const result = await pullShown(name, { ...options, signal }, writeErr)
  writeOut?.(`${json ? JSON.stringify(result, null, 2) : result.path}\n`)
}

/** `pull` with progress, notes and the licence on stderr. */
export function shownPull(writeErr: Output["writeErr"]): PullWeights {
  return (name, options) => pullShown(name, options, writeErr)
}

async function pullShown(
  name: string,
  { quiet, ...options }: Omit<PullCommandOptions, "json" | "list"> & Pick<PullOptions, "select" | "signal">,
  writeErr: Output["writeErr"],
): Promise<PullResult> {
  const progress = megabyteProgress(name, quiet === true || Boolean(process.env.HF_HUB_DISABLE_PROGRESS_BARS))
  const result = await pull(name, {
    ...options,
    onProgress: progress.update,
    onNote: (text) => quiet || writeErr?.(`${text}\n`),
    async onLicense(license: License, repo: string) {
      const { text, first } = await licenseNotice(license, repo, ownCacheDir(process.env))
      if (first || !quiet) writeErr?.(text)
    },
  })
  progress.done()
  return result
}

/** Begins when the size is known; shows nothing when nothing is downloaded. */
function megabyteProgress(label: string, quiet: boolean) {
  const start = progressReporter(quiet ? "none" : "auto")
  let progress: Progress | undefined
  return {
    update(done: number, total: number) {
      progress ??= start(label, Math.ceil(total / 1e6), { unit: "MB" })
      progress.update(Math.ceil(done / 1e6))
    },
    done: () => progress?.done(),
  }
}

/** What can be pulled by name, as a table with a recommendation, or JSON. */
export function releasedText(json?: true): string {
  const figures = releaseFigures()
  if (json) return `${JSON.stringify(figures, null, 2)}\n`
  return `${textTable(listColumns, figures.map(listRow))}\n\n${recommendation()}\n`
}

const listColumns: readonly Column[] = [
  ...["name", "repository", "contents", "licence"].map((title) => ({ title })),
  ...["fp32 MB", "fp16 MB"].map((title) => ({ title, align: "right" as const })),
]

function listRow({ name, repo, contents, terms, megabytes: { fp32, fp16 } }: ReleaseFigures): string[] {
  const license = terms ? `${terms.use} (${terms.name.replace(/ Machine Learning.*| License/, "")})` : "see there"
  return [name, repo, contents, license, fp32.toFixed(0), fp16.toFixed(0)]
}

/** Released weights that products may use, and what follows for models trained from them. */
export function freeText(releases: readonly ReleaseFigures[]): string {
  const rows = releases.map(({ name, repo, terms, megabytes, accuracy }) => [
    ...[name, repo, terms?.name ?? "", megabytes.fp32.toFixed(0)],
    ...[accuracy?.imagenet.toFixed(1) ?? "-", accuracy?.average38.toFixed(1) ?? "-"],
  ])
  return `${textTable(freeColumns, rows)}\n\n${freeNotes}`
}

const freeColumns: readonly Column[] = [
  ...["name", "repository", "licence"].map((title) => ({ title })),
  ...["fp32 MB", "IN-1k", "avg"].map((title) => ({ title, align: "right" as const })),
]

const freeNotes = `Licences as documented; the hub's tag decides when weights are pulled. Each asks you to keep its notice.
What you train from nothing has your own licence (train --license NAME records it). What you tune, convert or distill from
Apple's weights, also from embeddings that they made, stays under Apple's research licence. Data do not say whose embeddings
they hold: there you have to know.`

/** Which to choose, in a few lines. */
export function recommendation(): string {
  const chosen = recommendations()
  const width = Math.max(...chosen.map(({ name }) => name.length))
  const lines = chosen.map(({ name, recommendedFor }) => `  ${name.padEnd(width)}  ${recommendedFor}`)
  return ["Which to choose (MB: of the converted weights; a download is about as large as fp32):", ...lines].join("\n")
}
