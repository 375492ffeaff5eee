// Answers to stop signals that come while a call of libtorch keeps JavaScript from giving them.
#pragma once

#include <napi.h>

// armSignals(text, numbers of signals, milliseconds JavaScript has to answer, milliseconds within which a second signal
// counts as the first) -> whether it is possible: on POSIX, for signals that Node listens to
Napi::Value armSignals(const Napi::CallbackInfo& info);

// Whether the first signal is still to be answered; from then on it is not.
Napi::Value claimAnswer(const Napi::CallbackInfo& info);

Napi::Value disarmSignals(const Napi::CallbackInfo& info);
