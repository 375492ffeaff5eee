/**
 * ONNX Runtime's official builds report how they are used to their maker, and keep an identifier in the user's cache and
 * logs in the temporary folder for it. Not from here, unless you set ORT_DISABLE_TELEMETRY=0. It is read when the library
 * is loaded, so whoever imports that imports this before (microsoft/onnxruntime#27379).
 */
process.env.ORT_DISABLE_TELEMETRY ??= "1"
