/** mobileclip evaluate pack */
import { dirname, isAbsolute, join, normalize, relative, sep } from "node:path"
import type { Command } from "commander"
import { type Packed, type PackOptions, packDataset, packDefaults } from "../../benchmark/layout/pack.ts"
import { commandLine } from "../../core/shell-quote.ts"
import type { CommandContext } from "../context.ts"
import { PartialSuccess } from "../errors.ts"
import { progressOption, repeated, wholeNumber } from "../options.ts"
import { type ProgressMode, progressReporter } from "../progress.ts"

interface Options extends Pick<PackOptions, "imageColumn" | "captionColumn" | "classColumn"> {
  readonly out: string
  readonly split: string
  readonly samplesPerShard: number
  readonly groupColumn?: readonly string[]
  readonly template?: readonly string[]
  readonly progress: ProgressMode
  readonly json?: true
}

const examples = `
Examples:
  mobileclip evaluate pack photos/test --out data/my/birds       class folders: photos/test/blue_jay/1.jpg, ...
  mobileclip evaluate pack captioned --out data/my/captions      captions beside pictures (x.jpg, x.txt): retrieval
  mobileclip evaluate pack list.csv --out data/my/goods --image-column file --class-column kind --group-column country
  mobileclip evaluate pack pairs.jsonl --out data/my/pairs       {"image": "1.jpg", "captions": ["...", "..."]}: retrieval
  mobileclip evaluate pack photos/train --out data/my/birds --split train    a further split, for a linear probe

The task is what \`mobileclip evaluate --data data --task my/birds\` scores. Class names and prompts are in classnames.txt and
zeroshot_classification_templates.txt beside the shards: edit them, but keep the order of the lines. A picture's bytes stay as
they are. Pictures that cannot be used are left out: failures.jsonl in the split's folder says why (exit code 3).
`

export function register(evaluate: Command, context: CommandContext): void {
  evaluate
    .command("pack")
    .description("pack one's own pictures as a task in the benchmark's layout")
    .argument("<pictures>", "a folder of class folders or of pictures with captions, a CSV, TSV or JSONL file")
    .requiredOption("--out <dir>", "the task's folder, below the root that --data names")
    .option("--split <name>", "the part of the data that these pictures are", packDefaults.split)
    .option("--samples-per-shard <n>", "pictures in a .tar", wholeNumber(1, 100_000), packDefaults.samplesPerShard)
    .option("--image-column <name>", "column of the pictures in a CSV or JSONL file")
    .option("--caption-column <name>", "column of the captions: the task is retrieval")
    .option("--class-column <name>", "column of the classes: the task is classification")
    .option("--group-column <name>", "column of groups to be scored by themselves; may be given again", repeated)
    .option(
      "--template <text>",
      `prompt of a class, {} is its name; may be given again (default: "${packDefaults.templates[0]}")`,
      repeated,
    )
    .option("--json", "print { out, split, kind, samples, shards, bytes, classNames, captions, groups, leftOut }")
    .addOption(progressOption())
    .addHelpText("after", examples)
    .action(
      async (source: string, { template, groupColumn, progress, json, ...options }: Options, command: Command) => {
        const { writeOut, writeErr } = command.configureOutput()
        const packed = await packDataset({
          ...{ source, ...options, ...(template && { templates: template }) },
          ...(groupColumn && { groupColumns: groupColumn }),
          startProgress: progressReporter(progress),
          onNote: (line) => writeErr?.(`${line}\n`),
          signal: context.abortOnInterrupt(),
        })
        writeOut?.(json ? `${JSON.stringify(packed, null, 2)}\n` : summary(packed))
        const [first] = packed.leftOut
        if (first) {
          const list = join(packed.out, packed.split, "failures.jsonl")
          throw new PartialSuccess(`left out: ${first.path}: ${first.reason}; all of them are in ${list}`)
        }
      },
    )
}

function summary({ out, split, samples, shards, bytes, classNames, captions, groups, leftOut }: Packed): string {
  const what = classNames
    ? ` of ${counted(classNames.length, "class", "classes")}`
    : ` with ${counted(captions!, "caption")}`
  const by = groups ? `, in groups by ${groups.map(({ name }) => name).join(", ")}` : ""
  const without = leftOut.length > 0 ? `, ${leftOut.length} left out` : ""
  const size = `${counted(shards, "shard")}, ${(bytes / 1e6).toFixed(1)} MB${without}`
  const score = ["mobileclip", "evaluate", "--model", "MODEL", ...placeOf(out)]
  const lines = [
    `${join(out, split)}: ${counted(samples, "picture")}${what}${by} in ${size}`,
    ...(classNames ? [`edit:   classnames.txt and zeroshot_classification_templates.txt in ${out}`] : []),
    // `evaluate` scores the split "test", and a probe is fitted to "train".
    ...(split === "test" ? [`next:   ${commandLine(score)}`] : []),
    ...(split === "train" && classNames ? [`next:   ${commandLine([...score, "--probe", "linear"])}`] : []),
  ]
  return `${lines.join("\n")}\n`
}

/** data/my/birds is the task my/birds of the root data, as the examples have it; a folder next to the root is one by itself. */
function placeOf(out: string): string[] {
  const parts = normalize(out).split(sep).filter(Boolean)
  const isBelow = parts.length > 2 && !isAbsolute(out) && !parts.includes("..")
  const root = isBelow ? dirname(dirname(out)) : dirname(out)
  return ["--data", root, "--task", relative(root, out)]
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}
