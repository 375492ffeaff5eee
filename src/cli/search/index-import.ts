/** mobileclip index import */
import { type Command, Option } from "commander"
import { counted } from "../../core/counted.ts"
import { type ImportOptions, type ImportResult, importIndex } from "../../search/exchange/import/import-index.ts"
import { parsePathPrefix } from "../../search/exchange/import/path-map.ts"
import { captionNames, pathNames, vectorNames } from "../../search/exchange/sources/source.ts"
import { indexCommand } from "../../search/store/index-command.ts"
import { type CommandContext, sameCommand } from "../context.ts"
import { progressOption, repeated, threadsOption } from "../options.ts"
import { type ProgressMode, progressReporter } from "../progress.ts"
import { indexOption } from "./index-option.ts"
import { requireAllRead } from "./unread-files.ts"

type Options = Omit<ImportOptions, "map"> & {
  readonly index: string
  readonly map?: readonly string[]
  readonly progress: ProgressMode
  readonly json?: true
}

const more = `
Examples:
  mobileclip index import vectors --index photos.index                        what \`mobileclip embed --orientation apply\` wrote
  mobileclip index import img.npy --table img.parquet --index DIR --model MODEL
  mobileclip index import ~/.local/share/rclip/db.sqlite3 --index DIR --model MODEL
  mobileclip index import immich-db-backup.sql.gz --index DIR --model MODEL --map /usr/src/app/upload=/mnt/photos
  mobileclip index import vectors.jsonl --index DIR --same-model --check      compares, and writes nothing

Vectors are taken over where the source says that the index's model made them, or --same-model does and 16 pictures that are
encoded again (or up to 31) agree. Other pictures are encoded, where their files are here. The same command goes on after Ctrl-C or a crash.

Relative paths are those below the folder of the source, or below DIR by --map .=DIR. Read are, in JSON lines and parquet, paths that are
called ${pathNames.join(", ")};
captions that are called ${captionNames.join(", ")}; and in JSON lines vectors that are called ${vectorNames.join(" or ")}.
`

export function registerImport(command: Command, context: CommandContext): void {
  command
    .command("import")
    .description("add pictures, and vectors of the same model, of another program's index")
    .argument("<source>", "clip-retrieval's folder, .npy, JSONL, rclip's db.sqlite3, or Immich's backup")
    .addOption(indexOption())
    .option("--model <model>", "for a new index: whatever `classify` takes")
    .option("--table <file>", "the parquet file that belongs to a .npy file")
    .option("--path-column <name>", "of a parquet file: the pictures' paths")
    .option(
      "--map <from=to>",
      "what the beginning of paths is here, or . for relative ones; may be given again",
      repeated,
    )
    .option("--root <dir>", "the folder that the pictures are below (default: the deepest that all are in)")
    .option("--same-model", "the index's model made the vectors: take them over if a sample agrees")
    .option("--check", "compare a sample, say what would be done, and write nothing")
    .addOption(threadsOption())
    .addOption(new Option("--json", "print what was done as JSON"))
    .addOption(progressOption())
    .addHelpText("after", more)
    .action((source: string, options: Options, command: Command) => run(source, options, command, context))
}

async function run(source: string, given: Options, command: Command, context: CommandContext): Promise<void> {
  const { writeOut, writeErr } = command.configureOutput()
  const { index, map = [], progress, json, ...options } = given
  const say = (line: string) => writeErr?.(`${line}\n`)
  const result = await importIndex(index, source, {
    ...options,
    ...{ map: map.map(parsePathPrefix), startProgress: progressReporter(progress), onStage: say, onNote: say },
    signal: context.abortOnInterrupt("stopping after the current pictures", sameCommand(context.argv)),
  })
  writeOut?.(json ? `${JSON.stringify(result, null, 2)}\n` : textOf(result, options.check === true))
  requireAllRead(result, `: ${indexCommand(index, "status")} tells why`)
}

function textOf(result: ImportResult, isCheck: boolean): string {
  const { kind, pictures, vectors, model, added, known, encoded, missing, leftOut } = result
  const lines = [
    `${kind}: ${counted(pictures, "picture")}; vectors ${vectors.reused ? "are taken over" : "are not taken over"}: ${vectors.reason}`,
    `${added} added (${encoded} encoded by ${model}, ${missing} whose file is not here), ${known} were there, ${leftOut} left out`,
  ]
  return lines
    .slice(0, isCheck ? 1 : 2)
    .join("\n")
    .concat("\n")
}
