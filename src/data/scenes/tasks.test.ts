import { expect, test } from "vitest"
import { sampleScene } from "./scene.ts"
import { chanceOf, TASKS } from "./tasks.ts"

const scenes = Array.from({ length: 480 }, (_, index) => sampleScene(1, "test", index))

test.each(TASKS)("$name: every class equally often among 480 test pictures", (task) => {
  const labels = scenes.map((scene) => task.label(scene)).filter((label) => label !== null)
  const counts = new Map<number, number>()
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1)
  expect(counts.size).toBe(Math.round(1 / chanceOf(task)))
  expect(new Set(counts.values())).toEqual(new Set([labels.length * chanceOf(task)]))
})

test.each([
  ["shape", "star"],
  ["colour", "red"],
  ["pattern", "striped"],
])("%s: the label is the object's", (name, value) => {
  const task = TASKS.find((candidate) => candidate.name === name)!
  for (const scene of scenes) {
    const label = task.label(scene)
    expect(label === null).toBe(scene.layout !== "single")
    if (label === null || task.kind !== "classes") continue
    expect(Object.values(scene.objects[0]!)).toContain(task.classNames[label])
    expect(task.classNames).toContain(value)
  }
})

test("count: the label is the number of objects", () => {
  const count = TASKS.find(({ name }) => name === "count")!
  for (const scene of scenes) if (scene.layout === "group") expect(count.label(scene)).toBe(scene.objects.length - 1)
})

test("relation: four captions with the picture's objects, and the label's is true", () => {
  const relation = TASKS.find((task) => task.kind === "candidates")!
  for (const scene of scenes.filter(({ layout }) => layout === "pair")) {
    const captions = relation.candidates(scene)
    const [first, second] = scene.objects
    expect(new Set(captions).size).toBe(4)
    for (const caption of captions) {
      expect(caption).toMatch(new RegExp(`${first!.colour} ${first!.shape} .* ${second!.colour} ${second!.shape}$`))
    }
    expect(captions[relation.label(scene)!]).toContain(scene.relation)
  }
})

test("every template has a place for the class", () => {
  for (const task of TASKS) {
    if (task.kind === "classes") for (const template of task.templates) expect(template.split("{}")).toHaveLength(2)
  }
})
