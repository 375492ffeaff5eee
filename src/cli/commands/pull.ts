/** mobileclip pull */
import type { Command } from "commander"
import { type CommandContext, sameCommand } from "../context.ts"
import { type PullCommandOptions, releasedText, runPull } from "../pulling.ts"

const examples = `
Examples:
  mobileclip pull MobileCLIP2-S0                          by name; the last line is the path of the file
  mobileclip pull apple/MobileCLIP-S1-OpenCLIP            a repository on the hub
  mobileclip pull hf-hub:owner/name --file model.pt       one file of it
  mobileclip pull --list                                  what is known by name

What is in the cache is not downloaded again, and an interrupted download goes on where it stopped.
These variables count: HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE.
`

export function register(program: Command, context: CommandContext): void {
  program
    .command("pull")
    .description("download a model into the shared Hugging Face cache")
    .argument("[name]", "a model's name, owner/name, hf-hub:owner/name, each with :file and @revision, or a path")
    .option("--list", "print what can be pulled by name")
    .option("--revision <name>", "branch, tag or commit (default: main)")
    .option("--file <path>", "the file of weights in the repository")
    .option("--cache-dir <dir>", "the cache (default: that of Hugging Face's tools)")
    .option("--token <token>", "for private and gated repositories; HF_TOKEN keeps it out of the shell's history")
    .option("--force", "download again what is in the cache")
    .option("--quiet", "no progress and no notes; a licence is shown the first time")
    .option("--json", "print { path, repo, revision, file, bytes, sha256, license, cached }")
    .addHelpText("after", examples)
    .action((name: string | undefined, options: PullCommandOptions, command: Command) => {
      if (options.list) return command.configureOutput().writeOut?.(releasedText(options.json))
      if (name === undefined) return command.error("error: missing required argument 'name'")
      return runPull(
        name,
        options,
        context.abortOnInterrupt("stopping, and keeping what is there", sameCommand(context.argv)),
        command.configureOutput(),
      )
    })
}
