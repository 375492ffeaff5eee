/** A number of things in a sentence. */

/** "1 picture", "2 pictures", "1,500 pictures". */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`
}
