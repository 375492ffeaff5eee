import { expect, test } from "vitest"
import { requireOneModel, requireSameModels } from "./compare.ts"

const made = (models: string, ...names: string[]) => names.map((name) => ({ models, output: `s3://b/out/${name}` }))

test("shards of one model", () => {
  requireSameModels(made("A", "0.tar", "1.tar"), "A", "out")
  requireOneModel(made("A", "0.tar", "1.tar"), "out")
  requireOneModel([], "out")
})

test("shards of others are named", () => {
  const mixed = [...made("A", "0.tar", "1.tar", "2.tar"), ...made("B", "3.tar", "4.tar")]
  expect(() => requireSameModels(mixed, "A", "out")).toThrow("out has shards made by B (3.tar, 4.tar), and not by A")
  expect(() => requireOneModel(mixed, "out")).toThrow("out has shards made by B (3.tar, 4.tar), and not by A")
  const many = made("A", "0.tar", "1.tar", "2.tar", "3.tar", "4.tar", "5.tar")
  expect(() => requireSameModels(many, "B", "out")).toThrow("(0.tar, 1.tar, 2.tar, 3.tar, and 2 more), and not by B")
})
