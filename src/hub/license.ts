/** The licence of pulled weights: shown in full the first time, and in a line afterwards. */
import { join } from "node:path"
import { oneLine } from "../core/errors.ts"
import { makeDirectory, readJson, writeAtomically } from "../host/files/files.ts"
import { type License, licenses, type Release } from "./released.ts"

/** The hub's tag decides; the table knows more about some licences. Null where neither says. */
export function licenseOf(tag: string | null, release: Release | null, page: string): License | null {
  const id = tag ?? release?.license
  if (!id) return null
  const known = Object.values(licenses).find((license) => license.id === id)
  return (
    known ?? {
      id,
      name: oneLine(id),
      use: "read its terms",
      commercial: null,
      notice: "These weights come under terms of their own: read them first.",
      url: page,
    }
  )
}

interface LicenseNotice {
  readonly text: string
  /** Not shown on this machine before, so the text is the whole notice. */
  readonly first: boolean
}

/** A file in `folder` lists the licences that were shown; where it cannot be written, the notice is shown in full again. */
export async function licenseNotice(license: License, repo: string, folder: string): Promise<LicenseNotice> {
  const path = join(folder, "licenses-shown.json")
  const shown = await readShown(path)
  const line = `licence of ${repo}: ${license.name}`
  const { url } = license
  if (shown.includes(license.id)) return { text: `${line} (${url})\n`, first: false }
  await makeDirectory(folder)
    .then(() => writeAtomically(path, [`${JSON.stringify([...shown, license.id])}\n`]))
    .catch(() => {})
  return { text: `${line}\n${wrapped(license.notice)}\n  full text: ${url}\n`, first: true }
}

async function readShown(path: string): Promise<string[]> {
  try {
    const shown: unknown = await readJson(path, "a list of licences")
    return Array.isArray(shown) ? shown.filter((id) => typeof id === "string") : []
  } catch {
    return []
  }
}

/** Lines of at most 100 characters. */
function wrapped(text: string): string {
  return text.replaceAll(/(?=\S)(.{1,98})(?:\s+|$)/g, "  $1\n").trimEnd()
}
