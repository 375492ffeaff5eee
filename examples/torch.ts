/** libtorch by itself: the gradient of a sum of squares. `node dist/examples/torch.js`. */
import { scope, tensor } from "mobileclip/torch"

scope(() => {
  const x = tensor(Float32Array.of(1, 2, 3), [3]).requiresGrad_()
  x.mul(x).sum().backward()
  console.log([...x.grad!.data()].join(" "))
})
