/** mobileclip doctor */
import { styleText } from "node:util"
import type { Command } from "commander"
import { UserError } from "../../core/errors.ts"
import type { Check } from "../../doctor/check.ts"
import { examine } from "../../doctor/examine.ts"
import { joinedLines } from "../errors.ts"

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

const colors = { ok: "green", absent: "gray", warning: "yellow", problem: "red" } as const

/** A line, a second one for what to do, and the section's title where `before` is of another one. */
export function checkText(check: Check, before?: Check): string {
  const { section, name, state, text, fix } = check
  const title = section === before?.section ? [] : [...(before ? [""] : []), section]
  const mark = styleText(colors[state], state.padEnd(9), { stream: process.stdout })
  const lines = [
    ...title,
    `  ${mark}${name.padEnd(18)}  ${joinedLines(text)}`,
    ...(fix ? [`${" ".repeat(31)}${joinedLines(fix)}`] : []),
  ]
  return `${lines.join("\n")}\n`
}
