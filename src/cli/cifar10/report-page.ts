import type { Cifar10Report, CaptionExample } from "./report.ts"
export async function cifar10Page(report: Cifar10Report, _pictures: readonly CaptionExample[]): Promise<string> {
  return JSON.stringify(report)
}
