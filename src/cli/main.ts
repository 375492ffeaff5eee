/**
 * The command line: a table of commands. Only the command that is asked for is loaded. Results go to stdout, everything
 * else to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done in part, 129, 130 and 143
 * stopped by the end of the terminal (SIGHUP), Ctrl-C and SIGTERM.
 */
import { Command } from "commander"
import { isAbort } from "../core/errors.ts"
import { printableLines } from "../core/printable.ts"
import { version } from "../host/version.ts"
import type { CommandContext } from "./context.ts"
import { exitCodeOf, prefix } from "./errors.ts"
import { Interrupt } from "./interrupt.ts"
import { errorText, type Output, standardOutput } from "./standard-output.ts"

interface LoadedCommand {
  register(program: Command, context: CommandContext): void
  /** The words as options are parsed from them: those of `search` may have a dash and be no options. */
  optionWords?(argv: readonly string[], options: Command["options"]): readonly string[]
}

interface CommandEntry {
  readonly summary: string
  load(): Promise<LoadedCommand>
}

export type CommandTable = Readonly<Record<string, CommandEntry>>

const commands: CommandTable = {
  quickstart: {
    summary: "render pictures, train a small model, export it, classify with it",
    load: () => import("./commands/quickstart.ts"),
  },
  render: {
    summary: "render the scenes dataset: pictures with captions, as shards",
    load: () => import("./commands/render.ts"),
  },
  shards: {
    summary: "pack a folder or a list of pictures into shards",
    load: () => import("./commands/shards.ts"),
  },
  train: { summary: "train a model on shards", load: () => import("./commands/train.ts") },
  finetune: {
    summary: "train a model further on your own pictures",
    load: () => import("./commands/finetune.ts"),
  },
  reinforce: {
    summary: "store captioners' and teachers' knowledge in a dataset, on one machine or many",
    load: () => import("./commands/reinforce.ts"),
  },
  convert: {
    summary: "turn a checkpoint of any origin into a model directory",
    load: () => import("./commands/convert.ts"),
  },
  export: { summary: "turn a checkpoint into ONNX models", load: () => import("./commands/export.ts") },
  pull: { summary: "download a released model", load: () => import("./commands/pull.ts") },
  caption: { summary: "write captions for pictures", load: () => import("./commands/caption.ts") },
  classify: { summary: "say which labels fit pictures best", load: () => import("./commands/classify.ts") },
  "bake-labels": {
    summary: "encode labels once, so that classifying needs the image tower alone",
    load: () => import("./commands/bake-labels.ts"),
  },
  embed: {
    summary: "write vectors of pictures or texts to files, for search and clustering",
    load: () => import("./commands/embed.ts"),
  },
  index: {
    summary: "keep folders of pictures in an index, to be searched",
    load: () => import("./commands/index-pictures.ts"),
  },
  search: {
    summary: "find your own pictures by text or picture, in an index",
    load: () => import("./commands/search.ts"),
  },
  serve: {
    summary: "answer other programs with vectors, in the forms of OpenAI, Cohere, Ollama, Weaviate and Immich",
    load: () => import("./commands/serve.ts"),
  },
  mcp: { summary: "let an assistant search an index of pictures", load: () => import("./commands/mcp.ts") },
  evaluate: {
    summary: "score models on the 38-dataset suite or on your own tasks, and compare them",
    load: () => import("./commands/evaluate.ts"),
  },
  models: {
    summary: "show the family: parameters, multiply-adds, preprocessing, published accuracy",
    load: () => import("./commands/models.ts"),
  },
  bench: {
    summary: "measure latency and throughput on this machine, of the whole family without weights",
    load: () => import("./commands/bench.ts"),
  },
  setup: {
    summary: "build what training needs",
    load: () => import("./commands/setup.ts"),
  },
  doctor: {
    summary: "say what is installed and whether it works; test a model against fixed inputs",
    load: () => import("./commands/doctor.ts"),
  },
}

const examples = `
Examples:
  mobileclip quickstart                                     the whole loop, in some minutes
  mobileclip classify cat.jpg --model DIR --labels cat,dog  label a picture with an exported model
  mobileclip train --help                                   options and examples of a command
`

/** Runs one command line, without the program's name, and gives the exit code. */
export async function main(argv: readonly string[], table: CommandTable = commands, to?: Output): Promise<number> {
  const interrupt = new Interrupt((text) => output.err(text), to ? null : errorText)
  const given = to ?? standardOutput(() => interrupt.isWorking)
  const output: Output = {
    out: (text) => given.out(printableOutput(text)),
    err: (text) => given.err(printableOutput(text)),
  }
  const name = commandIn(argv, table)
  const program = createProgram(output)
  try {
    let words = argv
    for (const [key, entry] of Object.entries(table)) {
      if (key === name) {
        const { register, optionWords } = await entry.load()
        register(program, { argv, writeUnchanged: given.out, abortOnInterrupt: interrupt.abortOnInterrupt })
        words = optionWords?.(argv, program.commands.at(-1)!.options) ?? argv
      } else program.command(key).description(entry.summary)
    }
    await program.parseAsync([...words], { from: "user" })
    return interrupt.exitCode ?? 0
  } catch (error) {
    if (interrupt.exitCode !== null && isAbort(error)) {
      await interrupt.sayHowToGoOn()
      return interrupt.exitCode
    }
    return exitCodeOf(error, output.err, ["mobileclip", ...commandPath(program, name, argv), "--help"].join(" "))
  } finally {
    interrupt.close()
  }
}

function createProgram(output: Output): Command {
  return new Command("mobileclip")
    .description("MobileCLIP and MobileCLIP2: train, export and run small image-text models")
    .version(version())
    .addHelpText("after", examples)
    .exitOverride()
    .configureOutput({
      writeOut: output.out,
      writeErr: output.err,
      outputError: (text, write) => write(text.replace(/^error:/, prefix())),
    })
}

/** The first word that is not an option, after an optional `help`. */
function commandIn(argv: readonly string[], table: CommandTable): string | undefined {
  const name = argv.find((word) => !word.startsWith("-") && word !== "help")
  return name !== undefined && Object.hasOwn(table, name) ? name : undefined
}

/** The command and, where one is named, its subcommand. */
function commandPath(program: Command, name: string | undefined, argv: readonly string[]): string[] {
  const names = program.commands.find((command) => command.name() === name)?.commands.map((command) => command.name())
  return [name, argv.find((word) => word !== name && names?.includes(word))].filter((word) => word !== undefined)
}

/** Foreign names, captions and messages may hold anything: only our own colours reach the terminal as control sequences. */
function printableOutput(text: string): string {
  return text
    .split(colour)
    .map((part, i) => (i % 2 ? part : printableLines(part)))
    .join("")
}

const introducer = "\x1b"
const colour = new RegExp(`(${introducer}\\[3[1239]m)`)
