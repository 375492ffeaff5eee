/**
 * `npm run golden -- [DIR...] [--strict] [--device cuda]`: compares this implementation with golden data of the references.
 * One line per check; exits 1 on a failure, and with --strict on files that cannot be checked yet.
 */
import { readdirSync, statSync } from "node:fs"
import path from "node:path"
import { parseArgs } from "node:util"
import { messageOf } from "../src/core/errors.ts"
import * as torch from "../torch/index.ts"
import type { Check } from "./checks/check.ts"
import { checkerFor, NotYet } from "./checks/index.ts"

const usage = `usage: npm run golden -- [DIR...] [--strict] [--device DEVICE]
  DIR       directories in the golden format (default: test/golden)
  --strict  files that cannot be checked yet count as failures
  --device  where libtorch computes: cpu (default) or cuda`

interface Tally {
  passed: number
  failed: number
  notYet: number
}

async function main(): Promise<number> {
  const { positionals, values } = parse()
  const device = deviceNamed(values.device)
  const tally: Tally = { passed: 0, failed: 0, notYet: 0 }
  for (const directory of positionals.length > 0 ? positionals : ["test/golden"]) {
    for (const file of jsonFiles(directory)) await checkFile(file, device, tally)
  }
  console.log(`${tally.passed} passed, ${tally.failed} failed, ${tally.notYet} not yet`)
  if (tally.passed + tally.failed + tally.notYet === 0) return 1
  return tally.failed > 0 || (values.strict && tally.notYet > 0) ? 1 : 0
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { strict: { type: "boolean", default: false }, device: { type: "string", default: "cpu" } },
    })
  } catch (error) {
    console.error(`golden: ${messageOf(error)}\n${usage}`)
    process.exit(2)
  }
}

function deviceNamed(name: string): torch.Device {
  const device = torch.devices().find((known) => known === name)
  if (!device) {
    console.error(`golden: this libtorch has no ${name}, but ${torch.devices().join(", ")}`)
    process.exit(2)
  }
  // Tolerances of float32 are those of 24 bits.
  torch.setCudaOptions({ tf32: false })
  return device
}

async function checkFile(file: string, device: torch.Device, tally: Tally): Promise<void> {
  try {
    const checker = checkerFor(file)
    if (checker === "data") return
    for await (const check of checker(file, device)) report(file, check, tally)
  } catch (error) {
    if (error instanceof NotYet) {
      tally.notYet += 1
      console.log(`${file}  not yet: ${error.message}`)
    } else {
      tally.failed += 1
      console.log(`${file}  FAIL ${messageOf(error).split("\n")[0]}`)
    }
  }
}

function report(file: string, { what, error, tolerance }: Check, tally: Tally): void {
  const passes = error <= tolerance
  tally[passes ? "passed" : "failed"] += 1
  console.log(`${file}  ${what}  error ${figure(error)}  tolerance ${figure(tolerance)}  ${passes ? "pass" : "FAIL"}`)
}

function figure(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toExponential(2)
}

function jsonFiles(directory: string): string[] {
  if (!statSync(directory, { throwIfNoEntry: false })?.isDirectory()) {
    console.error(`golden: ${directory} is not a directory\n${usage}`)
    process.exit(2)
  }
  const entries = readdirSync(directory, { recursive: true, encoding: "utf8" })
  const files = entries.filter((name) => name.endsWith(".json")).sort()
  return files.map((name) => path.join(directory, name))
}

process.exitCode = await main()
