import { expect, test } from "vitest"
import { nextCommands } from "./next-commands.ts"
import { presets } from "./recipe.ts"

const options = { out: "runs/quickstart", recipe: presets.tiny, seed: 0 }
const suggestion = {
  ...{ labels: ["star", "ring"], none: "thing", template: "a {}", chosenOn: 30 },
  ...{ named: { pictures: 20, right: 0.9, chance: 0.5 }, others: { pictures: 10, right: 0.6 } },
}

test("labels that the student knows come first, with how many of the sample pictures they are right for", () => {
  const [first, ...others] = nextCommands(options, ["one", "two"], suggestion, "22 of 24")
  expect(first).toEqual({
    command: "npx mobileclip classify runs/quickstart/pictures --labels star,ring,thing --template 'a {}' --top 1",
    purpose: "label the sample pictures: 22 of 24 get the right one, and the choice of labels had no part in them",
  })
  expect(others.map(({ command }) => command)).toEqual([
    "npx mobileclip evaluate --model runs/quickstart/students/reinforced-0 --model runs/quickstart/students/plain-0 --suite self --out runs/quickstart/evaluation\nnpx mobileclip evaluate compare runs/quickstart/evaluation --html runs/quickstart/compare.html",
    "one\ntwo",
    "npx mobileclip reinforce stats runs/quickstart/reinforced --contact-sheet sheet.png",
    "npx mobileclip train --train-data runs/quickstart/reinforced --dataset-reinforcement --out runs/mine loss.kind=distill 'loss.weights=[0,1]' 'loss.teacherScales=[20,20]' schedule.steps=2000",
  ])
  const [elsewhere] = nextCommands(
    { ...options, out: "a b" },
    [],
    { ...suggestion, none: null, others: null },
    "1 of 24",
  )
  expect(elsewhere!.command).toMatch(/--labels star,ring --template 'a \{\}' --top 1 --model 'a b\/model'$/)
})

test("a student without labels to show says so, and what trains longer", () => {
  const [first, ...others] = nextCommands(options, [], null, "1 of 24")
  expect(first).toEqual({
    command: "npx mobileclip quickstart --preset standard --out runs/quickstart-longer",
    purpose: expect.stringMatching(
      /^this student is good at nothing yet: .* names neither shapes nor colours rightly .*; the standard preset trains longer$/,
    ),
  })
  expect(others).toHaveLength(4)
  const [standard] = nextCommands({ ...options, recipe: presets.standard }, [], null, "1 of 24")
  expect(standard!.command).toBe("npx mobileclip quickstart --seed 1 --out runs/quickstart-again")
})
