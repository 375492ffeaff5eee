/** `mobileclip/browser`: the same interface as `mobileclip`, computed in a module worker by ONNX Runtime Web. */
export type { ClipInfo, LoadProgress, Towers } from "../run/clip-host.ts"
