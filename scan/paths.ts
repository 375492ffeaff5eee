/** Where the addon's sources and what is built of them lie, seen from `scan/` and from `dist/scan/`. */
import { addonBeside } from "../src/native/addon.ts"

export const scanAddon = addonBeside(import.meta.url, "scan")
