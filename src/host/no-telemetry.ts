/**
 * ONNX Runtime's official builds report how they are used to their maker, and keep an identifier in the user's cache and
 * logs in the temporary folder for it. This switches that off, unless you set ORT_DISABLE_TELEMETRY=0. The library reads the
 * variable when it is loaded, so import this file before it (microsoft/onnxruntime#27379).
 */
process.env.ORT_DISABLE_TELEMETRY ??= "1"
