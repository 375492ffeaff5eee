import { readFileSync } from "node:fs"
import { expect, test } from "vitest"
import { bfloat16Instructions, featuresIn, processorFeatures } from "./processor-features.ts"

const cpuinfo = (...flags: string[]) =>
  flags
    .map((line, i) => `processor\t: ${i}\nmodel name\t: A processor\nflags\t\t: ${line}\nbugs\t\t: avx2\n`)
    .join("\n")

test.each([
  ["of the newest server", cpuinfo("fpu avx2 avx512f avx512_bf16 amx_bf16 amx_tile"), "amx_bf16"],
  ["with AVX-512 for it", cpuinfo("fpu avx2 avx512f avx512_vnni avx512_bf16"), "avx512_bf16"],
  ["without it", cpuinfo("fpu avx2 avx512f avx512_vnni"), null],
  ["of two kinds, one without it", cpuinfo("avx2 avx512_bf16", "avx2"), null],
  ["whose flags only begin alike", cpuinfo("avx512_bf16x amx_bf16_next"), null],
  ["that lists no flags, as on ARM", "processor : 0\nFeatures : fp asimd bf16\n", null],
  ["of which nothing is said", "", null],
])("a processor %s", (_, text, expected) => {
  expect(bfloat16Instructions(featuresIn(text))).toBe(expected)
})

test("features come in one order, and only known ones", () => {
  expect(featuresIn(cpuinfo("amx_bf16 sse avx2"))).toEqual(["avx2", "amx_bf16"])
})

test.runIf(process.platform === "linux")("this machine's are those of its own list", () => {
  for (const feature of processorFeatures()) expect(readFileSync("/proc/cpuinfo", "utf8")).toContain(` ${feature}`)
})
