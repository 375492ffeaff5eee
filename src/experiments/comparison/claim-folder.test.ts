import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { claimFolder } from "./claim-folder.ts"

test("a comparison refuses to replace files of others, and goes on in its own folder", async () => {
  const folder = mkdtempSync(join(tmpdir(), "claim-folder-"))
  const claim = (name = "quickstart") => claimFolder(folder, name, ["students", "report.html"])
  try {
    writeFileSync(join(folder, "notes.txt"), "")
    writeFileSync(join(folder, "report.html"), "mine")
    await expect(claim()).rejects.toThrow(
      `${folder} holds report.html, which quickstart would replace and has not written`,
    )
    expect(readdirSync(folder)).toEqual(["notes.txt", "report.html"])
    rmSync(join(folder, "report.html"))
    await claim()
    writeFileSync(join(folder, "report.html"), "its own")
    await claim()
    await expect(claim("cifar10")).rejects.toThrow("holds report.html, which cifar10 would replace")
    writeFileSync(join(folder, ".quickstart"), "mine")
    await expect(claim()).rejects.toThrow("holds .quickstart, report.html, which quickstart would replace")
  } finally {
    rmSync(folder, { recursive: true })
  }
})
