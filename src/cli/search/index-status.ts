/** mobileclip index status */
import type { Command } from "commander"
import { counted } from "../../core/counted.ts"
import { type IndexStatus, indexStatus } from "../../search/upkeep/status.ts"
import type { CommandContext } from "../context.ts"
import { textTable } from "../table.ts"
import { indexOption } from "./index-option.ts"

interface Options {
  readonly index: string
  readonly recall?: true
  readonly json?: true
}

export function registerStatus(command: Command, _context: CommandContext): void {
  command
    .command("status")
    .description("what an index has, how far it is, and who writes it")
    .addOption(indexOption())
    .option("--recall", "measure what a search by binary codes finds, where there are codes")
    .option("--json", "print one JSON object")
    .action(async ({ index, recall, json }: Options, command: Command) => {
      const status = await indexStatus(index, { recall })
      command.configureOutput().writeOut?.(`${json ? JSON.stringify(status, null, 2) : statusText(status)}\n`)
    })
}

function statusText(status: IndexStatus): string {
  const { pictures, files, copies, unused, excluded, active, building, sizes, background, codes, writer } = status
  const rows: [string, string][] = [
    ["index", status.folder],
    ["pictures", `${pictures} in ${counted(files, "file")} (${counted(copies, "copy", "copies")})`],
    ["unused rows", `${unused}${unused > 0 ? ": mobileclip index compact removes them" : ""}`],
    ["forgotten paths", String(excluded)],
    ...status.roots.map(({ path, isThere, walked }): [string, string] => [
      "folder",
      `${path}${isThere ? "" : " (not there now)"}, last walked ${walked ?? "never to the end"}`,
    ]),
    ["model", active ? `${active.model} (${active.source}), ${active.dim} values` : "none yet"],
    ...(active ? [["settings", JSON.stringify(active.settings)] as [string, string]] : []),
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
      `${counted(codes.rows, "row")}${codes.recall ? `, recall@${codes.recall.k} ${codes.recall.recall.toFixed(4)}` : ""}`,
    ],
    ["writer", writer ? `${writer.command} (process ${writer.pid} on ${writer.host}) since ${writer.since}` : "none"],
    ...status.failures.map(({ reason, count, example }): [string, string] => [
      "failed",
      `${count}: ${reason} (${example})`,
    ]),
  ]
  return textTable([{ title: "what" }, { title: "value" }], rows)
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
