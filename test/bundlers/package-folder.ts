/** A folder of an application that has the packed package, and the others by links: what bundlers see of an installation. */
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** Nothing is downloaded. The caller removes the folder. */
export function packageFolder(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "bundlers-")))
  const modules = join(folder, "node_modules")
  mkdirSync(join(modules, "mobileclip"), { recursive: true })
  for (const name of readdirSync(join(root, "node_modules")))
    if (!name.startsWith(".")) symlinkSync(join(root, "node_modules", name), join(modules, name))
  const pack = ["pack", "--silent", "--ignore-scripts", "--offline", "--pack-destination", folder]
  const tarball = join(folder, execFileSync("npm", pack, { cwd: root, encoding: "utf8" }).trim())
  execFileSync("tar", ["-xzf", tarball, "--strip-components=1", "-C", join(modules, "mobileclip")])
  rmSync(tarball)
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "app", private: true, type: "module" }))
  return folder
}
