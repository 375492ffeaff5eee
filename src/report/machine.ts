/** The machine of a measurement, for reports. */
import { arch, cpus, release, totalmem, type } from "node:os"
import { usableProcessors } from "../host/processors.ts"
import { type Html, html } from "./html.ts"
import { factList, type Term } from "./terms.ts"

/** The machine on which a figure was measured. */
export interface Machine {
  readonly cpu: string
  /** Processors this process may use. */
  readonly cores: number
  readonly memoryGB: number
  readonly os: string
  readonly node: string
}

export function thisMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() || "unknown",
    cores: usableProcessors().count,
    memoryGB: Math.round(totalmem() / 2 ** 30),
    os: `${type()} ${release()} ${arch()}`,
    node: process.versions.node,
  }
}

function machineFacts({ cpu, cores, memoryGB, os }: Machine): Term[] {
  return [
    ["processor", `${cpu}, ${cores} cores, ${memoryGB} GB`],
    ["system", os],
  ]
}

/** The section of a report about the machine and the versions its figures were measured with. */
export function measuredOn(machine: Machine, facts: readonly Term[]): Html {
  return html`
<section>
  <h2>Measured on</h2>
  ${factList([...machineFacts(machine), ...facts])}
</section>`
}
