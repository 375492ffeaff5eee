/** Where the addon's sources and what is built of them lie, seen from `jpeg/` and from `dist/jpeg/`. */
import { addonBeside } from "../src/native/addon.ts"

export const jpegAddon = addonBeside(import.meta.url, "jpeg")
