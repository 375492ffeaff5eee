/** A comparison for programs: scores, intervals and differences by model, 0 to 1. */
import type { AverageRow, Comparison } from "./compare.ts"
import type { TaskRow } from "./task-rows.ts"
import { verdictText } from "./words.ts"

export function comparisonJson(comparison: Comparison): object {
  const { models, tasks, averages, notes } = comparison
  const names = models.map(({ name }) => name)
  return {
    verdict: verdictText(comparison),
    models: models.map(({ name, source, variant, parameters }) => ({ name, source, variant, parameters })),
    averages: averages.map((row) => ({
      name: row.name,
      tasks: row.keys,
      of: row.of,
      ...scoresOf(row, names),
      worth: row.worth,
    })),
    tasks: tasks.map((row) => ({ ...withoutCells(row), ...scoresOf(row, names) })),
    notes,
  }
}

function withoutCells({ cells: _, differences: __, ...row }: TaskRow): object {
  return row
}

function scoresOf(
  { cells, differences }: Pick<TaskRow | AverageRow, "cells" | "differences">,
  names: readonly string[],
) {
  return {
    scores: Object.fromEntries(names.map((name, i) => [name, cells[i] ?? null])),
    differences: Object.fromEntries(names.flatMap((name, i) => (i === 0 ? [] : [[name, differences[i] ?? null]]))),
  }
}
