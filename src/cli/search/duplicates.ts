/** `search --duplicates` */
import { existsSync } from "node:fs"
import { basename } from "node:path"
import { counted } from "../../core/counted.ts"
import { UserError } from "../../core/errors.ts"
import { printable } from "../../core/printable.ts"
import { type DuplicatePicture, type Duplicates, worseFiles } from "../../search/query/duplicates.ts"
import { parseFilters } from "../../search/query/parse/parse-filters.ts"
import { SearchIndex } from "../../search/search-index.ts"
import type { CommandContext } from "../context.ts"
import { progressReporter } from "../progress.ts"
import type { SearchCommand, Writing } from "./results.ts"

export async function writeDuplicates(
  given: SearchCommand,
  to: Writing & CommandContext,
  say: (line: string) => void,
): Promise<void> {
  const { index: folder, model, threads, threshold, json, print0, progress, sheet, pictures } = given
  if (sheet !== undefined || pictures !== undefined)
    throw new UserError("groups of duplicates are not drawn", "leave out --sheet and --pictures")
  await using index = await SearchIndex.open(folder, { model, threads })
  const signal = to.abortOnInterrupt("stopping")
  const found = await index.duplicates({
    ...{ threshold, threads, filters: parseFilters(given), signal },
    ...{ onProgress: meterOf("duplicates", progress), onSharpness: meterOf("sharpness", progress) },
  })
  if (print0)
    return to.writeUnchanged(
      worseFiles(found.groups)
        .map((path) => `${path}\0`)
        .join(""),
    )
  if (json) return to.writeOut?.(`${JSON.stringify(found, null, 2)}\n`)
  to.writeOut?.(groupsText(found))
  const files = found.groups.reduce(
    (sum, { best, others }) => sum + [best, ...others].flatMap(({ paths }) => paths).length,
    0,
  )
  const groups = `${counted(found.groups.length, "group")} of ${counted(files, "file")}`
  say(`${groups} among ${counted(found.searched, "picture")}`)
}

/** Shown from the first step on, and ended by the last one, which may come twice. */
function meterOf(label: string, mode: SearchCommand["progress"]): (done: number, total: number) => void {
  const started = performance.now()
  let meter: ReturnType<ReturnType<typeof progressReporter>> | null = null
  let isEnded = false
  return (done, total) => {
    if (isEnded) return
    const seconds = (performance.now() - started) / 1000
    meter ??= progressReporter(mode)(label, total, { unit: "pictures", seconds })
    meter.update(done)
    isEnded = done === total
    if (isEnded) meter.done()
  }
}

function groupsText({ groups }: Duplicates): string {
  return groups
    .map(({ best, others }, i) =>
      [`group ${i + 1}`, ...linesOf(best, "best"), ...others.flatMap((each) => linesOf(each, ""))].join("\n"),
    )
    .map((text) => `${text}\n`)
    .join("")
}

function linesOf({ paths, cosine, width, height }: DuplicatePicture, mark: string): string[] {
  return paths.map((path, i) => {
    const what = i === 0 ? mark || cosine.toFixed(3) : `same as ${printable(basename(paths[0]!))}`
    return `  ${printable(path)}  ${width}x${height}  ${what}${existsSync(path) ? "" : "  [missing]"}`
  })
}
