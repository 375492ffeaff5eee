/** mobileclip doctor */
import type { Command } from "commander"
import { UserError } from "../../core/errors.ts"
import { type Check, checkText } from "../doctor/check.ts"
import { examine } from "../doctor/examine.ts"

interface Options {
  readonly json?: true
}

const examples = `
Examples:
  mobileclip doctor                       what is installed, and whether it works
  mobileclip doctor runs/quickstart/model also whether this model is whole and computes what it should
  mobileclip doctor runs/own              a run's folder, or a file of weights, as the model that it becomes
  mobileclip doctor --json                for a program, or a report of a fault

Every line is ok, absent (optional, and not here), a warning (works less well) or a problem. Exit code 1 if there is a
problem.
`

export function register(program: Command): void {
  program
    .command("doctor")
    .description("say what is installed and whether it works; test a model against fixed inputs")
    .argument(
      "[model]",
      "a model on this machine: a folder, a run's folder, a file of weights, or a name that was pulled",
    )
    .option("--json", "print { ok, checks: [{ section, name, state, text, fix, facts }] }")
    .addHelpText("after", examples)
    .action(doctor)
}

async function doctor(model: string | undefined, { json }: Options, command: Command): Promise<void> {
  const { writeOut } = command.configureOutput()
  const checks: Check[] = []
  for await (const check of examine(model)) {
    if (!json) writeOut?.(checkText(check, checks.at(-1)))
    checks.push(check)
  }
  const problems = checks.filter(({ state }) => state === "problem").length
  if (json) writeOut?.(`${JSON.stringify({ ok: problems === 0, checks }, null, 2)}\n`)
  if (problems > 0) throw new UserError(`${problems} ${problems === 1 ? "problem" : "problems"} found`)
}
