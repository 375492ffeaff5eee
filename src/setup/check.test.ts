import { existsSync } from "node:fs"
import { afterEach, expect, test } from "vitest"
import { checkSetup, type SetupReport, setupText } from "./check.ts"

const { LIBTORCH } = process.env
afterEach(() => {
  if (LIBTORCH === undefined) delete process.env.LIBTORCH
  else process.env.LIBTORCH = LIBTORCH
})

test("this checkout is set up, and nothing is left to build", async () => {
  const report = await checkSetup()
  expect(report).toMatchObject({
    ok: true,
    libtorch: { found: true, text: expect.stringMatching(/^libtorch \d+\.\d+/) },
    addons: { libtorch: { state: "ready", buildsIn: null }, scan: { state: "ready", buildsIn: null } },
  })
  expect(existsSync(report.addons.libtorch.file!)).toBe(true)
})

test("a LIBTORCH that is not libtorch is reported; an addon built for another one still works", async () => {
  process.env.LIBTORCH = "/nowhere"
  const { ok, libtorch, addons } = await checkSetup()
  expect(libtorch).toEqual({
    found: false,
    text: expect.stringMatching(/^LIBTORCH=\/nowhere is not a libtorch: it does/),
  })
  expect([ok, addons.libtorch.state]).toEqual([true, "outdated"])
})

test("the text says what is missing, why, and where it would be built", () => {
  const report: SetupReport = {
    ok: false,
    libtorch: { found: false, text: "libtorch was not found: apt-get install libtorch-dev libopenblas0-openmp" },
    missingTools: ["cmake", "g++"],
    addons: {
      libtorch: { state: "missing", file: null, buildsIn: "/p/torch/build" },
      jpeg: { state: "broken", file: "/p/jpeg.node", reason: "no libjpeg.so.62", buildsIn: "/p/jpeg/build" },
      scan: { state: "ready", file: "/p/scan.node", buildsIn: null },
    },
  }
  expect(setupText(report).split("\n")).toEqual([
    "libtorch was not found: apt-get install libtorch-dev libopenblas0-openmp",
    expect.stringMatching(/^compiling needs cmake, g\+\+: apt-get install cmake g\+\+ /),
    "libtorch addon (training): not built; mobileclip setup compiles it into /p/torch/build",
    "JPEG addon (decodes faster): does not load (no libjpeg.so.62): /p/jpeg.node; mobileclip setup compiles it into /p/jpeg/build",
    "search addon (searches faster): built: /p/scan.node",
    "",
  ])
})
