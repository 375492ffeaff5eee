/** Where the addon's sources and what is built of them lie, seen from `jpeg/` and from `dist/jpeg/`. */
import { existsSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const here = dirname(fileURLToPath(import.meta.url))

/** The folder with CMakeLists.txt. */
export const sourceFolder = existsSync(join(here, "CMakeLists.txt")) ? here : join(here, "../../jpeg")
export const buildFolder = join(sourceFolder, "build")
export const addonFile = join(buildFolder, "jpeg.node")
