/** Where the addon's sources and what is built of them lie, seen from `torch/` and from `dist/torch/`. */
import { addonBeside } from "../src/native/addon.ts"

export const torchAddon = addonBeside(import.meta.url, "torch")
