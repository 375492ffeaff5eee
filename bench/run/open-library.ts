/** The libraries of the benchmark, and its own two stages alone, by their names. */
import type { Library } from "./library.ts"

export type LibraryName = "mobileclip" | "transformers.js" | "tower alone" | "decode alone"

/** @param folder a model directory in transformers.js' layout, which all of them read */
export async function openLibrary(name: LibraryName, folder: string): Promise<Library> {
  // Imported when it is needed: each process holds one library.
  if (name === "transformers.js") return (await import("./theirs.ts")).openTheirs(folder)
  const { openDecodeAlone, openOurs, openTowerAlone } = await import("./ours.ts")
  switch (name) {
    case "mobileclip":
      return openOurs(folder)
    case "tower alone":
      return openTowerAlone(folder)
    case "decode alone":
      return openDecodeAlone(folder)
    default:
      return name satisfies never
  }
}
