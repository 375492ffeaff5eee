/** mobileclip index status */
import type { Command } from "commander"
import { counted } from "../../core/counted.ts"
import { indexCommand, repairHint } from "../../search/store/index-command.ts"
import type { Generation } from "../../search/store/index-store.ts"
import { type IndexStatus, indexStatus } from "../../search/upkeep/status.ts"
import type { CommandContext } from "../context.ts"
import { textTable } from "../table.ts"
import { indexOption } from "./index-option.ts"

interface Options {
  readonly index: string
  readonly recall?: true
  readonly failed?: true
  readonly json?: true
}

export function registerStatus(command: Command, _context: CommandContext): void {
  command
    .command("status")
    .description("what an index has, how far it is, and who writes it")
    .addOption(indexOption())
    .option("--recall", "measure what a search by binary codes finds, where there are codes")
    .option("--failed", "print each file that could not be read, with its reason")
    .option("--json", "print one JSON object, with each file that could not be read")
    .action(async ({ index, recall, failed, json }: Options, command: Command) => {
      const status = await indexStatus(index, { recall })
      command
        .configureOutput()
        .writeOut?.(`${json ? JSON.stringify(status, null, 2) : failed ? failedText(status) : statusText(status)}\n`)
    })
}

function failedText({ failed }: IndexStatus): string {
  const lines = failed.map(({ path, reason }) => (reason.includes(path) ? reason : `${path}: ${reason}`))
  return lines.length > 0 ? lines.join("\n") : "no file failed"
}

function statusText(status: IndexStatus): string {
  const { pictures, files, copies, unused, excluded, active, building, sizes, background, codes, writer } = status
  const rows: [string, string][] = [
    ["index", status.folder],
    ["pictures", `${pictures} in ${counted(files, "file")} (${counted(copies, "copy", "copies")})`],
    ["unused rows", `${unused}${unused > 0 ? `: ${indexCommand(status.folder, "compact")} removes them` : ""}`],
    ["forgotten paths", String(excluded)],
    ...status.roots.flatMap(folderRows),
    ["model", active ? `${active.model} (${active.source}), ${active.dim} values` : "none yet"],
    ...(active ? [["read with", settingsText(active.settings)] as [string, string]] : []),
    ...status.missing.map((path): [string, string] => ["missing", `${path}: ${repairHint(status.folder)}`]),
    ...(building
      ? [["migration", `to ${building.model}: ${building.rows} of ${building.total}`] as [string, string]]
      : []),
    [
      "sizes",
      `database ${megabytes(sizes.database)}, vectors ${megabytes(sizes.vectors)}, codes ${megabytes(sizes.codes)}`,
    ],
    ["background", `${counted(background.prompts, "caption")}, ${counted(background.pictures, "picture")}`],
    [
      "codes",
      `${counted(codes.rows, "row")}${recallText("pictures", codes.recall)}${recallText("texts", codes.textRecall)}`,
    ],
    ["writer", writer ? `${writer.command} (process ${writer.pid} on ${writer.host}) since ${writer.since}` : "none"],
    ...status.failures.map(({ reason, count, example }): [string, string] => [
      "failed",
      `${count}: ${reason} (${example})${count > 1 ? "; --failed names all" : ""}`,
    ]),
  ]
  return textTable([{ title: "what" }, { title: "value" }], rows)
}

function folderRows({ path, isThere, walked, exclude, within }: IndexStatus["roots"][number]): [string, string][] {
  const without = (patterns: readonly string[]) => (patterns.length > 0 ? `, without ${patterns.join(" ")}` : "")
  const when = `${isThere ? "" : " (not there now)"}, last walked ${walked ?? "never to the end"}`
  return [
    ["folder", `${path}${when}${without(exclude)}`],
    ...within.map((inner): [string, string] => ["in it", `${inner.path}${without(inner.exclude)}`]),
  ]
}

function settingsText({ orientation, decode, store, mapped }: Generation["settings"]): string {
  return [
    orientation === "apply" ? "orientation applied" : "orientation ignored",
    `${decode} decoding`,
    store === "file" ? "vectors in a file" : `vectors in LanceDB (${store.lancedb})`,
    ...(mapped ? [`mapped from ${mapped.from}, an approximation`] : []),
  ].join(", ")
}

function recallText(of: string, measured: IndexStatus["codes"]["recall"]): string {
  return measured ? `, recall@${measured.k} of ${of} ${measured.recall.toFixed(4)}` : ""
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
