/**
 * The folder of a comparison, whose stages go on where they were: a hidden file says that its content belongs to the
 * comparison. The file is written first, and stays.
 */
import { join } from "node:path"
import { UserError } from "../../core/errors.ts"
import { readBytesIfThere, requireSmall, writeAtomically } from "../../host/files/files.ts"
import { listed, namesIn } from "../../host/files/folder.ts"

/**
 * @param name name of the comparison
 * @param content names that it writes in the folder
 * @throws UserError where the folder holds such names, and not as the comparison's own
 */
export async function claimFolder(folder: string, name: string, content: readonly string[]): Promise<void> {
  const path = join(folder, `.${name}`)
  const text = `The folder of ${name}: the same command goes on here, and replaces what it wrote.\n`
  const bytes = await readBytesIfThere(path, requireSmall(path, text.length))
  if (bytes !== null && new TextDecoder().decode(bytes) === text) return
  const taken = await namesIn(folder, [`.${name}`, ...content])
  if (taken.length === 0) return writeAtomically(path, [text])
  throw new UserError(
    `${folder} holds ${listed(taken.sort())}, which ${name} would replace and has not written`,
    "move that to another folder, or choose another one",
  )
}
