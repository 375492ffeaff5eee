/** What a folder of shards was begun with: `shards.json`. A call with the same pictures and options goes on there. */
import { readdir, rm } from "node:fs/promises"
import { join } from "node:path"
import { UserError } from "../../core/errors.ts"
import { isObject, jsonOrNull } from "../../core/json.ts"
import { readBytesIfThere, writeAtomically } from "../../host/files/files.ts"
import { listed } from "../../host/files/folder.ts"
import { sha256OfFile } from "../../host/files/hash.ts"
import { isBookkeeping } from "../../host/locks/lock.ts"
import { isShardIndex } from "../expand.ts"
import { pathOf } from "../stores/local.ts"
import { listIdentity } from "../training/sources/identity.ts"
import type { SampleList } from "../training/sources/location.ts"
import type { ResolvedOptions } from "./options.ts"
import { doneFolder } from "./packing.ts"

/** Equal for calls that give equal shards. */
type Plan = Readonly<Record<string, unknown>>

export async function planOf(list: SampleList, options: ResolvedOptions): Promise<Plan> {
  const { source, samplesPerShard, shuffle, captions, truncated } = options
  return {
    format: planFormat,
    pictures: await listIdentity(list),
    // What a list has beside pictures and captions becomes part of the shards.
    ...(list.fields && { list: await sha256OfFile(pathOf(source)) }),
    ...{ samplesPerShard, shuffle, captions, truncated },
  }
}

const planFile = "shards.json"
const planFormat = "mobileclip-shards-1"

/** Begins, or goes on. A call that wrote no shard binds nobody. */
export async function begin(out: string, plan: Plan): Promise<void> {
  const bytes = await readBytesIfThere(join(out, planFile))
  const before = bytes && planIn(bytes)
  if (before && JSON.stringify(before) === JSON.stringify(plan)) return
  const names = (await readdir(out)).filter((name) => !isBookkeeping(name))
  if (before) {
    if (names.some((name) => /^\d+\.tar$/.test(name))) throw otherPlan(out, before, plan)
    await rm(join(out, doneFolder), { recursive: true, force: true })
  } else if (names.some(isOurs)) throw foreign(out, names.filter(isOurs))
  await writeAtomically(join(out, planFile), [`${JSON.stringify(plan, null, 2)}\n`])
}

function planIn(bytes: Uint8Array): Plan | null {
  const plan = jsonOrNull(new TextDecoder().decode(bytes))
  return isObject(plan) && plan.format === planFormat ? plan : null
}

/** What is written, and what readers of the folder would take for it. An index whose shard has gone is nothing to anyone. */
function isOurs(name: string): boolean {
  if (isShardIndex(name)) return false
  return name === planFile || name === doneFolder || /\.(tar|jsonl)(\.|$)/.test(name)
}

function foreign(out: string, names: readonly string[]): UserError {
  return new UserError(
    `${out} holds ${listed(names.toSorted())}, which \`mobileclip shards\` did not write`,
    "choose another folder for --out",
  )
}

function otherPlan(out: string, was: Plan, now: Plan): UserError {
  const name =
    Object.keys({ ...was, ...now }).find((key) => JSON.stringify(was[key]) !== JSON.stringify(now[key])) ?? "format"
  const values = [was[name], now[name]].map((value) => JSON.stringify(value))
  return new UserError(
    `${out} has shards with ${name} ${values[0]}, and now it is ${values[1]}`,
    "give the same pictures and options to go on, or another folder",
  )
}
