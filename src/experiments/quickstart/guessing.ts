import { chanceOf, TASKS } from "../../data/scenes/tasks.ts"

/** The mean accuracy of guessing over the tasks of the scenes dataset. */
export const guessing = TASKS.map(chanceOf).reduce((sum, chance) => sum + chance, 0) / TASKS.length
