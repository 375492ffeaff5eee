export { thisMachine } from "../machine.ts"
