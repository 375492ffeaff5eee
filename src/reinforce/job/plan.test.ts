import { expect, test } from "vitest"
import { outputName } from "./output.ts"
import { planShards } from "./plan.ts"

const webdataset = { output: "webdataset" } as const

test("outputs have the names of their inputs, with the extension of the format", () => {
  const tasks = planShards(["in/0001.tar", "s3://b/in/0002.jsonl.gz", "http://h/0003.tar?x=1"], "out/", webdataset)
  expect(tasks).toEqual([
    { index: 0, input: "in/0001.tar", output: "out/0001.tar" },
    { index: 1, input: "s3://b/in/0002.jsonl.gz", output: "out/0002.tar" },
    { index: 2, input: "http://h/0003.tar?x=1", output: "out/0003.tar" },
  ])
  expect(outputName(tasks[1]!, "out")).toBe("0002.tar")
  expect(planShards(["in/a.b.tar"], "out", { output: "jsonl" })[0]!.output).toBe("out/a.b.jsonl")
})

test("inputs of one name in several folders keep the folders that differ", () => {
  const outputs = planShards(["s3://b/d/00/1.tar", "s3://b/d/01/1.tar"], "out", webdataset).map(({ output }) => output)
  expect(outputs).toEqual(["out/00/1.tar", "out/01/1.tar"])
})

test("absolute and relative paths of one name stay in the output's folder", () => {
  const outputs = planShards(["/data/1.tar", "./b//1.tar"], "out", webdataset).map(({ output }) => output)
  expect(outputs).toEqual(["out/data/1.tar", "out/b/1.tar"])
})

test("numbers follow the order of the inputs", () => {
  const outputs = planShards(["b.tar", "a.tar"], "out", webdataset, "count").map(({ output }) => output)
  expect(outputs).toEqual(["out/00000000.tar", "out/00000001.tar"])
})

test.each([
  [["a.tar", "a.tar"], "out", "a.tar is named twice"],
  [["out/a.tar"], "out", "out/a.tar would be both read and written"],
  [["x/a.tar", "x/a.jsonl"], "out", "two shards are called a"],
  [["x/a.tar", "x/b.tar", "y/b.tar", "x/b.jsonl", "x/a.jsonl"], "out", "two shards are called x/b"],
  [["b/x/../../../v/1.tar", "b/y/1.tar"], "out", 'names "x/../../../v/1.tar", which could be outside of its folder'],
  [["s3://b/1.tar", "b/1.tar"], "out", 'the output of s3://b/1.tar names "s3:/b/1.tar", which could be outside'],
  [["s3://b/..\\..\\1.tar"], "out", "which could be outside"],
])("%j is refused", (inputs, output, message) => {
  expect(() => planShards(inputs, output, webdataset)).toThrow(message)
})

/** A comparison of each shard with all others takes minutes where paths are equally long; this takes half a second. */
test("65,536 shards take less than five seconds of a processor, whether their names are distinct or not", () => {
  const [folder, output] = ["/data/of/the/in", "/data/of/the/to"]
  const number = (i: number) => String(i).padStart(8, "0")
  const distinct = Array.from({ length: 65_536 }, (_, i) => `${folder}/${number(i)}.tar`)
  const repeated = Array.from({ length: 65_536 }, (_, i) => `${folder}/${i % 64}/${number(Math.floor(i / 64))}.tar`)
  const begun = process.cpuUsage()
  const plans = [distinct, repeated].map((inputs) => planShards(inputs, output, webdataset))
  const { user, system } = process.cpuUsage(begun)
  expect((user + system) / 1e6).toBeLessThan(5)
  expect(plans.map((tasks) => tasks.at(-1)!.output)).toEqual([`${output}/00065535.tar`, `${output}/63/00001023.tar`])
})
