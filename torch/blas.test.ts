import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { builtAddon } from "../src/native/addon.ts"
import { type BlasChoice, type BlasTrial, blasChoice, blasText, choiceText, fastestRight, useFastBlas } from "./blas.ts"
import { torchAddon } from "./paths.ts"

const trial = (core: string, gigaFlops: number, isRight = true): BlasTrial => ({ core, gigaFlops, isRight })

test("the fastest kernels that compute rightly are taken, and only where they gain clearly", () => {
  const own = trial("Prescott", 17)
  expect(fastestRight(own, [trial("SkylakeX", 100), trial("Haswell", 60)])).toBe("SkylakeX")
  expect(fastestRight(own, [trial("SkylakeX", 100, false), trial("Haswell", 60)])).toBe("Haswell")
  expect(fastestRight(own, [trial("Haswell", 20)])).toBeNull()
  expect(fastestRight(own, [])).toBeNull()
  expect(fastestRight(trial("Zen", 60, false), [trial("SkylakeX", 100, false), trial("Haswell", 20)])).toBe("Haswell")
})

test("what is said names the kernels and what they gain", () => {
  const choice = (chosen: string | null, own: BlasTrial | null): BlasChoice => ({
    library: own ? "/usr/lib/libopenblas.so.0" : null,
    own,
    others: [trial("SkylakeX", 101)],
    chosen,
  })
  expect(choiceText(choice("SkylakeX", trial("Prescott", 17.4)))).toBe(
    "SkylakeX kernels, 5.8 times as fast as Prescott's, OpenBLAS's own choice",
  )
  expect(choiceText(choice("SkylakeX", trial("Zen", 120, false)))).toBe(
    "SkylakeX kernels, because Zen's compute wrong values, OpenBLAS's own choice",
  )
  expect(choiceText(choice(null, trial("Haswell", 110)))).toBe("Haswell kernels, OpenBLAS's own choice")
  expect(choiceText(choice(null, null))).toContain("not OpenBLAS's")
})

test("a choice of the user's stays", () => {
  const env = { OPENBLAS_CORETYPE: "Zen", XDG_CACHE_HOME: "/nowhere" }
  useFastBlas("/nowhere/torch.node", env)
  expect(env.OPENBLAS_CORETYPE).toBe("Zen")
  expect(blasText("/nowhere/torch.node", env)).toBe("OPENBLAS_CORETYPE=Zen is set")
})

test.runIf(process.platform === "linux" && process.arch === "x64")(
  "this machine's kernels are tried once and remembered",
  () => {
    const folder = mkdtempSync(join(tmpdir(), "blas-"))
    try {
      const { file } = builtAddon(torchAddon)!
      const { OPENBLAS_CORETYPE: _, ...rest } = process.env
      const env: NodeJS.ProcessEnv = { ...rest, XDG_CACHE_HOME: folder }
      const remembered = join(folder, "mobileclip/blas.json")
      mkdirSync(join(folder, "mobileclip"))
      const another = { library: "", choice: { library: null, own: null, others: [], chosen: null } }
      writeFileSync(remembered, JSON.stringify({ another }))
      const choice = blasChoice(file, env)
      for (const { isRight, gigaFlops } of choice.own ? [choice.own, ...choice.others] : []) {
        expect([isRight, gigaFlops > 0.1]).toEqual([true, true])
      }
      const text = readFileSync(remembered, "utf8")
      expect(JSON.parse(text)).toMatchObject({ another })
      expect(blasChoice(file, env)).toEqual(choice)
      expect(readFileSync(remembered, "utf8")).toBe(text)
      useFastBlas(file, env)
      expect(env.OPENBLAS_CORETYPE).toBe(choice.chosen ?? undefined)
      expect(blasText(file, env)).toBe(choiceText(choice))
      // Where nothing can be written, the answer is the same and nothing is left.
      const unwritable = { ...rest, XDG_CACHE_HOME: file }
      expect(blasChoice(file, unwritable).library).toBe(choice.library)
      expect(existsSync(`${file}.${process.pid}`)).toBe(false)
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
)
