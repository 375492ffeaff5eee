import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test, vi } from "vitest"
import { openGraph } from "../run/session.ts"
import { builtAddon } from "./addon.ts"
import { ownCacheDir } from "./own-cache.ts"

/** As Node says it for a user without an entry in /etc/passwd, where HOME is not set. */
vi.mock("node:os", async (original) => ({
  ...(await original<typeof import("node:os")>()),
  homedir() {
    throw new Error("A system error occurred: uv_os_homedir returned ENOENT")
  },
}))

test("a user without a home folder is told what to set, and nothing that only uses the cache fails", () => {
  const folder = mkdtempSync(join(tmpdir(), "no-home-"))
  try {
    expect(() => ownCacheDir({})).toThrow("this user has no home folder, where the cache would be")
    expect(ownCacheDir({ XDG_CACHE_HOME: folder })).toBe(join(folder, "mobileclip"))
    expect(builtAddon({ module: "none", sourceFolder: join(import.meta.dirname, "../../jpeg") }, {})).toBe(null)
    vi.stubEnv("XDG_CACHE_HOME", "")
    const choices: string[] = []
    openGraph(folder, "image.onnx", { onChoice: (line) => choices.push(line) })
    expect(choices).toEqual([expect.stringMatching(/^optimised graphs are not kept: this user has no home folder/)])
  } finally {
    vi.unstubAllEnvs()
    rmSync(folder, { recursive: true })
  }
})
