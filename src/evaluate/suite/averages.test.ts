import { expect, test } from "vitest"
import { groupAverages, mainMetricOf, taskGroups } from "./averages.ts"
import { findPublished, publishedModels } from "./published.ts"
import { allTasks, extraTasks, findTask, suiteTasks } from "./tasks.ts"

const withoutOther = "Average, FMoW without its region of four pictures"

function averagesOf(name: string): Record<string, number | null> {
  const averages = groupAverages(findPublished(name)!.results)
  return Object.fromEntries(averages.map(({ group, average }) => [group.name, average]))
}

/** In percent: the README's and the result files' averages, recomputed elsewhere from the files. */
const published = {
  "MobileCLIP-S0": [67.786, 55.05, 58.43, 58.23, 58.117],
  "MobileCLIP-S1": [72.616, 60.67, 61.29, 60.32, 61.254],
  "MobileCLIP-S2": [74.438, 63.13, 63.73, 61.24, 63.657],
  "MobileCLIP-B": [76.824, 65.58, 64.0, 65.06, 65.154],
  "MobileCLIP-B-LT": [77.224, 66.08, 64.38, 64.91, 65.779],
  "MobileCLIP-S3": [78.29, 68.2, 64.09, 65.37, 66.335],
  "MobileCLIP-S4": [79.406, 69.73, 65.23, 66.82, 68.11],
  "MobileCLIP-L-14": [79.528, 69.9, 64.59, 62.9, 66.935],
  "MobileCLIP2-S0": [71.534, 57.62, 59.15, 62.64, 59.673],
  "MobileCLIP2-S2": [77.236, 64.65, 63.35, 66.44, 64.051],
  "MobileCLIP2-B": [79.414, 66.41, 64.46, 66.66, 65.757],
  "MobileCLIP2-S3": [80.684, 68.85, 65.38, 66.88, 66.848],
  "MobileCLIP2-S4": [81.854, 70.34, 65.87, 67.56, 67.547],
  "MobileCLIP2-L-14": [81.904, 70.2, 66.16, 67.46, 67.804],
} as const

test.each(Object.entries(published))("groups and average of %s are the published ones", (name, expected) => {
  const averages = averagesOf(name)
  const names = ["ImageNet", "ImageNet dist. shifts", "VTAB", "Retrieval", "Average"]
  names.forEach((group, i) => {
    expect(Math.abs(100 * averages[group]! - expected[i]!), group).toBeLessThan(i === 0 || i === 4 ? 0.00051 : 0.0051)
  })
})

test("without FMoW's region of four pictures only the average of MobileCLIP-S1 changes, by 0.40 points", () => {
  const changes = publishedModels.flatMap(({ name }) => {
    const averages = averagesOf(name)
    const change = 100 * (averages[withoutOther]! - averages.Average!)
    return Math.abs(change) < 1e-6 ? [] : [[name, change.toFixed(2)]]
  })
  expect(changes).toEqual([["MobileCLIP-S1", "0.40"]])
})

test("an average waits for all of its tasks, and says which are missing", () => {
  const results = findPublished("mobileclip2-s0")!.results.filter(
    ({ key }) => key !== "vtab/dtd" && key !== "wilds/fmow",
  )
  const found = groupAverages(results).map(({ group, average, missing }) => [group.name, average !== null, missing])
  expect(found).toEqual([
    ["ImageNet", true, []],
    ["ImageNet dist. shifts", true, []],
    ["VTAB", false, ["vtab/dtd"]],
    ["Retrieval", true, []],
    ["Average", false, ["vtab/dtd", "wilds/fmow"]],
    [withoutOther, false, ["vtab/dtd", "wilds/fmow"]],
  ])
})

test("groups have 1, 6, 13, 3 and 38 tasks", () => {
  expect(taskGroups.map(({ keys }) => keys.length)).toEqual([1, 6, 13, 3, 38, 38])
})

test("the main metric is the file's, else the row's", () => {
  expect(mainMetricOf({ key: "wilds/fmow", metrics: { acc1: 0.5, acc_worst_region: 0.1 } })).toBe(0.1)
  expect(mainMetricOf({ key: "wilds/fmow", metrics: { acc_worst_region: 0.1, main_metric: 0.2 } })).toBe(0.2)
  expect(mainMetricOf({ key: "fairness/fairface", metrics: { acc_race_avg: 0.9 } })).toBeNull()
  expect(mainMetricOf({ key: "somewhere/else", metrics: { acc1: 0.9 } })).toBeNull()
})

test("every row has a name and a key of its own, and 38 of 40 count", () => {
  expect(suiteTasks).toHaveLength(40)
  expect(suiteTasks.filter(({ counted }) => counted)).toHaveLength(38)
  expect(extraTasks.some(({ counted }) => counted)).toBe(false)
  for (const names of [allTasks.map(({ key }) => key), allTasks.map(({ name }) => name)])
    expect(new Set(names).size).toBe(names.length)
})

test("a task's folders are datacomp's name, the name without _test, and the key", () => {
  expect(findTask("vtab/dtd")!.folders).toEqual(["wds_vtab-dtd_test", "wds_vtab-dtd", "vtab/dtd"])
  expect(findTask("fairness/geode")!.folders).toEqual(["wds_geode_test", "wds_geode", "fairness/geode"])
  expect(findTask("retrieval/mscoco_2014_5k_test_image_text_retrieval")!.folders).toContain("wds_mscoco_captions_test")
  expect(findTask("nowhere")).toBeNull()
})

test("published models are found however their names are written, with both towers' size and latency", () => {
  for (const name of ["MobileCLIP2-L-14", "mobileclip2-l14", "MobileCLIP2_L14", "mobileclip2-L/14"])
    expect(findPublished(name)).toMatchObject({ variant: "mobileclip2-l14", parameters: 427.9 })
  expect(findPublished("mobileclip-blt")).toMatchObject({ name: "MobileCLIP-B-LT", latency: 13.7 })
  expect(findPublished("mobileclip3")).toBeNull()
  expect(publishedModels).toHaveLength(14)
})

test("published results hold the further tasks of the newer files, and no main metric of faces", () => {
  const counts = publishedModels.map(({ results }) => results.length)
  expect(counts).toEqual([40, 40, 40, 40, 40, 50, 50, 50, 50, 50, 50, 50, 50, 50])
  const results = findPublished("mobileclip2-s0")!.results
  const metricsOf = (key: string) => results.find((result) => result.key === key)!.metrics
  expect(metricsOf("longclip/urban1k").main_metric).toBeCloseTo(0.4365, 7)
  expect(metricsOf("fairness/utkface").main_metric).toBeNull()
  expect(metricsOf("vtab/pcam")).toMatchObject({ acc1: 0.5924072265625, main_metric: 0.5924072265625 })
})
