/** mobileclip setup */
import type { Command } from "commander"
import { UserError } from "../../core/errors.ts"
import { setupCommand } from "../../native/addon.ts"
import { checkSetup, setupText } from "../../setup/check.ts"
import { setUp } from "../../setup/setup.ts"

interface Options {
  readonly check?: true
  readonly force?: boolean
  readonly json?: true
}

const more = `
Training runs on libtorch, through an addon that is compiled for the libtorch of this machine: the folder in LIBTORCH, an
importable Python torch, the system's or Homebrew's. Where there is none, the distribution's is installed (as root, or
through sudo without a password) after a message that says so. Inference does not need it.

Examples:
  mobileclip setup                  builds what is missing or no longer fits, in a minute or two
  mobileclip setup --check          says what is built and what would be done; exit code 1 if training would not work
  LIBTORCH=/opt/libtorch mobileclip setup
`

export function register(program: Command): void {
  program
    .command("setup")
    .description("build what training needs: an addon for the libtorch of this machine")
    .option("--check", "say what is built and how the rest would be built, and change nothing")
    .option("--force", "build again what is built")
    .option("--json", "print { ok, libtorch, missingTools, addons }")
    .addHelpText("after", more)
    .action(setup)
}

async function setup({ check, force = false, json }: Options, command: Command): Promise<void> {
  const { writeOut, writeErr } = command.configureOutput()
  if (!check) await setUp({ force, log: (line) => writeErr?.(`${line}\n`) })
  if (!check && !json) return
  const report = await checkSetup()
  writeOut?.(json ? `${JSON.stringify(report, null, 2)}\n` : setupText(report))
  if (!report.ok) throw new UserError("training would not work", setupCommand)
}
