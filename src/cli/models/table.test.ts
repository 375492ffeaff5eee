import { expect, test } from "vitest"
import { family } from "../../train/plan/family.ts"
import { columns, familyTable } from "./table.ts"

const members = family()
const widthOf = (table: string) => Math.max(...table.split("\n").map((line) => line.length))

test("a narrow terminal gets fewer columns; the name and the accuracies are left out last", () => {
  for (const width of [120, 100, 80, 60]) expect(widthOf(familyTable(members, width))).toBeLessThanOrEqual(width)
  const title = familyTable(members, 60).split("\n")[0]!
  expect(title).toMatch(/^model .*img M.*IN-1k/)
  expect(title).not.toContain("resize")
  expect(familyTable(members, 80).split("\n")[0]).toMatch(/licence +IN-1k/)
  expect(familyTable(members, 10).split("\n")[0]).toMatch(/^model$/)
})

test("every column can be shown", () => {
  const names = Object.keys(columns) as (keyof typeof columns)[]
  const [title, ...rows] = familyTable(members, 10, names).split("\n")
  for (const { title: column } of Object.values(columns)) expect(title).toContain(column)
  expect(rows).toHaveLength(members.length)
  expect(rows.join()).not.toMatch(/NaN|undefined/)
})
