/** `mobileclip/search`: one's own pictures, kept with their vectors in a folder, and found again. */
export { type Generation, type IndexSettings, IndexStore } from "./store/index-store.ts"
