/**
 * Kills every command that writes with SIGKILL at random times, up to three times in a row, and runs it again: the files must
 * be those of an undisturbed run, and no hidden file, temporary file or process may be left. Exit code 1 where a run fails.
 *
 *     node dist/bench/sigkill.js                                     20 runs of each command
 *     node dist/bench/sigkill.js --times 5 --seed 3 train "reinforce embed"
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { type KillReport, killAtRandom, realFolder, showsProcesses } from "../test/sigkill.ts"
import { type CommandName, commandNames, Inputs } from "../test/sigkill-commands.ts"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    times: { type: "string", default: "20" },
    seed: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
    /** Prints what each run did wrong at once. */
    verbose: { type: "boolean", default: false },
  },
})

const columns = ["command", "seconds", "runs", "kills", "right", "failed", "left behind", "wrong bytes", "strays"]
const names = positionals.length > 0 ? positionals.map(commandNamed) : commandNames
const folder = realFolder(mkdtempSync(join(tmpdir(), "sigkill-")))
const say = (line: string) => process.stderr.write(`${line}\n`)
try {
  const reports = await reportsOf(names)
  if (values.json) console.log(JSON.stringify(reports.map(plain), null, 2))
  else for (const line of table(reports)) console.log(line)
  process.exitCode = reports.every(isSound) ? 0 : 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function commandNamed(name: string): CommandName {
  const found = commandNames.find((one) => one === name) ?? commandNames.find((one) => one === `reinforce ${name}`)
  if (found) return found
  throw new Error(`${name} is not one of ${commandNames.join(", ")}`)
}

async function reportsOf(names: readonly CommandName[]): Promise<KillReport[]> {
  await using inputs = await Inputs.make(join(folder, "inputs"), names)
  const options = { times: Number(values.times), seed: Number(values.seed), folder, strayPatience: 10 }
  const reports: KillReport[] = []
  for (const name of names) {
    const command = inputs.command(name)
    const report = await killAtRandom(command, { ...options, ...(values.verbose && { log: say }) })
    say(row(report))
    const { files, keys } = command.differing
    if (keys.length > 0) say(`  not compared: ${[...keys.map((key) => `"${key}" in JSON`), ...files].join(", ")}`)
    for (const [text, runs] of report.findings) say(`  ${text} (${runs} runs)`)
    reports.push(report)
  }
  return reports
}

function isSound({ runs, right, findings }: KillReport): boolean {
  return right === runs && findings.size === 0
}

function row({ command, seconds, runs, kills, right, faults }: KillReport): string {
  const { failed, left, wrong, stray } = faults
  return aligned([command, seconds.toFixed(1), runs, kills, right, failed, left, wrong, stray])
}

function aligned([first, ...rest]: readonly (string | number)[]): string {
  return String(first).padEnd(20) + rest.map((cell) => String(cell).padStart(12)).join("")
}

function table(reports: readonly KillReport[]): string[] {
  const findings = reports.flatMap(({ command, findings }) =>
    [...findings].map(([text, runs]) => `${command}: ${text} (${runs} runs)`),
  )
  const unseen = showsProcesses() ? [] : ["this system does not show processes: strays were not looked for"]
  const verdict = reports.every(isSound) ? "every run went on to the right bytes and left nothing" : "FAIL"
  return [aligned(columns), ...reports.map(row), ...findings, ...unseen, verdict]
}

function plain(report: KillReport) {
  return { ...report, findings: Object.fromEntries(report.findings) }
}
