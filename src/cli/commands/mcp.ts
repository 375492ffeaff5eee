/** mobileclip mcp */
import type { Command } from "commander"
import type { CommandContext } from "../context.ts"
import { threadsOption } from "../options.ts"
import { indexOption } from "../search/index-option.ts"

interface Options {
  readonly index: string
  readonly model?: string
  readonly allowFiles?: true
  readonly threads?: number
}

const more = `
A client starts it, in a folder of its own; its settings name the program by its whole path:
  { "mcpServers": { "photos": { "command": "node",
    "args": ["/home/me/app/node_modules/mobileclip/bin/mobileclip.js", "mcp", "--index", "/home/me/photos-index"] } } }

Tools: search, similar, classify, describe_index. They only read, and only pictures of the index, unless --allow-files is given.
Standard output carries the protocol alone.
`

export function register(program: Command, context: CommandContext): void {
  program
    .command("mcp")
    .description("let an assistant search an index, by the Model Context Protocol on standard input and output")
    .addOption(indexOption())
    .option("--model <model>", "where the index's model is now, if it was moved")
    .option("--allow-files", "let it read pictures that are not in the index")
    .addOption(threadsOption())
    .addHelpText("after", more)
    .action((options: Options, command: Command) => run(options, command, context))
}

async function run({ index, ...options }: Options, command: Command, context: CommandContext): Promise<void> {
  const { serveIndex } = await import("../../mcp/serve-index.ts")
  const { writeErr } = command.configureOutput()
  const say = (line: string) => writeErr?.(`${line}\n`)
  const signal = context.abortOnInterrupt("stopping", undefined, "printing")
  await serveIndex(index, { ...options, onStage: say, onError: say, signal })
}
